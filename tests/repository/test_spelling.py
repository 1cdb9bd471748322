"""The words of the app's texts and of its documents, in each language, against a dictionary.

What is right and stands in no dictionary (names, terms of the field) stands in `words_<language>`,
one a line. Code, addresses, names of columns and of runs are no words.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from types import ModuleType

import pytest

from core.platform import steps
from core.platform.config import CODE_ROOT

# texts that stand on no page and in no catalogue, by the language they are written in
DOCUMENTS = {"en": ("*.md", "docs/**/*.md"), "pt": ("docs/**/*.pt.md",)}
NO_WORDS = re.compile(
    r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]*>|https?:\S+|\{[^}]*\}|:material/\w+:|:[a-z]+(?:-badge)?\["
    r"|&[a-z]+;|\S*[/_\\=@#]\S*|\b[\w-]+\.(?:py|md|csv|zip|toml|parquet|json|db)\b",
    re.DOTALL,
)
# whole: not the letters within a digest or a version
WORD = re.compile(r"(?<![\w'’])[^\W\d_]+(?:['’][^\W\d_]+)*(?!\w)")
RUNS = {name.lower() for name in steps.RUN_NAMES.values()}


def words(text: str) -> Iterator[str]:
    """Yield the words of a text, without names in capitals within and without possessives."""
    for found in WORD.findall(NO_WORDS.sub(" ", text)):
        word = re.sub(r"['’]s?$", "", found.replace("’", "'"))
        # MLflow, KNN, s3
        if len(word) > 2 and word[1:] == word[1:].lower():
            yield word.lower()


def misspelt(texts: Iterable[str], language: str) -> dict[str, str]:
    """Return the words that neither the dictionary nor the project's list knows, each in a text."""
    from spellchecker import SpellChecker

    listed = CODE_ROOT / "tests" / "repository" / f"words_{language}.txt"
    known = RUNS | (set(listed.read_text(encoding="utf-8").split()) if listed.exists() else set())
    seen: dict[str, str] = {}
    for text in texts:
        for word in words(text):
            if word not in known:
                seen.setdefault(word, " ".join(text.split())[:120])
    unknown = SpellChecker(language=language, distance=1).unknown(seen)
    return {word: seen[word] for word in sorted(unknown)}


@cache
def collector() -> ModuleType:
    spec = importlib.util.spec_from_file_location("messages", CODE_ROOT / ".ci" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def told(language: str) -> list[str]:
    """Return all that the app says in a language."""
    if language == "en":
        return list(collector().messages())
    from babel.messages.pofile import read_po

    path = CODE_ROOT / "core" / "locale" / language / "LC_MESSAGES" / "courtside.po"
    with path.open("rb") as file:
        return [str(one.string) for one in read_po(file, locale=language) if one.id and one.string]


def documents(language: str) -> list[str]:
    """Return the documents of a language, a paragraph each."""
    found = {path for pattern in DOCUMENTS[language] for path in CODE_ROOT.glob(pattern)}
    found -= set() if language != "en" else {path for path in found if path.name.count(".") > 1}
    texts = [path.read_text(encoding="utf-8") for path in sorted(found)]
    # code first: an empty line within it is the end of no paragraph
    return [
        part for text in texts for part in re.sub(r"```.*?```", "", text, flags=re.S).split("\n\n")
    ]


@pytest.mark.parametrize("language", DOCUMENTS)
def test_the_words_are_spelt_as_the_dictionary_has_them(language: str) -> None:
    found = misspelt([*told(language), *documents(language)], language)
    assert not found, "\n".join(f"{word}: {text}" for word, text in found.items())


def test_a_slip_is_found_and_what_is_no_word_is_not() -> None:
    texts = [
        "The modle's `xqzt` [is](adress.md) at https://exampel.org, in `a_colum`.",
        "MLflow KNN",
    ]
    assert list(misspelt(texts, "en")) == ["modle"]
    assert list(misspelt(["Os dados forram baixxados"], "pt")) == ["baixxados"]


def test_the_lists_hold_no_word_twice_and_none_that_the_dictionary_has() -> None:
    from spellchecker import SpellChecker

    for path in (CODE_ROOT / "tests").glob("words_*.txt"):
        listed = path.read_text(encoding="utf-8").split()
        assert listed == sorted(set(listed)), path.name
        language = path.stem.removeprefix("words_")
        assert not SpellChecker(language=language, distance=1).known(listed), path.name
