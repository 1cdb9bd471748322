"""How well probabilities foretell labels. Log loss is always of probabilities, never of labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# What a metric is called on a page.
TITLES = {
    "log_loss": "Log loss",
    "skill": "Skill over base rate",
    "roc_auc": "ROC AUC",
    "brier_score": "Brier score",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy",
}


def classification(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    """Return the figures of a probability forecast of 0/1 labels.

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
        brier_score, f1, precision, recall, accuracy, base_rate, mean_probability. With labels of
        one class only, skill and roc_auc do not exist and are left out.

    Examples
    --------
    >>> found = classification(np.array([0, 1, 1, 0]), np.array([0.2, 0.8, 0.6, 0.4]), 0.5)
    >>> round(found["log_loss"], 4), found["f1"], found["roc_auc"]
    (0.367, 1.0, 1.0)
    """
    from sklearn import metrics

    predicted = (probabilities >= threshold).astype(np.int64)
    base_rate = float(labels.mean())
    loss = float(metrics.log_loss(labels, probabilities, labels=[0, 1]))
    found = {
        "log_loss": loss,
        "brier_score": float(np.mean((probabilities - labels) ** 2)),
        "f1": float(metrics.f1_score(labels, predicted, zero_division=0)),
        "precision": float(metrics.precision_score(labels, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(labels, predicted, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "base_rate": base_rate,
        "mean_probability": float(probabilities.mean()),
    }
    if 0.0 < base_rate < 1.0:
        found["skill"] = 1.0 - loss / base_rate_log_loss(base_rate)
        found["roc_auc"] = float(metrics.roc_auc_score(labels, probabilities))
    return found


def intervals(
    labels: Labels, probabilities: Floats, threshold: float, *, resamples: int = 200, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95% bootstrap interval of the figures that a verdict hangs on.

    Rows are drawn with replacement, the 2.5% and 97.5% quantiles of the figures are the interval
    (Efron, Bootstrap methods, 1979). Resamples of one class are passed over.

    Returns
    -------
    dict of str to (low, high)
        log_loss, skill, roc_auc, f1 and calibration (mean forecast minus observed share).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(size=2000)
    >>> low, high = intervals((rng.uniform(size=2000) < p).astype(int), p, 0.5)["roc_auc"]
    >>> low < 5 / 6 < high  # the true value for uniform probabilities
    True
    """
    from scipy.stats import rankdata

    if not len(labels):
        return {}
    rng = np.random.default_rng(seed)
    losses = _losses(labels, probabilities)
    predicted = probabilities >= threshold
    found = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(labels), len(labels))
        label, positive = labels[drawn], predicted[drawn]
        ones = int(label.sum())
        if not 0 < ones < len(label):
            continue
        share, loss = ones / len(label), float(losses[drawn].mean())
        ranks = rankdata(probabilities[drawn])
        above = ranks[label == 1].sum() - ones * (ones + 1) / 2
        hits = int((positive & (label == 1)).sum())
        found.append(
            (
                loss,
                1 - loss / base_rate_log_loss(share),
                above / (ones * (len(label) - ones)),
                2 * hits / (int(positive.sum()) + ones),
                float(probabilities[drawn].mean()) - share,
            )
        )
    if not found:
        return {}
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    names = ("log_loss", "skill", "roc_auc", "f1", "calibration")
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _losses(labels: Labels, probabilities: Floats) -> Floats:
    # clipped as scikit-learn clips, so that a sure mistake stays finite
    tiny = np.finfo(np.float64).eps
    sure = np.clip(np.where(labels == 1, probabilities, 1 - probabilities), tiny, 1 - tiny)
    return np.asarray(-np.log(sure), dtype=np.float64)


def base_rate_log_loss(base_rate: float) -> float:
    """Return the log loss, in nats, of always forecasting the base rate.

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


def roc_points(labels: Labels, probabilities: Floats, points: int = 200) -> pd.DataFrame:
    """Return the ROC curve thinned to at most `points` rows: columns `fpr`, `tpr`, `threshold`.

    Examples
    --------
    >>> roc_points(np.array([0, 1]), np.array([0.2, 0.8]))["tpr"].tolist()
    [0.0, 1.0, 1.0]
    """
    from sklearn.metrics import roc_curve

    fpr, tpr, threshold = roc_curve(labels, probabilities)
    keep = np.unique(np.linspace(0, len(fpr) - 1, min(points, len(fpr))).astype(int))
    # roc_curve's first threshold is infinite: "nothing is labelled 1"
    shown = np.minimum(threshold[keep], 1.0)
    return pd.DataFrame({"fpr": fpr[keep], "tpr": tpr[keep], "threshold": shown})


def calibration_bins(labels: Labels, probabilities: Floats, bins: int = 10) -> pd.DataFrame:
    """Compare mean forecast with observed share in bins of equal size.

    Parameters
    ----------
    bins : int
        At most this many; equal probabilities stay in one bin.

    Returns
    -------
    DataFrame
        Columns `mean_predicted`, `observed`, `rows`.

    Examples
    --------
    >>> calibration_bins(np.array([0, 1, 1, 1]), np.array([0.1, 0.1, 0.9, 0.9]), bins=2)
       mean_predicted  observed  rows
    0             0.1       0.5     2
    1             0.9       1.0     2
    """
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, bins + 1)))
    place = np.searchsorted(edges[1:-1], probabilities, side="right")
    frame = pd.DataFrame({"bin": place, "predicted": probabilities, "label": labels})
    table = frame.groupby("bin").agg(
        mean_predicted=("predicted", "mean"), observed=("label", "mean"), rows=("label", "size")
    )
    return table.reset_index(drop=True)
