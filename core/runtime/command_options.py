"""The options of a command: from a step's Options to argparse, and back."""

from __future__ import annotations

import argparse
import json
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.platform import steps
from core.platform.config import Options, Settings, sentence
from core.platform.messages import Message, _


class UsageError(Exception):
    """An invalid option."""


class HelpFormatter(argparse.HelpFormatter):
    """The usual layout of help, with its headings in the current language."""

    _HEADINGS: typing.ClassVar = {
        "options": Message("options"),
        "positional arguments": Message("arguments"),
    }

    def add_usage(self, *given: Any, **named: Any) -> None:
        """Add the line that shows how the command is written."""
        super().add_usage(*given, **{"prefix": _("usage: "), **named})

    def start_section(self, heading: str | None) -> None:
        """Begin a section under a heading."""
        known = self._HEADINGS.get(heading or "")
        super().start_section(heading if known is None else str(known))


def add(parser: argparse.ArgumentParser, step: str) -> None:
    """Add the options of a step."""
    options: type[Options] = steps.module(step).Options
    texts = _about(options)
    for name, field in options.model_fields.items():
        _add(parser, name, field, texts.get(name, ""))


def _add(parser: argparse.ArgumentParser, name: str, field: Any, about: str) -> None:
    flag = f"--{name.replace('_', '-')}"
    kind = _kind(field.annotation)
    usual = None if field.is_required() else field.default
    shown = f" Default: {usual}." if isinstance(usual, str | int | float) else ""
    text = f"{about}{shown}".replace("%", "%%") or None
    if kind is bool:
        parser.add_argument(
            flag, action=argparse.BooleanOptionalAction, default=None, help=text, dest=name
        )
    elif kind is tuple:
        parser.add_argument(flag, nargs="+", default=None, help=text, dest=name)
    elif kind is dict:
        parser.add_argument(
            flag, nargs="+", action="extend", default=None, help=text, dest=name, metavar="JSON"
        )
    elif kind is Path:
        # a path here, unlike in the step's own text
        many = "+" if name.endswith("s") else None
        parser.add_argument(
            flag, nargs=many, default=None, help="CSV, parquet or zip.", dest=name, metavar="FILE"
        )
    else:
        chosen = _choices(field.annotation)
        word = "{" + ",".join(chosen) + "}" if chosen else name.upper()
        parser.add_argument(flag, default=None, help=text, dest=name, metavar=word)


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the allowed values of an option; empty if any is allowed."""
    if typing.get_origin(annotation) is typing.Literal:
        return tuple(map(str, typing.get_args(annotation)))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        choices = [_choices(part) for part in typing.get_args(annotation) if part is not type(None)]
        return choices[0] if len(choices) == 1 else ()
    return ()


def _kind(annotation: Any) -> type:
    """Return how an option is written: a flag, several words, JSON, a file, or a word."""
    if annotation is bool:
        return bool
    parts = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        kinds = [_kind(part) for part in parts if part is not type(None)]
        return kinds[0] if kinds else str
    if origin is tuple:
        inner = parts[0]
        if inner is str:
            return tuple
        return Path if getattr(inner, "__name__", "") == "Upload" else dict
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Options)):
        return Path if getattr(annotation, "__name__", "") == "Upload" else dict
    return str


def _about(options: type[Options]) -> dict[str, str]:
    """Return each option's description from the docstring."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in (options.__doc__ or "").splitlines():
        head = re.fullmatch(r"    ([a-z_, ]+) : (.*)", line)
        if head:
            names = [name.strip() for name in head[1].split(",")]
        elif names and line.startswith("        "):
            for name in names:
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
        elif line.strip():
            names = []
    return texts


def chosen(name: str, given: argparse.Namespace, settings: Settings) -> Options:
    """Return the step's options, validated.

    Raises
    ------
    UsageError
        For an option that is not JSON where required, or out of range.
    """
    options: type[Options] = steps.module(name).Options
    values: dict[str, Any] = {}
    for option, field in options.model_fields.items():
        value = getattr(given, option)
        if value is None:
            continue
        kind = _kind(field.annotation)
        if kind is dict:
            try:
                value = _mapping(value)
            except ValueError as error:
                flag = f"--{option.replace('_', '-')}"
                raise UsageError(f"{flag} takes JSON, or key=value: {error}") from error
        elif kind is Path:
            several = isinstance(value, list)
            kept = [_uploaded(settings, Path(file)) for file in (value if several else [value])]
            value = kept if several else kept[0]
        values[option] = value
    try:
        return options(**values)
    except ValidationError as error:
        raise UsageError(str(sentence(error))) from error


def _mapping(words: Sequence[str]) -> Any:
    """Parse JSON, or words of the form key=value, where a value is JSON or else text.

    A repeated key makes a list. Raises ValueError for anything else.

    Examples
    --------
    >>> _mapping(['{"season": ["2000-01"]}'])
    {'season': ['2000-01']}
    >>> _mapping(["lat=33.9", "zone=left", "zone=right"])
    {'lat': 33.9, 'zone': ['left', 'right']}
    """
    if len(words) == 1 and words[0].lstrip()[:1] in ("{", "["):
        return json.loads(words[0])
    mapping: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals):
            raise ValueError(f"{word!r} is neither.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if key in mapping:
            before = mapping[key] if isinstance(mapping[key], list) else [mapping[key]]
            mapping[key] = [*before, value]
        else:
            mapping[key] = value
    return mapping


def _uploaded(settings: Settings, path: Path) -> dict[str, Any]:
    """Return a file as an upload: checked, and stored until it is read."""
    from core.platform import storage

    return storage.stage_file(settings, path).model_dump()
