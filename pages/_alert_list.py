"""The alerts that stand, with what a person can say to them, and what became of others."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from core.adapters import alerts, clock
from core.adapters.alerts import Alert
from core.config import Settings
from pages import _login, _parts
from pages._bilingual import st

HAPPENED = {
    "raised": ":red-badge[raised]",
    "reminded": ":orange-badge[still there]",
    "cleared": ":green-badge[cleared]",
    "acknowledged": ":blue-badge[acknowledged]",
    "closed": ":gray-badge[put away]",
}


def moment(seconds: float) -> str:
    """Return a moment as date and time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def number(value: float | None) -> str:
    """Return a check's value for a person."""
    return "–" if value is None else f"{value:,.4g}"


@st.fragment(run_every=5)
@_parts.told()
def standing(settings: Settings) -> None:
    """Draw the alerts that are open or acknowledged."""
    found = alerts.open_alerts(settings)
    new = [one for one in found if one.state == alerts.OPEN]
    st.subheader(f"Open alerts ({len(new)})" if new else "Open alerts", anchor=False)
    if not found:
        st.success(
            "No alert is open. One opens when a report of the Monitor page finds what a rule below "
            "watches.",
            icon=":material/check_circle:",
        )
        return
    if not new:
        st.markdown("All are acknowledged: they stay quiet until they clear.")
    if len(new) > 1:
        with st.popover(f"Acknowledge all {len(new)}", icon=":material/done_all:"):
            _answer(settings, "all", new)
    for alert in new:
        _card(settings, alert)
    seen = [one for one in found if one.state == alerts.ACKNOWLEDGED]
    if seen:
        with st.expander(f"Acknowledged ({len(seen)})", icon=":material/done_all:"):
            for alert in seen:
                _card(settings, alert)


def _card(settings: Settings, alert: Alert) -> None:
    since = _parts.length(clock.now(settings) - alert.at)
    title = _parts.plain(alert.title)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        limit = f", limits: {_parts.plain(alert.limit)}" if alert.limit else ""
        value = "" if alert.value is None else f"  \nValue **{number(alert.value)}**{limit}"
        later = ""
        if alert.last_run_id != alert.run_id:
            held = "" if alert.last_value is None else f" ({number(alert.last_value)})"
            later = f"  \nIn the newest report: {_parts.VERDICTS[alert.last_verdict]}{held}"
        seen = ""
        if alert.state == alerts.ACKNOWLEDGED:
            note = f": “{_parts.plain(alert.note)}”" if alert.note else ""
            seen = f"  \n:blue-badge[seen by {_parts.plain(alert.person or '')}]{note}"
        st.markdown(
            f"{_parts.VERDICTS[alert.verdict]} **{title}**{value}{later}{seen}  \n"
            f":small[:gray[For {since}, since {moment(alert.at)} · rule: "
            f"{_parts.plain(alert.rule)}]]",
            width=560,
        )
        _parts.run_link(alert.run_id, "Report")
        with st.popover("Answer", icon=":material/reply:"):
            _answer(settings, alert.alert_id, [alert])


def _answer(settings: Settings, key: str, which: list[Alert]) -> None:
    """Ask who it is and what they make of it: acknowledged, or put away."""
    is_new = all(one.state == alerts.OPEN for one in which)
    with st.form(f"answer-{key}", border=False):
        # without a key, so that who has answered one is there for the next
        person = st.text_input(
            "Your name",
            value=st.session_state.get("person", _login.logged_in()),
            max_chars=alerts.PERSON_LENGTH,
        )
        note = st.text_area("Note", max_chars=alerts.NOTE_LENGTH, key=f"note-{key}", height=80)
        how = None
        if is_new:
            st.caption("Acknowledged, it stays quiet until it clears.")
            if st.form_submit_button("Acknowledge", type="primary", icon=":material/done:"):
                how = alerts.acknowledge
        if len(which) == 1:
            st.caption(
                "Put one away that no report will clear, as when its check is gone. It opens anew "
                "if a report finds it again."
            )
            if st.form_submit_button("Put away", icon=":material/close:"):
                how = alerts.close
    if how is not None:
        with _parts.told():
            for alert in which:
                how(settings, alert.alert_id, person, note)
            st.session_state["person"] = person
            st.rerun()


@_parts.told()
def history(settings: Settings) -> None:
    """Draw what happened to alerts, the newest first."""
    st.subheader("What happened", anchor=False)
    found = alerts.history(settings, limit=100)
    if not found:
        st.caption("Nothing yet.")
        return
    st.table(
        pd.DataFrame(
            {
                "When (UTC)": [moment(one.at).removesuffix(" UTC") for one in found],
                "What": [HAPPENED[one.kind] for one in found],
                "Check": [_parts.plain(one.title) for one in found],
                "Value": [number(one.value) for one in found],
                "Report": [f"`{one.run_id[:8]}`" if one.run_id else "–" for one in found],
                "Who, and their note": [
                    " · ".join(_parts.plain(text) for text in (one.person, one.note) if text) or "–"
                    for one in found
                ],
            }
        ),
        hide_index=True,
    )
