"""The open alerts in one line, for other pages."""

from __future__ import annotations

import streamlit as st

from core.monitoring import alert_store, alerting, alerts
from core.platform import clock
from core.platform.config import Settings
from core.platform.messages import _, n_
from pages.shared import elements

SHOWN = 3


@st.fragment(run_every=5)
@elements.show_errors()
def banner(settings: Settings) -> None:
    """Show and link unacknowledged alerts; draw nothing without any."""
    open_alerts = [
        alert for alert in alerts.open_alerts(settings) if alert.state == alert_store.OPEN
    ]
    if not open_alerts:
        return
    # pages with this banner show the verdict of the newest report anyway
    named = [alert for alert in open_alerts if alert.code != alerting.VERDICT]
    # once if all are of the sample
    mark = elements.sample_mark(all(alert.is_sample for alert in open_alerts))
    names = [
        elements.plain(elements.words(alert.title))
        + ("" if mark else elements.sample_mark(alert.is_sample))
        for alert in named[:SHOWN]
    ]
    since = elements.length(clock.now(settings) - min(alert.at for alert in open_alerts))
    headline = n_(
        "**{count} alert is open**, the oldest for {since}",
        "**{count} alerts are open**, the oldest for {since}",
        len(open_alerts),
        since=since,
    )
    text = f":red[:material/notifications_active:] {headline}"
    if names:
        text += f": {'; '.join(names)}"
    if len(named) > SHOWN:
        text += "; " + n_("{count} more", "{count} more", len(named) - SHOWN)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"{text}.")
        if mark:
            st.markdown(mark.strip(), width="content")
        st.page_link(
            "pages/monitor/page.py",
            label=_("See the alerts"),
            icon=":material/arrow_forward:",
            query_params={"view": "alerts"},
        )
