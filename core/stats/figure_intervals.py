"""95% intervals of the metrics of probability predictions."""

from __future__ import annotations

import numpy as np

from core.stats import calibration, intervals, metrics
from core.stats.metrics import Floats, Labels, log_losses


def of(
    labels: Labels, probabilities: Floats, threshold: float, *, resamples: int = 200, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95% interval of every metric; each covers the truth in 93% of samples or more.

    Means (log loss, Brier score, calibration; skill by each row's influence) use Student's t
    corrected for skewness, see `intervals.mean`. The sample's own base rate fits the sample better
    than the true one, which makes skill seem smaller: the upper end allows for that. Shares
    (accuracy, precision, recall): Agresti and Coull. F1 is 2 J / (1 + J), where J is the share of
    true positives among rows that are 1 or labelled 1, and takes the interval of J. ROC AUC and
    average precision: on the logit scale. Measured coverage: docs/decisions/0038, by
    benchmarks/coverage.py.

    A calibration error is never negative, so chance only adds to it and its bootstrap quantiles
    would be above the truth. Its interval is that of an inverted test: all errors, with gaps of
    the observed shape, under which the observed error is not among the 2.5% smallest or largest. It
    starts at 0 if chance alone explains the error, and contains the observed error.

    Returns
    -------
    dict of str to (low, high)
        The names in TITLES, calibration (mean prediction minus observed) and calibration_error.
        Empty without rows of both classes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=2000)
    >>> low, high = of((rng.uniform(size=2000) < p).astype(int), p, 0.5)["roc_auc"]
    >>> low < 5 / 6 < high  # the true value for uniform probabilities
    True
    """
    rows, ones = len(labels), int(labels.sum())
    if not 0 < ones < rows:
        return {}
    losses = log_losses(labels, probabilities)
    positive = probabilities >= threshold
    hits, reached = int(labels[positive].sum()), int(positive.sum())
    jaccard = _of_share(hits, ones + reached - hits)
    rarer = min(ones, rows - ones)
    return {
        "log_loss": _within(intervals.mean(losses), 0.0, float("inf")),
        "skill": _skill_interval(labels, losses),
        "roc_auc": intervals.on_logit(
            *intervals.delong(probabilities[labels == 0], probabilities[labels == 1]), rarer
        ),
        "average_precision": _precision_interval(labels, probabilities),
        "brier_score": _within(intervals.mean((probabilities - labels) ** 2), 0.0, 1.0),
        "f1": (2 * jaccard[0] / (1 + jaccard[0]), 2 * jaccard[1] / (1 + jaccard[1])),
        "precision": _of_share(hits, reached),
        "recall": _of_share(hits, ones),
        "accuracy": _of_share(int((positive == (labels == 1)).sum()), rows),
        "calibration": _gap_interval(labels, probabilities),
        "calibration_error": _error_interval(labels, probabilities, resamples, seed),
    }


def _within(ends: tuple[float, float], least: float, most: float) -> tuple[float, float]:
    return max(ends[0], least), min(ends[1], most)


def _of_share(hits: int, rows: int) -> tuple[float, float]:
    """Return the interval of a share of rows; (0, 1) without rows."""
    if not rows:
        return 0.0, 1.0
    low, high = intervals.share([hits / rows], [rows])
    return float(low[0]), float(high[0])


def _skill_interval(labels: Labels, losses: Floats) -> tuple[float, float]:
    rows, rate = len(labels), float(labels.mean())
    base = metrics.base_rate_log_loss(rate)
    ratio = float(losses.mean()) / base
    of_base = log_losses(labels, np.full(rows, rate))
    low, high = intervals.mean((ratio * of_base - losses) / base, 1 - ratio)
    # the expected loss of a base rate fitted to these rows is 1 / (2 n) too low
    return low, high + ratio / (2 * rows * base)


def _gap_interval(labels: Labels, probabilities: Floats) -> tuple[float, float]:
    """Return the interval of mean prediction minus observed share.

    It is the interval of a share with as many rows as give it the standard error of the gap.
    """
    rate, mean = float(labels.mean()), float(probabilities.mean())
    variance = float(np.var(probabilities - labels))
    if variance == 0:
        return mean - rate, mean - rate
    low, high = intervals.share([rate], [len(labels) * rate * (1 - rate) / variance])
    return mean - float(high[0]), mean - float(low[0])


def precision_influences(labels: Labels, probabilities: Floats) -> tuple[float, Floats, float]:
    """Return the average precision, each row's influence on it, and how much it is too large.

    Influences are in the order of the rows. A 1 counts itself in its own precision, which makes it
    seem larger.

    Examples
    --------
    >>> labels, forecasts = np.array([0, 1, 1]), np.array([0.5, 0.4, 0.8])
    >>> value, influences, excess = precision_influences(labels, forecasts)
    >>> round(value, 4), bool(abs(influences.sum()) < 1e-12), round(excess, 4)
    (0.8333, True, 0.0556)
    """
    order = np.argsort(-probabilities, kind="stable")
    label, rows, ones = labels[order].astype(np.float64), len(labels), float(labels.sum())
    # rows of equal probability form one group
    last = np.flatnonzero(np.diff(probabilities[order], append=-np.inf) != 0)
    group = np.searchsorted(last, np.arange(rows))
    reached, hits = last + 1.0, np.cumsum(label)[last]
    precision, new = hits / reached, np.diff(hits, prepend=0.0)
    value = float((new * precision).sum() / ones)
    # a row also changes the precision at every 1 of lower probability
    after, of_it = (
        np.cumsum((part / reached)[::-1])[::-1][group] for part in (new, new * precision)
    )
    influences = np.empty(rows)
    influences[order] = rows / ones * (label * (precision[group] - value + after) - of_it)
    return value, influences, float((new * (1 - precision) / reached).sum() / ones)


def _precision_interval(labels: Labels, probabilities: Floats) -> tuple[float, float]:
    """Return the interval of the average precision, from each row's influence."""
    value, influences, excess = precision_influences(labels, probabilities)
    rows, ones = len(labels), int(labels.sum())
    # in a fixed order: a sum depends on it by rounding
    ranked = influences[np.argsort(-probabilities, kind="stable")]
    error = float(ranked.std(ddof=1)) / np.sqrt(rows)
    low, high = intervals.on_logit(value, error, min(ones, rows - ones))
    return max(low - excess, 0.0), high


def _drawn_ones(rate: Floats, place: Labels, resamples: int, seed: int) -> Floats:
    """Return how many labels 1 each bin has, in samples of labels drawn with these rates."""
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(int(place.max()) + 1))
    ones = np.empty((resamples, len(starts)))

    rng = np.random.default_rng(seed)
    drawn, is_one = np.empty(len(rate)), np.empty(len(rate), dtype=bool)
    for sample in ones:
        # in place and one at a time, so that all of it stays in the processor's cache
        np.less(rng.random(out=drawn), rate, out=is_one)
        sample[:] = np.add.reduceat(is_one[order], starts, dtype=np.int64)
    return ones


def _error_interval(
    labels: Labels, probabilities: Floats, resamples: int, seed: int
) -> tuple[float, float]:
    place = calibration.equal_count_bins(probabilities, 10)
    rows = len(labels)
    # a bin's gap times its share of rows; the absolute values add up to the error
    members = np.eye(int(place.max()) + 1)[place] / rows
    gaps = (probabilities - labels) @ members
    # a small bin may contain no 1: its variance is at least what the predictions imply
    observed = (labels @ members / members.sum(axis=0))[place]
    implied = probabilities * (1 - probabilities) > observed * (1 - observed)
    rate = np.where(implied, probabilities, observed)
    noise = rate @ members - _drawn_ones(rate, place, resamples, seed) / rows
    error = float(np.abs(gaps).sum())
    scales = np.linspace(0.0, 3.0, 121)
    would_be = np.abs(scales[:, None, None] * gaps + noise).sum(axis=2)
    low, high = np.quantile(would_be, [0.025, 0.975], axis=1)
    held = scales[(low <= error) & (error <= high)]
    if not len(held):  # the error is smaller than chance alone would make it
        return 0.0, error
    return min(float(held[0]), 1.0) * error, max(float(held[-1]), 1.0) * error
