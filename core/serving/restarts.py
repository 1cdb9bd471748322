"""Restart of endpoints after a crash, a `kill -9`, or a hang.

The gateway of an endpoint runs `watch`, which restarts the scoring server behind it. A killed
gateway is restarted by the supervisor's `tick`, or by whoever needs it. A process that lives but
does not answer (`core.platform.liveness`) is killed first. Both use
`python -m core.serving.restarts PORT`, which does nothing if all is up, and nothing to an endpoint
that a person has stopped, since its record is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.platform import log_files, process, set_aside
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError, ServerError, StoreError
from core.platform.liveness import SHOWN_SECONDS, Pulse, Question
from core.platform.messages import Message, Words, sentences
from core.serving import server, server_process
from core.serving.server import Server

WATCH_SECONDS = 0.25
POLL_SECONDS = 0.05
GATEWAY_SECONDS = 120.0
PORT_SECONDS = 1.0
START_SECONDS = 120.0
TRIES = 8
LONGEST_WAIT = 60.0
# After this long without a fault, earlier faults no longer count.
HEALTHY_SECONDS = 300.0
# A restart that takes longer than waiting, a start and a gateway together is itself hung.
REVIVE_SECONDS = 480.0
ROTATE_SECONDS = 30.0

_log = logging.getLogger("restarts")


def wait_before(number: int) -> float:
    """Return the delay before a restart in seconds: none, then 1, 2, 4 and so on up to 60.

    Examples
    --------
    >>> [wait_before(number) for number in range(1, 10)]
    [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    """
    return 0.0 if number <= 1 else min(LONGEST_WAIT, 2.0 ** (number - 2))


async def watch(settings: Settings, port: int) -> None:
    """Keep the server behind this port's gateway running, until cancelled."""
    keeper = _Keeper(settings, port)
    rotated = time.monotonic()
    while True:
        if time.monotonic() - rotated > ROTATE_SECONDS:
            rotated = time.monotonic()
            # also without the app, which may be closed for weeks
            await asyncio.to_thread(log_files.rotate, settings.logs_dir)
        with (
            # a full disk or a locked database is temporary
            suppress(OSError, CourtsideError),
            set_aside.guarded(
                settings, "servers", f"port:{port}", passing=(OSError, CourtsideError)
            ),
        ):
            # in a thread: it reads files, and ends processes
            await asyncio.to_thread(keeper.tend, time.monotonic())
        await asyncio.sleep(WATCH_SECONDS)


class Watched:
    """A process of an endpoint whose health is checked repeatedly."""

    def __init__(self, settings: Settings, watched: Server, path: str) -> None:
        self.settings = settings
        self.process = watched.process
        self.port = watched.port
        self._question = Question(watched.port, path)
        self._pulse = Pulse(settings.hang_seconds)

    def is_gone(self, watched: Server) -> bool:
        """Check it; record since when it is silent, and return whether it hung and was killed."""
        answers = self._question.count_answers(min(2.0, self.settings.hang_seconds / 10))
        hung = self._pulse.is_hung(answers, process.cpu_seconds(self.process))
        silent = self._pulse.silent_seconds
        shown = silent >= min(SHOWN_SECONDS, self.settings.hang_seconds / 2)
        if shown != (watched.silent_since is not None):
            since = time.time() - silent if shown else None
            server.change(self.settings, watched, silent_since=since)
        if not hung or not process.kill(self.process):
            return False
        _log.warning(
            "process %d on port %d did not answer for %.0f s and was ended",
            self.process.pid,
            self.port,
            silent,
        )
        return True

    def close(self) -> None:
        """Abandon the open health check."""
        self._question.close()


class Gateways:
    """The supervisor's state of the gateways that it watches.

    Parameters
    ----------
    tried : dict of int to (int, float)
        By port, the number of consecutive start attempts, and the time of the last.
    """

    def __init__(self) -> None:
        self.tried: dict[int, tuple[int, float]] = {}
        self._watched: dict[int, Watched] = {}

    def tend(self, settings: Settings) -> None:
        """Kill hung gateways; then `tick`."""
        from core.serving import gateway

        listed = {
            served.port: served
            for served in server.kept(settings)
            if served.backend is not None and served.state == "ready" and server.is_alive(served)
        }
        for port, watched in list(self._watched.items()):
            if port not in listed or watched.process != listed[port].process:
                watched.close()
                del self._watched[port]
        for port, front in listed.items():
            if port not in self._watched:
                self._watched[port] = Watched(settings, front, gateway.STATUS_PATH)
            with suppress(NotReadyError):
                self._watched[port].is_gone(front)
        tick(settings, self.tried)


def tick(settings: Settings, tried: dict[int, tuple[int, float]]) -> None:
    """Restart killed gateways, without waiting for them.

    Parameters
    ----------
    tried : dict of int to (int, float)
        By port, the number of consecutive start attempts, and the time of the last; updated here
        and passed again at the next call.
    """
    now = time.monotonic()
    for front in server.servers(settings):
        if front.backend is None:
            continue
        count, last = tried.get(front.port, (0, now))
        recorded = server.find(settings, front.port)
        if recorded is None or recorded.state != "ready" or server.is_alive(recorded):
            if count and now - last > HEALTHY_SECONDS:
                del tried[front.port]
            continue
        if count >= TRIES or (count and now - last < max(wait_before(count + 1), 5.0)):
            continue
        tried[front.port] = (count + 1, now)
        with set_aside.guarded(settings, "servers", f"port:{front.port}"):
            begin(settings, front.port)


def revive(settings: Settings, port: int) -> Server:
    """Return the endpoint of this port once all of it is up; start its missing parts.

    Running parts are left alone: a new gateway takes over the existing scoring server.

    Raises
    ------
    NotReadyError
        When there is no endpoint on this port, or it was stopped.
    InputError
        When another program has taken its port.
    StoreError
        When the files of the version are not the registered ones.
    ServerError
        When it does not start.
    """
    with server.exclusive(settings, str(port)):
        front = server.find(settings, port)
        if front is None or front.backend is None or front.state in ("starting", "stopped"):
            raise NotReadyError(
                Message(
                    "There is no endpoint on port {port}. It may be stopped already.", port=port
                )
            )
        try:
            if not server.is_alive(front):
                front = start_gateway(settings, front)
            if server.behind(settings, front) is None:
                front = _with_server(settings, front)
            elif front.state == "died" or front.problem:
                front = server.change(settings, front, state="ready", problem=None)
        except CourtsideError as error:
            with suppress(CourtsideError):
                server.change(settings, front, problem=error.message)
            raise
    return front


def start_gateway(
    settings: Settings, front: Server, on_wait: Callable[[], None] | None = None
) -> Server:
    """Start a gateway for an endpoint, and return the endpoint once it answers.

    Raises
    ------
    InputError
        When another program has the port.
    NotReadyError
        When the endpoint was stopped meanwhile.
    ServerError
        When it ends, or does not answer in time.
    """
    from core.serving import gateway

    # its child processes may have outlived it, and hold the port
    process.stop(front.process)
    end = time.monotonic() + PORT_SECONDS
    # threads of a killed process release its sockets some moments later
    while not process.port_is_free(front.port):
        if time.monotonic() < end:
            time.sleep(POLL_SECONDS)
            continue
        raise InputError(
            Message(
                "Port {port} is in use, or not from 1024 to 65535. Choose another port.",
                port=front.port,
            )
        )
    log = server_process.gateway_log(settings, front.port)
    started = process.start(
        [sys.executable, "-m", gateway.__name__, str(front.port)],
        log,
        _environment(settings),
        settings.state_dir,
    )
    try:
        # at once: a gateway without a record could not be identified again
        front = server.change(
            settings,
            front,
            pid=started.pid,
            create_time=started.create_time,
            boot=started.boot,
            silent_since=None,
        )
        end = time.monotonic() + GATEWAY_SECONDS
        while time.monotonic() < end and server.is_alive(front):
            if gateway.status(front.port) is not None and process.listens(started, front.port):
                return front
            if on_wait is not None:
                on_wait()
            time.sleep(POLL_SECONDS)
    except BaseException:
        process.stop(started)
        raise
    process.stop(started)
    last_line = process.log_tail(log, 1).rstrip(".") or "–"
    raise ServerError(
        Message(
            "{server} did not start on port {port}: {reason}. Its log is {log}.",
            server=front.name,
            port=front.port,
            reason=last_line,
            log=log.name,
        )
    )


@dataclass
class _Keeper:
    """State of one gateway's watch."""

    settings: Settings
    port: int
    failures: int = 0
    since: float = field(default_factory=time.monotonic)
    next_try: float | None = None
    trying: process.Process | None = None
    trying_since: float = 0.0
    watched: Watched | None = None
    # why its model's server ended, and that with the next try, as the record has it
    reason: Words = ""
    announced: Words | None = None

    def tend(self, now: float) -> None:
        """Check whether the server behind runs; restart it when it is time to."""
        if self.trying is not None:
            if process.is_alive(self.trying):
                if now - self.trying_since > REVIVE_SECONDS:
                    process.kill(self.trying)
                return
            self.trying = None
        front = server.find(self.settings, self.port)
        # while it starts, is being stopped, or was given up, it must not be started here
        if front is None or front.state != "ready":
            self.failures, self.since, self.next_try = 0, now, None
            return
        behind = server.behind(self.settings, front)
        if behind is not None:
            self.next_try = None
            if now - self.since > HEALTHY_SECONDS:
                self.failures = 0
            self._ask(front, behind)
            return
        if self.next_try is None:
            self.failures += 1
            self.since = now
            if front.problem is None:
                self.reason = ""
            elif front.problem != self.announced:
                self.reason = front.problem
            if self.failures > TRIES:
                _give_up(self.settings, front, self.reason)
                return
            wait = wait_before(self.failures)
            self.next_try = now + wait
            if wait:
                retry = Message(
                    "It is started again in {wait:.0f} s, try {failures} of {tries}.",
                    wait=wait,
                    failures=self.failures,
                    tries=TRIES,
                )
                reason = self.reason or Message("The model's server has stopped.")
                self.reason, self.announced = reason, sentences(reason, retry)
                server.change(self.settings, front, problem=self.announced)
        if now >= self.next_try:
            self.next_try = None
            self.since = now
            self.trying = begin(self.settings, self.port, is_part=True)
            self.trying_since = now

    def _ask(self, front: Server, behind: Server) -> None:
        """Kill the server behind if it hangs: the next check finds it gone."""
        if self.watched is None or self.watched.process != behind.process:
            if self.watched is not None:
                self.watched.close()
            self.watched = Watched(self.settings, behind, "/ping")
        if self.watched.is_gone(behind):
            self.watched = None
            server.change(self.settings, front, problem=Message("The model's server has stopped."))


def _give_up(settings: Settings, front: Server, reason: Words) -> None:
    server.change(
        settings,
        front,
        state="died",
        problem=sentences(
            reason,
            Message(
                "It ended {tries} times in a row and is not started again. See its log, then "
                "restart it or serve another version.",
                tries=TRIES,
            ),
        ),
    )
    for other in server.servers(settings):
        if other.shadow == front.port:
            server.change(settings, other, shadow=None)


def begin(settings: Settings, port: int, *, is_part: bool = False) -> process.Process:
    """Start `revive` in a process of its own, and return at once.

    Parameters
    ----------
    is_part : bool
        Whether it ends with this process.
    """
    return process.start(
        [sys.executable, "-m", "core.serving.restarts", str(port)],
        settings.logs_dir / f"restart-{port}.log",
        _environment(settings),
        settings.state_dir,
        is_part=is_part,
    )


def _environment(settings: Settings) -> dict[str, str]:
    search = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**settings.environment(), "PYTHONPATH": os.pathsep.join(search)}


