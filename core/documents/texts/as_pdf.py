"""Documents as PDF, without a browser: fpdf2, with the fonts of matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from fpdf import FPDF, FontFace
from fpdf.enums import TableCellFillMode
from fpdf.outline import TableOfContents

from core.documents.dossier import Block, Bullets, Code, Document, Figure, Heading, Missing, Table
from core.documents.texts.as_markdown import Link, linked
from core.platform.messages import current

FAMILY, MONO = "DejaVu", "DejaVuMono"
INK, SOFT, LINE, BAND = (20, 23, 28), (84, 92, 104), (201, 205, 214), (243, 244, 248)
PAPER, ACCENT, LINKS = (255, 255, 255), (179, 71, 18), (63, 77, 176)
MARGIN, TEXT, SMALL, CELL, PADDING = 20, 10, 8.5, 7.5, 1
# millimetres of a chart's pixel
POINT = 0.26
_SIZES = {1: 22, 2: 15, 3: 12}


class _Pages(FPDF):
    """Pages with the document's title and the page number in the footer."""

    foot = ""
    MARKDOWN_LINK_COLOR = LINKS  # type: ignore[assignment]  # fpdf2 declares it as None

    def footer(self) -> None:
        """Draw the footer."""
        self.set_y(-15)
        self.set_font(FAMILY, size=8)
        self.set_text_color(*SOFT)
        self.cell(0, 8, self.foot)
        self.set_x(self.l_margin)
        self.cell(0, 8, f"{self.page_no()} / {{nb}}", align="R")


def render(
    document: Document,
    *,
    link: Link | None = None,
    pictures: Mapping[str, str] | None = None,
    head: str = "",
    created: datetime | None = None,
    language: str | None = None,
) -> bytes:
    r"""Return a document as PDF: title, contents, numbered pages, an outline.

    Parameters
    ----------
    link
        As for `as_markdown.render`; `link` must return absolute addresses.
    pictures : mapping of str to str, optional
        SVG text of each figure, by name; drawn as vectors.
    head : str
        Line above the title, separated by middle dots: project, model, day.
    created : datetime, optional
        Creation time; without it the same document gives the same bytes.
    language : str, optional
        Language code of the file; the current one by default.

    Examples
    --------
    >>> render(Document("d", "# Title\n\n*What for.*\n\n## One\n"))[:5]
    b'%PDF-'
    """
    pages = _Pages(format="A4")
    for style, file in (
        ("", "DejaVuSans"),
        ("B", "DejaVuSans-Bold"),
        ("I", "DejaVuSans-Oblique"),
        ("BI", "DejaVuSans-BoldOblique"),
    ):
        pages.add_font(FAMILY, style, _fonts() / f"{file}.ttf")
    pages.add_font(MONO, "", _fonts() / "DejaVuSansMono.ttf")
    pages.set_margins(MARGIN, MARGIN, MARGIN)
    pages.set_auto_page_break(auto=True, margin=22)
    pages.set_title(document.title)
    pages.set_lang(language or current())
    pages.set_creation_date(created or datetime(2000, 1, 1))
    pages.foot = document.title
    pages.add_page()
    _title(pages, document, head)
    for block in document.blocks:
        _block(pages, block, link, pictures or {})
    return bytes(pages.output())


def _title(pages: _Pages, document: Document, head: str) -> None:
    """Draw the first page up to the first section: head, title, purpose, contents."""
    pages.set_fill_color(*ACCENT)
    pages.rect(0, 0, pages.w, 3, style="F")
    pages.ln(14)
    for part in head.split(" · ") if head else ():
        _line(pages, part, size=TEXT, colour=SOFT)
    pages.ln(3)
    _line(pages, document.title, size=_SIZES[1], style="B")
    pages.ln(1)
    _line(pages, _bare(document.about), size=11, colour=SOFT)
    if sum(isinstance(block, Heading) and block.level == 2 for block in document.blocks) > 2:
        pages.ln(8)
        pages.set_font(FAMILY, size=TEXT)
        pages.set_text_color(*INK)
        pages.insert_toc_placeholder(TableOfContents().render_toc, allow_extra_pages=True)


