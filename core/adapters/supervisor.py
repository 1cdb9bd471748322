"""The process that runs jobs: `python -m core.adapters.supervisor`, one for each home.

It takes job ids from the queue and forks a process for each from a server that has the slow imports
done; where no process can be forked, each job starts a new one and pays its imports. It sees how
each process ends, and after a death has its runs ended before it says so.

    --target NAME     what runs a job (core.worker:run_step)
    --clean-up NAME   what tidies up after a job that was killed (core.worker:clean_up)
    --preload NAMES   modules to import beforehand, divided by commas
    --idle SECONDS    leave when the app is gone for so long and nothing is to be done
    --grace SECONDS   from asking a process to end to ending it
    --method NAME     how processes are made, forkserver or spawn; the default suits the system
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import pkgutil
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from filelock import FileLock, Timeout

from core.adapters import chains, clock, deliver, jobs, revival, schedules
from core.adapters.process import KILL, end_children, lead_group, signal_group
from core.config import Settings
from core.errors import CourtsideError

PRELOAD = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pandera.pandas",
    "altair",
    "vl_convert",
    "skops.io",
    "lightgbm",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "sklearn.pipeline",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.data",
    "mlflow.data.pandas_dataset",
    "mlflow.models",
    # what MLflow imports only when it is first used: 0.2 s of every job
    "mlflow.pyfunc.scoring_server",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.tracing.processor.otel",
    "alembic.command",
    "git",
    "opentelemetry.sdk.metrics",
    "pycaret.classification",
    # of every explanation; not shap itself, whose first user chooses whether its loops are compiled
    "numba",
    "core.worker",
    *(f"core.steps.{step}" for step in jobs.STEPS),
)
POLL = 0.02  # seconds between looks at the queue: measured as 1 % of a core while idle
SWEEP = 2.0
GRACE = 5.0
CLEAN_UP_LIMIT = 30.0
SEND_LIMIT = 90.0
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
LOST = "The job's process ended before it was done (the app or machine was stopped)."
STOPPED = "The background worker was stopped before the job was done."

_log = logging.getLogger("supervisor")


@dataclass
class _Running:
    """A job's process; `ending` is how the job ends when we are who ends it."""

    job_id: str
    process: BaseProcess
    pid_created: float | None
    ending: tuple[str, str] | None = None
    kill_at: float | None = None


@dataclass
class _Cleaning:
    """The clean-up after a job's process has gone, and how the job ends when it is over."""

    job_id: str
    outcome: str
    reason: str
    process: BaseProcess | None
    deadline: float


