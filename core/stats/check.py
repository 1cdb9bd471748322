"""A check with its limits and its verdict: what a report is a list of."""

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
# What a threshold does where precision and recall say nothing of their own.
THRESHOLD_TEXTS = {
    "none_positive": "No row reaches the threshold: it labels every row 0.",
    "all_positive": "Every row reaches the threshold: it labels every row 1.",
    "no_true_positive": "No true positives: none of the rows that it labels 1 is a 1.",
}
THRESHOLD_TODO = "Choose another threshold, by F1 or by cost: on Registry, or when you train."


@dataclass(frozen=True)
class Limit:
    """From where a value is a warning and from where an alert, in the value's own unit.

    Parameters
    ----------
    warning_low, warning_high, alert_low, alert_high : float or None
        Beyond these; None where there is no limit on that side.
    source : {"fixed", "learned", "set"}
        What is usual; that, or what chance alone does in windows of that size where it is more;
        or what a person chose.
    """

    warning_low: float | None = None
    warning_high: float | None = None
    alert_low: float | None = None
    alert_high: float | None = None
    source: Literal["learned", "set", "fixed"] = "fixed"

    def judge(self, value: float, interval: Interval | None = None) -> Verdict:
        """Return the verdict on a value, judged by the better end of an interval if there is one.

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
    state : str
        What is special about the value, as a code: one of THRESHOLD_TEXTS (f1, precision, recall),
        `lower_by_base_rate` (log_loss, brier_score), `few_labels` or `one_class`. Of a check that
        is not applicable, why: `reference_empty`, `current_empty` (no row has a value), `no_limit`
        (chance alone may bring it anywhere), `failed` (it could not be computed; the log says
        why). Mostly empty.
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
    """What all checks say together.

    Parameters
    ----------
    code : {"fits", "watch", "investigate", "does_not_fit", "no_skill", "cannot_tell", "unknown"}
    title, text, todo : str
        The verdict in a few words, why, and what to do next, by `verdicts.sentences`.
    params : mapping
        What the sentences are made of, as `verdicts.conclude` puts it together.
    """

    code: VerdictCode
    title: str
    text: str
    todo: str
    params: Mapping[str, Any] = field(default_factory=dict)