@lru_cache(maxsize=1)
def _fonts() -> Path:
    # finding the package is enough: importing it takes a second
    from importlib.util import find_spec

    package = find_spec("matplotlib")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"


def _block(pages: _Pages, block: Block, link: Link | None, pictures: Mapping[str, str]) -> None:
    if isinstance(block, Heading):
        _heading(pages, _bare(block.text), block.level)
    elif isinstance(block, Bullets):
        for place, item in enumerate(block.items, start=1):
            mark = f"{place}." if block.numbered else "•"
            pages.set_x(MARGIN)
            pages.set_font(FAMILY, size=TEXT)
            pages.set_text_color(*INK)
            pages.cell(6, 5.4, mark)
            _text(pages, _plain(item, link), indent=6)
        pages.ln(2)
    elif isinstance(block, Table):
        _table(pages, block, link)
    elif isinstance(block, Code):
        pages.set_font(MONO, size=7.5)
        pages.set_text_color(*INK)
        pages.set_fill_color(*BAND)
        pages.multi_cell(0, 4.2, block.text, fill=True, new_x="LMARGIN", new_y="NEXT")
        pages.ln(3)
    elif isinstance(block, Missing):
        pages.set_fill_color(*BAND)
        body = _plain(f"**{block.text}**", link)
        _text(pages, body, fill=True)
        pages.ln(2)
    elif isinstance(block, Figure):
        _figure(pages, block, link, pictures)
    else:
        _text(pages, _plain(block.text, link))
        pages.ln(2)


def _heading(pages: _Pages, text: str, level: int) -> None:
    if pages.will_page_break(40):
        pages.add_page()
    pages.ln(4 if level == 2 else 2)
    pages.set_font(FAMILY, style="B", size=_SIZES[level])
    pages.set_text_color(*INK)
    pages.start_section(text, level=level - 2)
    pages.multi_cell(0, 7 if level == 2 else 6, text, new_x="LMARGIN", new_y="NEXT")
    pages.ln(1)


def _line(
    pages: _Pages,
    text: str,
    *,
    size: float = TEXT,
    style: str = "",
    colour: tuple[int, int, int] = INK,
) -> None:
    pages.set_font(FAMILY, style=style, size=size)
    pages.set_text_color(*colour)
    pages.multi_cell(0, size * 0.55, text, new_x="LMARGIN", new_y="NEXT", align="L")
    pages.ln(1)


def _text(
    pages: _Pages,
    text: str,
    *,
    indent: float = 0,
    size: float = TEXT,
    colour: tuple[int, int, int] = INK,
    fill: bool = False,
) -> None:
    pages.set_font(FAMILY, size=size)
    pages.set_text_color(*colour)
    pages.set_x(MARGIN + indent)
    pages.multi_cell(
        0, size * 0.54, text, markdown=True, fill=fill, align="L", new_x="LMARGIN", new_y="NEXT"
    )


def _table(pages: _Pages, block: Table, link: Link | None) -> None:
    pages.set_font(FAMILY, size=CELL)
    pages.set_text_color(*INK)
    pages.set_draw_color(*LINE)
    # cells use the fill colour set last
    pages.set_fill_color(*PAPER)
    rows = [[_plain(cell, link) for cell in row] for row in block.rows]
    head = [_bare(cell) for cell in block.columns]
    with pages.table(
        col_widths=_widths(pages, head, rows),
        line_height=4.4,
        padding=PADDING,
        markdown=True,
        text_align="LEFT",
        borders_layout="HORIZONTAL_LINES",
        cell_fill_mode=TableCellFillMode.NONE,
        headings_style=FontFace(emphasis="BOLD", fill_color=BAND, color=INK),
    ) as table:
        table.row(head)
        for row in rows:
            table.row(row)
    if block.caption:
        pages.ln(1)
        _text(pages, _plain(block.caption, link), size=SMALL, colour=SOFT)
    pages.ln(3)


