"""From a source to a training and a test set: the steps acquire and prepare.

Downloads, archives and snapshots of raw data; validation by the project file; profiles, splits and
the search for leakage.
"""

__all__ = [
    "acquire",
    "column_names",
    "data_charts",
    "prepare",
    "profile",
    "records",
    "snapshots",
    "split",
    "split_checks",
]
