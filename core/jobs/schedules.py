"""Schedules: steps that run repeatedly, by the clock of schedules.

The supervisor calls `tick`. A due time is consumed and its job queued in one transaction, so
neither a crash nor a concurrent tick loses or duplicates it. Times missed while nothing ran are
made up for by one run; a time at which the last job still runs is skipped and counted.

Times of day are UTC, which has no daylight saving time.
"""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import Any

import sqlalchemy as sql
from pydantic import Field, ValidationError, field_validator, model_validator

from core.jobs import jobs
from core.platform import clock, config, messages, permissions, set_aside, state, steps
from core.platform.config import Options, Settings, excluded
from core.platform.errors import CourtsideError, InputError, StoreError
from core.platform.messages import Message, Words, plural

# 29 February can be eight years away
DAYS_AHEAD = 9 * 366
# allowed values of minute, hour, day, month, day of the week; 7 is Sunday too
FIELDS = (range(60), range(24), range(1, 32), range(1, 13), range(8))

_table = sql.Table(
    "schedules",
    state.TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
    sql.Column("is_on", sql.Boolean, nullable=False),
    # when `next_at` was computed: if the clock shows less, it was set back
    sql.Column("set_at", sql.Float, nullable=False),
    sql.Column("next_at", sql.Float, nullable=False),
    sql.Column("last_at", sql.Float),
    sql.Column("last_real", sql.Float),
    sql.Column("job_id", sql.String),
    sql.Column("runs", sql.Integer, nullable=False, default=0),
    sql.Column("skipped", sql.Integer, nullable=False, default=0),
    sql.Column("problem", sql.String),
)

_log = logging.getLogger(__name__)
_of = _table.c


class Schedule(Options):
    """A step that runs repeatedly.

    Parameters
    ----------
    name : str
        Unique name given by the person.
    options : dict
        The step's options as JSON values, submitted unchanged.
    every_seconds : float, optional
        Interval between runs, 60 to 366 days.
    cron : str, optional
        Alternative to the interval: five fields in UTC: minute, hour, day, month, day of the week
        (0 is Sunday); each `*`, numbers, `1-5`, `1,15` or, except for the day of the week, `*/10`.
        If both day and day of the week are given, both must match.
    stays : bool
        Whether the worker keeps running without the app while this is on.
    """

    name: str = Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")
    step: str
    options: dict[str, Any] = Field(default_factory=dict)
    every_seconds: float | None = Field(None, ge=60, le=366 * 86400)
    cron: str | None = None
    is_on: bool = True
    stays: bool = False

    @field_validator("step")
    @classmethod
    def _is_a_step(cls, value: str) -> str:
        if value not in steps.RUN_NAMES:
            raise ValueError(
                Message(
                    "'{name}' does not exist. Choose from: {names}.",
                    name=value,
                    names=list(steps.RUN_NAMES),
                )
            )
        return value

    @field_validator("cron")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            value = " ".join(value.split())
            _next_of(value, 0.0)
        return value

    @model_validator(mode="after")
    def _has_interval_or_cron(self) -> Schedule:
        if (self.every_seconds is None) == (self.cron is None):
            raise excluded("every_seconds", "cron")
        return self


@dataclass(frozen=True)
class Scheduled:
    """A schedule and its state; `next_at` and `last_at` by the clock of schedules.

    Parameters
    ----------
    next_at : float
        When it is next due, seconds since 1970; only relevant while it is on.
    last_at, last_real : float or None
        When its last job was submitted, by the clock of schedules and in real time.
    runs, skipped : int
        Jobs submitted, and due times that passed while the last job still ran.
    problem : Words or None
        Why the last job could not be submitted.
    """

    schedule: Schedule
    next_at: float
    last_at: float | None
    last_real: float | None
    job_id: str | None
    runs: int
    skipped: int
    problem: Words | None


def made(**values: object) -> Schedule:
    """Build a schedule from a person's input.

    Raises
    ------
    InputError
        If it is invalid.

    Examples
    --------
    >>> made(name="Weekly", step="monitor", cron="0 6 * * 8")
    Traceback (most recent call last):
    core.platform.errors.InputError: cron: '0 6 * * 8' is not a valid time (8): minute, hour, day...
    """
    try:
        return Schedule(**values)
    except ValidationError as error:
        raise InputError(config.sentence(error)) from None


