"""Reports: the documents of the project, filled from the runs as they stand."""

from __future__ import annotations

# what a document says is told before its links and tables are made: told twice, numbers suffer
import streamlit as plain

from core.dossier import (
    Block,
    Bullets,
    Code,
    Document,
    Facts,
    Figure,
    Heading,
    Missing,
    Paragraph,
    Table,
)
from core.logic import documents as logic
from core.logic.documents import as_markdown
from core.steps import documents, export
from pages import _bilingual, _glass, _parts
from pages._bilingual import st

settings, spec = _parts.open_app()
NAMES = {"md": "Markdown", "html": "HTML", "pdf": "PDF"}


@st.cache_data(show_spinner=False, max_entries=4)
def made(key: tuple[str, ...], _facts: Facts) -> tuple[Document, ...]:
    """Return the documents of one state of the facts."""
    return logic.make(_facts)


@st.cache_data(show_spinner=False, max_entries=64)
def file(
    key: tuple[str, ...], name: str, kind: str, language: str, app: str, _facts: Facts
) -> bytes:
    """Return a document as a file, or all in one zip."""
    found = made(key, _facts)
    if kind == "zip":
        return export.bundle(found, _facts, language=language, app=app)
    chosen = next(one for one in found if one.name == name)
    return export.one(chosen, _facts, kind, language=language, app=app)


def address() -> str:
    """Return where this app answers, as the person's browser has it."""
    found = (st.context.url or export.APP).rstrip("/")
    return found.removesuffix("/reports")


def downloads(facts: Facts, document: Document) -> None:
    """Offer the document in each form, and all of them in one file; made when asked for."""
    key, language, app = export.key(facts), _bilingual.chosen(), address()
    with st.container(horizontal=True):
        for kind, name in NAMES.items():
            st.download_button(
                name,
                lambda kind=kind: file(key, document.name, kind, language, app, facts),
                file_name=f"{document.name}.{kind}", mime=export.FORMATS[kind],
                icon=":material/download:", on_click="ignore", key=f"as-{kind}",
            )  # fmt: skip
        st.download_button(
            "All documents (zip)",
            lambda: file(key, "", "zip", language, app, facts),
            file_name=f"{spec.model}_documents.zip", mime="application/zip",
            icon=":material/folder_zip:", on_click="ignore", type="primary", key="as-zip",
            help="Every document in each form, with all figures. It takes some seconds.",
        )  # fmt: skip


def link(run_id: str) -> str:
    """Return the address of a run within the app."""
    return f"/runs?run={run_id}"


def said(text: str) -> str:
    """Return a text of a document in the person's language, with its links."""
    return as_markdown.linked(_bilingual.told(text), link)


def draw(block: Block, place: int) -> None:
    """Draw a block of a document."""
    if isinstance(block, Heading):
        plain.markdown(f"{'#' * (block.level + 1)} {said(block.text)}")
    elif isinstance(block, Paragraph):
        plain.markdown(said(block.text))
    elif isinstance(block, Bullets):
        marks = (f"{at}." if block.numbered else "-" for at in range(1, len(block.items) + 1))
        listed = zip(marks, block.items, strict=True)
        plain.markdown("\n".join(f"{mark} {said(item)}" for mark, item in listed))
    elif isinstance(block, Table):
        plain.markdown(as_markdown.table(block, _bilingual.told, link))
        if block.caption:
            plain.caption(said(block.caption))
    elif isinstance(block, Figure):
        st.vega_lite_chart(dict(block.chart), width="stretch", key=f"figure-{place}")
        plain.caption(said(block.caption))
    elif isinstance(block, Code):
        plain.code(block.text, language=block.language or None, wrap_lines=True)
    else:
        missing(block)


def missing(block: Missing) -> None:
    """Tell a fact that is not there yet, and where the step is that supplies it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        plain.markdown(f":material/pending: {said(block.text)}")
        if block.step in _parts.STEPS:
            page, name, icon = _parts.STEPS[block.step]
            st.page_link(page, label=f"Go to {name}", icon=icon)


_parts.header(
    "Reports",
    "The documents of the project, in the structure of Microsoft's TDSP. They are filled from the "
    "runs each time they are opened; every number leads to its run.",
)
with _parts.told():
    _parts.wait_for_store()
    facts = documents.gather(settings)
    found = {one.name: one for one in made(export.key(facts), facts)}
    asked = st.query_params.get("document")
    names = list(found)
    chosen = st.selectbox(
        "Document", names, index=names.index(asked) if asked in found else 0,
        format_func=lambda name: found[name].title, key="document", width=470,
    )  # fmt: skip
    document = found[chosen]
    plain.caption(said(document.about))
    downloads(facts, document)
    with st.container(border=True):
        plain.markdown(f"## {said(document.title)}")
        for at, one in enumerate(document.blocks):
            draw(one, at)
_glass.panel(settings, "reports")
