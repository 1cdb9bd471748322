"""Documents as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from core.documents.dossier import (
    Block,
    Bullets,
    Code,
    Document,
    Figure,
    Heading,
    Missing,
    Paragraph,
    Table,
)

Translate = Callable[[str], str]
Link = Callable[[str], str]
RUN_LINK = re.compile(r"\[([^\[\]]*)\]\(run:([0-9a-zA-Z_-]+)\)")


def same(text: str) -> str:
    """Return a text unchanged: the translation into its own language."""
    return text


def linked(text: str, link: Link | None) -> str:
    """Return a text with its links to runs resolved by `link`, or reduced to their names.

    Examples
    --------
    >>> linked("see [a run](run:1f)", None)
    'see a run'
    >>> linked("see [a run](run:1f)", lambda run_id: f"/runs?run={run_id}")
    'see [a run](/runs?run=1f)'
    """

    def put(match: re.Match[str]) -> str:
        return match[1] if link is None else f"[{match[1]}]({link(match[2])})"

    return RUN_LINK.sub(put, text)


def render(
    document: Document,
    *,
    translate: Translate = same,
    link: Link | None = None,
    figures: Mapping[str, str] | None = None,
) -> str:
    """Return a document as Markdown.

    Parameters
    ----------
    translate : function
        Translates a text into the document's language.
    link : function, optional
        Returns the address of a run; without it runs are only named.
    figures : mapping of str to str, optional
        Path of each figure's picture, relative to the document; other figures are drawn from their
        Mermaid text, or reduced to their caption.

    Examples
    --------
    >>> print(render(Document("d", "Title", "What for.", (Paragraph("A *word*."),))))
    # Title
    <BLANKLINE>
    *What for.*
    <BLANKLINE>
    A *word*.
    <BLANKLINE>
    """
    parts = [f"# {translate(document.title)}", f"*{translate(document.about)}*"]
    parts += [linked(_block(block, translate, figures or {}), link) for block in document.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, translate: Translate, figures: Mapping[str, str]) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {translate(block.text)}"
    if isinstance(block, Paragraph):
        return translate(block.text)
    if isinstance(block, Bullets):
        return "\n".join(
            f"{f'{place}.' if block.numbered else '-'} {translate(item)}"
            for place, item in enumerate(block.items, start=1)
        )
    if isinstance(block, Table):
        caption = f"\n\n*{translate(block.caption)}*" if block.caption else ""
        return table(block, translate, "run:{}".format) + caption
    if isinstance(block, Code):
        return f"```{block.language}\n{block.text}\n```"
    if isinstance(block, Missing):
        return f"> **{translate('Not there yet.')}** {missing(block, translate)}"
    return _figure(block, translate, figures)


def missing(block: Missing, translate: Translate) -> str:
    """Return what is missing and which step would supply it.

    Examples
    --------
    >>> missing(Missing("No model yet.", "train"), same)
    'No model yet. The step `train` supplies it.'
    """
    return f"{translate(block.text)} {translate(f'The step `{block.step}` supplies it.')}"


def _figure(block: Figure, translate: Translate, figures: Mapping[str, str]) -> str:
    caption = translate(block.caption)
    bare = RUN_LINK.sub(r"\1", caption)
    if block.name in figures:
        return f"![{bare}]({figures[block.name]})\n\n*{caption}*"
    if block.mermaid:
        return f"```mermaid\n{block.mermaid.strip()}\n```\n\n*{caption}*"
    return f"*{caption}*"


def table(block: Table, translate: Translate, link: Link | None = None) -> str:
    r"""Return the rows of a table, without its caption.

    Examples
    --------
    >>> print(table(Table(("a", "b"), (("1", "x|y"),)), same))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    """

    def line(cells: tuple[str, ...]) -> str:
        shown = [translate(cell).replace("|", "\\|").replace("\n", "<br>") or " " for cell in cells]
        return f"| {' | '.join(shown)} |"

    rows = [line(block.columns), f"|{' --- |' * len(block.columns)}", *map(line, block.rows)]
    return linked("\n".join(rows), link)
