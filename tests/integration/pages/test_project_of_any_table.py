"""Every page opens for a project without id, time and production rows, and says what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from core.data import acquire, prepare
from core.documents import gather
from core.documents.texts import as_markdown
from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import project, tracking
from core.platform.config import Settings
from core.scoring import score
from core.training import train
from pages.shared import elements
from tests import any_table
from tests.integration.pages.test_second_project import FOREIGN, PAGES


@pytest.fixture(scope="module", autouse=True)
def _added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("projects")
    any_table.write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "FOLDER", folder)
        yield


@pytest.fixture(scope="module")
def lived(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home in which the odd table was acquired, trained on, scored and monitored."""
    settings = module_settings.model_copy(update={"project": "odd"})
    path = tmp_path_factory.mktemp("source") / "penguins.csv"
    any_table.penguins().to_csv(path, index=False)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    score.run(settings, score.Options(source="production", way="in_process"))
    monitor.run(settings, monitor.Options())
    return settings


@pytest.mark.parametrize(
    "page",
    [
        *PAGES,
        "retrain?view=replay",
        "retrain?view=policy",
        "score?view=rows",
        "score?view=log",
        "score?view=labels",
    ],
)
def test_every_page_opens(
    lived: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str], page: str
) -> None:
    app = open_page(lived, page)
    assert not app.exception
    assert not app.error, app.error[0].value
    assert FOREIGN.findall(text_of(app)) == []


def test_what_needs_a_time_is_not_offered(
    lived: Settings, open_page: Callable[..., AppTest], text_of: Callable[[AppTest], str]
) -> None:
    shown = [
        str(choice.proto) for choice in open_page(lived, "data?view=prepare").get("button_group")
    ]
    assert any("At random" in choice for choice in shown)
    assert not any("By time" in choice for choice in shown)
    assert "names no column as" in text_of(open_page(lived, "retrain?view=replay"))


def test_what_counts_each_row_once_says_so_where_there_are_weights(
    lived: Settings, open_page: Callable[..., AppTest]
) -> None:
    report = tracking.last_run(lived, "monitor")
    assert report is not None
    of_report = elements.plain(str(ReportRun.of(report).weights))
    assert of_report in [caption.value for caption in open_page(lived, "monitor").caption]
    explain = open_page(lived, "train?view=explain")
    assert any("'weight'" in caption.value for caption in explain.caption)


def test_its_documents_hold(lived: Settings) -> None:
    for document in gather.build(lived):
        text = as_markdown.render(document)
        assert text
        assert FOREIGN.findall(text) == [], document.name
