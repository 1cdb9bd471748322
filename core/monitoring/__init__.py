"""Does the model still fit? The step monitor, and what follows from it.

Windows of predictions against the reference, reports with a verdict, alerts and their delivery.
"""

__all__ = [
    "alerting",
    "alerts",
    "channels",
    "deliver",
    "evidently_report",
    "monitor",
    "monitoring_charts",
    "operation",
    "records",
    "report_html",
    "report_tables",
]
