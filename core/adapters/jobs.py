"""The job table and its queue: what a page submits, cancels and reads.

The table is the truth; a message of the queue holds a job's id and nothing else. The work itself is
done by `core.adapters.supervisor`, a process that this module starts and keeps alive.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
import sqlalchemy as sa
from filelock import FileLock, Timeout
from huey import SqliteHuey
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from core.adapters.process import DETACHED, Process, is_alive
from core.config import CODE_ROOT, PREFIX, Settings
from core.errors import InputError, JobError, StoreError

STEPS = (
    "acquire", "prepare", "train", "serve", "score", "label", "monitor", "promote", "explain",
    "retrain", "replay",
)  # fmt: skip
# step -> the steps whose earlier jobs it waits for: those that replace what it reads or replaces
WAITS_FOR = {
    "acquire": ("acquire",),
    "prepare": ("acquire", "prepare"),
    "train": ("acquire", "prepare"),
}
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ACTIVE = (QUEUED, RUNNING)
# what may be asked of the supervisor: to end its jobs and leave, or to let them end and leave
Request = Literal["stop", "retire"]
REQUESTS: tuple[Request, ...] = ("stop", "retire")
LOG_LIMIT = 5_000_000
BEAT = 2.0

_table = sa.Table(
    "jobs",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.String, nullable=False, unique=True),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("options", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("fraction", sa.Float, nullable=False, default=0.0),
    sa.Column("text", sa.String, nullable=False, default=""),
    sa.Column("run_id", sa.String),
    sa.Column("error", sa.String),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("pid", sa.Integer),
    # when the process was made: a pid alone may be somebody else's by now
    sa.Column("pid_created", sa.Float),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("result", sa.String),
)
# two identical clicks, from whatever threads or processes, are one job
sa.Index(
    "one_active_job",
    _table.c.fingerprint,
    unique=True,
    sqlite_where=sa.text("status IN ('queued', 'running')"),
)

T = TypeVar("T")

_keepers: dict[Path, threading.Thread] = {}
_started: dict[Path, subprocess.Popen[bytes]] = {}
_one_keeper = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job as a page shows it; times are seconds since 1970.

    Parameters
    ----------
    status : str
        queued, running, done, failed or cancelled.
    fraction : float
        Share of the work that is done, 0 to 1.
    text : str
        What it is doing, in one line.
    run_id : str or None
        Its MLflow run, as soon as there is one.
    error : str or None
        Why it failed, in words for the person.
    result : dict or None
        What its step returned, once it is done.
    """

    job_id: str
    step: str
    options: dict[str, Any]
    status: str
    fraction: float
    text: str
    run_id: str | None
    error: str | None
    created: float
    started: float | None
    ended: float | None
    pid: int | None
    result: dict[str, Any] | None


@dataclass(frozen=True)
class WorkerState:
    """The supervisor as a page shows it.

    Parameters
    ----------
    alive : bool
        Whether its process is there.
    ready : bool
        Whether the slow imports are done: jobs now start at once.
    since : float or None
        When it started, in seconds since 1970.
    problem : str or None
        Why jobs start slower than they should; None when all is well.
    """

    alive: bool
    ready: bool
    pid: int | None
    since: float | None
    problem: str | None = None


def submit(
    settings: Settings, step: str, options: Mapping[str, Any], job_id: str | None = None
) -> Job:
    """Queue a step and return its job; while an equal one is queued or runs, return that one.

    Parameters
    ----------
    step : str
        One of STEPS.
    options : mapping
        What the step's Options take, as JSON values.
    job_id : str, optional
        The id that it gets. A job that has it already is returned, whatever became of it: who was
        killed while submitting can do so again.

    Raises
    ------
    InputError
        For a step that does not exist or options that are not JSON.
    StoreError
        When the job table cannot be written.
    """
    require_step(step)
    body = _canonical(step, options)
    job_id = job_id or uuid.uuid4().hex
    fingerprint = hashlib.sha256(f"{step} {body}".encode()).hexdigest()
    new = insert(_table).values(
        job_id=job_id,
        step=step,
        options=body,
        fingerprint=fingerprint,
        status=QUEUED,
        text="Waiting to start.",
        created=time.time(),
    )
    mine = _table.c.job_id == job_id
    same = sa.and_(_table.c.fingerprint == fingerprint, _table.c.status.in_(ACTIVE))
    found = sa.select(_table).where(sa.or_(mine, same)).order_by(mine.desc()).limit(1)
    with _begin(settings) as connection:
        # the insert takes the write lock even when it does nothing, so the select is sure
        made = connection.execute(new.on_conflict_do_nothing()).rowcount == 1
        job = _job(connection.execute(found).one())
    if made:
        enqueue(settings, job_id)
    return job


