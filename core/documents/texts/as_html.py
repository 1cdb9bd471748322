"""Documents as self-contained HTML: one file, no external resources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count

from core.documents.dossier import Document, Figure, Heading
from core.documents.parsing import parser
from core.documents.texts.as_markdown import Link, linked
from core.platform import templates
from core.platform.messages import _, current


def render(
    document: Document,
    *,
    link: Link | None = None,
    pictures: Mapping[str, str] | None = None,
    language: str | None = None,
) -> str:
    r"""Return a document as one HTML page; the same document gives the same text.

    Parameters
    ----------
    link
        As for `as_markdown.render`.
    pictures : mapping of str to str, optional
        SVG text of each figure, by name.
    language : str, optional
        Language code of the page, for screen readers; the current one by default.

    Examples
    --------
    >>> page = render(Document("d", "# Title\n\n*What for.*\n\n## One\n\nA `b`.\n"))
    >>> '<h2 id="s1">One</h2>' in page and "<p>A <code>b</code>.</p>" in page
    True
    """

    def say(text: str) -> str:
        return inline(text, link)

    def picture(figure: Figure) -> str:
        return _own_ids((pictures or {}).get(figure.name, ""), figure.name)

    places = count(1)
    return templates.render(
        "documents/templates/document.html",
        language=language or current(),
        title=document.title,
        about=document.about,
        contents=_("Contents"),
        blocks=[
            (type(block).__name__, block, next(places) if isinstance(block, Heading) else None)
            for block in document.blocks
        ],
        say=say,
        picture=picture,
    )


def inline(text: str, link: Link | None) -> str:
    """Return inline Markdown as HTML; HTML in it is escaped.

    Examples
    --------
    >>> inline("**a** <b>", None)
    '<strong>a</strong> &lt;b&gt;'
    """
    return str(parser().renderInline(linked(text, link)))


def _own_ids(svg: str, name: str) -> str:
    """Return a picture with ids that are unique on the page."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
