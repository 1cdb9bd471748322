"""Alerts: open alerts, report schedules, rules and channels."""

import streamlit as st

from core.platform.messages import _
from pages.alerts import alert_list, channel_form, rule_form, schedule_form
from pages.shared import code_snippets, drafts, elements, set_aside_list

settings, spec = elements.open_app()
drafts.hold("alerts", "schedule-*", "channel-*")

with elements.show_errors():
    elements.header(
        _("Alerts"),
        _(
            "Reports of the Monitor page open an alert when a check is bad for long enough, and "
            "clear it when it is ok again. You acknowledge an alert, with a note."
        ),
    )
    alert_list.standing(settings)
    set_aside_list.draw(settings, "alerts", "messages", "schedules", "jobs")
    schedule_form.section(settings)
    rule_form.section(settings)
    channel_form.section(settings)
    with st.container(key="alert-history"):
        alert_list.history(settings)
code_snippets.panel(settings, "alerts")
