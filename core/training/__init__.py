"""The steps train and explain: candidates, their comparison and their explanation.

PyCaret is imported in `automl` only. Each computation (`evaluation`, `explanation`) has a module of
charts in separate modules.
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
