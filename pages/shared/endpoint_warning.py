"""The warning of a live endpoint that serves another version than the champion."""

from __future__ import annotations

import streamlit as st

from core.jobs import jobs
from core.platform import model_store, permissions
from core.platform.config import Settings
from core.platform.messages import Message, _
from core.platform.runs import ModelVersion
from core.serving import serve
from core.serving.server import Server
from pages.shared import elements, step_jobs

# state of an endpoint -> its label, colour and icon
STATES = {
    "ready": (Message("answering"), "green", ":material/check_circle:"),
    "starting": (Message("starting"), "blue", ":material/hourglass_top:"),
    "silent": (Message("not answering"), "red", ":material/heart_broken:"),
    "restarting": (Message("starting"), "orange", ":material/autorenew:"),
    "stopped": (Message("stopping"), "gray", ":material/stop_circle:"),
    "died": (Message("failed"), "red", ":material/error:"),
}


def behind(settings: Settings, champion: ModelVersion | None, live: Server | None) -> bool:
    """Warn if the live endpoint is behind the champion, and offer the switch; return whether."""
    if champion is None or live is None or live.model != champion.name:
        return False
    if live.version == champion.version:
        return False
    st.warning(
        _(
            "The live endpoint serves version {served}, but the champion is version {champion}.",
            served=live.version,
            champion=champion.version,
        )
    )
    going = any(job.step in ("serve", "promote") for job in jobs.active(settings))
    if st.button(
        elements.named(_("Serve"), _("version {version}", version=champion.version)),
        type="primary",
        icon=":material/sync:",
        disabled=not permissions.may("serve") or going,
    ):
        step_jobs.submit(settings, "serve", serve.Options, target=model_store.CHAMPION)
    return True
