"""The overall verdict of a report's checks: a code with parameters, and its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from core.platform.messages import Message, Words, sentences
from core.stats.check import (
    ADD_LABELS,
    FIND_OUT,
    THRESHOLD_TEXTS,
    THRESHOLD_TODO,
    Check,
    Conclusion,
    Verdict,
    VerdictCode,
)

_Z = 1.959964
_POWER_Z = 0.8416  # one-sided 80% of the normal distribution
Params = Mapping[str, Any]
Wording = tuple[Words, Words, Words]


def conclude(
    checks: Sequence[Check], current_name: Words, reference_name: Words, *, labels: int = 0
) -> Conclusion:
    """Return the overall verdict.

    Drifted inputs do not make a model bad, and a lower log loss does not make it good: only a
    performance check can say "does not fit". A model fits only if its skill over the base rate is
    shown (95% interval above 0). Otherwise `no_skill` says that the interval excludes the
    reference's skill too, or that the reference has none; `cannot_tell` that both are still
    possible, and how many labels would decide.

    Parameters
    ----------
    labels : int
        Labelled current rows, to compute how many are needed.

    Examples
    --------
    >>> stable = Check("psi.x", "PSI of x", "input", 0.0, 0.0, "", "ok", "")
    >>> conclude([stable], "new rows", "old rows").code
    'unknown'
    >>> skill = Check("skill", "Skill", "performance", 0.01, 0.02, "", "ok", "", -0.02, 0.04)
    >>> conclusion = conclude([skill], "new rows", "old rows", labels=500)
    >>> conclusion.code, conclusion.params["labels_needed"]
    ('cannot_tell', 2300)
    """
    own = [check for check in checks if check.group == "performance"]
    judged = [check for check in own if check.verdict != "not_applicable"]
    alarmed = [check for check in checks if check.verdict == "alert"]
    by_code = {check.code: check for check in own}
    skill, loss, f1 = (by_code.get(code) for code in ("skill", "log_loss", "f1"))
    has_labels = any(check.value is not None for check in own) or bool(judged)
    params: dict[str, Any] = {
        "rows": current_name,
        "reference": reference_name,
        "alerts": [check.title for check in judged if check.verdict == "alert"],
        "warnings": [check.title for check in judged if check.verdict == "warning"],
        "reason": own[0].text if own and not has_labels else "",
        "support": [check.text for check in alarmed if check.group == "support"],
        "columns": _columns(checks, "alert"),
        "outputs": [check.title for check in alarmed if check.group == "output"],
        "odd": [
            check.title
            for check in checks
            if check.group in ("output", "support") and check.verdict == "warning"
        ],
        "stirred": _columns(checks, "warning"),
        "threshold": f1.state if has_labels and f1 and f1.verdict != "ok" else "",
        "log_loss_is_lower": bool(loss and loss.state == "lower_by_base_rate"),
        "details": [check.text for check in (loss, skill) if check],
        "labels": labels,
        **(_skill(skill, labels) if has_labels else {}),
    }
    code = _code(params, has_labels=has_labels)
    return Conclusion(code, *wording(code, params), params)


def labels_needed(half_width: float, labels: int, skill: float) -> int:
    """Return how many labels show a skill with 80% power, rounded up to two digits.

    A skill is shown if its 95% interval lies above 0; the half-width shrinks with the square root
    of the labels: n = labels * ((1.96 + 0.84) * standard error / skill)^2.

    Parameters
    ----------
    half_width : float
        Of the interval that these labels gave.
    skill : float
        To be shown; above 0.

    Examples
    --------
    >>> labels_needed(0.03, 500, 0.02)
    2300
    """
    exact = labels * ((_Z + _POWER_Z) * half_width / _Z / skill) ** 2
    step = int(10 ** max(len(str(int(exact))) - 2, 0))
    return int(ceil(exact / step) * step)


def _skill(check: Check | None, labels: int) -> dict[str, Any]:
    """Return the parameters about the skill; `is_skill_shown` is False if it is unknown."""
    known: dict[str, Any] = {"is_skill_shown": False}
    if check is None or check.value is None or check.low is None or check.high is None:
        return known
    expected = check.reference or 0.0
    known |= {
        "skill": check.value,
        "skill_low": check.low,
        "skill_high": check.high,
        "skill_reference": expected,
        "is_skill_shown": check.low > 0,
    }
    if expected > 0 and labels:
        half = (check.high - check.low) / 2
        known["labels_needed"] = labels_needed(half, labels, expected)
    return known


def _code(params: Params, *, has_labels: bool) -> VerdictCode:
    moved = bool(params["support"] or params["columns"] or params["outputs"])
    if params["alerts"]:
        return "does_not_fit"
    if not has_labels:
        return "investigate" if moved else "unknown"
    shown = params["is_skill_shown"]
    lacks = not shown and "skill" in params
    if lacks and params["skill_high"] <= max(params["skill_reference"], 0.0):
        return "no_skill"
    if lacks and params["skill_reference"] <= 0:
        return "no_skill"
    if moved:
        return "investigate"
    if not shown:
        return "cannot_tell"
    return "watch" if params["warnings"] or params["odd"] or params["threshold"] else "fits"


def wording(code: str, params: Params) -> Wording:
    """Return title, reason and next step of a verdict; its only wording.

    Examples
    --------
    >>> title, *_rest = wording("no_skill", {"rows": "new rows", "reference": "old rows",
    ...     "skill": -0.02, "skill_low": -0.09, "skill_high": 0.01, "skill_reference": 0.02})
    >>> str(title)
    'The model shows no skill on the new rows'
    """
    full = {
        **dict.fromkeys(
            ("alerts", "warnings", "support", "columns", "outputs", "odd", "stirred", "details"), ()
        ),
        **params,
    }
    title, text, todo = _WORDING[code](full)
    threshold = full.get("threshold")
    if threshold:
        text = sentences(text, THRESHOLD_TEXTS[threshold])
        todo = sentences(todo, THRESHOLD_TODO)
    return title, text, todo


def _does_not_fit(params: Params) -> Wording:
    return (
        Message("The model does not fit the {rows}", rows=params["rows"]),
        sentences(
            Message("In alert: {checks}.", checks=params["alerts"]),
            _weaker(params),
            *(params["details"] if params.get("log_loss_is_lower") else ()),
            *_moved(params),
        ),
        Message(
            "Don't use its predicted classes for these rows. Train on labelled {rows}, or use the "
            "model for {reference} only.",
            rows=params["rows"],
            reference=params["reference"],
        ),
    )


def _no_skill(params: Params) -> Wording:
    known = params["skill_reference"]
    why = Message(
        "On the {reference} it is {skill:.2%}.", skill=known, reference=params["reference"]
    )
    return (
        Message("The model shows no skill on the {rows}", rows=params["rows"]),
        sentences(_interval(params), why, *_moved(params)),
        Message(
            "Don't use its probabilities: always predicting the base rate does as well. Train on "
            "better features or other rows."
        ),
    )


def _cannot_tell(params: Params) -> Wording:
    title = Message("Cannot tell whether the model fits the {rows}", rows=params["rows"])
    if "skill" not in params:
        return (title, Message("The skill over the base rate has no interval here."), ADD_LABELS)
    needed, labels = params.get("labels_needed", 0), params.get("labels", 0)
    of_labels: Words = ""
    if labels and needed > labels:
        of_labels = Message(
            "About {needed:,} labels would show the skill of the {reference} "
            "({skill:.2%}); there are {labels:,}.",
            reference=params["reference"],
            skill=params["skill_reference"],
            needed=needed,
            labels=labels,
        )
    return (
        title,
        sentences(_interval(params), of_labels, _weaker(params)),
        Message("Add about {missing:,} more labels, then monitor again.", missing=needed - labels)
        if needed > labels
        else ADD_LABELS,
    )


def _unknown(params: Params) -> Wording:
    return (
        Message("Unknown whether the model still fits"),
        sentences(_reason(params), Message("The input is stable, but only labels show skill.")),
        ADD_LABELS,
    )


def _investigate(params: Params) -> Wording:
    if "is_skill_shown" not in params:
        return (
            Message("Rows outside the training data, and no labels to judge by")
            if params["support"]
            else Message("The input changed, and there are no labels to judge by"),
            sentences(*_moved(params), _reason(params)),
            FIND_OUT,
        )
    has_interval = not params["is_skill_shown"] and "skill" in params
    return (
        Message("The input changed; performance is not in alert"),
        sentences(
            *_moved(params),
            _weaker(params) or Message("No performance check is beyond its limits."),
            _interval(params) if has_interval else "",
        ),
        FIND_OUT,
    )


def _watch(params: Params) -> Wording:
    parts = [part for part in (_weaker(params), _changed(params["odd"])) if part]
    return (
        Message("The model fits the {rows}, but watch it", rows=params["rows"]),
        sentences(*parts),
        ADD_LABELS if parts else "",
    )


def _fits(params: Params) -> Wording:
    stirred = params["stirred"]
    return (
        Message("The model fits the {rows}", rows=params["rows"]),
        sentences(Message("No performance check is beyond its limits."), _changed(stirred)),
        Message("Monitor again when new rows are scored."),
    )


_WORDING = {
    "does_not_fit": _does_not_fit,
    "no_skill": _no_skill,
    "cannot_tell": _cannot_tell,
    "investigate": _investigate,
    "unknown": _unknown,
    "watch": _watch,
    "fits": _fits,
}


def _reason(params: Params) -> Words:
    reason: Words = params.get("reason") or Message("There are no labels.")
    return reason


def _weaker(params: Params) -> Words:
    checks = params["warnings"]
    return Message("Weaker: {checks}.", checks=checks) if checks else ""


def _interval(params: Params) -> Message:
    return Message(
        "Its skill over the base rate is {skill:.2%} (95% interval {low:.2%} to {high:.2%}).",
        skill=params["skill"],
        low=params["skill_low"],
        high=params["skill_high"],
    )


def _moved(params: Params) -> list[Words]:
    """Return sentences about all alerts of checks without labels; may be empty."""
    parts: list[Words] = list(params["support"])
    parts.append(_changed([*params["columns"], *params["outputs"]]))
    return parts


def _changed(names: Sequence[Words]) -> Words:
    return Message("Changed: {checks}.", checks=list(names)) if names else ""


def _columns(checks: Sequence[Check], verdict: Verdict) -> list[str]:
    """Return the columns with an input check of this verdict."""
    return sorted(
        {
            check.code.split(".", 1)[1]
            for check in checks
            if check.group == "input" and check.verdict == verdict
        }
    )
