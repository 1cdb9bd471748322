"""One module per step, each one named MLflow run."""
