"""Does the model still fit? Checks with a verdict each, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import pandas as pd

from core.logic.metrics import TITLES, base_rate_log_loss

Verdict = Literal["ok", "warning", "alert", "not_applicable"]
Interval = tuple[float, float]

# Fewer labels than this say nothing about a rate: its standard error is above 5 points.
MIN_LABELS = 100
# PSI: the reading usual since Siddiqi, Credit Risk Scorecards (2006).
PSI_WARNING, PSI_ALERT = 0.1, 0.2
# KS as a distance, not as a p-value: with thousands of rows any difference is significant.
KS_WARNING, KS_ALERT = 0.1, 0.2
# Base rates further apart than this make log losses incomparable (points of share).
BASE_RATE_SHIFT = 0.05


@dataclass(frozen=True)
class Check:
    """One question put to the current rows.

    Parameters
    ----------
    code : str
        Name that stays the same from report to report, e.g. `skill`, `psi.lat`.
    title : str
        The same for people.
    group : {"performance", "input", "output", "support", "split"}
        Performance checks need labels, the others do not: input checks look at the columns, output
        checks at what the model answers, support checks at whether the rows lie where it was
        trained; split checks are of train and test.
    value, reference : float or None
        On the current and on the reference rows; None where there is none.
    low, high : float or None
        95% interval of the value; None where there is none.
    threshold : str
        From where it is a warning or an alert, in words.
    verdict : {"ok", "warning", "alert", "not_applicable"}
    text : str
        What it means; for `not_applicable` the reason.
    todo : str
        What to do about it; empty where there is nothing to do.
    warning_low, warning_high, alert_low, alert_high : float or None
        The limits as numbers, in the value's own unit: it is an alert below `alert_low` or above
        `alert_high`, and a warning likewise; None where there is no limit on that side.
    """

    code: str
    title: str
    group: Literal["performance", "input", "output", "support", "split"]
    value: float | None
    reference: float | None
    threshold: str
    verdict: Verdict
    text: str
    low: float | None = None
    high: float | None = None
    todo: str = ""
    warning_low: float | None = None
    warning_high: float | None = None
    alert_low: float | None = None
    alert_high: float | None = None


@dataclass(frozen=True)
class Conclusion:
    """What all checks say together.

    Parameters
    ----------
    code : {"fits", "watch", "investigate", "does_not_fit", "unknown"}
    title, text, todo : str
        The verdict in a few words, why, and what to do next.
    """

    code: Literal["fits", "watch", "investigate", "does_not_fit", "unknown"]
    title: str
    text: str
    todo: str


def performance(
    reference: Mapping[str, float],
    current: Mapping[str, float] | None,
    labels: int,
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> list[Check]:
    """Compare the figures of labelled current rows with those of the reference.

    A check is judged by the better end of its interval: what may be chance alone is not told as a
    warning, however few the rows.

    Parameters
    ----------
    reference, current : mapping
        As `metrics.classification` returns them; current is None when it has no labels.
    labels : int
        Labelled current rows.
    intervals : mapping of str to (low, high), optional
        As `metrics.intervals` returns them; without them the figures themselves are judged.

    Returns
    -------
    list of Check
        log_loss, skill, roc_auc, calibration, f1.

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
    codes = {
        "log_loss": "Log loss",
        "skill": TITLES["skill"],
        "roc_auc": TITLES["roc_auc"],
        "calibration": "Calibration in the large",
        "f1": TITLES["f1"],
    }
    reason = None
    if current is None or labels < MIN_LABELS:
        reason = f"Only {labels:,} labels are in; at least {MIN_LABELS} are needed."
    elif "skill" not in current:
        reason = "All labels that are in are the same; nothing can be told from that."
    if reason is not None or current is None:
        return [
            Check(code, title, "performance", None, reference.get(code), "", "not_applicable",
                  reason or "")
            for code, title in codes.items()
        ]  # fmt: skip
    known = {code: (current[code], current[code]) for code in codes if code in current}
    known["calibration"] = (current["mean_probability"] - current["base_rate"],) * 2
    known |= intervals or {}
    return [
        _log_loss(reference, current, known),
        _skill(reference, current, known["skill"]),
        _roc_auc(reference, current, known["roc_auc"]),
        _calibration(reference, current, known["calibration"]),
        _f1(reference, current, known["f1"]),
    ]


