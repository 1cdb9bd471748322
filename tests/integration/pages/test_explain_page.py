"""The page Explain: what can be explained, what has been, and what it submits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, prepare
from core.jobs import jobs
from core.platform import model_store, project, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.runs import ModelVersion
from core.training import explain, train
from tests.conftest import copy_home
from tests.integration.pages.test_second_project import FOREIGN, days

SPEC = project.load("kobe")


@dataclass(frozen=True)
class Home:
    """A home with two candidates, and the newest explanations of the one that is registered."""

    settings: Settings
    general: explain.Result
    row: explain.Result
    row_id: str

    @property
    def version(self) -> ModelVersion:
        return model_store.require_version(self.settings, SPEC.model, "champion")

    def candidate(self, kind: str) -> tracking.RunInfo:
        newest = tracking.last_run(self.settings, "train")
        assert newest is not None
        candidates = tracking.runs(self.settings, parent=newest.run_id)
        return next(run for run in candidates if run.params["model"] == kind)


@pytest.fixture(scope="module")
def home(acquired_sample: Settings, tmp_path_factory: pytest.TempPathFactory) -> Home:
    settings = copy_home(acquired_sample, tmp_path_factory.mktemp("explain") / "home")
    prepare.run(settings, prepare.Options(rows={"season": ("2000-01",)}))
    train.run(settings, train.Options(candidates=("lr", "dummy"), folds=2, learning_seconds=0))
    version = model_store.require_version(settings, SPEC.model, "champion")
    rows = tracking.table(settings, version.tags["courtside.train_run"], "test_rows")
    row_id = str(rows[SPEC.id].iloc[3])
    general = explain.run(settings, explain.Options(target="champion", rows=20, repeats=2))
    row = explain.run(settings, explain.Options(target="champion", test_row=row_id))
    return Home(settings, general, row, row_id)


@pytest.fixture(autouse=True)
def _no_job_is_left(home: Home) -> None:
    for job in jobs.active(home.settings):
        jobs.cancel(home.settings, job.job_id)


def submitted(home: Home) -> dict:
    (job,) = jobs.active(home.settings)
    assert job.step == "explain"
    return job.options


def single(app: AppTest) -> AppTest:
    return app.segmented_control(key="view").set_value("row").run()


def charts(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("vega_lite_chart")]


def helps_of(app: AppTest) -> str:
    """Return the explanations next to the page's headings."""
    return "\n".join(element.proto.help for element in app.markdown)


def linked(app: AppTest) -> set[str]:
    queries = [link.proto.query_string for link in app.page_link]
    return {query.removeprefix("run=") for query in queries if query.startswith("run=")}


def test_without_a_model_it_says_what_to_do_next(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "train", view="explain")
    assert not app.exception
    assert [info.value for info in app.info] == ["There is no model yet. Train one first."]
    assert "Candidates" in [link.label for link in app.page_link]
    assert not charts(app)


def test_explainable_models_are_listed_with_the_champion_first(
    home: Home, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home.settings, "train", view="explain")
    assert app.selectbox(key="model").options == [
        "Champion: version 1, Logistic regression",
        "Base rate",
    ]


