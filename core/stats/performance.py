"""Performance checks on labelled current rows against the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.platform.messages import Message, Words, plural, sentences
from core.stats.check import (
    ADD_LABELS,
    ONE_CLASS,
    Check,
    Interval,
    Limit,
    one_sentence,
    threshold_fact,
)
from core.stats.metrics import TITLES, base_rate_log_loss
from core.stats.slices import shown

# With fewer labels the standard error of a rate is above 5 points.
MIN_LABELS = 100
# Base rates further apart than this make log losses incomparable.
BASE_RATE_SHIFT = 0.05
# Slices with fewer labels are not judged; at most this many are reported.
MIN_SLICE, WORST_SLICES = 100, 3
# A change of a slice's gap beyond this, and beyond chance, is a warning.
_SLICE_CHANGE = 0.05
NAMES: dict[str, Message] = {
    "log_loss": TITLES["log_loss"],
    "skill": TITLES["skill"],
    "skill_reference_rate": Message("Skill over the reference's base rate"),
    "roc_auc": TITLES["roc_auc"],
    "brier_score": TITLES["brier_score"],
    "calibration": Message("Calibration in the large"),
    "calibration_error": Message("Calibration error"),
    "f1": TITLES["f1"],
    "precision": TITLES["precision"],
    "recall": TITLES["recall"],
}
QUICK = ("log_loss", "skill", "roc_auc", "calibration", "f1")
# a change caused by the base rate, not by the model
_OF_BASE_RATE = ("log_loss", "brier_score")
_NO_LIMIT = Message("The reference itself has none: nothing to compare with.")


def performance(
    reference: Mapping[str, float],
    current: Mapping[str, float] | None,
    labels: int,
    intervals: Mapping[str, Interval] | None = None,
    limits: Mapping[str, Limit] | None = None,
    *,
    positive: Words = "1",
) -> list[Check]:
    """Compare the metrics of labelled current rows with those of the reference.

    What to do about them is the verdict's to say: advice for each would contradict the others.

    Learned limits (`core.stats.limits.learn`) or limits set by a person already allow for chance
    and apply to the metric itself. Without them the usual limits apply to the better end of the
    metric's interval. Either way chance alone raises no warning, however few the rows.

    Parameters
    ----------
    reference, current : mapping
        As `metrics.classification` returns them, optionally with `calibration_error`; `current` is
        None without labels.
    labels : int
        Labelled current rows.
    intervals : mapping of str to (low, high), optional
        As `figure_intervals.of` returns them.
    limits : mapping of str to Limit, optional
        By code; with them all checks run, without them the five of QUICK.
    positive : str or Message
        What the positive class is called.

    Returns
    -------
    list of Check
        log_loss, skill, roc_auc, calibration, f1; with limits, those of NAMES whose metrics exist.

    Examples
    --------
    >>> old = {"log_loss": 0.678, "skill": 0.020, "roc_auc": 0.595, "f1": 0.513,
    ...        "base_rate": 0.477, "mean_probability": 0.478}
    >>> new = {"log_loss": 0.629, "skill": 0.007, "roc_auc": 0.539, "f1": 0.0,
    ...        "base_rate": 0.329, "mean_probability": 0.36}
    >>> [(check.code, check.verdict) for check in performance(old, new, 5412)]
    [('log_loss', 'not_applicable'), ('skill', 'warning'), ('roc_auc', 'alert'),
     ('calibration', 'warning'), ('f1', 'alert')]
    """
    old = with_derived(reference, reference)
    codes = [code for code in (QUICK if limits is None else NAMES) if code in old]
    state = ""
    if current is None or labels < MIN_LABELS:
        state = "few_labels"
    elif "skill" not in current:
        state = "one_class"
    if state or current is None:
        reason = (
            plural(
                "Only {count:,} label; at least {needed} are needed.",
                "Only {count:,} labels; at least {needed} are needed.",
                labels,
                needed=MIN_LABELS,
            )
            if state == "few_labels"
            else ONE_CLASS
        )
        return [
            Check(
                code,
                NAMES[code],
                "performance",
                None,
                old.get(code),
                "",
                "not_applicable",
                reason,
                todo=ADD_LABELS,
                state=state,
            )
            for code in codes
        ]
    new = with_derived(current, reference)
    given, between, usual = limits or {}, intervals or {}, floors(old)
    best = new["skill"] if "skill" in given else between.get("skill", (0, new["skill"]))[1]
    worst = given["skill"].alert_low if "skill" in given else 0.0
    # no better than always predicting the base rate, unlike on the reference
    lost = worst is not None and (best < worst or best <= 0 == worst)
    hopeless = lost and old.get("skill", 0.0) > 0
    checks = [
        _check(
            code,
            old,
            new,
            given.get(code, usual.get(code)),
            between.get(code),
            hopeless,
            by_interval=code not in given,
        )
        for code in codes
        if code in new
    ]
    return _of_threshold(checks, threshold_state(new), positive)


def threshold_state(figures: Mapping[str, float]) -> str:
    """Return the code of a threshold that labels all rows the same; empty if it separates them.

    Examples
    --------
    >>> threshold_state({"positive_rate": 0.0}), threshold_state({"positive_rate": 0.2, "f1": 0.4})
    ('none_positive', '')
    """
    rate = figures.get("positive_rate")
    if rate is None:
        return ""
    if rate in (0.0, 1.0):
        return "all_positive" if rate else "none_positive"
    return "no_true_positive" if figures["f1"] == 0 else ""


def _of_threshold(checks: list[Check], state: str, positive: Words) -> list[Check]:
    """Return the checks; if the threshold does not separate the rows, only F1 is judged."""
    if not state:
        return checks
    text = one_sentence(threshold_fact(state, positive))
    described = []
    for check in checks:
        if check.code in ("precision", "recall"):
            check = replace(check, verdict="not_applicable", text=text, state=state)
        elif check.code == "f1":
            said = check.text if check.verdict == "ok" else text
            check = replace(check, text=said, state=state)
        described.append(check)
    return described


def with_derived(figures: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics with derived ones added: calibration, skill_reference_rate.

    Examples
    --------
    >>> figures = {"log_loss": 0.6, "base_rate": 0.3, "mean_probability": 0.35}
    >>> derived = with_derived(figures, {"base_rate": 0.5})
    >>> round(derived["calibration"], 3), round(derived["skill_reference_rate"], 3)
    (0.05, 0.134)
    """
    derived = dict(figures)
    if "base_rate" not in derived:
        return derived
    derived["calibration"] = derived["mean_probability"] - derived["base_rate"]
    rate, known = derived["base_rate"], reference["base_rate"]
    if 0 < known < 1 and "log_loss" in derived:
        of_reference = -rate * np.log(known) - (1 - rate) * np.log(1 - known)
        derived["skill_reference_rate"] = float(1 - derived["log_loss"] / of_reference)
    return derived