def inputs(drift: pd.DataFrame) -> list[Check]:
    """Judge how far each column moved; needs no labels.

    Parameters
    ----------
    drift : DataFrame
        As `drift.by_feature` returns it.

    Examples
    --------
    >>> moved = pd.DataFrame({"feature": ["lat"], "psi": [2.4], "ks": [0.05],
    ...     "mean_reference": [34.0], "mean_current": [33.9]})
    >>> [(check.code, check.verdict) for check in inputs(moved)]
    [('psi.lat', 'alert'), ('ks.lat', 'ok')]
    """
    found = []
    for row in drift.to_dict("records"):
        name = str(row["feature"])
        before, now = float(row["mean_reference"]), float(row["mean_current"])
        means = (
            f"mean {before:.6g} in the reference, {now:.6g} now"
            if before == before
            else "the shares of its values"
        )
        for code, title, low, high in (
            ("psi", f"PSI of {name}", PSI_WARNING, PSI_ALERT),
            ("ks", f"KS distance of {name}", KS_WARNING, KS_ALERT),
        ):
            value = float(row[code])
            if value != value:  # a text has no KS distance
                continue
            verdict: Verdict = "alert" if value >= high else "warning" if value >= low else "ok"
            words = {"ok": "Stable", "warning": "Has moved", "alert": "Has moved far"}[verdict]
            found.append(
                Check(
                    f"{code}.{name}", title, "input", value, None,
                    f"warning from {low:g}, alert from {high:g}", verdict, f"{words}: {means}.",
                )
            )  # fmt: skip
    return found


def conclude(checks: Sequence[Check], current_name: str, reference_name: str) -> Conclusion:
    """Return what the checks say together.

    Inputs that moved do not make a model bad, and a lower log loss does not make it good: only a
    performance check can say "does not fit"; inputs alone say "investigate".

    Examples
    --------
    >>> stable = Check("psi.x", "PSI of x", "input", 0.0, 0.0, "", "ok", "")
    >>> conclude([stable], "new rows", "old rows").code
    'unknown'
    """
    own = [check for check in checks if check.group == "performance"]
    judged = [check for check in own if check.verdict != "not_applicable"]
    bad = [check.title for check in judged if check.verdict == "alert"]
    weak = [check.title for check in judged if check.verdict == "warning"]
    moved = _columns(checks, "alert")
    drifted = f" Moved far from the {reference_name}: {_listed(moved)}." if moved else ""
    if bad:
        weaker = f" Weaker: {_listed(weak)}." if weak else ""
        return Conclusion(
            "does_not_fit",
            f"The model does not fit the {current_name}",
            f"In alert: {_listed(bad)}.{weaker}{drifted}",
            f"Do not act on its labels for these rows. Train on labelled {current_name}, or keep "
            f"the model to {reference_name}.",
        )
    if not judged:
        reason = own[0].text if own else "There are no labels."
        if moved:
            return Conclusion(
                "investigate",
                "The input has changed, and labels cannot say what that does",
                f"{reason}{drifted}",
                "Find out why the input changed, and bring labels before you trust or retrain.",
            )
        return Conclusion(
            "unknown",
            "Not known whether the model still fits",
            f"{reason} The input looks as it did, but only labels can say more.",
            "Bring labels for these rows, then monitor again.",
        )
    if moved:
        return Conclusion(
            "investigate",
            "The input has changed; performance has not collapsed",
            f"{f'Weaker: {_listed(weak)}.' if weak else 'Performance holds.'}{drifted}",
            "Find out why the input changed (a recording change, a new kind of row). Inputs alone "
            "are no reason to retrain.",
        )
    if weak:
        return Conclusion(
            "watch",
            f"The model fits the {current_name}, but watch it",
            f"Weaker than on the {reference_name}: {_listed(weak)}.",
            "Monitor again with more labels before you decide to retrain.",
        )
    stirred = _columns(checks, "warning")
    return Conclusion(
        "fits",
        f"The model fits the {current_name}",
        "No performance check is beyond its limits."
        + (f" Moved somewhat: {_listed(stirred)}." if stirred else ""),
        "Nothing to do. Monitor again when new rows were scored.",
    )


