"""The alerts of Monitor: incidents and answers to them; schedules, rules and channels."""

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
from pages.monitor import rule_form

OpenPage = Callable[..., AppTest]
SECRET = "a secret of a test"


REAL = Subject("kobe", "kobe-shots", "1", is_sample=False)


def raised(
    settings: Settings, at: float, run: str = "a" * 32, subject: Subject = REAL, **verdicts: str
) -> None:
    alerts.report(
        settings,
        run,
        verdicts,
        {"f1": "F1 at the *threshold*"},
        {"f1": 0.125},
        subject=subject,
        now=at,
        verdict_title="It does not fit",
        groups={"f1": "performance"},
        limits={"f1": "alert below 0.4"},
        drain_seconds=0,
    )


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The clock of alerts, which is stopped: noon of a day in 2026."""
    moment = pd.Timestamp("2026-03-01 12:00", tz="UTC").timestamp()
    monkeypatch.setattr(alerts.clock, "now", lambda settings: moment)
    return moment


def button(app: AppTest, label: str, nth: int = 0) -> AppTest:
    return [button for button in app.button if button.label == label][nth].click().run()


def drawer(app: AppTest, name: str) -> AppTest:
    """Open a drawer of the page's menu."""
    return app.button(key=f"open-{name}-menu").click().run()


def name_field(app: AppTest, subject: str = "kobe/kobe-shots/1/real") -> TextInput:
    return next(
        field for field in app.text_input if field.label == "Name" and subject in field.form_id
    )


