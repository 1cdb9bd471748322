"""What every subject stands on, and no subject itself.

Settings, errors, the project file, the row contract, the step table, the record of a run and the
only doors to MLflow (`tracking` to its runs, `model_store` to its models), the only reader and
writer under data/ (`storage`), and what the processes of the app need of the system.
"""

__all__ = [
    "artifacts",
    "bounds",
    "classifier",
    "clock",
    "code_snippets",
    "config",
    "csv_dialect",
    "csv_numbers",
    "errors",
    "hooks",
    "identity",
    "language",
    "lifecycle",
    "liveness",
    "locks",
    "log_files",
    "mlflow_client",
    "model_files",
    "model_store",
    "own_columns",
    "pictures",
    "plugins",
    "privacy",
    "process",
    "project",
    "rows",
    "run_record",
    "run_tags",
    "runs",
    "same_site",
    "schema",
    "served_model",
    "set_aside",
    "state",
    "steps",
    "storage",
    "store_faults",
    "table_files",
    "tables",
    "tracking",
]
