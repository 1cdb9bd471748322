"""Curves over all thresholds, and the confusion matrix of one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.stats.metrics import Floats, Labels


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
