"""The job table: pages submit, cancel and read jobs, the worker claims them.

`core.runtime.supervisor` runs them, in a process that `core.jobs.supervision` keeps alive.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from core.platform import (
    identity,
    messages,
    permissions,
    process,
    set_aside,
    state,
    steps,
    store_faults,
)
from core.platform.config import Settings
from core.platform.errors import InputError, JobError
from core.platform.messages import Message, Words

# step -> steps whose earlier jobs it waits for, as they replace what it reads or writes
WAITS_FOR = {
    "acquire": ("acquire",),
    "prepare": ("acquire", "prepare"),
    "train": ("acquire", "prepare"),
}
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ACTIVE = (QUEUED, RUNNING)
WAS_CANCELLED = Message("{reason!c}.", reason=Message("cancelled"))

_table = sa.Table(
    "jobs",
    state.TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.String, nullable=False, unique=True),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("options", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False, index=True),
    sa.Column("fraction", sa.Float, nullable=False, default=0.0),
    sa.Column("text", sa.String, nullable=False, default=""),
    sa.Column("run_id", sa.String),
    sa.Column("error", sa.String),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("pid", sa.Integer),
    # start time of the process: the pid alone may have been reused
    sa.Column("pid_created", sa.Float),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("result", sa.String),
    # who claimed it, see `core.jobs.workers`
    sa.Column("worker", sa.String),
)
# the home, and the boot, that the processes of running jobs belong to
_owner = sa.Table(
    "owner",
    state.TABLES,
    sa.Column("home", sa.String, primary_key=True),
    sa.Column("boot", sa.String, nullable=False),
)
# two identical clicks, from any thread or process, are one job
sa.Index(
    "one_active_job",
    _table.c.fingerprint,
    unique=True,
    sqlite_where=sa.text("status IN ('queued', 'running')"),
    postgresql_where=sa.text("status IN ('queued', 'running')"),
)


def _ready() -> sa.Select[Any]:
    other = _table.alias()
    waits = sa.or_(
        *(
            sa.and_(_table.c.step == step, other.c.step.in_(before))
            for step, before in WAITS_FOR.items()
        )
    )
    earlier = sa.exists().where(waits, other.c.status.in_(ACTIVE), other.c.number < _table.c.number)
    oldest = sa.select(_table.c.number).where(_table.c.status == QUEUED, ~earlier)
    return oldest.order_by(_table.c.number).limit(1)


# the next job to run; built once, as it is queried many times a second
_READY = _ready()


@dataclass(frozen=True)
class Job:
    """A job as a page shows it; times are seconds since 1970.

    Parameters
    ----------
    status : str
        queued, running, done, failed or cancelled.
    fraction : float
        Progress, 0 to 1.
    text : Words
        What it is doing now, in one line.
    run_id : str or None
        Its MLflow run, once there is one.
    error : Words or None
        Why it failed, for the person.
    result : dict or None
        What its step returned.
    """

    job_id: str
    step: str
    options: dict[str, Any]
    status: str
    fraction: float
    text: Words
    run_id: str | None
    error: Words | None
    created: float
    started: float | None
    ended: float | None
    pid: int | None
    result: dict[str, Any] | None


def submit(settings: Settings, step: str, options: Mapping[str, Any]) -> Job:
    """Queue a step and return its job, or an equal job that is already queued or running.

    Parameters
    ----------
    step : str
        Name of a step in `steps.STEPS`.
    options : mapping
        The step's Options, as JSON values.

    Raises
    ------
    InputError
        For an unknown step, or options that are not JSON.
    """
    with state.transaction(settings) as connection:
        return put(connection, step, options)


def put(connection: sa.Connection, step: str, options: Mapping[str, Any]) -> Job:
    """Like `submit`, within the caller's transaction."""
    require_step(step)
    permissions.require(step)
    body = _canonical(step, options)
    fingerprint = hashlib.sha256(f"{step} {body}".encode()).hexdigest()
    new = state.insert(connection, _table).values(
        job_id=uuid.uuid4().hex,
        step=step,
        options=body,
        fingerprint=fingerprint,
        status=QUEUED,
        text=messages.dumps(Message("Waiting to start.")),
        created=time.time(),
    )
    connection.execute(new.on_conflict_do_nothing())
    same = sa.select(_table).where(_table.c.fingerprint == fingerprint, _table.c.status.in_(ACTIVE))
    return _job(connection.execute(same).one())


