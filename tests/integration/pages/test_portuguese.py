"""Pages in Portuguese: nothing that a page says is left in English."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.platform import language
from core.platform.config import CODE_ROOT, Settings
from pages.shared import bilingual

PAGES = sorted(path.parent.name for path in (CODE_ROOT / "pages").glob("*/page.py"))
# words that no Portuguese text has; nearly every English text has some of them
ENGLISH = {
    "the",
    "of",
    "is",
    "are",
    "was",
    "were",
    "not",
    "with",
    "from",
    "and",
    "or",
    "for",
    "that",
    "this",
    "which",
    "what",
    "when",
    "where",
    "who",
    "how",
    "has",
    "have",
    "it",
    "its",
    "they",
    "there",
    "then",
    "than",
    "be",
    "been",
    "by",
    "on",
    "an",
    "to",
    "more",
    "most",
    "less",
    "each",
    "every",
    "all",
    "any",
    "some",
    "none",
    "yes",
    "rows",
    "row",
    "column",
    "columns",
    "model",
    "models",
    "run",
    "runs",
    "test",
    "set",
    "sets",
    "data",
    "value",
    "values",
    "choose",
    "press",
    "train",
    "prepare",
    "score",
    "serve",
    "monitor",
    "version",
    "versions",
    "against",
    "limits",
    "limit",
    "alert",
    "alerts",
    "warning",
}


@pytest.fixture
def translated_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All texts that are translated while a page is drawn."""
    texts: list[str] = []
    translate = language.translate

    def listen(text: str, spoken: str) -> str:
        if spoken == "pt":
            texts.append(text)
        return translate(text, spoken)

    monkeypatch.setattr(bilingual.language, "translate", listen)
    return texts


def english_in(texts: list[str]) -> dict[str, str]:
    """Return the pieces that stay in English, each with its whole text."""
    return {
        piece: text
        for text in texts
        for piece in language.untranslated(text, "pt")
        if ENGLISH & set(re.findall(r"[a-z]+", piece.lower())) and not is_name(piece, text)
    }


def is_name(piece: str, text: str) -> bool:
    """Return whether it is a name or a path rather than words."""
    alone = piece == text.strip() and re.fullmatch(r"[a-z_0-9.]+", piece)
    return bool(alone) or not re.search(r"[a-z]{2,} [a-z]|^[A-Z]?[a-z]+$", piece)


@pytest.mark.parametrize("page", PAGES)
def test_a_full_page(
    page: str, lived, open_page: Callable[..., AppTest], translated_texts: list[str]
) -> None:
    app = open_page(lived.settings, page, lang="pt")
    assert not app.exception
    assert len(translated_texts) > 10
    assert english_in(translated_texts) == {}


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_page(
    page: str, settings: Settings, open_page: Callable[..., AppTest], translated_texts: list[str]
) -> None:
    app = open_page(settings, page, lang="pt")
    assert not app.exception
    assert english_in(translated_texts) == {}


def test_the_language_is_kept_in_the_address_and_between_pages(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(settings, "acquire", lang="pt")
    assert app.title[0].value == "Adquirir"
    app.switch_page("pages/prepare/page.py").run()
    assert app.title[0].value == "Preparar"
    assert app.query_params["lang"] in ("pt", ["pt"])


def test_english_is_what_the_source_says(
    settings: Settings, open_page: Callable[..., AppTest], translated_texts: list[str]
) -> None:
    app = open_page(settings, "acquire")
    assert app.title[0].value == "Acquire"
    assert translated_texts == []
    assert "lang" not in app.query_params


def test_a_language_that_does_not_exist_is_english(
    settings: Settings, open_page: Callable[..., AppTest]
) -> None:
    assert open_page(settings, "acquire", lang="xx").title[0].value == "Acquire"


def test_a_function_kept_since_an_english_visit_speaks_portuguese_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Page:
        texts: list[str] = []

        def error(self, text: str) -> None:
            self.texts.append(text)

    show = bilingual.TranslatedStreamlit(Page()).error
    monkeypatch.setattr(bilingual, "chosen", lambda: "pt")
    show("The model does not fit.")
    assert Page.texts == ["O modelo não adere."]
