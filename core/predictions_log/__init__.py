"""The log of every prediction, with labels that arrive later.

One SQLite file per home, or PostgreSQL: written by the endpoint and by scoring (`log_writer`), read
by pages and reports (`log_search`, `predictions`), joined with labels (`labels`). All of
them raise a StoreError when the log cannot be read or written.
"""

__all__ = ["gap_journal", "known_labels", "labels", "log_store", "log_writer", "predictions"]
