"""A second project is a second file: its steps run, its pages open, and nothing mentions the first.

The project has no court, no sample and no code of its own, and its rows are days.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, prepare, snapshots
from core.documents import gather
from core.documents.texts import as_markdown
from core.monitoring import monitor
from core.platform import model_store, project, storage, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, NotReadyError
from core.training import train

RAIN = CODE_ROOT / "tests" / "rain.toml"
PAGES = (
    "overview",
    "data?view=source",
    "data?view=explore",
    "data?view=prepare",
    "train",
    "train?view=candidates",
    "train?view=explain",
    "registry",
    "serve",
    "score",
    "monitor",
    "retrain",
    "documents",
    "runs",
)
FOREIGN = re.compile(
    r"kobe|(?<!snap)shot|lakers|hoop|\bcourt\b|basketball|make rate|[23]-point|[23]pt"
    r"|(?<!of )\bcourse\b|grader|checklist|\bbrief\b|first version of this work",
    re.IGNORECASE,
)


def days() -> pd.DataFrame:
    """Return 700 days, seeded: it rains where pressure is low; some labels are missing."""
    rng = np.random.default_rng(3)
    pressure = rng.normal(1013, 12, 700).round(1)
    humidity = rng.integers(20, 100, 700)
    odds = (1010 - pressure) / 8 + (humidity - 60) / 30
    rained = (rng.random(700) < 1 / (1 + np.exp(-odds))).astype(float)
    rained[::25] = np.nan
    return pd.DataFrame(
        {
            "day": range(700),
            "date": pd.date_range("2001-01-01", periods=700).strftime("%Y-%m-%d"),
            "place": np.where(np.arange(700) % 7 == 0, "hills", "coast"),
            "pressure": pressure,
            "humidity": humidity,
            "rained": rained,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def _added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put the second file next to the shipped ones, in the test's own folder."""
    folder = tmp_path_factory.mktemp("projects")
    shutil.copytree(project.FOLDER, folder, dirs_exist_ok=True)
    shutil.copy(RAIN, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "FOLDER", folder)
        yield


@pytest.fixture
def empty(settings: Settings) -> Settings:
    return settings.model_copy(update={"project": "rain"})


@pytest.fixture(scope="module")
def trained(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home in which the second project was trained; tests only read it."""
    settings = module_settings.model_copy(update={"project": "rain"})
    path = tmp_path_factory.mktemp("source") / "days.csv"
    days().to_csv(path, index=False)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("lr",), folds=3))
    return settings


def all_of(app: AppTest, settings: Settings, text_of: Callable[[AppTest], str]) -> str:
    """Return all that a page shows, including charts and choices.

    Without the test's paths, and the names of other projects in the selection of one.
    """
    shown = f"{app.main!r}\n{app.sidebar!r}\n{text_of(app)}"
    for table in (*app.dataframe, *app.table):
        shown += table.value.to_string()
    for chart in app.get("vega_lite_chart"):
        shown += str(chart.proto)
    others = (name for choice in app.sidebar.selectbox for name in choice.options)
    for text in (str(settings.home), *(name for name in others if name != "Rain")):
        shown = shown.replace(text, "")
    return shown


def test_its_rows_are_prepared_and_a_model_of_its_own_is_registered(trained: Settings) -> None:
    rows, labelled = days(), days().dropna()
    coast = labelled[labelled["place"] == "coast"]
    raw, prepared = snapshots.current(trained), storage.current_prepared(trained)
    assert raw is not None
    assert prepared is not None
    assert (raw.rows, prepared.rows_train + prepared.rows_test) == (len(rows), len(coast))
    assert not raw.is_sample
    acquired = tracking.last_run(trained, "acquire")
    assert acquired is not None
    assert acquired.tags["courtside.project"] == "rain"
    assert "tables/court_cells.parquet" not in tracking.artifacts(trained, acquired.run_id)
    assert acquired.metrics["rows_production"] == (rows["place"] == "hills").sum()
    version = model_store.require_version(trained, "rain", "champion")
    assert (version.version, version.threshold) == ("1", 0.3)
    run = tracking.last_run(trained, "train")
    assert run is not None
    # the columns are informative: the model beats the base rate
    assert run.metrics["skill_test"] > 0.1


def test_its_monitoring_is_refused_while_nothing_was_scored(trained: Settings) -> None:
    with pytest.raises(NotReadyError, match="There are no predictions yet"):
        monitor.run(trained, monitor.Options())


def test_a_sample_that_it_does_not_have_is_refused(empty: Settings) -> None:
    with pytest.raises(InputError, match="'rain' has no built-in sample"):
        acquire.run(empty, acquire.Options(source="sample"))


@pytest.mark.parametrize("page", PAGES)
def test_its_empty_pages_mention_no_other_project(
    page: str, empty: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(empty, page)
    assert not app.exception
    assert not app.error
    shown = all_of(app, empty, text_of)
    assert "Does it rain tomorrow?" in shown
    assert not FOREIGN.findall(shown)


@pytest.mark.parametrize("page", PAGES)
def test_its_pages_after_training_mention_no_other_project(
    page: str,
    trained: Settings,
    open_page: Callable[..., AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    app = open_page(trained, page)
    assert not app.exception
    assert not app.error
    shown = all_of(app, trained, text_of)
    assert "not real" not in shown
    assert not FOREIGN.findall(shown)
    words = {
        "overview": "coast days",
        "data?view=explore": "wet",
        "data?view=prepare": "wet",
        "train": "Logistic regression",
        "serve": "champion (version 1)",
        "monitor": "Monitor needs 100 rows or more",
        "runs": "Treinamento",
    }
    assert words.get(page, "") in shown


def test_its_documents_mention_no_other_project(trained: Settings) -> None:
    built = gather.build(trained)
    names = [document.name for document in built]
    assert names[:2] == ["project_charter", "data_report"]
    assert names[-2:] == ["artifacts", "model_card_v1"]
    assert "answers" not in names
    for document in built:
        text = as_markdown.render(document)
        assert "wet" in text or "rain" in text.lower(), document.name
        assert not FOREIGN.findall(text), document.name


def test_a_replay_mentions_no_other_project(
    empty: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    app = open_page(empty, "retrain", view="replay")
    assert not app.exception
    assert not FOREIGN.findall(all_of(app, empty, text_of))


def test_only_a_project_with_a_checklist_offers_one(
    empty: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(empty, "documents", document="checklist")
    assert not app.exception
    assert "Checklist" not in app.radio(key="document").options
    app = open_page(empty.model_copy(update={"project": "kobe"}), "documents")
    assert "Checklist" in app.radio(key="document").options


def test_only_sources_that_exist_are_offered(
    empty: Settings,
    tmp_path: Path,
    open_page: Callable[..., AppTest],
    press: Callable[[AppTest, str], AppTest],
) -> None:
    app = open_page(empty, "data", view="source")
    choice = app.segmented_control(key="source")
    assert (choice.options, choice.value) == (["Files"], "upload")
    app = press(app, "Acquire")
    assert not app.exception
    assert [error.value for error in app.error] == ["Required: Files."]
    chosen = empty.model_copy(update={"raw_dir": tmp_path})
    choice = open_page(chosen, "data", view="source").segmented_control(key="source")
    assert choice.value == "folder"
    assert choice.options == ["Folder", "Files"]
    with_sample = empty.model_copy(update={"project": "kobe"})
    app = open_page(with_sample, "data", view="source")
    assert app.segmented_control(key="source").value == "sample"
    assert any("30,697 generated shots" in caption.value for caption in app.caption)
