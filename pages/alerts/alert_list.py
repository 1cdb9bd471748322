"""Open alerts with the actions on them, and the history of alerts."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from core.monitoring import alerts
from core.monitoring.alert_store import ACKNOWLEDGED, NO_RULE, OPEN, VERSION_LEFT, Alert, Event
from core.platform import clock
from core.platform.config import Settings
from pages.shared import elements, login
from pages.shared.bilingual import st

HAPPENED = {
    "raised": ":red-badge[raised]",
    "reminded": ":orange-badge[still there]",
    "cleared": ":green-badge[cleared]",
    "acknowledged": ":blue-badge[acknowledged]",
    "closed": ":gray-badge[closed]",
}
# reasons of automatically closed alerts
REASONS = {
    NO_RULE: "No rule watches this check any more.",
    VERSION_LEFT: "Its version is not in operation any more.",
}


def moment(seconds: float) -> str:
    """Return date and time as text."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def about(version: str) -> str:
    """Return the version of an alert as a line prefix; empty if unknown."""
    return f"Version {elements.plain(version)} · " if version else ""


def who_or_why(event: Event) -> str:
    """Return who acted on an alert and their note, or why it was closed automatically."""
    texts = (event.person, event.note)
    own = " · ".join(elements.plain(text) for text in texts if text)
    return own or REASONS.get(event.reason or "", "–")


def number(value: float | None) -> str:
    """Return a check's value as text."""
    return "–" if value is None else f"{value:,.4g}"


@st.fragment(run_every=5)
@elements.show_errors()
def standing(settings: Settings) -> None:
    """Draw the open and acknowledged alerts."""
    unclosed = alerts.open_alerts(settings)
    new = [alert for alert in unclosed if alert.state == OPEN]
    st.subheader(f"Open alerts ({len(new)})" if new else "Open alerts", anchor=False)
    if not unclosed:
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
    seen = [alert for alert in unclosed if alert.state == ACKNOWLEDGED]
    if seen:
        with st.expander(f"Acknowledged ({len(seen)})", icon=":material/done_all:"):
            for alert in seen:
                _card(settings, alert)


def _card(settings: Settings, alert: Alert) -> None:
    since = elements.length(clock.now(settings) - alert.at)
    title = elements.plain(alert.title)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        limit = f", limits: {elements.plain(alert.limit)}" if alert.limit else ""
        value = "" if alert.value is None else f"  \nValue **{number(alert.value)}**{limit}"
        later = ""
        if alert.last_run_id != alert.run_id:
            held = "" if alert.last_value is None else f" ({number(alert.last_value)})"
            later = f"  \nIn the newest report: {elements.VERDICTS[alert.last_verdict]}{held}"
        seen = ""
        if alert.state == ACKNOWLEDGED:
            note = f": “{elements.plain(alert.note)}”" if alert.note else ""
            seen = f"  \n:blue-badge[seen by {elements.plain(alert.person or '')}]{note}"
        st.markdown(
            f"{elements.VERDICTS[alert.verdict]} **{title}**{value}{later}{seen}  \n"
            f":small[:gray[{about(alert.version)}For {since}, since {moment(alert.at)} · rule: "
            f"{elements.plain(alert.rule)}]]",
            width=560,
        )
        if alert.is_sample:
            elements.sample_badge()
        elements.run_link(alert.run_id, "Report")
        with st.popover("Answer", icon=":material/reply:"):
            _answer(settings, alert.alert_id, [alert])


def _answer(settings: Settings, key: str, chosen: list[Alert]) -> None:
    """Ask for name and note: to acknowledge or to close the alert."""
    is_new = all(alert.state == OPEN for alert in chosen)
    with st.form(f"answer-{key}", border=False):
        # without a key, so that the name stays for the next alert
        person = st.text_input(
            "Your name",
            value=st.session_state.get("person", login.logged_in()),
            max_chars=alerts.PERSON_LENGTH,
        )
        note = st.text_area("Note", max_chars=alerts.NOTE_LENGTH, key=f"note-{key}", height=80)
        action = None
        if is_new:
            st.caption("Acknowledged, it stays quiet until it clears.")
            if st.form_submit_button("Acknowledge", type="primary", icon=":material/done:"):
                action = alerts.acknowledge
        if len(chosen) == 1:
            st.caption(
                "Put one away that no report will clear, as when its check is gone. It opens anew "
                "if a report finds it again."
            )
            if st.form_submit_button("Put away", icon=":material/close:"):
                action = alerts.close
    if action is not None:
        with elements.show_errors():
            for alert in chosen:
                action(settings, alert.alert_id, person, note)
            st.session_state["person"] = person
            st.rerun()


@elements.show_errors()
def history(settings: Settings) -> None:
    """Draw the history of alerts, the newest first."""
    st.subheader("What happened", anchor=False)
    events = alerts.history(settings, limit=100)
    if not events:
        st.caption("Nothing yet.")
        return
    st.table(
        pd.DataFrame(
            {
                "When (UTC)": [moment(event.at).removesuffix(" UTC") for event in events],
                "What": [HAPPENED[event.kind] for event in events],
                "Check": [elements.plain(event.title) for event in events],
                "Version": [event.version or "–" for event in events],
                "Data": [elements.data_word(event.is_sample) for event in events],
                "Value": [number(event.value) for event in events],
                "Report": [f"`{event.run_id[:8]}`" if event.run_id else "–" for event in events],
                "Who or why": [who_or_why(event) for event in events],
            }
        ),
        hide_index=True,
    )
