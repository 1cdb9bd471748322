"""A catalogue of nonsense, and what of a text it did not reach: words that are still English."""

from __future__ import annotations

import gettext
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import pandas as pd
import pytest
from babel.messages.pofile import read_po
from google.protobuf.message import Message as Proto
from streamlit.testing.v1 import AppTest

from core.documents.texts import diagram
from core.platform import messages, steps

_LETTERS = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "абцдефгхийклмнопярстувжчузАБЦДЕФГХИЙКЛМНОПЯРСТУВЖЧУЗ",
)
# places, code, addresses and markup of a message stay
_KEPT = re.compile(
    r"(\{[^{}]*\}|`[^`]*`|https?:\S+|</?[a-z][^>]*>|&[a-z]+;|:material/\w+:|:[a-z]+(?:-badge)?\["
    r"|\]\([^)]*\))"
)
_WORD = re.compile(r"(?<![\w./:=$-])[A-Za-z]{3,}(?![\w/=-]|\.\w)")
_BARE = re.compile(
    r"<style>.*?</style>|<script>.*?</script>|`[^`]*`|https?:\S+|</?[a-z][^>]*>|:material/\w+:|:[a-z]+(-badge)?\[",
    re.DOTALL,
)
# of an element: what no person reads
_SILENT = {
    "autocomplete",
    "column_order",
    "element_id",
    "form_id",
    "icon",
    "id",
    "page",
    "page_script_hash",
    "query_string",
    "selection_mode",
    "type",
    "url",
}
# in messages, but the same in every language
NAMES = set(
    """
AUC CSV Courtside Docker Excel GET HTML HTTP JSON KNN MLflow Markdown NBA PDF POST PSI PyCaret
Prometheus PostgreSQL Python README TLS ROC SHA SHAP SQLite Slack Streamlit Bryant Kobe URL UTC UTF
LightGBM AdaBoost STARTTLS bytes champion challenger log parquet requests sigmoid skops webhook
""".lower().split()
)


class _Nonsense(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return nonsense(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return nonsense(one if count == 1 else many)

    def pgettext(self, context: str, message: str) -> str:
        return nonsense(message)

    def npgettext(self, context: str, one: str, many: str, count: int) -> str:
        return nonsense(one if count == 1 else many)


def nonsense(text: str) -> str:
    """Return a text in other letters, with its places and its markup.

    Examples
    --------
    >>> nonsense("**{rows:,}** rows of `a.csv`")
    '**{rows:,}** рожс оф `a.csv`'
    """
    parts = _KEPT.split(text)
    return "".join(
        part if place % 2 else part.translate(_LETTERS) for place, part in enumerate(parts)
    )


def speak(patch: pytest.MonkeyPatch) -> None:
    """Put nonsense in the place of the Portuguese catalogue."""
    known = messages._catalogue
    patch.setattr(
        messages,
        "_catalogue",
        lambda language: _Nonsense() if language == "pt" else known(language),
    )
    # a drawing kept from before would not be nonsense, and one kept now would stay so
    patch.setattr(diagram, "_drawn", lru_cache(diagram._drawn.__wrapped__))


def vocabulary() -> set[str]:
    """Return the English words of all messages, but names."""
    with (messages.FOLDER / "pt" / "LC_MESSAGES" / "courtside.po").open("rb") as file:
        catalogue = read_po(file)
    words: set[str] = set()
    for message in catalogue:
        texts = message.id if isinstance(message.id, tuple) else (message.id,)
        for text in texts:
            bare = "".join(_KEPT.split(text)[::2])
            words |= {word.lower() for word in _WORD.findall(bare)}
    return words - NAMES - {name.lower() for name in steps.RUN_NAMES.values()}


def english_in(texts: Iterable[str], words: set[str], data: set[str]) -> list[str]:
    """Return the texts that still have a word of a message, outside of what is data."""
    values = sorted((value for value in data if " " in value or "(" in value), key=len)
    known = re.compile("|".join(map(re.escape, reversed(values))) or r"(?!)")
    left = []
    for text in texts:
        if text.strip() in data:
            continue
        bare = known.sub(" ", _BARE.sub(" ", text))
        if any(word.lower() in words and word not in data for word in _WORD.findall(bare)):
            left.append(text)
    return left


def texts_of(app: AppTest) -> Iterator[str]:
    """Yield every text that a page draws: of elements, of tables and of charts."""
    for element in app._tree:
        if type(element).__name__ == "Code":
            continue
        proto = getattr(element, "proto", None)
        if isinstance(proto, Proto):
            yield from _of_proto(proto)
        if type(element).__name__ in ("Dataframe", "Table"):
            yield from _of_table(
                element.value,
                json.loads(getattr(proto, "columns", "") or "{}"),
                list(getattr(proto, "column_order", ())),
            )


def _of_proto(proto: Proto) -> Iterator[str]:
    for field, value in proto.ListFields():
        if field.name in _SILENT or field.name in ("columns", "datasets", "data"):
            continue
        several = value if field.is_repeated else [value]
        for part in several:
            if isinstance(part, Proto):
                yield from _of_proto(part)
            elif field.name == "spec" and isinstance(part, str):
                yield from _of_chart(json.loads(part))
            # the rows that are selected, which nobody reads
            elif isinstance(part, str) and not part.startswith('{"selection"'):
                yield part


def _of_table(rows: Any, config: dict[str, Any], order: list[str]) -> Iterator[str]:
    if not isinstance(rows, pd.DataFrame):
        return
    for name in rows.columns:
        shown = config.get(name) or {}
        if shown.get("hidden") or (order and name not in order):
            continue
        yield str(shown.get("label", name))
        if shown.get("help"):
            yield shown["help"]
        yield from {value for value in rows[name].dropna() if isinstance(value, str)}


def _of_chart(part: Any, key: str = "") -> Iterator[str]:
    if isinstance(part, dict):
        if part.get("legend", part) is None:
            # a scale that nothing names: its values are codes
            part = {name: value for name, value in part.items() if name != "scale"}
        for name, value in part.items():
            if name not in ("$schema", "data", "datasets", "field", "as", "format", "type", "name"):
                yield from _of_chart(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _of_chart(value, key)
    elif isinstance(part, str) and key in ("title", "text", "description", "domain", "subtitle"):
        yield part
