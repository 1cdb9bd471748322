"""Documents as HTML that stands alone: one file, nothing fetched."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from markdown_it import MarkdownIt

from core.dossier import (
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
from core.logic.documents.as_markdown import Link, Told, linked, missing, same

_STYLE = """
:root { color-scheme: light dark; --ink: #14171C; --soft: #545C68; --line: #C9CDD6;
  --band: #F3F4F8; --paper: #FFFFFF; --link: #3F4DB0; --mark: #B34712; }
@media (prefers-color-scheme: dark) { :root { --ink: #E6E8EC; --soft: #A6AEBB; --line: #454C59;
  --band: #20252D; --paper: #14171C; --link: #A9B4F5; --mark: #E08A5A; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem }
h2 { font-size: 1.4rem; margin: 2.5rem 0 .75rem; padding-top: .5rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1.1rem; margin: 1.75rem 0 .5rem }
a { color: var(--link) }
nav { background: var(--band); border-radius: .5rem; padding: .75rem 1.25rem; margin: 1.5rem 0 }
nav ol { margin: .25rem 0; padding-left: 1.25rem; columns: 18rem 2 }
.about, figcaption, caption { color: var(--soft) }
.scroll { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; width: 100%; font-size: .92rem }
caption { caption-side: bottom; text-align: left; padding: .5rem 0; font-size: .88rem }
th, td { text-align: left; vertical-align: top; padding: .4rem .7rem;
  border-bottom: 1px solid var(--line) }
th { background: var(--band) }
td code { overflow-wrap: anywhere }
td:first-child { min-width: 8rem }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em;
  background: var(--band); padding: .1em .3em; border-radius: .25rem }
pre { background: var(--band); padding: 1rem; border-radius: .5rem; overflow-x: auto }
pre code { padding: 0; background: none }
figure { margin: 1.25rem 0 }
figure .picture { background: #FFFFFF; border: 1px solid var(--line); border-radius: .5rem;
  padding: .75rem; overflow-x: auto }
figure svg { max-width: 100%; height: auto; display: block; margin: 0 auto }
.missing { border-left: 4px solid var(--mark); background: var(--band); padding: .75rem 1rem;
  border-radius: 0 .5rem .5rem 0 }
@media print { nav { display: none } h2, h3 { break-after: avoid } figure, tr {
  break-inside: avoid }
  main { max-width: none; padding: 0 } }
"""
_markdown = MarkdownIt("commonmark", {"html": False})


def render(
    document: Document,
    *,
    told: Told = same,
    link: Link | None = None,
    pictures: Mapping[str, str] | None = None,
    language: str = "en",
) -> str:
    r"""Return a document as one HTML page; the same document gives the same text.

    Parameters
    ----------
    told, link
        As `as_markdown.render` takes them.
    pictures : mapping of str to str, optional
        The SVG text of each figure, by its name.
    language : str
        Code of the language, for readers that speak the page.

    Examples
    --------
    >>> page = render(Document("d", "Title", "What for.", (Heading("One"), Paragraph("A `b`."))))
    >>> '<h2 id="s1">One</h2>' in page and "<p>A <code>b</code>.</p>" in page
    True
    """
    pictures = pictures or {}
    sections = [block for block in document.blocks if isinstance(block, Heading)]
    places = {id(block): f"s{place}" for place, block in enumerate(sections, start=1)}
    contents = "".join(
        f'<li><a href="#{places[id(block)]}">{inline(told(block.text), link)}</a></li>'
        for block in sections
        if block.level == 2
    )
    body = "\n".join(_block(block, told, link, pictures, places) for block in document.blocks)
    nav = f'<nav aria-label="{html.escape(told("Contents"))}"><ol>{contents}</ol></nav>'
    title = html.escape(told(document.title))
    return (
        f'<!doctype html>\n<html lang="{html.escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{title}</h1>\n<p class="about">{inline(told(document.about), link)}</p>\n'
        f"{nav if contents else ''}\n{body}\n</main>\n</body>\n</html>\n"
    )


def inline(text: str, link: Link | None) -> str:
    """Return inline Markdown as HTML; HTML in it stays text.

    Examples
    --------
    >>> inline("**a** <b>", None)
    '<strong>a</strong> &lt;b&gt;'
    """
    return str(_markdown.renderInline(linked(text, link)))


def _block(
    block: Block,
    told: Told,
    link: Link | None,
    pictures: Mapping[str, str],
    places: Mapping[int, str],
) -> str:
    def say(text: str) -> str:
        return inline(told(text), link)

    if isinstance(block, Heading):
        return f'<h{block.level} id="{places[id(block)]}">{say(block.text)}</h{block.level}>'
    if isinstance(block, Paragraph):
        return f"<p>{say(block.text)}</p>"
    if isinstance(block, Bullets):
        kind = "ol" if block.numbered else "ul"
        return f"<{kind}>{''.join(f'<li>{say(item)}</li>' for item in block.items)}</{kind}>"
    if isinstance(block, Code):
        return f"<pre><code>{html.escape(block.text)}</code></pre>"
    if isinstance(block, Missing):
        body = inline(missing(block, told), link)
        return f'<p class="missing"><strong>{say("Not there yet.")}</strong> {body}</p>'
    if isinstance(block, Table):
        return _table(block, told, link)
    return _figure(block, told, link, pictures)


def _table(block: Table, told: Told, link: Link | None) -> str:
    def cells(row: tuple[str, ...], tag: str) -> str:
        return "".join(f"<{tag}>{inline(told(cell), link)}</{tag}>" for cell in row)

    caption = f"<caption>{inline(told(block.caption), link)}</caption>" if block.caption else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in block.rows)
    return (
        f'<div class="scroll"><table>{caption}<thead><tr>{cells(block.columns, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(block: Figure, told: Told, link: Link | None, pictures: Mapping[str, str]) -> str:
    caption = inline(told(block.caption), link)
    picture = _own_ids(pictures.get(block.name, ""), block.name)
    shown = f'<div class="picture" role="img">{picture}</div>' if picture else ""
    return f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"


def _own_ids(svg: str, name: str) -> str:
    """Return a picture whose ids no other picture of the page has."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
