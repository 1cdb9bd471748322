"""Schedules: steps that are run again and again, as set on the page, by the clock of schedules.

The supervisor calls `tick`. A due time is claimed in the database before its job is submitted,
under an id that the claim holds: whoever is killed in between, or ticks beside another, submits the
same job again, which is one job. Times that passed while nothing ran are run once, and a time that
comes while the schedule's last job still runs is skipped and counted.

Times of the day are UTC, which has no hour twice.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sql
from huey import crontab
from pydantic import Field, ValidationError, field_validator, model_validator
from sqlalchemy.dialects.sqlite import insert

from core import config
from core.adapters import alert_store as store
from core.adapters import clock, jobs
from core.config import Options, Settings
from core.errors import CourtsideError, InputError, StoreError

# a 29 February can be eight years away
DAYS_AHEAD = 9 * 366

_log = logging.getLogger(__name__)
_of = store.schedules.c


class Schedule(Options):
    """A step that is run again and again.

    Parameters
    ----------
    name : str
        What the person calls it; there is one of each name.
    step : str
        One of `jobs.STEPS`.
    options : dict
        What the step takes, as JSON values; submitted as they stand.
    every_seconds : float, optional
        From one run to the next, 60 to 366 days.
    cron : str, optional
        In place of it, five fields in UTC: minute, hour, day, month, day of the week (0 is Sunday);
        each `*`, numbers, `1-5`, `1,15` or, not for the day of the week, `*/10`. Where a day and a
        day of the week are given, both have to be so.
    is_on : bool
        Whether it runs.
    stays : bool
        Whether the worker goes on without the app while this is on.
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
        if value not in jobs.STEPS:
            raise ValueError(f"there is no step of that name; known: {', '.join(jobs.STEPS)}")
        return value

    @field_validator("cron")
    @classmethod
    def _is_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            value = " ".join(value.split())
            _next_of(value, 0.0)
        return value

    @model_validator(mode="after")
    def _has_one_time(self) -> Schedule:
        if (self.every_seconds is None) == (self.cron is None):
            raise ValueError("a schedule has either an interval or times of the day (cron)")
        return self


@dataclass(frozen=True)
class Scheduled:
    """A schedule and how it stands; `next_at` and `last_at` by the clock of schedules.

    Parameters
    ----------
    next_at : float
        When it is due, seconds since 1970; counts while it is on.
    last_at, last_real : float or None
        When its last job was submitted, by its own clock and by the wall.
    job_id : str or None
        That job.
    runs, skipped : int
        Jobs submitted, and due times that passed while the last job still ran.
    problem : str or None
        Why the last job could not be submitted.
    """

    schedule: Schedule
    next_at: float
    last_at: float | None
    last_real: float | None
    job_id: str | None
    runs: int
    skipped: int
    problem: str | None


def made(**values: object) -> Schedule:
    """Return a schedule of what a person typed.

    Raises
    ------
    InputError
        When it cannot be used.

    Examples
    --------
    >>> made(name="Weekly", step="monitor", cron="0 6 * * 8")
    Traceback (most recent call last):
    core.errors.InputError: cron: '0 6 * * 8' is no time: 8 is not a valid input (given: ...).
    """
    try:
        return Schedule(**values)
    except ValidationError as error:
        raise InputError(config.sentence(error)) from None


def schedules(settings: Settings) -> list[Scheduled]:
    """Return all schedules by name."""
    return _read(settings, sql.true())


def save(settings: Settings, schedule: Schedule) -> None:
    """Keep a schedule, in place of one of the same name.

    Its next time is reckoned anew when its times have changed or it was off; a run that is under
    way goes on.

    Raises
    ------
    StoreError
        When the database cannot be written.
    """
    now = clock.now(settings)
    fresh = {"set_at": now, "next_at": following(schedule, now), "is_submitted": True}
    values = {
        "name": schedule.name,
        "body": schedule.model_dump_json(),
        "is_on": schedule.is_on,
        "problem": None,
    }
    with store.begin(settings) as connection:
        new = insert(store.schedules).values(**values, **fresh)
        # takes the write lock, so that no tick comes in between
        if connection.execute(new.on_conflict_do_nothing()).rowcount:
            return
        mine = _of.name == schedule.name
        before = Schedule(
            **json.loads(connection.execute(sql.select(_of.body).where(mine)).scalar_one())
        )
        same = ("every_seconds", "cron", "is_on")
        if any(getattr(before, key) != getattr(schedule, key) for key in same):
            values |= fresh
        connection.execute(sql.update(store.schedules).where(mine).values(values))


def remove(settings: Settings, name: str) -> None:
    """Forget a schedule; the jobs that it submitted stay. Does nothing when there is none."""
    with store.begin(settings) as connection:
        connection.execute(sql.delete(store.schedules).where(_of.name == name))


def tick(settings: Settings) -> list[Scheduled]:
    """Submit the jobs that are due, and return the schedules that are on, as they were before.

    Cheap when nothing is due: one query, or none at all before the first schedule.

    Raises
    ------
    StoreError
        When the database cannot be used.
    """
    if not store.is_there(settings):
        return []
    found = _read(settings, _of.is_on)
    if not found:
        return found
    now = clock.now(settings)
    pending, put_back = _pending(settings, now)
    for one in found:
        name = one.schedule.name
        if name in pending:
            _submit(settings, one.schedule, pending[name])
        elif name in put_back:
            with store.begin(settings) as connection:
                again = {"set_at": now, "next_at": following(one.schedule, now)}
                connection.execute(
                    sql.update(store.schedules).where(_of.name == name).values(again)
                )
        elif one.next_at <= now:
            job_id = _claim(settings, one, now)
            if job_id is not None:
                _submit(settings, one.schedule, job_id)
    return found


