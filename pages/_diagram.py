"""The diagram of the life cycle, on a page."""

from core.logic.documents import diagram
from pages import _bilingual
from pages._bilingual import st


def draw() -> None:
    """Draw the stages with what each leaves, and offer the picture as text."""
    st.vega_lite_chart(diagram.chart(_bilingual.told), width="stretch", key="life-cycle")
    with st.expander("The diagram as text"):
        st.caption("Mermaid, as Markdown pages draw it:")
        st.code(diagram.mermaid(_bilingual.told), language="mermaid")
        st.caption("Graphviz:")
        st.code(diagram.dot(_bilingual.told), language="dot")
