"""The catalogues: each message of the source has a translation with the same places and markup."""

from __future__ import annotations

import ast
import io
import re

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from core.platform.config import CODE_ROOT
from tests import code_trees

PLACE = re.compile(r"\{(\w*)(![rsa])?(:[^{}]*(?:\{\w+\})?[^{}]*)?\}")
MARKUP = re.compile(r":material/\w+:|:[a-z]+(?:-badge)?\[|\*\*|^#+ |`[^` ]+`")


@pytest.fixture(scope="module")
def extraction():
    """The script that extracts messages, as a module."""
    return code_trees.catalogue_script()


@pytest.fixture(scope="module")
def path(extraction):
    return extraction.FOLDER / "pt" / "LC_MESSAGES" / "courtside.po"


@pytest.fixture(scope="module")
def entries(path) -> list[Message]:
    with path.open("rb") as file:
        return [entry for entry in read_po(file, locale="pt") if entry.id]


def pairs(entries: list[Message]) -> list[tuple[str, str]]:
    """Return each message with its translation, plural forms apart."""
    listed = []
    for entry in entries:
        if isinstance(entry.id, tuple):
            listed += [*zip(entry.id, entry.string, strict=True)]
        else:
            listed.append((entry.id, entry.string))
    return listed


def test_the_catalogue_has_the_messages_of_the_source_all_translated(extraction, path) -> None:
    catalogue = extraction.updated(path, "pt", code_trees.extracted())
    assert len(catalogue) > 1000
    missing = [entry.id for entry in extraction.untranslated(catalogue)]
    assert missing == [], "run `python .ci/catalogue.py`, and translate what it adds"
    assert path.read_bytes() == extraction.as_po(catalogue)
    assert path.with_suffix(".mo").read_bytes() == extraction.as_mo(catalogue)


def test_a_translation_has_the_places_of_its_message(entries) -> None:
    def places(text: str) -> set[str]:
        return {name for name, *_ in PLACE.findall(text)}

    wrong = [
        (message, answer)
        for message, answer in pairs(entries)
        if places(answer) - places(message)
        # a form for one may name the number or not
        or places(message) - places(answer) - {"count"}
    ]
    assert wrong == []


def test_a_translation_has_the_markup_of_its_message(entries) -> None:
    wrong = [
        (message, answer)
        for message, answer in pairs(entries)
        if sorted(MARKUP.findall(message)) != sorted(MARKUP.findall(answer))
    ]
    assert wrong == []


def test_no_message_is_put_together(extraction) -> None:
    """An f-string is in no catalogue."""
    functions = {*extraction.KEYWORDS}
    for name in extraction.SOURCES:
        place = CODE_ROOT / name
        for file in place.rglob("*.py") if place.is_dir() else [place]:
            for call in code_trees.nodes(file):
                if is_call(call, functions):
                    assert not any(isinstance(part, ast.JoinedStr) for part in call.args), (
                        f"{file}:{call.lineno}"
                    )


def test_messages_within_f_strings_are_extracted(extraction) -> None:
    code = io.BytesIO(b"""x = f"{_('Log in')}: {name} {n_('{count} row', '{count} rows', 2)}" """)
    calls = [(name, texts) for _line, name, texts, _comments in extraction.calls(code, {"_", "n_"})]
    assert calls == [("_", ("Log in",)), ("n_", ("{count} row", "{count} rows", None))]


def is_call(node: ast.AST, functions: set[str]) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions
    )
