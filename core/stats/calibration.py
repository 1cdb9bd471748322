"""Calibration of predicted probabilities: bins, errors, and what chance alone gives."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.stats.check import Interval
from core.stats.metrics import Floats, Labels

# Draws of the labels held in memory at once; they fit into the processor's cache.
_AT_ONCE = 500_000


def equal_count_bins(values: Floats, bins: int) -> Labels:
    """Return the bin of each value: at most `bins`, 0 the lowest, with counts as equal as possible.

    Equal values share the bin of their middle rank. So a frequent value gets its own bin,
    which quantile edges do not guarantee: they would put 0 and 1 into one bin.

    Examples
    --------
    >>> equal_count_bins(np.array([5.0, 1.0, 2.0, 9.0]), 2)
    array([1, 0, 0, 1])
    >>> equal_count_bins(np.array([0.0, 0.0, 0.0, 1.0]), 2)
    array([0, 0, 0, 1])
    """
    middle = pd.Series(values).rank().to_numpy() - 0.5
    place = np.floor(middle * bins / max(len(values), 1))
    numbered: Labels = np.unique(place, return_inverse=True)[1].astype(np.int64)
    return numbered


def calibration_bins(
    labels: Labels, probabilities: Floats, bins: int = 10, weights: Floats | None = None
) -> pd.DataFrame:
    """Compare mean predicted probability with observed share in bins of equal count.

    Parameters
    ----------
    bins : int
        Maximum number; equal probabilities share a bin.
    weights : array of float, shape (n,), optional

    Returns
    -------
    DataFrame
        Columns `mean_predicted`, `observed`, `rows`; with weights the rows of equal weight that
        would say as much (Kish, Survey Sampling, 1965).

    Examples
    --------
    >>> calibration_bins(np.array([0, 1, 1, 1]), np.array([0.1, 0.1, 0.9, 0.9]), bins=2)
       mean_predicted  observed  rows
    0             0.1       0.5     2
    1             0.9       1.0     2
    """
    place = equal_count_bins(probabilities, bins)
    if weights is not None:
        totals, squares, predicted, observed = (
            np.bincount(place, weights=of)
            for of in (weights, weights**2, weights * probabilities, weights * labels)
        )
        return pd.DataFrame(
            {
                "mean_predicted": predicted / totals,
                "observed": observed / totals,
                "rows": np.maximum(totals**2 / squares, 1).round().astype(np.int64),
            }
        )
    frame = pd.DataFrame({"bin": place, "predicted": probabilities, "label": labels})
    table = frame.groupby("bin").agg(
        mean_predicted=("predicted", "mean"), observed=("label", "mean"), rows=("label", "size")
    )
    return table.reset_index(drop=True)


def calibration_error(
    labels: Labels, probabilities: Floats, bins: int = 10, weights: Floats | None = None
) -> float:
    """Return the expected calibration error: the mean absolute gap of `calibration_bins`.

    Bins are weighted by their rows (Naeini, Cooper and Hauskrecht, 2015, there with bins of equal
    width). Chance alone makes it positive: compare it with `calibration_floor`.

    Parameters
    ----------
    weights : array of float, shape (n,), optional

    Returns
    -------
    float
        0 to 1; NaN without rows.

    Examples
    --------
    >>> round(calibration_error(np.array([0, 1, 1, 1]), np.array([0.1, 0.1, 0.9, 0.9]), bins=2), 3)
    0.25
    """
    if not len(labels):
        return float("nan")
    # a bin's gap times its rows; without the table, since a bootstrap calls this hundreds of times
    place, gaps = equal_count_bins(probabilities, bins), probabilities - labels
    if weights is not None:
        return float(np.abs(np.bincount(place, weights=gaps * weights)).sum() / weights.sum())
    return float(np.abs(np.bincount(place, weights=gaps)).sum() / len(labels))


def calibration_floor(
    probabilities: Floats,
    bins: int = 10,
    resamples: int = 200,
    seed: int = 0,
    weights: Floats | None = None,
) -> tuple[float, float]:
    """Return the calibration error that a perfectly calibrated model would show by chance.

    Labels are drawn from the probabilities (Broecker and Smith, Increasing the reliability of
    reliability diagrams, 2007).

    Parameters
    ----------
    weights : array of float, shape (n,), optional

    Returns
    -------
    (mean, q95) : tuple of float
        Mean and 95% quantile; an error above the latter is significant. NaN without rows.

    Examples
    --------
    >>> p = np.random.default_rng(0).uniform(size=1000)
    >>> mean, q95 = calibration_floor(p)
    >>> 0.02 < mean < q95 < 0.06
    True
    """
    rows = len(probabilities)
    if not rows:
        return float("nan"), float("nan")
    place = equal_count_bins(probabilities, bins)
    members = np.eye(int(place.max()) + 1)[place] / rows
    if weights is not None:
        members *= (weights / weights.mean())[:, None]
    rng = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // rows)
    errors = []
    for first in range(0, resamples, step):
        chance = rng.random((min(step, resamples - first), rows))
        gaps = (probabilities - (chance < probabilities)) @ members
        errors.append(np.abs(gaps).sum(axis=1))
    drawn = np.concatenate(errors)
    return float(drawn.mean()), float(np.quantile(drawn, 0.95))


def brier_parts(
    labels: Labels, probabilities: Floats, bins: int = 10, weights: Floats | None = None
) -> dict[str, float]:
    """Decompose the Brier score: reliability - resolution + uncertainty (Murphy, 1973).

    Murphy's terms add up to the score only if all probabilities in a bin are equal. Here they add
    up exactly: variance within bins and covariance with the labels count towards the resolution
    (Stephenson, Coelho and Jolliffe, Two extra components in the Brier score decomposition, 2008:
    the generalised resolution).

    Parameters
    ----------
    weights : array of float, shape (n,), optional

    Returns
    -------
    dict of str to float
        reliability (0 is perfect calibration), resolution (higher is better; can be slightly below
        0), uncertainty = base rate * (1 - base rate).

    Examples
    --------
    >>> labels, forecast = np.array([0, 1, 1, 1]), np.array([0.1, 0.1, 0.9, 0.9])
    >>> {name: round(part, 4) for name, part in brier_parts(labels, forecast, bins=2).items()}
    {'reliability': 0.085, 'resolution': 0.0625, 'uncertainty': 0.1875}
    """
    place = equal_count_bins(probabilities, bins)
    rows = np.bincount(place, weights)
    forecast, observed = (
        np.bincount(place, weights=side if weights is None else side * weights) / rows
        for side in (probabilities, labels)
    )
    base_rate = float(np.average(labels, weights=weights))
    share = rows / rows.sum()
    within = probabilities - forecast[place]
    resolution = (
        np.sum(share * (observed - base_rate) ** 2)
        - np.average(within**2, weights=weights)
        + 2 * np.average(within * (labels - observed[place]), weights=weights)
    )
    return {
        "reliability": float(np.sum(share * (forecast - observed) ** 2)),
        "resolution": float(resolution),
        "uncertainty": base_rate * (1 - base_rate),
    }


def calibration_change(
    labels: Labels,
    challenger: Floats,
    champion: Floats,
    *,
    weights: Floats | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Return challenger minus champion of the calibration error, and its 95% interval.

    The same rows are drawn for both, with replacement (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993). This is the spread of the observed difference, not a confidence interval of
    the true one: chance inflates a small error more than a large one, so that differences below the
    effect of chance on one error are understated (docs/decisions/0038), and a challenger passes
    rather than being held.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1; at least one row.
    challenger, champion : array of float, shape (n,)
        Their predicted probabilities of label 1.
    weights : array of float, shape (n,), optional

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.1, 0.7, 2000)
    >>> y = (rng.uniform(size=2000) < p).astype(int)
    >>> change, (low, high) = calibration_change(y, p + 0.1, p)
    >>> 0 < low < change < high < 0.12
    True
    """
    rng = np.random.default_rng(seed)
    changes = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(0, len(labels), len(labels))
        new, old = (
            calibration_error(
                labels[drawn],
                probabilities[drawn],
                weights=None if weights is None else weights[drawn],
            )
            for probabilities in (challenger, champion)
        )
        changes[i] = new - old
    low, high = np.quantile(changes, [0.025, 0.975])
    whole, before = (
        calibration_error(labels, probabilities, weights=weights)
        for probabilities in (challenger, champion)
    )
    return whole - before, (float(low), float(high))
