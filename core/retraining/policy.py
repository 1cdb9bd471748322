"""Retraining policies: from reports to a decision, with reasons.

Only a check of performance or calibration can trigger a retraining. Changes of the inputs, the
predictions or the support call for an investigation by a person.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from core.platform.messages import Message, Words, plural
from core.platform.own_columns import PROBABILITY
from core.retraining.policy_evidence import Window, forecasts, listed, sentence, with_labels
from core.retraining.policy_settings import Policy as Policy
from core.stats.forecast import DAY

Code = Literal["retrain", "wait", "investigate", "person", "none"]
# Evidence that supports a forecast, and is never a reason alone.
SUPPORTING = ("psi." + PROBABILITY, "ks." + PROBABILITY)
NOTHING = Message("Nothing to do.")
RETRAINED = Message(
    "A challenger with the same recipe is trained on the newer labels and goes through the gate."
)


@dataclass(frozen=True)
class Decision:
    """What to do, why, and the reports behind it.

    Parameters
    ----------
    code : {"retrain", "wait", "investigate", "person", "none"}
        "wait" lacks evidence; "person" leaves a performance alert to a person, as the strategy does
        not handle it; "none" has no reason to act.
    title : Message
        In a few words.
    reasons : tuple of Message
        A sentence each.
    evidence : tuple of str
        Run ids of the reports.
    todo : Message
        What to do next.
    """

    code: Code
    title: Words
    reasons: tuple[Words, ...]
    evidence: tuple[str, ...]
    todo: Words


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
        decided = Decision(
            "none",
            Message("No policy: a person decides"),
            (Message("No strategy is chosen."),),
            (),
            Message("Choose a strategy, or retrain by hand with a reason."),
        )
    elif strategy:
        decided = strategy(policy, windows, used=used, now=now)
    else:
        decided = _calendar(policy, trained_at=max(trained_at, retrained_at or 0.0), now=now)
    bad = windows[-1].alerts(performance=True) if windows else []
    if decided.code == "none" and bad and not strategy:
        return Decision(
            "person",
            Message("The model does not fit: a person decides"),
            (
                Message("In alert in the newest report: {checks}.", checks=listed(bad)),
                *decided.reasons,
            ),
            (windows[-1].run_id,),
            Message(
                "Retrain by hand with a reason, or choose a strategy that reacts to performance."
            ),
        )
    if decided.code in ("retrain", "wait") and waiting is not None:
        return Decision(
            "wait",
            Message("A challenger is waiting"),
            (
                Message("{challenger} is waiting for a person.", challenger=waiting),
                *decided.reasons,
            ),
            decided.evidence,
            Message("Promote it, or retrain by hand with a reason."),
        )
    decided = _unshown(policy, windows, decided)
    moved = windows[-1].alerts(performance=False) if windows else []
    if decided.code == "retrain" or not moved or windows[-1].run_id in used:
        return decided
    reason = Message(
        "In alert, but not performance: {checks}. That alone is no reason to retrain: the model "
        "may still be right, or the input wrong.",
        checks=listed(moved),
    )
    if any(windows[-1].alerts(performance=True)):
        return Decision(
            decided.code, decided.title, (*decided.reasons, reason), decided.evidence, decided.todo
        )
    return Decision(
        "investigate",
        Message("Investigate the input, do not retrain"),
        (reason, *decided.reasons),
        tuple(dict.fromkeys((windows[-1].run_id, *decided.evidence))),
        Message(
            "Find out why it changed (another way of recording, new or missing kinds of rows), and "
            "bring labels."
        ),
    )


def _unshown(policy: Policy, windows: Sequence[Window], decided: Decision) -> Decision:
    """Return the decision when nothing is in alert, but the newest labels show no skill either.

    That alone retrains nothing: with too few labels even a good model shows no skill.
    """
    labelled = with_labels(policy, windows)
    if decided.code != "none" or not labelled or policy.strategy == "calendar":
        return decided
    newest = labelled[-1]
    if newest.verdict == "cannot_tell":
        return Decision(
            "wait",
            Message("Wait for labels: no skill shown yet"),
            (
                Message("The newest window has too few labels to show a skill over the base rate."),
                *decided.reasons,
            ),
            (newest.run_id,),
            Message("Bring more labels, then monitor again."),
        )
    if newest.verdict == "no_skill":
        return Decision(
            "investigate",
            Message("Investigate: no skill shown"),
            (
                Message("In the newest window the model is not better than the base rate."),
                *decided.reasons,
            ),
            (newest.run_id,),
            Message("Train on better features or other rows; a person decides."),
        )
    return decided


def _no_windows(policy: Policy, windows: Sequence[Window], wanted: int) -> Decision:
    """Wait for windows: state how many more."""
    labelled = with_labels(policy, windows)
    few = len(windows) - len(labelled)
    reasons = [
        plural(
            "This champion has {count:,} window with enough labels; {wanted} are needed.",
            "This champion has {count:,} windows with enough labels; {wanted} are needed.",
            len(labelled),
            wanted=wanted,
        )
    ]
    if few:
        reasons.append(
            plural(
                "{count:,} window has fewer than {min_labels:,} labels and does not count.",
                "{count:,} windows have fewer than {min_labels:,} labels and do not count.",
                few,
                min_labels=policy.min_labels,
            )
        )
    return Decision(
        "wait",
        plural(
            "Wait for {count:,} more window",
            "Wait for {count:,} more windows",
            wanted - len(labelled),
        ),
        tuple(reasons),
        tuple(window.run_id for window in labelled),
        Message("Score rows, bring their labels, and monitor."),
    )


def _reactive(
    policy: Policy, windows: Sequence[Window], *, used: Collection[str], now: float
) -> Decision:
    labelled = with_labels(policy, windows)
    fresh = [window for window in labelled if window.run_id not in used][-policy.n :]
    bad = [window for window in fresh if window.alerts(performance=True)]
    if len(bad) >= policy.k:
        codes = list(
            dict.fromkeys(code for window in bad for code in window.alerts(performance=True))
        )
        return Decision(
            "retrain",
            Message("Retrain: performance is in alert"),
            (
                Message(
                    "In alert in {bad} of {windows} windows: {checks}. {k} of the last {n} trigger "
                    "a retraining.",
                    bad=len(bad),
                    windows=len(fresh),
                    checks=listed(codes),
                    k=policy.k,
                    n=policy.n,
                ),
            ),
            tuple(window.run_id for window in bad),
            RETRAINED,
        )
    if labelled and not fresh:
        return Decision(
            "wait",
            Message("Wait for new windows"),
            (
                Message(
                    "All windows were the basis of an earlier retraining; the same evidence does "
                    "not count twice."
                ),
            ),
            tuple(window.run_id for window in labelled[-policy.n :]),
            Message("Monitor when new rows are scored and labelled."),
        )
    if bad:
        return Decision(
            "wait",
            plural(
                "In alert in {count:,} window; {k} are needed",
                "In alert in {count:,} windows; {k} are needed",
                len(bad),
                k=policy.k,
            ),
            (
                Message(
                    "In alert: {checks}. {k} of the last {n} windows trigger a retraining: a "
                    "single one may be chance.",
                    checks=listed(bad[-1].alerts(performance=True)),
                    k=policy.k,
                    n=policy.n,
                ),
            ),
            tuple(window.run_id for window in bad),
            Message("Monitor again when new rows are scored and labelled."),
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
        return Decision(
            "retrain",
            Message("Retrain: performance is in alert already"),
            (Message("No trend is needed any more."), *after_the_fact.reasons),
            after_the_fact.evidence,
            after_the_fact.todo,
        )
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
            return Decision(
                "wait",
                plural(
                    "Wait for {count:,} new window",
                    "Wait for {count:,} new windows",
                    policy.n - fresh,
                ),
                (Message("This trend was the basis of an earlier retraining."), *reasons),
                evidence,
                Message("Monitor when new rows are scored and labelled."),
            )
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


def _supporting(newest: Window) -> tuple[Message, ...]:
    moved = [code for code in SUPPORTING if newest.verdicts.get(code) in ("warning", "alert")]
    if not moved:
        return ()
    return (
        Message(
            "The predicted probabilities moved too, which supports it: {checks}.",
            checks=listed(moved),
        ),
    )


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
