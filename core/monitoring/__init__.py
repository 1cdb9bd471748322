"""The step monitor and its consequences: reports, alerts and their delivery.

Windows of predictions are compared with the reference; a report has a verdict per check and one
overall.
"""

__all__ = [
    "alert_rules",
    "alert_store",
    "alerting",
    "alerts",
    "channels",
    "deliver",
    "evidently_report",
    "incidents",
    "monitor",
    "monitoring_charts",
    "operation",
    "records",
    "report_html",
    "report_tables",
]
