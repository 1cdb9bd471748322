"""Settings of Kedro: there is one configuration, conf/base."""

CONFIG_LOADER_ARGS = {"base_env": "base", "default_run_env": "base"}
