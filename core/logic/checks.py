"""Does the model still fit? Checks with a verdict each, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import pandas as pd

from core.logic.check import Check as Check
from core.logic.check import Conclusion as Conclusion
from core.logic.check import Limit as Limit
from core.logic.check import Verdict as Verdict
from core.logic.performance import performance as performance
from core.logic.performance import slices as slices

# PSI: the reading usual since Siddiqi, Credit Risk Scorecards (2006).
PSI_WARNING, PSI_ALERT = 0.1, 0.2
# KS as a distance, not as a p-value: with thousands of rows any difference is significant.
KS_WARNING, KS_ALERT = 0.1, 0.2
# The same reading for the other distances, each from 0 to 1: a PSI of 0.1 is a Jensen-Shannon
# distance of about 0.13 (the divergence in bits is the PSI by 8 ln 2 where shares differ little),
# one of 0.2 of 0.19; Cramer's V from 0.1 small, from 0.3 medium (Cohen, 1988).
USUAL = {
    "psi": Limit(warning_high=PSI_WARNING, alert_high=PSI_ALERT),
    "ks": Limit(warning_high=KS_WARNING, alert_high=KS_ALERT),
    "js": Limit(warning_high=0.13, alert_high=0.19),
    "chi2": Limit(warning_high=0.1, alert_high=0.3),
    "missing": Limit(warning_high=0.01, alert_high=0.05),
    "unseen": Limit(warning_high=0.01, alert_high=0.05),
    "range": Limit(warning_high=0.01, alert_high=0.05),
}
PROBABILITY = "probability"
# code -> what it is called, and the column of `drift.by_feature` that holds it
_OF_COLUMN = {
    "psi": ("PSI", "psi"),
    "ks": ("KS distance", "ks"),
    "js": ("Jensen-Shannon distance", "js"),
    "chi2": ("Cramer's V", "cramers_v"),
    "missing": ("Missing values", "missing_current"),
    "unseen": ("Values the reference does not have", "unseen"),
    "range": ("Values out of the reference's range", "out_of_range"),
}


def usual(kind: str, missing: float = 0.0) -> Limit:
    """Return the usual limit of a kind of check; a share that the reference misses is no change.

    Examples
    --------
    >>> usual("missing", 0.25).words(), usual("psi", 0.25).words()
    ('warning above 0.26, alert above 0.3', 'warning above 0.1, alert above 0.2')
    """
    limit = USUAL[kind]
    if kind != "missing" or limit.warning_high is None or limit.alert_high is None:
        return limit
    return Limit(warning_high=limit.warning_high + missing, alert_high=limit.alert_high + missing)


def inputs(drift: pd.DataFrame, limits: Mapping[str, Limit] | None = None) -> list[Check]:
    """Judge how far each column moved; needs no labels.

    Parameters
    ----------
    drift : DataFrame
        As `drift.by_feature` returns it; what the model answers (`probability`) is left to
        `outputs`.
    limits : mapping of str to Limit, optional
        By code; those of USUAL where there is none.

    Returns
    -------
    list of Check
        `psi.<column>`, and ks, js, chi2 (Cramer's V: a p-value would hang on the number of rows),
        missing, unseen, range, each where the column has such a value.

    Examples
    --------
    >>> moved = pd.DataFrame({"feature": ["lat"], "psi": [2.4], "ks": [0.05],
    ...     "mean_reference": [34.0], "mean_current": [33.9]})
    >>> [(check.code, check.verdict) for check in inputs(moved)]
    [('psi.lat', 'alert'), ('ks.lat', 'ok')]
    """
    rows = drift[drift["feature"] != PROBABILITY]
    return [check for row in rows.to_dict("records") for check in _of_column(row, "input", limits)]


def outputs(drift: pd.DataFrame, limits: Mapping[str, Limit] | None = None) -> list[Check]:
    """Judge how far the predicted probability moved: `psi.probability`, `ks.probability`.

    Examples
    --------
    >>> moved = pd.DataFrame({"feature": ["probability"], "psi": [0.15], "ks": [0.05],
    ...     "mean_reference": [0.48], "mean_current": [0.45]})
    >>> [(check.code, check.group, check.verdict) for check in outputs(moved)]
    [('psi.probability', 'output', 'warning'), ('ks.probability', 'output', 'ok')]
    """
    rows = drift[drift["feature"] == PROBABILITY]
    found = [
        check for row in rows.to_dict("records") for check in _of_column(row, "output", limits)
    ]
    return [check for check in found if check.code.split(".")[0] in ("psi", "ks")]


def _of_column(
    row: Mapping[Any, Any], group: Literal["input", "output"], limits: Mapping[str, Limit] | None
) -> list[Check]:
    name = str(row["feature"])
    found = []
    for kind, (title, column) in _OF_COLUMN.items():
        value = float(row.get(column, float("nan")))
        if value != value:  # a text has no KS distance
            continue
        code = f"{kind}.{name}"
        limit = (limits or {}).get(code)
        before = row.get("missing_reference") if kind == "missing" else None
        if limit is None:
            limit = usual(kind, before or 0.0)
        verdict = _at_least(value, limit)
        found.append(
            Check(
                code, f"{title}: {name}", group, value, before, limit.words(), verdict,
                _said(kind, value, verdict, row),
                todo="" if verdict == "ok" else _todo(kind, group, name),
                warning_high=limit.warning_high, alert_high=limit.alert_high,
            )
        )  # fmt: skip
    return found


def _at_least(value: float, limit: Limit) -> Verdict:
    """Return the verdict where a value at the limit is beyond it, as PSI is commonly read."""
    if limit.alert_high is not None and value >= limit.alert_high:
        return "alert"
    return "warning" if limit.warning_high is not None and value >= limit.warning_high else "ok"


def _said(kind: str, value: float, verdict: Verdict, row: Mapping[Any, Any]) -> str:
    if kind == "missing":
        return f"{value:.1%} of the rows have no value."
    if kind == "unseen":
        return f"{value:.1%} of the rows have a value that the reference does not have."
    if kind == "range":
        return f"{value:.1%} of the rows lie beyond the reference's least and largest value."
    before, now = float(row["mean_reference"]), float(row["mean_current"])
    means = (
        f"mean {before:.6g} in the reference, {now:.6g} now"
        if before == before
        else "the shares of its values"
    )
    words = {"ok": "Stable", "warning": "Has moved", "alert": "Has moved far"}[verdict]
    return f"{words}: {means}."


def _todo(kind: str, group: str, name: str) -> str:
    if group == "output":
        return "See which columns moved: what the model answers follows them."
    if kind == "missing":
        return f"Find out why {name} is missing: the source, or how it is read."
    return f"Find out why {name} changed: a change of recording, or other rows than before."


def conclude(checks: Sequence[Check], current_name: str, reference_name: str) -> Conclusion:
    """Return what the checks say together.

    Inputs that moved do not make a model bad, and a lower log loss does not make it good: only a
    performance check can say "does not fit"; all others alone say "investigate".

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
    moved = _moved(checks, reference_name)
    left = any(check.group == "support" and check.verdict == "alert" for check in checks)
    if bad:
        weaker = f" Weaker: {_listed(weak)}." if weak else ""
        lower = [
            check.text for check in own if check.code == "log_loss" and "lower for" in check.text
        ]
        skill = [check.text for check in own if check.code == "skill"]
        why = " ".join([" The log loss is no comfort.", *lower, *skill]) if lower else ""
        return Conclusion(
            "does_not_fit",
            f"The model does not fit the {current_name}",
            f"In alert: {_listed(bad)}.{weaker}{why}{moved}",
            f"Do not act on its labels for these rows. Train on labelled {current_name}, or keep "
            f"the model to {reference_name}.",
        )
    if not judged:
        reason = own[0].text if own else "There are no labels."
        if moved:
            return Conclusion(
                "investigate",
                "The model leaves what it knows, and labels cannot say what that does"
                if left
                else "The input has changed, and labels cannot say what that does",
                f"{reason}{moved}",
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
            f"{f'Weaker: {_listed(weak)}.' if weak else 'Performance holds.'}{moved}",
            "Find out why the input changed (a recording change, a new kind of row). Inputs alone "
            "are no reason to retrain.",
        )
    odd = [
        check.title
        for check in checks
        if check.group in ("output", "support") and check.verdict == "warning"
    ]
    if weak or odd:
        told = [f"Weaker than on the {reference_name}: {_listed(weak)}."] if weak else []
        told += [f"Not quite as on the {reference_name}: {_listed(odd)}."] if odd else []
        return Conclusion(
            "watch",
            f"The model fits the {current_name}, but watch it",
            " ".join(told),
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


def _moved(checks: Sequence[Check], reference_name: str) -> str:
    """Return sentences about all that is in alert without labels; empty where nothing is."""
    alarmed = [check for check in checks if check.verdict == "alert"]
    told = [f" {check.text}" for check in alarmed if check.group == "support"]
    if columns := _columns(checks, "alert"):
        told.append(f" Moved far from the {reference_name}: {_listed(columns)}.")
    if answers := [check.title for check in alarmed if check.group == "output"]:
        told.append(f" Its answers moved too: {_listed(answers)}.")
    return "".join(told)


def as_table(checks: Sequence[Check]) -> pd.DataFrame:
    """Return the checks as a table, a column per field."""
    return pd.DataFrame([asdict(check) for check in checks])


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
