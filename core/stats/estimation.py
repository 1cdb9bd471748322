"""Performance estimates on rows without labels, from the model's own probabilities (CBPE).

Confidence-based performance estimation: a calibrated probability says how often the label is 1, and
so how often the model is right. Kivimäki, Białek, Kuberski and Nurminen, Performance Estimation in
Binary Classification Using Calibrated Confidence (2025); NannyML's documentation, "How it works:
performance estimation". It is valid only while the probabilities are calibrated on these rows:
where the model was tested, and as long as the relation of features and label is unchanged. It
cannot detect concept drift.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.platform.messages import Message, Words
from core.stats import metrics
from core.stats.check import ADD_LABELS, Check, Limit, one_sentence, threshold_fact
from core.stats.metrics import Floats, Labels

TITLES = {
    f"estimated_{code}": Message("{metric}, estimated without labels", metric=metrics.TITLES[code])
    for code in ("log_loss", "roc_auc", "f1")
}
# An estimate further than this from the reference's actual value is not used.
POOR_LOG_LOSS, POOR_SHARE = 0.02, 0.02
_Z = 1.959964


def cbpe(probabilities: Floats, threshold: float) -> dict[str, float]:
    """Return the expected metrics if the probabilities are calibrated.

    A row of probability p that is labelled 1 counts as p true and 1 - p false positives; labelled
    0, as p false and 1 - p true negatives. Rates follow from the sums, the ROC curve from the sums
    at each threshold. Log loss and Brier score are expected values: the mean of -p ln p - (1 - p)
    ln(1 - p), and of p (1 - p).

    Parameters
    ----------
    probabilities : array of float
        Calibrated probability of 1; at least one.
    threshold : float
        Probability from which a row is labelled 1.

    Returns
    -------
    dict of str to float
        log_loss (nats), brier_score, roc_auc (left out if all probabilities are 0, or all 1), f1,
        precision, recall, accuracy (as in `metrics.classification`, 0 if no row is labelled 1).

    Examples
    --------
    >>> expected = cbpe(np.array([0.9, 0.8, 0.3, 0.2]), 0.5)
    >>> {name: round(value, 3) for name, value in expected.items()}
    {'log_loss': 0.484, 'brier_score': 0.155, 'f1': 0.81, 'precision': 0.85, 'recall': 0.773,
     'accuracy': 0.8, 'roc_auc': 0.828}
    """
    return {name: value for name, (value, _unused) in _figures(probabilities, threshold).items()}


def intervals(probabilities: Floats, threshold: float) -> dict[str, tuple[float, float]]:
    """Return the range of each metric in 95% of samples of labelled rows like these.

    Both rows and labels vary: the rows as sampled, the labels by their probabilities. The standard
    error comes from each row's influence (Hampel, The influence curve and its role in robust
    estimation, 1974); the interval is normal, clipped to the possible range. It does not cover
    miscalibrated probabilities.

    Examples
    --------
    >>> low, high = intervals(np.tile([0.2, 0.8], 500), 0.5)["accuracy"]
    >>> round(low, 3), round(high, 3)
    (0.775, 0.825)
    """
    most = {"log_loss": np.inf}
    return {
        name: (max(value - _Z * error, 0.0), min(value + _Z * error, most.get(name, 1.0)))
        for name, (value, error) in _figures(probabilities, threshold).items()
    }


def checks(
    reference_labels: Labels,
    reference_probabilities: Floats,
    current_probabilities: Floats,
    threshold: float,
    reason: Words | None = None,
    limits: Mapping[str, Limit] | None = None,
    *,
    positive: Words = "1",
) -> list[Check]:
    """Compare the estimates on the current rows with those on the reference.

    Each is judged by the better end of its interval, like a performance check. The limit of log
    loss follows the base rate implied by the probabilities, so that a lower base rate alone does
    not appear as an improvement: half of the reference's skill left is a warning, a quarter an
    alert. For the ROC AUC's lead over 0.5 the limits are 80% and 50% of the reference's; for F1,
    90% and 50%.

    Parameters
    ----------
    reference_labels, reference_probabilities : array
        Of the rows that the model was tested on.
    reason : Message or str, optional
        Why nothing can be estimated, from `support_checks.is_outside`.
    limits : mapping of str to Limit, optional
        By code, replacing these; they apply to the value itself.
    positive : str or Message
        What the positive class is called.

    Returns
    -------
    list of Check
        estimated_log_loss, estimated_roc_auc, estimated_f1. Not applicable, with the reason and no
        value, if `reason` is given, there are no rows, or the estimate fails on the reference
        itself.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.2, 0.8, 2000)
    >>> labels = (rng.uniform(size=2000) < p).astype(int)
    >>> [(check.code, check.verdict) for check in checks(labels, p, np.full(500, 0.5), 0.5)]
    [('estimated_log_loss', 'alert'), ('estimated_roc_auc', 'alert'), ('estimated_f1', 'ok')]
    >>> str(checks(labels, p, p, 0.5, "the rows are of another kind")[0].text)
    'the rows are of another kind'
    """
    if reason is None and not len(current_probabilities):
        reason = Message("The data has no rows.")
    reason = reason or why_not(reference_labels, reference_probabilities)
    old = cbpe(reference_probabilities, threshold) if len(reference_probabilities) else {}
    if reason is not None:
        return [
            Check(
                code,
                title,
                "output",
                None,
                old.get(code.removeprefix("estimated_")),
                "",
                "not_applicable",
                reason,
                todo=ADD_LABELS,
            )
            for code, title in TITLES.items()
        ]
    new, between = (
        cbpe(current_probabilities, threshold),
        intervals(current_probabilities, threshold),
    )
    given = limits or {}
    return [
        _log_loss(reference_probabilities, current_probabilities, old, new, between, given),
        _roc_auc(old, new, between, given),
        _f1(old, new, between, given, positive),
    ]


def why_not(labels: Labels, probabilities: Floats) -> Message | None:
    """Return why a model's probabilities cannot be used for estimation; None if they can.

    They cannot if, on labelled rows, the estimate misses the actual log loss by more than 2%, or
    the share of label 1 by more than 2 points, and by more than chance explains.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.2, 0.8, 2000)
    >>> labels = (rng.uniform(size=2000) < p).astype(int)
    >>> why_not(labels, p) is None
    True
    >>> str(why_not(labels, np.where(p < 0.5, 0.01, 0.99)))
    'The probabilities are not calibrated on the reference (Log loss: 0.056 estimated, 1.671
    observed).'
    """
    if not len(labels):
        return Message("There are no labels.")
    came_out = float(metrics.log_losses(labels, probabilities).mean())
    estimate, error = _figures(probabilities, 0.5)["log_loss"]
    if abs(estimate - came_out) > max(POOR_LOG_LOSS * came_out, 2 * _Z * error):
        return _off(metrics.TITLES["log_loss"], estimate, came_out)
    share, forecast = float(labels.mean()), float(probabilities.mean())
    chance = float(np.sqrt(np.mean(probabilities * (1 - probabilities)) / len(labels)))
    if abs(share - forecast) > max(POOR_SHARE, 2 * _Z * chance):
        return _off(Message("Base rate"), forecast, share)
    return None


def _off(metric: Words, estimated: float, observed: float) -> Message:
    return Message(
        "The probabilities are not calibrated on the reference ({metric}: {estimated:.3f} "
        "estimated, {observed:.3f} observed).",
        metric=metric,
        estimated=estimated,
        observed=observed,
    )


def _figures(probabilities: Floats, threshold: float) -> dict[str, tuple[float, float]]:
    """Return each metric with its standard error, from a row's influence under either label."""
    p = np.asarray(probabilities, dtype=np.float64)
    positive = (p >= threshold).astype(np.float64)
    share, labelled, hits = p.mean(), positive.mean(), (positive * p).mean()
    ones, zeros = metrics.log_losses(np.ones_like(p), p), metrics.log_losses(np.zeros_like(p), p)
    loss = float(np.mean(p * ones + (1 - p) * zeros))
    brier = float(np.mean(p * (1 - p)))
    right = float(np.mean(positive * p + (1 - positive) * (1 - p)))
    f1, precision, recall = (
        float(part / whole) if whole > 0 else 0.0
        for part, whole in ((2 * hits, labelled + share), (hits, labelled), (hits, share))
    )
    figures = {
        "log_loss": (loss, _error(p, ones - loss, zeros - loss)),
        "brier_score": (brier, _error(p, (1 - p) ** 2 - brier, p**2 - brier)),
        "f1": (f1, _error(p, 2 * positive - f1 * (positive + 1), -f1 * positive, labelled + share)),
        "precision": (
            precision,
            _error(p, positive * (1 - precision), -positive * precision, labelled),
        ),
        "recall": (recall, _error(p, positive - recall, np.zeros_like(p), share)),
        "accuracy": (right, _error(p, positive - right, 1 - positive - right)),
    }
    if 0 < share < 1:
        figures["roc_auc"] = _expected_auc(p)
    return figures


