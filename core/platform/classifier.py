"""Protocols of a classifier, for scikit-learn, LightGBM and PyCaret alike.

These libraries have no type annotations; code that takes a model from them assigns it one of these.
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
    """An unfitted classifier, or a pipeline that ends in one."""

    def fit(self, rows: pd.DataFrame, labels: npt.ArrayLike, /) -> Classifier:
        """Fit it on features and labels, 0 or 1, and return it."""


class Transformer(Protocol):
    """An unfitted transformer of columns."""

    def fit_transform(self, rows: pd.DataFrame, /) -> pd.DataFrame:
        """Fit it on these rows, and return them transformed."""
