"""The state of an alert: hysteresis, quiet time and notifications."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.monitoring.alerting import DEFAULTS, Change, Rule, State, rule_for, step

VERDICTS = ("ok", "warning", "alert", "not_applicable")
RULES = st.builds(
    Rule,
    name=st.just("any"),
    pattern=st.just("*"),
    level=st.sampled_from(("warning", "alert")),
    raise_after=st.integers(1, 2),
    clear_after=st.integers(1, 2),
    quiet_seconds=st.sampled_from((0.0, 100.0, 1000.0)),
)
# some in a row, so that alerts come and go
STRETCHES = st.tuples(st.sampled_from(VERDICTS), st.floats(0.1, 20), st.integers(1, 3))
REPORTS = st.lists(STRETCHES, min_size=3, max_size=20).map(
    lambda stretches: [
        (verdict, later) for verdict, later, times in stretches for _ in range(times)
    ]
)


def play(rule: Rule, reports: list[tuple[str, float]]) -> list[tuple[float, str, Change, State]]:
    """Return what changed, when, at which verdict, and the state after it."""
    state, now, changes = State(), 0.0, []
    for verdict, later in reports:
        now += later
        state, change = step(rule, state, verdict, now)
        if change is not None:
            changes.append((now, verdict, change, state))
    return changes


@settings(max_examples=200, deadline=None, derandomize=True)
@given(RULES, REPORTS)
def test_an_alert_is_raised_once_until_it_clears(rule: Rule, reports) -> None:
    kinds = [change.kind for _, _, change, _ in play(rule, reports) if change.kind != "reminded"]
    assert kinds == ["raised", "cleared"] * (len(kinds) // 2) + ["raised"] * (len(kinds) % 2)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(RULES, REPORTS)
def test_the_quiet_time_limits_the_notifications(rule: Rule, reports) -> None:
    notified = [(now, change.kind) for now, _, change, _ in play(rule, reports) if change.is_told]
    alarms = [now for now, kind in notified if kind != "cleared"]
    assert all(b - a >= rule.quiet_seconds for a, b in itertools.pairwise(alarms))
    # each notified end follows an alarm of its own
    kinds = [kind for _, kind in notified]
    assert all(
        a != "cleared" for a, b in zip(["cleared", *kinds], kinds, strict=False) if b == "cleared"
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(RULES, REPORTS)
def test_raising_and_clearing_take_the_set_number_in_a_row(rule: Rule, reports) -> None:
    failing = ("warning", "alert") if rule.level == "warning" else ("alert",)
    state, now, judged = State(), 0.0, []
    for verdict, later in reports:
        now += later
        state, change = step(rule, state, verdict, now)
        judged += [verdict] * (verdict != "not_applicable")
        if change is not None and change.kind == "raised":
            assert all(judged_verdict in failing for judged_verdict in judged[-rule.raise_after :])
            assert len(judged) >= rule.raise_after
        if change is not None and change.kind == "cleared":
            assert judged[-rule.clear_after :] == ["ok"] * rule.clear_after


@settings(max_examples=200, deadline=None, derandomize=True)
@given(RULES, REPORTS)
def test_what_cannot_be_judged_changes_nothing(rule: Rule, reports) -> None:
    without = [report for report in reports if report[0] != "not_applicable"]
    state = other = State()
    for number, (verdict, _) in enumerate(reports):
        state, _ = step(rule, state, verdict, float(number * 1000))
    times = [float(n * 1000) for n, report in enumerate(reports) if report[0] != "not_applicable"]
    for (verdict, _), now in zip(without, times, strict=True):
        other, _ = step(rule, other, verdict, now)
    assert state == other


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 40))
def test_a_figure_that_fluctuates_around_its_limit_raises_nothing(times: int) -> None:
    rule = Rule(name="any", pattern="*", raise_after=2, clear_after=2)
    assert play(rule, [("alert", 1.0), ("ok", 1.0)] * times) == []
    raised = [("alert", 1.0)] * 2
    # nor does it clear an open alert
    assert len(play(rule, raised + [("ok", 1.0), ("alert", 1.0)] * times)) == 1


def test_an_alert_that_returns_within_the_quiet_time_is_notified_after_it() -> None:
    rule = Rule(name="any", pattern="*", clear_after=1, quiet_seconds=100.0)
    verdicts = ("alert", "ok", "alert", "ok", "alert", "alert")
    changes = play(rule, [(verdict, 30.0) for verdict in verdicts])
    assert [(now, change.kind, change.is_told) for now, _, change, _ in changes] == [
        (30.0, "raised", True),
        (60.0, "cleared", True),
        (90.0, "raised", False),
        (120.0, "cleared", False),
        (150.0, "raised", True),
    ]
    later = play(rule, [("alert", 30.0), ("ok", 30.0), ("alert", 60.0), ("alert", 60.0)])
    assert [(change.kind, change.is_told) for _, _, change, _ in later[2:]] == [
        ("raised", False),
        ("reminded", True),
    ]


def test_between_the_limits_an_alert_stays_open() -> None:
    rule = Rule(name="any", pattern="*", clear_after=1, quiet_seconds=10.0)
    changes = play(rule, [("alert", 1.0), *[("warning", 60.0)] * 5])
    assert [change.kind for _, _, change, _ in changes] == ["raised"]


def test_an_open_alert_is_notified_again_after_the_quiet_time() -> None:
    rule = Rule(name="any", pattern="*", quiet_seconds=100.0)
    changes = play(rule, [("alert", 30.0)] * 9)
    assert [(now, change.kind) for now, _, change, _ in changes] == [
        (30.0, "raised"),
        (150.0, "reminded"),
        (270.0, "reminded"),
    ]


def test_an_acknowledged_alert_is_quiet_until_it_clears() -> None:
    rule = Rule(name="any", pattern="*", clear_after=1, quiet_seconds=0.0)
    acknowledged = State(is_open=True, is_told=True, told_at=0.0, is_acknowledged=True)
    state, change = step(rule, acknowledged, "alert", 1e9)
    assert change is None
    state, change = step(rule, state, "ok", 2e9)
    assert change == Change("cleared", True)
    assert not state.is_acknowledged
    assert step(rule, state, "alert", 3e9)[1] == Change("raised", True)


def test_a_clock_that_was_set_back_ends_the_quiet_time() -> None:
    rule = Rule(name="any", pattern="*")
    assert step(rule, State(told_at=1e9), "alert", 1.0)[1] == Change("raised", True)


@pytest.mark.parametrize(
    ("code", "group", "name"),
    [
        ("verdict", None, "The verdict of a report"),
        ("f1", "performance", "Performance"),
        ("domain_auc", "support", "Support of the reference"),
        ("psi.lat", "input", "Input and predictions"),
        ("psi.courtside_probability", "output", "Input and predictions"),
        ("missing.lat", "input", "Missing values"),
        ("ks.lat", "input", None),
        ("f1", None, None),
    ],
)
def test_the_default_rules(code: str, group: str | None, name: str | None) -> None:
    rule = rule_for(DEFAULTS, code, group)
    assert (rule.name if rule else None) == name


def test_the_first_rule_that_is_on_and_names_a_check_decides() -> None:
    off = Rule(name="off", pattern="psi.*", is_on=False)
    narrow = Rule(name="narrow", pattern="psi.lat*", level="warning")
    wide = Rule(name="wide", pattern="input")
    assert rule_for((off, narrow, wide), "psi.latitude", "input") == narrow
    assert rule_for((off, narrow, wide), "psi.lon", "input") == wide
    assert rule_for((off,), "psi.lat", "input") is None
