"""A check, its limits and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["ok", "warning", "alert", "not_applicable"]
Group = Literal["performance", "input", "output", "support", "split"]
VerdictCode = Literal[
    "fits", "watch", "investigate", "does_not_fit", "no_skill", "cannot_tell", "unknown"
]
Interval = tuple[float, float]
# What a threshold does if precision and recall are uninformative.
THRESHOLD_TEXTS = {
    "none_positive": "No row reaches the threshold: it labels every row 0.",
    "all_positive": "Every row reaches the threshold: it labels every row 1.",
    "no_true_positive": "No true positives: none of the rows that it labels 1 is a 1.",
}
THRESHOLD_TODO = "Choose another threshold, by F1 or by cost: on Registry, or when you train."


@dataclass(frozen=True)
class Limit:
    """Values beyond which a check is a warning or an alert, in the value's unit.

    Parameters
    ----------
    warning_low, warning_high, alert_low, alert_high : float or None
        None if there is no limit on that side.
    source : {"fixed", "learned", "set"}
        "fixed": a rule of thumb. "learned": the larger of that and what chance causes in windows of
        this size. "set": chosen by a person.
    """

    warning_low: float | None = None
    warning_high: float | None = None
    alert_low: float | None = None
    alert_high: float | None = None
    source: Literal["learned", "set", "fixed"] = "fixed"

    def judge(self, value: float, interval: Interval | None = None) -> Verdict:
        """Return the verdict on a value, or on the better end of its interval if one is given.

        Examples
        --------
        >>> limit = Limit(warning_low=0.01, alert_low=0.0)
        >>> limit.judge(0.02), limit.judge(0.005), limit.judge(-0.1), limit.judge(-0.1, (-0.2, 0.1))
        ('ok', 'warning', 'alert', 'ok')
        """
        low, high = interval or (value, value)
        for verdict, below, above in (
            ("alert", self.alert_low, self.alert_high),
            ("warning", self.warning_low, self.warning_high),
        ):
            if (below is not None and high < below) or (above is not None and low > above):
                return verdict  # type: ignore[return-value]
        return "ok"

    def words(self) -> str:
        """Return the limits in words.

        Examples
        --------
        >>> Limit(warning_high=0.1, alert_high=0.2).words()
        'warning above 0.1, alert above 0.2'
        >>> Limit(-0.02, 0.02, -0.05, 0.05, "learned").words()
        'warning below -0.02 or above 0.02, alert below -0.05 or above 0.05; as chance alone allows'
        """
        parts = []
        for name, below, above in (
            ("warning", self.warning_low, self.warning_high),
            ("alert", self.alert_low, self.alert_high),
        ):
            sides = [
                f"{side} {value:.3g}"
                for side, value in (("below", below), ("above", above))
                if value is not None
            ]
            if sides:
                parts.append(f"{name} {' or '.join(sides)}")
        end = {"fixed": "", "learned": "; as chance alone allows", "set": "; set by a person"}
        return ", ".join(parts) + (end[self.source] if parts else "")


@dataclass(frozen=True)
class Check:
    """One question about the current rows, with its verdict.

    Parameters
    ----------
    code : str
        Stable name, e.g. `skill`, `psi.lat`.
    title : str
        Name shown to people.
    group : {"performance", "input", "output", "support", "split"}
        Only performance checks need labels. Input checks look at the columns, output checks at the
        predictions, support checks at whether the rows lie within the training data; split checks
        compare train and test.
    value, reference : float or None
        On the current and on the reference rows.
    low, high : float or None
        95% interval of the value.
    threshold : str
        The limits in words.
    text : str
        What the result means; for `not_applicable` the reason.
    todo : str
        What to do about it; may be empty.
    warning_low, warning_high, alert_low, alert_high : float or None
        The limits as numbers, in the value's unit: an alert below `alert_low` or above
        `alert_high`, a warning likewise; None if there is no limit on that side.
    state : str
        Code of a special case, mostly empty: one of THRESHOLD_TEXTS (f1, precision, recall),
        `lower_by_base_rate` (log_loss, brier_score), `few_labels` or `one_class`. If not
        applicable, the reason: `reference_empty`, `current_empty` (no row has a value), `no_limit`
        (chance can cause any value), `failed` (the computation failed; the log says why).
    """

    code: str
    title: str
    group: Group
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
    state: str = ""


@dataclass(frozen=True)
class Conclusion:
    """The overall verdict of all checks.

    Parameters
    ----------
    code : {"fits", "watch", "investigate", "does_not_fit", "no_skill", "cannot_tell", "unknown"}
    title, text, todo : str
        The verdict in a few words, why, and what to do next, from `verdicts.sentences`.
    params : mapping
        The values in those sentences, from `verdicts.conclude`.
    """

    code: VerdictCode
    title: str
    text: str
    todo: str
    params: Mapping[str, Any] = field(default_factory=dict)
