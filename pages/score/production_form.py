"""Scoring of the production rows with one button."""

from __future__ import annotations

import streamlit as st

from core.data import snapshots
from core.platform.config import Settings
from core.platform.messages import Message, _
from core.platform.project import ProjectSpec
from core.scoring import score
from core.serving import server
from pages.score import serving_choice
from pages.shared import elements, navigation, step_jobs


def ask(settings: Settings, spec: ProjectSpec, served: server.Server) -> None:
    """Describe the production rows, and score them on request."""
    if snapshots.current(settings) is None:
        st.info(_("No raw data yet. Acquire it first."))
        navigation.go_to("acquire")
        return
    if spec.rows.by == "none":
        st.info(
            _(
                "This project names no current rows: upload a file to score, or send rows to the "
                "endpoint."
            )
        )
        return
    if st.button(
        _("Score"),
        type="primary",
        icon=":material/target:",
        key="score-production",
        disabled=step_jobs.is_locked(settings, "score"),
        help=elements.plain(elements.capital(_rows(spec))),
    ):
        step_jobs.submit(settings, "score", score.Options, source="production", port=served.port)
    st.caption(serving_choice.named(served), width="content")


def _rows(spec: ProjectSpec) -> Message:
    """Return which rows are scored."""
    if spec.rows.is_derived:
        return spec.rows.how
    return Message(
        "rows with {column} = {value}", column=spec.rows.column, value=spec.rows.production
    )
