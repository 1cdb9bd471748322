"""Open alerts as incidents, one per version and source, with their forms and history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st

from core.monitoring import alerting, alerts, deliver, incidents
from core.monitoring.alert_store import ACKNOWLEDGED, NO_RULE, VERSION_LEFT, Alert, Event
from core.monitoring.incidents import Incident
from core.platform import clock, messages, permissions
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _, day
from core.stats.check import VERDICT_LABELS
from pages.shared import elements, login

# the incident of which an alert was just dismissed
DONE = "alert-dismissed"
# colour of an alert's event
COLOURS = {
    "raised": "red",
    "reminded": "orange",
    "cleared": "green",
    "acknowledged": "blue",
    "closed": "gray",
}
# reasons of automatically closed alerts
REASONS = {
    NO_RULE: Message("No rule watches this check any more."),
    VERSION_LEFT: Message("Its version is not in operation any more."),
}


def _badge(kind: str) -> str:
    return elements.badge(deliver.EVENT_LABELS[kind], COLOURS[kind])


def moment(seconds: float) -> str:
    """Return date and time as text."""
    return f"{day(datetime.fromtimestamp(seconds, UTC))} UTC"


def who_or_why(event: Event) -> str:
    """Return who acted on an alert and their note, or why it was closed automatically."""
    texts = (event.person, event.note)
    own = " · ".join(elements.plain(text) for text in texts if text)
    return own or str(REASONS.get(event.reason or "", "–"))


def number(value: float | None) -> str:
    """Return a check's value as text."""
    return "–" if value is None else messages.number(value, ",.4f")


@st.fragment(run_every=5)
@elements.show_errors()
def standing(settings: Settings) -> None:
    """Draw the incidents whose alerts are not cleared."""
    found = incidents.standing(settings)
    if not found:
        st.success(_("No alert is open."), icon=":material/check_circle:")
        return
    for place, incident in enumerate(found):
        _card(settings, incident, is_first=place == 0)


def _card(settings: Settings, incident: Incident, *, is_first: bool) -> None:
    count = len(incident.unanswered)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            title = elements.plain(str(incident.title))
            st.markdown(
                f"{elements.verdict_badge(incident.verdict)} **{title}**  \n{_about(incident)}"
            )
            if incident.is_sample:
                elements.sample_badge()
        with st.container(horizontal=True, vertical_alignment="center"):
            if count:
                # gone, and so closed, once all are acknowledged
                with st.popover(
                    elements.counted(_("Acknowledge"), count),
                    icon=":material/done_all:",
                    type="primary" if is_first else "secondary",
                    key=f"acknowledge-{incident.subject}",
                ):
                    _acknowledge(settings, incident)
            st.page_link(
                "pages/monitor/page.py",
                label=_("Report"),
                icon=":material/monitoring:",
                query_params={"view": "report", "report": incident.last_run_id},
            )
            popover = f"dismissal-{incident.subject}"
            if st.session_state.get(DONE) == incident.subject:
                del st.session_state[DONE]
                st.session_state[popover] = False
            with st.popover(
                _("Dismiss an alert"), type="tertiary", key=popover, on_change=_nothing
            ):
                _dismiss(settings, incident)
        if not count:
            st.markdown(_("Acknowledged: quiet until it clears."))
        _checks(settings, incident)
        events = incidents.history(settings, incident)
        with st.expander(_("History"), icon=":material/history:"):
            _events(events)


def _about(incident: Incident) -> str:
    first, last = moment(incident.first_seen), moment(incident.last_seen)
    parts = [
        elements.capital(_("version {version}", version=elements.plain(incident.version)))
        if incident.version
        else "",
        _("since {day}", day=first),
        # the first report is the moment itself
        "" if last == first else elements.named(_("Report"), last),
    ]
    return f":small[:gray[{' · '.join(part for part in parts if part)}]]"


def _checks(settings: Settings, incident: Incident) -> None:
    """Draw a row per check: its newest value, its limits and who acknowledged it."""
    checks = incident.checks or incident.alerts
    elements.fixed_table(
        {
            _("Check"): [f"**{elements.plain(str(alert.title))}**" for alert in checks],
            _("Value"): [number(alert.last_value) for alert in checks],
            _("Limits"): [elements.plain(str(alert.limit)) or "–" for alert in checks],
            _("Verdict"): [elements.verdict_badge(alert.last_verdict) for alert in checks],
            _("Rule"): [
                elements.plain(str(alerting.name_in_words(alert.rule))) for alert in checks
            ],
            _("State"): [_state(settings, incident, alert) for alert in checks],
        }
    )


