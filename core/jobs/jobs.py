"""The job table: pages submit, cancel and read jobs, the worker claims them.

`core.runtime.supervisor` runs them, in a process that this module starts and keeps alive.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil
import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.dialects.sqlite import insert

from core.jobs import heartbeat
from core.platform import identity, process, set_aside, state, steps, store_faults
from core.platform.config import CODE_ROOT, PREFIX, Settings
from core.platform.errors import CourtsideError, InputError, JobError
from core.platform.liveness import Pulse
from core.platform.process import Process, is_alive

# step -> steps whose earlier jobs it waits for, as they replace what it reads or writes
WAITS_FOR = {
    "acquire": ("acquire",),
    "prepare": ("acquire", "prepare"),
    "train": ("acquire", "prepare"),
}
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ACTIVE = (QUEUED, RUNNING)
# requests to the supervisor: end the jobs and exit, or let them finish and exit
Request = Literal["stop", "retire"]
REQUESTS: tuple[Request, ...] = ("stop", "retire")
BEAT = 2.0
# the worker beats once a second; after this many silent seconds it is shown as not answering
SILENT_SECONDS = 20.0

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
T = TypeVar("T")

_keepers: dict[Path, threading.Thread] = {}
_started: dict[Path, subprocess.Popen[bytes]] = {}
_keeper_lock = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job as a page shows it; times are seconds since 1970.

    Parameters
    ----------
    status : str
        queued, running, done, failed or cancelled.
    fraction : float
        Progress, 0 to 1.
    text : str
        What it is doing now, in one line.
    run_id : str or None
        Its MLflow run, once there is one.
    error : str or None
        Why it failed, for the person.
    result : dict or None
        What its step returned.
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
        Whether its process exists.
    ready : bool
        Whether the slow imports are done, so that jobs start at once.
    since : float or None
        Its start time, seconds since 1970.
    problem : str or None
        Why jobs start more slowly than they should.
    silent_since : float or None
        Since when it is alive without answering, seconds since 1970; None while it answers.
    """

    alive: bool
    ready: bool
    pid: int | None
    since: float | None
    problem: str | None = None
    silent_since: float | None = None


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
    StoreError
        If the job table cannot be written.
    """
    with state.transaction(settings) as connection:
        return put(connection, step, options)


def put(connection: sa.Connection, step: str, options: Mapping[str, Any]) -> Job:
    """Like `submit`, within the caller's transaction."""
    require_step(step)
    body = _canonical(step, options)
    fingerprint = hashlib.sha256(f"{step} {body}".encode()).hexdigest()
    new = insert(_table).values(
        job_id=uuid.uuid4().hex,
        step=step,
        options=body,
        fingerprint=fingerprint,
        status=QUEUED,
        text="Waiting to start.",
        created=time.time(),
    )
    connection.execute(new.on_conflict_do_nothing())
    same = sa.select(_table).where(_table.c.fingerprint == fingerprint, _table.c.status.in_(ACTIVE))
    return _job(connection.execute(same).one())


def require_step(step: str) -> None:
    """Raise an InputError for an unknown step."""
    if step not in steps.RUN_NAMES:
        raise InputError(f"There is no step '{step}'. Known: {', '.join(steps.RUN_NAMES)}.")


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


