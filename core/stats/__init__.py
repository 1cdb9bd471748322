"""Statistics that only compute: metrics, intervals, drift, support, limits and checks.

Nothing here knows a project, a store or a page; it takes arrays and tables and returns them.
`charts` draws what more than one subject shows.
"""

__all__ = [
    "agreement",
    "charts",
    "check",
    "checks",
    "comparison",
    "disagreement",
    "drift",
    "estimation",
    "figure_intervals",
    "forecast",
    "intervals",
    "limits",
    "metrics",
    "performance",
    "slices",
    "support",
    "thresholds",
]
