"""Runs: every run of a step in a table, the details of a chosen one, the background jobs."""

import streamlit as st

from core.platform import tracking
from core.platform.messages import Message, _
from core.platform.runs import EveryRun
from pages.runs import job_table, mlflow_buttons, run_details, run_table
from pages.shared import code_snippets, elements, navigation, visit

settings, spec = visit.open_app()
VIEWS = {"runs": Message("Runs"), "jobs": Message("Background jobs")}


def menu() -> None:
    """Draw the page's menu."""
    code_snippets.button(settings, "runs")
    mlflow_buttons.draw(settings)


elements.header(Message("Runs"), menu=menu)
with elements.show_errors():
    visit.wait_for_store()
    asked = st.query_params.get("run")
    run = tracking.run(settings, asked) if asked else None
    # an address can name a run of another project, which shares the store
    if run is not None and EveryRun.of(run).project not in ("", settings.project):
        run = None
    if asked:
        st.page_link("pages/runs/page.py", label=_("Runs"), icon=":material/arrow_back:")
    if asked and run is None:
        st.error(elements.plain(_("'{name}' does not exist.", name=asked[:32])))
    if run is not None:
        run_details.draw(settings, run)
    elif navigation.views("runs", VIEWS) == "jobs":
        job_table.draw(settings)
    elif (chosen := run_table.draw(settings)) is not None:
        run_details.draw(settings, chosen, has_link=True)
