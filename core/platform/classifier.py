"""What core asks of a classifier, whichever library made it: scikit-learn, LightGBM or PyCaret.

These libraries have no types of their own, so that what comes from them would be `Any` wherever it
goes. Whoever takes a model from them gives it one of these.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd


class Classifier(Protocol):
    """A fitted classifier, or a pipeline that ends in one."""

    def predict_proba(self, rows: pd.DataFrame, /) -> npt.NDArray[np.float64]:
        """Return the probabilities of label 0 and of label 1, shape (n, 2)."""


class Unfitted(Protocol):
    """A classifier, or a pipeline that ends in one, before it has seen rows."""

    def fit(self, rows: pd.DataFrame, labels: npt.ArrayLike, /) -> Classifier:
        """Fit it on features and labels, 0 or 1, and return it."""


class Transformer(Protocol):
    """What turns the columns of a frame into others."""

    def fit_transform(self, rows: pd.DataFrame, /) -> pd.DataFrame:
        """Fit it on these rows, and return them transformed."""