def floors(reference: Mapping[str, float]) -> dict[str, Limit]:
    """Return the usual limits of each metric: the differences that matter in practice.

    Warning and alert: skill at half of the reference's and at 0; the ROC AUC's lead over 0.5 at 80%
    and 50%; F1, precision and recall at 90% and 50%; log loss and Brier score 2% and 5% higher;
    calibration off by 0.02 and 0.05; calibration error 0.02 and 0.05 higher. A metric that is zero
    on the reference (no skill, no lead, F1 of 0) has no limit.

    Examples
    --------
    >>> floors({"skill": 0.02, "roc_auc": 0.6})["roc_auc"]
    Limit(warning_low=0.58, warning_high=None, alert_low=0.55, alert_high=None, source='fixed')
    """
    limits = {"calibration": Limit(-0.02, 0.02, -0.05, 0.05)}
    for code in ("skill", "skill_reference_rate"):
        if reference.get(code, 0) > 0:
            limits[code] = Limit(warning_low=reference[code] / 2, alert_low=0.0)
    if (lead := reference.get("roc_auc", 0) - 0.5) > 0:
        limits["roc_auc"] = Limit(warning_low=0.5 + 0.8 * lead, alert_low=0.5 + 0.5 * lead)
    for code in ("f1", "precision", "recall"):
        if reference.get(code, 0) > 0:
            value = reference[code]
            limits[code] = Limit(warning_low=0.9 * value, alert_low=0.5 * value)
    for code in _OF_BASE_RATE:
        if code in reference:
            value = reference[code]
            limits[code] = Limit(warning_high=1.02 * value, alert_high=1.05 * value)
    if "calibration_error" in reference:
        value = reference["calibration_error"]
        limits["calibration_error"] = Limit(warning_high=value + 0.02, alert_high=value + 0.05)
    return limits


