"""The log of every prediction, with the labels that come later.

One SQLite file per home: written by the endpoint and by scoring (`log_writer`), searched by pages
and reports (`log_search`, `predictions`), joined with labels (`labels`).
"""

__all__ = ["gap_journal", "known_labels", "labels", "log_store", "log_writer", "predictions"]
