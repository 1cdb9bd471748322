"""Statistics on arrays and tables: metrics, intervals, drift, support, limits and checks.

Nothing here depends on a project, a store or a page. `charts` has the charts that several subjects
share.
"""

__all__ = [
    "agreement",
    "calibration",
    "charts",
    "check",
    "checks",
    "comparison",
    "curves",
    "densities",
    "disagreement",
    "distances",
    "drift",
    "estimation",
    "figure_intervals",
    "forecast",
    "intervals",
    "limits",
    "metrics",
    "performance",
    "places",
    "slices",
    "support",
    "support_checks",
    "thresholds",
]