def cancel(settings: Settings, job_id: str) -> None:
    """Cancel a job: a queued one at once, a running one once its process has ended.

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
            waiting.values(status=CANCELLED, text="Cancelled.", ended=time.time())
        )
        if gone.rowcount:
            return
        asked = connection.execute(running.values(cancel_requested=True, text="Cancelling."))
    if not asked.rowcount and get(settings, job_id) is None:
        raise JobError(f"There is no job {job_id[:8]}. Reload the page to see the jobs there are.")


def worker_state(settings: Settings) -> WorkerState:
    """Return whether the supervisor is alive and ready; reads one file and checks the process."""
    written = read_state(settings)
    running = None if written is None else _process(written)
    if written is None or running is None or not is_alive(running):
        return WorkerState(False, False, None, None)
    beat_at = max(heartbeat.last(heart(settings)) or 0.0, written["since"])
    is_silent = time.time() - beat_at > SILENT_SECONDS or process.is_stopped(running)
    return WorkerState(
        True,
        written["ready"] and not is_silent,
        written["pid"],
        written["since"],
        written["problem"],
        beat_at if is_silent else None,
    )


def heart(settings: Settings, job_id: str | None = None) -> Path:
    """Return the heartbeat file of the supervisor, or of a job's process.

    A job's is in the folder of its temporary files.
    """
    if job_id is None:
        return settings.state_dir / "supervisor.alive"
    return settings.state_dir / "tmp" / job_id / "alive"


def ensure_supervisor(settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Start the supervisor of this home unless one is alive; cheap if so.

    Parameters
    ----------
    arguments : sequence of str
        Its command line, see `core.runtime.supervisor`; the default suits the app.

    Raises
    ------
    JobError
        If it cannot be started.
    StoreError
        If the home cannot be written, or the job table cannot be used.
    """
    with store_faults.wrap_store_errors(settings.state_dir):
        beat(settings)
    started = _started.get(settings.home)
    if started is not None:
        started.poll()  # a dead child stays a zombie until it is polled
    if worker_state(settings).alive:
        return
    try:
        with FileLock(settings.state_dir / "supervisor.start.lock", timeout=20):
            if not worker_state(settings).alive:
                _start_supervisor(settings, arguments)
    except (OSError, Timeout) as error:
        raise JobError(f"The background worker cannot be started: {error}.") from error


def keep_supervisor(settings: Settings, arguments: Sequence[str] = (), every: float = BEAT) -> None:
    """Keep a supervisor alive from a thread, as long as this process lives.

    One that has not answered for `settings.hang_seconds` is killed and replaced. One with other
    settings or older code takes no more jobs, and is replaced when its running jobs are done. The
    thread also sends the app's heartbeat to the supervisor. Another call for the same home does
    nothing.
    """
    with _keeper_lock:
        if settings.home in _keepers and _keepers[settings.home].is_alive():
            return
        thread = threading.Thread(
            target=_keep, args=(settings, tuple(arguments), every), daemon=True, name="keeper"
        )
        _keepers[settings.home] = thread
        thread.start()


def stop_supervisor(settings: Settings, timeout: float = 40.0) -> None:
    """Stop the keeper thread and the supervisor of this home; returns when both are gone.

    Running jobs fail, waiting ones stay queued.

    Raises
    ------
    JobError
        If the supervisor is still alive after `timeout` seconds.
    """
    with _keeper_lock:
        keeper = _keepers.pop(settings.home, None)
    if keeper is not None:
        keeper.join()
    pid = worker_state(settings).pid
    if pid is None:
        return
    ask(settings, "stop")
    deadline = time.monotonic() + timeout
    began = time.time()
    while (worker := worker_state(settings)).alive:
        if time.monotonic() > deadline:
            written = read_state(settings)
            hung = worker.silent_since is not None and worker.silent_since < began
            if hung and written and process.kill(_process(written)):
                continue
            raise JobError(f"The background worker (process {pid}) does not stop. End it yourself.")
        if (started := _started.get(settings.home)) is not None:
            started.poll()
        time.sleep(0.02)


def beat(settings: Settings) -> None:
    """Record for the supervisor that the app is alive."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / "app.alive").touch()


def last_beat(settings: Settings) -> float:
    """Return the time of the app's last beat, seconds since 1970; 0 if there was none."""
    try:
        return (settings.state_dir / "app.alive").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def ask(settings: Settings, request: Request) -> None:
    """Ask the supervisor of this home to exit, through a file that it polls."""
    (settings.state_dir / f"supervisor.{request}").touch()


def take_request(settings: Settings, request: Request) -> bool:
    """Return whether the supervisor was asked to exit in this way, and consume the request."""
    path = settings.state_dir / f"supervisor.{request}"
    if not path.exists():
        return False
    with suppress(OSError):
        path.unlink()
    return True


