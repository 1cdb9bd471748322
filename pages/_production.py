"""The production rows: scored at one press, as the brief asks."""

from __future__ import annotations

from core.adapters import server, snapshots
from core.config import Settings
from core.project import ProjectSpec
from core.steps import score
from pages import _parts
from pages._bilingual import st


def ask(settings: Settings, spec: ProjectSpec, one: server.Server) -> None:
    """Say which rows these are, and score them at a press."""
    if snapshots.current(settings) is None:
        st.info("There is no raw data yet. Acquire it on the Acquire page first.")
        st.page_link("pages/acquire.py", label="Go to Acquire", icon=":material/arrow_forward:")
        return
    st.caption(
        f"All rows of the raw data with {spec.rows.column} = {spec.rows.production}, with and "
        "without label. Those with a label answer whether the model fits them."
    )
    if st.button("Score", type="primary", icon=":material/target:", key="score-production"):
        _parts.submit(settings, "score", score.Options, source="production", port=one.port)
