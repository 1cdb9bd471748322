"""How to choose a classification threshold, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message, sentences
from core.stats.check import ONE_CLASS, one_sentence, threshold_fact

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Counts = Labels | Floats
Aim = Literal["f1", "cost", "balanced"]
AIM_LABELS: dict[str, Message] = {
    "f1": Message("Highest F1"),
    "cost": Message("Lowest cost per row"),
    "balanced": Message("Highest sensitivity + specificity - 1"),
}

# Values closer than this are equal: sums of the same terms differ by rounding.
_TIE = 1e-12


@dataclass(frozen=True)
class Choice:
    """A threshold and its value on the rows it was chosen on.

    Parameters
    ----------
    threshold : float
        Rows of this probability or more are labelled 1; 0 to 1.
    value : float
        F1, cost per row, or sensitivity + specificity - 1; NaN if nothing could be chosen.
    text : Message
        What was chosen, and what that means.
    """

    threshold: float
    value: float
    text: Message


def choose(
    labels: Labels,
    probabilities: Floats,
    aim: Aim,
    cost_false_positive: float = 1.0,
    cost_false_negative: float = 1.0,
    weights: Floats | None = None,
) -> Choice:
    """Return the best threshold for an aim; ties go to the one nearest 0.5.

    Every threshold that labels these rows differently is tried, in O(n log n): each probability,
    0.5, and 1 if that labels no row 1. Choose on out-of-fold predictions; on the test set it would
    flatter the model.

    Parameters
    ----------
    labels : array of int, shape (n,)
        0 or 1. With one class or no rows the threshold stays at 0.5.
    probabilities : array of float, shape (n,)
        Probability of 1.
    aim : {"f1", "cost", "balanced"}
        The highest F1; the lowest expected cost per row; the highest sensitivity + specificity - 1
        (Youden, Index for rating diagnostic tests, 1950).
    cost_false_positive, cost_false_negative : float
        Of one mistake, in any unit; 0 or more. Only for "cost".
    weights : array of float, shape (n,), optional

    Examples
    --------
    >>> labels, forecast = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> choose(labels, forecast, "f1").threshold
    0.35
    >>> str(choose(labels, forecast, "cost", cost_false_positive=5.0).text)
    'Lowest cost per row: 0.2500, at 0.500. 25.0% of the rows are predicted 1.'
    """
    ones = int(np.sum(labels == 1))
    if not 0 < ones < len(labels):
        return Choice(0.5, float("nan"), ONE_CLASS)
    tried = _tried(probabilities)
    tp, fp, fn, tn = _counts(labels, probabilities, tried, weights)
    value = {
        "f1": 2 * tp / (2 * tp + fp + fn),
        "cost": (cost_false_positive * fp + cost_false_negative * fn) / len(labels),
        "balanced": tp / (tp + fn) + tn / (tn + fp) - 1,
    }[aim]
    behind = value - value.min() if aim == "cost" else value.max() - value
    good = np.flatnonzero(behind <= _TIE)
    place = good[np.argmin(np.abs(tried[good] - 0.5))]
    threshold = float(tried[place])
    share = float(tp[place] + fp[place]) / len(labels)
    return Choice(
        threshold, float(value[place]), _sentence(aim, float(value[place]), threshold, share)
    )


def trade_off(
    labels: Labels, probabilities: Floats, points: int = 101, weights: Floats | None = None
) -> pd.DataFrame:
    """Return the confusion counts and rates at `points` thresholds from 0 to 1.

    Parameters
    ----------
    weights : array of float, shape (n,), optional
        Sampling weight of each row; the counts then add up to the number of rows too.

    Returns
    -------
    DataFrame
        Columns `threshold`, `tp`, `fp`, `fn`, `tn` (rows), `precision`, `recall`, `specificity`,
        `f1`, `accuracy`, `balanced_accuracy` (mean of recall and specificity), `share_positive`
        (share labelled 1). Undefined rates are NaN: precision if no row is labelled 1, recall
        without a label 1, specificity without a label 0.

    Examples
    --------
    >>> table = trade_off(np.array([0, 1, 1]), np.array([0.2, 0.4, 0.8]), points=3)
    >>> table[["threshold", "tp", "fp", "fn", "tn"]].to_numpy().tolist()
    [[0.0, 2.0, 1.0, 0.0, 0.0], [0.5, 1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 2.0, 1.0]]
    """
    # rounded, so that 0.29 is the literal 0.29
    threshold = np.round(np.linspace(0.0, 1.0, points), 10)
    tp, fp, fn, tn = _counts(labels, probabilities, threshold, weights)
    recall, specificity = _share(tp, tp + fn), _share(tn, tn + fp)
    rows = tp + fp + fn + tn
    return pd.DataFrame(
        {
            "threshold": threshold,
            "tp": tp,
            "fp": fp,
            "fn": fn,
            "tn": tn,
            "precision": _share(tp, tp + fp),
            "recall": recall,
            "specificity": specificity,
            "f1": _share(2 * tp, 2 * tp + fp + fn),
            "accuracy": _share(tp + tn, rows),
            "balanced_accuracy": (recall + specificity) / 2,
            "share_positive": _share(tp + fp, rows),
        }
    )


def _tried(probabilities: Floats) -> Floats:
    tried = np.append(probabilities, 0.5)
    # above the highest probability, so that labelling no row 1 is tried too
    if tried.max() < 1:
        tried = np.append(tried, 1.0)
    distinct: Floats = np.unique(tried)
    return distinct


def _counts(
    labels: Labels, probabilities: Floats, thresholds: Floats, weights: Floats | None
) -> tuple[Counts, Counts, Counts, Counts]:
    """Return true positives, false positives, false negatives, true negatives per threshold."""
    if weights is not None:
        return _weighted_counts(labels, probabilities, thresholds, weights * (1 / weights.mean()))
    of_ones, of_zeros = (np.sort(probabilities[labels == label]) for label in (1, 0))
    fn, tn = (
        np.searchsorted(side, thresholds, side="left").astype(np.int64)
        for side in (of_ones, of_zeros)
    )
    return len(of_ones) - fn, len(of_zeros) - tn, fn, tn


def _weighted_counts(
    labels: Labels, probabilities: Floats, thresholds: Floats, weights: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    counts = []
    for label in (1, 0):
        side = labels == label
        order = np.argsort(probabilities[side], kind="stable")
        below = np.append(0.0, np.cumsum(weights[side][order]))
        place = np.searchsorted(probabilities[side][order], thresholds, side="left")
        counts += [below[-1] - below[place], below[place]]
    tp, fn, fp, tn = counts
    return tp, fp, fn, tn


def _share(part: Counts, whole: Counts) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return shares


def _sentence(aim: Aim, value: float, threshold: float, share: float) -> Message:
    reached = Message(
        "{aim}: {value:.4f}, at {threshold:.3f}.",
        aim=AIM_LABELS[aim],
        value=value,
        threshold=threshold,
    )
    if share == 0:
        positive = one_sentence(threshold_fact("none_positive"))
    elif share == 1:
        positive = one_sentence(threshold_fact("all_positive"))
    else:
        positive = Message("{share:.1%} of the rows are predicted 1.", share=share)
    if 0.05 < share < 0.95:
        return sentences(reached, positive)
    return sentences(
        reached,
        positive,
        Message("The model hardly separates the rows there: consider another criterion."),
    )
