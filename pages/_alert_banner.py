"""The alerts that stand, in one line for other pages."""

from __future__ import annotations

from core.adapters import alerts, clock
from core.config import Settings
from pages import _parts
from pages._bilingual import st

SHOWN = 3


@st.fragment(run_every=5)
@_parts.told()
def banner(settings: Settings) -> None:
    """Say which alerts nobody has acknowledged, and link to them; draws nothing without any."""
    found = [one for one in alerts.open_alerts(settings) if one.state == alerts.OPEN]
    if not found:
        return
    names = [_parts.plain(one.title) for one in found[:SHOWN]]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    count = "1 alert is" if len(found) == 1 else f"{len(found)} alerts are"
    since = _parts.length(clock.now(settings) - min(one.at for one in found))
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f":red[:material/notifications_active:] **{count} open**, the oldest for {since}: "
            f"{'; '.join(names)}{more}."
        )
        st.page_link("pages/alerts.py", label="See the alerts", icon=":material/arrow_forward:")
