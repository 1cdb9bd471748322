"""The catalogues: all texts for people exist in both languages, with the same places."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest
from babel.messages.pofile import read_po

from core.platform import language
from core.platform.config import CODE_ROOT
from core.platform.errors import InputError

FOLDER = CODE_ROOT / "core" / "locale"


@pytest.fixture(scope="module")
def collecting():
    """The script that collects messages, as a module."""
    place = CODE_ROOT / ".ci" / "messages.py"
    spec = importlib.util.spec_from_file_location("messages", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def messages(collecting) -> dict[str, list[str]]:
    return collecting.messages()


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    with (FOLDER / "pt" / "LC_MESSAGES" / "courtside.po").open("rb") as file:
        return {entry.id: entry.string for entry in read_po(file) if entry.id}


def test_every_message_is_translated(messages, catalogue) -> None:
    assert len(messages) > 3000
    missing = [message for message in messages if not catalogue.get(message)]
    assert missing == [], "run `python .ci/messages.py`, and translate what it adds"
    assert sorted(set(catalogue) - set(messages)) == []


def test_the_compiled_catalogue_matches_its_source(collecting, messages) -> None:
    path = FOLDER / "pt" / "LC_MESSAGES" / "courtside.po"
    merged = collecting.merged(path, "pt", messages)
    assert path.read_bytes() == collecting.written(merged)
    assert path.with_suffix(".mo").read_bytes() == collecting.compiled(merged)


def test_a_translation_has_the_places_of_its_message(catalogue) -> None:
    wrong = {
        message: answer
        for message, answer in catalogue.items()
        if sorted(language.PLACE.findall(message)) != sorted(language.PLACE.findall(answer))
    }
    assert wrong == {}


def test_a_translation_has_the_markup_of_its_message(catalogue) -> None:
    def markup(text: str) -> list[str]:
        return sorted(re.findall(r":material/\w+:|:[a-z]+(?:-badge)?\[|\*\*|^#+ ", text))

    wrong = {
        message: translation
        for message, translation in catalogue.items()
        if markup(message) != markup(translation)
    }
    assert wrong == {}


def test_excluded_strings_still_exist(collecting) -> None:
    """Strings excluded from the catalogue by name are code, and still exist in the source."""
    excluded = json.loads((FOLDER / "not_told.json").read_text(encoding="utf-8"))
    strings = set()
    for path in collecting.sources():
        strings |= {
            message.strip() for message in collecting.of_source(path.read_text(encoding="utf-8"))
        }
    assert sorted(set(excluded) - strings) == []


@pytest.mark.parametrize(
    ("text", "translation"),
    [
        ("", ""),
        ("Train", "Treinar"),
        ("20,285 rows", "20.285 linhas"),
        # whole sentences, with values that are translated too
        ("Version 3 on port 5001 answers", "A versão 3 na porta 5001 responde"),
        ("3 days ago", "há 3 dias"),
        ("**Train failed.** Done.", "**Treinar falhou.** Pronto."),
        # markup, lists, tables
        ("## Limits\n\n- Calibration", "## Limites\n\n- Calibração"),
        ("| Fact | Value |", "| Fato | Valor |"),
        (":red-badge[alert] Calibration", ":red-badge[alerta] Calibração"),
        # numbers and dates in the form of the language; names, code and addresses as they are
        ("0.6776 (95%: 0.6700 to 0.6850)", "0,6776 (95%: 0,6700 a 0,6850)"),
        ("2026-11-25 14:06 UTC", "25/11/2026 14:06 UTC"),
        ("`a.b 1.5` at http://127.0.0.1:5001", "`a.b 1.5` at http://127.0.0.1:5001"),
        ("shot_zone_basic 2.1.4 v1.2", "shot_zone_basic 2.1.4 v1.2"),
        ("-1,234.5 1e-06 12.5%", "-1.234,5 1e-06 12,5%"),
        ("2026-99-99", "2026-99-99"),
    ],
)
def test_texts_in_portuguese(text: str, translation: str) -> None:
    assert language.translate(text, "pt") == translation


def test_an_escaped_value_stays_escaped() -> None:
    translation = language.translate(r"'a\*b' is empty.", "pt")
    assert translation == r"'a\*b' está vazio."


def test_an_unknown_text_stays_unchanged() -> None:
    text = "Some words that no catalogue has of anything like it"
    assert language.translate(text, "pt") == text
    assert language.untranslated(text, "pt") == (text,)


def test_only_languages_with_a_catalogue() -> None:
    with pytest.raises(InputError, match="not a language"):
        language.translate("Train", "xx")
    for code in language.LANGUAGES:
        assert language.translate("Train", code)


def test_a_chart_is_translated_and_keeps_its_data() -> None:
    spec = {
        "mark": "bar",
        "title": "Calibration",
        "data": {"values": [{"kind": "Train", "x": 1.5, "name": "Kobe"}, {"kind": "Test", "x": 2}]},
        "encoding": {
            "x": {"field": "x", "title": "Rows"},
            "color": {"field": "kind", "scale": {"domain": ["Train", "Test"]}},
        },
    }
    translated = language.translated_chart(spec, "pt")
    assert translated["title"] == "Calibração"
    assert translated["encoding"]["x"] == {"field": "x", "title": "Linhas"}
    assert translated["encoding"]["color"]["scale"]["domain"] == ["Treinar", "Teste"]
    assert translated["data"]["values"][0] == {"kind": "Treinar", "x": 1.5, "name": "Kobe"}
    assert translated["config"]["locale"]["number"]["decimal"] == ","
    assert language.translated_chart(spec, "en") == spec
