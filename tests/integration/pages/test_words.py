"""What pages say comes from the catalogue alone: with one of nonsense, no English word is left."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.monitoring import alerting
from core.platform import messages, project
from core.platform.config import CODE_ROOT, Settings
from core.training import candidates
from tests import nonsense
from tests.integration.pages.conftest import Lived

# every page at every view of it
VIEWS = (
    "overview",
    *(f"data?view={view}" for view in ("source", "explore", "prepare")),
    *(f"train?view={view}" for view in ("candidates", "results", "explain")),
    *(f"registry?view={view}" for view in ("decide", "versions", "compare", "ledger")),
    "serve",
    *(f"score?view={view}" for view in ("row", "rows", "log", "labels")),
    *(f"monitor?view={view}" for view in ("report", "alerts", "history")),
    *(f"retrain?view={view}" for view in ("decision", "policy", "replay")),
    *(f"documents?document={name}" for name in ("data_report", "lifecycle", "checklist")),
    *(f"runs?view={view}" for view in ("runs", "jobs")),
    *(f"projects?view={view}" for view in ("list", "new")),
)
DRAWERS = ("new", "schedule", "rules", "channels")


@pytest.fixture(scope="module")
def words() -> set[str]:
    return nonsense.vocabulary()


@pytest.fixture(scope="module")
def data(shots: pd.DataFrame) -> set[str]:
    """Names and values of the table, and names of runs: the same in every language."""
    spec = project.load("kobe")
    texts = shots.select_dtypes("object")
    values = {value for name in texts for value in texts[name].dropna().unique()}
    runs = {str(kind.title) for kind in candidates.KINDS.values()}
    # what a person types to name checks
    codes = {code for rule in alerting.DEFAULTS for code in (rule.pattern, rule.level)}
    return {*shots.columns, *spec.engineered, *map(str, values), *runs, *codes}


def kinds(app: AppTest) -> list[str]:
    return [type(element).__name__ for element in app._tree]


@pytest.mark.parametrize("page", VIEWS)
@pytest.mark.parametrize("home", ["full", "empty"])
def test_only_the_words_of_a_page_change(
    page: str,
    home: str,
    request: pytest.FixtureRequest,
    open_page: Callable[..., AppTest],
    monkeypatch: pytest.MonkeyPatch,
    words: set[str],
    data: set[str],
) -> None:
    settings: Settings = (
        request.getfixturevalue("lived").settings
        if home == "full"
        else request.getfixturevalue("settings")
    )
    english = open_page(settings, page)
    assert not english.exception
    nonsense.speak(monkeypatch)
    app = open_page(settings, page, lang="pt")
    assert not app.exception
    assert kinds(app) == kinds(english)
    texts = [*nonsense.texts_of(app)]
    assert len(texts) > 10
    assert not [text for text in texts if "Message(" in text]
    left = nonsense.english_in(texts, words, data)
    assert not left, "\n".join(left)


def test_the_views_are_those_of_the_pages() -> None:
    pages = {path.parent.name for path in (CODE_ROOT / "pages").glob("*/page.py")}
    assert {view.partition("?")[0] for view in VIEWS} == pages


@pytest.mark.parametrize("drawer", DRAWERS)
def test_only_the_words_of_a_drawer_of_monitor_change(
    drawer: str,
    lived: Lived,
    open_page: Callable[..., AppTest],
    monkeypatch: pytest.MonkeyPatch,
    words: set[str],
    data: set[str],
) -> None:
    nonsense.speak(monkeypatch)
    app = open_page(lived.settings, "monitor", lang="pt")
    # as the browser does; Streamlit's test would put the options of a widget into English
    monkeypatch.setattr(messages, "current", lambda: "pt")
    app = app.button(key=f"open-{drawer}-menu").click().run()
    assert not app.exception
    left = nonsense.english_in(nonsense.texts_of(app), words, data)
    assert not left, "\n".join(left)


def test_the_language_is_kept_in_the_address_and_between_pages(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "data", lang="pt")
    assert app.title[0].value == "Dados"
    app.switch_page("pages/train/page.py").run()
    assert app.title[0].value == "Treinar"
    assert app.query_params["lang"] in ("pt", ["pt"])


def test_english_is_the_language_of_a_visit_that_names_none(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "data")
    assert app.title[0].value == "Data"
    assert "lang" not in app.query_params


def test_a_language_that_does_not_exist_is_english(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    assert open_page(settings, "data", lang="xx").title[0].value == "Data"
