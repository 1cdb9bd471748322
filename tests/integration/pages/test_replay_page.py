"""The view Replay: what it submits, what it shows during a replay and after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import jobs
from core.platform import project, tracking
from core.platform.config import Settings
from core.retraining import replay, replay_store
from core.retraining.injection import Injection
from core.retraining.policy import Policy
from tests.conftest import copy_home

SPEC = project.load("kobe")
FLIP = Injection(kind="label_flip", size=1.0, begin="2008-01-01")


@dataclass(frozen=True)
class Home:
    settings: Settings
    result: replay.Result


@pytest.fixture(scope="module")
def home(acquired_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Home:
    settings = copy_home(acquired_few, tmp_path_factory.mktemp("replay") / "home")
    options = replay.Options(
        rows="all",
        window="rows",
        window_rows=110,
        train_share=0.4,
        injection=FLIP,
        policies=(Policy(strategy="calendar", every_days=180),),
    )
    return Home(settings, replay.run(settings, options))


@pytest.fixture(autouse=True)
def _no_job_is_left(home: Home) -> None:
    for job in jobs.active(home.settings):
        jobs.cancel(home.settings, job.job_id)


def charts(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]


def test_without_rows_it_says_what_to_do_first(
    settings: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(settings, "retrain", view="replay")
    assert not app.exception
    assert "No raw data yet. Acquire it first." in text_of(app)
    assert "Go to Acquire" in [link.label for link in app.page_link]
    assert not [button for button in app.button if button.label == "Replay"]


def test_the_answer_the_table_the_charts_and_the_run_are_shown(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(home.settings, "retrain", view="replay")
    assert not app.exception
    text = text_of(app)
    assert str(home.result.answer) in text
    assert "Drift: 100% of the labels flipped" in text
    assert len(charts(app)) == 1
    shown = app.table[0].value
    assert shown["Policy"].tolist() == ["None", "Calendar (every 180 days)"]
    policies = tracking.table(home.settings, home.result.run_id, "policies")
    assert shown["Log loss"].tolist() == [f"{value:.4f}" for value in policies["log_loss"]]
    assert "Alarms before the drift" in shown
    assert f"run={home.result.run_id}" in [link.proto.query_string for link in app.page_link]
    decided = app.dataframe[0].value
    # the last decision is too late to be carried out
    retrained = home.result.retrainings["calendar:180"]
    assert decided["trained"].str.startswith("version").sum() == retrained
    assert len(decided) == retrained + 1
    losses = charts(app)
    app = app.segmented_control(key="replay-chart").set_value("gain").run()
    assert "**Gain**" in text_of(app)
    assert charts(app) != losses
    app.toggle(key="every_decision").set_value(True).run()
    assert len(app.dataframe[0].value) == 2 * home.result.windows


def test_the_form_asks_for_what_was_chosen(
    home: Home, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(home.settings, "retrain", view="replay")
    app.selectbox(key="features").set_value(SPEC.feature_sets[0].title)
    app.selectbox(key="candidate").set_value("lightgbm").run()
    app.selectbox(key="window").set_value("rows").run()
    app.number_input(key="window_rows").set_value(200)
    app.multiselect(key="policies").set_value(["reactive"])
    app.number_input(key="n").set_value(4)
    app.number_input(key="delay").set_value(30.0)
    app.selectbox(key="drift").set_value("shift").run()
    assert "opponent" not in app.selectbox(key="drift_column").options
    app.selectbox(key="drift_column").set_value("loc_y").run()
    press(app, "Replay")
    (job,) = jobs.active(home.settings)
    options = replay.Options(**job.options)
    assert (options.candidate, options.window, options.window_rows) == ("lightgbm", "rows", 200)
    assert options.features == SPEC.feature_sets[0].features
    assert options.label_delay_days == 30
    assert [(policy.strategy, policy.n) for policy in options.policies if policy.is_on] == [
        ("reactive", 4)
    ]
    assert options.injection is not None
    assert (options.injection.kind, options.injection.column) == ("shift", "loc_y")


def test_conflicting_choices_are_refused(
    home: Home, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = open_page(home.settings, "retrain", view="replay")
    app.selectbox(key="drift").set_value("shift").run()
    app.number_input(key="drift_size_shift").set_value(0.0).run()
    press(app, "Replay")
    assert "a shift is -20 to 20 standard deviations" in app.error[0].value
    assert jobs.active(home.settings) == []


def test_a_running_replay_shows_its_day_and_windows_and_then_why_it_failed(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    job = jobs.submit(home.settings, "replay", replay.Options().model_dump(mode="json"))
    jobs.claim(home.settings, job.job_id)
    run_id = "a" * 32
    jobs.update(home.settings, job.job_id, run_id=run_id, fraction=0.4, text="window 2 of 5")
    windows = tracking.table(home.settings, home.result.run_id, "windows").head(4)
    try:
        (home.settings.state_dir / "replays" / run_id).mkdir(parents=True)
        replay_store.tell(home.settings, run_id, windows.to_dict("records"))
        app = open_page(home.settings, "retrain", view="replay")
        assert not app.exception
        text = text_of(app)
        assert "window 2 of 5" in text
        assert "**Calendar (every 180 days)** Alarms: " in text
        assert len(charts(app)) == 2
        jobs.finish(home.settings, job.job_id, jobs.FAILED, error="There was no tomorrow.")
        app = open_page(home.settings, "retrain", view="replay")
        assert "There was no tomorrow." in app.error[0].value
        # the earlier result is still shown
        assert str(home.result.answer) in text_of(app)
    finally:
        replay_store.remove(home.settings, run_id)


def test_its_log_can_be_removed_and_the_result_stays(
    home: Home,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    app = press(open_page(home.settings, "retrain", view="replay"), "Remove")
    assert replay_store.stores(home.settings) == []
    assert str(home.result.answer) in text_of(app)
    assert "Remove" not in [button.label for button in app.button]
