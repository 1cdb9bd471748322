"""Documents as Markdown, HTML and PDF: what must be seen is there, nothing else gets in."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from core.documents.dossier import (
    Bullets,
    Code,
    Document,
    Figure,
    Heading,
    Missing,
    Paragraph,
    Table,
)
from core.documents.texts import (
    artifacts,
    as_html,
    as_markdown,
    as_pdf,
    exit_report,
    monitoring_report,
)
from core.projects.kobe import answers
from tests.pdf_text import read
from tests.unit.documents.made_facts import whole

RUN = "0123456789abcdef0123456789abcdef"
DRAWN = '<svg xmlns="http://www.w3.org/2000/svg"><g id="a" clip-path="url(#b)"/></svg>'
SAID = Document(
    "said",
    "Relatório & <título>",
    "Para quem lê `código`.",
    (
        Heading("Primeira seção"),
        Paragraph(f"Perda de **0.678** em [AquisicaoDados](run:{RUN}); <script>alert(1)</script>"),
        Heading("Mais fundo", 3),
        Bullets(("um", "dois `__três__`"), numbered=True),
        Heading("Tabela"),
        Table(("coluna", "valor"), (("a|b", "1,234"), ("ação\nlinha", "")), "Uma legenda."),
        Heading("Figura"),
        Figure("drawn", f"Do [run](run:{RUN}).", {"mark": "bar"}, "graph LR\n  a --> b"),
        Code("print('a < b')", "python"),
        Heading("Falta"),
        Missing("No report yet.", "monitor"),
    ),
)


def link(run_id: str) -> str:
    return f"http://127.0.0.1:8501/runs?run={run_id}"


def png() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (600, 200), "white").save(kept, "PNG")
    return kept.getvalue()


class Page(HTMLParser):
    """Which elements a page has, how they nest, and where its links lead."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.seen.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" else []
        self.fetched += [str(found["src"])] if "src" in found else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_markdown_is_what_github_reads() -> None:
    made = as_markdown.render(SAID, link=link)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(made)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("heading_open") == 1 + 5
    cells = [tokens[at + 1].content for at, kind in enumerate(kinds) if kind == "td_open"]
    assert cells[:2] == ["a|b", "1,234"]
    fences = [(token.info, token.content) for token in tokens if token.type == "fence"]
    assert fences == [("mermaid", "graph LR\n  a --> b\n"), ("python", "print('a < b')\n")]
    assert f"[AquisicaoDados]({link(RUN)})" in made
    assert "> **Not there yet.** No report yet. The step `monitor` supplies it." in made


def test_markdown_shows_the_picture_that_is_given_and_names_runs_without_links() -> None:
    made = as_markdown.render(SAID, figures={"drawn": "figures/drawn.svg"})
    assert "![Do run.](figures/drawn.svg)\n\n*Do run.*" in made
    assert "mermaid" not in made
    assert "run:" not in made


def test_html_stands_alone_with_contents_links_and_pictures_of_their_own_ids() -> None:
    twice = Document("d", "D", "A.", (*SAID.blocks, Figure("other", "Other.", {})))
    drawn = {"drawn": DRAWN, "other": DRAWN}
    made = as_html.render(twice, link=link, pictures=drawn, language="pt")
    page = Page(made)
    assert not page.open
    assert not page.fetched
    assert "link" not in page.seen
    assert "script" not in page.seen
    assert not re.search(r"@import|url\((?!#)", made)
    assert [at for at in page.links if at.startswith("#")] == ["#s1", "#s3", "#s4", "#s5"]
    assert page.links.count(link(RUN)) == 2
    assert len(set(page.ids)) == len(page.ids)
    assert 'clip-path="url(#drawn-b)"' in made
    assert {"#s1", "#s3"} <= {f"#{one}" for one in page.ids}
    assert '<html lang="pt">' in made
    for rule in ("prefers-color-scheme: dark", "@media print"):
        assert rule in made


def test_html_takes_nothing_of_a_text_for_markup() -> None:
    made = as_html.render(SAID)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made
    assert "<title>Relatório &amp; &lt;título&gt;</title>" in made
    assert "print('a &lt; b')" in made.replace("&#39;", "'")


def test_pdf_has_text_links_outline_pages_and_pictures() -> None:
    made = as_pdf.render(
        SAID,
        link=link,
        pictures={"drawn": png()},
        head="Projeto · modelo, version 1",
        created=datetime(2026, 11, 25, tzinfo=UTC),
        language="pt",
    )
    found = read(made)
    assert len(found.pages) == 2
    text = " ".join(" ".join(found.pages).split())
    for wanted in (
        "Projeto",
        "modelo, version 1",
        "Relatório & <título>",
        "0.678",
        "ação",
        "dois __três__",
        "<script>alert(1)</script>",
        "Uma legenda.",
        "print('a < b')",
        "The step monitor supplies it.",
        "1 / 2",
        "2 / 2",
    ):
        assert wanted in text, wanted
    assert "**" not in text
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert found.outline == ("Primeira seção", "Mais fundo", "Tabela", "Figura", "Falta")
    assert found.links == (link(RUN), link(RUN))
    assert found.pictures == 1
    # the contents stand before the first section
    assert [found.pages[0].count(title) for title in ("Tabela", "Figura", "Falta")] == [1, 1, 1]


def test_a_long_table_in_pdf_repeats_its_headings_and_breaks_no_word_that_fits() -> None:
    rows = tuple((f"`column_number_{at}`", "a longer sentence " * 8) for at in range(60))
    made = as_pdf.render(Document("d", "D", "A.", (Table(("feature", "sentence"), rows),)))
    pages = read(made).pages
    assert len(pages) > 2
    assert all("feature" in text for text in pages)
    assert {f"column_number_{at}" for at in range(60)} <= set(" ".join(pages).split())


@pytest.mark.parametrize("render", [as_markdown.render, as_html.render, as_pdf.render])
def test_the_same_document_gives_the_same_bytes_and_every_text_is_told(render) -> None:
    told: list[str] = []

    def tell(text: str) -> str:
        told.append(text)
        return text

    assert render(SAID, translate=tell) == render(SAID, translate=tell)
    wanted = {
        SAID.title,
        SAID.about,
        "Primeira seção",
        "um",
        "coluna",
        "1,234",
        "Uma legenda.",
        f"Do [run](run:{RUN}).",
        "No report yet.",
        "Not there yet.",
    }
    assert wanted <= set(told)


@pytest.mark.parametrize(
    "make", [monitoring_report.build, exit_report.build, answers.build, artifacts.build]
)
def test_a_document_of_a_life_cycle_is_whole_in_html(make) -> None:
    page = Page(as_html.render(make(whole()), link=link))
    assert not page.open
    places = [at.removeprefix("#") for at in page.links if at.startswith("#")]
    assert places
    assert set(places) <= set(page.ids)