def as_table(checks: Sequence[Check]) -> pd.DataFrame:
    """Return the checks as a table, a column per field."""
    return pd.DataFrame([asdict(check) for check in checks])


def _log_loss(
    reference: Mapping[str, float],
    current: Mapping[str, float],
    known: Mapping[str, Interval],
) -> Check:
    value, base = current["log_loss"], base_rate_log_loss(current["base_rate"])
    shift = abs(current["base_rate"] - reference["base_rate"])
    low, high = known["log_loss"]
    verdict: Verdict
    if known["skill"][1] <= 0:
        verdict = "alert"
        text = f"Worse than always forecasting the base rate ({base:.4f})."
    elif shift > BASE_RATE_SHIFT:
        verdict = "not_applicable"
        text = (
            f"Not comparable: the base rate went from {reference['base_rate']:.1%} to "
            f"{current['base_rate']:.1%}, which alone moves log loss. See the skill."
        )
    else:
        verdict = "warning" if low > 1.02 * reference["log_loss"] else "ok"
        text = f"Always forecasting the base rate gives {base:.4f}."
    return Check(
        "log_loss", "Log loss", "performance", value, reference["log_loss"],
        "alert above the base rate's, warning 2% above the reference", verdict, text, low, high,
    )  # fmt: skip


def _skill(
    reference: Mapping[str, float], current: Mapping[str, float], interval: Interval
) -> Check:
    value, old = current["skill"], reference["skill"]
    best = interval[1]
    verdict: Verdict = "alert" if best <= 0 else "warning" if best < old / 2 else "ok"
    text = f"The model removes {max(value, 0):.2%} of the base rate's log loss, {old:.2%} before."
    return Check(
        "skill", TITLES["skill"], "performance", value, old,
        "warning below half the reference, alert at 0 or below", verdict, text, *interval,
    )  # fmt: skip


def _roc_auc(
    reference: Mapping[str, float], current: Mapping[str, float], interval: Interval
) -> Check:
    value, old = current["roc_auc"], reference["roc_auc"]
    limits = "of the lead over 0.5: warning below 80%, alert below 50%"
    if old <= 0.5:
        return Check(
            "roc_auc", TITLES["roc_auc"], "performance", value, old, limits, "not_applicable",
            "The reference itself has no lead over chance (0.5).", *interval,
        )  # fmt: skip
    left, best = (value - 0.5) / (old - 0.5), (interval[1] - 0.5) / (old - 0.5)
    verdict: Verdict = "alert" if best < 0.5 else "warning" if best < 0.8 else "ok"
    text = f"{max(left, 0):.0%} of its lead over chance (0.5) is left."
    return Check(
        "roc_auc", TITLES["roc_auc"], "performance", value, old, limits, verdict, text, *interval
    )


def _calibration(
    reference: Mapping[str, float], current: Mapping[str, float], interval: Interval
) -> Check:
    gap = current["mean_probability"] - current["base_rate"]
    old = reference["mean_probability"] - reference["base_rate"]
    low, high = interval
    size = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    verdict: Verdict = "alert" if size > 0.05 else "warning" if size > 0.02 else "ok"
    text = f"Forecast {current['mean_probability']:.1%}, observed {current['base_rate']:.1%}."
    return Check(
        "calibration", "Calibration in the large", "performance", gap, old,
        "mean forecast minus observed: warning beyond 0.02, alert beyond 0.05", verdict, text,
        low, high,
    )  # fmt: skip


def _f1(reference: Mapping[str, float], current: Mapping[str, float], interval: Interval) -> Check:
    value, old = current["f1"], reference["f1"]
    best = interval[1]
    verdict: Verdict = "alert" if best < 0.5 * old else "warning" if best < 0.9 * old else "ok"
    text = (
        "No row reaches the threshold and is right."
        if value == 0
        else f"{value / old:.0%} of the reference."
        if old
        else "The reference has none."
    )
    return Check(
        "f1", "F1 at the threshold", "performance", value, old,
        "warning 10% below the reference, alert 50% below", verdict, text, *interval,
    )  # fmt: skip


def _columns(checks: Sequence[Check], verdict: Verdict) -> list[str]:
    """Return the columns that have an input check of this verdict."""
    return sorted(
        {
            check.code.split(".", 1)[1]
            for check in checks
            if check.group == "input" and check.verdict == verdict
        }
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
