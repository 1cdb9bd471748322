"""Data: acquire rows, explore them, and prepare a training and a test set."""

from contextlib import suppress

import streamlit as st

from core.data import snapshots
from core.jobs import jobs
from core.platform import storage
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _
from pages.data import explore_view, prepare_view, source_view
from pages.shared import code_snippets, drafts, elements, navigation, visit

settings, spec = visit.open_app()
drafts.hold("data", *prepare_view.KEYS)
VIEWS = {"source": Message("Source"), "explore": Message("Explore"), "prepare": Message("Prepare")}
DRAWN = {"source": source_view.draw, "explore": explore_view.draw, "prepare": prepare_view.draw}
snapshot, prepared = None, None
# the view that needs them reports their errors
with suppress(CourtsideError):
    snapshot = snapshots.current(settings)
with suppress(CourtsideError):
    prepared = storage.current_prepared(settings)


def view_of_now() -> str:
    """Return the view to open: that of a running step, otherwise the first that is not done."""
    running = set()
    with suppress(CourtsideError):
        running = {job.step for job in jobs.active(settings)}
    if "acquire" in running or snapshot is None or snapshot.rules != spec.digest:
        return "source"
    is_current = (
        prepared is not None
        and prepared.digest == snapshot.digest
        and prepared.rules == spec.digest
    )
    return "explore" if is_current and "prepare" not in running else "prepare"


def menu() -> None:
    code_snippets.button(settings, "acquire", "prepare")
    if prepared is not None:
        prepare_view.lineage_file(prepared)
    with st.container():
        if snapshot is not None:
            navigation.run_link(snapshot.run_id, "AquisicaoDados")
        if prepared is not None:
            navigation.run_link(prepared.run_id, "PreparacaoDados")


elements.header(_("Data"), is_sample=elements.current_is_sample(settings), menu=menu)
view = navigation.views("data", VIEWS, default=view_of_now())
with elements.show_errors():
    if snapshot is not None:
        visit.wait_for_store()
    DRAWN[view](settings, spec)