def following(schedule: Schedule, now: float, due: float | None = None) -> float:
    """Return the first time of a schedule after `now`, in seconds since 1970.

    Parameters
    ----------
    due : float, optional
        A time of it that has passed, from which an interval goes on; without it, from `now`.

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


def in_words(schedule: Schedule) -> str:
    """Return when a schedule runs, in words.

    Examples
    --------
    >>> in_words(Schedule(name="a", step="monitor", every_seconds=7200))
    'every 2 hours'
    >>> in_words(Schedule(name="a", step="monitor", cron="0 6 * * 1"))
    'at the times 0 6 * * 1 (cron, UTC)'
    """
    if schedule.every_seconds is None:
        return f"at the times {schedule.cron} (cron, UTC)"
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if schedule.every_seconds % size == 0:
            count = int(schedule.every_seconds // size)
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return f"every {schedule.every_seconds:g} seconds"


def _read(settings: Settings, where: sql.ColumnElement[bool]) -> list[Scheduled]:
    if not store.is_there(settings):
        return []
    shown = (
        _of.body, _of.next_at, _of.last_at, _of.last_real, _of.job_id, _of.runs, _of.skipped,
        _of.problem,
    )  # fmt: skip
    with store.begin(settings) as connection:
        rows = connection.execute(sql.select(*shown).where(where).order_by(_of.name)).all()
    try:
        return [
            Scheduled(Schedule(**json.loads(body)), *values) for body, *values in map(tuple, rows)
        ]
    except ValidationError as error:
        raise StoreError("A schedule cannot be read. Remove it and set it again.") from error


def _pending(settings: Settings, now: float) -> tuple[dict[str, str], set[str]]:
    """Return the jobs that were claimed and not submitted, and whose clock was put back."""
    query = sql.select(_of.name, _of.job_id, _of.is_submitted, _of.set_at).where(_of.is_on)
    with store.begin(settings) as connection:
        rows = connection.execute(query).all()
    pending = {row.name: row.job_id for row in rows if not row.is_submitted}
    return pending, {row.name for row in rows if now < row.set_at - 1}


def _claim(settings: Settings, due: Scheduled, now: float) -> str | None:
    """Claim a due time and return the id of its job; None when somebody else did, or it waits."""
    last = jobs.get(settings, due.job_id) if due.job_id else None
    is_going = last is not None and last.status in jobs.ACTIVE
    job_id = uuid.uuid4().hex
    values: dict[str, Any] = {
        "set_at": now,
        "next_at": following(due.schedule, now, due.next_at),
    }
    if is_going:
        values["skipped"] = _of.skipped + 1
    else:
        values |= {
            "job_id": job_id, "is_submitted": False, "last_at": now, "last_real": time.time(),
            "runs": _of.runs + 1,
        }  # fmt: skip
    mine = sql.and_(_of.name == due.schedule.name, _of.is_on, _of.next_at == due.next_at)
    with store.begin(settings) as connection:
        change = sql.update(store.schedules).where(mine).values(values)
        is_mine = connection.execute(change).rowcount == 1
    return job_id if is_mine and not is_going else None


def _submit(settings: Settings, schedule: Schedule, job_id: str) -> None:
    values: dict[str, Any] = {"is_submitted": True, "problem": None}
    try:
        # an equal one that a person started just now does as well
        values["job_id"] = jobs.submit(settings, schedule.step, schedule.options, job_id).job_id
    except StoreError as error:
        values = {"problem": error.message}  # passes: the next tick tries again
    except CourtsideError as error:
        values["problem"] = error.message
    if values.get("problem"):
        _log.error("the schedule %s: %s", schedule.name, values["problem"])
    with store.begin(settings) as connection:
        mine = sql.and_(_of.name == schedule.name, _of.job_id == job_id)
        connection.execute(sql.update(store.schedules).where(mine).values(values))


def _next_of(cron: str, now: float) -> float:
    is_day, is_minute = _tests(cron)
    # the minute that runs has begun, so it is over for us
    start = datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0)
    moment = start + timedelta(minutes=1)
    for _ in range(DAYS_AHEAD):
        midnight = moment.replace(hour=0, minute=0) + timedelta(days=1)
        while is_day(moment) and moment < midnight:
            if is_minute(moment):
                return moment.timestamp()
            moment += timedelta(minutes=1)
        moment = midnight
    raise ValueError(f"'{cron}' is no time: no day is so")


@lru_cache(maxsize=64)
def _tests(cron: str) -> tuple[Callable[[datetime], bool], Callable[[datetime], bool]]:
    """Return what tells whether a moment's day, and its minute of the day, is one of a cron's."""
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError(
            f"'{cron}' is no time: it has {len(fields)} fields, not minute, hour, day, month and "
            "day of the week"
        )
    minute, hour, day, month, weekday = fields
    try:
        whole = crontab(minute, hour, day, month, weekday, strict=True)
        return crontab(day=day, month=month, day_of_week=weekday, strict=True), whole
    except ValueError as error:
        raise ValueError(f"'{cron}' is no time: {error}") from None
