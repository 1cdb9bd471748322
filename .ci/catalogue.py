"""The catalogues: messages extracted from the source by Babel, merged into each language, compiled.

python .ci/catalogue.py            extract, update and compile; prints what has no translation
python .ci/catalogue.py --check    only check; exit code 1 if anything is missing or out of date
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import tomllib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
FOLDER = ROOT / "core" / "locale"
LANGUAGES = ("pt",)
SOURCES = ("app.py", "core", "pages")
# the functions of core.platform.messages, and which of their arguments are messages
KEYWORDS = {
    "_": None,
    "Message": None,
    "n_": (1, 2),
    "plural": (1, 2),
    "p_": ((1, "c"), 2),
    "in_context": ((1, "c"), 2),
    # marks of modules that models take along, which import nothing of core
    "N_": None,
    "N2_": (1, 2),
}
# keys of a project file whose values people read
PROJECT_KEYS = {
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
# a header without times, which are not content
HEADER = (
    b'msgid ""\nmsgstr ""\n"Project-Id-Version: Courtside\\n"\n"Language: pt\\n"\n'
    b'"MIME-Version: 1.0\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    b'"Content-Transfer-Encoding: 8bit\\n"\n'
    b'"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
)
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    template = extracted()
    faults = 0
    for language in LANGUAGES:
        path = FOLDER / language / "LC_MESSAGES" / "courtside.po"
        catalogue = updated(path, language, template)
        missing = untranslated(catalogue)
        print(f"{language}: {len(catalogue):,} messages, {len(missing):,} untranslated")
        for message in missing:
            print(f"  {message.id!r}  ({message.locations[0][0]})")
        files = {path: as_po(catalogue), path.with_suffix(".mo"): as_mo(catalogue)}
        if check:
            faults += len(missing) + sum(
                not file.exists() or file.read_bytes() != content for file, content in files.items()
            )
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            file.write_bytes(content)
    return int(bool(faults))


def extracted() -> Catalog:
    """Return the messages of the source, each with the files that have it."""
    template = Catalog()
    for name, message, comments, context in _sources():
        template.add(message, locations=[(name, 1)], auto_comments=comments, context=context)
    return template


def _sources() -> Iterator[tuple[str, str | tuple[str, ...], list[str], str | None]]:
    from core.platform.markdown_templates import messages_of

    # what defines the functions has no message itself
    method = [("platform/messages.py", "ignore"), ("**.py", calls)]
    for name in SOURCES:
        place = ROOT / name
        texts = extract_from_dir(
            place if place.is_dir() else ROOT,
            method_map=method if place.is_dir() else [(name, calls)],
            keywords=KEYWORDS,
        )
        for file, _, message, comments, context in texts:
            path = f"{name}/{file}" if place.is_dir() else file
            yield path, message, comments, context
    for path in sorted((ROOT / "core").rglob("*.md.j2")):
        for message, context in messages_of(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), message, [], context
    for path in sorted((ROOT / "core" / "projects").rglob("*.toml")):
        for text in _project_texts(tomllib.loads(path.read_text(encoding="utf-8"))):
            yield path.relative_to(ROOT).as_posix(), text, [], "project"


def calls(
    file: BinaryIO, keywords: Collection[str], _comments: object = None, *, options: object = None
) -> Iterator[tuple[int, str, tuple[str | None, ...], list[str]]]:
    """Yield the calls of these functions; Babel's own reader skips those within f-strings."""
    for node in ast.walk(ast.parse(file.read())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        if name in keywords:
            yield node.lineno, name, tuple(_text(argument) for argument in node.args), []


def _text(node: ast.expr) -> str | None:
    value: Any = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def _project_texts(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key in PROJECT_KEYS and isinstance(value, str):
                yield value
            else:
                yield from _project_texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _project_texts(value)


def updated(path: Path, language: str, template: Catalog) -> Catalog:
    """Return the catalogue of a language: the messages of the source, with its translations."""
    known = Catalog(locale=language)
    if path.exists():
        with path.open("rb") as file:
            known = read_po(file, locale=language)
    catalogue = Catalog(locale=language, charset="utf-8", fuzzy=False)
    for message in sorted(template, key=lambda message: (str(message.id), message.context or "")):
        if not message.id:
            continue
        empty: str | tuple[str, ...] = ("", "") if isinstance(message.id, tuple) else ""
        before = known.get(message.id, message.context)
        is_known = before is not None and isinstance(before.string, type(empty))
        catalogue.add(
            message.id,
            before.string if before is not None and is_known else empty,
            locations=sorted({(name, 1) for name, _ in message.locations}),
            context=message.context,
        )
    return catalogue


def untranslated(catalogue: Catalog) -> list[Message]:
    """Return the messages of a catalogue without a translation, or with half of one."""
    return [
        message
        for message in catalogue
        if message.id
        and not (all(message.string) if isinstance(message.string, tuple) else message.string)
    ]


def as_po(catalogue: Catalog) -> bytes:
    """Return a catalogue as its file holds it, the same for the same messages."""
    file = io.BytesIO()
    write_po(file, catalogue, width=100, omit_header=True, include_lineno=False)
    return HEADER + file.getvalue()


def as_mo(catalogue: Catalog) -> bytes:
    """Return a catalogue as programs read it, the same for the same messages."""
    compiled = Catalog(
        locale=catalogue.locale,
        charset="utf-8",
        fuzzy=False,
        creation_date=MOMENT,
        revision_date=MOMENT,
    )
    for message in catalogue:
        if message.id and message.string:
            compiled.add(message.id, message.string, context=message.context)
    file = io.BytesIO()
    write_mo(file, compiled)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
