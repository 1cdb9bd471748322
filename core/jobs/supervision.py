"""The supervisor, from outside: it is started, kept running and stopped here.

Its process, `core.runtime.supervisor`, writes its state for pages and takes requests to exit. Both
sides record heartbeats, so that each notices when the other has ended or hangs.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import psutil
from filelock import FileLock, Timeout

from core.jobs import heartbeat, jobs, workers
from core.platform import identity, messages, process, set_aside, storage, store_faults
from core.platform.config import CODE_ROOT, PREFIX, Settings
from core.platform.errors import CourtsideError, JobError
from core.platform.liveness import Pulse
from core.platform.messages import Message, Words
from core.platform.process import Process, is_alive

# requests to the supervisor: end the jobs and exit, or let them finish and exit
Request = Literal["stop", "retire"]
REQUESTS: tuple[Request, ...] = ("stop", "retire")
BEAT = 2.0
# the worker beats once a second; after this many silent seconds it is shown as not answering
SILENT_SECONDS = 20.0
NO_WORKER = Message(
    "No worker is running. Start one with {command}.", command="`python -m core worker`"
)
_keepers: dict[Path, threading.Thread] = {}
_started: dict[Path, subprocess.Popen[bytes]] = {}
_keeper_lock = threading.Lock()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerState:
    """The supervisor as a page shows it.

    Parameters
    ----------
    alive : bool
        Whether its process exists.
    ready : bool
        Whether the slow imports are done, so that jobs start immediately.
    since : float or None
        Its start time, seconds since 1970.
    problem : Words or None
        Why jobs start more slowly than they should.
    silent_since : float or None
        Since when it is alive without answering, seconds since 1970; None while it answers.
    """

    alive: bool
    ready: bool
    pid: int | None
    since: float | None
    problem: Words | None = None
    silent_since: float | None = None


def worker_state(settings: Settings) -> WorkerState:
    """Return whether the supervisor is alive and ready; reads one file and checks the process.

    Where the app starts none (`settings.start_worker`), the state says whether there is any.
    """
    if not settings.start_worker:
        return _recorded_state(settings)
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


def _recorded_state(settings: Settings) -> WorkerState:
    now = time.time()
    listed = [each for each in workers.listed(settings) if now - each.beat < SILENT_SECONDS]
    if not listed:
        return WorkerState(False, False, None, None, NO_WORKER)
    shown = next((each for each in listed if each.ready), listed[0])
    return WorkerState(True, shown.ready, shown.pid, shown.since)


def heart(settings: Settings, job_id: str | None = None) -> Path:
    """Return the heartbeat file of the supervisor, or of a job's process.

    A job's is in the folder of its temporary files.
    """
    if job_id is None:
        return settings.state_dir / "supervisor.alive"
    return settings.state_dir / "tmp" / job_id / "alive"


def ensure_supervisor(settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Start the supervisor of this home unless one is alive; cheap if so.

    Does nothing where workers are started by themselves (`settings.start_worker`).

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
    if not settings.start_worker:
        return
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
        raise JobError(Message("No process could be started: {reason}.", reason=error)) from error


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
    """Stop the keeper thread and the supervisor of this home; returns when both have ended.

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
    if pid is None or not settings.start_worker:
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
            raise JobError(
                Message(
                    "The background worker (process {pid}) does not stop. End that process.",
                    pid=pid,
                )
            )
        if (started := _started.get(settings.home)) is not None:
            started.poll()
        time.sleep(0.02)


def beat(settings: Settings) -> None:
    """Record for the supervisor that the app is alive."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    (settings.state_dir / "app.alive").touch()


def leave(settings: Settings) -> None:
    """Record that the app ends: the supervisor need not wait for another sign of it."""
    with _keeper_lock:
        _keepers.pop(settings.home, None)
    with suppress(OSError):
        (settings.state_dir / "app.alive").unlink(missing_ok=True)


def last_beat(settings: Settings) -> float:
    """Return the time of the app's last beat, seconds since 1970; 0 if there is no app."""
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


def process_alive(pid: int | None, created: float | None) -> bool:
    """Return whether the process with this pid and start time is running."""
    return pid is not None and created is not None and is_alive(Process(pid, created))


def process_created(pid: int) -> float | None:
    """Return the start time of a process; None if it has ended."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def read_state(settings: Settings) -> dict[str, Any] | None:
    """Return the last state that the supervisor wrote; None if it cannot be read.

    In a copied home the state of the original is ignored.
    """
    path = settings.state_dir / "supervisor.json"
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        whole = {"stamp": None, "boot": "", **written}
        _process(whole)
        is_whole = isinstance(whole["ready"], bool) and isinstance(whole["since"], float | int)
        problem = None if whole["problem"] is None else messages.loads(whole["problem"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # the next supervisor rewrites a damaged one
        return None
    if not is_whole or not identity.is_ours(whole, settings.state_dir):
        return None
    return whole | {"problem": problem}


def _process(written: Mapping[str, Any]) -> Process:
    return Process(int(written["pid"]), float(written["pid_created"] or 0.0), str(written["boot"]))


def write_state(
    settings: Settings, pid: int, since: float, *, ready: bool, problem: Words | None = None
) -> dict[str, Any]:
    """Write the supervisor's state for pages, and return it."""
    facts = {
        "pid": pid,
        "pid_created": process_created(pid),
        "boot": process.boot_id(),
        "home": identity.of_home(settings.state_dir),
        "since": since,
        "ready": ready,
        "problem": None if problem is None else messages.dumps(problem),
        "stamp": stamp(settings),
    }
    storage.write_json(settings.state_dir / "supervisor.json", facts)
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
    written = read_state(settings) if settings.start_worker else None
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
        settings.start_worker
        and written is not None
        and written.get("stamp") != stamp(settings)
        and is_alive(_process(written))
    ):
        ask(settings, "retire")


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of a worker's process."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        # MLflow sets its own variable; this process's may differ from these settings
        if not name.startswith(PREFIX) and name != "MLFLOW_TRACKING_URI"
    }
    search = [str(CODE_ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | settings.environment() | {"PYTHONPATH": os.pathsep.join(search)}


def _start_supervisor(settings: Settings, arguments: Sequence[str]) -> None:
    # with a damaged table a worker would fail and be restarted endlessly
    jobs.active(settings)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    path = settings.logs_dir / "worker.log"
    for request in REQUESTS:
        take_request(settings, request)  # a leftover request was for an earlier supervisor
    with path.open("ab") as log:
        begun = subprocess.Popen(
            [sys.executable, "-m", "core.runtime.supervisor", *arguments],
            cwd=CODE_ROOT,
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started[settings.home] = begun
    write_state(settings, begun.pid, time.time(), ready=False)
