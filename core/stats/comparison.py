"""Paired comparisons of models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message
from core.stats import figure_intervals, intervals, metrics, weighted_figures

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

LOWER_IS_BETTER = ("log_loss", "brier_score")
COMPARED = ("log_loss", "brier_score", "roc_auc", "average_precision", "f1")
# of an interval by weight
_RESAMPLES = 400


def paired(
    labels: Labels,
    first: Floats,
    second: Floats,
    threshold_first: float,
    threshold_second: float,
    weights: Floats | None = None,
) -> pd.DataFrame:
    """Compare two models' probabilities on the same rows, metric by metric.

    Rows that are hard for both cancel out, so the interval of the difference is narrower than the
    two values' own intervals suggest. Log loss and Brier score use each row's difference, average
    precision and F1 each row's influence (`intervals.difference`), ROC AUC the method of DeLong,
    DeLong and Clarke-Pearson (1988). With weights all are quantiles over resampled rows.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1.
    first, second : array of float, shape (n,)
        Each model's probability of 1.
    threshold_first, threshold_second : float
        Probability from which each model labels a row 1.
    weights : array of float, shape (n,), optional

    Returns
    -------
    DataFrame
        A row per metric of COMPARED: `metric`, `one`, `other`, `difference` (first minus second),
        `low`, `high` (its 95% interval), `better`: "one", "other", or "alike" if the interval
        contains 0. With one class there is no roc_auc and no average_precision; without rows the
        table is empty.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=1000)
    >>> labels = (rng.uniform(size=1000) < p).astype(int)
    >>> table = paired(labels, p, np.full(1000, 0.5), 0.5, 0.5).set_index("metric")
    >>> table["better"].to_dict()
    {'log_loss': 'one', 'brier_score': 'one', 'roc_auc': 'one', 'average_precision': 'one',
     'f1': 'one'}
    """
    rows = []
    if len(labels):
        sides = ((first, threshold_first), (second, threshold_second))
        values = [weighted_figures.figures(labels, *side, weights) for side in sides]
        drawn = {} if weights is None else _drawn_ends(labels, sides, weights)
        for name in COMPARED:
            if name not in values[0]:
                continue
            low, high = drawn[name] if weights is not None else _ends(name, labels, sides)
            pair = values[0][name], values[1][name]
            better = _better(low, high, lower_is_better=name in LOWER_IS_BETTER)
            rows.append((name, *pair, pair[0] - pair[1], low, high, better))
    columns = ["metric", "one", "other", "difference", "low", "high", "better"]
    return pd.DataFrame(rows, columns=columns)


def _ends(name: str, labels: Labels, sides: Sequence[tuple[Floats, float]]) -> tuple[float, float]:
    """Return the 95% interval of a metric's difference, first minus second side."""
    first, second = (side for side, _unused in sides)
    if name == "log_loss":
        losses = metrics.log_losses(labels, first) - metrics.log_losses(labels, second)
        return intervals.difference(losses, labels)
    if name == "brier_score":
        return intervals.difference((first - labels) ** 2 - (second - labels) ** 2, labels)
    if name == "roc_auc":
        placed = [
            intervals.placements(side[labels == 0], side[labels == 1]) for side, _unused in sides
        ]
        above, below = (left - right for left, right in zip(*placed, strict=True))
        rarer = min(len(above), len(below))
        reach = intervals.student(rarer - 1) * intervals.placement_error(above, below)
        middle = float(above.mean())
        return middle - reach, middle + reach
    if name == "average_precision":
        (one, of_one, _excess), (other, of_other, _excess) = (
            figure_intervals.precision_influences(labels, side) for side, _unused in sides
        )
        return intervals.difference(of_one - of_other, labels, one - other)
    figures = [_f1_influences(labels, *side) for side in sides]
    values = figures[0][1] - figures[1][1]
    return intervals.difference(values, labels, figures[0][0] - figures[1][0])


