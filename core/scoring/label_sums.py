"""Metrics of any number of labelled rows, accumulated in batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import loads
from core.platform.own_columns import LABEL, PROBABILITY, ROW
from core.scoring.output_parts import Place
from core.stats import metrics, weighted_figures
from core.stats.metrics import Floats

Ints = npt.NDArray[np.int64]
# labelled rows for rank metrics
RANKED_ROWS = 100_000
# labelled rows of a result that are kept in memory, 9 bytes each
KEPT_ROWS = 8_000_000


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
        self,
        labels: npt.NDArray[Any],
        probabilities: Floats,
        threshold: float,
        weights: Floats | None = None,
    ) -> None:
        """Add a batch of rows, each by its sampling weight if it has one."""
        if weights is not None:
            above = probabilities >= threshold
            losses = metrics.log_losses(labels, probabilities)
            self.rows += float(weights.sum())
            self.ones += float(weights @ labels)
            self.forecast += float(weights @ probabilities)
            self.loss += float(weights @ losses)
            self.squares += float(weights @ (probabilities - labels) ** 2)
            self.hits += float(weights[above] @ labels[above])
            self.positives += float(weights[above].sum())
            return
        above, is_one = probabilities >= threshold, labels == 1
        self.rows += len(labels)
        self.ones += int(np.count_nonzero(is_one))
        self.forecast += float(probabilities.sum())
        self.loss += float(metrics.log_losses(labels, probabilities).sum())
        self.squares += float(((probabilities - labels) ** 2).sum())
        self.hits += int(np.count_nonzero(above & is_one))
        self.positives += int(np.count_nonzero(above))

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


class Tally:
    """Figures of labelled rows that are added in their order, in bounded memory.

    Parameters
    ----------
    weights : array of float, optional
        Sampling weight of each row of the source.
    step : int
        Of which rows ranks will be, if that is known: every n-th. All are kept by default.
    """

    def __init__(self, threshold: float, weights: Floats | None, step: int = 1) -> None:
        self.rows, self.step = 0, step
        self._threshold, self._weights, self._sums = threshold, weights, Sums()
        self._kept: list[tuple[npt.NDArray[np.int8], Floats, Floats]] = []

    @property
    def is_complete(self) -> bool:
        """Whether the rows that ranks need are kept; they are not if there are too many."""
        return self.step > 1 or self.rows <= KEPT_ROWS

    def add(self, places: Ints, labels: Floats, probabilities: Floats) -> None:
        """Add rows: positions in the source, labels (NaN if unknown) and probabilities."""
        by = None if self._weights is None else self._weights[places]
        has_label = ~np.isnan(labels)
        if not has_label.all():
            labels, probabilities = labels[has_label], probabilities[has_label]
            by = None if by is None else by[has_label]
        self._sums.add(labels, probabilities, self._threshold, by)
        kept = (labels.astype(np.int8), probabilities, np.empty(0) if by is None else by)
        self._kept.append(_thinned(kept, self.rows, self.step))
        self.rows += len(labels)
        if not self.is_complete:
            self._kept.clear()

    def figures(self, step: int, source: str) -> dict[str, float]:
        """Return the metrics with their 95% intervals.

        Parameters
        ----------
        step : int
            Ranks and intervals are of every n-th row, where sums are of all.
        source : str
            Ends the names: `log_loss_upload`, `log_loss_upload_low`, `log_loss_upload_high`.
        """
        kept, first = [], 0
        for rows in self._kept:
            kept.append(_thinned(rows, first, step // self.step))
            first += len(rows[0])
        label, forecast, by = (np.concatenate(column) for column in zip(*kept, strict=True))
        given = (
            label.astype(np.int64),
            forecast,
            self._threshold,
            None if self._weights is None else by,
        )
        with ThreadPoolExecutor(1) as beside:
            spans = beside.submit(weighted_figures.intervals, *given)
            measured = weighted_figures.figures(*given)
        if step > 1:
            measured |= self._sums.figures()
        figures = {f"{name}_{source}": value for name, value in measured.items()}
        for name, (low, high) in spans.result().items():
            if name in measured:
                figures |= {f"{name}_{source}_low": low, f"{name}_{source}_high": high}
        return figures


def _thinned(
    rows: tuple[npt.NDArray[np.int8], Floats, Floats], first: int, step: int
) -> tuple[npt.NDArray[np.int8], Floats, Floats]:
    """Return every n-th of these rows, counted from the row where `first` is 0."""
    if step == 1:
        return rows
    # copies, as views would keep all rows in memory
    at = slice(-first % step, None, step)
    label, forecast, by = rows
    return label[at].copy(), forecast[at].copy(), by[at].copy()


def of_result(
    place: Place,
    labelled: int,
    threshold: float,
    weights: Floats | None,
    source: str,
    tally: Tally | None = None,
) -> dict[str, float]:
    """Return the figures of the labelled rows of a result, see `Tally`; empty without labels.

    Parameters
    ----------
    tally : Tally, optional
        Of the rows as they were scored. The result is read again if it lacks some of them, as
        those of parts that another process has scored.
    """
    if not labelled:
        return {}
    step = every(labelled)
    if tally is None or tally.rows != labelled or not tally.is_complete:
        tally = Tally(threshold, weights, step)
        for table in place.read([ROW, PROBABILITY, LABEL]):
            tally.add(*(table.column(name).to_numpy() for name in (ROW, LABEL, PROBABILITY)))
    return tally.figures(step, source)


def every(rows: int, most: int = RANKED_ROWS) -> int:
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
