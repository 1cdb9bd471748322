"""Metrics of probability predictions of 0/1 labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# Title of each metric on a page.
TITLES: dict[str, Message] = {
    "log_loss": Message("Log loss"),
    "skill": Message("Skill over base rate"),
    "roc_auc": Message("ROC AUC"),
    "average_precision": Message("Average precision"),
    "brier_score": Message("Brier score"),
    "f1": Message("F1"),
    "precision": Message("Precision"),
    "recall": Message("Recall"),
    "accuracy": Message("Accuracy"),
}
# A smaller difference is rounding, whatever its interval says.
ROUNDING = 1e-9
# Bootstrap counts held in memory at once; they fit into the processor's cache.
_AT_ONCE = 500_000


def ordered(names: Iterable[str], first: str) -> tuple[str, ...]:
    """Return the names of metrics, with the one that a project shows first at the front.

    Examples
    --------
    >>> ordered(("log_loss", "roc_auc", "f1"), "average_precision")
    ('average_precision', 'log_loss', 'roc_auc', 'f1')
    """
    return tuple(dict.fromkeys([first, *names]))


def classification(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    """Return the metrics of predicted probabilities against 0/1 labels.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1.
    probabilities : array of float, shape (n,)
        Probability of 1.
    threshold : float
        Probability from which a row is labelled 1.

    Returns
    -------
    dict of str to float
        log_loss (nats), skill = 1 - log_loss / log_loss of the base rate of these rows, roc_auc,
        average_precision (mean precision over the steps of recall, not interpolated), brier_score,
        f1, precision, recall, accuracy, base_rate, mean_probability, positive_rate (share of rows
        labelled 1). With labels of one class, skill, roc_auc and average_precision are undefined
        and left out.

    Examples
    --------
    >>> figures = classification(np.array([0, 1, 1, 0]), np.array([0.2, 0.8, 0.6, 0.4]), 0.5)
    >>> round(figures["log_loss"], 4), figures["f1"], figures["roc_auc"]
    (0.367, 1.0, 1.0)
    """
    from sklearn import metrics

    above = probabilities >= threshold
    rows, ones, predicted = len(labels), int(labels.sum()), int(np.count_nonzero(above))
    hits = int(np.count_nonzero(above & (labels == 1)))
    base_rate = float(labels.mean())
    loss = float(metrics.log_loss(labels, probabilities, labels=[0, 1]))
    figures = {
        "log_loss": loss,
        "brier_score": float(np.mean((probabilities - labels) ** 2)),
        # as scikit-learn with zero_division=0, which takes ten times as long
        "f1": 2 * hits / (ones + predicted) if ones + predicted else 0.0,
        "precision": hits / predicted if predicted else 0.0,
        "recall": hits / ones if ones else 0.0,
        "accuracy": (rows - ones - predicted + 2 * hits) / rows,
        "base_rate": base_rate,
        "mean_probability": float(probabilities.mean()),
        "positive_rate": predicted / rows,
    }
    if 0.0 < base_rate < 1.0:
        figures["skill"] = 1.0 - loss / base_rate_log_loss(base_rate)
        figures["roc_auc"] = float(metrics.roc_auc_score(labels, probabilities))
        figures["average_precision"] = float(metrics.average_precision_score(labels, probabilities))
    return figures


def weighted(
    counts: Floats, labels: Labels, probabilities: Floats, threshold: float
) -> pd.DataFrame:
    """Return the metrics of samples given by row counts, one row per sample.

    Parameters
    ----------
    counts : array of float, shape (samples, n)
        How often each row is in each sample; no empty sample.
    labels, probabilities : array, shape (n,)

    Returns
    -------
    DataFrame
        Columns: the names in TITLES, calibration (mean predicted probability minus observed share)
        and base_rate. NaN if a metric is undefined, for a sample of one class.

    Examples
    --------
    >>> table = weighted(np.array([[1.0, 1.0], [0.0, 3.0]]), np.array([0, 1]),
    ...                  np.array([0.2, 0.8]), 0.5)
    >>> table[["accuracy", "base_rate"]].to_numpy().tolist()
    [[1.0, 0.5], [1.0, 1.0]]
    """
    order = np.argsort(probabilities, kind="stable")
    label, forecast = labels[order].astype(np.float64), probabilities[order]
    # rows of equal probability form a group
    starts = np.flatnonzero(np.diff(forecast, prepend=-np.inf) > 0)
    positive = (forecast >= threshold).astype(np.float64)
    of_rows = np.column_stack(
        [
            np.ones(len(label)),
            label,
            forecast,
            positive,
            positive * label,
            log_losses(label, forecast),
            (forecast - label) ** 2,
        ]
    )
    sorted_counts = counts[:, order]
    rows, ones, forecasts, positives, hits, losses, squares = (sorted_counts @ of_rows).T
    auc, precision_steps = _ranked(sorted_counts, label, starts, ones)
    mixed = (ones > 0) & (ones < rows)
    rate = np.where(mixed, ones / rows, 0.5)
    base = np.where(mixed, -rate * np.log(rate) - (1 - rate) * np.log(1 - rate), np.nan)
    return pd.DataFrame(
        {
            "log_loss": losses / rows,
            "skill": 1 - losses / rows / base,
            "roc_auc": np.where(mixed, auc, np.nan),
            "average_precision": np.where(mixed, precision_steps, np.nan),
            "brier_score": squares / rows,
            "f1": _ratio(2 * hits, positives + ones),
            "precision": _ratio(hits, positives),
            "recall": _ratio(hits, ones),
            "accuracy": (rows - ones - positives + 2 * hits) / rows,
            "calibration": (forecasts - ones) / rows,
            "base_rate": ones / rows,
        }
    )


def draws(rows: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield bootstrap row counts, in batches of resamples.

    Parameters
    ----------
    rows : int
        1 or more.

    Yields
    ------
    array of float, shape (some resamples, rows)
        Each line adds up to `rows`.

    Examples
    --------
    >>> [part.sum(axis=1).tolist() for part in draws(5, 2, seed=0)]
    [[5.0, 5.0]]
    """
    rng = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // rows)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        drawn = np.empty((count, rows))
        for place in range(count):
            drawn[place] = np.bincount(rng.integers(0, rows, rows), minlength=rows)
        yield drawn


