"""Metrics of probability predictions of 0/1 labels, with their curves and calibration."""

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

    predicted = (probabilities >= threshold).astype(np.int64)
    base_rate = float(labels.mean())
    loss = float(metrics.log_loss(labels, probabilities, labels=[0, 1]))
    figures = {
        "log_loss": loss,
        "brier_score": float(np.mean((probabilities - labels) ** 2)),
        "f1": float(metrics.f1_score(labels, predicted, zero_division=0)),
        "precision": float(metrics.precision_score(labels, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(labels, predicted, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "base_rate": base_rate,
        "mean_probability": float(probabilities.mean()),
        "positive_rate": float(predicted.mean()),
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
    sure = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), tiny, 1 - tiny)
    return np.asarray(-np.log(sure), dtype=np.float64)


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


def confusion(labels: Labels, probabilities: Floats, threshold: float) -> pd.DataFrame:
    """Count rows by actual and predicted label: columns `actual`, `predicted`, `rows`.

    Examples
    --------
    >>> confusion(np.array([0, 1, 1]), np.array([0.2, 0.8, 0.4]), 0.5)["rows"].tolist()
    [1, 0, 1, 1]
    """
    predicted = (probabilities >= threshold).astype(np.int64)
    cells = [(actual, label) for actual in (0, 1) for label in (0, 1)]
    rows = [int(((labels == actual) & (predicted == label)).sum()) for actual, label in cells]
    return pd.DataFrame(cells, columns=["actual", "predicted"]).assign(rows=rows)


def roc_points(
    labels: Labels, probabilities: Floats, points: int = 200, weights: Floats | None = None
) -> pd.DataFrame:
    """Return the ROC curve thinned to at most `points` rows: columns `fpr`, `tpr`, `threshold`.

    Examples
    --------
    >>> roc_points(np.array([0, 1]), np.array([0.2, 0.8]))["tpr"].tolist()
    [0.0, 1.0, 1.0]
    """
    from sklearn.metrics import roc_curve

    fpr, tpr, threshold = roc_curve(labels, probabilities, sample_weight=weights)
    keep = _thinned(len(fpr), points)
    # roc_curve's first threshold is infinite: "nothing is labelled 1"
    shown = np.minimum(threshold[keep], 1.0)
    return pd.DataFrame({"fpr": fpr[keep], "tpr": tpr[keep], "threshold": shown})


def pr_points(
    labels: Labels, probabilities: Floats, points: int = 200, weights: Floats | None = None
) -> pd.DataFrame:
    """Return the precision-recall curve thinned to at most `points` rows.

    Returns
    -------
    DataFrame
        Columns `recall`, `precision`, `threshold`, from the lowest threshold up; the last row, with
        no row labelled 1, has precision 1 by convention. Empty without a label 1, as recall is
        undefined.

    Examples
    --------
    >>> pr_points(np.array([0, 1]), np.array([0.2, 0.8]))["precision"].tolist()
    [0.5, 1.0, 1.0]
    """
    from sklearn.metrics import precision_recall_curve

    if not np.any(labels == 1):
        return pd.DataFrame({"recall": [], "precision": [], "threshold": []}, dtype=float)
    precision, recall, threshold = precision_recall_curve(
        labels, probabilities, sample_weight=weights
    )
    keep = _thinned(len(recall), points)
    shown = np.append(threshold, 1.0)[keep]
    return pd.DataFrame({"recall": recall[keep], "precision": precision[keep], "threshold": shown})


def gain_points(
    labels: Labels, probabilities: Floats, points: int = 200, weights: Floats | None = None
) -> pd.DataFrame:
    """Return the cumulative gains curve: the share of positives among the highest-ranked rows.

    Rows of equal probability form a single step.

    Returns
    -------
    DataFrame
        Columns `share_rows`, `share_found` (both 0 to 1), `threshold`; at most `points` rows. Empty
        without a label 1.

    Examples
    --------
    >>> gain_points(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.4]))["share_found"].tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    if not np.any(labels == 1):
        return pd.DataFrame({"share_rows": [], "share_found": [], "threshold": []}, dtype=float)
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    last = np.flatnonzero(np.diff(ranked, append=-np.inf) < 0)
    positives, rows = np.cumsum(labels[order])[last], last + 1
    if weights is not None:
        ranked_weights = weights[order]
        positives = np.cumsum(labels[order] * ranked_weights)[last]
        rows = np.cumsum(ranked_weights)[last]
    keep = _thinned(len(last) + 1, points)
    return pd.DataFrame(
        {
            "share_rows": np.append(0.0, rows / rows[-1])[keep],
            "share_found": np.append(0.0, positives / positives[-1])[keep],
            "threshold": np.append(1.0, ranked[last])[keep],
        }
    )


def _thinned(length: int, points: int) -> Labels:
    return np.unique(np.linspace(0, length - 1, min(points, length)).astype(np.int64))


def equal_count_bins(values: Floats, bins: int) -> Labels:
    """Return the bin of each value: at most `bins`, 0 the lowest, with counts as equal as possible.

    Equal values share the bin of their middle rank. So a frequent value gets a bin of its own,
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
        Sampling weight of each row.

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
        Sampling weight of each row.

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
        Sampling weight of each row.

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
        Sampling weight of each row.

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
