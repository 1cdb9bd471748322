"""The endpoint: the step serve.

The scoring server and the gateway in front of it (keys, row contract, log, shadow, labels), their
automatic restart (`restarts`), and the client.
"""

__all__ = [
    "api_keys",
    "client",
    "endpoint",
    "external_servers",
    "gateway",
    "gateway_stats",
    "mlflow_ui",
    "records",
    "restarts",
    "serve",
    "server",
    "server_process",
    "serving_charts",
]
