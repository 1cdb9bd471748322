"""Schedules of automatic reports."""

from __future__ import annotations

from pydantic import ValidationError

from core.jobs import jobs, schedules
from core.jobs.schedules import Schedule, Scheduled
from core.monitoring import monitor
from core.platform import clock, config
from core.platform.config import Settings
from core.platform.errors import InputError
from pages.alerts.alert_list import moment
from pages.shared import elements
from pages.shared.bilingual import st

UNITS = {"minutes": 60, "hours": 3600, "days": 86400}
WINDOWS = {"scoring": "The newest scored rows", "log": "The last predictions of the log"}
ENDED = {
    "done": ":green-badge[done]",
    "failed": ":red-badge[failed]",
    "cancelled": ":gray-badge[cancelled]",
    "running": ":blue-badge[running]",
    "queued": ":blue-badge[waiting]",
}


def section(settings: Settings) -> None:
    """Draw the schedules, and the form for a new one."""
    st.subheader("Schedule", anchor=False)
    st.markdown(
        "Reports by themselves, one at a time: a time that comes while the last report is still "
        "made is skipped. **While the app is closed nothing runs**, unless the schedule goes on "
        "without it; what was missed is made up for once."
    )
    if settings.clock_speed != 1:
        st.info(
            f"The clock of schedules and alerts runs {settings.clock_speed:,g} times as fast as "
            f"real time (COURTSIDE_CLOCK_SPEED): an hour passes in "
            f"{clock.real_seconds(settings, 3600):,.3g} seconds.",
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
        st.caption("No schedule yet: a report is made when somebody presses Monitor.")
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
    now = clock.now(settings)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.toggle(
                "On",
                value=schedule.is_on,
                key=f"on-{schedule.name}-{schedule.is_on}",
                on_change=_turn,
                args=(settings, schedule),
            )
            window = schedule.options.get("window", "scoring")
            what = WINDOWS.get(window, window).lower()
            if schedule.options.get("last"):
                what = f"the last {schedule.options['last']:,} predictions of the log"
            stays = ", also without the app" if schedule.stays else ""
            st.markdown(
                f"**{elements.plain(schedule.name)}**: "
                f"{elements.plain(schedules.in_words(schedule))}, {what}{stays}.",
                width=560,
            )
            st.button(
                "Remove",
                icon=":material/delete:",
                key=f"remove-{schedule.name}",
                on_click=_remove,
                args=(settings, schedule.name),
            )
        remarks = []
        if schedule.is_on:
            ahead = scheduled.next_at - now
            when = f"in {elements.length(ahead)}" if ahead > 0 else "now"
            remarks.append(f"Next report {when} ({moment(scheduled.next_at)})")
        else:
            remarks.append("Off: no report by itself")
        remarks.append(f"Reports so far: {scheduled.runs:,}")
        if scheduled.skipped:
            remarks.append(f"{scheduled.skipped:,} skipped, since the last was still being made")
        st.markdown(":small[" + " · ".join(remarks) + ".]")
        if scheduled.problem:
            st.error(elements.plain(scheduled.problem), icon=":material/error:")
        for job in runs[:3]:
            with st.container(horizontal=True, vertical_alignment="center"):
                why = f": {elements.plain(job.error)}" if job.error else ""
                st.markdown(
                    f"{ENDED[job.status]} :small[{elements.ago(job.created)}{why}]", width="content"
                )
                if job.run_id:
                    elements.run_link(job.run_id, "Report")


@elements.show_errors()
def _turn(settings: Settings, schedule: Schedule) -> None:
    schedules.save(settings, schedule.model_copy(update={"is_on": not schedule.is_on}))


@elements.show_errors()
def _remove(settings: Settings, name: str) -> None:
    schedules.remove(settings, name)


def _form(settings: Settings) -> None:
    with st.expander("Set a schedule", icon=":material/add_alarm:"):
        kind = st.segmented_control(
            "When",
            ["interval", "cron"],
            default="interval",
            key="schedule-kind",
            format_func={"interval": "Every so often", "cron": "At times of the day"}.__getitem__,
        )
        window = st.selectbox(
            "Which rows", list(WINDOWS), format_func=WINDOWS.__getitem__, key="schedule-window"
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input("Name", "Monitoring", max_chars=80, width=220, key="schedule-name")
            if kind == "cron":
                cron = st.text_input(
                    "Minute, hour, day, month, day of the week (UTC)",
                    "0 6 * * *",
                    key="schedule-cron",
                    width=320,
                    help="As in cron: `0 6 * * 1` is Mondays at 6, `*/15 * * * *` each quarter "
                    "of an hour. Sunday is 0.",
                )
                times = {"cron": cron}
            else:
                count = st.number_input("Every", 1, 1000, 1, width=140, key="schedule-count")
                unit = st.segmented_control(
                    "Unit", list(UNITS), default="days", required=True, key="schedule-unit"
                )
                times = {"every_seconds": count * UNITS[unit]}
            last = None
            if window == "log":
                last = st.number_input(
                    "Predictions",
                    monitor.MIN_ROWS,
                    1_000_000,
                    2000,
                    step=100,
                    width=160,
                    key="schedule-last",
                )
        stays = st.checkbox(
            "Go on without the app",
            key="schedule-stays",
            help="The background worker then stays when the app is closed, for as long as "
            "this schedule is on. After a restart of the machine, open the app once.",
        )
        sent = st.button("Save the schedule", icon=":material/save:")
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