def _error(p: Floats, if_one: Floats, if_zero: Floats, whole: float = 1.0) -> float:
    """Return the standard error of a mean from each row's influence under either label."""
    if whole <= 0:
        return 0.0
    return float(np.sqrt(np.mean(p * if_one**2 + (1 - p) * if_zero**2) / len(p)) / whole)


def _expected_auc(p: Floats) -> tuple[float, float]:
    """Return the area under the expected ROC curve, and its standard error.

    The area is the probability that a 1 ranks above a 0, where each row is a 1 with its own
    probability; ties count half (Mann and Whitney, 1947).
    """
    values, place = np.unique(p, return_inverse=True)
    ones = np.bincount(place, weights=p, minlength=len(values))
    zeros = np.bincount(place, weights=1 - p, minlength=len(values))
    of_ones, of_zeros = ones.sum(), zeros.sum()
    # for a 1: the share of zeros below it; for a 0: the share of ones above it
    below = (np.cumsum(zeros) - zeros / 2) / of_zeros
    above = 1 - (np.cumsum(ones) - ones / 2) / of_ones
    area = float((ones * below).sum() / of_ones)
    share = float(p.mean())
    error = _error(p, (below[place] - area) / share, (above[place] - area) / (1 - share))
    return area, error


def _log_loss(
    reference: Floats,
    current: Floats,
    old: Mapping[str, float],
    new: Mapping[str, float],
    between: Mapping[str, tuple[float, float]],
    limits: Mapping[str, Limit],
) -> Check:
    before = _skill(old["log_loss"], float(reference.mean()))
    base = _base(float(current.mean()))
    now = _skill(new["log_loss"], float(current.mean()))
    text = Message(
        "Always predicting the expected base rate ({rate:.1%}) gives {base:.4f}: an estimated "
        "skill of {now:.4f}, {before:.4f} on the reference.",
        rate=float(current.mean()),
        base=base,
        now=now,
        before=before,
    )
    return _check(
        "estimated_log_loss",
        old["log_loss"],
        new["log_loss"],
        between["log_loss"],
        limits,
        text,
        high=((1 - before / 2) * base, (1 - before / 4) * base),
    )


