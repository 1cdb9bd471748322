"""Every page in a new home: it says what to do next and shows no figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs import jobs, supervision
from core.platform.config import Settings

# page -> the next step it names, and the link to it
NEXT = {
    "overview": ("Courtside trains a model, serves it", "Use your own data"),
    "data": ("No raw data yet. Acquire it first.", None),
    "data?view=source": ("No raw data yet. Acquire it first.", None),
    "data?view=explore": ("No raw data yet. Acquire it first.", "Go to Acquire"),
    "data?view=prepare": ("No raw data yet. Acquire it first.", "Go to Acquire"),
    "train": ("No prepared data yet. Prepare the data first.", "Go to Prepare"),
    "registry": ("There is no model yet. Train one first.", "Go to Train"),
    "train?view=explain": ("There is no model yet. Train one first.", "Candidates"),
    "serve": ("There is no model yet. Train one first.", "Go to Train"),
    "score": ("No model is served. Start one on the Serve page first.", "Go to Serve"),
    "monitor": ("Monitor needs 100 rows or more.", "Go to Score"),
    "runs": ("Nothing here yet.", "Go to Acquire"),
}
CHARTS = ("vega_lite_chart", "arrow_vega_lite_chart")


@pytest.mark.parametrize("page", NEXT)
def test_an_empty_page_says_what_to_do_next_and_shows_no_figures(
    page: str,
    settings: Settings,
    open_page: Callable[..., AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    app = open_page(settings, page)
    assert not app.exception
    assert not app.error
    sentence, link = NEXT[page]
    text = text_of(app)
    assert sentence in text
    assert app.title[0].value == page.partition("?")[0].capitalize()
    if link:
        assert link in [target.value for target in app.page_link]
    assert not app.metric
    assert not app.dataframe
    assert not any(app.get(kind) for kind in CHARTS)
    assert "sample, not real" not in text
    assert not jobs.latest(settings)


def test_the_empty_overview_has_one_next_step_and_five_that_wait(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "overview")
    states = [element.value for element in app.markdown if "-badge[" in element.value]
    assert len(states) == 6
    assert "next" in states[0]
    assert all("waiting" in state for state in states[1:])


def test_every_page_names_the_project_and_the_worker_in_the_sidebar(
    settings: Settings, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    for state, words in (
        (supervision.WorkerState(False, False, None, None), "starting"),
        (supervision.WorkerState(True, False, 1, 0.0), "starting"),
        (supervision.WorkerState(True, True, 1, 0.0), "ready"),
        (supervision.WorkerState(True, True, 1, 0.0, "Jobs start slowly."), "Jobs start slowly."),
    ):
        monkeypatch.setattr(supervision, "worker_state", lambda settings, state=state: state)
        captions = [caption.value for caption in open_page(settings, "train").sidebar.caption]
        assert any("Does the shot go in?" in line for line in captions)
        assert any(words in line for line in captions)


def test_the_folder_of_the_operator_is_offered_first_where_there_is_one(
    settings: Settings, open_page: Callable[..., AppTest], tmp_path: Path
) -> None:
    without = open_page(settings, "data", view="source").segmented_control(key="source")
    assert without.value == "sample"
    assert "Folder" not in without.options
    (tmp_path / "raw").mkdir()
    chosen = settings.model_copy(update={"raw_dir": tmp_path / "raw"})
    app = open_page(chosen, "data", view="source")
    assert app.segmented_control(key="source").value == "folder"
    assert "contains no CSV or parquet file" in app.error[0].value
    for name in ("b.csv", "a.parquet"):
        (tmp_path / "raw" / name).touch()
    files = open_page(chosen, "data", view="source").multiselect(key="folder-files")
    assert str(tmp_path / "raw") in files.help
    assert files.value == ["a.parquet", "b.csv"]


def test_opening_the_store_leaves_the_settings_as_they_were(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    assert not open_page(settings, "runs", warm=False).exception
    assert Settings.load() == settings
