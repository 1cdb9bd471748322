"""The drawers of the page: a new report, schedules, rules and channels."""

from __future__ import annotations

import streamlit as st

from core.monitoring import monitor
from core.platform import permissions, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _
from core.platform.project import ProjectSpec
from core.predictions_log import predictions
from pages.monitor import channel_form, options_form, rule_form, schedule_form
from pages.shared import elements, navigation, step_jobs

# an open drawer stays open while the page is drawn again
OPEN, LINKED = "monitor-drawer", "monitor-linked"
DRAWERS = {
    "new": (Message("New report"), "add_chart"),
    "schedule": (Message("Schedule"), "schedule"),
    "rules": (Message("Rules"), "rule"),
    "channels": (Message("Channels"), "send"),
}


def button(name: str, label: str = "", *, kind: str = "tertiary", place: str = "menu") -> None:
    """Draw a button that opens a drawer."""
    title, icon = DRAWERS[name]
    st.button(
        label or str(title),
        icon=f":material/{icon}:",
        type=kind,  # type: ignore[arg-type]
        key=f"open-{name}-{place}",
        on_click=_open,
        args=(name,),
    )


def show(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the open drawer, if any; a link to new rows opens the one for a report of them."""
    linked = st.query_params.get("scoring", "")
    if linked and st.session_state.get(LINKED) != linked:
        st.session_state[LINKED] = linked
        st.session_state[OPEN] = "new"
    if (name := st.session_state.get(OPEN)) not in DRAWERS:
        return
    title, icon = DRAWERS[name]
    opened = st.dialog(
        str(title), icon=f":material/{icon}:", width="large", position="right", on_dismiss=_close
    )
    opened(_draw)(settings, spec, name)


def _open(name: str) -> None:
    elements.close_menu()
    st.session_state[OPEN] = name


def _close() -> None:
    st.session_state.pop(OPEN, None)


@elements.show_errors()
def _draw(settings: Settings, spec: ProjectSpec, name: str) -> None:
    if name == "new":
        _new(settings, spec)
    elif name == "schedule":
        schedule_form.section(settings)
    elif name == "rules":
        rule_form.section(settings)
    else:
        channel_form.section(settings)


def _new(settings: Settings, spec: ProjectSpec) -> None:
    last = tracking.last_run(settings, "monitor")
    scorings = predictions.scorings(settings, min_rows=monitor.MIN_ROWS)
    options = options_form.ask(settings, spec, scorings, last)
    running = step_jobs.is_going(settings, "monitor")
    if running:
        st.info(_("{step} is running.", step=navigation.STEPS["monitor"][1]))
    pressed = st.button(
        _("Monitor"),
        type="primary",
        icon=":material/monitor_heart:",
        key="monitor",
        disabled=not permissions.may("monitor") or running,
    )
    if not pressed:
        return
    if options.get("window") == "log" and not {"last", "since", "where"} & set(options):
        st.error(_("Required: {field}.", field=_("Values")), icon=":material/error:")
        return
    step_jobs.submit(settings, "monitor", monitor.Options, **options)
    if step_jobs.is_going(settings, "monitor"):
        _close()
        st.rerun()
