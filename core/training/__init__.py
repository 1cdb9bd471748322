"""Candidates, their comparison and their explanation: the steps train and explain.

The only place that imports PyCaret (`automl`). What is computed of a model (`evaluation`,
`explanation`) stands beside the charts of it.
"""

__all__ = [
    "candidates",
    "estimators",
    "evaluation",
    "evaluation_charts",
    "explain",
    "explanation",
    "explanation_charts",
    "learning",
    "records",
    "train",
]
