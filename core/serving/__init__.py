"""The endpoint: the step serve.

The process that answers and the gateway before it (keys, row contract, log, shadow, labels), what
keeps them up (`restarts`), and the client that asks them.
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
    "serving_charts",
]
