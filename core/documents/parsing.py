"""The blocks of a document, parsed from its Markdown: pages, PDF and checklists need them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from core.documents.dossier import Block, Bullets, Code, Figure, Heading, Missing, Paragraph, Table

_MISSING = re.compile(r"\*\*(.*)\*\* \[\]\(step:(\w+)\)", re.DOTALL)
_CAPTION = re.compile(r"\*(?!\*)(.*)\*", re.DOTALL)


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """Return the parser of documents: CommonMark and tables, without HTML."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def opening(text: str) -> tuple[str, str]:
    r"""Return a document's title, and what it is about: the paragraph in emphasis below it.

    Examples
    --------
    >>> opening("# Title\n\n*What for.*\n\nText.")
    ('Title', 'What for.')
    """
    title, about = text.split("\n\n", 2)[:2]
    return title.removeprefix("# "), about.strip().removeprefix("*").removesuffix("*")


def parsed(text: str, figures: Mapping[str, Figure]) -> tuple[Block, ...]:
    r"""Return the blocks of a document below its title and what it is about.

    Examples
    --------
    >>> parsed("# T\n\n*A.*\n\n## B\n\n- `c`\n\n| d |\n| --- |\n| 1 |\n\n*e*", {})[1:]
    (Bullets(items=('`c`',), numbered=False), Table(columns=('d',), rows=(('1',),), caption='e'))
    """
    blocks: list[Block] = []
    tokens = parser().parse(text)[6:]
    for begin, end in _spans(tokens):
        block = _block(tokens[begin:end], figures)
        before = blocks[-1] if blocks else None
        caption = isinstance(block, Paragraph) and _CAPTION.fullmatch(block.text)
        if caption and isinstance(before, Table) and not before.caption:
            blocks[-1] = replace(before, caption=caption[1])
        else:
            blocks.append(block)
    return tuple(blocks)


def _spans(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    begin = 0
    for place, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            yield begin, place + 1
            begin = place + 1


def _block(tokens: Sequence[Token], figures: Mapping[str, Figure]) -> Block:
    first = tokens[0]
    inline = [token for token in tokens if token.type == "inline"]
    texts = tuple(token.content for token in inline)
    if first.type == "heading_open":
        return Heading(texts[0], int(first.tag[1]))
    if first.type == "fence":
        return Code(first.content.rstrip("\n"), first.info)
    if first.type in ("bullet_list_open", "ordered_list_open"):
        return Bullets(texts, numbered=first.tag == "ol")
    if first.type == "table_open":
        return _table(tokens)
    if first.type == "blockquote_open" and (missing := _MISSING.fullmatch(texts[0])):
        return Missing(missing[1], missing[2])
    children = inline[0].children or []
    if len(children) == 1 and children[0].type == "image":
        name = str(children[0].attrs["src"]).removeprefix("figure:")
        return replace(figures[name], caption=children[0].content)
    return Paragraph("\n".join(texts))


def _table(tokens: Sequence[Token]) -> Table:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token.content)
    head, *below = (tuple(row) for row in rows)
    return Table(head, tuple(below))