def require_step(step: str) -> None:
    """Raise an InputError for a step that does not exist."""
    if step not in STEPS:
        raise InputError(f"There is no step '{step}'. Known: {', '.join(STEPS)}.")


def get(settings: Settings, job_id: str) -> Job | None:
    """Return a job, None when there is none of that id."""
    with _begin(settings) as connection:
        row = connection.execute(sa.select(_table).where(_table.c.job_id == job_id)).one_or_none()
    return _job(row) if row else None


def latest(settings: Settings, step: str | None = None, limit: int = 20) -> list[Job]:
    """Return jobs of a step, or of all steps, newest first."""
    query = sa.select(_table).order_by(_table.c.number.desc()).limit(limit)
    if step:
        query = query.where(_table.c.step == step)
    with _begin(settings) as connection:
        return [_job(row) for row in connection.execute(query)]


def active(settings: Settings) -> list[Job]:
    """Return the jobs that are queued or run, in the order they came."""
    query = sa.select(_table).where(_table.c.status.in_(ACTIVE)).order_by(_table.c.number)
    with _begin(settings) as connection:
        return [_job(row) for row in connection.execute(query)]


def cancel(settings: Settings, job_id: str) -> None:
    """Cancel a job: a queued one at once, a running one as soon as its process has been ended.

    A job that has ended already stays as it is.

    Raises
    ------
    JobError
        When there is no job of that id.
    """
    this = _table.c.job_id == job_id
    waiting = sa.update(_table).where(this, _table.c.status == QUEUED)
    running = sa.update(_table).where(this, _table.c.status == RUNNING)
    with _begin(settings) as connection:
        gone = connection.execute(
            waiting.values(status=CANCELLED, text="Cancelled.", ended=time.time())
        )
        if gone.rowcount:
            return
        asked = connection.execute(running.values(cancel_requested=True, text="Cancelling."))
    if not asked.rowcount and get(settings, job_id) is None:
        raise JobError(f"There is no job {job_id[:8]}. Reload the page to see the jobs there are.")


def worker_state(settings: Settings) -> WorkerState:
    """Return whether the supervisor is alive and ready; a file read and a look at its process."""
    found = read_state(settings)
    if found is None or not process_alive(found["pid"], found["pid_created"]):
        return WorkerState(False, False, None, None)
    return WorkerState(True, found["ready"], found["pid"], found["since"], found["problem"])