def _with_server(settings: Settings, front: Server) -> Server:
    """Start a server of the same version in place of the one that ended."""
    check(front)
    for left in server.behind_all(settings, front.port):
        with suppress(NotReadyError):
            server_process.stop(settings, left.port)
    new = server_process.start(settings, replace(front, port=0, front=front.port, job_id=None))
    try:
        new = server_process.wait_until_ready(settings, new, START_SECONDS)
        return server.change(
            settings,
            front,
            backend=new.port,
            log_path=new.log_path,
            state="ready",
            restarts=front.restarts + 1,
            problem=None,
        )
    except BaseException:
        with suppress(NotReadyError):
            server_process.stop(settings, new.port)
        raise


def check(described: Server) -> None:
    """Verify that the files of a version are the registered ones.

    Needs neither MLflow nor its store: the digests are in the server's record.

    Raises
    ------
    StoreError
        When they are not, or cannot be read.
    """
    folder = described.folder
    for name, digest in described.digests.items():
        try:
            content = (folder / name).read_bytes() if folder else b""
        except OSError as error:
            raise StoreError(_changed(described, name)) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(_changed(described, name))


def _changed(described: Server, name: str) -> Message:
    return Message(
        "'{file}' of {model} is missing, or was changed after its registration. It is neither "
        "loaded nor served. Roll back to another version, or train again.",
        file=Path(name).name,
        model=Message(
            "version {version} of {name}", version=described.version, name=described.model
        ),
    )


def main() -> int:
    """Revive the endpoint of the port in the command; 1 on failure, with the reason in the log."""
    try:
        revive(Settings.load(), int(sys.argv[1]))
    except NotReadyError:
        return 0
    except CourtsideError as error:
        print(error.message, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
