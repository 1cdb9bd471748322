"""The steps score and label: predictions for rows, and labels for predictions.

Readers of large files (`batches`), scoring backends, and results in parts.
"""

__all__ = ["batches", "label", "records", "score"]