class Supervisor:
    """Runs the jobs of one home until it is told to leave or is no longer needed.

    Parameters
    ----------
    target, clean_up : str
        Dotted names, see the head of this module.
    preload : sequence of str
        Modules that the server of processes imports; without a server, none are.
    idle : float
        Seconds without a sign of the app after which it leaves, if there is nothing to do.
    grace : float
        Seconds from asking a process to end to ending it.
    method : str
        `forkserver`, or `spawn` where there is none.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        target: str,
        clean_up: str,
        preload: Sequence[str],
        idle: float,
        grace: float = GRACE,
        method: str = METHOD,
    ) -> None:
        self.settings = settings
        self.environ = settings.environment()
        self.target, self.clean_up, self.preload = target, clean_up, tuple(preload)
        self.idle, self.grace, self.method = idle, grace, method
        self.context: Any = multiprocessing.get_context(method)
        self.running: list[_Running] = []
        self.cleaning: list[_Cleaning] = []
        self.revived: dict[int, tuple[int, float]] = {}
        # a minute is the least that a schedule knows
        self.tick_seconds = min(SWEEP, max(0.2, clock.real_seconds(settings, 60.0)))
        self.stays = False
        self.sender: BaseProcess | None = None
        self.sender_until = 0.0
        self.since = self.idle_from = time.time()
        self.problem: str | None = None
        self.ready = False
        self.stopping = False
        self.retiring = False

    def run(self) -> None:
        """Work until it is time to leave; returns when no process of ours is left."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self._write_state()
        if self.method == "forkserver":
            # in a thread: it waits for the imports, and may be asked to leave meanwhile
            warming = threading.Thread(target=self._warm_up, daemon=True)
            warming.start()
            while warming.is_alive():
                warming.join(POLL)
                self._heed()
                if self.stopping or self.retiring:
                    end_children()
                    return
        self.ready = True
        self._write_state()
        # the imports may take longer than the app is waited for
        self.idle_from = time.time()
        swept = ticked = 0.0
        while not self._may_leave(swept):
            try:
                if time.monotonic() - swept > SWEEP:
                    self._sweep()
                    swept = time.monotonic()
                if time.monotonic() - ticked > self.tick_seconds:
                    ticked = time.monotonic()
                    self._tick()
                self._turn()
            except CourtsideError as error:
                # a full disk or a locked table passes; the processes go on meanwhile
                _log.error("%s", error.message)
                time.sleep(1)
        _log.info("leaving")

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _heed(self) -> None:
        """See whether somebody wants this supervisor to leave."""
        if jobs.asked(self.settings, "stop"):
            self.stopping = True
        if jobs.asked(self.settings, "retire"):
            _log.info("another app asks for a supervisor of its own")
            self.retiring = True

    def _may_leave(self, swept: float) -> bool:
        if self.running or self.cleaning:
            return False
        if self.stopping or self.retiring:
            return True
        if not swept or self.stays:
            return False
        quiet = time.time() - max(jobs.last_beat(self.settings), self.idle_from)
        return quiet > self.idle and not jobs.active(self.settings)

    def _turn(self) -> None:
        """Wait a moment for a process to end, then see to all that there is to do."""
        sentinels = [item.process.sentinel for item in self.running]
        sentinels += [item.process.sentinel for item in self.cleaning if item.process]
        if sentinels:
            wait(sentinels, POLL)
        else:
            time.sleep(POLL)
        self._heed()
        ended = False
        for item in list(self.running):
            if item.process.exitcode is not None:
                self._after(item)
                self.running.remove(item)
                ended = True
        for cleaning in list(self.cleaning):
            if self._is_clean(cleaning):
                self.cleaning.remove(cleaning)
                ended = True
        if ended:
            self._go_on()
            # whoever waited for its turn
            jobs.enqueue_lost(self.settings)
        if self.running:
            self._end_unwanted()
        while not (self.stopping or self.retiring) and len(self.running) < self.settings.workers:
            job_id = jobs.dequeue(self.settings)
            if job_id is None:
                break
            self._begin(job_id)

    def _sweep(self) -> None:
        """See to what is rarely needed, first of all after the death of an earlier supervisor."""
        known = {item.job_id for item in self.running} | {item.job_id for item in self.cleaning}
        cancelled = jobs.to_cancel(self.settings)
        for job_id, process in jobs.running_processes(self.settings).items():
            if job_id not in known:
                _log.info("job %s has lost its process", job_id)
                self._await_gone(*process)
                outcome = jobs.CANCELLED if job_id in cancelled else jobs.FAILED
                self._begin_clean_up(job_id, outcome, LOST)
        self._go_on()
        for job_id in jobs.enqueue_lost(self.settings):
            _log.debug("job %s was queued without a message; it has one now", job_id)
        try:
            revival.tick(self.settings, self.revived)
        except OSError as error:
            _log.error("what is served cannot be looked after: %s", error)
        found = jobs.read_state(self.settings)
        # who starts a supervisor writes the state too, and may come last
        if found is None or found["pid"] != os.getpid() or not found["ready"]:
            self._write_state()

    def _go_on(self) -> None:
        """Queue the next job of a chain whose last one is done."""
        if self.stopping or self.retiring:
            return
        try:
            chains.advance(self.settings)
        except CourtsideError as error:
            _log.error("the chain of jobs cannot go on: %s", error)

    def _tick(self) -> None:
        """Submit what schedules ask for, and have messages sent by a process that may take long."""
        if self.stopping or self.retiring:
            return
        self.stays = any(one.schedule.stays for one in schedules.tick(self.settings))
        if self.sender is not None:
            if self.sender.exitcode is None:
                if time.monotonic() > self.sender_until:
                    _log.error("sending messages takes too long and is ended")
                    signal_group(self.sender.pid, KILL)
                return
            self.sender = None
        if deliver.is_due(self.settings):
            try:
                self.sender = self._fork("core.adapters.deliver:drain_here", self.environ)
            except (OSError, EOFError) as error:
                _log.error("no process to send messages: %s", error)
            self.sender_until = time.monotonic() + SEND_LIMIT

    def _begin(self, job_id: str) -> None:
        job = jobs.claim(self.settings, job_id)
        if job is None:
            return
        try:
            process = self._fork("core.worker:run_job", self.environ, job_id, self.target)
        except (OSError, EOFError) as error:
            _log.error("job %s cannot be started: %s", job_id, error)
            reason = f"No process could be started for the job: {error or 'the server died'}."
            jobs.finish(self.settings, job_id, jobs.FAILED, error=reason)
            return
        created = jobs.process_created(process.pid or 0)
        self.running.append(_Running(job_id, process, created))
        _log.info("job %s (%s) runs as process %s", job_id, job.step, process.pid)
        jobs.update(self.settings, job_id, pid=process.pid, pid_created=created)

    def _fork(self, target: str, *arguments: Any) -> BaseProcess:
        try:
            process: BaseProcess = self.context.Process(target=_enter, args=(target, arguments))
            process.start()
        except (OSError, EOFError):
            # the server itself was killed; the next start makes a new one
            process = self.context.Process(target=_enter, args=(target, arguments))
            process.start()
        return process

    def _end_unwanted(self) -> None:
        """End the processes of jobs that were cancelled, or all of them when we stop."""
        wanted_gone = dict.fromkeys(
            jobs.to_cancel(self.settings), (jobs.CANCELLED, "The job was cancelled.")
        )
        if self.stopping:
            others = dict.fromkeys((item.job_id for item in self.running), (jobs.FAILED, STOPPED))
            wanted_gone = others | wanted_gone
        for item in self.running:
            if item.ending is None and item.job_id in wanted_gone:
                item.ending = wanted_gone[item.job_id]
                item.kill_at = time.monotonic() + self.grace
                _log.info("job %s is ended: %s", item.job_id, item.ending[1])
                signal_group(item.process.pid, signal.SIGTERM, item.pid_created)
            elif item.kill_at is not None and time.monotonic() > item.kill_at:
                signal_group(item.process.pid, KILL, item.pid_created)

    def _after(self, item: _Running) -> None:
        """Take note that a job's process has ended."""
        code = item.process.exitcode
        job = jobs.get(self.settings, item.job_id)
        status = job.status if job else "gone"
        _log.info("job %s: process ended with %s, status %s", item.job_id, code, status)
        if status != jobs.RUNNING:
            self._remove_temporary(item.job_id)
            return
        # what it started itself, and itself if only the server that reports on it has died
        signal_group(item.process.pid, KILL, item.pid_created)
        self._await_gone(item.process.pid, item.pid_created)
        if item.ending is None and self.stopping:
            item.ending = (jobs.FAILED, STOPPED)
        self._begin_clean_up(item.job_id, *(item.ending or (jobs.FAILED, _why(code))))

    def _begin_clean_up(self, job_id: str, outcome: str, reason: str) -> None:
        process = None
        try:
            process = self._fork(self.clean_up, self.environ, job_id, outcome, reason)
        except (OSError, EOFError) as error:
            _log.error("no clean-up after job %s: %s", job_id, error)
        self.cleaning.append(
            _Cleaning(job_id, outcome, reason, process, time.monotonic() + CLEAN_UP_LIMIT)
        )

    def _is_clean(self, item: _Cleaning) -> bool:
        if item.process is not None and item.process.exitcode is None:
            if time.monotonic() < item.deadline:
                return False
            _log.error("the clean-up after job %s takes too long and is ended", item.job_id)
            signal_group(item.process.pid, KILL)
        elif item.process is not None and item.process.exitcode:
            _log.error("the clean-up after job %s failed", item.job_id)
        self._remove_temporary(item.job_id)
        error = item.reason if item.outcome == jobs.FAILED else None
        jobs.finish(self.settings, item.job_id, item.outcome, error=error)
        return True

    def _await_gone(self, pid: int | None, created: float | None) -> None:
        """Return when this process is gone; one that stays is killed."""
        deadline = time.monotonic() + self.grace
        while jobs.process_alive(pid, created):
            if time.monotonic() > deadline:
                signal_group(pid, KILL, created)
            time.sleep(0.01)

    def _remove_temporary(self, job_id: str) -> None:
        shutil.rmtree(self.settings.state_dir / "tmp" / job_id, ignore_errors=True)

    def _warm_up(self) -> None:
        """Start the server of processes; return when it has imported what it can, and say what not.

        A module that is missing is passed over by multiprocessing in silence, and any other fault
        in one ends the server: so the first process that it forks reports what is not there.
        """
        start = time.monotonic()
        self.context.set_forkserver_preload(list(self.preload))
        try:
            missing = self._probe()
        except (OSError, EOFError):
            if self.stopping or self.retiring:
                return  # the server was ended, see `run`
            missing = {"all modules": "the server of processes died while it imported them"}
            self.context.set_forkserver_preload([])
        if missing:
            told = "; ".join(f"{name} ({why})" for name, why in missing.items())
            self.problem = f"Jobs start slowly, not imported beforehand: {told}."
            _log.error("%s", self.problem)
        _log.info("ready after %.1f s", time.monotonic() - start)

    def _probe(self) -> dict[str, str]:
        receiver, sender = self.context.Pipe(duplex=False)
        with receiver:
            process = self.context.Process(target=_report, args=(sender, self.preload), daemon=True)
            process.start()
            sender.close()
            missing: dict[str, str] = receiver.recv()
            process.join()
        return missing

    def _write_state(self) -> None:
        jobs.write_state(
            self.settings, os.getpid(), self.since, ready=self.ready, problem=self.problem
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the supervisor of the home that the environment names; 1 when there is one already."""
    parser = argparse.ArgumentParser(prog="core.adapters.supervisor")
    parser.add_argument("--target", default="core.worker:run_step")
    parser.add_argument("--clean-up", default="core.worker:clean_up")
    parser.add_argument("--preload", default=",".join(PRELOAD))
    parser.add_argument("--idle", type=float, default=30.0)
    parser.add_argument("--grace", type=float, default=GRACE)
    parser.add_argument("--method", choices=sorted({METHOD, "spawn"}), default=METHOD)
    given = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("filelock").setLevel(logging.WARNING)
    # read by the libraries when they are imported, so before the server starts
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        settings = Settings.load()
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        # held for life, and let go by the system however this process ends
        with FileLock(settings.state_dir / "supervisor.lock", timeout=15):
            Supervisor(
                settings,
                target=given.target,
                clean_up=given.clean_up,
                preload=[name for name in given.preload.split(",") if name],
                idle=given.idle,
                grace=given.grace,
                method=given.method,
            ).run()
    except Timeout:
        _log.info("another supervisor has this home")
        return 1
    except CourtsideError as error:
        _log.error("%s", error.message)
        return 1
    return 0


def _enter(target: str, arguments: tuple[Any, ...]) -> None:
    """In the new process: see that it does not outlive the supervisor, then do its work."""
    lead_group()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_supervisor, daemon=True).start()
    function: Callable[..., None] = pkgutil.resolve_name(target)
    function(*arguments)


def _die_with_supervisor() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signal_group(os.getpid(), KILL)


def _report(sender: Connection, modules: Sequence[str]) -> None:
    """In the first forked process: tell which modules the server could not import, and why."""
    missing = {}
    for name in modules:
        if name not in sys.modules:
            try:
                __import__(name)
                missing[name] = "skipped"
            except Exception as error:  # noqa: BLE001  any fault of any library is only told
                missing[name] = f"{type(error).__name__}: {error}"
    sender.send(missing)


def _why(code: int | None) -> str:
    if code is not None and code < 0:
        hint = " Memory may have run out." if -code == KILL else ""
        return f"The job's process was killed (signal {-code}).{hint}"
    if code == 0:
        return "The job's process ended without a result."
    return f"The job's process ended with code {code}."


if __name__ == "__main__":
    sys.exit(main())
