"""A check, its limits and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.platform.messages import NOTHING, Message, Words

Verdict = Literal["ok", "warning", "alert", "not_applicable"]
Group = Literal["performance", "input", "output", "support", "split"]
VerdictCode = Literal[
    "fits", "watch", "investigate", "does_not_fit", "no_skill", "cannot_tell", "unknown"
]
# the one thing to do about a verdict
Action = Literal["threshold", "train_rows", "train", "retrain", "label", "investigate", "wait"]
Interval = tuple[float, float]
VERDICT_LABELS: dict[str, Message] = {
    "ok": Message("ok"),
    "warning": Message("warning"),
    "alert": Message("alert"),
    "not_applicable": Message("not applicable"),
}
CONCLUSION_LABELS: dict[str, Message] = {
    "fits": Message("fits"),
    "watch": Message("watch"),
    "investigate": Message("investigate"),
    "does_not_fit": Message("does not fit"),
    "no_skill": Message("no skill"),
    "cannot_tell": Message("cannot tell"),
    "unknown": Message("unknown"),
}
GROUP_LABELS: dict[str, Message] = {
    "performance": Message("Performance, with labels"),
    "output": Message("Predictions, without labels"),
    "support": Message("Rows within the training data"),
    "input": Message("Input columns"),
    "split": Message("Split quality"),
}
THRESHOLD_TODO = Message("Choose another threshold, by F1 or by cost.")
# Texts and actions that several checks share.
ONE_CLASS = Message("All labels are the same: both classes are needed.")
ADD_LABELS = Message("Add labels for these rows, then monitor again.")
FIND_OUT = Message(
    "Find out why the input changed, and add labels. Changed input alone is no reason to retrain."
)
TRAIN_OTHERS = Message(
    "Train with other features or candidates; until then, don't use its predictions for these rows."
)
FIND_OUT_ONLY = Message("Find out why the input changed. That alone is no reason to retrain.")
MORE_ROWS = Message("Wait for more rows, or choose a longer window.")
# With a smaller share of training rows among them, rows are as good as new.
FEW_TRAINED_ON = 0.01
# How far a column has moved.
CHANGE_LABELS: dict[str, Message] = {
    "ok": Message("Stable"),
    "warning": Message("Changed"),
    "alert": Message("Changed a lot"),
}


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

    def words(self) -> Message:
        """Return the limits in words; empty if there are none.

        Examples
        --------
        >>> str(Limit(warning_high=0.1, alert_high=0.2).words())
        'warning: above 0.1, alert: above 0.2'
        >>> str(Limit(-0.02, 0.02, -0.05, 0.05, "learned").words())
        'warning: below -0.02 or above 0.02, alert: below -0.05 or above 0.05; adjusted for chance'
        >>> str(Limit(warning_high=0.4051, alert_high=0.4052).words())
        'alert: above 0.405'
        """
        warning = _beyond("warning", self.warning_low, self.warning_high)
        alert = _beyond("alert", self.alert_low, self.alert_high)
        # of limits that read the same, one is enough
        is_same = _rounded(self.warning_low, self.warning_high) == _rounded(
            self.alert_low, self.alert_high
        )
        if warning and alert and not is_same:
            limits = Message("{first}, {second}", first=warning, second=alert)
        else:
            limits = alert or warning
        if not limits or self.source == "fixed":
            return limits
        if self.source == "learned":
            return Message("{limits}; adjusted for chance", limits=limits)
        return Message("{limits}; set by a person", limits=limits)


def _rounded(low: float | None, high: float | None) -> list[str]:
    return ["" if value is None else f"{value:.3g}" for value in (low, high)]


def _beyond(verdict: Verdict, low: float | None, high: float | None) -> Message:
    """Return where values have this verdict; empty if there is no limit."""
    if low is None and high is None:
        return NOTHING
    if low is not None and high is not None:
        values = Message("below {low:.3g} or above {high:.3g}", low=low, high=high)
    elif low is not None:
        values = Message("below {low:.3g}", low=low)
    else:
        values = Message("above {high:.3g}", high=high)
    return Message("{name}: {value}", name=VERDICT_LABELS[verdict], value=values)


def threshold_fact(state: str, positive: Words = "1") -> Message:
    """Return what a threshold does that leaves precision and recall uninformative, as a clause.

    Parameters
    ----------
    state : {"none_positive", "all_positive", "no_true_positive"}
    positive : str or Message
        What the positive class is called.
    """
    return {
        "none_positive": Message("no row is predicted '{positive}'", positive=positive),
        "all_positive": Message("every row is predicted '{positive}'", positive=positive),
        "no_true_positive": Message(
            "no row predicted '{positive}' is actually '{positive}'", positive=positive
        ),
    }[state]


def trained_on(share: float) -> Words:
    """Return what it means that a model was trained on a share of the rows; empty for few."""
    return (
        ""
        if share < FEW_TRAINED_ON
        else Message(
            "{share:.0%} of these rows were in its training set: its performance on them is "
            "overestimated.",
            share=share,
        )
    )


def one_sentence(*facts: Words) -> Message:
    """Return clauses as one sentence.

    Examples
    --------
    >>> str(one_sentence(threshold_fact("none_positive", "made"), "its F1 is 0"))
    "No row is predicted 'made' and its F1 is 0."
    """
    return Message("{facts!c}.", facts=list(facts))


def find_out_why(columns: Words | list[str]) -> Message:
    """Return what to do about columns that changed."""
    return Message(
        "Find out why {columns} changed: recorded in another way, or a new kind of row.",
        columns=columns,
    )


@dataclass(frozen=True)
class Check:
    """One question about the current rows, with its verdict.

    Parameters
    ----------
    code : str
        Stable name, e.g. `skill`, `psi.lat`.
    group : {"performance", "input", "output", "support", "split"}
        Only performance checks need labels. Input checks compare the columns, output checks the
        predictions, support checks whether the rows are within the training data; split checks
        compare train and test.
    value, reference : float or None
        On the current and on the reference rows.
    low, high : float or None
        95% interval of the value.
    threshold : Message or str
        The limits in words.
    text : Message or str
        What the result means; for `not_applicable` the reason.
    todo : Message or str
        What to do about it; may be empty.
    warning_low, warning_high, alert_low, alert_high : float or None
        The limits as numbers, in the value's unit: an alert below `alert_low` or above
        `alert_high`, a warning likewise; None if there is no limit on that side.
    state : str
        Code of a special case, mostly empty: one of `threshold_fact` (f1, precision, recall),
        `lower_by_base_rate` (log_loss, brier_score), `few_labels` or `one_class`. If not
        applicable, the reason: `reference_empty`, `current_empty` (no row has a value), `no_limit`
        (chance can cause any value), `failed` (the computation failed; the log says why).
    """

    code: str
    title: Words
    group: Group
    value: float | None
    reference: float | None
    threshold: Words
    verdict: Verdict
    text: Words
    low: float | None = None
    high: float | None = None
    todo: Words = ""
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
    title, text, todo : Message or str
        The verdict in a few words, why, and what to do next, from `verdicts.wording`.
    params : mapping
        The values in those sentences, from `verdicts.conclude`.
    action : {"threshold", "train_rows", "train", "retrain", "label", "investigate", "wait"}
        What `todo` says: choose another threshold; train on rows like these, or with other features
        or candidates; retrain on newer rows; add labels; find out why the input changed; or wait.
    """

    code: VerdictCode
    title: Words
    text: Words
    todo: Words
    params: Mapping[str, Any] = field(default_factory=dict)
    action: Action = "wait"