def ensure_supervisor(settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Start the supervisor of this home if none is alive. Cheap when one is.

    Parameters
    ----------
    arguments : sequence of str
        Its command line, see `core.adapters.supervisor`; the default suits the app.

    Raises
    ------
    JobError
        When it cannot be started.
    """
    beat(settings)
    started = _started.get(settings.home)
    if started is not None:
        started.poll()  # a dead child stays a zombie until it is asked
    if worker_state(settings).alive:
        return
    try:
        with FileLock(settings.state_dir / "supervisor.start.lock", timeout=20):
            if not worker_state(settings).alive:
                _start_supervisor(settings, arguments)
    except (OSError, Timeout) as error:
        raise JobError(f"The background worker cannot be started: {error}.") from error


def keep_supervisor(settings: Settings, arguments: Sequence[str] = (), every: float = BEAT) -> None:
    """Keep a supervisor alive for as long as this process lives, from a thread of its own.

    The thread also tells the supervisor that the app is there. One that was started for other
    settings or for older code takes no more jobs, and is replaced when those it runs are done.
    Calling it again for the same home does nothing.
    """
    with _one_keeper:
        if settings.home in _keepers and _keepers[settings.home].is_alive():
            return
        thread = threading.Thread(
            target=_keep, args=(settings, tuple(arguments), every), daemon=True, name="keeper"
        )
        _keepers[settings.home] = thread
        thread.start()


def stop_supervisor(settings: Settings, timeout: float = 40.0) -> None:
    """End the keeper and the supervisor of this home; returns when they are gone.

    Jobs that run fail, those that wait stay queued.

    Raises
    ------
    JobError
        When the supervisor is still there after `timeout` seconds.
    """
    with _one_keeper:
        keeper = _keepers.pop(settings.home, None)
    if keeper is not None:
        keeper.join()
    pid = worker_state(settings).pid
    if pid is None:
        return
    ask(settings, "stop")
    deadline = time.monotonic() + timeout
    while worker_state(settings).alive:
        if time.monotonic() > deadline:
            raise JobError(f"The background worker (process {pid}) does not stop. End it yourself.")
        if (started := _started.get(settings.home)) is not None:
            started.poll()
        time.sleep(0.02)


def beat(settings: Settings) -> None:
    """Tell the supervisor that the app is alive."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / "app.alive").touch()


def last_beat(settings: Settings) -> float:
    """Return when the app last said that it is alive; 0 when it never did."""
    try:
        return (settings.state_dir / "app.alive").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def ask(settings: Settings, request: Request) -> None:
    """Ask the supervisor of this home to leave: a file, since not every system has signals."""
    (settings.state_dir / f"supervisor.{request}").touch()


def asked(settings: Settings, request: Request) -> bool:
    """Return whether the supervisor was asked to leave in this way, and take note of it."""
    path = settings.state_dir / f"supervisor.{request}"
    if not path.exists():
        return False
    with suppress(OSError):
        path.unlink()
    return True


def enqueue(settings: Settings, job_id: str) -> None:
    """Put a job's id in the queue. Twice does no harm: the job is claimed once."""
    with _sqlite_faults():
        _queue(settings.state_dir).enqueue(job_id.encode())


def dequeue(settings: Settings) -> str | None:
    """Take the next job's id from the queue, None when it is empty."""
    with _sqlite_faults():
        message = _queue(settings.state_dir).dequeue()
    return bytes(message).decode() if message is not None else None


def enqueue_lost(settings: Settings) -> list[str]:
    """Enqueue the queued jobs whose message is gone, and return their ids."""
    with _begin(settings) as connection:
        query = sa.select(_table.c.job_id).where(_table.c.status == QUEUED)
        waiting = list(connection.execute(query.order_by(_table.c.number)).scalars())
    if not waiting:
        return []
    with _sqlite_faults():
        known = {bytes(item).decode() for item in _queue(settings.state_dir).enqueued_items()}
    lost = [job_id for job_id in waiting if job_id not in known]
    for job_id in lost:
        enqueue(settings, job_id)
    return lost


def claim(settings: Settings, job_id: str) -> Job | None:
    """Turn a queued job into a running one and return it.

    None when it is not queued any more, or has to wait for an earlier job (see WAITS_FOR): it stays
    queued then, and `enqueue_lost` puts it into the queue again.
    """
    other = _table.alias()
    waits = sa.or_(
        *(
            sa.and_(_table.c.step == step, other.c.step.in_(before))
            for step, before in WAITS_FOR.items()
        )
    )
    earlier = sa.exists().where(waits, other.c.status.in_(ACTIVE), other.c.number < _table.c.number)
    change = sa.update(_table).where(
        _table.c.job_id == job_id,
        _table.c.status == QUEUED,
        ~earlier,
    )
    with _begin(settings) as connection:
        changed = connection.execute(
            change.values(status=RUNNING, started=time.time(), text="Starting.")
        )
        if not changed.rowcount:
            return None
        return _job(connection.execute(sa.select(_table).where(_table.c.job_id == job_id)).one())


def update(settings: Settings, job_id: str, **values: Any) -> None:
    """Write columns of a running job; one that is not running is left as it is."""
    change = sa.update(_table).where(_table.c.job_id == job_id, _table.c.status == RUNNING)
    with _begin(settings) as connection:
        connection.execute(change.values(**values))


def finish(
    settings: Settings,
    job_id: str,
    status: str,
    *,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """Give a running job its last status; one that has ended already keeps its own."""
    values: dict[str, Any] = {"status": status, "error": error, "ended": time.time()}
    if status == DONE:
        values |= {"fraction": 1.0, "text": "Done."}
        if result is not None:
            values["result"] = json.dumps(result, default=str)
            if result.get("run_id"):
                values["run_id"] = str(result["run_id"])
    elif status == CANCELLED:
        values["text"] = "Cancelled."
    # a failed one keeps its last line: it says where it was
    update(settings, job_id, **values)


def to_cancel(settings: Settings) -> list[str]:
    """Return the ids of the running jobs that somebody wants cancelled."""
    query = sa.select(_table.c.job_id).where(_table.c.status == RUNNING, _table.c.cancel_requested)
    with _begin(settings) as connection:
        return list(connection.execute(query).scalars())


def running_processes(settings: Settings) -> dict[str, tuple[int | None, float | None]]:
    """Return the pid, and when it was made, of each job that the table says is running."""
    query = sa.select(_table.c.job_id, _table.c.pid, _table.c.pid_created)
    with _begin(settings) as connection:
        rows = connection.execute(query.where(_table.c.status == RUNNING))
        return {row.job_id: (row.pid, row.pid_created) for row in rows}


def process_alive(pid: int | None, created: float | None) -> bool:
    """Return whether that very process runs: the pid is there and was made at that time."""
    return pid is not None and created is not None and is_alive(Process(pid, created))


def process_created(pid: int) -> float | None:
    """Return when a process was made, None when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def read_state(settings: Settings) -> dict[str, Any] | None:
    """Return what the supervisor last wrote of itself, None when there is nothing to read."""
    path = settings.state_dir / "supervisor.json"
    try:
        found: dict[str, Any] = json.loads(_patiently(lambda: path.read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return found


def write_state(
    settings: Settings, pid: int, since: float, *, ready: bool, problem: str | None = None
) -> dict[str, Any]:
    """Write what a page wants to know of the supervisor, and return it."""
    state = {
        "pid": pid,
        "pid_created": process_created(pid),
        "since": since,
        "ready": ready,
        "problem": problem,
        "stamp": stamp(settings),
    }
    place = settings.state_dir / "supervisor.json"
    handle, temporary = tempfile.mkstemp(dir=settings.state_dir, prefix=".supervisor.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(state, file)
    _patiently(lambda: os.replace(temporary, place))
    return state


@lru_cache
def stamp(settings: Settings) -> str:
    """Return a digest of the settings and of the code as they were when this process first asked.

    A supervisor with another stamp would run jobs with other settings or older code.
    """
    found = hashlib.sha256(json.dumps(settings.environment(), sort_keys=True).encode())
    for path in sorted((CODE_ROOT / "core").rglob("*.py")):
        with suppress(FileNotFoundError):
            found.update(f"{path} {path.stat().st_mtime_ns}".encode())
    return found.hexdigest()


def _keep(settings: Settings, arguments: tuple[str, ...], every: float) -> None:
    wait, pause = 0.0, every
    checked = False
    while _keepers.get(settings.home) is threading.current_thread():
        try:
            if not checked:
                _retire_other(settings)
                checked = True
            beat(settings)
            if wait <= 0:
                before = read_state(settings)
                ensure_supervisor(settings, arguments)
                after = read_state(settings)
                # one that dies while it starts is not started over and over again
                dies = before and after and before["pid"] != after["pid"] and not before["ready"]
                pause = min(pause * 2, 60.0) if dies else every
                wait = pause
        except (JobError, OSError) as error:
            _log.warning("the background worker is not kept: %s", error)
        wait -= every
        time.sleep(every)


def _retire_other(settings: Settings) -> None:
    found = read_state(settings)
    if (
        found is not None
        and found.get("stamp") != stamp(settings)
        and process_alive(found["pid"], found["pid_created"])
    ):
        ask(settings, "retire")


def _start_supervisor(settings: Settings, arguments: Sequence[str]) -> None:
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    path = settings.logs_dir / "worker.log"
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        # on Windows not while a process of an earlier supervisor still has it open
        with suppress(PermissionError):
            os.replace(path, path.with_suffix(".log.1"))
    for request in REQUESTS:
        asked(settings, request)  # one that is left was for an earlier supervisor
    inherited = {
        name: value
        for name, value in os.environ.items()
        # MLflow writes its own variable when a store is set, ours may differ from these settings
        if not name.startswith(PREFIX) and name != "MLFLOW_TRACKING_URI"
    }
    search = [str(CODE_ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    with path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.adapters.supervisor", *arguments],
            cwd=CODE_ROOT,
            env=inherited | settings.environment() | {"PYTHONPATH": os.pathsep.join(search)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=DETACHED,
        )
    _started[settings.home] = process
    write_state(settings, process.pid, time.time(), ready=False)


def _patiently(action: Callable[[], T]) -> T:
    """Do it, again if need be: Windows refuses a file that somebody reads or replaces just now."""
    for _ in range(50):
        with suppress(PermissionError):
            return action()
        time.sleep(0.02)
    return action()


def _canonical(step: str, options: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(options), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"The options of {step} cannot be kept: {error}.") from error


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        job_id=row.job_id,
        step=row.step,
        options=json.loads(row.options),
        status=row.status,
        fraction=row.fraction,
        text=row.text,
        run_id=row.run_id,
        error=row.error,
        created=row.created,
        started=row.started,
        ended=row.ended,
        pid=row.pid,
        result=json.loads(row.result) if row.result else None,
    )


@contextmanager
def _begin(settings: Settings) -> Iterator[sa.Connection]:
    try:
        with _engine(settings.state_dir).begin() as connection:
            yield connection
    except (SQLAlchemyError, OSError, Timeout) as error:
        raise StoreError(f"The job table cannot be used: {error}") from error


@contextmanager
def _sqlite_faults() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"The job queue cannot be used: {error}") from error


@lru_cache(maxsize=8)
def _engine(state_dir: Path) -> sa.Engine:
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "jobs.db"
    engine = sa.create_engine(f"sqlite:///{path.as_posix()}", connect_args={"timeout": 15})
    # one maker: two processes that switch a new file to WAL at once get "database is locked"
    with FileLock(state_dir / "jobs.lock", timeout=30), engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        _table.metadata.create_all(connection)
    return engine


@lru_cache(maxsize=8)
def _queue(state_dir: Path) -> Any:
    state_dir.mkdir(parents=True, exist_ok=True)
    # its storage alone: ids need no pickled task, and huey's own consumer loses killed tasks
    return SqliteHuey(
        "courtside", filename=str(state_dir / "queue.db"), results=False, timeout=15
    ).storage
