"""Restart of endpoints after a crash, a `kill -9`, or a hang, by the app's supervisor.

A process that lives but does not answer (`core.platform.liveness`) is killed first. What a person
has stopped is not restarted, since its record is gone. Whoever needs an endpoint at once calls
`revive`.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field

from core.platform import process, set_aside
from core.platform.config import Settings
from core.platform.errors import CourtsideError, NotReadyError
from core.platform.liveness import SHOWN_SECONDS, Pulse, Question
from core.platform.messages import Message, Words, sentences
from core.serving import server, server_process
from core.serving.protocol import STATUS_PATH
from core.serving.server import Server

TRIES = 8
LONGEST_WAIT = 60.0
# After this long without a fault, earlier faults no longer count.
HEALTHY_SECONDS = 300.0
RESTARTED = ("ready", "restarting")

_log = logging.getLogger("restarts")


def wait_before(number: int) -> float:
    """Return the delay before a restart in seconds: none, then 1, 2, 4 and so on up to 60.

    Examples
    --------
    >>> [wait_before(number) for number in range(1, 10)]
    [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    """
    return 0.0 if number <= 1 else min(LONGEST_WAIT, 2.0 ** (number - 2))


class Watched:
    """The process of an endpoint, whose health is checked repeatedly."""

    def __init__(self, settings: Settings, watched: Server) -> None:
        self.settings = settings
        self.process = watched.process
        self.port = watched.own_port
        self.answers = 0
        self._question = Question(self.port, STATUS_PATH)
        self._pulse = Pulse(settings.hang_seconds)

    def is_of(self, endpoint: Server) -> bool:
        """Return whether this is the process on record."""
        return (self.process, self.port) == (endpoint.process, endpoint.own_port)

    def is_gone(self, watched: Server) -> bool:
        """Check it; record since when it is silent, and return whether it hung and was killed."""
        self.answers = self._question.count_answers(min(2.0, self.settings.hang_seconds / 10))
        hung = self._pulse.is_hung(self.answers, process.cpu_seconds(self.process))
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


class Endpoints:
    """The supervisor's state of the endpoints that it keeps running."""

    def __init__(self) -> None:
        self._keepers: dict[int, Keeper] = {}

    def tend(self, settings: Settings) -> None:
        """Restart endpoints that have ended or hang, without waiting for them."""
        listed = {endpoint.port: endpoint for endpoint in server.kept(settings)}
        for port in [port for port in self._keepers if port not in listed]:
            self._keepers.pop(port).close()
        for port, endpoint in listed.items():
            keeper = self._keepers.setdefault(port, Keeper(settings, port))
            # a full disk or a locked database is temporary
            passing = (OSError, CourtsideError)
            with (
                suppress(*passing),
                set_aside.guarded(settings, "servers", f"port:{port}", passing=passing),
            ):
                keeper.tend(endpoint, time.monotonic())


@dataclass
class Keeper:
    """The supervisor's state of one endpoint."""

    settings: Settings
    port: int
    failures: int = 0
    since: float = field(default_factory=time.monotonic)
    next_try: float | None = None
    watched: Watched | None = None
    # why its process ended, and that with the next try, as the record has it
    reason: Words = ""
    announced: Words | None = None

    def tend(self, endpoint: Server, now: float) -> None:
        """Check whether it runs; restart it when it is time to."""
        # while it starts, is being stopped, or was given up, it must not be started here
        if endpoint.state not in RESTARTED:
            self.close()
            self.failures, self.since, self.next_try = 0, now, None
            return
        if server.is_alive(endpoint):
            self.next_try = None
            if endpoint.state == "ready" and now - self.since > HEALTHY_SECONDS:
                self.failures = 0
            self._check(endpoint)
            return
        if self.next_try is None:
            self.failures += 1
            self.since = now
            if endpoint.state == "restarting":
                self.reason = _sentence(server_process.reason(self.settings, endpoint))
            elif endpoint.problem is None:
                self.reason = ""
            elif endpoint.problem != self.announced:
                self.reason = endpoint.problem
            if self.failures > TRIES:
                _give_up(self.settings, endpoint, self.reason)
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
                server.change(self.settings, endpoint, problem=self.announced)
        if now >= self.next_try:
            self.next_try = None
            self.since = now
            begin(self.settings, self.port)

    def close(self) -> None:
        """Abandon the open health check."""
        if self.watched is not None:
            self.watched.close()
            self.watched = None

    def _check(self, endpoint: Server) -> None:
        """Kill it if it hangs: the next check finds it gone. Note that it answers again."""
        if self.watched is None or not self.watched.is_of(endpoint):
            self.close()
            self.watched = Watched(self.settings, endpoint)
        if self.watched.is_gone(endpoint):
            self.close()
            server.change(
                self.settings, endpoint, problem=Message("The model's server has stopped.")
            )
        elif endpoint.state == "restarting" and self.watched.answers:
            server.change(self.settings, endpoint, state="ready", problem=None)


def begin(settings: Settings, port: int) -> None:
    """Start the ended process of an endpoint, without waiting for its first answer.

    Does nothing if it runs, or another change of it is under way.

    Raises
    ------
    InputError
        When another program has taken its port; the record says so.
    """
    with suppress(NotReadyError), server.exclusive(settings, str(port), patience=0.0):
        endpoint = server.find(settings, port)
        if endpoint is not None and endpoint.state in RESTARTED and not server.is_alive(endpoint):
            _start(settings, endpoint)


def revive(settings: Settings, port: int) -> Server:
    """Return the endpoint of this port once it answers; start it if it has ended.

    Raises
    ------
    NotReadyError
        When there is no endpoint on this port, or it was stopped.
    InputError
        When another program has taken its port.
    ServerError
        When it does not start.
    """
    with server.exclusive(settings, str(port)):
        endpoint = server.find(settings, port)
        if endpoint is None or endpoint.state in ("starting", "stopped"):
            raise NotReadyError(server.not_there(port))
        if server.is_alive(endpoint):
            if endpoint.state == "ready" and endpoint.problem is None:
                return endpoint
        else:
            endpoint = _start(settings, endpoint)
        try:
            return server_process.wait_until_ready(settings, endpoint)
        except CourtsideError as error:
            with suppress(CourtsideError):
                server.change(settings, endpoint, problem=error.message)
            raise


def _start(settings: Settings, endpoint: Server) -> Server:
    try:
        return server_process.start(
            settings, endpoint, state="restarting", restarts=endpoint.restarts + 1, job_id=None
        )
    except CourtsideError as error:
        with suppress(CourtsideError):
            server.change(settings, endpoint, problem=error.message)
        raise


def _sentence(reason: Words) -> Words:
    return f"{reason}." if isinstance(reason, str) and reason[-1:] not in ".!?" else reason


def _give_up(settings: Settings, endpoint: Server, reason: Words) -> None:
    server.change(
        settings,
        endpoint,
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
        if other.shadow == endpoint.port:
            server.change(settings, other, shadow=None)
