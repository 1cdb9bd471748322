"""A Dask cluster on this machine: scheduler and workers as processes that outlive the app.

They listen on 127.0.0.1 only. A worker without a scheduler exits, and so does a scheduler that has
been idle for an hour.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.platform import identity, permissions, process, state
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, JobError, NotReadyError
from core.platform.messages import Message
from core.platform.process import HOST, Process

NAME = "dask"
MOST_WORKERS = 16
START_SECONDS = 60.0
IDLE = "1 hour"
# away from the ports of servers
PORT_OFFSET = 300
# no dashboard on a well-known port
QUIET = ("--no-dashboard", "--dashboard-address", f"{HOST}:0")


@dataclass(frozen=True)
class LocalCluster:
    """The running cluster.

    Parameters
    ----------
    address : str
        Of the scheduler.
    workers : tuple of Process
        Those alive.
    """

    address: str
    scheduler: Process
    workers: tuple[Process, ...]


def find(settings: Settings) -> LocalCluster | None:
    """Return the running cluster; None if there is none."""
    stored = _read(settings)
    if not stored:
        return None
    scheduler = Process(*stored["scheduler"])
    if not process.is_alive(scheduler):
        return None
    workers = tuple(Process(*fields) for fields in stored["workers"])
    return LocalCluster(
        stored["address"],
        scheduler,
        tuple(worker for worker in workers if process.is_alive(worker)),
    )


def address(settings: Settings) -> str:
    """Return the address of the running cluster.

    Raises
    ------
    NotReadyError
        If none runs, or none of its workers is alive.
    """
    running = find(settings)
    if running is None or not running.workers:
        raise NotReadyError(
            Message(
                "No Dask cluster is running. Start one on the Score page, or set COURTSIDE_DASK."
            )
        )
    return running.address


@permissions.needs("cluster")
def start(settings: Settings, workers: int = 2) -> LocalCluster:
    """Start a scheduler and single-threaded workers; returns when all are connected.

    Raises
    ------
    InputError
        If one is already running, or `workers` is not in 1 to 16.
    JobError
        If they do not start; nothing is left running.
    """
    if not 1 <= workers <= MOST_WORKERS:
        low, high = sorted((workers, 1 if workers < 1 else MOST_WORKERS))
        limits = Message("{low} must not be above {high}", low=f"{high}", high=f"{low}")
        raise InputError(Message("{where}: {reason}.", where="workers", reason=limits))
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.state_dir / "dask.lock", timeout=START_SECONDS):
        if (running := find(settings)) is not None:
            port_used = running.address.rpartition(":")[2]
            raise InputError(
                Message(
                    "{server} runs on port {port}. Stop it first.", server="Dask", port=port_used
                )
            )
        stop(settings)
        port = process.free_port(min(settings.serve_port + PORT_OFFSET, 65_000))
        where = f"tcp://{HOST}:{port}"
        started = [
            _start(
                settings, "scheduler", "--host", HOST, "--port", str(port), "--idle-timeout", IDLE
            )
        ]
        _keep(settings, where, started)
        try:
            until = time.monotonic() + START_SECONDS
            _wait(settings, started, lambda: process.listens(started[0], port), until)
            for number in range(workers):
                started.append(
                    _start(
                        settings,
                        "worker",
                        where,
                        "--host",
                        HOST,
                        "--nthreads",
                        "1",
                        "--no-nanny",
                        "--death-timeout",
                        "30",
                        "--memory-limit",
                        "0",
                        "--local-directory",
                        str(settings.state_dir / "dask"),
                        "--name",
                        f"worker-{number}",
                    )
                )
                _keep(settings, where, started)
            logs = [_log(settings, f"worker-{number}") for number in range(workers)]
            _wait(
                settings,
                started,
                lambda: all("Registered to:" in process.log_tail(log) for log in logs),
                until,
            )
        except BaseException:
            stop(settings)
            raise
    return LocalCluster(where, started[0], tuple(started[1:]))


@permissions.needs("cluster")
def stop(settings: Settings) -> None:
    """Stop the cluster, if there is one."""
    stored = _read(settings)
    if not stored:
        return
    for fields in [*stored["workers"], stored["scheduler"]]:
        process.stop(Process(*fields))
    state.save(settings, NAME, None)


def _start(settings: Settings, what: str, *words: str) -> Process:
    name = words[-1] if what == "worker" else what
    path = os.pathsep.join(filter(None, [str(CODE_ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "dask", what, *words, *QUIET]
    return process.start(
        command,
        _log(settings, name),
        {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        settings.state_dir / "dask",
    )


def _wait(
    settings: Settings, started: list[Process], is_so: Callable[[], bool], until: float
) -> None:
    while not is_so():
        if not all(process.is_alive(program) for program in started) or time.monotonic() > until:
            raise JobError(
                Message(
                    "The Dask cluster did not start. Its logs are in {parent}, named dask-*.log.",
                    parent=_log(settings, "scheduler").parent,
                )
            )
        time.sleep(0.1)


def _keep(settings: Settings, where: str, started: list[Process]) -> None:
    pairs = [[program.pid, program.create_time, program.boot] for program in started]
    kept = {
        "address": where,
        "scheduler": pairs[0],
        "workers": pairs[1:],
        "home": identity.of_home(settings.state_dir),
    }
    state.save(settings, NAME, kept)


def _read(settings: Settings) -> dict[str, Any] | None:
    """Return the record of the cluster; None in a copied home, where it is the original's."""
    stored: dict[str, Any] | None = state.load(settings, NAME)
    if not stored or not identity.is_ours(stored, settings.state_dir):
        return None
    return stored


def _log(settings: Settings, name: str) -> Path:
    return settings.logs_dir / f"dask-{name}.log"
