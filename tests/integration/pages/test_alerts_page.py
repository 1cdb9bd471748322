"""The Alerts page: what it shows of alerts, schedules, rules and channels, and what it does."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextInput

from core.jobs import jobs, schedules
from core.monitoring import alert_rules, alerts, channels, deliver
from core.monitoring.alerting import DAY, DEFAULTS, Rule, Subject
from core.platform import state
from core.platform.config import Settings
from core.platform.errors import InputError
from pages.alerts import rule_form

OpenPage = Callable[..., AppTest]
SECRET = "a secret of a test"


def raised(settings: Settings, at: float, run: str = "a" * 32, **verdicts: str) -> None:
    alerts.report(
        settings,
        run,
        verdicts,
        {"f1": "F1 at the *threshold*"},
        {"f1": 0.125},
        subject=Subject("kobe", "kobe-shots", "1", is_sample=False),
        now=at,
        verdict_title="It does not fit",
        groups={"f1": "performance"},
        limits={"f1": "alert below 0.4"},
        drain_seconds=0,
    )


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The clock of alerts, which stands still: noon of a day in 2026."""
    moment = pd.Timestamp("2026-03-01 12:00", tz="UTC").timestamp()
    monkeypatch.setattr(alerts.clock, "now", lambda settings: moment)
    return moment


def button(app: AppTest, label: str, nth: int = 0) -> AppTest:
    return [button for button in app.button if button.label == label][nth].click().run()


def name_field(app: AppTest, key: str) -> TextInput:
    return next(
        field for field in app.text_input if field.label == "Your name" and key in field.form_id
    )