def _ranked(counts: Floats, label: Floats, starts: Labels, ones: Floats) -> tuple[Floats, Floats]:
    """Return ROC AUC and average precision per row of counts; rows are sorted by probability."""
    every = np.add.reduceat(counts, starts, axis=1)
    positives = np.add.reduceat(counts * label, starts, axis=1)
    others = every - positives
    below = np.cumsum(others, axis=1) - others
    zeros = others.sum(axis=1)
    # ties count half (Mann and Whitney, 1947)
    auc = _ratio((positives * (below + others / 2)).sum(axis=1), ones * zeros)
    from_top = [np.cumsum(part[:, ::-1], axis=1)[:, ::-1] for part in (positives, every)]
    precision = _ratio((positives * _ratio(*from_top)).sum(axis=1), ones)
    return auc, precision


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, with 0 where `whole` is 0, as scikit-learn's zero_division=0 does."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def log_losses(labels: npt.NDArray[np.generic], probabilities: Floats) -> Floats:
    """Return the log loss of each row, in nats.

    Probabilities are clipped as in scikit-learn, so that a certain mistake stays finite.

    Examples
    --------
    >>> log_losses(np.array([1, 0]), np.array([0.5, 0.0])).round(4)
    array([0.6931, 0.    ])
    """
    tiny = np.finfo(np.float64).eps
    values: Floats = np.where(labels == 1, probabilities, 1 - probabilities)
    # in place, since there may be millions
    np.maximum(values, tiny, out=values)
    np.minimum(values, 1 - tiny, out=values)
    np.log(values, out=values)
    np.negative(values, out=values)
    return values


def base_rate_log_loss(base_rate: float) -> float:
    """Return the log loss, in nats, of always predicting the base rate.

    Parameters
    ----------
    base_rate : float
        Share of label 1, above 0 and below 1.

    Examples
    --------
    >>> round(base_rate_log_loss(0.477), 4)
    0.6921
    """
    return float(-base_rate * np.log(base_rate) - (1 - base_rate) * np.log(1 - base_rate))