def _state(settings: Settings, incident: Incident, alert: Alert) -> str:
    """Return who acknowledged an alert, or for how long it is open if others are older."""
    if alert.state == ACKNOWLEDGED:
        note = f": “{elements.plain(alert.note)}”" if alert.note else ""
        person = elements.plain(alert.person or "")
        return f"{_badge('acknowledged')} {person}{note}"
    if alert.at > incident.first_seen:
        age = elements.length(clock.now(settings) - alert.at)
        return f"{_('open')} · {age}"
    return _("open")


def _acknowledge(settings: Settings, incident: Incident) -> None:
    """Ask for name and note, to acknowledge all alerts of an incident."""
    with st.form(f"answer-{incident.subject}", border=False):
        person, note = _person_and_note(incident, "answer")
        pressed = st.form_submit_button(
            _("Acknowledge"),
            type="primary",
            icon=":material/done:",
            help=_("Acknowledged: quiet until it clears."),
            disabled=not permissions.may("alert"),
        )
    if pressed:
        _answer(
            f"answer-{incident.subject}",
            person,
            lambda: alerts.acknowledge_all(settings, incident.subject, person, note),
        )
    _refusal(f"answer-{incident.subject}")


def _dismiss(settings: Settings, incident: Incident) -> None:
    """Ask which alert is to be dismissed, by whom and why."""
    titles = {
        alert.alert_id: elements.words(alert.title)
        if alert.code != alerting.VERDICT
        else _("The report as a whole")
        for alert in incident.alerts
    }
    st.caption(
        _("For an alert that no report will clear, for example because its check no longer exists.")
    )
    with st.form(f"dismiss-{incident.subject}", border=False):
        alert_id = st.selectbox(
            elements.capital(VERDICT_LABELS["alert"]),
            list(titles),
            format_func=titles.__getitem__,
            key=f"which-{incident.subject}",
        )
        person, note = _person_and_note(incident, "dismiss")
        pressed = st.form_submit_button(
            _("Dismiss"), icon=":material/close:", disabled=not permissions.may("alert")
        )
    if pressed:
        _answer(
            f"dismiss-{incident.subject}",
            person,
            lambda: alerts.close(settings, str(alert_id), person, note),
            done=incident.subject,
        )
    _refusal(f"dismiss-{incident.subject}")


def _person_and_note(incident: Incident, form: str) -> tuple[str, str]:
    # without a key, so that the name stays for the next incident
    person = st.text_input(
        _("Name"),
        value=st.session_state.get("person", login.logged_in()),
        max_chars=alerts.PERSON_LENGTH,
    )
    note = st.text_area(
        _("Note"), max_chars=alerts.NOTE_LENGTH, key=f"{form}-note-{incident.subject}", height=80
    )
    return person, note


def _answer(form: str, person: str, act: Callable[[], object], done: str | None = None) -> None:
    """Record an answer and draw anew; a refusal stays, as the list redraws itself."""
    try:
        act()
    except CourtsideError as error:
        st.session_state[f"refused-{form}"] = error.message
        return
    st.session_state.pop(f"refused-{form}", None)
    st.session_state["person"] = person
    if done is not None:
        st.session_state[DONE] = done
    st.rerun()


def _refusal(form: str) -> None:
    refused = st.session_state.get(f"refused-{form}")
    if refused:
        st.error(elements.words(refused))


def _nothing() -> None:
    """Let Streamlit keep the state of a popover, so that it can be closed."""


@elements.show_errors()
def history(settings: Settings) -> None:
    """Draw the newest events of alerts that are cleared; those of the others are on their cards."""
    standing_ids = {
        alert.alert_id for found in incidents.standing(settings) for alert in found.alerts
    }
    events = alerts.history(settings, limit=100)
    earlier = [event for event in events if event.alert_id not in standing_ids]
    if earlier:
        with st.expander(_("History"), icon=":material/history:"):
            _events(earlier)


def _events(events: list[Event]) -> None:
    elements.fixed_table(
        {
            _("When"): [moment(event.at) for event in events],
            _("What"): [_badge(event.kind) for event in events],
            _("Check"): [_named(event) for event in events],
            _("Value"): [number(event.value) for event in events],
            _("Report"): [f"`{event.run_id[:8]}`" if event.run_id else "–" for event in events],
            _("Details"): [who_or_why(event) for event in events],
        }
    )


def _named(event: Event) -> str:
    version = _("version {version}", version=event.version) if event.version else ""
    about = elements.plain(version) + elements.sample_mark(event.is_sample)
    return elements.plain(str(event.title)) + (f" · {about.strip()}" if about else "")