def claim(settings: Settings, job_id: str | None = None) -> Job | None:
    """Mark the oldest queued job as running and return it; None if there is none.

    A job that waits for an earlier one (see WAITS_FOR) is skipped until that has ended.

    Parameters
    ----------
    job_id : str, optional
        Only this one.
    """
    ready = _READY
    if job_id is not None:
        ready = ready.where(_table.c.job_id == job_id)
    with state.reading(settings) as connection:
        # usually there is none: take no write lock
        if connection.execute(ready).scalar() is None:
            return None
    change = sa.update(_table).where(_table.c.number == ready.scalar_subquery())
    change = change.values(status=RUNNING, started=time.time(), text="Starting.")
    with state.transaction(settings) as connection:
        row = connection.execute(change.returning(_table)).one_or_none()
    if row is None or _parsed(row.options) is not None:
        return _job(row) if row else None
    set_aside.put(settings, "jobs", row.job_id, "unreadable")
    reason = "What the job was asked cannot be read. Start it again on its page."
    finish(settings, row.job_id, FAILED, error=reason)
    return claim(settings, job_id)


def update(settings: Settings, job_id: str, **values: Any) -> None:
    """Write columns of a running job; any other job is not changed."""
    values = {
        # lone surrogates, as in a file name that is not UTF-8: no database accepts them
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }
    change = sa.update(_table).where(_table.c.job_id == job_id, _table.c.status == RUNNING)
    with state.transaction(settings) as connection:
        connection.execute(change.values(**values))


