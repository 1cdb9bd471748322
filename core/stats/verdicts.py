"""The overall verdict of a report's checks: a code with parameters, and its sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from core.platform.messages import Message, Words, sentences
from core.platform.own_columns import shown
from core.stats import reasons
from core.stats.check import (
    ADD_LABELS,
    FEW_TRAINED_ON,
    FIND_OUT,
    FIND_OUT_ONLY,
    MORE_ROWS,
    THRESHOLD_TODO,
    TRAIN_OTHERS,
    Action,
    Check,
    Conclusion,
    VerdictCode,
    one_sentence,
    threshold_fact,
    trained_on,
)

_Z = 1.959964
_POWER_Z = 0.8416  # one-sided 80% of the normal distribution
Params = Mapping[str, Any]
Wording = tuple[Words, Words, Words]
# title, why, and details
Reason = tuple[Words, Words, Sequence[Words]]


def conclude(
    checks: Sequence[Check],
    current_name: Words,
    reference_name: Words,
    *,
    labels: int = 0,
    unlabelled: int | None = None,
    positive: Words = "1",
    is_other_kind: bool = False,
    trained_share: float = 0.0,
) -> Conclusion:
    """Return the overall verdict.

    Drifted inputs do not make a model bad, and a lower log loss does not make it good: only a
    performance check can say "does not fit". A model fits only if its skill over the base rate is
    shown (95% interval above 0), and on rows that it was not trained on. Otherwise `no_skill` says
    that the interval excludes the reference's skill too, or that the reference has none;
    `cannot_tell` that both are still possible, and how many labels would decide.

    Parameters
    ----------
    labels : int
        Labelled current rows, to compute how many are needed.
    unlabelled : int, optional
        Current rows without a label; None if unknown.
    positive : str or Message
        What the positive class is called.
    is_other_kind : bool
        Whether the current rows are of a kind that the model was not trained on.
    trained_share : float
        Share of the current rows that the model was trained on.

    Examples
    --------
    >>> stable = Check("psi.x", "PSI of x", "input", 0.0, 0.0, "", "ok", "")
    >>> conclude([stable], "new rows", "old rows").code
    'unknown'
    >>> skill = Check("skill", "Skill", "performance", 0.01, 0.02, "", "ok", "", -0.02, 0.04)
    >>> conclusion = conclude([skill], "new rows", "old rows", labels=500)
    >>> conclusion.code, conclusion.action, conclusion.params["labels_needed"]
    ('cannot_tell', 'label', 2300)
    """
    own = [check for check in checks if check.group == "performance"]
    judged = [check for check in own if check.verdict != "not_applicable"]
    alarmed = [check for check in checks if check.verdict == "alert"]
    by_code = {check.code: check for check in own}
    skill, loss, f1 = (by_code.get(code) for code in ("skill", "log_loss", "f1"))
    has_labels = any(check.value is not None for check in own) or bool(judged)
    lower = loss is not None and loss.state == "lower_by_base_rate"
    params: dict[str, Any] = {
        "rows": current_name,
        "reference": reference_name,
        "alerts": [check.code for check in judged if check.verdict == "alert"],
        "warnings": [check.title for check in judged if check.verdict == "warning"],
        "facts": reasons.facts(checks, positive),
        "reason": own[0].text if own and not has_labels else "",
        "support": [check.text for check in alarmed if check.group == "support"],
        "is_outside": any(check.code == "outside_support" for check in alarmed),
        "columns": reasons.moved_columns(checks, "alert"),
        "outputs": _outputs(check for check in alarmed if check.group == "output"),
        "odd": [
            *_outputs(c for c in checks if c.group == "output" and c.verdict == "warning"),
            *(c.title for c in checks if c.group == "support" and c.verdict == "warning"),
        ],
        "stirred": reasons.moved_columns(checks, "warning"),
        "threshold": f1.state if has_labels and f1 and f1.verdict != "ok" else "",
        "positive": positive,
        "details": [loss.text] if lower and loss is not None else [],
        "labels": labels,
        "unlabelled": unlabelled,
        "is_other_kind": is_other_kind and not trained_share,
        "trained_share": trained_share if has_labels and trained_share >= FEW_TRAINED_ON else 0.0,
        **(_skill(skill, labels) if has_labels else {}),
    }
    code = _code(params, has_labels=has_labels)
    params["action"] = _action(code, params)
    if params["action"] == "threshold":
        # first what the action is about
        params["facts"] = reasons.facts(checks, positive, first=reasons.AT_THRESHOLD)
    return Conclusion(code, *wording(code, params), params, params["action"])


def _outputs(checks: Iterable[Check]) -> list[Words]:
    """Return what of the predictions changed: the probability once, whatever measured it."""
    names = [
        shown(column) if (column := check.code.partition(".")[2]) else check.title
        for check in checks
    ]
    return list(dict.fromkeys(names))


def labels_needed(half_width: float, labels: int, skill: float) -> int:
    """Return how many labels show a skill with 80% power, rounded up to two digits.

    A skill is shown if its 95% interval is above 0; the half-width shrinks with the square root
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
    doubts = ("warnings", "odd", "threshold", "trained_share")
    return "watch" if any(params[doubt] for doubt in doubts) else "fits"


