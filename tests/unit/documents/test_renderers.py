"""Documents as Markdown, HTML and PDF: they show what they must, and no markup gets in."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

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
from core.platform import messages
from core.projects.kobe import answers
from tests.pdf_text import read
from tests.unit.documents.sample_facts import complete_facts

RUN = "0123456789abcdef0123456789abcdef"
AXIS = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="200" viewBox="0 0 600 200">'
    '<g fill="none"><line x2="9" y2="9" stroke="currentColor"/><path d=""/>'
    '<text font-family="sans-serif" font-size="10px" fill="currentColor" '
    'transform="translate(20,20)">eixo</text></g></svg>'
)
DRAWN = '<svg xmlns="http://www.w3.org/2000/svg"><g id="a" clip-path="url(#b)"/></svg>'
DRAWING = Figure("drawn", "", {"mark": "bar"}, "graph LR\n  a --> b")
TEXT = f"""# Relatório & <título>

*Para quem lê `código`.*

## Primeira seção

Perda de **0.678** em [AquisicaoDados](run:{RUN}); <script>alert(1)</script>

### Mais fundo

1. um
2. dois `__três__`

## Tabela

| coluna | valor |
| --- | --- |
| a\\|b | 1,234 |
| ação |  |

*Uma legenda.*

## Figura

![Do [run](run:{RUN}).](figure:drawn)

```python
print('a < b')
```

## Falta

> **No report yet. The step Monitor supplies it.** [](step:monitor)
"""
DOCUMENT = Document("said", TEXT, {"drawn": DRAWING})


def link(run_id: str) -> str:
    return f"http://127.0.0.1:8501/runs?run={run_id}"


class Page(HTMLParser):
    """The elements of a page, how they nest, and where its links lead."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append(tag)
        self.ids += [attributes["id"] or ""] if "id" in attributes else []
        self.links += [attributes["href"] or ""] if tag == "a" else []
        self.fetched += [str(attributes["src"])] if "src" in attributes else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_markdown_is_what_github_reads() -> None:
    markdown = as_markdown.render(DOCUMENT, link=link)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    assert kinds.count("heading_open") == 1 + 5
    cells = [tokens[at + 1].content for at, kind in enumerate(kinds) if kind == "td_open"]
    assert cells[:2] == ["a|b", "1,234"]
    fences = [(token.info, token.content) for token in tokens if token.type == "fence"]
    assert fences == [("mermaid", "graph LR\n  a --> b\n"), ("python", "print('a < b')\n")]
    assert f"[AquisicaoDados]({link(RUN)})" in markdown
    assert markdown.endswith("> **No report yet. The step Monitor supplies it.**\n")


def test_markdown_shows_the_picture_that_is_given_and_names_runs_without_links() -> None:
    markdown = as_markdown.render(DOCUMENT, figures={"drawn": "figures/drawn.svg"})
    assert "![Do run.](figures/drawn.svg)\n\n*Do run.*" in markdown
    assert "mermaid" not in markdown
    assert "run:" not in markdown


def test_html_stands_alone_with_contents_links_and_pictures_of_their_own_ids() -> None:
    other = Figure("other", "", {})
    twice = Document("d", f"{TEXT}\n![Other.](figure:other)\n", {"drawn": DRAWING, "other": other})
    drawn = {"drawn": DRAWN, "other": DRAWN}
    html = as_html.render(twice, link=link, pictures=drawn, language="pt")
    page = Page(html)
    assert not page.open
    assert not page.fetched
    assert "link" not in page.tags
    assert "script" not in page.tags
    assert not re.search(r"@import|url\((?!#)", html)
    assert [target for target in page.links if target.startswith("#")] == [
        "#s1",
        "#s3",
        "#s4",
        "#s5",
    ]
    assert page.links.count(link(RUN)) == 2
    assert len(set(page.ids)) == len(page.ids)
    assert 'clip-path="url(#drawn-b)"' in html
    assert {"#s1", "#s3"} <= {f"#{element_id}" for element_id in page.ids}
    assert '<html lang="pt">' in html
    for rule in ("prefers-color-scheme: dark", "@media print"):
        assert rule in html


