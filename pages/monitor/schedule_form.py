"""Schedules of automatic reports."""

from __future__ import annotations

import streamlit as st
from pydantic import ValidationError

from core.jobs import jobs, schedules
from core.jobs.schedules import Schedule, Scheduled
from core.monitoring import monitor
from core.platform import config, permissions
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.messages import Message, _, number
from pages.monitor.alert_list import moment
from pages.shared import elements, navigation
from pages.shared.statuses import COLOURS, STATUSES

UNITS = {
    "minutes": (60, Message("Minutes")),
    "hours": (3600, Message("Hours")),
    "days": (86400, Message("Days")),
}
KINDS = {"interval": Message("Every"), "cron": Message("At times of the day")}
WINDOWS = {"scoring": Message("Scoring"), "log": Message("Newest rows")}


def section(settings: Settings) -> None:
    """Draw the schedules, and the form for a new one."""
    if settings.clock_speed != 1:
        st.info(
            elements.named("COURTSIDE_CLOCK_SPEED", number(settings.clock_speed, "g")),
            icon=":material/fast_forward:",
        )
    _listed(settings)
    _form(settings)


@st.fragment(run_every=2)
@elements.show_errors()
def _listed(settings: Settings) -> None:
    timetable = [
        scheduled
        for scheduled in schedules.schedules(settings)
        if scheduled.schedule.step == "monitor"
    ]
    if not timetable:
        st.caption(_("Nothing here yet."))
    newest = jobs.latest(settings, "monitor", limit=200) if timetable else []
    for scheduled in timetable:
        _schedule(
            settings, scheduled, [job for job in newest if _of(job) == scheduled.schedule.name]
        )


def _of(job: jobs.Job) -> str | None:
    name = job.options.get("scheduled")
    return str(name) if name is not None else None


def _schedule(settings: Settings, scheduled: Scheduled, runs: list[jobs.Job]) -> None:
    schedule = scheduled.schedule
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.toggle(
                _("On"),
                value=schedule.is_on,
                key=f"on-{schedule.name}-{schedule.is_on}",
                on_change=_turn,
                args=(settings, schedule),
            )
            parts = [elements.plain(str(schedules.in_words(schedule))), _rows(schedule)]
            if schedule.stays:
                parts.append(_("also without the app"))
            st.markdown(f"**{elements.plain(schedule.name)}**: {', '.join(parts)}.", width=560)
            st.button(
                _("Remove"),
                icon=":material/delete:",
                key=f"remove-{schedule.name}",
                on_click=_remove,
                args=(settings, schedule.name),
                disabled=not permissions.may("schedule"),
            )
        st.markdown(f":small[{' · '.join(_remarks(scheduled))}.]")
        if scheduled.problem:
            st.error(elements.plain(str(scheduled.problem)), icon=":material/error:")
        for job in runs[:3]:
            with st.container(horizontal=True, vertical_alignment="center"):
                why = f": {elements.plain(str(job.error))}" if job.error else ""
                ended = elements.badge(STATUSES[job.status], COLOURS.get(job.status, "gray"))
                st.markdown(f"{ended} :small[{elements.ago(job.created)}{why}]", width="content")
                if job.run_id:
                    navigation.run_link(job.run_id, _("Report"))


def _rows(schedule: Schedule) -> str:
    words = str(WINDOWS[schedule.options.get("window", "scoring")])
    last = schedule.options.get("last")
    return elements.counted(words, last) if last else words


def _remarks(scheduled: Scheduled) -> list[str]:
    remarks = [_("Off")]
    if scheduled.schedule.is_on:
        remarks = [_("Next: {name}", name=moment(scheduled.next_at))]
    remarks.append(elements.named(_("Reports so far"), number(scheduled.runs)))
    if scheduled.skipped:
        remarks.append(_("{count:,} skipped: the last was still running", count=scheduled.skipped))
    return remarks


@elements.show_errors()
def _turn(settings: Settings, schedule: Schedule) -> None:
    schedules.save(settings, schedule.model_copy(update={"is_on": not schedule.is_on}))


@elements.show_errors()
def _remove(settings: Settings, name: str) -> None:
    schedules.remove(settings, name)


def _form(settings: Settings) -> None:
    with st.container(border=True):
        elements.question(_("Add"))
        kind = st.segmented_control(
            _("When"),
            list(KINDS),
            default="interval",
            key="schedule-kind",
            format_func=lambda kind: str(KINDS[kind]),
        )
        window = st.selectbox(
            _("Rows"),
            list(WINDOWS),
            format_func=lambda window: elements.capital(WINDOWS[window]),
            key="schedule-window",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                _("Name"), _("Monitor"), max_chars=80, width=220, key="schedule-name"
            )
            if kind == "cron":
                cron = st.text_input(
                    _("Minute, hour, day, month, day of the week (UTC)"),
                    "0 6 * * *",
                    key="schedule-cron",
                    width=320,
                    help=_(
                        "As in cron: `0 6 * * 1` is Mondays at 6, `*/15 * * * *` every quarter of "
                        "an hour. Sunday is 0."
                    ),
                )
                times = {"cron": cron}
            else:
                count = st.number_input(_("Every"), 1, 1000, 1, width=140, key="schedule-count")
                unit = st.segmented_control(
                    _("Every"),
                    list(UNITS),
                    label_visibility="collapsed",
                    default="days",
                    required=True,
                    key="schedule-unit",
                    format_func=lambda unit: str(UNITS[unit][1]),
                )
                times = {"every_seconds": count * UNITS[unit][0]}
            last = None
            if window == "log":
                last = st.number_input(
                    _("Rows"),
                    monitor.MIN_ROWS,
                    1_000_000,
                    2000,
                    step=100,
                    width=160,
                    key="schedule-last",
                )
        stays = st.checkbox(
            elements.capital(_("also without the app")),
            key="schedule-stays",
            help=_(
                "The worker keeps running while the app is closed. After a restart of the "
                "machine, open the app once."
            ),
        )
        sent = st.button(
            _("Save"),
            icon=":material/save:",
            key="save-schedule",
            disabled=not permissions.may("schedule"),
        )
        if sent:
            with elements.show_errors():
                options = _options(window, last, name)
                schedules.save(
                    settings,
                    schedules.made(
                        name=name, step="monitor", options=options, stays=stays, **times
                    ),
                )
                st.rerun()


def _options(window: str, last: int | None, name: str) -> dict[str, object]:
    """Return options for Monitor; only selected ones, so that its own defaults apply."""
    given: dict[str, object] = {"window": window, "scheduled": name}
    if last is not None:
        given["last"] = int(last)
    try:
        monitor.Options(**given)
    except ValidationError as error:
        raise InputError(config.sentence(error)) from None
    return given
