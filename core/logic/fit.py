"""Does a model fit the rows that it has just scored? The answer with its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from core.logic import checks, metrics
from core.logic.metrics import Floats, Labels


@dataclass
class Sums:
    """What is known exactly of any number of labelled rows, added up a batch at a time.

    Parameters
    ----------
    rows, ones : int
        Labelled rows; those of label 1.
    forecast, loss, squares : float
        Sums of the probabilities, the log losses and the squared errors.
    hits, positives : int
        Rows labelled 1 by the model and rightly so; rows labelled 1 by it.
    """

    rows: int = 0
    ones: int = 0
    forecast: float = 0.0
    loss: float = 0.0
    squares: float = 0.0
    hits: int = 0
    positives: int = 0

    def add(self, labels: Labels, probabilities: Floats, threshold: float) -> None:
        """Add a batch of rows."""
        above = probabilities >= threshold
        self.rows += len(labels)
        self.ones += int(labels.sum())
        self.forecast += float(probabilities.sum())
        self.loss += float(metrics.log_losses(labels.astype(np.float64), probabilities).sum())
        self.squares += float(((probabilities - labels) ** 2).sum())
        self.hits += int(labels[above].sum())
        self.positives += int(above.sum())

    def figures(self) -> dict[str, float]:
        """Return the figures of `metrics.classification` that are sums; none without rows.

        Examples
        --------
        >>> sums = Sums()
        >>> sums.add(np.array([0, 1, 1]), np.array([0.2, 0.8, 0.4]), 0.5)
        >>> exact = metrics.classification(np.array([0, 1, 1]), np.array([0.2, 0.8, 0.4]), 0.5)
        >>> max(abs(value - exact[name]) for name, value in sums.figures().items()) < 1e-12
        True
        """
        if not self.rows:
            return {}
        both = self.positives + self.ones
        base = self.ones / self.rows
        found = {
            "log_loss": self.loss / self.rows,
            "brier_score": self.squares / self.rows,
            "f1": 2 * self.hits / both if both else 0.0,
            "precision": self.hits / self.positives if self.positives else 0.0,
            "recall": self.hits / self.ones if self.ones else 0.0,
            "accuracy": (self.rows - both + 2 * self.hits) / self.rows,
            "base_rate": base,
            "mean_probability": self.forecast / self.rows,
        }
        if 0 < base < 1:
            found["skill"] = 1 - found["log_loss"] / metrics.base_rate_log_loss(base)
        return found


def answer(
    reference: Mapping[str, float],
    current: Mapping[str, float],
    labels: int,
    intervals: Mapping[str, tuple[float, float]],
    *,
    current_name: str,
    reference_name: str,
) -> dict[str, Any]:
    """Return whether the model fits, in a sentence, and the checks that say so.

    Parameters
    ----------
    reference, current, labels, intervals
        As `checks.performance` takes them.
    current_name, reference_name : str
        What the rows are called, e.g. `3-point attempts`.

    Returns
    -------
    dict
        `verdict` (fits, watch, does_not_fit, unknown), `title`, `sentence`, `todo`, and `checks`,
        each with code, title, value, low, high, reference, threshold, verdict and sentence.

    Examples
    --------
    >>> old = {"log_loss": 0.678, "skill": 0.020, "roc_auc": 0.595, "f1": 0.513,
    ...        "base_rate": 0.477, "mean_probability": 0.478}
    >>> new = {"log_loss": 0.629, "skill": 0.007, "roc_auc": 0.539, "f1": 0.0,
    ...        "base_rate": 0.329, "mean_probability": 0.36}
    >>> answer(old, new, 5412, {}, current_name="new rows", reference_name="old rows")["title"]
    'The model does not fit the new rows'
    """
    found = checks.performance(reference, current, labels, intervals)
    conclusion = checks.conclude(found, current_name, reference_name)
    rest = {one.name for one in fields(checks.Check)} - {"text", "group"}
    return {
        "verdict": conclusion.code,
        "title": conclusion.title,
        "sentence": f"{conclusion.title}. {conclusion.text}",
        "todo": conclusion.todo,
        "checks": [
            {**{name: getattr(one, name) for name in sorted(rest)}, "sentence": one.text}
            for one in found
        ],
    }


def every(rows: int, most: int) -> int:
    """Return which rows to take, every n-th, so that they are at most so many.

    Examples
    --------
    >>> every(1000, 300), every(200, 300)
    (4, 1)
    """
    return max(1, -(-rows // most))


def rejected_table(listed: list[tuple[int, str, str, str]]) -> pd.DataFrame:
    """Return the rejected rows as a table: row, column, value, reason."""
    return pd.DataFrame(listed, columns=["row", "column", "value", "reason"])
