"""Metrics of any number of labelled rows, accumulated in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.platform.messages import loads
from core.platform.own_columns import LABEL, PROBABILITY, ROW
from core.scoring.output_parts import Place
from core.stats import metrics, weighted_figures
from core.stats.metrics import Floats, Labels

# labelled rows for rank metrics
RANKED_ROWS = 100_000


@dataclass
class Sums:
    """Exact sums over any number of labelled rows, accumulated in batches.

    Parameters
    ----------
    rows, ones : float
        Labelled rows; those with label 1. By their sampling weights, if there are any.
    forecast, loss, squares : float
        Sums of the probabilities, the log losses and the squared errors.
    hits, positives : float
        True positives; rows predicted 1.
    """

    rows: float = 0
    ones: float = 0
    forecast: float = 0.0
    loss: float = 0.0
    squares: float = 0.0
    hits: float = 0
    positives: float = 0

    def add(
        self, labels: Labels, probabilities: Floats, threshold: float, weights: Floats | None = None
    ) -> None:
        """Add a batch of rows, each by its sampling weight if it has one."""
        above = probabilities >= threshold
        if weights is not None:
            losses = metrics.log_losses(labels.astype(np.float64), probabilities)
            self.rows += float(weights.sum())
            self.ones += float(weights @ labels)
            self.forecast += float(weights @ probabilities)
            self.loss += float(weights @ losses)
            self.squares += float(weights @ (probabilities - labels) ** 2)
            self.hits += float(weights[above] @ labels[above])
            self.positives += float(weights[above].sum())
            return
        self.rows += len(labels)
        self.ones += int(labels.sum())
        self.forecast += float(probabilities.sum())
        self.loss += float(metrics.log_losses(labels.astype(np.float64), probabilities).sum())
        self.squares += float(((probabilities - labels) ** 2).sum())
        self.hits += int(labels[above].sum())
        self.positives += int(above.sum())

    def figures(self) -> dict[str, float]:
        """Return the metrics of `metrics.classification` that are sums; empty without rows.

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
        figures = {
            "log_loss": self.loss / self.rows,
            "brier_score": self.squares / self.rows,
            "f1": 2 * self.hits / both if both else 0.0,
            "precision": self.hits / self.positives if self.positives else 0.0,
            "recall": self.hits / self.ones if self.ones else 0.0,
            "accuracy": (self.rows - both + 2 * self.hits) / self.rows,
            "base_rate": base,
            "mean_probability": self.forecast / self.rows,
            "positive_rate": self.positives / self.rows,
        }
        if 0 < base < 1:
            figures["skill"] = 1 - figures["log_loss"] / metrics.base_rate_log_loss(base)
        return figures


def of_parts(
    place: Place, labelled: int, threshold: float, weights: Floats | None, source: str
) -> dict[str, float]:
    """Return the metrics of the labelled rows of a result, with their 95% intervals.

    Sums are over all rows, rank metrics over every n-th row of many.

    Parameters
    ----------
    weights : array of float, optional
        Sampling weight of each row of the source.
    source : str
        Ends the names: `log_loss_upload`, `log_loss_upload_low`, `log_loss_upload_high`.
    """
    if not labelled:
        return {}
    sums = Sums()
    step = every(labelled, RANKED_ROWS)
    sampled: list[tuple[Any, Any, Any]] = []
    first = 0
    for table in place.read([ROW, PROBABILITY, LABEL]):
        places, label, forecast = (
            table.column(name).to_numpy() for name in (ROW, LABEL, PROBABILITY)
        )
        has_label = ~np.isnan(label)
        places, forecast = places[has_label], forecast[has_label]
        label = label[has_label].astype(np.int64)
        sums.add(label, forecast, threshold, None if weights is None else weights[places])
        sampled.append(tuple(of[-first % step :: step] for of in (places, label, forecast)))
        first += len(label)
    places, label, forecast = (np.concatenate(part) for part in zip(*sampled, strict=True))
    by = None if weights is None else weights[places]
    measured = weighted_figures.figures(label, forecast, threshold, by)
    if step > 1:
        measured |= sums.figures()
    figures = {f"{name}_{source}": value for name, value in measured.items()}
    for name, (low, high) in weighted_figures.intervals(label, forecast, threshold, by).items():
        if name in measured:
            figures |= {f"{name}_{source}_low": low, f"{name}_{source}_high": high}
    return figures


def every(rows: int, most: int) -> int:
    """Return n such that every n-th of the rows gives at most `most` rows.

    Examples
    --------
    >>> every(1000, 300), every(200, 300)
    (4, 1)
    """
    return max(1, -(-rows // most))


def rejected_table(listed: list[tuple[int, str, str, str]]) -> pd.DataFrame:
    """Return the rejected rows as a table: row, column, value, reason."""
    table = pd.DataFrame(listed, columns=["row", "column", "value", "reason"])
    return table.assign(reason=table["reason"].map(loads).astype("object"))