def _action(code: str, params: Params) -> Action:
    """Return the one thing to do about a verdict."""
    waits: Action = "label" if params["unlabelled"] != 0 else "wait"
    if code == "does_not_fit":
        alerts = set(params["alerts"])
        # no threshold helps against both
        is_both = not params["threshold"] and {"precision", "recall"} <= alerts
        if alerts <= set(reasons.AT_THRESHOLD) and not is_both:
            return "threshold"
        if params["is_other_kind"] and not alerts <= set(reasons.OF_CALIBRATION):
            return "train_rows"
        return "train" if params["trained_share"] else "retrain"
    if code == "no_skill":
        return "train_rows" if params["is_other_kind"] else "train"
    if code == "investigate":
        return "investigate"
    if code == "watch" and params["threshold"]:
        return "threshold"
    if code == "watch" and (waits == "wait" or not params["warnings"]):
        # the skill is shown: more labels would not say why something else changed
        return "investigate" if params["odd"] else "wait"
    return "wait" if code == "fits" else waits


def wording(code: str, params: Params) -> Wording:
    """Return title, reason and next step of a verdict; its only wording.

    The first sentence of the reason says why; the others are details.

    Examples
    --------
    >>> title, *_rest = wording("no_skill", {"rows": "new rows", "reference": "old rows",
    ...     "skill": -0.02, "skill_low": -0.09, "skill_high": 0.01, "skill_reference": 0.02})
    >>> str(title)
    'The model shows no skill on the new rows'
    """
    lists = ("alerts", "warnings", "facts", "support", "columns", "outputs", "odd", "stirred")
    full = {
        **dict.fromkeys((*lists, "details"), ()),
        "action": "train",
        "is_outside": True,
        **params,
    }
    title, why, details = _WORDING[code](full)
    trained = trained_on(full["trained_share"]) if full.get("trained_share") else ""
    state: Words = ""
    if (code_of := full.get("threshold")) and code != "does_not_fit":
        state = one_sentence(threshold_fact(code_of, full.get("positive", "1")))
    parts = (why, trained, *details, state)
    if full["action"] == "threshold":
        parts = (state, why, trained, *details)
    elif trained and code in ("fits", "watch"):
        # what looks good is judged on rows that the model knows
        parts = (trained, why, *details, state)
    return title, sentences(*parts), _todo(code, full)


def _todo(code: str, params: Params) -> Words:
    """Return what to do, in one sentence; where two things are to be done, one after the other."""
    needed, labels = params.get("labels_needed", 0), params.get("labels", 0)
    if code == "cannot_tell" and needed > labels:
        missing = needed - labels
        return Message("Add about {missing:,} more labels, then monitor again.", missing=missing)
    if code == "fits" or (code == "watch" and params["action"] == "wait"):
        return Message("Monitor again when new rows are scored.")
    if code == "does_not_fit" and set(params["alerts"]) <= set(reasons.OF_CALIBRATION):
        return Message(
            "Retrain on labelled {rows}; until then, use its ranking, not the values of its "
            "probabilities.",
            rows=params["rows"],
        )
    return {
        "threshold": THRESHOLD_TODO,
        "train_rows": Message(
            "Train on labelled {rows}; until then, use the model for {reference} only.",
            rows=params["rows"],
            reference=params["reference"],
        ),
        "train": TRAIN_OTHERS,
        "retrain": Message(
            "Retrain on labelled {rows}; until then, don't use its predictions for them.",
            rows=params["rows"],
        ),
        "label": ADD_LABELS,
        # labels that show the skill are enough of them
        "investigate": FIND_OUT_ONLY if params.get("is_skill_shown") else FIND_OUT,
        "wait": MORE_ROWS,
    }[params["action"]]


