"""Retraining policies: from reports to a decision, with reasons.

Only a check of performance or calibration can trigger a retraining. Where a policy triggers none,
the verdict of the newest report says what a person can do, as on Monitor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.platform.messages import Message, Words, plural
from core.platform.own_columns import PROBABILITY
from core.retraining.policy_evidence import Window, forecasts, listed, sentence, with_labels
from core.retraining.policy_settings import Policy as Policy
from core.stats.check import FIND_OUT, FIND_OUT_ONLY
from core.stats.forecast import DAY

Code = Literal["retrain", "wait", "investigate", "person", "none"]
# Evidence that supports a trend, and is never a reason alone.
SUPPORTING = ("psi." + PROBABILITY, "ks." + PROBABILITY)
NOTHING = Message("Nothing to do.")
BY_HAND = Message("Choose a policy, or retrain by hand with a reason.")
NOT_PROMOTED = Message(
    "The challenger trained on this report was not promoted: decide on Registry, or train on other "
    "features or rows."
)
MONITOR = Message("Score rows, add their labels, and monitor.")
MORE_WINDOWS = Message("The policy waits for more windows")
USED = Message(
    "An earlier retraining was based on these windows: the same evidence does not count twice."
)
RETRAINED = Message(
    "A challenger with the same recipe is trained on the newer labels and goes through the gate."
)


@dataclass(frozen=True)
class Decision:
    """What to do, why, and the reports behind it.

    Parameters
    ----------
    code : {"retrain", "wait", "investigate", "person", "none"}
        "wait" lacks evidence; "person" leaves a bad verdict to a person, as the strategy does not
        handle it; "none" has no reason to act.
    title : Message
        In a few words.
    reasons : tuple of Message
        A sentence each.
    evidence : tuple of str
        Run ids of the reports.
    action : str
        What the newest report's verdict advises, if `todo` says the same; else empty.
    """

    code: Code
    title: Words
    reasons: tuple[Words, ...]
    evidence: tuple[str, ...]
    todo: Words
    action: str = ""


def decide(
    policy: Policy,
    windows: Sequence[Window],
    *,
    trained_at: float,
    now: float,
    used: Collection[str] = (),
    retrained_at: float | None = None,
    waiting: Words | None = None,
) -> Decision:
    """Decide whether to retrain.

    Parameters
    ----------
    windows : sequence of Window
        Of the current champion only, oldest first, without overlap; see `apart`.
    trained_at, now : float
        When the champion was trained, and now; seconds since 1970.
    used : collection of str
        Windows that an earlier retraining of this champion was based on: the same evidence does not
        count twice, so reactive ignores them, and a forecast waits for n new ones.
    retrained_at : float, optional
        When this champion was last retrained, without being replaced.
    waiting : str or Message, optional
        Name of a challenger that passed the gate and waits for a person: nothing is retrained
        meanwhile.

    Examples
    --------
    >>> bad = Window("a1", 0, DAY, 500, 500, {"skill": -0.01}, {"skill": "alert"},
    ...     {"skill": "performance"}, {"skill": (0.0, None)})
    >>> decide(Policy(strategy="reactive", k=1, n=1), [bad], trained_at=0, now=DAY).code
    'retrain'
    >>> moved = Window("a2", 0, DAY, 500, 0, {"psi.x": 3.0}, {"psi.x": "alert"},
    ...     {"psi.x": "input"}, {"psi.x": (None, 0.2)})
    >>> decide(Policy(strategy="reactive", k=1, n=1), [moved], trained_at=0, now=DAY).code
    'investigate'
    """
    strategy = {"reactive": _reactive, "predictive": _predictive}.get(policy.strategy)
    if not policy.is_on:
        todo = BY_HAND if windows else MONITOR
        decided = Decision("none", Message("No policy: a person decides"), (), (), todo)
    elif strategy:
        decided = strategy(policy, windows, used=used, now=now)
    else:
        decided = _calendar(policy, trained_at=max(trained_at, retrained_at or 0.0), now=now)
    own, newest = decided.code, windows[-1] if windows else None
    if newest is not None and own != "retrain":
        decided = _advised(policy, newest, decided, is_used=newest.run_id in used)
    if waiting is not None and not {own, decided.code}.isdisjoint(("retrain", "wait", "person")):
        return Decision(
            "wait",
            Message("{name}: {value}", name=waiting, value=Message("waits for a person")),
            decided.reasons,
            decided.evidence,
            Message("Promote it, or retrain by hand with a reason."),
        )
    return decided


def _advised(policy: Policy, newest: Window, decided: Decision, *, is_used: bool) -> Decision:
    """Return a decision not to retrain with the advice of the newest report's verdict.

    A verdict for which the policy has no answer becomes the decision; nothing is retrained by it:
    with too few labels even a good model shows no skill.
    """
    verdict = newest.verdict or _verdict(newest)
    bad, moved = newest.alerts(performance=True), newest.alerts(performance=False)
    in_alert = Message("In alert: {checks}.", checks=listed(bad or moved)) if bad or moved else ""
    code, title = decided.code, decided.title
    # a reactive or predictive policy answers to bad performance itself, when it has the windows
    if verdict == "does_not_fit" and code == "none":
        code, title = "person", Message("The model does not fit: a person decides")
    elif verdict == "no_skill":
        code, title = "person", Message("No skill is shown: a person decides")
    elif verdict == "investigate":
        code, title = "investigate", Message("Investigate the input, do not retrain")
    elif verdict == "cannot_tell" and code == "none" and policy.strategy != "calendar":
        code, title = "wait", Message("Wait for labels: no skill shown yet")
    is_own = code == decided.code and title is decided.title
    advised = decided
    if not is_own:
        reasons = (newest.why, in_alert, *decided.reasons)
        advised = Decision(
            code,
            title,
            tuple(reason for reason in reasons if reason),
            tuple(dict.fromkeys((newest.run_id, *decided.evidence))),
            decided.todo,
        )
    if is_used and newest.action in ("", "retrain") and verdict == "does_not_fit":
        return replace(advised, todo=NOT_PROMOTED)
    if newest.action and newest.todo:
        return replace(advised, todo=newest.todo, action=newest.action)
    if verdict == "investigate":
        return replace(advised, todo=FIND_OUT_ONLY if with_labels(policy, [newest]) else FIND_OUT)
    return replace(advised, todo=BY_HAND) if code == "person" else advised


def _verdict(window: Window) -> str:
    """Return the verdict that the alerts of a report without a stored one imply."""
    if window.alerts(performance=True):
        return "does_not_fit"
    return "investigate" if window.alerts(performance=False) else ""


def _no_windows(policy: Policy, windows: Sequence[Window], wanted: int) -> Decision:
    """Wait for windows: state how many more."""
    labelled = with_labels(policy, windows)
    return Decision(
        "wait",
        MORE_WINDOWS,
        (
            Message(
                "{count:,} of {windows:,} windows have at least {min_labels:,} labels; {wanted} "
                "are needed.",
                count=len(labelled),
                windows=len(windows),
                min_labels=policy.min_labels,
                wanted=wanted,
            ),
        ),
        tuple(window.run_id for window in labelled),
        MONITOR,
    )


def _reactive(
    policy: Policy, windows: Sequence[Window], *, used: Collection[str], now: float
) -> Decision:
    labelled = with_labels(policy, windows)
    fresh = [window for window in labelled if window.run_id not in used][-policy.n :]
    bad = [window for window in fresh if window.alerts(performance=True)]
    if len(bad) >= policy.k:
        return Decision(
            "retrain",
            Message("Retrain: performance is in alert"),
            (_in_alert(policy, bad, fresh),),
            tuple(window.run_id for window in bad),
            RETRAINED,
        )
    if labelled and not fresh:
        return Decision(
            "wait",
            MORE_WINDOWS,
            (USED,),
            tuple(window.run_id for window in labelled[-policy.n :]),
            MONITOR,
        )
    if bad:
        return Decision(
            "wait",
            MORE_WINDOWS,
            (_in_alert(policy, bad, fresh),),
            tuple(window.run_id for window in bad),
            MONITOR,
        )
    if len(fresh) < policy.k:
        return _no_windows(policy, windows, policy.k)
    return Decision(
        "none",
        Message("No reason to retrain"),
        (
            plural(
                "No check of performance or calibration is in alert in the last window with "
                "enough labels.",
                "No check of performance or calibration is in alert in the last {count:,} windows "
                "with enough labels.",
                len(fresh),
            ),
        ),
        tuple(window.run_id for window in fresh),
        NOTHING,
    )


def _predictive(
    policy: Policy, windows: Sequence[Window], *, used: Collection[str], now: float
) -> Decision:
    after_the_fact = _reactive(policy, windows, used=used, now=now)
    if after_the_fact.code == "retrain":
        return after_the_fact
    labelled = with_labels(policy, windows)
    if len(labelled) < policy.min_windows:
        return _no_windows(policy, windows, policy.min_windows)
    # a trend is as recent as its newest window
    start = min(now, labelled[-1].end)
    known = forecasts(policy, windows, now=start)
    evidence = tuple(window.run_id for window in labelled)
    trends = tuple(sentence(expected) for expected in known)
    horizon = start + policy.horizon_days * DAY
    near = [
        expected
        for expected in known
        if expected.trend.crossing_high is not None and expected.trend.crossing_high <= horizon
    ]
    if near:
        fresh = sum(window.run_id not in used for window in labelled)
        reasons = tuple(sentence(expected) for expected in near) + _supporting(labelled[-1])
        if used and fresh < policy.n:
            return Decision("wait", MORE_WINDOWS, (USED, *reasons), evidence, MONITOR)
        return Decision(
            "retrain",
            Message("Retrain: a limit will be crossed within the horizon"),
            reasons,
            evidence,
            RETRAINED,
        )
    if after_the_fact.code == "wait":
        return after_the_fact
    return Decision(
        "none",
        Message("No limit is certain to be crossed within {days:g} days", days=policy.horizon_days),
        trends or (Message("The reports have none of the metrics whose trends count."),),
        evidence,
        NOTHING,
    )


def _in_alert(policy: Policy, bad: Sequence[Window], fresh: Sequence[Window]) -> Message:
    codes = dict.fromkeys(code for window in bad for code in window.alerts(performance=True))
    return Message(
        "In alert in {bad} of {windows} windows: {checks}. {k} of the last {n} trigger a "
        "retraining.",
        bad=len(bad),
        windows=len(fresh),
        checks=listed(list(codes)),
        k=policy.k,
        n=policy.n,
    )


def _supporting(newest: Window) -> tuple[Message, ...]:
    moved = [code for code in SUPPORTING if newest.verdicts.get(code) in ("warning", "alert")]
    if not moved:
        return ()
    return (Message("Changed: {checks}.", checks=listed(moved)),)


def _calendar(policy: Policy, *, trained_at: float, now: float) -> Decision:
    days = (now - trained_at) / DAY
    reason = Message(
        "{days:,.1f} days have passed since the last training; a retraining is due every "
        "{every_days:g} days.",
        days=days,
        every_days=policy.every_days,
    )
    if days >= policy.every_days:
        return Decision("retrain", Message("Retrain: it is due"), (reason,), (), RETRAINED)
    left = policy.every_days - days
    return Decision("none", Message("Due in {days:,.1f} days", days=left), (reason,), (), NOTHING)
