"""The process that runs jobs: `python -m core.runtime.supervisor`, one per home.

It claims queued jobs and forks a process for each from a server with the slow imports done. It
watches how each process ends; if one dies, its runs are ended before the job is marked as failed.

    --target NAME     function that runs a job (core.runtime.worker:run_step)
    --clean-up NAME   function that cleans up after a killed job (core.runtime.worker:clean_up)
    --preload NAMES   modules to import in advance, separated by commas
    --idle SECONDS    exit after this long without the app and without work
    --grace SECONDS   from terminating a process to killing it
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from filelock import FileLock, Timeout

from core.jobs import chains, heartbeat, jobs, leftovers, schedules, supervision, workers
from core.monitoring import deliver
from core.platform import clock, log_files, privacy, set_aside, state
from core.platform.config import Settings
from core.platform.errors import CourtsideError, JobError, StoreError
from core.platform.liveness import Pulse
from core.platform.messages import Message, Words, sentences
from core.platform.process import Process, cpu_seconds, end_children, signal_group
from core.runtime.fork_server import PRELOAD, ForkServer
from core.serving import restarts

POLL = 0.05  # seconds between polls of the state
# the same after this long without a job
IDLE_POLL, IDLE_AFTER = 0.2, 10.0
SWEEP = 2.0
TEND = 0.25  # seconds between checks of the endpoints
GRACE = 5.0
CLEAN_UP_LIMIT = 30.0
SEND_LIMIT = 90.0
# after the app has ended: another app of this home would have beaten by then
FAREWELL = 3 * supervision.BEAT
LOST = Message("The worker, the app or the machine stopped before it was done. Start it again.")
# Exits after this long without a readable state and without jobs.
BROKEN_SECONDS = 60.0
ROTATE_SECONDS, TIDY_SECONDS = 30.0, 3600.0

_log = logging.getLogger("supervisor")


@dataclass
class _Running:
    """A job's process; `ending` is the job's outcome if we end it."""

    job_id: str
    process: BaseProcess
    pid_created: float | None
    pulse: Pulse
    ending: tuple[str, Words] | None = None
    kill_at: float | None = None


@dataclass
class _Cleaning:
    """The clean-up after a job's process, and the job's outcome afterwards."""

    job_id: str
    outcome: str
    reason: Words
    process: BaseProcess | None
    deadline: float


class Supervisor:
    """Runs the jobs of one home until asked to exit or no longer needed.

    Its parameters are the options of the module's docstring, and:

    Parameters
    ----------
    only : collection of str
        Steps whose jobs it runs; all if empty. Only one that serves keeps endpoints running.
    is_standalone : bool
        Whether it was started by itself (`python -m core worker`): it does not end with the app,
        and others may run beside it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        target: str,
        clean_up: str,
        preload: Sequence[str],
        idle: float = 30.0,
        grace: float = GRACE,
        only: Collection[str] = (),
        is_standalone: bool = False,
    ) -> None:
        self.settings = settings
        self.environ = settings.environment()
        self.target, self.clean_up = target, clean_up
        self.idle, self.grace = idle, grace
        self.server = ForkServer(preload)
        self.running: list[_Running] = []
        self.cleaning: list[_Cleaning] = []
        self.only = frozenset(only)
        self.endpoints = restarts.Endpoints()
        self.own = workers.Own(settings)
        self.is_of_app = not is_standalone
        self.heart = heartbeat.Heart(supervision.heart(settings))
        # the app's worker is the only one of its kind, by a lock
        self.lock = settings.state_dir / "supervisor.lock" if self.is_of_app else settings.state_dir
        self.lock_number = _number(self.lock)
        self.broken_since: float | None = None
        self.rotated = self.tidied = self.worked = time.monotonic()
        # a minute is the shortest interval of a schedule
        self.tick_seconds = min(SWEEP, max(0.2, clock.real_seconds(settings, 60.0)))
        self.stays = False
        # version of the state when there was no job to start
        self.seen: tuple[int, int] | None = None
        self.sender: BaseProcess | None = None
        self.sender_until = 0.0
        self.since = self.idle_from = self.beat_seen = time.time()
        self.problem: Words | None = None
        self.ready = self.stopping = self.retiring = False
        # until when it is known whether this worker has a duty
        self.duties: dict[str, tuple[float, bool]] = {}

    def run(self) -> None:
        """Work until it is time to exit; returns when no job process is left."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self._write_state()
        # in a thread: it waits for the imports, and a request to exit may come meanwhile
        warming = threading.Thread(target=self._warm_up, daemon=True)
        warming.start()
        while warming.is_alive():
            warming.join(POLL)
            self._check_requests()
            self._beat()
            is_over = self.stopping or self.retiring or not self._has_its_home()
            if is_over or (self._has_app_ended() and self._has_nothing_to_do()):
                self._leave()
                end_children()
                return
        self.ready = True
        self._write_state()
        # the imports may take longer than the idle timeout
        self.idle_from = time.time()
        swept = ticked = tended = 0.0
        while True:
            if not self._has_its_home():
                _log.error("the home was moved, or put in another's place: leaving it alone")
                end_children()
                return
            try:
                self._beat()
                if self._may_leave(swept):
                    break
                if time.monotonic() - swept > SWEEP:
                    swept = time.monotonic()
                    self._do(self._sweep)
                if time.monotonic() - tended > TEND:
                    tended = time.monotonic()
                    self._do(self._tend)
                if time.monotonic() - ticked > self.tick_seconds:
                    ticked = time.monotonic()
                    self._do(self._tick)
                self._do(self._turn)
                self.broken_since = None
            except CourtsideError as error:
                # a full disk or a locked table is transient; the processes continue
                if self._gives_up(error):
                    return
                time.sleep(1)
        self._leave()
        _log.info("leaving")

    def _beat(self) -> None:
        if self.is_of_app:
            self.heart.beat()
        with suppress(CourtsideError):
            self.own.beat(ready=self.ready)

    def _leave(self) -> None:
        with suppress(CourtsideError):
            self.own.leave()

    def _do(self, duty: Callable[[], None]) -> None:
        """Run a duty; an error not caused by the state ends neither this process nor its duties."""
        try:
            duty()
        except CourtsideError:
            raise
        except Exception as error:  # noqa: BLE001  the next supervisor would meet the same
            _log.exception("a duty failed")
            set_aside.put(self.settings, "jobs", "supervisor", "unexpected", error=error)
            time.sleep(1)

    def _gives_up(self, error: CourtsideError) -> bool:
        """Return whether to exit, because the state is unusable and no job needs us."""
        now = time.monotonic()
        if self.broken_since is None or error.message != self.problem:
            _log.error("%s", error.message)
        if self.broken_since is None:
            self.broken_since = now
        self.problem = error.message
        self._check_requests()
        works = bool(self.running or self.cleaning)
        wanted = not (self.stopping or (self.retiring and not works))
        if wanted and now - self.broken_since < BROKEN_SECONDS:
            return False
        if works:
            # their end cannot be recorded; the next supervisor will notice
            end_children()
        _log.error("leaving, since the state cannot be used")
        return True

    def _has_its_home(self) -> bool:
        """Return whether the lock held by this process is still this home's."""
        return self.lock_number == 0 or _number(self.lock) == self.lock_number

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _check_requests(self) -> None:
        """Check for a request to exit; one started by itself is asked by a signal alone."""
        if not self.is_of_app:
            return
        if supervision.take_request(self.settings, "stop"):
            self.stopping = True
        if supervision.take_request(self.settings, "retire"):
            _log.info("another app asks for a supervisor of its own")
            self.retiring = True

    def _may_leave(self, swept: float) -> bool:
        if self.running or self.cleaning:
            return False
        if self.stopping or self.retiring:
            return True
        if not swept or self.stays or not self.is_of_app:
            return False
        silent_from = max(supervision.last_beat(self.settings), self.idle_from)
        is_alone = self._has_app_ended() or time.time() - silent_from > self.idle
        return is_alone and not jobs.active(self.settings)

    def _has_nothing_to_do(self) -> bool:
        """Return whether neither a job nor a schedule needs a worker."""
        return not jobs.active(self.settings) and not schedules.schedules(self.settings)

    def _has_app_ended(self) -> bool:
        """Return whether an app announced its end, and no other app of this home is running."""
        if not self.is_of_app:
            return False
        now = time.time()
        if supervision.last_beat(self.settings):
            self.beat_seen = now
        return now - self.beat_seen > FAREWELL

    def _turn(self) -> None:
        """Wait briefly for a process to end, then do all pending work."""
        sentinels = [item.process.sentinel for item in self.running]
        sentinels += [item.process.sentinel for item in self.cleaning if item.process]
        if sentinels:
            self.worked = time.monotonic()
            wait(sentinels, POLL)
        else:
            time.sleep(POLL if time.monotonic() - self.worked < IDLE_AFTER else IDLE_POLL)
        if not self._has_its_home():
            return
        self._check_requests()
        ended = False
        for item in list(self.running):
            if item.process.exitcode is not None:
                with set_aside.guarded(self.settings, "jobs", item.job_id):
                    self._after(item)
                self.running.remove(item)
                ended = True
        for cleaning in list(self.cleaning):
            is_over = True
            with set_aside.guarded(self.settings, "jobs", cleaning.job_id):
                is_over = self._is_clean(cleaning)
            if is_over:
                self.cleaning.remove(cleaning)
                ended = True
        if ended:
            self._advance_chain()
        if self.running:
            self._end_unwanted()
        version = state.version(self.settings)
        if version == self.seen:
            return
        while not (self.stopping or self.retiring) and len(self.running) < self.settings.workers:
            job = jobs.claim(self.settings, worker=self.own.worker, only=self.only)
            if job is None:
                self.seen = version
                break
            with set_aside.guarded(self.settings, "jobs", job.job_id):
                self._begin(job)

    def _sweep(self) -> None:
        """Do the rare duties, first of all after the death of an earlier supervisor."""
        self._end_hung()
        self._end_lost()
        known = {item.job_id for item in self.running} | {item.job_id for item in self.cleaning}
        cancelled = jobs.to_cancel(self.settings)
        for job_id, process in self.own.adopt(known).items():
            _log.info("job %s has lost its process", job_id)
            with set_aside.guarded(self.settings, "jobs", job_id):
                self._await_gone(*process)
            outcome = jobs.CANCELLED if job_id in cancelled else jobs.FAILED
            self._begin_clean_up(job_id, outcome, LOST)
        if self._holds("schedules"):
            self.own.forget_dead()
        self._advance_chain()
        self._tidy()
        if not self.is_of_app:
            return
        recorded = supervision.read_state(self.settings)
        # the starter of a supervisor writes the state too, possibly later
        if recorded is None or recorded["pid"] != os.getpid() or not recorded["ready"]:
            self._write_state()

    def _tend(self) -> None:
        """Restart the endpoints that have ended or hang."""
        serves = not self.only or "serve" in self.only
        # endpoints are processes of a machine, so each machine has its keeper
        if serves and self._holds(f"endpoints {self.own.place}"):
            self.endpoints.tend(self.settings)

    def _holds(self, duty: str) -> bool:
        """Return whether this worker alone has a duty, as of the last seconds."""
        now = time.monotonic()
        if now > self.duties.get(duty, (0.0, False))[0]:
            self.duties[duty] = now + SWEEP, self.own.holds(duty)
        return self.duties[duty][1]

    def _end_lost(self) -> None:
        """Kill the processes of jobs that others have taken over, as they took this one for dead.

        Others record the end of such a job.
        """
        ids = [item.job_id for item in self.running]
        taken = jobs.lost(self.settings, self.own.worker, ids) if ids else set()
        for item in self.running:
            if item.job_id in taken:
                _log.error("job %s belongs to another worker", item.job_id)
                signal_group(item.process.pid, signal.SIGKILL)

    def _tidy(self) -> None:
        """Rotate the logs every half minute, and remove old temporary files every hour."""
        now = time.monotonic()
        if now - self.rotated > ROTATE_SECONDS:
            self.rotated = now
            log_files.rotate(self.settings.logs_dir)
        if now - self.tidied > TIDY_SECONDS:
            self.tidied = now
            leftovers.sweep(self.settings)

    def _advance_chain(self) -> None:
        """Queue the next job of a chain whose last one is done."""
        if self.stopping or self.retiring or not self._has_its_home():
            return
        with set_aside.guarded(self.settings, "chain", "chain", passing=()):
            try:
                chains.advance(self.settings)
            except (JobError, StoreError) as error:
                _log.error("the chain of jobs cannot go on: %s", error)

    def _tick(self) -> None:
        """Submit due schedules, and let a separate process send messages, as that may take long."""
        if self.stopping or self.retiring or not self._holds("schedules"):
            self.stays = False
            return
        try:
            self.stays = any(each.schedule.stays for each in schedules.tick(self.settings))
        except CourtsideError as error:
            # messages are sent regardless
            _log.error("schedules: %s", error.message)
        if self.sender is not None:
            if self.sender.exitcode is None:
                if time.monotonic() > self.sender_until:
                    _log.error("sending messages takes too long and is ended")
                    signal_group(self.sender.pid, signal.SIGKILL)
                return
            self.sender = None
        if deliver.is_due(self.settings):
            try:
                self.sender = self.server.start("core.monitoring.deliver:drain_here", self.environ)
            except (OSError, EOFError) as error:
                _log.error("no process to send messages: %s", error)
            self.sender_until = time.monotonic() + SEND_LIMIT

    def _begin(self, job: jobs.Job) -> None:
        job_id = job.job_id
        try:
            process = self.server.start(
                "core.runtime.worker:run_job", self.environ, job_id, self.target
            )
        except (OSError, EOFError) as error:
            _log.error("job %s cannot be started: %s", job_id, error)
            reason = Message(
                "No process could be started: {reason}.", reason=str(error) or type(error).__name__
            )
            jobs.finish(self.settings, job_id, jobs.FAILED, error=reason)
            return
        created = supervision.process_created(process.pid or 0)
        pulse = Pulse(self.settings.hang_seconds)
        self.running.append(_Running(job_id, process, created, pulse))
        _log.info("job %s (%s) runs as process %s", job_id, job.step, process.pid)
        jobs.update(self.settings, job_id, pid=process.pid, pid_created=created)

    def _end_unwanted(self) -> None:
        """End the processes of cancelled jobs, or of all jobs on exit."""
        wanted_gone: dict[str, tuple[str, Words]] = dict.fromkeys(
            jobs.to_cancel(self.settings), (jobs.CANCELLED, jobs.WAS_CANCELLED)
        )
        if self.stopping:
            others = dict.fromkeys((item.job_id for item in self.running), (jobs.FAILED, LOST))
            wanted_gone = others | wanted_gone
        for item in self.running:
            if item.ending is None and item.job_id in wanted_gone:
                item.ending = wanted_gone[item.job_id]
                item.kill_at = time.monotonic() + self.grace
                _log.info("job %s is ended: %s", item.job_id, item.ending[1])
                signal_group(item.process.pid, signal.SIGTERM)
            elif item.kill_at is not None and time.monotonic() > item.kill_at:
                signal_group(item.process.pid, signal.SIGKILL)

    def _end_hung(self) -> None:
        """Kill the processes of jobs that do not answer; a long computation still beats."""
        for item in self.running:
            beat = heartbeat.last(supervision.heart(self.settings, item.job_id))
            working = Process(item.process.pid or 0, item.pid_created or 0.0)
            if item.ending is None and item.pulse.is_hung(beat, cpu_seconds(working)):
                reason = Message(
                    "The job's process did not answer for {seconds:.0f} s and was ended. Start the "
                    "job again.",
                    seconds=item.pulse.silent_seconds,
                )
                item.ending = (jobs.FAILED, reason)
                _log.error("job %s: %s", item.job_id, item.ending[1])
                signal_group(item.process.pid, signal.SIGKILL)

    def _after(self, item: _Running) -> None:
        """Handle the end of a job's process."""
        code = item.process.exitcode
        job = jobs.get(self.settings, item.job_id)
        status = job.status if job else "gone"
        _log.info("job %s: process ended with %s, status %s", item.job_id, code, status)
        is_lost = bool(jobs.lost(self.settings, self.own.worker, [item.job_id]))
        if status != jobs.RUNNING or is_lost:
            self._remove_temporary(item.job_id)
            return
        # its children, and the process itself if only the fork server has died
        signal_group(item.process.pid, signal.SIGKILL)
        self._await_gone(item.process.pid, item.pid_created)
        if item.ending is None and self.stopping:
            item.ending = (jobs.FAILED, LOST)
        self._begin_clean_up(item.job_id, *(item.ending or (jobs.FAILED, _why(code))))

    def _begin_clean_up(self, job_id: str, outcome: str, reason: Words) -> None:
        process = None
        try:
            process = self.server.start(self.clean_up, self.environ, job_id, outcome, reason)
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
            signal_group(item.process.pid, signal.SIGKILL)
        elif item.process is not None and item.process.exitcode:
            _log.error("the clean-up after job %s failed", item.job_id)
        self._remove_temporary(item.job_id)
        error = item.reason if item.outcome == jobs.FAILED else None
        jobs.finish(self.settings, item.job_id, item.outcome, error=error)
        return True

    def _await_gone(self, pid: int | None, created: float | None) -> None:
        """Wait until this process has ended; kill it if it does not."""
        deadline = time.monotonic() + self.grace
        while supervision.process_alive(pid, created):
            if time.monotonic() > deadline + CLEAN_UP_LIMIT:
                _log.error("process %s cannot be ended", pid)
                return
            if time.monotonic() > deadline:
                signal_group(pid, signal.SIGKILL)
            self._beat()
            time.sleep(0.01)

    def _remove_temporary(self, job_id: str) -> None:
        shutil.rmtree(supervision.heart(self.settings, job_id).parent, ignore_errors=True)

    def _warm_up(self) -> None:
        """Wait for the imports of the fork server."""
        start = time.monotonic()
        problem = self.server.warm_up()
        if self.stopping or self.retiring:
            return  # the fork server was stopped, see `run`
        if problem is not None:
            self.problem = problem
            _log.error("%s", problem)
        _log.info("ready after %.1f s", time.monotonic() - start)

    def _write_state(self) -> None:
        if not self._has_its_home():
            return
        with suppress(CourtsideError):
            self.own.beat(ready=self.ready, at_once=True)
        if self.is_of_app:
            supervision.write_state(
                self.settings, os.getpid(), self.since, ready=self.ready, problem=self.problem
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the supervisor of the home in the environment; return 1 if there is one already."""
    parser = argparse.ArgumentParser(prog="core.runtime.supervisor")
    parser.add_argument("--target", default="core.runtime.worker:run_step")
    parser.add_argument("--clean-up", default="core.runtime.worker:clean_up")
    parser.add_argument("--preload", default=",".join(PRELOAD), type=lambda names: names.split(","))
    parser.add_argument("--idle", type=float, default=30.0)
    parser.add_argument("--grace", type=float, default=GRACE)
    given = parser.parse_args(arguments)
    prepare()
    try:
        settings = Settings.load()
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        privacy.tighten(settings)
        # held for life; the system releases it however this process ends
        with FileLock(settings.state_dir / "supervisor.lock", timeout=15):
            jobs.take_over(settings)
            Supervisor(settings, **vars(given)).run()
    except Timeout:
        _log.info("another supervisor has this home")
        return 1
    except CourtsideError as error:
        _log.error("%s", error.message)
        return 1
    return 0


def prepare() -> None:
    """Set up the log and what the libraries of jobs read from the environment."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("filelock").setLevel(logging.WARNING)
    # the libraries read these on import, so set them before the fork server starts
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    privacy.set_umask()


def _number(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _why(code: int | None) -> Message:
    if code == -signal.SIGKILL:
        killed = Message("The job's process was killed. Start the job again.")
        return sentences(killed, Message("Memory may have run out."))
    return Message("The job's process ended with code {code}. Start the job again.", code=code)


if __name__ == "__main__":
    sys.exit(main())
