"""The served model that scores: the only one, or a choice of several."""

from __future__ import annotations

import streamlit as st

from core.platform.config import Settings
from core.platform.messages import _
from core.serving import server
from pages.shared import elements, navigation, visit


def ready(settings: Settings) -> list[server.Server]:
    """Return the servers that answer; without one, draw where to start it."""
    found = elements.ready_servers(settings)
    visit.wait_for_store()
    if not found:
        st.info(_("No model is served. Start one on the Serve page first."))
        navigation.go_to("serve")
    return found


def choose(found: list[server.Server]) -> server.Server:
    """Return the server to use; draw a choice if there are several."""
    if len(found) == 1:
        return found[0]
    ports = {served.port: named(served) for served in found}
    port = st.selectbox(_("Served model"), list(ports), format_func=ports.__getitem__, key="port")
    return next(served for served in found if served.port == port)


def named(served: server.Server) -> str:
    """Return the name of a served model, with its port."""
    return f"{served.name} · {elements.named(_('Port'), served.port)}"
