"""The second built-in example on the pages: curves over time, maps by place, and a verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, prepare
from core.monitoring import monitor
from core.platform import messages, projects, tracking
from core.platform.config import Settings
from core.scoring import score
from core.training import train
from tests.integration.lifecycle.left import missing_artifacts, undeclared_artifacts


@pytest.fixture(scope="module")
def flown(module_settings: Settings) -> Settings:
    """A home in which the example was added and went through its life cycle."""
    settings = projects.add_example(module_settings, "flights")
    acquire.run(settings, acquire.Options())
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    score.run(settings, score.Options(source="production", way="in_process"))
    monitor.run(settings, monitor.Options())
    return settings


def test_its_verdict_is_about_the_season(flown: Settings) -> None:
    report = tracking.last_run(flown, "monitor")
    assert report is not None
    assert report.tags["courtside.verdict"] == "investigate"
    # summer is warmer; the same flights are as hard to predict
    assert "psi.temperature" in report.tags["courtside.alerts"]
    metrics = report.metrics
    assert metrics["skill_current"] > 0.03
    assert metrics["roc_auc_current"] == pytest.approx(metrics["roc_auc_reference"], abs=0.04)


@pytest.mark.parametrize("step", ["acquire", "train"])
def test_what_needs_a_time_and_a_place_is_left(flown: Settings, step: str) -> None:
    left = missing_artifacts(flown, step, conditions=("time", "place"))
    assert [path for path in left if "over_time" in path or "places" in path] == []
    assert undeclared_artifacts(flown, step) == set()


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_time_and_place_are_drawn_in_both_languages(
    flown: Settings, open_page: Callable[..., AppTest], language: str
) -> None:
    with messages.speaking(language):
        app = open_page(flown, "data?view=explore", lang=language)
        app.pills(key="view").set_value("slices").run()
        assert not app.exception
        assert len(app.get("vega_lite_chart")) == 2
        app.segmented_control(key="slice").set_value("origin").run()
        assert not app.exception
        app.pills(key="view").set_value("places").run()
        assert not app.exception
        assert len(app.get("vega_lite_chart")) == 2
        app = open_page(flown, "train?view=results", lang=language)
        app.segmented_control(key="train-results").set_value("one").run()
        app.segmented_control(key="depth-view").set_value("places").run()
        assert not app.exception
        assert app.get("vega_lite_chart")


def test_a_project_without_a_place_has_no_map(lived, open_page: Callable[..., AppTest]) -> None:
    app = open_page(lived.settings, "data?view=explore")
    app.pills(key="view").set_value("slices").run()
    assert not app.exception
    # the seasons of the first example stay first; its time is one more choice
    assert app.segmented_control(key="slice").value == "season"
    assert "Place" not in app.pills(key="view").options