def _does_not_fit(params: Params) -> Reason:
    return (
        Message("The model does not fit the {rows}", rows=params["rows"]),
        one_sentence(*params["facts"]),
        [
            *params["details"],
            _weaker(params),
            # else the facts name the columns
            _changed([*(params["columns"] if params["is_outside"] else ()), *params["outputs"]]),
        ],
    )


def _no_skill(params: Params) -> Reason:
    return (
        Message("The model shows no skill on the {rows}", rows=params["rows"]),
        _interval(params),
        _moved(params),
    )


def _cannot_tell(params: Params) -> Reason:
    title = Message("Cannot tell whether the model fits the {rows}", rows=params["rows"])
    if "skill" not in params:
        return title, Message("The skill over the base rate has no interval here."), []
    needed, labels = params.get("labels_needed", 0), params.get("labels", 0)
    of_labels: Words = ""
    if labels and needed > labels:
        of_labels = Message(
            "About {needed:,} labels would show the skill of the {reference} "
            "({skill:.4f}); there are {labels:,}.",
            reference=params["reference"],
            skill=params["skill_reference"],
            needed=needed,
            labels=labels,
        )
    return title, _interval(params), [of_labels, _weaker(params)]


def _unknown(params: Params) -> Reason:
    return (
        Message("Unknown whether the model still fits"),
        _reason(params),
        [Message("The input is stable, but only labels show skill.")],
    )


def _investigate(params: Params) -> Reason:
    if "is_skill_shown" not in params:
        return (
            Message("The input changed, and there are no labels to evaluate the model"),
            *_first_of([*_moved(params), _reason(params)]),
        )
    has_interval = not params["is_skill_shown"] and "skill" in params
    return (
        Message("The input changed; performance is not in alert"),
        *_first_of(
            [
                *_moved(params),
                _weaker(params) or Message("No performance check is beyond its limits."),
                _interval(params) if has_interval else "",
            ]
        ),
    )


def _watch(params: Params) -> Reason:
    weaker, odd = _weaker(params), _changed(params["odd"])
    if odd and not weaker:
        odd = Message(
            "No performance check is beyond its limits, but this changed: {checks}.",
            checks=params["odd"],
        )
    parts = [odd, weaker] if params["action"] == "investigate" else [weaker, odd]
    return (
        Message("The model fits the {rows}, but watch it", rows=params["rows"]),
        *_first_of([*parts, _changed(params["stirred"])]),
    )


def _fits(params: Params) -> Reason:
    return (
        Message("The model fits the {rows}", rows=params["rows"]),
        Message("No performance check is beyond its limits."),
        [_changed(params["stirred"])],
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


def _first_of(parts: Sequence[Words]) -> tuple[Words, list[Words]]:
    first, *others = [part for part in parts if part] or [""]
    return first, others


def _reason(params: Params) -> Words:
    reason: Words = params.get("reason") or Message("There are no labels.")
    return reason


def _weaker(params: Params) -> Words:
    checks = params["warnings"]
    return Message("Weaker: {checks}.", checks=checks) if checks else ""


def _interval(params: Params) -> Message:
    return Message(
        "Its log loss is not significantly better than always predicting the base rate: its "
        "skill is {skill:.4f} (95% interval {low:.4f} to {high:.4f}), {known:.4f} on the "
        "{reference}.",
        skill=params["skill"],
        low=params["skill_low"],
        high=params["skill_high"],
        known=params["skill_reference"],
        reference=params["reference"],
    )


def _moved(params: Params) -> list[Words]:
    """Return sentences about all alerts of checks without labels; may be empty."""
    parts: list[Words] = list(params["support"])
    parts.append(_changed([*params["columns"], *params["outputs"]]))
    return parts


def _changed(names: Sequence[Words]) -> Words:
    return Message("Changed: {checks}.", checks=list(names)) if names else ""
