"""The page Retrain: before there is a champion, with a rising figure, and what its buttons do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import jobs
from core.monitoring import monitor
from core.platform import project, state, tracking
from core.platform.config import Settings
from core.platform.run_record import SILENT, Record
from core.platform.run_tags import TAG
from core.predictions_log import predictions
from core.retraining import policy, policy_store, retrain
from core.retraining.policy_settings import Policy
from core.retraining.records import DecisionRun
from core.stats import checks
from core.stats.checks import Check
from pages.retrain import recommendation
from pages.shared import next_steps
from tests.conftest import copy_home

DAY = 86_400.0
LOSSES = (0.650, 0.656, 0.661, 0.668, 0.673, 0.679)


def report(
    settings: Settings, position: int, loss: float, check_verdict: str = "ok", **judged: str
) -> str:
    """Record a report of ten days as the step does, with the given log loss."""
    with tracking.step_run(settings, "monitor", monitor.Options(), SILENT) as run_id:
        check = Check(
            "log_loss",
            "Log loss",
            "performance",
            loss,
            0.65,
            "",
            check_verdict,
            "",
            alert_high=0.70,
        )
        begin = 1.7e9 + 10 * position * DAY
        tags = {
            "model": project.load(settings.project).model,
            "version": "1",
            "window_begin": str(begin),
            "window_end": str(begin + 9 * DAY),
            "labels": "500",
            **judged,
        }
        tracking.log(
            settings,
            run_id,
            Record(
                tags={TAG + name: value for name, value in tags.items()},
                metrics={"rows_current": 600, "rows_labelled": 500},
                tables={"checks": checks.as_table([check])},
            ),
        )
    return run_id


@pytest.fixture(scope="module")
def rising(shared_home: Callable[..., Settings], trained_few: Settings) -> Settings:
    def write_reports(settings: Settings) -> None:
        for position, loss in enumerate(LOSSES):
            report(settings, position, loss)

    return shared_home("retrain-rising", write_reports, trained_few)


@pytest.fixture
def home(rising: Settings, tmp_path: Path) -> Settings:
    return copy_home(rising, tmp_path / "home")


def test_before_a_champion_it_says_what_to_do_first(
    settings: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(settings, "retrain")
    assert not app.exception
    assert "There is no model yet" in text_of(app)


def primary(app: AppTest) -> list[str]:
    """Return the primary buttons outside of popovers and dialogs."""
    hidden = {id(button) for popover in app.get("popover") for button in popover.button}
    return [
        button.label
        for button in app.button
        if button.proto.type == "primary" and id(button) not in hidden
    ]


def test_a_rising_figure_is_shown_with_its_forecast(
    home: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    policy_store.save(home, Policy(strategy="predictive", horizon_days=90))
    app = open_page(home, "retrain")
    assert not app.exception
    text = text_of(app)
    assert "a limit will be crossed within the horizon" in text
    assert "Reports so far: 6 · Labels ≥ 100: 6" in text
    assert "Nothing here yet." in text
    assert len(tracking.runs(home, step="retrain")) == 0
    assert len(app.get("vega_lite_chart")) == 1
    assert primary(app) == ["Apply the policy"]
    # the policy's own view has it too
    app = open_page(home, "retrain", view="policy")
    assert len(app.get("vega_lite_chart")) == 1
    app = open_page(home, "retrain")
    policy_store.save(home, Policy())
    assert not open_page(home, "retrain").get("vega_lite_chart")


def test_without_a_policy_nothing_is_called_well(
    home: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(home, "retrain")
    assert "No policy: a person decides" in text_of(app)
    assert ":green[" not in text_of(app)
    assert primary(app) == ["Go to Policy"]
    app = app.button(key="choose-policy").click().run()
    assert app.radio(key="strategy").value == "none"


@pytest.mark.parametrize(
    ("code", "strategy", "verdict", "colour"),
    [
        ("person", "none", "does_not_fit", "red"),
        ("none", "none", "fits", "gray"),
        ("none", "reactive", "fits", "green"),
        ("none", "calendar", "no_skill", "gray"),
        ("none", "calendar", None, "gray"),
        ("investigate", "reactive", "investigate", "orange"),
    ],
)
def test_only_a_policy_and_a_report_that_fits_make_it_green(
    code: str, strategy: str, verdict: str | None, colour: str
) -> None:
    windows = () if verdict is None else (SimpleNamespace(verdict=verdict),)
    state = SimpleNamespace(windows=windows)
    decision = policy.Decision(code, "title", ("why",), (), "todo")
    assert recommendation.mark(decision, state, Policy(strategy=strategy))[0] == colour


def test_the_selected_decision_shows_its_reasons_and_runs(
    home: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    result = retrain.run(home, retrain.Options(policy=Policy(strategy="reactive")))
    app = open_page(home, "retrain")
    assert not app.exception
    # what fits a narrow window
    assert len(app.dataframe[0].value.columns) == 5
    app = app.toggle(key="decision-columns").set_value(True).run()
    assert {"rows_fit", "person", "seconds"} < set(app.dataframe[0].value.columns)
    app = open_page(home, "retrain", decision=result.run_id)
    assert not app.exception
    assert "Triggered by: Person" in text_of(app)
    assert f"run={result.run_id}" in [link.proto.query_string for link in app.page_link]


def test_a_valid_policy_is_saved_and_an_invalid_one_is_refused(
    home: Settings,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    app = open_page(home, "retrain", view="policy")
    app = app.radio(key="strategy").set_value("reactive").run()
    app.number_input(key="policy-k").set_value(3)
    app.number_input(key="policy-n").set_value(2)
    app = press(app, "Save")
    assert "must not be above" in text_of(app)
    assert policy_store.load(home) == Policy()
    app.number_input(key="policy-n").set_value(4)
    app = press(app, "Save")
    assert not app.exception
    assert policy_store.load(home) == Policy(strategy="reactive", k=3, n=4)


def test_buttons_start_jobs_and_a_retraining_by_hand_needs_a_reason(
    home: Settings,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    app = open_page(home, "retrain")
    app = press(app, "Retrain")
    assert "Required: Reason, at least " in text_of(app)
    assert not jobs.latest(home, "retrain")
    app.text_area(key="reason").set_value("Labels of a new kind came in")
    app = press(app, "Retrain")
    retrainings = jobs.latest(home, "retrain")
    assert [job.options["reason"] for job in retrainings] == ["Labels of a new kind came in"]
    assert app.button(key="busy").disabled
    # a policy can be applied only if there is one
    assert "decide" not in [button.key for button in app.button]
    policy_store.save(home, Policy(strategy="reactive"))
    assert open_page(home, "retrain").button(key="decide").disabled


def test_a_retraining_that_was_held_back_says_why_and_leads_to_the_decision(
    home: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    report(home, len(LOSSES), 0.75, "alert")
    app = open_page(home, "retrain")
    assert "retrain" in [button.key for button in app.button]
    assert not primary(app)
    spec = project.load(home.project)
    with tracking.step_run(home, "retrain", retrain.Options(), SILENT) as run_id:
        done = DecisionRun(
            decision="retrain",
            retrained_version="1",
            windows_until=2e9,
            challenger="2",
            gate="hold",
            gate_text="Not significantly better.",
        )
        tracking.log(home, run_id, Record(params={"model": spec.model}, tags=done.write()))
    app = open_page(home, "retrain")
    assert not app.exception
    text = text_of(app)
    assert "Version **2**, retrained from version 1" in text
    assert "Not significantly better." in text
    assert str(policy.NOT_PROMOTED) in text
    assert primary(app) == ["Go to Registry"]


@pytest.mark.parametrize(
    ("verdict", "action", "label", "title"),
    [
        ("no_skill", "train", "Go to Train", "Train"),
        ("does_not_fit", "train_rows", "Train on such rows", "Data"),
        ("investigate", "investigate", "See which columns changed", "Monitor"),
        ("fits", "wait", "Score", "Score"),
    ],
)
def test_the_advice_and_its_button_are_those_of_monitor(
    home: Settings,
    open_page: Callable[..., AppTest],
    text_of: Callable[[AppTest], str],
    verdict: str,
    action: str,
    label: str,
    title: str,
) -> None:
    own = "alert" if verdict == "does_not_fit" else "ok"
    judged = {"verdict": verdict, "verdict_action": action, "verdict_todo": "Do this."}
    run = tracking.finished_run(home, report(home, len(LOSSES), 0.75, own, **judged))
    assert run is not None
    assert str(next_steps.actions(project.load(home.project), run)[0].label) == label
    app = open_page(home, "retrain")
    assert not app.exception
    assert "Do this." in text_of(app)
    assert primary(app) == [label]
    # both ways are named where there are two
    assert ("repeats the champion's recipe" in text_of(app)) == (action in ("train", "train_rows"))
    assert {"choose-policy", "retrain"} <= {button.key for button in app.button}
    app = app.button(key="next").click().run()
    assert not app.exception
    assert app.title[0].value == title


def test_a_policy_that_retrains_does_not_hide_the_advice(
    home: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    policy_store.save(home, Policy(strategy="reactive", k=1, n=1))
    judged = {"verdict_action": "train_rows", "verdict_todo": "Do this."}
    report(home, len(LOSSES), 0.75, "alert", verdict="does_not_fit", **judged)
    app = open_page(home, "retrain")
    assert primary(app) == ["Apply the policy"]
    assert "**Report:** Do this." in text_of(app)
    assert "repeats the champion's recipe" in text_of(app)


def test_a_decision_about_an_older_report_says_so(
    home: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    assert "older than the newest scoring" not in text_of(open_page(home, "retrain"))
    scoring = predictions.Scoring(
        "a" * 32, "file", project.load(home.project).model, "1", time.time() + DAY, 5000, 0, "x"
    )
    predictions.finish(home, scoring)
    app = open_page(home, "retrain")
    assert not app.exception
    assert "older than the newest scoring of version 1, of 5,000 rows" in text_of(app)
    assert "Go to Monitor" in [link.label for link in app.page_link]


def test_a_damaged_policy_is_reported_and_can_be_saved_again(
    home: Settings,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    state.save(home, policy_store.NAME, {"strategy": "always"})
    app = open_page(home, "retrain")
    assert not app.exception
    assert "The entry 'policy' in state.db cannot be read" in text_of(app)
    # a person can act all the same
    assert "Retrain" in [button.label for button in app.button]
    app = open_page(home, "retrain", view="policy")
    assert "The entry 'policy' in state.db cannot be read" in text_of(app)
    press(app, "Save")
    assert policy_store.load(home) == Policy()
