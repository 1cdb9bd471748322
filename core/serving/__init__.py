"""The endpoint: the step serve.

Its application around MLflow's scoring application (keys, row contract, log, shadow, labels), the
process that runs it, its automatic restart (`restarts`), and the client.
"""

__all__ = [
    "api_keys",
    "client",
    "endpoint",
    "endpoint_status",
    "external_servers",
    "metrics",
    "mlflow_ui",
    "prediction_log",
    "protocol",
    "records",
    "restarts",
    "serve",
    "server",
    "server_process",
    "serving_charts",
]
