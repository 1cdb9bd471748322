"""Reports: the documents of the project, filled from the current runs."""

from __future__ import annotations

import streamlit as st

from core.documents import export
from core.documents import gather as documents
from core.documents.dossier import (
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
from core.documents.texts import as_markdown
from core.platform import messages
from core.platform.messages import _
from pages.shared import code_snippets, elements

settings, spec = elements.open_app()
NAMES = {"md": "Markdown", "html": "HTML", "pdf": "PDF"}


@st.cache_data(show_spinner=False, max_entries=4)
def documents_for(key: tuple[str, ...], language: str, _facts: Facts) -> tuple[Document, ...]:
    """Return the documents for one state of the facts, in a language."""
    return documents.of(_facts, language)


@st.cache_data(show_spinner=False, max_entries=64)
def file(
    key: tuple[str, ...], name: str, kind: str, language: str, app: str, _facts: Facts
) -> bytes:
    """Return a document as a file, or all in one zip."""
    filled = documents_for(key, language, _facts)
    if kind == "zip":
        return export.bundle(filled, _facts, language=language, app=app)
    chosen = next(document for document in filled if document.name == name)
    return export.as_file(chosen, _facts, kind, language=language, app=app)


def address() -> str:
    """Return the app's address, as the user's browser has it."""
    url = (st.context.url or export.APP).rstrip("/")
    return url.removesuffix("/reports")


def downloads(facts: Facts, document: Document) -> None:
    """Offer the document in each format, and all in one file; created on demand."""
    with st.container(horizontal=True):
        for kind, name in NAMES.items():
            offer(facts, document.name, kind, name, f"{document.name}.{kind}")
        offer(facts, "", "zip", _("All documents (zip)"), f"{spec.model}_documents.zip")


def offer(facts: Facts, document: str, kind: str, name: str, called: str) -> None:
    """Draw a button that creates a file, and then one that downloads it.

    The download appears once its bytes exist: creating them in a download's callback shows no sign
    for seconds, and fails if the page is redrawn meanwhile.
    """
    wanted = (export.key(facts), document, kind, messages.current(), address())
    ready = st.session_state.setdefault("made-files", set())
    # Markdown has no pictures to draw
    if kind == "md" or wanted in ready:
        st.download_button(
            _("Download {file}", file=name),
            file(*wanted, facts),
            file_name=called,
            mime=export.FORMATS.get(kind, "application/zip"),
            icon=":material/download:",
            on_click="ignore",
            type="primary" if wanted in ready else "secondary",
            key=f"as-{kind}",
        )
    elif st.button(
        _("Create {file}", file=name),
        key=f"make-{kind}",
        icon=":material/folder_zip:" if kind == "zip" else ":material/draft:",
    ):
        with st.spinner(_("Creating {file}. It takes some seconds.", file=called), show_time=True):
            file(*wanted, facts)
        ready.add(wanted)
        st.rerun()


def link(run_id: str) -> str:
    """Return the address of a run within the app."""
    return f"/runs?run={run_id}"


def linked(text: str) -> str:
    """Return a text of a document with its links."""
    return as_markdown.linked(text, link)


def draw(block: Block, place: int) -> None:
    """Draw a block of a document."""
    if isinstance(block, Heading):
        st.markdown(f"{'#' * (block.level + 1)} {linked(block.text)}")
    elif isinstance(block, Paragraph):
        st.markdown(linked(block.text))
    elif isinstance(block, Bullets):
        marks = (f"{at}." if block.numbered else "-" for at in range(1, len(block.items) + 1))
        items = zip(marks, block.items, strict=True)
        st.markdown("\n".join(f"{mark} {linked(item)}" for mark, item in items))
    elif isinstance(block, Table):
        st.markdown(as_markdown.table(block, link))
        if block.caption:
            st.caption(linked(block.caption))
    elif isinstance(block, Figure):
        st.vega_lite_chart(elements.localized(block.chart), width="stretch", key=f"figure-{place}")
        st.caption(linked(block.caption))
    elif isinstance(block, Code):
        st.code(block.text, language=block.language or None, wrap_lines=True)
    else:
        missing(block)


def missing(block: Missing) -> None:
    """Draw a missing fact, with a link to the step that supplies it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/pending: {linked(block.text)}")
        if block.step in elements.STEPS:
            page, name, icon = elements.STEPS[block.step]
            st.page_link(page, label=_("Go to {page}", page=name), icon=icon)


elements.header(
    _("Reports"),
    _(
        "The documents of the project, in the structure of Microsoft's TDSP. They are filled from "
        "the runs each time they are opened; every number links to its run."
    ),
)
with elements.show_errors():
    elements.wait_for_store()
    with st.spinner(_("Filling the documents from the runs"), show_time=True):
        facts = documents.gather(settings)
        built = documents_for(export.key(facts), messages.current(), facts)
        filled = {document.name: document for document in built}
    asked = st.query_params.get("document")
    names = list(filled)
    chosen = st.selectbox(
        _("Document"),
        names,
        index=names.index(asked) if asked in filled else 0,
        format_func=lambda name: str(filled[name].title),
        key="document",
        width=470,
    )
    document = filled[chosen]
    st.caption(linked(document.about))
    downloads(facts, document)
    with st.container(border=True):
        st.markdown(f"## {linked(document.title)}")
        for at, block in enumerate(document.blocks):
            draw(block, at)
code_snippets.panel(settings, "reports")
