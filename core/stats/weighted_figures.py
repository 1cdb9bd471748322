"""Metrics of rows with or without sampling weights, and their 95% intervals."""

from __future__ import annotations

import numpy as np

from core.stats import figure_intervals, metrics
from core.stats.metrics import Floats, Labels


def figures(
    labels: Labels, probabilities: Floats, threshold: float, weights: Floats | None = None
) -> dict[str, float]:
    """Return the metrics as `metrics.classification` does, each row by its weight.

    Parameters
    ----------
    weights : array of float, shape (n,), optional
        Positive; without them each row counts once.

    Examples
    --------
    >>> labels, forecasts = np.array([0, 1, 1]), np.array([0.2, 0.8, 0.4])
    >>> twice = figures(labels, forecasts, 0.5, np.array([1.0, 1.0, 2.0]))
    >>> again = metrics.classification(labels[[0, 1, 2, 2]], forecasts[[0, 1, 2, 2]], 0.5)
    >>> all(abs(twice[name] - value) < 1e-12 for name, value in again.items())
    True
    """
    if weights is None:
        return metrics.classification(labels, probabilities, threshold)
    table = metrics.weighted(weights[None], labels, probabilities, threshold)
    measured = table.drop(columns="calibration").iloc[0].dropna().to_dict()
    total = weights.sum()
    return {
        **{str(name): float(value) for name, value in measured.items()},
        "mean_probability": float(weights @ probabilities / total),
        "positive_rate": float(weights @ (probabilities >= threshold) / total),
    }


def intervals(
    labels: Labels,
    probabilities: Floats,
    threshold: float,
    weights: Floats | None = None,
    *,
    resamples: int = 400,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return the 95% interval of each metric.

    With weights they are quantiles over resampled rows, each by its weight, and empty without rows
    of both classes; without, see `figure_intervals.of`.
    """
    if weights is None:
        return figure_intervals.of(labels, probabilities, threshold, seed=seed)
    if len(np.unique(labels)) < 2:
        return {}
    drawn = [
        metrics.weighted(counts * weights, labels, probabilities, threshold)
        for counts in metrics.draws(len(labels), resamples, seed)
    ]
    names = [*metrics.TITLES, "calibration"]
    values = np.concatenate([part[names].to_numpy() for part in drawn])
    low, high = np.nanquantile(values, [0.025, 0.975], axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}
