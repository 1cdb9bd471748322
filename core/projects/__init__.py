"""The projects that come with the app: a TOML file each, some with their own code."""