def finish(
    settings: Settings,
    job_id: str,
    status: str,
    *,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """Set a running job's final status; a job that has ended keeps its own."""
    values: dict[str, Any] = {"status": status, "error": error, "ended": time.time()}
    if status == DONE:
        values |= {"fraction": 1.0, "text": "Done."}
        if result is not None:
            values["result"] = json.dumps(result, default=str)
            if result.get("run_id"):
                values["run_id"] = str(result["run_id"])
    elif status == CANCELLED:
        values["text"] = "Cancelled."
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


def process_alive(pid: int | None, created: float | None) -> bool:
    """Return whether the process with this pid and start time is running."""
    return pid is not None and created is not None and is_alive(Process(pid, created))


def process_created(pid: int) -> float | None:
    """Return the start time of a process; None if it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def take_over(settings: Settings) -> None:
    """Record that from now on the running jobs' processes belong to this home.

    A copied home lists the original's processes, and after a reboot pids are reused: such processes
    are neither watched nor ended. Called by the supervisor that holds the lock.

    Raises
    ------
    StoreError
        If the job table cannot be used.
    """
    here = {"home": identity.of_home(settings.state_dir), "boot": process.boot_id()}
    with state.transaction(settings) as connection:
        owner = connection.execute(sa.select(_owner)).mappings().one_or_none()
        if owner is not None and dict(owner) == here:
            return
        running = sa.update(_table).where(_table.c.status == RUNNING)
        connection.execute(running.values(pid=None, pid_created=None))
        connection.execute(sa.delete(_owner))
        connection.execute(sa.insert(_owner).values(**here))


def read_state(settings: Settings) -> dict[str, Any] | None:
    """Return the last state that the supervisor wrote; None if it cannot be read.

    In a copied home the state of the original is ignored.
    """
    path = settings.state_dir / "supervisor.json"
    try:
        written = json.loads(_patiently(lambda: path.read_text(encoding="utf-8")))
        whole = {"stamp": None, "boot": "", **written}
        _process(whole)
        is_whole = isinstance(whole["ready"], bool) and isinstance(whole["since"], float | int)
        problem = whole["problem"]
    except (OSError, ValueError, TypeError, KeyError):
        # the next supervisor rewrites a damaged one
        return None
    if not is_whole or not identity.is_ours(whole, settings.state_dir):
        return None
    return whole | {"problem": problem}


def _process(written: Mapping[str, Any]) -> Process:
    return Process(int(written["pid"]), float(written["pid_created"] or 0.0), str(written["boot"]))


def write_state(
    settings: Settings, pid: int, since: float, *, ready: bool, problem: str | None = None
) -> dict[str, Any]:
    """Write the supervisor's state for pages, and return it."""
    facts = {
        "pid": pid,
        "pid_created": process_created(pid),
        "boot": process.boot_id(),
        "home": identity.of_home(settings.state_dir),
        "since": since,
        "ready": ready,
        "problem": problem,
        "stamp": stamp(settings),
    }
    place = settings.state_dir / "supervisor.json"
    handle, temporary = tempfile.mkstemp(dir=settings.state_dir, prefix=".supervisor.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(facts, file)
    _patiently(lambda: os.replace(temporary, place))
    return facts


@lru_cache
def stamp(settings: Settings) -> str:
    """Return a digest of settings and code, as of the first call in this process.

    A supervisor with another stamp would run jobs with other settings or older code.
    """
    digest = hashlib.sha256(json.dumps(settings.environment(), sort_keys=True).encode())
    for path in sorted((CODE_ROOT / "core").rglob("*.py")):
        with suppress(FileNotFoundError):
            digest.update(f"{path} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def _keep(settings: Settings, arguments: tuple[str, ...], every: float) -> None:
    wait, pause = 0.0, every
    checked = False
    pulse = Pulse(settings.hang_seconds)
    while _keepers.get(settings.home) is threading.current_thread():
        try:
            if not checked:
                _retire_other(settings)
                checked = True
            beat(settings)
            if _end_hung(settings, pulse):
                wait = 0.0
            if wait <= 0:
                before = read_state(settings)
                ensure_supervisor(settings, arguments)
                after = read_state(settings)
                # one that dies while starting is not restarted endlessly
                dies = before and after and before["pid"] != after["pid"] and not before["ready"]
                pause = min(pause * 2, 60.0) if dies else every
                wait = pause
        except Exception as error:  # noqa: BLE001
            # nothing may end this thread: without it no job runs
            _log.warning("the background worker is not kept: %s", error)
            if not isinstance(error, CourtsideError | OSError):
                set_aside.put(settings, "jobs", "worker", "unexpected", error=error)
        wait -= every
        time.sleep(every)


def _end_hung(settings: Settings, pulse: Pulse) -> bool:
    """Kill the supervisor if it hangs, and return whether it did; its job processes end with it."""
    written = read_state(settings)
    if written is None or not is_alive(_process(written)):
        return False
    supervisor = _process(written)
    sign = (supervisor, heartbeat.last(heart(settings)))
    if not pulse.is_hung(sign, process.cpu_seconds(supervisor)):
        return False
    _log.warning(
        "the background worker (process %s) has not answered for %.0f s and is ended",
        supervisor.pid,
        pulse.silent_seconds,
    )
    return process.kill(supervisor)


def _retire_other(settings: Settings) -> None:
    written = read_state(settings)
    if (
        written is not None
        and written.get("stamp") != stamp(settings)
        and is_alive(_process(written))
    ):
        ask(settings, "retire")


def _start_supervisor(settings: Settings, arguments: Sequence[str]) -> None:
    # with a damaged table a worker would fail and be restarted endlessly
    active(settings)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    path = settings.logs_dir / "worker.log"
    for request in REQUESTS:
        take_request(settings, request)  # a leftover request was for an earlier supervisor
    inherited = {
        name: value
        for name, value in os.environ.items()
        # MLflow sets its own variable; this process's may differ from these settings
        if not name.startswith(PREFIX) and name != "MLFLOW_TRACKING_URI"
    }
    search = [str(CODE_ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    with path.open("ab") as log:
        begun = subprocess.Popen(
            [sys.executable, "-m", "core.runtime.supervisor", *arguments],
            cwd=CODE_ROOT,
            env=inherited | settings.environment() | {"PYTHONPATH": os.pathsep.join(search)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started[settings.home] = begun
    write_state(settings, begun.pid, time.time(), ready=False)


def _patiently(action: Callable[[], T]) -> T:
    """Retry an action: Windows refuses access to a file that is being read or replaced."""
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
        text=row.text,
        run_id=row.run_id,
        error=row.error,
        created=row.created,
        started=row.started,
        ended=row.ended,
        pid=row.pid,
        result=_parsed(row.result),
    )