def schedules(settings: Settings) -> list[Scheduled]:
    """Return all schedules, sorted by name."""
    return _read(settings, sql.true())


@permissions.needs("schedule")
def save(settings: Settings, schedule: Schedule) -> None:
    """Save a schedule, replacing one of the same name.

    Its next time is recomputed if its times have changed or it was off; a running job continues.
    """
    now = clock.now(settings)
    fresh = {"set_at": now, "next_at": following(schedule, now)}
    values = {
        "name": schedule.name,
        "body": schedule.model_dump_json(),
        "is_on": schedule.is_on,
        "problem": None,
    }
    with state.transaction(settings) as connection:
        new = state.insert(connection, _table).values(**values, **fresh)
        # takes the write lock, so that no tick intervenes
        if connection.execute(new.on_conflict_do_nothing()).rowcount:
            return
        mine = _of.name == schedule.name
        before = _parsed(connection.execute(sql.select(_of.body).where(mine)).scalar_one())
        same = ("every_seconds", "cron", "is_on")
        if isinstance(before, Exception) or any(
            getattr(before, key) != getattr(schedule, key) for key in same
        ):
            values |= fresh
        connection.execute(sql.update(_table).where(mine).values(values))


@permissions.needs("schedule")
def remove(settings: Settings, name: str) -> None:
    """Delete a schedule, if it exists; its jobs stay."""
    with state.transaction(settings) as connection:
        connection.execute(sql.delete(_table).where(_of.name == name))


def tick(settings: Settings) -> list[Scheduled]:
    """Submit the due jobs, and return the schedules that are on, as they were before.

    Cheap if nothing is due: two queries, one before the first schedule exists.
    """
    active = _read(settings, _of.is_on)
    if not active:
        return active
    now = clock.now(settings)
    put_back = _read(settings, sql.and_(_of.is_on, _of.set_at > now + 1))
    for scheduled in put_back:
        with set_aside.guarded(settings, "schedules", scheduled.schedule.name):
            again = {"set_at": now, "next_at": following(scheduled.schedule, now)}
            with state.transaction(settings) as connection:
                mine = _of.name == scheduled.schedule.name
                connection.execute(sql.update(_table).where(mine).values(again))
    for scheduled in active:
        with set_aside.guarded(settings, "schedules", scheduled.schedule.name):
            if scheduled.next_at <= now and scheduled not in put_back:
                _queue(settings, scheduled, now)
    return active


