"""MLflow's own pages: start, open and stop them."""

from __future__ import annotations

import streamlit as st

from core.platform import permissions
from core.platform.config import Settings
from core.platform.messages import _, p_
from core.platform.tracking import RunInfo
from core.serving import mlflow_ui
from pages.shared import elements


@st.fragment(run_every=2)
@elements.show_errors()
def draw(settings: Settings, run: RunInfo | None = None) -> None:
    """Offer MLflow's own pages, at a run if there is one; they start once."""
    key = run.run_id if run else "all"
    # once for all projects of the home: they share the store
    settings = settings.outer
    base = mlflow_ui.running(settings)
    if base:
        url = mlflow_ui.run_url(base, run.experiment_id, run.run_id) if run else base
        st.link_button(
            elements.named("MLflow", p_("link", "open")),
            url,
            icon=":material/open_in_new:",
            type="tertiary",
        )
        if run is None and not settings.mlflow_uri.startswith("http"):
            st.button(
                elements.named("MLflow", _("Stop")),
                icon=":material/stop:",
                type="tertiary",
                key="stop-mlflow",
                on_click=_stop,
                args=(settings,),
                disabled=not permissions.may("mlflow"),
            )
    elif mlflow_ui.starting(settings):
        text = _("{name} is starting (about {seconds} s)", name="MLflow", seconds=10)
        st.caption(f":material/hourglass_top: {text}")
    else:
        st.button(
            elements.named("MLflow", _("Start")),
            icon=":material/play_arrow:",
            type="tertiary",
            key=f"start-mlflow-{key}",
            on_click=_start,
            args=(settings,),
            disabled=not permissions.may("mlflow"),
        )


@elements.show_errors()
def _start(settings: Settings) -> None:
    mlflow_ui.start(settings)


@elements.show_errors()
def _stop(settings: Settings) -> None:
    mlflow_ui.stop(settings)