def test_an_incident_shows_its_checks_their_age_and_their_limits(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    assert "No alert is open" in text_of(open_page(settings, "monitor", view="alerts"))
    raised(settings, now - 3 * DAY, f1="alert")
    raised(settings, now - DAY, "b" * 32, f1="warning")
    app = open_page(settings, "monitor", view="alerts")
    assert not app.exception
    # the alert of the report as a whole is the incident itself, and counts nowhere
    assert app.button_group(key="monitor-view").options[1] == "Alerts (1)"
    assert any(popover.proto.popover.label == "Acknowledge (1)" for popover in app.get("popover"))
    text = text_of(app)
    assert ":orange-badge[warning] **It does not fit**" in text
    assert "Version 1 · since 2026-02-26 12:00 UTC · Report: 2026-02-28 12:00 UTC" in text
    (row,) = app.table[0].value.to_dict("records")
    assert row["Check"] == "**F1 at the \\*threshold\\***"
    assert (row["Value"], row["Limits"]) == ("0.1250", "alert below 0.4")
    assert (row["Rule"], row["State"]) == ("Performance", "open")
    assert row["Verdict"] == ":orange-badge[warning]"
    assert app.table[1].value["What"].tolist() == [":red-badge[raised]"] * 2
    # and the overview shows it too
    overview = open_page(settings, "overview")
    label = ":red[1 open alert, oldest 3 days old]"
    (link,) = [link for link in overview.get("page_link") if link.label == label]
    assert link.proto.query_string == "view=alerts"


def test_each_version_and_source_is_an_incident_of_its_own(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    raised(settings, now - DAY, f1="alert")
    sample = Subject("kobe", "kobe-shots", "2", is_sample=True)
    raised(settings, now - DAY, "b" * 32, sample, f1="alert")
    app = open_page(settings, "monitor", view="alerts")
    text = text_of(app)
    assert text.count("**It does not fit**") == 2
    assert text.count("built-in sample") == 1
    name_field(app).input("Ann")
    button(app, "Acknowledge")
    states = {alert.version: alert.state for alert in alerts.open_alerts(settings)}
    assert states == {"1": "acknowledged", "2": "open"}


def test_one_acknowledgement_with_a_name_and_a_note_is_for_all_checks_of_an_incident(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    raised(settings, now - DAY, f1="alert")
    app = button(open_page(settings, "monitor", view="alerts"), "Acknowledge")
    refused = [error.value for error in app.error]
    assert refused
    # the list is redrawn by itself, and the refusal is still there
    assert [error.value for error in app.run().error] == refused
    assert "Enter a name" in text_of(app)
    assert {alert.state for alert in alerts.open_alerts(settings)} == {"open"}
    name_field(app).input("Ann")
    app.text_area(key="answer-note-kobe/kobe-shots/1/real").input(
        "See ![x](http://evil.example/x.png)"
    )
    app = button(app, "Acknowledge")
    assert {alert.state for alert in alerts.open_alerts(settings)} == {"acknowledged"}
    (row,) = app.table[0].value.to_dict("records")
    assert row["State"] == (
        ":blue-badge[acknowledged] Ann: “See !\\[x\\](http\\://evil.example/x.png)”"
    )
    assert "quiet until it clears" in text_of(app)
    # what was done is not offered again
    assert not any("Acknowledge" in popover.proto.popover.label for popover in app.get("popover"))
    assert [event.kind for event in alerts.history(settings)][:2] == ["acknowledged"] * 2


def test_an_answer_to_an_incident_is_one_action(
    settings: Settings, now: float, open_page: OpenPage
) -> None:
    raised(settings, now - DAY, f1="alert")
    app = open_page(settings, "monitor", view="alerts")
    (answer,) = [
        popover
        for popover in app.get("popover")
        if popover.proto.popover.label == "Acknowledge (1)"
    ]
    assert [button.label for button in answer.button] == ["Acknowledge"]
    assert not answer.selectbox


def test_one_alert_is_dismissed(
    settings: Settings, now: float, open_page: OpenPage, text_of
) -> None:
    raised(settings, now - DAY, f1="alert")
    app = open_page(settings, "monitor", view="alerts")
    (f1,) = (alert for alert in alerts.open_alerts(settings) if alert.code == "f1")
    name_field(app, "dismiss-kobe/kobe-shots/1/real").input("Ann")
    app.selectbox(key="which-kobe/kobe-shots/1/real").set_value(f1.alert_id)
    app = button(app, "Dismiss")
    assert [alert.code for alert in alerts.open_alerts(settings)] == ["verdict"]
    # its history is among the earlier ones
    assert app.expander[-1].label == "History"
    assert ":gray-badge[closed]" in app.table[-1].value["What"].tolist()


def test_a_schedule_is_set_turned_off_and_removed(
    settings: Settings, now: float, open_page: OpenPage, text_of, press
) -> None:
    app = drawer(open_page(settings, "monitor"), "schedule")
    app.selectbox(key="schedule-window").select("log").run()
    app = app.button(key="save-schedule").click().run()
    (stored,) = schedules.schedules(settings)
    assert stored.schedule.options == {"window": "log", "last": 2000, "scheduled": "Monitor"}
    assert stored.schedule.every_seconds == DAY
    text = text_of(app)
    assert "**Monitor**: every day, Newest rows (2,000)." in text
    assert "Next: 2026-03-02 12:00 UTC · Reports so far: 0" in text
    app = app.toggle(key="on-Monitor-True").set_value(False).run()
    assert not schedules.schedules(settings)[0].schedule.is_on
    assert "Off · Reports so far" in text_of(app)
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
    text = text_of(drawer(open_page(settings, "monitor"), "schedule"))
    assert "at the times 0 6 \\* \\* 1 (cron, UTC), Scoring." in text
    assert "failed] :small[less than a minute ago: Nothing was scored yet.]" in text
    assert "queued]" not in text


def test_an_invalid_time_is_refused_on_the_page(
    settings: Settings, now: float, open_page: OpenPage, text_of, press
) -> None:
    app = drawer(open_page(settings, "monitor"), "schedule")
    app.button_group(key="schedule-kind").set_value("cron").run()
    (cron,) = (field for field in app.text_input if field.label.startswith("Minute"))
    cron.input("0 25 * * *")
    app = app.button(key="save-schedule").click().run()
    assert "is not a valid time (25)" in text_of(app)
    assert schedules.schedules(settings) == []


def test_an_accelerated_clock_is_shown(settings: Settings, open_page: OpenPage, text_of) -> None:
    fast = settings.model_copy(update={"clock_speed": 3600.0})
    assert "COURTSIDE_CLOCK_SPEED: 3600" in text_of(drawer(open_page(fast, "monitor"), "schedule"))


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
    drawer(open_page(settings, "monitor"), "rules").button(key="save-rules").click().run()
    assert alert_rules.load(settings) == [Rule(name="AUC", pattern="roc_auc")]


def test_a_webhook_is_set_and_tested_without_waiting(
    settings: Settings, open_page: OpenPage, text_of, press
) -> None:
    with_secret = settings.model_copy(update={"webhook_secret": SECRET})
    app = drawer(open_page(with_secret, "monitor"), "channels")
    text = text_of(app)
    assert "COURTSIDE_WEBHOOK_SECRET: ok" in text
    assert "COURTSIDE_SMTP_PASSWORD is not set" in text
    (address,) = (field for field in app.text_input if field.label == "Address")
    address.input("http://ann:pw12345@a.example/")
    app = app.button(key="save-webhook").click().run()
    assert "must not hold a password or key" in text_of(app)
    (address,) = (field for field in app.text_input if field.label == "Address")
    address.input("http://127.0.0.1:9/hook")
    app.selectbox(key="channel-webhook-language").set_value("pt")
    app = app.button(key="save-webhook").click().run()
    webhook = channels.load(settings).webhook
    assert webhook is not None
    assert webhook.language == "pt"
    assert channels.load(settings).on == ("webhook",)
    app = app.button(key="test-webhook").click().run()
    assert "**Webhook** :green-badge[On] :orange-badge[waiting]" in text_of(app)
    (message,) = deliver.deliveries(settings)
    assert (message.is_test, message.state, message.tries) == (True, "waiting", 0)
    deliver.drain(with_secret)
    text = text_of(app.run())
    assert "**Webhook** :green-badge[On] :orange-badge[waiting]" in text
    assert "Nothing answers at its address." in text
    assert SECRET not in text


def test_mail_is_set(settings: Settings, open_page: OpenPage, text_of, press) -> None:
    app = drawer(open_page(settings, "monitor"), "channels")

    def fill(sender: str) -> AppTest:
        for label, value in {
            "Mail server": "mail.example",
            "From": sender,
            "User": "ann",
            "To, separated by commas": "ann@club.example, bob@club.example",
        }.items():
            next(field for field in app.text_input if field.label == label).input(value)
        return app.button(key="save-mail").click().run()

    app = fill("nobody")
    assert "sender: use a form like ana\\@example.org" in text_of(app)
    fill("courtside@club.example")
    mail = channels.load(settings).mail
    assert mail is not None
    assert (mail.host, mail.port, mail.security, mail.user) == (
        "mail.example",
        587,
        "starttls",
        "ann",
    )
    assert mail.language == "en"
    assert mail.to == ("ann@club.example", "bob@club.example")


def test_a_damaged_list_of_channels_is_reported_and_can_be_set_again(
    settings: Settings, open_page: OpenPage, text_of, press
) -> None:
    state.save(settings, channels.NAME, "{")
    app = drawer(open_page(settings, "monitor"), "channels")
    assert "The entry 'channels'" in text_of(app)
    (address,) = (field for field in app.text_input if field.label == "Address")
    address.input("https://a.example/x")
    app.button(key="save-webhook").click().run()
    assert state.load(settings, channels.NAME)["webhook"]["is_on"]
