"""Documents: the project's documents, life cycle and checklist, filled from the current runs.

At the left the contents; at the right a chapter of the chosen document, its downloads above it.
"""

import streamlit as st

from core.platform import plugins
from core.platform.messages import _
from pages.shared import code_snippets, elements, visit

settings, spec = visit.open_app()
MADE = "documents-made"
has_checklist = plugins.has(spec.name, "checklist")
snippets = ("documents", "checklist") if has_checklist else ("documents",)


def sign() -> None:
    """Show immediately that the documents are being made; a spinner waits half a second."""
    with place.container():
        st.caption(":material/hourglass_top: " + _("Creating the documents from the runs"))
        st.skeleton(height=400)


elements.header(
    _("Documents"),
    _("Filled from the runs; every number links to its run."),
    is_sample=elements.current_is_sample(settings),
    menu=lambda: code_snippets.button(settings, *snippets),
)
with elements.show_errors():
    place = st.empty()
    if MADE not in st.session_state:
        sign()
    visit.wait_for_store()
    # its first import takes a second or two
    from pages.documents import library

    made = library.state(settings)
    if st.session_state.get(MADE) != made:
        sign()
    facts, built = library.make(settings, *made)
    st.session_state[MADE] = made
    place.empty()
    library.draw(settings, spec, facts, built)