def test_the_newest_explanation_is_shown_with_its_run_and_what_it_does_not_mean(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(home.settings, "train", view="explain")
    assert not app.exception
    assert len(charts(app)) == 3
    assert {home.general.run_id, home.version.run_id} <= linked(app)
    text = text_of(app)
    for sentence in ("20 rows · ", "built-in sample, not real data"):
        assert sentence in text
    explained = helps_of(app)
    for sentence in (
        "can replace each other",
        "association, not causation",
        "such rows may not exist",
    ):
        assert sentence in explained
    assert "changed. Run" not in text


def test_partial_dependence_is_of_the_feature_that_is_chosen(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(home.settings, "train", view="explain")
    assert app.selectbox(key="feature").value == home.general.strongest
    app = app.selectbox(key="feature").set_value("lat").run()
    assert charts(app)[-1]["layer"][0]["encoding"]["x"]["title"] == "lat: latitude, degrees"
    assert "Correlation: shot_distance (-0." in text_of(app)


def test_an_unexplained_candidate_says_so_and_is_explained_by_its_run_id(
    home: Home, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    run_id = home.candidate("dummy").run_id
    app = open_page(home.settings, "train", view="explain", target=run_id)
    assert app.selectbox(key="model").value == run_id
    assert [info.value for info in app.info] == ["Nothing here yet. Press Explain."]
    assert not charts(app)
    app.segmented_control(key="rows").set_value(50).run()
    press(app, "Explain")
    options = submitted(home)
    assert (options["target"], options["rows"], options["row"]) == (run_id, 50, None)


def test_the_expected_time_is_shown_and_grows_with_the_rows(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    run = home.candidate("dummy")
    app = open_page(home.settings, "train", view="explain", target=run.run_id)
    for rows in (50, 500):
        app.segmented_control(key="rows").set_value(rows).run()
        assert "Takes about " in text_of(app)


def test_a_running_explanation_shows_how_far_it_is_and_then_why_it_failed(
    home: Home, open_page: Callable[..., AppTest]
) -> None:
    job = jobs.submit(home.settings, "explain", {"target": "champion"})
    assert jobs.claim(home.settings, job.job_id)
    jobs.update(home.settings, job.job_id, fraction=0.4, text="Contributions: 3 of 150 rows")
    app = open_page(home.settings, "train", view="explain")
    (bar,) = app.progress
    assert (bar.value, bar.text.split(" · ")[0]) == (40, "Contributions: 3 of 150 rows")
    # the earlier explanation is still shown
    assert len(charts(app)) == 3
    jobs.finish(home.settings, job.job_id, jobs.FAILED, error="The row has no value for lat.")
    app = open_page(home.settings, "train", view="explain")
    assert app.error[0].value == "**Explain failed.** The row has no value for lat."
    assert len(charts(app)) == 3


def test_older_rows_are_marked(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str], tmp_path: Path
) -> None:
    settings = copy_home(home.settings, tmp_path / "home")
    prepare.run(settings, prepare.Options(rows={"season": ("2000-01",)}))
    assert "Training and test set changed." in text_of(open_page(settings, "train", view="explain"))


def test_the_explained_row_is_shown_with_its_label_and_its_way_to_the_probability(
    home: Home, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = single(open_page(home.settings, "train", view="explain"))
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    tested = tracking.table(home.settings, home.version.run_id, "test_predictions").iloc[3]
    assert shown["Probability"] == f"{tested['courtside_probability']:.1%}"
    assert shown["Mean predicted probability"] == f"{home.row.base:.1%}"
    assert shown["Actual"] == (SPEC.positive if tested["courtside_label"] else SPEC.negative)
    (chart,) = charts(app)
    assert chart["layer"][0]["encoding"]["y"]["sort"][-1] == (
        f"This row  {tested['courtside_probability']:.1%}"
    )
    assert home.row.run_id in linked(app)
    text = text_of(app)
    assert f"{SPEC.id} {home.row_id} · " in text
    assert "association, not causation" in helps_of(app)


def test_a_row_of_the_test_set_is_submitted_by_its_id_and_a_changed_one_by_its_values(
    home: Home, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = single(open_page(home.settings, "train", view="explain"))
    start = app.selectbox(key=f"start-{home.version.run_id}")
    app = start.select_index(2).run()
    assert not app.exception
    app = press(app, "Explain")
    options = submitted(home)
    picked = start.options[2].split(":")[0]
    assert picked != start.options[0].split(":")[0]
    assert (options["test_row"], options["row"]) == (picked, None)
    (job,) = jobs.active(home.settings)
    jobs.cancel(home.settings, job.job_id)
    # the form is locked while a row is explained
    app = app.run()
    minutes = next(field for field in app.number_input if field.label == "minutes_remaining")
    minutes.set_value(3 if minutes.value != 3 else 4)
    app = press(app, "Explain")
    options = submitted(home)
    assert options["test_row"] is None
    assert set(options["row"]) == set(home.version.inputs)
    assert options["row"]["minutes_remaining"] in (3, 4)


def test_an_emptied_field_is_submitted_as_missing(
    home: Home, open_page: Callable[..., AppTest], press: Callable[[AppTest, str], AppTest]
) -> None:
    app = single(open_page(home.settings, "train", view="explain"))
    next(field for field in app.number_input if field.label == "lat").set_value(None)
    press(app, "Explain")
    assert submitted(home)["row"]["lat"] is None


def test_an_id_that_is_not_in_the_test_set_is_refused_at_once(
    home: Home, open_page: Callable[..., AppTest]
) -> None:
    app = single(open_page(home.settings, "train", view="explain"))
    start = app.selectbox(key=f"start-{home.version.run_id}")
    start.options.append("**no**")  # as the browser does with typed text
    app = start.set_value("**no**").run()
    assert not app.exception
    assert app.error[0].value == r"'shot_id \*\*no\*\*' does not exist."
    assert not jobs.active(home.settings)


def test_notable_rows_are_offered(home: Home, open_page: Callable[..., AppTest]) -> None:
    app = single(open_page(home.settings, "train", view="explain"))
    offered = app.selectbox(key=f"start-{home.version.run_id}").options
    tested = tracking.table(home.settings, home.version.run_id, "test_predictions")
    missed = tested[tested["courtside_label"] == 0]["courtside_probability"].max()
    assert any(f"Highest, {tested['courtside_probability'].max():.1%}" in text for text in offered)
    assert any(
        f"{missed:.1%}" in text and ("missed, " in text or "Highest" in text) for text in offered
    )


@pytest.mark.long
def test_a_second_project_is_explained_in_its_own_words(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_page: Callable[..., AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    folder = tmp_path / "projects"
    shutil.copytree(project.FOLDER, folder)
    shutil.copy(CODE_ROOT / "tests" / "rain.toml", folder)
    monkeypatch.setattr(project, "FOLDER", folder)
    rain = settings.model_copy(update={"project": "rain"})
    days().to_csv(tmp_path / "days.csv", index=False)
    acquire.run(rain, acquire.Options(source="file", path=tmp_path / "days.csv"))
    prepare.run(rain, prepare.Options())
    train.run(rain, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    explain.run(rain, explain.Options(rows=20, repeats=2))
    app = open_page(rain, "train", view="explain")
    assert not app.exception
    assert not app.error
    text = text_of(app)
    app = single(app)
    assert not app.exception
    assert not app.error
    text += text_of(app) + "".join(str(box.label) for box in app.selectbox)
    assert "pressure" in text
    assert not FOREIGN.search(text)