def test_html_escapes_markup_in_texts() -> None:
    html = as_html.render(DOCUMENT)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<title>Relatório &amp; &lt;título&gt;</title>" in html
    assert "print('a &lt; b')" in html.replace("&#39;", "'")


def test_pdf_has_text_links_outline_pages_and_pictures() -> None:
    pdf = as_pdf.render(
        DOCUMENT,
        link=link,
        pictures={"drawn": AXIS},
        head="Projeto · modelo, version 1",
        created=datetime(2026, 11, 25, tzinfo=UTC),
        language="pt",
    )
    parsed = read(pdf)
    assert len(parsed.pages) == 2
    text = " ".join(" ".join(parsed.pages).split())
    for wanted in (
        "Projeto",
        "modelo, version 1",
        "Relatório & <título>",
        "0.678",
        "ação",
        "dois __três__",
        "<script>alert(1)</script>",
        "Uma legenda.",
        "eixo",
        "print('a < b')",
        "The step Monitor supplies it.",
        "1 / 2",
        "2 / 2",
    ):
        assert wanted in text, wanted
    assert "**" not in text
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert parsed.outline == ("Primeira seção", "Mais fundo", "Tabela", "Figura", "Falta")
    assert parsed.links == (link(RUN), link(RUN))
    # the figure is drawn, not a picture
    assert parsed.pictures == 0
    # the contents precede the first section
    assert [parsed.pages[0].count(title) for title in ("Tabela", "Figura", "Falta")] == [1, 1, 1]


def test_a_long_table_in_pdf_repeats_its_headings_and_breaks_no_word_that_fits() -> None:
    rows = "".join(f"| `column_number_{at}` | {'a longer sentence ' * 8}|\n" for at in range(60))
    text = f"# D\n\n*A.*\n\n| feature | sentence |\n| --- | --- |\n{rows}"
    pdf = as_pdf.render(Document("d", text))
    pages = read(pdf).pages
    assert len(pages) > 2
    assert all("feature" in text for text in pages)
    assert {f"column_number_{at}" for at in range(60)} <= set(" ".join(pages).split())


@pytest.mark.parametrize("render", [as_markdown.render, as_html.render, as_pdf.render])
def test_the_same_document_gives_the_same_bytes(render) -> None:
    assert render(DOCUMENT) == render(DOCUMENT)


@pytest.mark.parametrize("render", [as_markdown.render, as_html.render])
def test_every_text_is_shown_as_it_is_whatever_the_language(render) -> None:
    with messages.speaking("pt"):
        shown = render(DOCUMENT)
    for wanted in ("Primeira seção", "um", "coluna", "1,234", "Uma legenda.", "No report yet."):
        assert wanted in shown


def test_the_blocks_of_a_document_are_those_of_its_markdown() -> None:
    assert DOCUMENT.title == "Relatório & <título>"
    assert DOCUMENT.about == "Para quem lê `código`."
    blocks = DOCUMENT.blocks
    assert [type(block) for block in blocks] == [
        *(Heading, Paragraph, Heading, Bullets, Heading, Table, Heading, Figure, Code),
        *(Heading, Missing),
    ]
    assert blocks[2] == Heading("Mais fundo", 3)
    assert blocks[3] == Bullets(("um", "dois `__três__`"), numbered=True)
    rows = (("a|b", "1,234"), ("ação", ""))
    assert blocks[5] == Table(("coluna", "valor"), rows, "Uma legenda.")
    assert blocks[7] == Figure("drawn", f"Do [run](run:{RUN}).", DRAWING.chart, DRAWING.mermaid)
    assert blocks[-1] == Missing("No report yet. The step Monitor supplies it.", "monitor")


@pytest.mark.parametrize(
    "build", [monitoring_report.build, exit_report.build, answers.build, artifacts.build]
)
def test_a_document_of_a_life_cycle_is_whole_in_html(build) -> None:
    page = Page(as_html.render(build(complete_facts()), link=link))
    assert not page.open
    places = [at.removeprefix("#") for at in page.links if at.startswith("#")]
    assert places
    assert set(places) <= set(page.ids)