def slices(current: pd.DataFrame, reference: pd.DataFrame) -> list[Check]:
    """Return the slices in which calibration got worse, worst first; at most three.

    A slice is judged by how far its gap (mean prediction minus observed share) differs from the
    reference's, if it has one: a model that was always wrong there has not changed. The intervals
    of both hold for all slices together (`slices.by_slice`), and the better end of the difference
    counts.

    Parameters
    ----------
    current, reference : DataFrame
        As `slices.by_slice` returns them.

    Returns
    -------
    list of Check
        `slice.<column>=<value>`, warnings only, since many slices are tested. May be empty.

    Examples
    --------
    >>> names = ["column", "value", "rows", "gap", "low", "high"]
    >>> old = pd.DataFrame([("kind", "a", 900, 0.0, -0.03, 0.03)], columns=names)
    >>> new = pd.DataFrame([("kind", "a", 900, 0.2, 0.16, 0.24)], columns=names)
    >>> [(check.code, check.verdict) for check in slices(new, old)]
    [('slice.kind=a', 'warning')]
    """
    old_rows = {(row["column"], row["value"]): row for row in reference.to_dict("records")}
    known = {key: row for key, row in old_rows.items() if row["rows"] >= MIN_SLICE}
    checks = []
    for row in current.to_dict("records"):
        if row["rows"] < MIN_SLICE or pd.isna(row["low"]):
            continue
        name = f"{row['column']}={row['value']}"
        before = known.get((row["column"], row["value"]))
        gap, low = float(row["gap"]), float(row["low"])
        usual = float(before["gap"]) if before else 0.0
        reach = np.hypot(gap - low, usual - float(before["low"]) if before else 0.0)
        if abs(gap - usual) - reach <= _SLICE_CHANGE:
            continue
        few = int(old_rows.get((row["column"], row["value"]), {"rows": 0})["rows"])
        text = Message(
            "Mean predicted minus observed {gap:+.1%} on {rows:,} labels ({few:,} in the "
            "reference).",
            gap=gap,
            rows=int(row["rows"]),
            few=few,
        )
        checks.append(
            Check(
                f"slice.{name}",
                Message("{name}: {value}", name=row["column"], value=shown(row["value"])),
                "performance",
                gap,
                usual if before else None,
                Limit(warning_high=_SLICE_CHANGE, source="learned").words(),
                "warning",
                text,
                low,
                float(row["high"]),
                ADD_LABELS,
            )
        )
    return sorted(checks, key=lambda check: -abs((check.value or 0) - (check.reference or 0)))[
        :WORST_SLICES
    ]


def _check(
    code: str,
    old: Mapping[str, float],
    new: Mapping[str, float],
    limit: Limit | None,
    interval: Interval | None,
    hopeless: bool,
    *,
    by_interval: bool,
) -> Check:
    value, before = new[code], old.get(code)
    low, high = interval or (None, None)
    if limit is None:
        return Check(
            code,
            NAMES[code],
            "performance",
            value,
            before,
            "",
            "not_applicable",
            _NO_LIMIT,
            low,
            high,
        )
    verdict = limit.judge(value, interval if by_interval else None)
    if code in _OF_BASE_RATE:
        if code == "log_loss" and hopeless:
            verdict = "alert"
        elif abs(new["base_rate"] - old["base_rate"]) > BASE_RATE_SHIFT:
            verdict = "not_applicable"
        elif by_interval and verdict == "alert":
            verdict = "warning"
    is_lower = code in _OF_BASE_RATE and verdict == "not_applicable" and value < old[code]
    return Check(
        code,
        NAMES[code],
        "performance",
        value,
        before,
        limit.words(),
        verdict,
        _text(code, verdict, old, new),
        low,
        high,
        state="lower_by_base_rate" if is_lower else "",
        warning_low=limit.warning_low,
        warning_high=limit.warning_high,
        alert_low=limit.alert_low,
        alert_high=limit.alert_high,
    )


def _text(code: str, verdict: str, old: Mapping[str, float], new: Mapping[str, float]) -> Message:
    value, before = new[code], old[code]
    if code in _OF_BASE_RATE:
        return _of_base_rate(code, verdict, old, new)
    if code in ("skill", "skill_reference_rate"):
        rates = new if code == "skill" else old
        return Message(
            "0 is always predicting {base_rate:.1%}, 1 is perfect.", base_rate=rates["base_rate"]
        )
    if code == "roc_auc":
        left = (value - 0.5) / (before - 0.5) if before > 0.5 else 0.0
        return Message("{share:.0%} of its lead over chance (0.5) remains.", share=max(left, 0.0))
    if code == "calibration":
        return Message(
            "Mean predicted {predicted:.1%}, observed {observed:.1%}.",
            predicted=new["mean_probability"],
            observed=new["base_rate"],
        )
    if code == "calibration_error":
        return Message(
            "Predicted probabilities are {value:.1%} off on average, bin by bin; {before:.1%} "
            "before.",
            value=value,
            before=before,
        )
    if not before:
        return _NO_LIMIT
    return Message("{share:.0%} of the reference.", share=value / before)


def _of_base_rate(
    code: str, verdict: str, old: Mapping[str, float], new: Mapping[str, float]
) -> Message:
    """Return what log loss or Brier score mean given the change of the base rate."""
    rate, before = new["base_rate"], old["base_rate"]
    alone = base_rate_log_loss(rate) if code == "log_loss" else rate * (1 - rate)
    of_base_rate = Message("Always predicting the base rate gives {alone:.4f}.", alone=alone)
    if verdict != "not_applicable":
        return of_base_rate
    rates: dict[str, Any] = {"before": before, "rate": rate}
    if new[code] >= old[code]:
        return Message(
            "Not comparable: the base rate changed from {before:.1%} to {rate:.1%}. Compare the "
            "skill.",
            **rates,
        )
    change = Message(
        "{metric} is lower, but that is not an improvement: the base rate changed from "
        "{before:.1%} to {rate:.1%}.",
        metric=NAMES[code],
        **rates,
    )
    return sentences(change, of_base_rate)
