"""Downloads: a document in each format, and all in one file."""

from __future__ import annotations

import time

import streamlit as st

from core.documents import export
from core.documents.dossier import Document, Facts
from core.platform import messages
from core.platform.messages import _
from pages.shared import elements

SEND_SECONDS = 0.1
NAMES = {"md": "Markdown", "html": "HTML", "pdf": "PDF"}


def draw(facts: Facts, built: tuple[Document, ...], document: Document, archive: str) -> None:
    """Offer the document in each format, and all documents; created on demand."""
    with st.popover(_("Download"), icon=":material/download:", type="primary"):
        for kind, name in NAMES.items():
            _offer(facts, built, document.name, kind, name, f"{document.name}.{kind}")
        _offer(facts, built, "", "zip", _("all documents (zip)"), archive)


@st.cache_data(show_spinner=False, max_entries=64)
def _file(
    key: tuple[str, ...],
    name: str,
    kind: str,
    language: str,
    app: str,
    _of: Facts,
    _built: tuple[Document, ...],
) -> bytes:
    """Return a document as a file, or all in one zip."""
    if kind == "zip":
        return export.bundle(_built, _of, language=language, app=app)
    chosen = next(document for document in _built if document.name == name)
    return export.as_file(chosen, _of, kind, language=language, app=app)


def _address() -> str:
    """Return the app's address, as the user's browser has it."""
    url = (st.context.url or export.APP).rstrip("/")
    return url.removesuffix("/documents")


def _offer(
    facts: Facts, built: tuple[Document, ...], document: str, kind: str, name: str, called: str
) -> None:
    """Draw a button that creates a file, and then one that downloads it.

    The download appears once its bytes exist: creating them in a download's callback shows no sign
    for seconds, and fails if the page is redrawn meanwhile.
    """
    wanted = (export.key(facts), document, kind, messages.current(), _address())
    ready = st.session_state.setdefault("made-files", set())
    # Markdown has no pictures to draw
    if kind == "md" or wanted in ready:
        elements.download(
            name,
            _file(*wanted, facts, built),
            called,
            mime=export.FORMATS.get(kind, "application/zip"),
            width="stretch",
            key=f"as-{kind}",
        )
    elif st.button(
        _("Create {file}", file=name),
        key=f"make-{kind}",
        icon=":material/folder_zip:" if kind == "zip" else ":material/draft:",
        width="stretch",
    ):
        # at once: a spinner waits for half a second
        st.caption(f":material/hourglass_top: {called}")
        # figures block the interpreter for seconds: the message is sent first
        time.sleep(SEND_SECONDS)
        _file(*wanted, facts, built)
        ready.add(wanted)
        st.rerun()
