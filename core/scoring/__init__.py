"""Rows to predictions, and labels to predictions: the steps score and label.

Readers of large files (`batches`), the ways to score them, and the parts of a result.
"""

__all__ = ["batches", "label", "records", "score"]