def following(schedule: Schedule, now: float, due: float | None = None) -> float:
    """Return the first time of a schedule after `now`, in seconds since 1970.

    Parameters
    ----------
    due : float, optional
        A past due time from which the interval counts; default `now`.

    Examples
    --------
    >>> hourly = Schedule(name="a", step="monitor", every_seconds=3600)
    >>> following(hourly, now=100.0), following(hourly, now=9_000.0, due=3700.0)
    (3700.0, 10900.0)
    >>> daily = Schedule(name="b", step="monitor", cron="30 6 * * *")
    >>> following(daily, now=0.0) == 6.5 * 3600
    True
    """
    if schedule.every_seconds is not None:
        start = now if due is None or due > now else due
        passed = int((now - start) // schedule.every_seconds)
        return start + (passed + 1) * schedule.every_seconds
    return _next_of(str(schedule.cron), now)


_INTERVALS = (
    (86400, "every day", "every {count} days"),
    (3600, "every hour", "every {count} hours"),
    (60, "every minute", "every {count} minutes"),
)


def in_words(schedule: Schedule) -> Message:
    """Return when a schedule runs, in words.

    Examples
    --------
    >>> str(in_words(Schedule(name="a", step="monitor", every_seconds=7200)))
    'every 2 hours'
    >>> str(in_words(Schedule(name="a", step="monitor", cron="0 6 * * 1")))
    'at the times 0 6 * * 1 (cron, UTC)'
    """
    if schedule.every_seconds is None:
        return Message("at the times {cron} (cron, UTC)", cron=schedule.cron)
    for size, one, many in _INTERVALS:
        if schedule.every_seconds % size == 0:
            return plural(one, many, int(schedule.every_seconds // size))
    return Message("every {seconds:g} seconds", seconds=schedule.every_seconds)


def _read(settings: Settings, where: sql.ColumnElement[bool]) -> list[Scheduled]:
    shown = (
        _of.name,
        _of.body,
        _of.next_at,
        _of.last_at,
        _of.last_real,
        _of.job_id,
        _of.runs,
        _of.skipped,
        _of.problem,
    )
    with state.reading(settings) as connection:
        rows = connection.execute(sql.select(*shown).where(where).order_by(_of.name)).all()
    listed = []
    for name, body, *values in map(tuple, rows):
        schedule = _parsed(body)
        if isinstance(schedule, Schedule):
            if values[-1] is not None:
                values[-1] = messages.loads(values[-1])
            listed.append(Scheduled(schedule, *values))
        else:
            set_aside.put(settings, "schedules", name, "unreadable", error=schedule)
    return listed


def _parsed(body: str) -> Schedule | Exception:
    """Return the schedule in a row, or the error."""
    try:
        return Schedule(**json.loads(body))
    except (ValueError, TypeError) as error:
        return error


def _queue(settings: Settings, due: Scheduled, now: float) -> None:
    """Consume a due time and queue its job, unless that was done or the last job still runs."""
    schedule = due.schedule
    passed = {"set_at": now, "next_at": following(schedule, now, due.next_at)}
    mine = sql.update(_table).where(_of.name == schedule.name)
    still_due = mine.where(_of.is_on, _of.next_at == due.next_at)
    try:
        with state.transaction(settings) as connection:
            if connection.execute(still_due.values(passed)).rowcount == 0:
                return
            last = jobs.find(connection, due.job_id)
            if last is not None and last.status in jobs.ACTIVE:
                connection.execute(mine.values(skipped=_of.skipped + 1))
                return
            # an equal job that a person has just started will do
            job = jobs.put(connection, schedule.step, schedule.options)
            values = {"job_id": job.job_id, "last_at": now, "last_real": time.time()}
            connection.execute(mine.values(**values, runs=_of.runs + 1, problem=None))
    except Exception as error:
        # store errors are transient, and the next tick retries; any other would recur
        then: dict[str, Any] = {} if isinstance(error, StoreError) else dict(passed)
        if isinstance(error, CourtsideError):
            then["problem"] = messages.dumps(error.message)
        with state.transaction(settings) as connection:
            connection.execute(still_due.values(then))
        if not isinstance(error, CourtsideError):
            raise
        _log.error("the schedule %s: %s", schedule.name, error.message)


def _next_of(cron: str, now: float) -> float:
    minutes, hours, days, months, weekdays = _fields(cron)
    # the current minute has started, so it no longer counts
    start = datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0)
    start += timedelta(minutes=1)
    for ahead in range(DAYS_AHEAD):
        day = start.date() + timedelta(days=ahead)
        if day.day not in days or day.month not in months or day.isoweekday() % 7 not in weekdays:
            continue
        for hour, minute in product(sorted(hours), sorted(minutes)):
            moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
            if moment >= start:
                return moment.timestamp()
    raise ValueError(_no_time(cron, cron))


def _no_time(cron: str, part: str) -> Message:
    return Message(
        "'{cron}' is not a valid time ({part}): minute, hour, day, month and day of the week",
        cron=cron,
        part=part,
    )


@lru_cache(maxsize=64)
def _fields(cron: str) -> list[set[int]]:
    """Return the allowed values of each of the five fields."""
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError(_no_time(cron, cron))
    try:
        *others, weekdays = map(_values, fields, FIELDS)
    except ValueError as error:
        raise ValueError(_no_time(cron, str(error))) from None
    return [*others, {day % 7 for day in weekdays}]


def _values(field: str, allowed: range) -> set[int]:
    """Return the values that a field allows.

    Examples
    --------
    >>> sorted(_values("1-3,*/20", range(60)))
    [0, 1, 2, 3, 20, 40]
    """
    values: set[int] = set()
    for part in field.split(","):
        first, _, last = part.partition("-")
        if part == "*":
            values |= set(allowed)
        elif re.fullmatch(r"\*/[1-9]\d?", part, re.ASCII) and len(allowed) != 8:
            values |= set(allowed[:: int(part[2:])])
        elif re.fullmatch(r"\d\d?(-\d\d?)?", part, re.ASCII):
            span = range(int(first), int(last or first) + 1)
            if not span or span[0] not in allowed or span[-1] not in allowed:
                raise ValueError(part)
            values |= set(span)
        else:
            raise ValueError(part)
    return values
