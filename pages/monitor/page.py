"""Monitor: does the model still fit the rows that it scores?"""

import streamlit as st

from core.monitoring import incidents, monitor
from core.platform import model_store, tracking
from core.platform.messages import Message, _
from core.predictions_log import predictions
from pages.monitor import (
    alert_list,
    charts,
    check_views,
    drawers,
    report_files,
    report_history,
    verdict_card,
)
from pages.shared import (
    code_snippets,
    drafts,
    elements,
    navigation,
    outdated,
    report_view,
    set_aside_list,
    step_jobs,
    visit,
)

settings, spec = visit.open_app()
drafts.hold(
    "monitor",
    "window",
    "scoring",
    "last",
    "since",
    "until",
    "row-*",
    "slice-*",
    "source",
    "version",
    "false-alarms",
    "schedule-*",
    "channel-*",
)


def requested(last: tracking.RunInfo | None) -> tuple[tracking.RunInfo | None, str]:
    """Return the requested report, by default the newest, and a note about it."""
    wanted = st.query_params.get("report", "")
    if not wanted or (last and wanted == last.run_id):
        return last, ""
    linked = tracking.finished_run(settings, wanted)
    if linked is None or linked.step != "monitor":
        return last, elements.plain(_("'{name}' does not exist.", name=wanted))
    return linked, _("This is an older report.")


def menu(shown: tracking.RunInfo | None) -> None:
    """Draw the page's menu: settings, downloads and code."""
    for name in drawers.DRAWERS:
        drawers.button(name)
    if shown is not None:
        report_files.draw(settings, shown)
    code_snippets.button(settings, "monitor", "alerts")


def choice() -> str:
    """Draw the choice of the view, and at its right the button for a new report."""
    unanswered = sum(len(found.unanswered) for found in incidents.standing(settings))
    labels = {
        "report": Message("Report"),
        "alerts": elements.counted(_("Alerts"), unanswered) if unanswered else Message("Alerts"),
        "history": Message("History"),
    }
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        view = navigation.views("monitor", labels)
        if view == "report" and shown is not None and late is None:
            drawers.button("new", kind="secondary", place="page")
    return view


def report(shown: tracking.RunInfo | None, note: str) -> None:
    """Draw a report, or what the first one still needs."""
    step_jobs.job_panel(settings, "monitor")
    if shown is None:
        first()
        return
    if note:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/history: {note}", width="content")
            st.page_link(
                "pages/monitor/page.py",
                label=_("See the newest"),
                icon=":material/arrow_forward:",
                query_params={"view": "report"},
            )
    if late is not None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":orange[:material/update:] **{late.text}**", width="content")
            if late.has_rows:
                drawers.button("new", kind="primary", place="page")
            elif st.button(
                _("Go to {page}", page=navigation.STEPS["score"][1]),
                type="primary",
                icon=":material/target:",
                key="score-first",
            ):
                st.switch_page("pages/score/page.py")
    checks = report_view.checks_of(settings, settings.mlflow_uri, shown.run_id)
    if checks is None:
        st.error(navigation.not_kept("monitor"))
        return
    verdict_card.show(settings, spec, shown, checks, is_late=late is not None)
    check_views.show(settings, spec, shown, checks)
    charts.show(settings, spec, shown)


def first() -> None:
    """State what a report will show, and link to the step before it."""
    if predictions.scorings(settings, min_rows=monitor.MIN_ROWS) or predictions.tallies(settings):
        st.info(_("Nothing here yet."))
        drawers.button("new", kind="primary", place="page")
        return
    st.info(_("Monitor needs {rows:,} rows or more.", rows=monitor.MIN_ROWS))
    with st.container(horizontal=True, vertical_alignment="center"):
        navigation.go_to("score")
        # a champion's test set can be compared before anything was scored
        if model_store.find_version(settings, spec.model, model_store.CHAMPION):
            drawers.button("new", kind="primary", place="page")


with elements.show_errors():
    visit.wait_for_store()
    last = tracking.last_run(settings, "monitor")
    shown, note = requested(last)
    # of an older report its note says so
    late = None if shown is None or note else outdated.find(settings, spec, shown)
    top = st.container()
    view = choice()
    with top:
        elements.header(
            Message("Monitor"),
            Message("Does the model still fit the rows that it scores?"),
            # each incident is marked itself
            is_sample=bool(shown and shown.is_sample) and view != "alerts",
            menu=lambda: menu(shown),
        )
    if view == "report":
        report(shown, note)
    elif view == "alerts":
        alert_list.standing(settings)
        set_aside_list.draw(settings, "alerts", "messages", "schedules", "jobs")
        alert_list.history(settings)
    else:
        report_history.show(settings, last)
    drawers.show(settings, spec)
