"""The messages of both languages: collected from the source, merged into the catalogue, compiled.

    python .ci/messages.py            collect, merge, compile; prints what has no translation yet
    python .ci/messages.py --check    print only; exit code 1 if anything is missing or out of date

A message is what a person reads: a string or an f-string of the source that has words in it, not
a name, a path, a query or a pattern. Of an f-string the places become `{name}`.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
# what talks to programs: its output is JSON, and its help is in English as that of Python is
PROGRAMS = {"core/runtime/commands.py", "core/__main__.py", "core/__init__.py"}
FOLDER = ROOT / "core" / "locale"
LANGUAGES = ("pt",)
# calls whose arguments no person reads
CALLS = {
    "compile",
    "match",
    "fullmatch",
    "search",
    "sub",
    "split",
    "text",
    "execute",
    "getLogger",
    "debug",
    "info_",
    "exception",
    "strftime",
    "strptime",
    "eval",
    "query",
    "getattr",
    "import_module",
    "guarded",
    "suppress",
    "set_tag",
    "Path",
    "joinpath",
    "glob",
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "encode",
    "NewType",
    "TypeVar",
    "Column",
    "Index",
    "mkstemp",
    "calculate",
}
LOGGERS = {"_log", "log", "logging", "logger"}
# keys of a project file whose values are read by a person
READ_KEYS = {
    "title",
    "about",
    "domain",
    "features_title",
    "question",
    "positive",
    "negative",
    "development_name",
    "production_name",
}
NOT_WORDS = re.compile(
    r":material/\w+:|:[a-z]+(?:-badge)?\[|</?[^>]*>|`[^`]*`|https?:\S+|\{[a-z_0-9]+\}|&[a-z]+;"
)
PLACE_NAME = re.compile(r"[^a-z0-9_]+")


def main() -> int:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    collected = messages()
    left = 0
    for language in LANGUAGES:
        path = FOLDER / language / "LC_MESSAGES" / "courtside.po"
        catalogue = merged(path, language, collected)
        empty = [str(entry.id) for entry in catalogue if entry.id and not entry.string]
        gone = catalogue.obsolete
        print(f"{language}: {len(collected):,} messages, {len(empty):,} untranslated")
        for message in empty[:20]:
            print(f"  {message!r}")
        if check:
            left += len(empty) + (path.read_bytes() != written(catalogue)) + len(gone)
            left += path.with_suffix(".mo").read_bytes() != compiled(catalogue)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(catalogue))
        path.with_suffix(".mo").write_bytes(compiled(catalogue))
    return int(bool(left))


def merged(path: Path, language: str, collected: dict[str, list[str]]) -> Catalog:
    """Return the catalogue of a language with exactly the messages that the source has."""
    previous = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            previous = read_po(file, locale=language)
    updated = Catalog(locale=language, project="Courtside", charset="utf-8", fuzzy=False)
    updated.revision_date = updated.creation_date = None
    for message in sorted(collected):
        before = previous.get(message)
        string = before.string if before else ""
        places = [(place, None) for place in collected[message]]
        updated.add(message, string, locations=places)
    return updated


def written(catalogue: Catalog) -> bytes:
    """Return a catalogue as its file holds it, the same for the same messages."""
    file = io.BytesIO()
    write_po(file, catalogue, width=100, omit_header=True, include_lineno=False)
    head = (
        b'msgid ""\nmsgstr ""\n"Project-Id-Version: Courtside\\n"\n'
        b'"Language: pt\\n"\n"MIME-Version: 1.0\\n"\n'
        b'"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n\n'
    )
    return head + file.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    """Return a catalogue as programs read it, the same for the same messages."""
    # its header has times, which are not content
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    plain = Catalog(
        locale=catalogue.locale,
        charset="utf-8",
        fuzzy=False,
        creation_date=moment,
        revision_date=moment,
    )
    for message in catalogue:
        if message.id and message.string:
            plain.add(message.id, message.string)
    file = io.BytesIO()
    write_mo(file, plain)
    return file.getvalue()


def messages() -> dict[str, list[str]]:
    """Return all messages of the source, each with the files that say it."""
    collected: dict[str, set[str]] = {}

    def keep(message: str, place: Path) -> None:
        collected.setdefault(message.strip(), set()).add(place.relative_to(ROOT).as_posix())

    for path in sources():
        for message in of_source(path.read_text(encoding="utf-8")):
            keep(message, path)
    for path in sorted((ROOT / "core" / "projects").rglob("*.toml")):
        for message in of_project(tomllib.loads(path.read_text(encoding="utf-8"))):
            keep(message, path)
    words = FOLDER / "words.txt"
    for line in words.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            keep(line, words)
    no = set(json.loads((FOLDER / "not_told.json").read_text(encoding="utf-8")))
    return {message: sorted(places) for message, places in collected.items() if message not in no}


def sources() -> Iterator[Path]:
    """Yield the files of the source whose strings a person may read."""
    yield ROOT / "app.py"
    for folder in ("pages", "core"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.relative_to(ROOT).as_posix() not in PROGRAMS:
                yield path


def of_project(part: object) -> Iterator[str]:
    """Yield the texts of a project file that a person reads."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in READ_KEYS and isinstance(value, str):
                yield value
            else:
                yield from of_project(value)
    elif isinstance(part, list):
        for value in part:
            yield from of_project(value)


