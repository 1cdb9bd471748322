"""Documents as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from markupsafe import Markup

from core.documents.dossier import Document, Table
from core.platform import markdown_templates

Link = Callable[[str], str]
RUN_LINK = re.compile(r"\[([^\[\]]*)\]\(run:([0-9a-zA-Z_-]+)\)")
_STEP_LINK = re.compile(r" \[\]\(step:\w+\)")
_FIGURE = re.compile(r"^!\[(.*)\]\(figure:(\w+)\)$", re.MULTILINE)


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

    return _STEP_LINK.sub("", RUN_LINK.sub(put, text))


def render(
    document: Document, *, link: Link | None = None, figures: Mapping[str, str] | None = None
) -> str:
    r"""Return a document as Markdown that others read; in the language that it was built in.

    Parameters
    ----------
    link : function, optional
        Returns the address of a run; without it runs are only named.
    figures : mapping of str to str, optional
        Path of each figure's picture, relative to the document; other figures are drawn from their
        Mermaid text, or reduced to their caption.

    Examples
    --------
    >>> print(render(Document("d", "# Title\n\n*What for.*\n\nOf [a run](run:1f).\n")))
    # Title
    <BLANKLINE>
    *What for.*
    <BLANKLINE>
    Of a run.
    <BLANKLINE>
    """
    paths = figures or {}

    def drawn(match: re.Match[str]) -> str:
        caption, name = match[1], match[2]
        mermaid = document.figures[name].mermaid
        if name in paths:
            bare = RUN_LINK.sub(r"\1", caption)
            return f"![{bare}]({paths[name]})\n\n*{caption}*"
        if mermaid:
            return f"```mermaid\n{mermaid.strip()}\n```\n\n*{caption}*"
        return f"*{caption}*"

    return linked(_FIGURE.sub(drawn, document.text), link)


def table(block: Table, link: Link | None = None) -> str:
    r"""Return the rows of a table, without its caption.

    Examples
    --------
    >>> print(table(Table(("a", "b"), (("1", "x|y"),))))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    """
    rows = [[Markup(cell) for cell in row] for row in block.rows]
    return linked(markdown_templates.table([Markup(cell) for cell in block.columns], rows), link)
