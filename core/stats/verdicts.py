"""The overall verdict of a report's checks: a code with parameters, and its sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from core.stats.check import (
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
Sentences = tuple[str, str, str]


def conclude(
    checks: Sequence[Check], current_name: str, reference_name: str, *, labels: int = 0
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
    return Conclusion(code, *sentences(code, params), params)


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


def sentences(code: str, params: Params) -> Sentences:
    """Return title, reason and next step of a verdict; its only wording.

    Examples
    --------
    >>> sentences("no_skill", {"rows": "new rows", "reference": "old rows", "skill": -0.02,
    ...     "skill_low": -0.09, "skill_high": 0.01, "skill_reference": 0.02, "labels": 400})[0]
    'The model shows no skill on the new rows'
    """
    full = {
        **dict.fromkeys(
            ("alerts", "warnings", "support", "columns", "outputs", "odd", "stirred", "details"), ()
        ),
        **params,
    }
    title, text, todo = _WORDS[code](full)
    threshold = full.get("threshold")
    if threshold:
        text = f"{text} {THRESHOLD_TEXTS[threshold]}"
        todo = f"{todo} {THRESHOLD_TODO}".strip()
    return title, text, todo


def _does_not_fit(params: Params) -> Sentences:
    weak = params["warnings"]
    text = f"In alert: {_listed(params['alerts'])}." + (
        f" Weaker: {_listed(weak)}." if weak else ""
    )
    if params.get("log_loss_is_lower"):
        text += " ".join([" The log loss is no comfort.", *params["details"]])
    return (
        f"The model does not fit the {params['rows']}",
        f"{text}{_moved(params)}",
        f"Do not act on its labels for these rows. Train on labelled {params['rows']}, or keep "
        f"the model to {params['reference']}.",
    )


def _no_skill(params: Params) -> Sentences:
    known = params["skill_reference"]
    why = (
        f"That is less than the {known:.2%} that it removes on the {params['reference']}."
        if known > 0
        else f"It has none on the {params['reference']} either."
    )
    return (
        f"The model shows no skill on the {params['rows']}",
        f"{_interval(params)} {why}{_moved(params)}",
        "Do not act on its probabilities: always forecasting the base rate does as well. Train on "
        "better features or other rows.",
    )


def _cannot_tell(params: Params) -> Sentences:
    if "skill" not in params:
        return (
            f"Not known whether the model fits the {params['rows']}",
            "The skill over the base rate has no interval here.",
            "Monitor again with more labels.",
        )
    needed, labels = params.get("labels_needed", 0), params.get("labels", 0)
    sentence = (
        f" A skill as on the {params['reference']} ({params['skill_reference']:.2%}) takes about "
        f"{needed:,} labels to show; {labels:,} are in."
    )
    if needed <= labels:
        sentence = f" {labels:,} labels usually show a skill as on the {params['reference']}."
    weak = f" Weaker: {_listed(params['warnings'])}." if params["warnings"] else ""
    return (
        f"Cannot tell whether the model fits the {params['rows']}",
        f"{_interval(params)}{sentence if labels else ''}{weak}",
        f"Bring about {needed - labels:,} more labels, then monitor again."
        if needed > labels
        else "Bring more labels, then monitor again.",
    )


def _unknown(params: Params) -> Sentences:
    return (
        "Not known whether the model still fits",
        f"{params.get('reason') or 'There are no labels.'} The input looks as it did, but only "
        "labels can say more.",
        "Bring labels for these rows, then monitor again.",
    )


def _investigate(params: Params) -> Sentences:
    if "is_skill_shown" not in params:
        return (
            "The model leaves what it knows, and labels cannot say what that does"
            if params["support"]
            else "The input has changed, and labels cannot say what that does",
            f"{params.get('reason') or 'There are no labels.'}{_moved(params)}",
            "Find out why the input changed, and bring labels before you trust or retrain.",
        )
    if params["warnings"]:
        performance = f"Weaker: {_listed(params['warnings'])}."
    else:
        performance = "No performance check is beyond its limits."
    if not params["is_skill_shown"] and "skill" in params:
        performance += f" {_interval(params)}"
    return (
        "The input has changed; performance has not collapsed",
        f"{performance}{_moved(params)}",
        "Find out why the input changed (a recording change, a new kind of row). Inputs alone "
        "are no reason to retrain.",
    )


def _watch(params: Params) -> Sentences:
    known, parts = params["reference"], []
    if params["warnings"]:
        parts.append(f"Weaker than on the {known}: {_listed(params['warnings'])}.")
    if params["odd"]:
        parts.append(f"Not quite as on the {known}: {_listed(params['odd'])}.")
    return (
        f"The model fits the {params['rows']}, but watch it",
        " ".join(parts) or "Its probabilities have skill.",
        "Monitor again with more labels before you decide to retrain." if parts else "",
    )


def _fits(params: Params) -> Sentences:
    stirred = params["stirred"]
    return (
        f"The model fits the {params['rows']}",
        "No performance check is beyond its limits."
        + (f" Moved somewhat: {_listed(stirred)}." if stirred else ""),
        "Nothing to do. Monitor again when new rows were scored.",
    )


_WORDS = {
    "does_not_fit": _does_not_fit,
    "no_skill": _no_skill,
    "cannot_tell": _cannot_tell,
    "investigate": _investigate,
    "unknown": _unknown,
    "watch": _watch,
    "fits": _fits,
}


def _interval(params: Params) -> str:
    return (
        f"Its skill over the base rate is {params['skill']:.2%} (95% interval "
        f"{params['skill_low']:.2%} to {params['skill_high']:.2%}), so that no skill is shown."
    )


def _moved(params: Params) -> str:
    """Return sentences about all alerts of checks without labels; may be empty."""
    parts = [f" {text}" for text in params["support"]]
    if params["columns"]:
        parts.append(f" Moved far from the {params['reference']}: {_listed(params['columns'])}.")
    if params["outputs"]:
        parts.append(f" Its answers moved too: {_listed(params['outputs'])}.")
    return "".join(parts)


def _columns(checks: Sequence[Check], verdict: Verdict) -> list[str]:
    """Return the columns with an input check of this verdict."""
    return sorted(
        {
            check.code.split(".", 1)[1]
            for check in checks
            if check.group == "input" and check.verdict == verdict
        }
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
