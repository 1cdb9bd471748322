"""Stored alerts: one transaction per report, acknowledged by people, never twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.monitoring import alert_rules, alert_store, alerting, alerts, channels, incidents
from core.monitoring.alert_store import Event
from core.monitoring.alerting import Rule, Subject
from core.platform import clock, state
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError

DAY = 86400.0
REAL = Subject("kobe", "m", "2", is_sample=False)
SAMPLE = Subject("kobe", "m", "1", is_sample=True)
GROUPS = {"f1": "performance", "psi.lat": "input", "domain_auc": "support"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def report(
    settings: Settings, run: str, at: float = 0.0, subject: Subject = REAL, **verdicts: str
) -> list[Event]:
    """Submit a report of these checks (`psi_lat` means `psi.lat`)."""
    codes = {name.replace("psi_", "psi."): verdict for name, verdict in verdicts.items()}
    return alerts.report(
        settings,
        run,
        codes,
        {code: code.upper() for code in codes},
        dict.fromkeys(codes, 0.25),
        subject=subject,
        verdict_title="It does not fit",
        now=at,
        groups=GROUPS,
        limits={"f1": "at least 0.4"},
    )


def kinds(events: list[Event]) -> set[tuple[str, str]]:
    return {(event.code, event.kind) for event in events}


def test_a_report_raises_what_its_rules_say(settings: Settings) -> None:
    events = report(
        settings, "run-1", 5.0, f1="alert", psi_lat="alert", domain_auc="not_applicable"
    )
    # input alone must be bad twice
    assert kinds(events) == {("verdict", "raised"), ("f1", "raised")}
    open_alerts = {alert.code: alert for alert in alerts.open_alerts(settings)}
    f1 = open_alerts["f1"]
    assert (f1.state, f1.value, f1.limit, f1.run_id, f1.at) == (
        "open",
        0.25,
        "at least 0.4",
        "run-1",
        5.0,
    )
    assert open_alerts["verdict"].title == "It does not fit"
    assert ("psi.lat", "raised") in kinds(report(settings, "run-2", f1="alert", psi_lat="alert"))


def test_the_same_report_again_changes_nothing(settings: Settings) -> None:
    first = report(settings, "run-1", f1="alert")
    assert report(settings, "run-1", f1="ok") == first
    assert len(alerts.history(settings)) == len(first) == 2
    report(settings, "run-2", f1="ok")
    assert len(alerts.open_alerts(settings)) == 1  # the rule needs two good reports


def test_an_alert_clears_and_its_history_stays(settings: Settings) -> None:
    report(settings, "run-1", 10.0, f1="alert")
    for number in (2, 3):
        report(settings, f"run-{number}", 10.0 * number, f1="ok")
    assert alerts.open_alerts(settings) == []
    of_f1 = [event for event in alerts.history(settings) if event.code == "f1"]
    assert [(event.kind, event.run_id, event.at) for event in of_f1] == [
        ("cleared", "run-3", 30.0),
        ("raised", "run-1", 10.0),
    ]


def test_an_open_alert_shows_the_newest_report(settings: Settings) -> None:
    report(settings, "run-1", f1="alert")
    alerts.report(
        settings,
        "run-2",
        {"f1": "warning"},
        {},
        {"f1": 0.38},
        subject=REAL,
        verdict_title="",
        now=1.0,
        groups=GROUPS,
    )
    (f1,) = (alert for alert in alerts.open_alerts(settings) if alert.code == "f1")
    assert (f1.value, f1.last_value, f1.last_verdict, f1.last_run_id) == (
        0.25,
        0.38,
        "warning",
        "run-2",
    )


def test_a_value_that_is_not_a_number_is_stored_as_none(settings: Settings) -> None:
    alerts.report(
        settings,
        "run-1",
        {"f1": "alert"},
        {},
        {"f1": float("nan")},
        subject=REAL,
        now=0.0,
        verdict_title="x",
        groups=GROUPS,
    )
    assert {alert.value for alert in alerts.open_alerts(settings)} == {None}


def test_an_acknowledged_alert_records_the_person_and_the_note(settings: Settings) -> None:
    channels.save(settings, channels.Channels(webhook=channels.Webhook(url="http://127.0.0.1:9/")))
    report_unsent(settings, "run-1", 0.0)
    (alert,) = (alert for alert in alerts.open_alerts(settings) if alert.code == "f1")
    alerts.acknowledge_all(settings, alert.subject, "  Ann  Lee ", "We know. *New* season.")
    (acknowledged,) = (alert for alert in alerts.open_alerts(settings) if alert.code == "f1")
    assert (acknowledged.state, acknowledged.person, acknowledged.note) == (
        "acknowledged",
        "Ann Lee",
        "We know. *New* season.",
    )
    # days later it stays silent
    assert report_unsent(settings, "run-2", 3 * DAY) == []
    with pytest.raises(InputError, match="in the meantime"):
        alerts.acknowledge_all(settings, alert.subject, "Bob", "Me too")
    assert alerts.history(settings)[1].person == "Ann Lee"


def report_unsent(settings: Settings, run: str, at: float) -> list[Event]:
    """Submit a report without sending anything."""
    return alerts.report(
        settings,
        run,
        {"f1": "alert"},
        {},
        {},
        subject=REAL,
        verdict_title="x",
        now=at,
        groups=GROUPS,
        drain_seconds=0,
    )


@pytest.mark.parametrize(
    ("person", "note", "reason"),
    [
        ("  ", "x", "Enter a name"),
        ("A" * 81, "x", "Enter a name"),
        ("Ann", "x" * 501, "500 characters"),
    ],
)
def test_an_acknowledgement_needs_a_name(
    settings: Settings, person: str, note: str, reason: str
) -> None:
    report(settings, "run-1", f1="alert")
    with pytest.raises(InputError, match=reason):
        alerts.acknowledge_all(settings, REAL.key, person, note)
    assert {alert.state for alert in alerts.open_alerts(settings)} == {"open"}


def test_a_closed_alert_is_raised_again_when_its_check_is_bad_again(settings: Settings) -> None:
    report(settings, "run-1", f1="alert")
    for alert in alerts.open_alerts(settings):
        alerts.close(settings, alert.alert_id, "Ann", "The check is gone")
    assert alerts.open_alerts(settings) == []
    again = report(settings, "run-2", 1.0, f1="alert")
    assert kinds(again) == {("verdict", "raised"), ("f1", "raised")}
    assert {event.is_told for event in again} == {False}  # within its quiet time


def test_a_person_sets_the_rules_and_an_alert_without_a_rule_is_closed(settings: Settings) -> None:
    report(settings, "run-1", f1="alert")
    alert_rules.save(settings, [Rule(name="AUC", pattern="roc_auc")])
    assert alert_rules.load(settings) == [Rule(name="AUC", pattern="roc_auc")]
    assert alerts.open_alerts(settings) == []
    assert {event.kind for event in alerts.history(settings, 2)} == {"closed"}
    alert_rules.save(settings, [])
    assert alert_rules.load(settings) == []
    assert report(settings, "run-2", f1="alert") == []
    with pytest.raises(InputError, match="Used more than once: a"):
        alert_rules.save(settings, [Rule(name="a", pattern="x"), Rule(name="a", pattern="y")])
    with pytest.raises(InputError, match="raise_after"):
        alert_rules.made_rule(name="a", pattern="x", raise_after=0)


def test_reading_creates_nothing(settings: Settings) -> None:
    assert alerts.open_alerts(settings) == alerts.history(settings) == []
    assert alerts.deliveries(settings) == []
    assert alert_rules.load(settings) == list(alerting.DEFAULTS)
    assert not state.path(settings).exists()


def test_one_message_for_a_report_and_none_within_the_quiet_time(settings: Settings) -> None:
    channels.save(settings, channels.Channels(webhook=channels.Webhook(url="http://127.0.0.1:9/")))
    report_unsent(settings, "run-1", 0.0)
    report_unsent(settings, "run-2", 3600.0)
    (sent,) = alerts.deliveries(settings)
    assert (sent.channel, sent.state, sent.tries, sent.title) == ("webhook", "waiting", 0, "x")
    report_unsent(settings, "run-3", DAY)
    assert len(alerts.deliveries(settings)) == 2


def test_a_damaged_list_of_channels_loses_no_report(settings: Settings) -> None:
    state.save(settings, channels.NAME, {"webhook": 1})
    report(settings, "run-1", f1="alert")
    assert len(alerts.open_alerts(settings)) == 2


def test_concurrent_reports_are_processed_one_after_the_other(settings: Settings) -> None:
    results: list[list[Event]] = []
    threads = [
        threading.Thread(
            target=lambda n=n: results.append(report_unsent(settings, f"run-{n % 3}", 0.0))
        )
        for n in range(9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 9
    assert [event.kind for event in alerts.history(settings)].count("raised") == 2
    assert len(alerts.open_alerts(settings)) == 2


def test_a_killed_process_leaves_all_of_a_report_or_none(settings: Settings) -> None:
    killed = (
        "import os, signal\n"
        "from core.monitoring import alerts\n"
        "from core.monitoring.alerting import Subject\n"
        "from core.platform.config import Settings\n"
        "def die(*a): os.kill(os.getpid(), signal.SIGKILL)\n"
        "alerts._post = die\n"
        "alerts.report(Settings.load(), 'run-1', {'f1': 'alert'}, {}, {}, verdict_title='x',\n"
        "              subject=Subject('kobe', 'm', '2', False), now=0.0,\n"
        "              groups={'f1': 'performance'})\n"
    )
    environ = {**os.environ, **settings.environment(), "PYTHONPATH": str(CODE_ROOT)}
    done = subprocess.run([sys.executable, "-c", killed], env=environ, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert alerts.open_alerts(settings) == []
    assert kinds(report_unsent(settings, "run-1", 0.0)) == {("verdict", "raised"), ("f1", "raised")}


def test_actions_of_a_person_use_the_clock_of_alerts(tmp_path: Path) -> None:
    fast = Settings(home=tmp_path, clock_speed=1_000_000)
    report_unsent(fast, "run-1", clock.now(fast))
    alerts.acknowledge_all(fast, REAL.key, "Ann", "")
    newest, *_, raised = alerts.history(fast)
    assert newest.at >= raised.at
    assert newest.at - raised.at > newest.real - raised.real


def test_reports_of_the_sample_and_of_real_rows_never_count_together(settings: Settings) -> None:
    # "opens after 2": one report of the sample and one of real rows are one of each
    report(settings, "run-1", subject=SAMPLE, psi_lat="alert")
    assert ("psi.lat", "raised") not in kinds(report(settings, "run-2", psi_lat="alert"))
    assert ("psi.lat", "raised") in kinds(report(settings, "run-3", psi_lat="alert"))
    # nor does a good report of one clear what the other raised
    report(settings, "run-4", subject=SAMPLE, f1="ok")
    report(settings, "run-5", subject=SAMPLE, f1="ok")
    still_open = {
        (alert.code, alert.version, alert.is_sample) for alert in alerts.open_alerts(settings)
    }
    assert still_open == {("verdict", "2", False), ("psi.lat", "2", False)}


def test_alerts_of_a_version_that_leaves_operation_close_with_the_reason(
    settings: Settings,
) -> None:
    report(settings, "run-1", subject=SAMPLE, f1="alert", psi_lat="alert")
    report(settings, "run-2", f1="alert")
    assert len(alerts.open_alerts(settings)) == 4
    closed = alerts.close_left(settings, "m", {"2"})
    assert {(event.code, event.version) for event in closed} == {("verdict", "1"), ("f1", "1")}
    assert {alert.version for alert in alerts.open_alerts(settings)} == {"2"}
    closings = [event for event in alerts.history(settings) if event.kind == "closed"]
    assert [(event.reason, event.person, event.is_told) for event in closings] == 2 * [
        (alert_store.VERSION_LEFT, None, False)
    ]
    assert alerts.close_left(settings, "m", {"2"}) == []
    # a version that comes back starts its streaks again: once is not twice
    again = report(settings, "run-3", 1.0, subject=SAMPLE, psi_lat="alert")
    assert ("psi.lat", "raised") not in kinds(again)


def test_an_incident_holds_the_alerts_of_one_version_and_source(settings: Settings) -> None:
    assert incidents.standing(settings) == []
    report(settings, "run-1", 5.0, f1="alert")
    report(settings, "run-2", 6.0, SAMPLE, f1="alert")
    report(settings, "run-3", 7.0, f1="warning", domain_auc="alert")
    newer, older = incidents.standing(settings)
    assert (newer.version, newer.is_sample) == ("1", True)
    assert (older.version, older.is_sample, older.title) == ("2", False, "It does not fit")
    assert [alert.code for alert in older.checks] == ["domain_auc", "f1"]
    assert (older.first_seen, older.last_seen, older.last_run_id) == (5.0, 7.0, "run-3")
    assert older.verdict == "alert"
    raised = [event.code for event in incidents.history(settings, older)]
    assert sorted(raised) == ["domain_auc", "f1", "verdict"]


def test_one_acknowledgement_answers_every_open_alert_of_an_incident(settings: Settings) -> None:
    report(settings, "run-1", f1="alert")
    report(settings, "run-2", 1.0, SAMPLE, f1="alert")
    with pytest.raises(InputError, match="Enter a name"):
        alerts.acknowledge_all(settings, REAL.key, " ", "")
    assert alerts.acknowledge_all(settings, REAL.key, "Ann", "We know.") == 2
    last, other = incidents.standing(settings)[::-1]
    assert (last.subject, last.unanswered) == (REAL.key, ())
    assert {(alert.person, alert.note) for alert in last.alerts} == {("Ann", "We know.")}
    # the alert of the report as a whole is not counted in addition to that of its check
    assert [alert.code for alert in other.unanswered] == ["f1"]
    with pytest.raises(InputError, match="in the meantime"):
        alerts.acknowledge_all(settings, REAL.key, "Bob", "")
