"""Many rows: the production rows, a file or a path, and the result of the newest scoring."""

from __future__ import annotations

import time

import streamlit as st

from core.platform.config import Settings
from core.platform.messages import Message, _
from core.platform.project import ProjectSpec
from core.serving import server
from pages.score import file_form, production_form, result_view, scorings, serving_choice
from pages.shared import elements, step_jobs, uploads

SOURCES = ("production", "upload", "path")
NO_SCORING = Message("There are no predictions yet. Score rows first.")


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the form of a scoring, and its result."""
    ready = serving_choice.ready(settings)
    if ready:
        panel = st.container()
        form(settings, spec, serving_choice.choose(ready))
        with panel:
            is_going = step_jobs.job_panel(settings, "score")
            if not is_going:
                file_form.resume(settings)
    last = scorings.newest(settings, one_row=False)
    if last is not None:
        if ready and last.started < chosen_at():
            # the choice of rows comes first
            with st.expander(_("Result")):
                result_view.show(settings, spec, last)
        else:
            result_view.show(settings, spec, last)
    elif ready:
        st.info(str(NO_SCORING))


def form(settings: Settings, spec: ProjectSpec, served: server.Server) -> None:
    """Draw the choice of the rows, and the form to score them."""
    line = st.container(horizontal=True, vertical_alignment="center")
    source = line.segmented_control(
        _("Rows"),
        SOURCES,
        format_func=lambda code: scorings.source_words(spec, code),
        default="production",
        required=True,
        key="rows",
        label_visibility="collapsed",
    )
    with elements.show_errors():
        if source == "production":
            with line:
                production_form.ask(settings, spec, served)
        elif source == "upload":
            file_form.ask_upload(settings, spec, served)
        else:
            file_form.ask_path(settings, spec, served)


def chosen_at() -> float:
    """Return when the file or path on this page was chosen, in seconds since 1970; 0 for none."""
    source = st.session_state.get("rows")
    chosen: str | None = None
    if source == "upload":
        chosen = next((file.stored for file in uploads.kept("file")), None)
    elif source == "path":
        chosen = st.session_state.get("looked-at")
    if chosen != st.session_state.get("rows-chosen"):
        st.session_state["rows-chosen"], st.session_state["rows-chosen-at"] = chosen, time.time()
    return st.session_state["rows-chosen-at"] if chosen else 0.0
