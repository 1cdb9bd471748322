"""The open alerts in one line, for other pages."""

from __future__ import annotations

from core.monitoring import alert_store, alerting, alerts
from core.platform import clock
from core.platform.config import Settings
from pages.shared import elements
from pages.shared.bilingual import st

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
        elements.plain(alert.title) + ("" if mark else elements.sample_mark(alert.is_sample))
        for alert in named[:SHOWN]
    ]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    count = "1 alert is" if len(open_alerts) == 1 else f"{len(open_alerts)} alerts are"
    since = elements.length(clock.now(settings) - min(alert.at for alert in open_alerts))
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        icon = ":red[:material/notifications_active:]"
        if names:
            listed = "; ".join(names)
            st.markdown(f"{icon} **{count} open**, the oldest for {since}: {listed}{more}.")
        else:
            st.markdown(f"{icon} **{count} open**, the oldest for {since}.")
        if mark:
            st.markdown(mark.strip(), width="content")
        st.page_link(
            "pages/alerts/page.py", label="See the alerts", icon=":material/arrow_forward:"
        )