def test_an_alert_shows_its_cause_its_age_and_its_limit(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    assert "No alert is open" in text_of(open_page(settings, "alerts"))
    raised(settings, now - 3 * DAY, f1="alert")
    raised(settings, now - DAY, "b" * 32, f1="warning")
    text = text_of(open_page(settings, "alerts"))
    assert "Open alerts (2)" in text
    assert "**F1 at the \\*threshold\\***  \nValue **0.125**, limits: alert below 0.4" in text
    assert "For 3 days, since 2026-02-26 12:00 UTC · rule: Performance" in text
    assert "In the newest report: :orange-badge[warning]" in text
    # and the overview shows it too
    assert "2 open alerts, oldest 3 days" in text_of(open_page(settings, "overview"))


def test_a_person_acknowledges_with_a_name_and_a_note(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    raised(settings, now - DAY, f1="alert")
    app = open_page(settings, "alerts")
    (f1,) = (alert for alert in alerts.open_alerts(settings) if alert.code == "f1")
    position = next(
        number
        for number, button in enumerate(
            button for button in app.button if button.label == "Acknowledge"
        )
        if f1.alert_id in button.form_id
    )
    app = button(app, "Acknowledge", position)
    assert "Enter your name" in text_of(app)
    assert {alert.state for alert in alerts.open_alerts(settings)} == {"open"}
    name_field(app, f1.alert_id).input("Ann")
    app.text_area(key=f"note-{f1.alert_id}").input("See ![x](http://evil.example/x.png)")
    app = button(app, "Acknowledge", position)
    text = text_of(app)
    assert ":blue-badge[acknowledged by Ann]: “See !\\[x\\](http\\://evil.example/x.png)”" in text
    assert "Open alerts (1)" in text
    assert alerts.history(settings)[0].kind == "acknowledged"


def test_all_are_acknowledged_at_once_and_one_is_dismissed(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    raised(settings, now - DAY, f1="alert")
    app = open_page(settings, "alerts")
    name_field(app, "all").input("Ann")
    app = button(app, "Acknowledge")
    assert {alert.state for alert in alerts.open_alerts(settings)} == {"acknowledged"}
    assert "stay quiet until they clear" in text_of(app)
    app = button(app, "Dismiss")
    assert len(alerts.open_alerts(settings)) == 1


def test_a_schedule_is_set_turned_off_and_removed(
    settings: Settings, now: float, open_page: OpenPage, text_of, press
) -> None:
    app = open_page(settings, "alerts")
    assert "While the app is closed nothing runs" in text_of(app)
    app.selectbox(key="schedule-window").select("log").run()
    app = press(app, "Save the schedule")
    (stored,) = schedules.schedules(settings)
    assert stored.schedule.options == {"window": "log", "last": 2000, "scheduled": "Monitoring"}
    assert stored.schedule.every_seconds == DAY
    text = text_of(app)
    assert "**Monitoring**: every day, the last 2,000 predictions of the log." in text
    assert "Next report in 1 day (2026-03-02 12:00 UTC) · Reports so far: 0" in text
    app = app.toggle(key="on-Monitoring-True").set_value(False).run()
    assert not schedules.schedules(settings)[0].schedule.is_on
    assert "Off: no automatic report" in text_of(app)
    press(app, "Remove")
    assert schedules.schedules(settings) == []


def test_the_runs_of_a_schedule_are_shown(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    options = {"scheduled": "Mine"}
    schedule = schedules.made(name="Mine", step="monitor", options=options, cron="0 6 * * 1")
    schedules.save(settings, schedule)
    job = jobs.submit(settings, "monitor", options)
    jobs.claim(settings, job.job_id)
    jobs.finish(settings, job.job_id, jobs.FAILED, error="Nothing was scored yet.")
    jobs.submit(settings, "monitor", {"scheduled": "another"})
    text = text_of(open_page(settings, "alerts"))
    assert "at the times 0 6 \\* \\* 1 (cron, UTC), the newest scored rows." in text
    assert "failed] :small[just now: Nothing was scored yet.]" in text
    assert "waiting]" not in text


def test_an_invalid_time_is_refused_on_the_page(
    settings: Settings, now: float, open_page: OpenPage, text_of, press
) -> None:
    app = open_page(settings, "alerts")
    app.button_group(key="schedule-kind").set_value("cron").run()
    (cron,) = (field for field in app.text_input if field.label.startswith("Minute"))
    cron.input("0 25 * * *")
    assert "25 is not a valid input" in text_of(press(app, "Save the schedule"))
    assert schedules.schedules(settings) == []


def test_an_accelerated_clock_is_shown(settings: Settings, open_page: OpenPage, text_of) -> None:
    fast = settings.model_copy(update={"clock_speed": 3600.0})
    assert "3,600 times as fast" in text_of(open_page(fast, "alerts"))


def test_rules_are_the_table_that_is_saved(settings: Settings, open_page: OpenPage, press) -> None:
    table = rule_form._as_table(list(DEFAULTS))
    assert rule_form._as_rules(table) == list(DEFAULTS)
    unfinished = pd.concat([table, pd.DataFrame([{"is_on": True, "level": "alert"}])])
    assert rule_form._as_rules(unfinished) == list(DEFAULTS)
    table.loc[0, ["name", "raise_after", "quiet_hours"]] = ["Other", 3, 0.5]
    assert rule_form._as_rules(table)[0] == Rule(
        name="Other", pattern="verdict", raise_after=3, clear_after=1, quiet_seconds=1800
    )
    with pytest.raises(InputError, match="pattern"):
        rule_form._as_rules(pd.DataFrame([{"name": "x", "pattern": None}]))
    alert_rules.save(settings, [Rule(name="AUC", pattern="roc_auc")])
    press(open_page(settings, "alerts"), "Save the rules")
    assert alert_rules.load(settings) == [Rule(name="AUC", pattern="roc_auc")]


def test_a_webhook_is_set_and_tested_without_waiting(
    settings: Settings, open_page: OpenPage, text_of, press
) -> None:
    with_secret = settings.model_copy(update={"webhook_secret": SECRET})
    app = open_page(with_secret, "alerts")
    text = text_of(app)
    assert "COURTSIDE_WEBHOOK_SECRET is set" in text
    assert "COURTSIDE_SMTP_PASSWORD is not set" in text
    (address,) = (field for field in app.text_input if field.label == "Address")
    address.input("http://ann:pw12345@a.example/")
    app = press(app, "Save the webhook")
    assert "contains a user name or password" in text_of(app)
    (address,) = (field for field in app.text_input if field.label == "Address")
    address.input("http://127.0.0.1:9/hook")
    app = press(app, "Save the webhook")
    assert channels.load(settings).on == ("webhook",)
    app = app.button(key="test-webhook").click().run()
    text = text_of(app)
    assert "A test is on its way by webhook" in text
    (message,) = deliver.deliveries(settings)
    assert (message.is_test, message.state, message.tries) == (True, "waiting", 0)
    deliver.drain(with_secret)
    text = text_of(app.run())
    assert "**Webhook** :green-badge[on] :orange-badge[waiting]" in text
    assert "Nothing answers at its address." in text
    assert SECRET not in text


def test_mail_is_set(settings: Settings, open_page: OpenPage, text_of, press) -> None:
    app = open_page(settings, "alerts")

    def fill(sender: str) -> AppTest:
        for label, value in {
            "Mail server": "mail.example",
            "From": sender,
            "User": "ann",
            "To, separated by commas": "ann@club.example, bob@club.example",
        }.items():
            next(field for field in app.text_input if field.label == label).input(value)
        return press(app, "Save the mail")

    app = fill("nobody")
    assert "name\\@host" in text_of(app)
    fill("courtside@club.example")
    mail = channels.load(settings).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.security, mail.user) == (
        "mail.example",
        587,
        "starttls",
        "ann",
    )
    assert mail.to == ("ann@club.example", "bob@club.example")


def test_a_damaged_list_of_channels_is_reported_and_can_be_set_again(
    settings: Settings, open_page: OpenPage, text_of, press
) -> None:
    state.save(settings, channels.NAME, "{")
    app = open_page(settings, "alerts")
    assert "Set the channels again" in text_of(app)
    (address,) = (field for field in app.text_input if field.label == "Address")
    address.input("https://a.example/x")
    press(app, "Save the webhook")
    assert state.load(settings, channels.NAME)["webhook"]["is_on"]
