"""Pure computation: no files, no network, no MLflow."""