def _roc_auc(
    old: Mapping[str, float],
    new: Mapping[str, float],
    between: Mapping[str, tuple[float, float]],
    limits: Mapping[str, Limit],
) -> Check:
    if "roc_auc" not in old or "roc_auc" not in new:
        return Check(
            "estimated_roc_auc",
            TITLES["estimated_roc_auc"],
            "output",
            None,
            old.get("roc_auc"),
            "",
            "not_applicable",
            Message("All probabilities are 0, or all are 1."),
        )
    lead = old["roc_auc"] - 0.5
    text = Message(
        "{share:.0%} of its lead over chance (0.5) remains.",
        share=max(new["roc_auc"] - 0.5, 0.0) / lead if lead > 0 else 0.0,
    )
    return _check(
        "estimated_roc_auc",
        old["roc_auc"],
        new["roc_auc"],
        between["roc_auc"],
        limits,
        text,
        low=(0.5 + 0.8 * lead, 0.5 + 0.5 * lead),
    )


def _f1(
    old: Mapping[str, float],
    new: Mapping[str, float],
    between: Mapping[str, tuple[float, float]],
    limits: Mapping[str, Limit],
    positive: Words,
) -> Check:
    text = (
        one_sentence(threshold_fact("none_positive", positive))
        if new["precision"] == 0
        else Message(
            "Precision {precision:.2f} and recall {recall:.2f} are expected.",
            precision=new["precision"],
            recall=new["recall"],
        )
    )
    return _check(
        "estimated_f1",
        old["f1"],
        new["f1"],
        between["f1"],
        limits,
        text,
        low=(0.9 * old["f1"], 0.5 * old["f1"]),
    )


def _check(
    code: str,
    before: float,
    value: float,
    between: tuple[float, float],
    limits: Mapping[str, Limit],
    text: Message,
    *,
    low: tuple[float | None, float | None] = (None, None),
    high: tuple[float | None, float | None] = (None, None),
) -> Check:
    usual = Limit(low[0], high[0], low[1], high[1])
    limit = limits.get(code, usual)
    verdict = limit.judge(value, between if limit is usual else None)
    words = limit.words()
    todo = "" if verdict == "ok" else ADD_LABELS
    return Check(
        code,
        TITLES[code],
        "output",
        value,
        before,
        words,
        verdict,
        text,
        *between,
        todo,
        limit.warning_low,
        limit.warning_high,
        limit.alert_low,
        limit.alert_high,
    )


def _base(share: float) -> float:
    return metrics.base_rate_log_loss(share) if 0 < share < 1 else 0.0


def _skill(loss: float, share: float) -> float:
    base = _base(share)
    return 1 - loss / base if base else 0.0
