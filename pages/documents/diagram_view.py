"""The diagram of the life cycle, as a picture and as text."""

import streamlit as st

from core.documents.texts import diagram
from pages.shared import elements


def draw() -> None:
    """Draw the stages with their outputs, and offer the picture as text."""
    st.vega_lite_chart(elements.localized(diagram.chart()), width="stretch", key="life-cycle")
    with st.expander("Mermaid, Graphviz"):
        st.caption("Mermaid:")
        st.code(diagram.mermaid(), language="mermaid")
        st.caption("Graphviz:")
        st.code(diagram.dot(), language="dot")