def _drawn_ends(
    labels: Labels, sides: Sequence[tuple[Floats, float]], weights: Floats
) -> dict[str, tuple[float, float]]:
    """Return the 95% interval of each metric's difference over resampled rows, by weight."""
    parts = []
    for counts in metrics.draws(len(labels), _RESAMPLES, seed=0):
        first, second = (metrics.weighted(counts * weights, labels, *side) for side in sides)
        parts.append((first - second)[list(COMPARED)])
    ends = pd.concat(parts).quantile([0.025, 0.975])
    return {name: (float(ends[name].iloc[0]), float(ends[name].iloc[1])) for name in COMPARED}


def _f1_influences(labels: Labels, probabilities: Floats, threshold: float) -> tuple[float, Floats]:
    """Return F1 and each row's influence on it (the delta method)."""
    positive = (probabilities >= threshold).astype(np.float64)
    size = float((labels + positive).mean())
    if size == 0:
        return 0.0, np.zeros(len(labels))
    f1 = 2 * float((labels * positive).mean()) / size
    return f1, (2 * labels * positive - f1 * (labels + positive)) / size


def against_best(
    labels: Labels, probabilities: Mapping[str, Floats], best: str, weights: Floats | None = None
) -> pd.DataFrame:
    """Compare each model's log loss with that of the best model, with 95% intervals.

    Choose the best elsewhere (by cross-validation): the lowest of many test values is partly luck.
    Each interval is of 95% by itself (`intervals.difference`), so among twenty equally good models
    about one appears to differ.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1; at least one row.
    probabilities : mapping of str to array of float, shape (n,)
        By model, on the same rows.
    best : str
        The model that the others are compared with.
    weights : array of float, shape (n,), optional

    Returns
    -------
    DataFrame
        A row per other model, lowest log loss first: `model`, `log_loss`, `difference` (its log
        loss minus that of the best), `low`, `high`, `better` ("model", "best" or "alike") and
        `text`, a message.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=1000)
    >>> labels = (rng.uniform(size=1000) < p).astype(int)
    >>> against_best(labels, {"lr": p, "dummy": np.full(1000, 0.5)}, "lr")["better"].tolist()
    ['best']
    """
    others = [name for name in probabilities if name != best]
    losses = {name: metrics.log_losses(labels, side) for name, side in probabilities.items()}
    rows = []
    if others:
        gaps = np.column_stack(
            [intervals.influences(losses[name] - losses[best], weights) for name in others]
        )
        for place, name in enumerate(others):
            gap, ends = float(gaps[:, place].mean()), intervals.difference(gaps[:, place], labels)
            side = _better(*ends, lower_is_better=True)
            better = {"one": "model", "other": "best", "alike": "alike"}[side]
            text = _sentence(better, gap, *ends)
            loss = float(np.average(losses[name], weights=weights))
            rows.append((name, loss, gap, *ends, better, text))
    columns = ["model", "log_loss", "difference", "low", "high", "better", "text"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("log_loss", kind="stable", ignore_index=True)


def _better(low: float, high: float, *, lower_is_better: bool) -> str:
    if low <= metrics.ROUNDING and high >= -metrics.ROUNDING:
        return "alike"
    return "one" if (high < 0) == lower_is_better else "other"


def _sentence(better: str, gap: float, low: float, high: float) -> Message:
    if better == "alike":
        return Message(
            "No clear difference: {gap:+.4f} (95%: {low:+.4f} to {high:+.4f}) may be chance.",
            gap=gap,
            low=low,
            high=high,
        )
    low, high = sorted((abs(low), abs(high)))
    ends: dict[str, Any] = {"gap": abs(gap), "low": low, "high": high}
    if better == "best":
        return Message("Worse by {gap:.4f} (95%: {low:.4f} to {high:.4f}).", **ends)
    return Message(
        "Better by {gap:.4f} (95%: {low:.4f} to {high:.4f}), but the choice did not "
        "use these rows.",
        **ends,
    )
