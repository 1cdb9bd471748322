"""Disagreement between the candidates of one training: a sign of unfamiliar rows, without labels.

Models trained on the same rows agree where training rows were dense, and diverge where there were
none. Lakshminarayanan, Pritzel and Blundell, Simple and scalable predictive uncertainty estimation
using deep ensembles (2017), there for neural networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.platform.messages import Message
from core.stats.check import ADD_LABELS, Check, Limit
from core.stats.metrics import Floats

TITLE = Message("Disagreement among candidates")
# Ratio to the reference's disagreement; smaller ones do not matter in practice.
WARNING, ALERT = 1.25, 1.5
# Exceeded by one in a thousand windows of the reference's own rows (normal distribution).
_CHANCE = 3.090232
_Z = 1.959964


@dataclass(frozen=True)
class Disagreement:
    """How far candidates disagree on the same rows.

    Parameters
    ----------
    spread : float
        Mean, over the rows, of the standard deviation of their probabilities; 0 to 0.5.
    spread_of_rows : float
        Standard deviation, over the rows, of that standard deviation.
    labels_differ : float
        Share of rows on which their labels differ, each at its own threshold.
    """

    spread: float
    spread_of_rows: float
    labels_differ: float
    rows: int
    candidates: int


def measure(probabilities: Floats, thresholds: Sequence[float]) -> Disagreement:
    """Return how far candidates disagree.

    Parameters
    ----------
    probabilities : array of float, shape (rows, candidates)
        At least one row and one candidate.
    thresholds : sequence of float
        One per candidate.

    Examples
    --------
    >>> apart = measure(np.array([[0.4, 0.6], [0.7, 0.7]]), [0.5, 0.5])
    >>> round(apart.spread, 3), apart.labels_differ
    (0.05, 0.5)
    """
    apart = probabilities.std(axis=1)
    labels = probabilities >= np.asarray(thresholds)
    differ = labels.any(axis=1) & ~labels.all(axis=1)
    return Disagreement(
        float(apart.mean()), float(apart.std()), float(differ.mean()), *probabilities.shape
    )


def check(
    reference: Disagreement | None,
    current: Disagreement | None,
    limits: Mapping[str, Limit] | None = None,
) -> Check:
    """Judge the disagreement relative to the reference; the check's code is `disagreement`.

    The limit is 1.25 times the reference's for a warning and 1.5 times for an alert, or the value
    that only one in a thousand equally large windows of the reference's rows would exceed, if that
    is higher.

    Parameters
    ----------
    reference, current : Disagreement or None
        None if no candidates are available.
    limits : mapping of str to Limit, optional
        A limit under `disagreement` replaces these.

    Examples
    --------
    >>> old, new = Disagreement(0.05, 0.02, 0.2, 4000, 4), Disagreement(0.09, 0.02, 0.4, 900, 4)
    >>> check(old, new).verdict, check(old, old).verdict, check(None, None).verdict
    ('alert', 'ok', 'not_applicable')
    """
    if reference is None or current is None or min(reference.candidates, current.candidates) < 2:
        return Check(
            "disagreement",
            TITLE,
            "output",
            None,
            None,
            "",
            "not_applicable",
            Message("It needs at least two kinds of classifiers that can be loaded."),
        )
    chance = _CHANCE * reference.spread_of_rows * np.sqrt(1 / current.rows + 1 / reference.rows)
    warning, alert = (
        float(max(times * reference.spread, reference.spread + chance))
        for times in (WARNING, ALERT)
    )
    usual = Limit(warning_high=warning, alert_high=alert, source="learned")
    limit = (limits or {}).get("disagreement", usual)
    verdict = limit.judge(current.spread)
    half = _Z * current.spread_of_rows / np.sqrt(current.rows)
    text = Message(
        "The {candidates} candidates differ by {spread:.3f} in probability ({spread_before:.3f} on "
        "the reference) and in the predicted class of {share:.0%} of the rows "
        "({share_before:.0%}).",
        candidates=current.candidates,
        spread=current.spread,
        spread_before=reference.spread,
        share=current.labels_differ,
        share_before=reference.labels_differ,
    )
    return Check(
        "disagreement",
        TITLE,
        "output",
        current.spread,
        reference.spread,
        limit.words(),
        verdict,
        text,
        float(current.spread - half),
        float(current.spread + half),
        "" if verdict == "ok" else ADD_LABELS,
        warning_high=limit.warning_high,
        alert_high=limit.alert_high,
    )
