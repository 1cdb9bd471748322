"""Checks of inputs and outputs, each with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from core.platform.messages import Message, Words
from core.platform.own_columns import PROBABILITY, shown
from core.stats.check import CHANGE_LABELS, FIND_OUT, find_out_why, one_sentence
from core.stats.check import Check as Check
from core.stats.check import Conclusion as Conclusion
from core.stats.check import Group as Group
from core.stats.check import Limit as Limit
from core.stats.check import Verdict as Verdict
from core.stats.performance import performance as performance
from core.stats.performance import slices as slices
from core.stats.verdicts import conclude as conclude

# PSI: the usual reading since Siddiqi, Credit Risk Scorecards (2006).
PSI_WARNING, PSI_ALERT = 0.1, 0.2
# KS as a distance, not as a p-value: with thousands of rows any difference is significant.
KS_WARNING, KS_ALERT = 0.1, 0.2
# Equivalent limits for the other distances, each from 0 to 1: a PSI of 0.1 is a Jensen-Shannon
# distance of about 0.13, one of 0.2 of 0.19 (for small differences the divergence in bits is the
# PSI / (8 ln 2)); Cramer's V: from 0.1 small, from 0.3 medium (Cohen, 1988).
USUAL = {
    "psi": Limit(warning_high=PSI_WARNING, alert_high=PSI_ALERT),
    "ks": Limit(warning_high=KS_WARNING, alert_high=KS_ALERT),
    "js": Limit(warning_high=0.13, alert_high=0.19),
    "chi2": Limit(warning_high=0.1, alert_high=0.3),
    "missing": Limit(warning_high=0.01, alert_high=0.05),
    "unseen": Limit(warning_high=0.01, alert_high=0.05),
    "range": Limit(warning_high=0.01, alert_high=0.05),
}
# Why a check is not applicable: the text, and what to do.
REASONS: dict[str, tuple[Message, Words]] = {
    "reference_empty": (
        Message("No row of the reference has a value here."),
        Message("Leave the column out of the model, or train on rows that have it."),
    ),
    "current_empty": (Message("No current row has a value here."), ""),
    "no_limit": (Message("Nearly every value is distinct, so new values are expected."), ""),
    "failed": (
        Message("It could not be computed: see the log of this run. The other checks are valid."),
        "",
    ),
}
# code -> title, and column of `drift.by_feature`
_OF_COLUMN: dict[str, tuple[Words, str]] = {
    "psi": ("PSI", "psi"),
    "ks": (Message("KS distance"), "ks"),
    "js": (Message("Jensen-Shannon distance"), "js"),
    "chi2": (Message("Cramér's V"), "cramers_v"),
    "missing": (Message("Missing values"), "missing_current"),
    "unseen": (Message("New values"), "unseen"),
    "range": (Message("Values out of range"), "out_of_range"),
}


def column_title(code: str) -> Words:
    """Return the title of a check of a column, by its code; other codes are returned.

    Examples
    --------
    >>> str(column_title("psi.x")), column_title("slice.period=4")
    ('PSI: x', 'slice.period=4')
    """
    kind, _dot, column = code.partition(".")
    if kind not in _OF_COLUMN or not column:
        return code
    return Message("{name}: {value}", name=_OF_COLUMN[kind][0], value=shown(column))


def kind_name(code: str) -> Words:
    """Return what kind a check of a column is; other codes are returned.

    Examples
    --------
    >>> str(kind_name("ks.x")), kind_name("f1")
    ('KS distance', 'f1')
    """
    kind = code.partition(".")[0]
    return _OF_COLUMN[kind][0] if kind in _OF_COLUMN else code


def usual(kind: str, missing: float = 0.0) -> Limit:
    """Return the usual limit of a kind of check, given the reference's share of missing values.

    Examples
    --------
    >>> str(usual("missing", 0.25).words()), str(usual("psi", 0.25).words())
    ('warning: above 0.26, alert: above 0.3', 'warning: above 0.1, alert: above 0.2')
    """
    limit = USUAL[kind]
    if kind != "missing" or limit.warning_high is None or limit.alert_high is None:
        return limit
    return Limit(warning_high=limit.warning_high + missing, alert_high=limit.alert_high + missing)


def inputs(drift: pd.DataFrame, limits: Mapping[str, Limit] | None = None) -> list[Check]:
    """Judge the drift of each feature; needs no labels.

    Parameters
    ----------
    drift : DataFrame
        As `drift.by_feature` returns it; the predicted probability is left to `outputs`.
    limits : mapping of str to Limit, optional
        By code; the default is USUAL.

    Returns
    -------
    list of Check
        `psi.<column>`, and ks, js, chi2 (Cramer's V: a p-value would depend on the number of rows),
        missing, unseen, range, each if the column has such a value. If a column could not be
        compared, its PSI is not applicable, with the reason.

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
    """Judge the drift of the predicted probability: PSI and KS.

    Examples
    --------
    >>> moved = pd.DataFrame({"feature": [PROBABILITY], "psi": [0.15], "ks": [0.05],
    ...     "mean_reference": [0.48], "mean_current": [0.45]})
    >>> [(check.code, check.verdict) for check in outputs(moved)]
    [('psi.courtside_probability', 'warning'), ('ks.courtside_probability', 'ok')]
    """
    rows = drift[drift["feature"] == PROBABILITY]
    checks = [
        check for row in rows.to_dict("records") for check in _of_column(row, "output", limits)
    ]
    return [check for check in checks if check.code.split(".")[0] in ("psi", "ks")]


def _of_column(
    row: Mapping[Any, Any], group: Group, limits: Mapping[str, Limit] | None
) -> list[Check]:
    name = str(row["feature"])
    checks = []
    reason = row.get("reason") or ""
    for kind, (_title, column) in _OF_COLUMN.items():
        value = float(row.get(column, float("nan")))
        code = f"{kind}.{name}"
        heading = column_title(code)
        if value != value:  # a text has no KS distance
            if kind == "psi" and reason in REASONS:
                check = not_applicable(code, heading, group, reason)
                if reason == "current_empty":
                    check = replace(check, todo=_todo(group, name))
                checks.append(check)
            continue
        limit = (limits or {}).get(code)
        before = row.get("missing_reference") if kind == "missing" else None
        if limit is None:
            limit = usual(kind, before or 0.0)
        if limit.source == "learned" and limit.warning_high is None and limit.alert_high is None:
            checks.append(replace(not_applicable(code, heading, group, "no_limit"), value=value))
            continue
        verdict = _at_least(value, limit)
        checks.append(
            Check(
                code,
                heading,
                group,
                value,
                before,
                limit.words(),
                verdict,
                _sentence(kind, value, verdict, row),
                todo="" if verdict == "ok" else _todo(group, name),
                warning_high=limit.warning_high,
                alert_high=limit.alert_high,
            )
        )
    return checks


def not_applicable(code: str, title: Words, group: Group, reason: str) -> Check:
    """Return a check that could not be done, with the code and text of the reason.

    Examples
    --------
    >>> check = not_applicable("psi.x", "PSI: x", "input", "reference_empty")
    >>> check.verdict, str(check.text)
    ('not_applicable', 'No row of the reference has a value here.')
    """
    text, todo = REASONS[reason]
    return Check(
        code, title, group, None, None, "", "not_applicable", text, todo=todo, state=reason
    )


def _at_least(value: float, limit: Limit) -> Verdict:
    """Return the verdict where a value at the limit is beyond it, as is usual for the PSI."""
    if limit.alert_high is not None and value >= limit.alert_high:
        return "alert"
    return "warning" if limit.warning_high is not None and value >= limit.warning_high else "ok"


def _sentence(kind: str, value: float, verdict: Verdict, row: Mapping[Any, Any]) -> Message:
    if kind in ("missing", "unseen", "range"):
        return Message("In {share:.1%} of the rows.", share=value)
    before, now = float(row["mean_reference"]), float(row["mean_current"])
    change = CHANGE_LABELS[verdict]
    # the same mean says nothing of the change
    if before != before or f"{before:.6g}" == f"{now:.6g}":
        return one_sentence(change)
    return Message(
        "{change}: mean {before:.6g} in the reference, {now:.6g} now.",
        change=change,
        before=before,
        now=now,
    )


def _todo(group: str, name: str) -> Message:
    if group == "output":
        return FIND_OUT
    return find_out_why(shown(name))


def with_labels(checks: Sequence[Check]) -> list[Check]:
    """Return checks of rows with enough labels: without what asks for labels.

    Labels show whether a change of the predictions or a row outside the support does harm, and the
    verdict says what to do about it: an advice of the check's own would contradict it.

    Examples
    --------
    >>> check = Check("disagreement", "", "output", 0.1, 0.0, "", "alert", "", todo="Add labels.")
    >>> [check.todo for check in with_labels([check, replace(check, group="input")])]
    ['', 'Add labels.']
    """
    return [
        replace(check, todo="")
        if check.group in ("performance", "output")
        or (check.code == "outside_support" and check.value is not None)
        else check
        for check in checks
    ]


def as_table(checks: Sequence[Check]) -> pd.DataFrame:
    """Return the checks as a table, one column per field."""
    names = [field.name for field in fields(Check)]
    return pd.DataFrame([{name: getattr(check, name) for name in names} for check in checks])
