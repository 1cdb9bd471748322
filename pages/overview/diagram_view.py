"""The diagram of the life cycle."""

from core.documents.texts import diagram
from pages.shared import bilingual
from pages.shared.bilingual import st


def draw() -> None:
    """Draw the stages with their outputs, and offer the picture as text."""
    st.vega_lite_chart(diagram.chart(bilingual.translate), width="stretch", key="life-cycle")
    with st.expander("The diagram as text"):
        st.caption("Mermaid, as Markdown pages draw it:")
        st.code(diagram.mermaid(bilingual.translate), language="mermaid")
        st.caption("Graphviz:")
        st.code(diagram.dot(bilingual.translate), language="dot")