def _widths(pages: _Pages, head: list[str], rows: list[list[str]]) -> tuple[float, ...]:
    """Return the column widths: the longest word fits, the rest goes to columns with long texts."""
    room = 2 * PADDING + 0.6
    least, usual = [], []
    for place, name in enumerate(head):
        pages.set_font(FAMILY, style="B", size=CELL)
        words = max(map(pages.get_string_width, name.split()), default=0.0)
        whole = pages.get_string_width(name)
        pages.set_font(FAMILY, size=CELL)
        cells = [_bare(row[place]) for row in rows]
        words = max([words, *(pages.get_string_width(word) for word in " ".join(cells).split())])
        lengths = sorted(map(pages.get_string_width, cells))
        whole = max(words, min(whole, 1.5 * words), *lengths[int(len(lengths) * 0.9) :][:1])
        least.append(min(words, pages.epw / 3) + room)
        usual.append(min(max(whole + room, least[-1]), pages.epw))
    free = pages.epw - sum(least)
    wish = sum(usual) - sum(least)
    if free <= 0 or wish <= 0:
        return tuple(least)
    # if every wish fits, the remaining space is shared in proportion to the width
    share = min(free / wish, 1.0)
    return tuple(short + share * (want - short) for short, want in zip(least, usual, strict=True))


def _drawable(svg: str) -> bytes:
    """Return a chart of Vega as fpdf2 draws it: with what SVG leaves out, and in our font.

    Examples
    --------
    >>> _drawable('<g fill="none"><line x2="1"/><path d=""/><text fill="currentColor"/></g>')
    b'<g fill="none" stroke="none"><line x1="0" y1="0" x2="1"/><text fill="#14171C"/></g>'
    """
    ink = "#{:02X}{:02X}{:02X}".format(*INK)
    svg = re.sub(r'<path[^>]* ?d=""[^>]*/>', "", svg)
    svg = re.sub(r'font-family="[^"]*"', f'font-family="{FAMILY}"', svg)
    svg = svg.replace("<line ", '<line x1="0" y1="0" ').replace("currentColor", ink)
    return svg.replace('<g fill="none"', '<g fill="none" stroke="none"', 1).encode()


def _figure(pages: _Pages, block: Figure, link: Link | None, pictures: Mapping[str, str]) -> None:
    picture = pictures.get(block.name)
    if picture:
        drawing = _drawable(picture)
        wide, high = _size(picture)
        width = min(pages.epw, wide * POINT)
        height = width * high / wide
        if height > pages.eph - 30:
            width, height = width * (pages.eph - 30) / height, pages.eph - 30
        if pages.will_page_break(height + 12):
            pages.add_page()
        # its texts take over what the drawing does not say
        pages.set_font(FAMILY, size=TEXT)
        pages.image(io.BytesIO(drawing), x=MARGIN, w=width, h=height, alt_text=_bare(block.caption))
        pages.ln(1)
    _text(pages, _plain(block.caption, link), size=SMALL, colour=SOFT)
    pages.ln(3)


def _size(svg: str) -> tuple[float, float]:
    """Return the width and height of a picture in its pixels."""
    match = re.search(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)
    return (float(match[1]), float(match[2])) if match else (1.0, 1.0)


def _bare(text: str) -> str:
    """Return a text without Markdown syntax.

    Examples
    --------
    >>> _bare("**a** `b` [c](run:1)")
    'a b c'
    """
    text = re.sub(r"\[([^\[\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\*\*|`|\\(?=\W)", "", text)


def _plain(text: str, link: Link | None) -> str:
    r"""Return a text in fpdf2's Markdown: bold and links; code as plain text.

    Examples
    --------
    >>> _plain("`__a__` and **b**, [c](run:1)", None)
    '\\__a\\__ and **b**, c'
    """
    text = linked(text, link)
    text = re.sub(r"\\(?=[^\w\s])", "", text)
    text = re.sub(r"(?<![*\w])\*([^*\s][^*]*)\*(?![*\w])", r"\1", text)
    # fpdf2's syntax for underlined, struck out and italic text
    text = re.sub(r"(__|~~|--)", r"\\\1", text)
    return text.replace("`", "")
