"""Open alerts with the actions on them, and the history of alerts."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from core.monitoring import alerts
from core.monitoring.alert_store import ACKNOWLEDGED, NO_RULE, OPEN, VERSION_LEFT, Alert, Event
from core.platform import clock, messages
from core.platform.config import Settings
from core.platform.messages import Message, _, day
from pages.shared import elements, login

HAPPENED = {
    "raised": Message(":red-badge[raised]"),
    "reminded": Message(":orange-badge[still there]"),
    "cleared": Message(":green-badge[cleared]"),
    "acknowledged": Message(":blue-badge[acknowledged]"),
    "closed": Message(":gray-badge[closed]"),
}
# reasons of automatically closed alerts
REASONS = {
    NO_RULE: Message("No rule watches this check any more."),
    VERSION_LEFT: Message("Its version is not in operation any more."),
}


def moment(seconds: float) -> str:
    """Return date and time as text."""
    return f"{day(datetime.fromtimestamp(seconds, UTC))} UTC"


def about(version: str) -> str:
    """Return the version of an alert as a line prefix; empty if unknown."""
    return _("Version {version}", version=elements.plain(version)) + " · " if version else ""


def who_or_why(event: Event) -> str:
    """Return who acted on an alert and their note, or why it was closed automatically."""
    texts = (event.person, event.note)
    own = " · ".join(elements.plain(text) for text in texts if text)
    return own or str(REASONS.get(event.reason or "", "–"))


def number(value: float | None) -> str:
    """Return a check's value as text."""
    return "–" if value is None else messages.number(value, ",.4g")


@st.fragment(run_every=5)
@elements.show_errors()
def standing(settings: Settings) -> None:
    """Draw the open and acknowledged alerts."""
    unclosed = alerts.open_alerts(settings)
    new = [alert for alert in unclosed if alert.state == OPEN]
    st.subheader(
        _("Open alerts ({count})", count=len(new)) if new else _("Open alerts"), anchor=False
    )
    if not unclosed:
        st.success(
            _(
                "No alert is open. One opens when a report of the Monitor page finds what a "
                "rule below watches."
            ),
            icon=":material/check_circle:",
        )
        return
    if not new:
        st.markdown(_("All are acknowledged: they stay quiet until they clear."))
    if len(new) > 1:
        with st.popover(_("Acknowledge all {count}", count=len(new)), icon=":material/done_all:"):
            _answer(settings, "all", new)
    for alert in new:
        _card(settings, alert)
    seen = [alert for alert in unclosed if alert.state == ACKNOWLEDGED]
    if seen:
        with st.expander(_("Acknowledged ({count})", count=len(seen)), icon=":material/done_all:"):
            for alert in seen:
                _card(settings, alert)


def _card(settings: Settings, alert: Alert) -> None:
    verdict = str(elements.VERDICTS[alert.verdict])
    lines = [f"{verdict} **{elements.plain(str(alert.title))}**"]
    if alert.value is not None:
        line = _("Value **{value}**", value=number(alert.value))
        if alert.limit:
            limit = elements.plain(str(alert.limit))
            line = _("Value **{value}**, limits: {limit}", value=number(alert.value), limit=limit)
        lines.append(line)
    if alert.last_run_id != alert.run_id:
        newest = str(elements.VERDICTS[alert.last_verdict])
        if alert.last_value is not None:
            newest += f" ({number(alert.last_value)})"
        lines.append(_("In the newest report: {verdict}", verdict=newest))
    if alert.state == ACKNOWLEDGED:
        person = elements.plain(alert.person or "")
        note = f": “{elements.plain(alert.note)}”" if alert.note else ""
        lines.append(_(":blue-badge[acknowledged by {person}]", person=person) + note)
    small = about(alert.version) + _(
        "For {duration}, since {moment} · rule: {rule}",
        duration=elements.length(clock.now(settings) - alert.at),
        moment=moment(alert.at),
        rule=elements.plain(str(alert.rule)),
    )
    lines.append(f":small[:gray[{small}]]")
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("  \n".join(lines), width=560)
        if alert.is_sample:
            elements.sample_badge()
        elements.run_link(alert.run_id, _("Report"))
        with st.popover(_("Respond"), icon=":material/reply:"):
            _answer(settings, alert.alert_id, [alert])


def _answer(settings: Settings, key: str, chosen: list[Alert]) -> None:
    """Ask for name and note: to acknowledge or to close the alert."""
    is_new = all(alert.state == OPEN for alert in chosen)
    with st.form(f"answer-{key}", border=False):
        # without a key, so that the name stays for the next alert
        person = st.text_input(
            _("Your name"),
            value=st.session_state.get("person", login.logged_in()),
            max_chars=alerts.PERSON_LENGTH,
        )
        note = st.text_area(_("Note"), max_chars=alerts.NOTE_LENGTH, key=f"note-{key}", height=80)
        action = None
        if is_new:
            st.caption(_("Acknowledged, it stays quiet until it clears."))
            if st.form_submit_button(_("Acknowledge"), type="primary", icon=":material/done:"):
                action = alerts.acknowledge
        if len(chosen) == 1:
            st.caption(
                _(
                    "Dismiss an alert that no report will clear, as when its check is gone. It "
                    "opens again if a report finds it again."
                )
            )
            if st.form_submit_button(_("Dismiss"), icon=":material/close:"):
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
    st.subheader(_("What happened"), anchor=False)
    events = alerts.history(settings, limit=100)
    if not events:
        st.caption(_("Nothing yet."))
        return
    st.table(
        pd.DataFrame(
            {
                _("When (UTC)"): [day(datetime.fromtimestamp(event.at, UTC)) for event in events],
                _("What"): [str(HAPPENED[event.kind]) for event in events],
                _("Check"): [elements.plain(str(event.title)) for event in events],
                _("Version"): [event.version or "–" for event in events],
                _("Data"): [str(elements.data_word(event.is_sample)) for event in events],
                _("Value"): [number(event.value) for event in events],
                _("Report"): [f"`{event.run_id[:8]}`" if event.run_id else "–" for event in events],
                _("Who or why"): [who_or_why(event) for event in events],
            }
        ),
        hide_index=True,
    )
