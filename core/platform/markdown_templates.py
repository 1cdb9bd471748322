"""Rendering of Markdown from Jinja2 templates: messages of the catalogue, and escaped values.

A template says its texts by `{{ _("{rows:,} rows", rows=n) }}`, or as a paragraph, list item or
separate heading, including its line break:

    {% trans rows=n, run=link(run) %}
    {rows:,} rows, from {run}.
    {% pluralize %} ... {% endtrans %}

A plural is chosen by the parameter `count`. Values are escaped unless they are `Markup`, which is
what `_` and macros return; numbers and dates take the form of the language, and None is a dash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from numbers import Real
from typing import Any

from jinja2 import Environment, nodes, pass_context
from jinja2.ext import Extension, extract_from_ast
from jinja2.parser import Parser
from jinja2.runtime import Context
from markupsafe import Markup

from core.platform.messages import NOTHING, Message, in_context, number, plural, to_data
from core.platform.templates import CORE, environment

ABSENT = Markup("–")


def render(name: str, places: Mapping[str, Any], **values: object) -> str:
    """Render a template in the current language.

    Parameters
    ----------
    name : str
        Path of the template below `core`.
    places : mapping
        Values that every message of the template may name without being given them.
    **values
        All its variables; a missing one is an error.
    """
    filled = {**values, **_functions(places)}
    text = _environment().get_template(name).render(filled)
    lines = "\n".join(line.strip() for line in text.splitlines())
    return _numbered(re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n")


def _numbered(text: str) -> str:
    """Return a text whose list items, all of them 1, are counted."""

    def counted(items: re.Match[str]) -> str:
        lines = items[0].splitlines()
        return "".join(f"{place}{line[1:]}\n" for place, line in enumerate(lines, start=1))

    return re.sub(r"^(1\. .*\n)+", counted, text, flags=re.MULTILINE)


def messages_of(source: str) -> Iterator[tuple[str | tuple[str, str], str | None]]:
    r"""Yield each message of a template, or its pair of forms, and its context.

    Examples
    --------
    >>> list(messages_of('{% trans a=b %}A\n {a}{% endtrans %}{{ p_("c", "d") }}'))
    [('A {a}', None), ('d', 'c')]
    """
    parsed = _environment().parse(source)
    for _line, function, given in extract_from_ast(parsed, ("_", "n_", "p_"), babel_style=False):
        texts = [text for text in given or () if isinstance(text, str)]
        if function == "p_":
            yield texts[1], texts[0]
        elif function == "n_":
            yield (texts[0], texts[1]), None
        else:
            yield texts[0], None


def escaped(value: object) -> str:
    r"""Return a text from a file or a person with all Markdown escaped.

    Examples
    --------
    >>> print(escaped("see ![x](http://y)"))
    see !\[x\](http\://y)
    """
    text = re.sub(r"([\\`*\[\]$~<@])", r"\\\1", str(value))
    # otherwise an address becomes a link
    return text.replace("://", "\\://").replace("www.", "www\\.")


def markdown(value: Any) -> Markup:
    """Return a value as Markdown: `Markup` as it is, all else escaped, None and NaN as a dash."""
    if isinstance(value, Markup):
        return value
    if value is None or value != value:
        return ABSENT
    if isinstance(value, bool):
        return Markup(str(value))
    if isinstance(value, Real):
        return Markup(number(to_data(value), "," if float(value).is_integer() else ",.4f"))
    return Markup(escaped(value))


def row(*cells: object) -> Markup:
    r"""Return a row of a table.

    Examples
    --------
    >>> print(row("a|b", Markup("`c`"), None))
    | a\|b | `c` | – |
    """
    shown = [re.sub(r"(?<!\\)\|", r"\\|", " ".join(markdown(cell).split())) for cell in cells]
    return Markup(f"| {' | '.join(cell or ' ' for cell in shown)} |")


def table(columns: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table."""
    lines = [row(*columns), "|" + " --- |" * len(columns), *(row(*cells) for cells in rows)]
    return Markup("\n".join(lines))


def _functions(places: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    known = {name: _place(value) for name, value in places.items()}

    def filled(params: Mapping[str, Any]) -> dict[str, Any]:
        return {**known, **{name: _place(value) for name, value in params.items()}}

    def message(msgid: str, /, **params: Any) -> Markup:
        return Markup(str(Message(msgid, **filled(params))))

    def counted(singular: str, many: str, count: int, /, **params: Any) -> Markup:
        return Markup(str(plural(singular, many, count, **filled(params))))

    def with_context(context: str, msgid: str, /, **params: Any) -> Markup:
        return Markup(str(in_context(context, msgid, **filled(params))))

    return {"_": message, "n_": counted, "p_": with_context, "row": row, "table": table}


def _place(value: object) -> object:
    """Return a value for a place of a message, escaped; numbers and dates keep their formats."""
    if isinstance(value, list | tuple):
        return [_place(part) for part in value]
    if isinstance(value, Real | date) and value == value:
        return value
    return str(markdown(value))


class _Trans(Extension):
    """The tag `trans`, a message with places in braces; its line break comes along."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tags = {"trans"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        params: list[nodes.Keyword] = []
        while parser.stream.current.type != "block_end":
            if params:
                parser.stream.expect("comma")
            name = parser.stream.expect("name").value
            parser.stream.expect("assign")
            params.append(nodes.Keyword(name, parser.parse_expression(), lineno=line))
        texts = [self._text(parser, line)]
        if next(parser.stream).value == "pluralize":
            texts.append(self._text(parser, line))
            next(parser.stream)
        arguments: list[nodes.Expr] = [nodes.Const(text, lineno=line) for text in texts]
        if len(texts) > 1:
            arguments.append(next(param.value for param in params if param.key == "count"))
            params = [param for param in params if param.key != "count"]
        function = nodes.Name("n_" if len(texts) > 1 else "_", "load", lineno=line)
        call = nodes.Call(function, arguments, params, None, None, lineno=line)
        return nodes.Output([call, nodes.TemplateData("\n")], lineno=line)

    def _text(self, parser: Parser, line: int) -> str:
        parts = [
            part
            for output in parser.parse_statements(("name:pluralize", "name:endtrans"))
            for part in (output.nodes if isinstance(output, nodes.Output) else [output])
        ]
        texts = [part.data for part in parts if isinstance(part, nodes.TemplateData)]
        if len(texts) < len(parts):
            parser.fail("A message has no tags: give it parameters.", line)
        return " ".join("".join(texts).split())


@pass_context
def _finalized(context: Context, value: object) -> Markup:
    return markdown("" if value == NOTHING else value)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return environment(CORE, finalize=_finalized, extensions=[_Trans])