def of_source(source: str) -> Iterator[str]:
    """Yield the messages of one file."""
    tree = ast.parse(source)
    silent = set(_silent(tree))
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    branches = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.FormattedValue)
        for choice in ast.walk(node.value)
        if isinstance(choice, ast.IfExp)
        for part in (choice.body, choice.orelse)
    }
    for node in ast.walk(tree):
        if id(node) in silent or id(node) in inner:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if is_message(node.value) or (id(node) in branches and is_word(node.value)):
                yield node.value
        elif isinstance(node, ast.JoinedStr):
            message = of_f_string(node)
            if is_message(message):
                yield message


def of_f_string(node: ast.JoinedStr) -> str:
    """Return an f-string with its places named."""
    parts: list[str] = []
    counts: dict[str, int] = {}
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
            continue
        name = _name(part.value) if isinstance(part, ast.FormattedValue) else "value"
        counts[name] = counts.get(name, 0) + 1
        parts.append("{" + (name if counts[name] == 1 else f"{name}_{counts[name]}") + "}")
    return "".join(parts)


def is_message(message: str) -> bool:
    """Return whether a person reads it: words, not a name, a path or a query."""
    words = NOT_WORDS.sub(" ", message)
    if re.fullmatch(r"(run|candidate|model|registry): \S+", message):  # the place of an artifact
        return False
    if not re.search(r"[A-Za-z]{2}", words) or re.search(r"[<>{}]|==|\\[dwsb(\[]|\(\?", words):
        return False
    if re.match(r"(\{\w+\})?(from [\w.]+ )?import |print\(|[\w.]+\(.*\)$", message):  # Python
        return False
    if re.match(r"\s*(SELECT|UPDATE|INSERT|DELETE|CREATE|PRAGMA|ALTER|DROP|BEGIN|COMMIT)\b", words):
        return False
    if re.search(r"[a-z]+(-[a-z]+)?\s*:\s*[\w#.%-]+;", words):  # a style sheet
        return False
    stripped = re.sub(r"^[\W\d_]+", "", words.strip())
    several = re.search(r"[A-Za-z]{2,}[,.;:!?]?['’\")]*\s+['’\"(]*[A-Za-z]", words)
    several = several or re.match(r"[AI] [a-z]{2}", stripped)
    capital = re.fullmatch(r"[A-Z][a-z]+(-[a-z]+)?[.:]?", stripped)
    badge = ":" in message and re.search(r":[a-z]+(-badge)?\[[^\]]*[a-z]{2}", message)
    fitted = "{" in message and re.search(r"(^|[\s(*])[A-Za-z]{2,}($|[\s.,;:)*])", words)
    return bool(several or capital or badge or fitted)


def is_word(message: str) -> bool:
    """Return whether it is a word or more, as a choice within a sentence is."""
    return bool(re.fullmatch(r"[\s\W]*[A-Za-z]{2,}[\w\s,.:;()'-]*", message))


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        name = node.id
    elif isinstance(node, ast.Attribute):
        name = node.attr
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        name = str(node.slice.value)
    elif isinstance(node, ast.Call):
        return _name(node.args[0]) if node.args else _name(node.func)
    else:
        name = "value"
    name = PLACE_NAME.sub("_", name.lower()).strip("_")
    return name if re.match(r"[a-z]", name) else "value"


def _silent(tree: ast.AST) -> Iterator[int]:
    """Yield the parts that no person reads: docstrings, and what certain calls are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)
        quiet = isinstance(node, ast.Call) and (
            (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in CALLS
                and not (
                    isinstance(node.func.value, ast.Name) and node.func.value.id in ("st", "alt")
                )
            )
            or (isinstance(node.func, ast.Name) and node.func.id in CALLS)
            or (
                isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in LOGGERS
            )
        )
        if quiet:
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(argument, ast.Constant | ast.JoinedStr):
                    yield id(argument)
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            yield id(node.format_spec)
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            yield from (id(part) for part in ast.walk(node.annotation))


if __name__ == "__main__":
    sys.exit(main())
