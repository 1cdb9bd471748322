"""Retraining policies: from reports to a decision, with reasons.

Only a check of performance or calibration can trigger a retraining. Changes of the inputs, the
predictions or the support call for an investigation by a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.platform.own_columns import PROBABILITY, shown
from core.retraining.policy_settings import Policy as Policy
from core.stats import forecast
from core.stats.forecast import DAY, Trend
from core.stats.metrics import TITLES

Code = Literal["retrain", "wait", "investigate", "person", "none"]
# Metrics of a window whose trend is estimated.
FORECAST = ("log_loss", "skill", "roc_auc", "calibration_error")
# Joint error rate of all their slopes, shared equally (Bonferroni).
ERROR_RATE = 0.05
# An estimate without labels does not count as performance.
ESTIMATED = "estimated_"
# Evidence that supports a forecast, and is never a reason alone.
SUPPORTING = ("psi." + PROBABILITY, "ks." + PROBABILITY)


@dataclass(frozen=True)
class Window:
    """The results of one report.

    Parameters
    ----------
    begin, end : float
        Of its rows, seconds since 1970.
    values, verdicts, groups : mapping of code to value
        Of its checks; `values` omits checks without one.
    limits : mapping of code to (alert_low, alert_high)
        None without a limit on that side.
    verdict : str
        Overall verdict, a code of `verdicts.conclude`.
    """

    run_id: str
    begin: float
    end: float
    rows: int
    labels: int
    values: Mapping[str, float]
    verdicts: Mapping[str, str]
    groups: Mapping[str, str]
    limits: Mapping[str, tuple[float | None, float | None]]
    verdict: str = ""

    def alerts(self, *, performance: bool) -> list[str]:
        """Return the codes in alert: those of performance and calibration, or all others."""
        return [
            code
            for code, verdict in self.verdicts.items()
            if verdict == "alert"
            and (self.groups.get(code) == "performance" and not code.startswith(ESTIMATED))
            == performance
        ]


@dataclass(frozen=True)
class Decision:
    """What to do, why, and the reports behind it.

    Parameters
    ----------
    code : {"retrain", "wait", "investigate", "person", "none"}
        "wait" lacks evidence; "person" leaves a performance alert to a person, as the strategy does
        not handle it; "none" has no reason to act.
    title : str
        In a few words.
    reasons : tuple of str
        A sentence each.
    evidence : tuple of str
        Run ids of the reports.
    todo : str
        What to do next.
    """

    code: Code
    title: str
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]
    todo: str


@dataclass(frozen=True)
class Forecast:
    """The trend of one metric."""

    code: str
    trend: Trend


def decide(
    policy: Policy,
    windows: Sequence[Window],
    *,
    trained_at: float,
    now: float,
    used: Collection[str] = (),
    retrained_at: float | None = None,
    waiting: str | None = None,
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
    waiting : str, optional
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
            "No policy: a person decides",
            ("The strategy is set to none.",),
            (),
            "Choose a strategy, or retrain by hand with a reason.",
        )
    elif strategy:
        decided = strategy(policy, windows, used=used, now=now)
    else:
        decided = _calendar(policy, trained_at=max(trained_at, retrained_at or 0.0), now=now)
    bad = windows[-1].alerts(performance=True) if windows else []
    if decided.code == "none" and bad and not strategy:
        return Decision(
            "person",
            "The model does not fit: a person decides",
            (f"In alert in the newest report: {listed(bad)}.", *decided.reasons),
            (windows[-1].run_id,),
            "Retrain by hand with a reason, or choose a strategy that answers to performance.",
        )
    if decided.code in ("retrain", "wait") and waiting is not None:
        return Decision(
            "wait",
            "A challenger waits already",
            (f"{waiting} waits.", *decided.reasons),
            decided.evidence,
            "Promote it, or retrain by hand with a reason.",
        )
    decided = _unshown(policy, windows, decided)
    moved = windows[-1].alerts(performance=False) if windows else []
    if decided.code == "retrain" or not moved or windows[-1].run_id in used:
        return decided
    reason = (
        f"In alert, but not performance: {listed(moved)}. That alone is no reason to retrain: the "
        "model may still be right, or the input be wrong."
    )
    if any(windows[-1].alerts(performance=True)):
        return Decision(
            decided.code, decided.title, (*decided.reasons, reason), decided.evidence, decided.todo
        )
    return Decision(
        "investigate",
        "Investigate the input, do not retrain",
        (reason, *decided.reasons),
        tuple(dict.fromkeys((windows[-1].run_id, *decided.evidence))),
        "Find out why it changed (a recording change, a new kind of row, no rows of some kind), "
        "and bring labels.",
    )


def _unshown(policy: Policy, windows: Sequence[Window], decided: Decision) -> Decision:
    """Return the decision when nothing is in alert, but the newest labels show no skill either.

    That alone retrains nothing: with too few labels even a good model shows no skill.
    """
    labelled = _labelled(policy, windows)
    if decided.code != "none" or not labelled or policy.strategy == "calendar":
        return decided
    newest = labelled[-1]
    if newest.verdict == "cannot_tell":
        return Decision(
            "wait",
            "Wait for labels: no skill is shown yet",
            (
                "The newest window has too few labels to show a skill over the base rate.",
                *decided.reasons,
            ),
            (newest.run_id,),
            "Bring more labels, then monitor again.",
        )
    if newest.verdict == "no_skill":
        return Decision(
            "investigate",
            "Investigate: no skill is shown",
            (
                "In the newest window the model does no better than always forecasting the base "
                "rate.",
                *decided.reasons,
            ),
            (newest.run_id,),
            "Train on better features or other rows; a person decides.",
        )
    return decided


def forecasts(policy: Policy, windows: Sequence[Window], *, now: float) -> list[Forecast]:
    """Return the trend of each metric of the windows, with its interval.

    The limits are those of the newest window with the metric. Empty with too few windows of
    different times with enough labels.
    """
    confidence = 1 - ERROR_RATE / len(FORECAST)
    projected = []
    for code in FORECAST:
        own = [window for window in _labelled(policy, windows) if code in window.values]
        if (
            len(own) < policy.min_windows
            or len({window.end for window in own}) < forecast.MIN_POINTS
        ):
            continue
        low, high = own[-1].limits.get(code, (None, None))
        trend = forecast.trend(
            [middle(window) for window in own],
            [window.values[code] for window in own],
            low=low,
            high=high,
            now=now,
            confidence=confidence,
        )
        projected.append(Forecast(code, trend))
    return projected


def middle(window: Window) -> float:
    """Return the midpoint of a window in time, seconds since 1970."""
    return (window.begin + window.end) / 2


def apart(windows: Sequence[Window]) -> list[Window]:
    """Return windows without repeated rows, oldest first.

    Of two whose periods share more than half of the shorter one, the later one in the given order
    stays: a repeated report, with more labels, is no second witness.

    Parameters
    ----------
    windows : sequence of Window
        In the order of the reports.

    Examples
    --------
    >>> def made(run_id, begin, end):
    ...     return Window(run_id, begin, end, 1, 1, {}, {}, {}, {})
    >>> [window.run_id for window in apart([made("a", 0, 10), made("b", 8, 20), made("c", 0, 10)])]
    ['c', 'b']
    """
    distinct: list[Window] = []
    for window in reversed(windows):
        if not any(_overlap(window, other) for other in distinct):
            distinct.append(window)
    # stable: at equal times, in the order of the reports
    distinct.reverse()
    return sorted(distinct, key=lambda window: window.end)


def listed(codes: Sequence[str], most: int = 4) -> str:
    """Return check codes in words, shortened if there are many.

    Examples
    --------
    >>> listed(["log_loss", "psi.x"]), listed(list("abcdef"))
    ('log loss and PSI of x', 'a, b, c, d and 2 more')
    """
    names = [titled(code) for code in codes]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def titled(code: str) -> str:
    """Return the name of a check within a sentence.

    Examples
    --------
    >>> titled("roc_auc"), titled("slice.period=4"), titled("calibration")
    ('ROC AUC', 'slice period=4', 'calibration')
    """
    kind, _, rest = code.partition(".")
    words = {
        "psi": "PSI",
        "ks": "KS distance",
        "js": "JS distance",
        "range": "values out of range",
        "chi2": "chi-square",
    }
    if rest:
        return f"{kind} {rest}" if kind == "slice" else f"{words.get(kind, kind)} of {shown(rest)}"
    name = TITLES.get(code, code.replace("_", " ").replace("auc", "AUC"))
    return name if name[1:2].isupper() or name == "F1" else name[:1].lower() + name[1:]


def _overlap(window: Window, other: Window) -> bool:
    if (window.begin, window.end, window.rows) == (other.begin, other.end, other.rows):
        return True
    shared = min(window.end, other.end) - max(window.begin, other.begin)
    return shared > 0.5 * min(window.end - window.begin, other.end - other.begin) and shared > 0


def _labelled(policy: Policy, windows: Sequence[Window]) -> list[Window]:
    return [window for window in windows if window.labels >= policy.min_labels]


def _no_windows(policy: Policy, windows: Sequence[Window], wanted: int, noun: str) -> Decision:
    """Wait for windows: state how many more."""
    labelled = _labelled(policy, windows)
    more = wanted - len(labelled)
    few = len(windows) - len(labelled)
    reasons = [f"This champion has {_count(len(labelled))} {noun}, of {wanted} that it takes."]
    if few:
        reasons.append(
            f"Of fewer than {policy.min_labels} labels, and so not counted: {_count(few)}."
        )
    return Decision(
        "wait",
        f"Wait for {_count(more, 'more window')}",
        tuple(reasons),
        tuple(window.run_id for window in labelled),
        "Score rows, bring their labels, and monitor.",
    )


def _reactive(
    policy: Policy, windows: Sequence[Window], *, used: Collection[str], now: float
) -> Decision:
    labelled = _labelled(policy, windows)
    fresh = [window for window in labelled if window.run_id not in used][-policy.n :]
    bad = [window for window in fresh if window.alerts(performance=True)]
    rule = f"{policy.k} of the last {policy.n}"
    if len(bad) >= policy.k:
        codes = list(
            dict.fromkeys(code for window in bad for code in window.alerts(performance=True))
        )
        return Decision(
            "retrain",
            "Retrain: performance is in alert",
            (
                f"In alert in {len(bad)} of {_count(len(fresh))} ({rule} ask for a retraining): "
                f"{listed(codes)}.",
            ),
            tuple(window.run_id for window in bad),
            "A challenger of the same recipe is trained on the newer labels, and the gate is "
            "asked.",
        )
    if labelled and not fresh:
        return Decision(
            "wait",
            "Wait for new windows",
            (
                "A retraining has answered all windows there are; the same evidence does not ask "
                "twice.",
            ),
            tuple(window.run_id for window in labelled[-policy.n :]),
            "Monitor when new rows are scored and labelled.",
        )
    if bad:
        return Decision(
            "wait",
            f"In alert in {_count(len(bad))}; {policy.k} are needed",
            (
                f"In alert: {listed(bad[-1].alerts(performance=True))}. {rule} ask for a "
                "retraining: one window may be chance.",
            ),
            tuple(window.run_id for window in bad),
            "Monitor again when new rows are scored and labelled.",
        )
    if len(fresh) < policy.k:
        return _no_windows(policy, windows, policy.k, "with enough labels")
    return Decision(
        "none",
        "No reason to retrain",
        (
            f"No check of performance or calibration is in alert in the last {_count(len(fresh))} "
            "with enough labels.",
        ),
        tuple(window.run_id for window in fresh),
        "Nothing to do.",
    )


def _predictive(
    policy: Policy, windows: Sequence[Window], *, used: Collection[str], now: float
) -> Decision:
    after_the_fact = _reactive(policy, windows, used=used, now=now)
    if after_the_fact.code == "retrain":
        return Decision(
            "retrain",
            "Retrain: performance is in alert already",
            ("No forecast is needed any more.", *after_the_fact.reasons),
            after_the_fact.evidence,
            after_the_fact.todo,
        )
    labelled = _labelled(policy, windows)
    if len(labelled) < policy.min_windows:
        return _no_windows(policy, windows, policy.min_windows, "with enough labels")
    # a trend is as recent as its newest window
    start = min(now, labelled[-1].end)
    known = forecasts(policy, windows, now=start)
    evidence = tuple(window.run_id for window in labelled)
    sentences = tuple(f"{sentence(expected)}" for expected in known)
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
                f"Wait for {_count(policy.n - fresh, 'new window')}",
                ("A retraining has seen this trend already.", *reasons),
                evidence,
                "Monitor when new rows are scored and labelled.",
            )
        return Decision(
            "retrain",
            "Retrain: a limit will be crossed within the horizon",
            reasons,
            evidence,
            "A challenger of the same recipe is trained on the newer labels, and the gate is "
            "asked.",
        )
    if after_the_fact.code == "wait":
        return after_the_fact
    return Decision(
        "none",
        f"No limit is surely crossed within {policy.horizon_days:g} days",
        sentences or ("The reports hold none of the metrics whose trend is looked at.",),
        evidence,
        "Nothing to do.",
    )


def sentence(expected: Forecast) -> str:
    """Return a trend as a sentence about its metric.

    Examples
    --------
    >>> flat = forecast.trend([0, DAY, 2 * DAY], [1, 1, 1], low=None, high=2, now=0)
    >>> sentence(Forecast("log_loss", flat))
    'Log loss: no trend beyond chance: 0 a day (95% interval 0 to 0).'
    """
    name, text = titled(expected.code), expected.trend.text
    return f"{name[:1].upper()}{name[1:]}: {text[:1].lower()}{text[1:]}"


def _supporting(newest: Window) -> tuple[str, ...]:
    moved = [code for code in SUPPORTING if newest.verdicts.get(code) in ("warning", "alert")]
    if not moved:
        return ()
    return (f"Supported by what the model answers, which moved too: {listed(moved)}.",)


def _calendar(policy: Policy, *, trained_at: float, now: float) -> Decision:
    days = (now - trained_at) / DAY
    reason = f"{days:,.1f} days have passed since the last training; {policy.every_days:g} are set."
    if days >= policy.every_days:
        return Decision(
            "retrain",
            "Retrain: the time has come",
            (reason,),
            (),
            "A challenger of the same recipe is trained on the newer labels, and the gate is "
            "asked.",
        )
    left = policy.every_days - days
    return Decision(
        "none", f"Not before {left:,.1f} days have passed", (reason,), (), "Nothing to do."
    )


def _count(count: int, noun: str = "window") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
