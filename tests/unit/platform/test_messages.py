"""Messages: kept as facts, put into words when they are shown."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

import pytest

from core.platform import messages
from core.platform.errors import InputError
from core.platform.messages import Message, _, listed, n_, number, p_, plural, sentences, speaking


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Portuguese catalogue of a few messages."""
    words = {
        "{rows:,} rows of {name}": "{rows:,} linhas de {name}",
        "No file.": "Sem arquivo.",
        "table\x04Set": "Conjunto",
        "Set": "Definir",
        "Of {kinds}.": "De {kinds}.",
    }

    class Catalogue(messages.gettext.NullTranslations):
        def gettext(self, message: str) -> str:
            return words.get(message, message)

        def ngettext(self, one: str, many: str, count: int) -> str:
            return "{count:,} linha" if count == 1 else "{count:,} linhas"

        def pgettext(self, context: str, message: str) -> str:
            return words[f"{context}\x04{message}"]

    known = messages._catalogue
    monkeypatch.setattr(
        messages, "_catalogue", lambda language: Catalogue() if language == "pt" else known("en")
    )


ROWS = Message("{rows:,} rows of {name}", rows=20285, name="3.5 a,b")


@pytest.mark.usefixtures("catalogue")
def test_a_message_is_in_the_language_of_the_moment_it_is_shown() -> None:
    assert str(ROWS) == "20,285 rows of 3.5 a,b"
    with speaking("pt"):
        assert str(ROWS) == f"{ROWS}" == "20.285 linhas de 3.5 a,b"
        assert _("No file.") == "Sem arquivo."
        assert n_("a row", "{count:,} rows", 1) == "1 linha"
        assert n_("a row", "{count:,} rows", 1234) == "1.234 linhas"
        assert (p_("table", "Set"), _("Set")) == ("Conjunto", "Definir")
    assert str(ROWS) == "20,285 rows of 3.5 a,b"


@pytest.mark.usefixtures("catalogue")
def test_a_message_within_a_message_and_a_list_of_them_are_translated_too() -> None:
    kinds = [Message("No file."), "data", plural("a row", "{count:,} rows", 2)]
    whole = sentences(Message("Of {kinds}.", kinds=kinds), Message(""), Message("No file."))
    assert str(whole) == "Of No file., data and 2 rows. No file."
    with speaking("pt"):
        assert str(whole) == "De Sem arquivo., data e 2 linhas. Sem arquivo."


def test_numbers_and_days_take_the_form_of_the_language() -> None:
    moment = datetime(2026, 11, 25, 14, 6, tzinfo=UTC)
    shown = Message("{day} {moment} {x:+.2f} {share:.1%} {is_true} {text}").msgid
    values = {"day": date(2026, 11, 25), "moment": moment, "x": -1234.5, "share": 0.125}
    message = Message(shown, **values, is_true=True, text="1.5")
    assert str(message) == "2026-11-25 2026-11-25 14:06 -1234.50 12.5% True 1.5"
    with speaking("pt"):
        assert str(message) == "25/11/2026 25/11/2026 14:06 -1234,50 12,5% True 1.5"
        assert (number(20285), number(0.5, ".0%"), messages.day("2026-11-25T14:06:00+00:00")) == (
            "20.285",
            "50%",
            "25/11/2026 14:06",
        )
        assert listed(["a", "b", "c"], "or") == "a, b ou c"
        assert listed(["a", "b", "c"], "unit") == "a, b, c"


def test_a_message_survives_every_way_it_is_kept() -> None:
    @dataclass(frozen=True)
    class Finding:
        text: Message

    nested = Message("{why} {rows}", why=ROWS, rows=[1, ROWS, "x"])
    for message in (ROWS, nested, plural("a", "b", 3), sentences(ROWS, ROWS), Message("")):
        stored = json.loads(json.dumps(messages.to_data({"text": message})))
        assert messages.from_data(stored) == {"text": message}
        assert messages.loads(messages.dumps(message)) == message
        assert pickle.loads(pickle.dumps(message)) == message
        assert messages.from_data(asdict(Finding(message)))["text"] == message
        assert hash(message) == hash(messages.loads(messages.dumps(message)))
    assert messages.loads("a plain text of an older file") == "a plain text of an older file"


def test_braces_of_a_text_without_parameters_stay() -> None:
    assert str(Message('{"a": 1}')) == '{"a": 1}'
    assert str(Message("{text}", text="{rows}")) == "{rows}"


def test_an_error_is_a_message_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush-hush")
    where = Message("the store {uri}", uri="postgresql://ann:s3cret@db/runs")
    error = InputError(
        Message("No answer from {where} ({tried}).", where=where, tried=["hush-hush"])
    )
    assert str(error) == "No answer from the store postgresql://ann:***@db/runs (***)."
    assert "s3cret" not in messages.dumps(error.message)


def test_only_languages_with_a_catalogue_are_spoken() -> None:
    with pytest.raises(ValueError, match="'xx' is no language"), speaking("xx"):
        pass
    for language in messages.LANGUAGES:
        assert messages.in_words(Message("Train"), language)


def test_a_stored_day_has_the_form_of_the_reader() -> None:
    rows = Message("{start}", start=date(2025, 6, 1))
    title = Message("{rows}; {days}", rows=rows, days=[date(2025, 6, 2)])
    kept = json.loads(json.dumps(messages.to_data({"title": title})))
    for again in (messages.loads(messages.dumps(title)), messages.from_data(kept)["title"]):
        assert again == title
        assert str(again) == "2025-06-01; 2025-06-02"
        with speaking("pt"):
            assert str(again) == "01/06/2025; 02/06/2025"
    # as `asdict` leaves them
    assert messages.from_data((messages.to_data(rows),)) == [rows]
    # data outside of a message is text, as before
    assert messages.to_data({"day": date(2025, 6, 1)}) == {"day": "2025-06-01"}