def still_running(title: Words) -> Message:
    """Return why something of this name cannot be started again or removed."""
    return Message(
        "{title}: still running. Wait until it is done, or cancel it first.", title=title
    )


def require_step(step: str) -> None:
    """Raise an InputError for an unknown step."""
    if step not in steps.RUN_NAMES:
        raise InputError(
            Message(
                "'{name}' does not exist. Choose from: {names}.",
                name=step,
                names=list(steps.RUN_NAMES),
            )
        )


def get(settings: Settings, job_id: str) -> Job | None:
    """Return a job; None if there is none with this id."""
    with state.reading(settings) as connection:
        return find(connection, job_id)


def find(connection: sa.Connection, job_id: str | None) -> Job | None:
    """Like `get`, within the caller's transaction."""
    row = connection.execute(sa.select(_table).where(_table.c.job_id == job_id)).one_or_none()
    return _job(row) if row else None


def latest(settings: Settings, step: str | None = None, limit: int = 20) -> list[Job]:
    """Return jobs of a step, or of all steps, newest first."""
    query = sa.select(_table).order_by(_table.c.number.desc()).limit(limit)
    if step:
        query = query.where(_table.c.step == step)
    with state.reading(settings) as connection:
        return [_job(row) for row in connection.execute(query)]


def active(settings: Settings) -> list[Job]:
    """Return the queued and running jobs, oldest first."""
    query = sa.select(_table).where(_table.c.status.in_(ACTIVE)).order_by(_table.c.number)
    with state.reading(settings) as connection:
        return [_job(row) for row in connection.execute(query)]


@permissions.needs("job")
def cancel(settings: Settings, job_id: str) -> None:
    """Cancel a job: a queued one immediately, a running one once its process has ended.

    A job that has already ended is not changed.

    Raises
    ------
    JobError
        If there is no such job.
    """
    mine = _table.c.job_id == job_id
    waiting = sa.update(_table).where(mine, _table.c.status == QUEUED)
    running = sa.update(_table).where(mine, _table.c.status == RUNNING)
    with state.transaction(settings) as connection:
        gone = connection.execute(
            waiting.values(status=CANCELLED, text=messages.dumps(WAS_CANCELLED), ended=time.time())
        )
        if gone.rowcount:
            return
        asked = connection.execute(
            running.values(cancel_requested=True, text=messages.dumps(Message("Cancelling.")))
        )
    if not asked.rowcount and get(settings, job_id) is None:
        raise JobError(Message("{name} does not exist. Reload the page.", name=job_id[:8]))


@dataclass(frozen=True)
class Claim:
    """A running job: the worker that claimed it, and its process."""

    job_id: str
    worker: str | None
    pid: int | None
    pid_created: float | None


def claim(
    settings: Settings,
    job_id: str | None = None,
    *,
    worker: str | None = None,
    only: Collection[str] = (),
) -> Job | None:
    """Mark the oldest queued job as running and return it; None if there is none.

    A job that waits for an earlier one (see WAITS_FOR) is skipped until that has ended. One
    statement of a write transaction finds and marks it, so no two workers get the same.

    Parameters
    ----------
    job_id : str, optional
        Only this one.
    worker : str, optional
        Who claims it.
    only : collection of str
        Steps of which it may be; of any if empty.
    """
    ready = _READY
    if only:
        ready = ready.where(_table.c.step.in_(only))
    if job_id is not None:
        ready = ready.where(_table.c.job_id == job_id)
    with state.reading(settings) as connection:
        # usually there is none: take no write lock
        if connection.execute(ready).scalar() is None:
            return None
    change = sa.update(_table).where(_table.c.number == ready.scalar_subquery())
    starting = messages.dumps(Message("Waiting to start."))
    change = change.values(status=RUNNING, started=time.time(), text=starting, worker=worker)
    with state.transaction(settings) as connection:
        row = connection.execute(change.returning(_table)).one_or_none()
    if row is None or _parsed(row.options) is not None:
        return _job(row) if row else None
    set_aside.put(settings, "jobs", row.job_id, "unreadable")
    reason = store_faults.damaged_document(row.step)
    finish(settings, row.job_id, FAILED, error=reason)
    return claim(settings, job_id, worker=worker, only=only)


def update(settings: Settings, job_id: str, **values: Any) -> None:
    """Write columns of a running job; any other job is not changed."""
    values = {name: _column(value) for name, value in values.items()}
    change = sa.update(_table).where(_table.c.job_id == job_id, _table.c.status == RUNNING)
    with state.transaction(settings) as connection:
        connection.execute(change.values(**values))


