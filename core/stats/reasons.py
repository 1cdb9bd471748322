"""The reason for a verdict: at most three facts about the rows, as clauses of one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.platform.messages import Message, Words
from core.stats.check import Check, threshold_fact

MOST_FACTS, MOST_COLUMNS = 3, 3
# a ROC AUC closer to 0.5 than this ranks little better than chance
NEAR_CHANCE = 0.05
# the order of the facts; precision and recall are left to F1
_ORDER = ("roc_auc", "skill", "skill_reference_rate", "f1", "precision", "recall", "calibration")
AT_THRESHOLD = ("f1", "precision", "recall")
# of the values of the probabilities; the ranking does not count
OF_CALIBRATION = ("calibration", "calibration_error", "brier_score", "log_loss")


def facts(
    checks: Sequence[Check], positive: Words = "1", *, first: Sequence[str] = ()
) -> list[Words]:
    """Return why a model does not fit: the support of the rows, then the checks in alert.

    Parameters
    ----------
    positive : str or Message
        What the positive class is called.
    first : sequence of str
        Codes of the checks that come before all else.

    Examples
    --------
    >>> auc = Check("roc_auc", "ROC AUC", "performance", 0.539, 0.601, "", "alert", "")
    >>> f1 = Check("f1", "F1", "performance", 0.0, 0.5, "", "alert", "", state="none_positive")
    >>> str(facts([f1, auc], "made")[0])
    'it ranks little better than chance (ROC AUC 0.539; chance is 0.5)'
    >>> str(facts([f1, auc], "made")[1])
    "no row is predicted 'made'"
    """
    alarmed = {check.code: check for check in checks if check.verdict == "alert"}
    f1 = next((check for check in checks if check.code == "f1"), None)
    if f1 is not None and f1.state and f1.value is not None and f1.verdict != "ok":
        alarmed |= {"f1": f1}
    own = [check for check in alarmed.values() if check.group == "performance"]
    codes = {check.code for check in own}
    leading: list[Words] = []
    clauses = [_where(checks, alarmed)]
    for check in sorted(own, key=_place):
        is_repeated = (check.code in AT_THRESHOLD[1:] and "f1" in codes) or (
            check.code in ("skill_reference_rate", "log_loss") and "skill" in codes
        )
        is_repeated |= check.code == "calibration_error" and "calibration" in codes
        if not is_repeated:
            (leading if check.code in first else clauses).append(_of(check, positive))
    return [clause for clause in (*leading, *clauses) if clause][:MOST_FACTS]


def moved_columns(checks: Sequence[Check], verdict: str) -> list[str]:
    """Return the columns with an input check of this verdict, those with the largest value first.

    Examples
    --------
    >>> moved_columns([Check("psi.x", "PSI", "input", 0.3, None, "", "alert", ""),
    ...                Check("psi.y", "PSI", "input", 2.3, None, "", "alert", "")], "alert")
    ['y', 'x']
    """
    largest: dict[str, float] = {}
    for check in checks:
        if check.group == "input" and check.verdict == verdict:
            column = check.code.partition(".")[2]
            largest[column] = max(largest.get(column, 0.0), check.value or 0.0)
    return sorted(largest, key=lambda column: (-largest[column], column))


def _where(checks: Sequence[Check], alarmed: Mapping[str, Check]) -> Words:
    """Return how many rows are unlike the known ones, else which columns moved."""
    outside = alarmed.get("outside_support")
    if outside is not None and outside.value is not None:
        return Message(
            "{share:.1%} of the rows are outside the data it was tested on", share=outside.value
        )
    columns = moved_columns(checks, "alert")[:MOST_COLUMNS]
    return Message("the distribution of {columns} changed", columns=columns) if columns else ""


def _of(check: Check, positive: Words) -> Words:
    value, before = check.value, check.reference
    if value is None:
        return check.title
    if check.state and check.code in AT_THRESHOLD:
        return threshold_fact(check.state, positive)
    if before is None:
        return check.title
    if check.code == "roc_auc" and value - 0.5 < NEAR_CHANCE:
        return Message(
            "it ranks little better than chance (ROC AUC {value:.3f}; chance is 0.5)", value=value
        )
    if check.code == "calibration" and isinstance(check.text, Message):
        return Message(
            "the mean prediction is {predicted:.1%} against {observed:.1%} observed",
            **check.text.params,
        )
    if check.code in ("skill", "skill_reference_rate") and value <= 0:
        return Message("always predicting the base rate does better")
    return Message(
        "{check} is {value:.3f} instead of {before:.3f}",
        check=check.title,
        value=value,
        before=before,
    )


def _place(check: Check) -> int:
    return _ORDER.index(check.code) if check.code in _ORDER else len(_ORDER)
