"""The contents at the left, and the selected document at the right."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.documents import export
from core.documents import gather as documents
from core.documents.dossier import Document, Facts
from core.platform import messages, plugins
from core.platform.config import Settings
from core.platform.messages import _
from core.platform.project import ProjectSpec
from pages.documents import checklist_view, diagram_view, download, preview

CONTENTS_WIDTH = 220
HEIGHT = 800
# in the contents, after the documents
LIFE_CYCLE, CHECKLIST = "life_cycle", "checklist"


def state(settings: Settings) -> tuple[tuple[str, ...], str]:
    """Return what the documents depend on: the state of the stores, and the language."""
    return documents.stamp(settings), messages.current()


def make(
    settings: Settings, stamp: tuple[str, ...], language: str
) -> tuple[Facts, tuple[Document, ...]]:
    """Return the facts and the documents of a state, from a cache if it is known."""
    facts = _facts(str(settings.home), stamp, settings)
    return facts, _documents(export.key(facts), language, stamp, facts)


@st.cache_data(show_spinner=False, max_entries=2)
def _facts(home: str, stamp: tuple[str, ...], _settings: Settings) -> Facts:
    return documents.gather(_settings)


@st.cache_data(show_spinner=False, max_entries=4)
def _documents(
    key: tuple[str, ...], language: str, stamp: tuple[str, ...], _of: Facts
) -> tuple[Document, ...]:
    return documents.of(_of, language)


def draw(settings: Settings, spec: ProjectSpec, facts: Facts, built: tuple[Document, ...]) -> None:
    """Draw the contents, and the chosen document."""
    by_name = {document.name: document for document in built}
    others = {LIFE_CYCLE: _("Life-cycle diagram")}
    if plugins.has(spec.name, CHECKLIST):
        others[CHECKLIST] = _("Checklist")
    # cards of versions come last: there may be many
    cards = [name for name in by_name if name.startswith("model_card")]
    order = [*(name for name in by_name if name not in cards), *others, *cards]
    titles = {name: others.get(name) or str(by_name[name].title) for name in order}
    row = st.container(horizontal=True, gap="medium")
    with row.container(width=CONTENTS_WIDTH):
        chosen = _contents(titles)
    with row.container(key="chosen-document"):
        if chosen in by_name:
            _document(facts, built, by_name[chosen], f"{spec.model}_documents.zip")
            return
        with st.container(height=HEIGHT, border=True, key="preview"):
            if chosen == CHECKLIST:
                checklist_view.draw(spec, facts)
            else:
                diagram_view.draw()


def _contents(titles: Mapping[str, str]) -> str:
    """Draw the contents, whose choice the address keeps, and return the chosen name."""
    key, kept = "document", "document-address"
    asked = st.query_params.get("document", "")
    # a link overrides an earlier choice; a visit to another page drops the choice
    is_new = key not in st.session_state or asked != st.session_state.get(kept)
    if asked in titles and is_new:
        st.session_state[key] = asked
    if st.session_state.get(key) not in titles:
        st.session_state[key] = next(iter(titles))
    chosen = str(
        st.radio(_("Contents"), list(titles), format_func=titles.__getitem__, key="document")
    )
    if asked != chosen:
        st.query_params["document"] = chosen
    st.session_state[kept] = chosen
    return chosen


def _document(facts: Facts, built: tuple[Document, ...], document: Document, archive: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chapter = preview.choose(document)
        download.draw(facts, built, document, archive)
    with st.container(height=HEIGHT, border=True, key="preview"):
        preview.draw(document, chapter)