def finish(
    settings: Settings,
    job_id: str,
    status: str,
    *,
    error: Words | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """Set a running job's final status; a job that has ended keeps its own."""
    values: dict[str, Any] = {"status": status, "error": error, "ended": time.time()}
    if status == DONE:
        values |= {"fraction": 1.0, "text": Message("{reason!c}.", reason=Message("done"))}
        if result is not None:
            values["result"] = json.dumps(messages.to_data(result))
            if result.get("run_id"):
                values["run_id"] = str(result["run_id"])
    elif status == CANCELLED:
        values["text"] = WAS_CANCELLED
    # a failed job keeps its last line, which says where it was
    update(settings, job_id, **values)


def to_cancel(settings: Settings) -> list[str]:
    """Return the ids of the running jobs whose cancellation was requested."""
    query = sa.select(_table.c.job_id).where(_table.c.status == RUNNING, _table.c.cancel_requested)
    with state.reading(settings) as connection:
        return list(connection.execute(query).scalars())


def running_processes(settings: Settings) -> dict[str, tuple[int | None, float | None]]:
    """Return pid and start time of each job that the table lists as running."""
    query = sa.select(_table.c.job_id, _table.c.pid, _table.c.pid_created)
    with state.reading(settings) as connection:
        rows = connection.execute(query.where(_table.c.status == RUNNING))
        return {row.job_id: (row.pid, row.pid_created) for row in rows}


def running_claims(settings: Settings) -> list[Claim]:
    """Return who claimed each running job."""
    columns = (_table.c.job_id, _table.c.worker, _table.c.pid, _table.c.pid_created)
    query = sa.select(*columns).where(_table.c.status == RUNNING)
    with state.reading(settings) as connection:
        return [Claim(**row) for row in connection.execute(query).mappings()]


def hand_over(settings: Settings, before: Claim, worker: str) -> bool:
    """Give a running job to another worker, unless that has happened or it has ended."""
    mine = sa.update(_table).where(_table.c.job_id == before.job_id, _table.c.status == RUNNING)
    still = mine.where(_table.c.worker.is_not_distinct_from(before.worker))
    with state.transaction(settings) as connection:
        return bool(connection.execute(still.values(worker=worker)).rowcount)


def lost(settings: Settings, worker: str, job_ids: Collection[str]) -> set[str]:
    """Return which of these jobs another worker has taken over from this one."""
    query = sa.select(_table.c.job_id).where(_table.c.job_id.in_(job_ids))
    with state.reading(settings) as connection:
        return set(connection.execute(query.where(_table.c.worker != worker)).scalars())


def take_over(settings: Settings) -> None:
    """Record that from now on the running jobs' processes belong to this home.

    A copied home lists the original's processes, and after a reboot pids are reused: such processes
    are neither watched nor ended. Called by the supervisor that holds the lock. In a database that
    several machines share, each worker's record says where its pids mean something.
    """
    if settings.state_url:
        return
    here = {"home": identity.of_home(settings.state_dir), "boot": process.boot_id()}
    with state.transaction(settings) as connection:
        owner = connection.execute(sa.select(_owner)).mappings().one_or_none()
        if owner is not None and dict(owner) == here:
            return
        running = sa.update(_table).where(_table.c.status == RUNNING)
        connection.execute(running.values(pid=None, pid_created=None))
        connection.execute(sa.delete(_owner))
        connection.execute(sa.insert(_owner).values(**here))


def _column(value: Any) -> Any:
    text = messages.dumps(value) if isinstance(value, Message) else value
    # lone surrogates, as in a file name that is not UTF-8: no database accepts them
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


def _canonical(step: str, options: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(options), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            Message("{name} cannot be used: {reason}", name=step, reason=f"{error}.")
        ) from error


def _parsed(text: str | None) -> dict[str, Any] | None:
    """Return the mapping in a column; None if it holds none."""
    try:
        parsed = json.loads(text or "null")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        job_id=row.job_id,
        step=row.step,
        options=_parsed(row.options) or {},
        status=row.status,
        fraction=row.fraction,
        text=messages.loads(row.text),
        run_id=row.run_id,
        error=None if row.error is None else messages.loads(row.error),
        created=row.created,
        started=row.started,
        ended=row.ended,
        pid=row.pid,
        result=messages.from_data(_parsed(row.result)),
    )
