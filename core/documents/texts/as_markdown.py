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
from core.platform.messages import _

Link = Callable[[str], str]
RUN_LINK = re.compile(r"\[([^\[\]]*)\]\(run:([0-9a-zA-Z_-]+)\)")


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
    document: Document, *, link: Link | None = None, figures: Mapping[str, str] | None = None
) -> str:
    """Return a document as Markdown; in the language that it was built in.

    Parameters
    ----------
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
    parts = [f"# {document.title}", f"*{document.about}*"]
    parts += [linked(_block(block, figures or {}), link) for block in document.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, figures: Mapping[str, str]) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Bullets):
        return "\n".join(
            f"{f'{place}.' if block.numbered else '-'} {item}"
            for place, item in enumerate(block.items, start=1)
        )
    if isinstance(block, Table):
        caption = f"\n\n*{block.caption}*" if block.caption else ""
        return table(block, "run:{}".format) + caption
    if isinstance(block, Code):
        return f"```{block.language}\n{block.text}\n```"
    if isinstance(block, Missing):
        absent = _("Not there yet.")
        return f"> **{absent}** {missing(block)}"
    return _figure(block, figures)


def missing(block: Missing) -> str:
    """Return what is missing and which step would supply it.

    Examples
    --------
    >>> missing(Missing("No model yet.", "train"))
    'No model yet. The step `train` supplies it.'
    """
    return " ".join([block.text, _("The step `{step}` supplies it.", step=block.step)])


def _figure(block: Figure, figures: Mapping[str, str]) -> str:
    caption = block.caption
    bare = RUN_LINK.sub(r"\1", caption)
    if block.name in figures:
        return f"![{bare}]({figures[block.name]})\n\n*{caption}*"
    if block.mermaid:
        return f"```mermaid\n{block.mermaid.strip()}\n```\n\n*{caption}*"
    return f"*{caption}*"


def table(block: Table, link: Link | None = None) -> str:
    r"""Return the rows of a table, without its caption.

    Examples
    --------
    >>> print(table(Table(("a", "b"), (("1", "x|y"),))))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    """

    def line(cells: tuple[str, ...]) -> str:
        shown = [cell.replace("|", "\\|").replace("\n", "<br>") or " " for cell in cells]
        return f"| {' | '.join(shown)} |"

    rows = [line(block.columns), f"|{' --- |' * len(block.columns)}", *map(line, block.rows)]
    return linked("\n".join(rows), link)
