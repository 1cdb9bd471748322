"""The words of the app's texts and of its documents, in each language, against a dictionary.

Correct words that are in no dictionary (names, terms of the field) are in `words_<language>`, one
per line. Code, addresses, names of columns and of runs are no words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

import pytest
from spellchecker import SpellChecker

from core.platform import steps
from core.platform.config import CODE_ROOT
from tests import code_trees

# texts that are on no page and in no catalogue, by their language
DOCUMENTS = {"en": ("*.md", "docs/**/*.md"), "pt": ("*.pt-BR.md", "docs/**/*.pt-BR.md")}
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
    for match in WORD.findall(NO_WORDS.sub(" ", text)):
        word = re.sub(r"['’]s?$", "", match.replace("’", "'"))
        # MLflow, KNN, s3
        if len(word) > 2 and word[1:] == word[1:].lower():
            yield word.lower()


@cache
def dictionary(language: str) -> SpellChecker:
    """Return what knows the words of a language, which takes a second to load."""
    return SpellChecker(language=language, distance=1)


def misspelt(texts: Iterable[str], language: str) -> dict[str, str]:
    """Return the words that neither the dictionary nor the project's list knows, each in a text."""
    listed = CODE_ROOT / "tests" / "repository" / f"words_{language}.txt"
    accepted = RUNS | (
        set(listed.read_text(encoding="utf-8").split()) if listed.exists() else set()
    )
    first_text: dict[str, str] = {}
    for text in texts:
        for word in words(text):
            if word not in accepted:
                first_text.setdefault(word, " ".join(text.split())[:120])
    unknown = dictionary(language).unknown(first_text)
    return {word: first_text[word] for word in sorted(unknown)}


def app_texts(language: str) -> list[str]:
    """Return all texts of the app in a language."""
    if language == "en":
        kept = [entry.id for entry in code_trees.extracted() if entry.id]
    else:
        from babel.messages.pofile import read_po

        path = CODE_ROOT / "core" / "locale" / language / "LC_MESSAGES" / "courtside.po"
        with path.open("rb") as file:
            kept = [entry.string for entry in read_po(file, locale=language) if entry.id]
    return [
        text for texts in kept for text in (texts if isinstance(texts, tuple) else (texts,)) if text
    ]


def documents(language: str) -> list[str]:
    """Return the paragraphs of a language's documents."""
    paths = {path for pattern in DOCUMENTS[language] for path in CODE_ROOT.glob(pattern)}
    paths -= set() if language != "en" else {path for path in paths if path.name.count(".") > 1}
    texts = [path.read_text(encoding="utf-8") for path in sorted(paths)]
    # code first: an empty line within it does not end a paragraph
    return [
        part for text in texts for part in re.sub(r"```.*?```", "", text, flags=re.S).split("\n\n")
    ]


@pytest.mark.parametrize("language", DOCUMENTS)
def test_every_word_is_spelt_correctly(language: str) -> None:
    unknown = misspelt([*app_texts(language), *documents(language)], language)
    assert not unknown, "\n".join(f"{word}: {text}" for word, text in unknown.items())


def test_a_misspelling_is_found_and_other_tokens_are_ignored() -> None:
    texts = [
        "The modle's `xqzt` [is](adress.md) at https://exampel.org, in `a_colum`.",
        "MLflow KNN",
    ]
    assert list(misspelt(texts, "en")) == ["modle"]
    assert list(misspelt(["Os dados forram baixxados"], "pt")) == ["baixxados"]


def test_the_lists_hold_no_word_twice_and_none_that_the_dictionary_has() -> None:
    paths = list((CODE_ROOT / "tests" / "repository").glob("words_*.txt"))
    assert len(paths) == len(DOCUMENTS)
    for path in paths:
        listed = path.read_text(encoding="utf-8").split()
        assert listed == sorted(set(listed)), path.name
        language = path.stem.removeprefix("words_")
        assert not dictionary(language).known(listed), path.name
