"""The steps acquire and prepare: from a data source to a training set and a test set.

Downloads, archives and snapshots of raw data; validation against the project file; profiles, splits
and leakage checks.
"""

__all__ = [
    "acquire",
    "column_names",
    "data_charts",
    "over_time",
    "prepare",
    "profile",
    "records",
    "snapshots",
    "split",
    "split_checks",
]
