"""The live endpoint: one port whose model can be changed without a failed request.

A relay (`core.adapters.relay`) stands on the port, and a server of one version behind it, on a port
of its own. Both go on when the app stops. What `core.adapters.server` tells of it is one server.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from filelock import FileLock, Timeout

from core.adapters import process, registry, relay, server
from core.adapters.server import Server
from core.adapters.tracking import CHAMPION, ModelVersion
from core.config import CODE_ROOT, Settings
from core.errors import CourtsideError, InputError, NotReadyError, ServerError

POLL_SECONDS = 0.05
RELAY_SECONDS = 30.0
# Longer than MLflow's own limit for a request, 60 s.
DRAIN_SECONDS = 120.0
TURN_SECONDS = 300.0


def live(settings: Settings) -> Server | None:
    """Return the live endpoint, None when it was not started or was stopped.

    Its `port` and `url` are those that people call, its version the one that answers there, and
    `started` the time since when. It is `died` when its relay or the server behind it has ended.
    """
    return next((one for one in server.servers(settings) if one.backend is not None), None)


def follow(
    settings: Settings,
    version: ModelVersion,
    on_wait: Callable[[float], None] | None = None,
    *,
    alias: str | None = CHAMPION,
    job_id: str | None = None,
    timeout: float = 120.0,
) -> Server:
    """Let this version answer on the live endpoint, and return when it does.

    The old version answers until the new one can; then new requests go to the new one, those under
    way are awaited, and the old one is stopped. If the new one does not start, the old one stays.
    Without a live endpoint it is started, on `settings.serve_port` if that is free; what died of it
    is started anew on the same port. Where this version answers already, nothing is done.

    Parameters
    ----------
    on_wait : callable, optional
        Told the seconds waited so far, several times a second.
    alias : str or None
        Shown beside the version.
    job_id : str or None
        The job that waits for it; see `server.stop_unfinished`.
    timeout : float
        Seconds that the new server may take until its first answer.

    Raises
    ------
    InputError
        When another program has taken the endpoint's port; nothing was changed.
    NotReadyError
        When another change of the endpoint does not come to its end.
    StoreError
        When the files of the version are not those that were registered.
    ServerError
        When the server, or the relay, ends or does not answer in time.
    """
    change = _Change(settings, version, alias, job_id, timeout, on_wait, time.monotonic())
    with _turn(change):
        front, old = _standing(settings)
        port = _port(settings, front)
        if front is None or old is None:
            return _begin(change, port, front)
        if not server.is_alive(front):
            front = _start_relay(change, front)
        if (old.model, old.version, old.run_id) == (version.name, version.version, version.run_id):
            shown = replace(front, alias=alias)
            server.keep(settings, shown)
            return shown
        return _switch(change, front, old)


def stop(settings: Settings) -> Server:
    """Stop the live endpoint: the relay first, then what is behind it; no process is left.

    Raises
    ------
    NotReadyError
        When there is none.
    """
    front = live(settings)
    if front is None:
        raise NotReadyError("There is no live endpoint. It may be stopped already.")
    return server.stop(settings, front.port)


@dataclass(frozen=True)
class _Change:
    """What `follow` was asked for."""

    settings: Settings
    version: ModelVersion
    alias: str | None
    job_id: str | None
    timeout: float
    on_wait: Callable[[float], None] | None
    begun: float

    def waited(self, _: float = 0.0) -> None:
        if self.on_wait is not None:
            self.on_wait(time.monotonic() - self.begun)

    def start_server(self, front: int) -> Server:
        # the server runs the code among the version's files
        registry.check(self.settings, self.version)
        return server.start(self.settings, self.version, None, self.alias, self.job_id, front=front)

    def wait_until_ready(self, new: Server) -> Server:
        return server.wait_until_ready(self.settings, new, self.timeout, self.waited)


@contextmanager
def _turn(change: _Change) -> Iterator[None]:
    """Let one change of the endpoint come after the other."""
    folder = change.settings.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "live.lock")
    end = time.monotonic() + TURN_SECONDS
    while not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=POLL_SECONDS)
        if time.monotonic() > end:
            raise NotReadyError(
                "Another change of the live endpoint has been under way for "
                f"{TURN_SECONDS / 60:g} minutes. Look at the jobs, and try again when it is done."
            )
        change.waited()
    try:
        yield
    finally:
        lock.release()


def _standing(settings: Settings) -> tuple[Server | None, Server | None]:
    """Return the endpoint, and the server behind it if that runs.

    What a change that was killed left behind is ended: nobody else is at it now.
    """
    found = live(settings)
    front = None if found is None else server.find(settings, found.port)
    if front is not None and front.state == "starting":
        server.stop(settings, front.port)
        front = None
    old = None if front is None else server.behind(settings, front)
    for other in server.behind_any(settings):
        if other != old:
            with suppress(NotReadyError):
                server.stop(settings, other.port)
    return front, old


def _port(settings: Settings, front: Server | None) -> int:
    if front is None:
        return server.free_port(settings, offset=0)
    if not server.is_alive(front) and not process.port_is_free(front.port):
        raise InputError(
            f"Port {front.port} of the live endpoint is in use by another program. Stop that "
            "program; or stop the live endpoint and start it again, then it takes a free port."
        )
    return front.port


def _begin(change: _Change, port: int, front: Server | None) -> Server:
    """Start the endpoint, or what is missing of one whose server has died."""
    settings = change.settings
    new = change.start_server(port)
    try:
        starting = replace(new, port=port, backend=new.port, front=None)
        if front is not None and server.is_alive(front):
            starting = replace(starting, pid=front.pid, create_time=front.create_time)
            server.keep(settings, starting)
        else:
            starting = _start_relay(change, starting)
        change.wait_until_ready(new)
    except BaseException:
        # what never answered is not left behind
        for left in (port, new.port):
            with suppress(NotReadyError):
                server.stop(settings, left)
        raise
    ready = replace(starting, state="ready", started=time.time())
    server.keep(settings, ready)
    return ready


def _switch(change: _Change, front: Server, old: Server) -> Server:
    """Put a new server in the place of the old one."""
    try:
        now = _put_in_place(change, front, old)
    except CourtsideError as error:
        told = error.message if error.message.endswith((".", "!", "?")) else error.message + "."
        raise type(error)(
            f"{told} Version {old.version} goes on answering on port {front.port}."
        ) from error
    _drain(change, now, old)
    with suppress(NotReadyError):
        server.stop(change.settings, old.port)
    return now


def _put_in_place(change: _Change, front: Server, old: Server) -> Server:
    """Start the new server, and let the relay pass on to it what comes from now on."""
    settings = change.settings
    new = change.start_server(front.port)
    try:
        new = change.wait_until_ready(new)
        # should this job be killed from here on, the old one is stopped as the job's own
        server.keep(settings, replace(old, job_id=change.job_id))
        now = replace(
            new, port=front.port, pid=front.pid, create_time=front.create_time,
            started=time.time(), backend=new.port, front=None,
        )  # fmt: skip
        server.keep(settings, now)
    except BaseException:
        with suppress(NotReadyError):
            server.stop(settings, new.port)
        raise
    return now


def _drain(change: _Change, front: Server, old: Server) -> None:
    """Wait until the relay passes nothing to the old server, and has all of its answers."""
    end = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < end and server.is_alive(front):
        told = relay.status(front.port)
        if told is not None and told.backend != old.port and not told.in_flight.get(old.port):
            return
        change.waited()
        time.sleep(POLL_SECONDS)


def _start_relay(change: _Change, front: Server) -> Server:
    """Start a relay for this endpoint, and return the endpoint with it once it answers."""
    settings = change.settings
    log = server.relay_log(settings, front.port)
    search = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    begun = process.start(
        [
            sys.executable, "-m", "core.adapters.relay", str(front.port),
            str(server.file_of(settings, front.port)),
            "--limit-mb", str(settings.upload_limit_mb),
        ],
        log,
        {"PYTHONPATH": os.pathsep.join(search)},
        settings.state_dir,
    )  # fmt: skip
    front = replace(front, pid=begun.pid, create_time=begun.create_time)
    # at once: a relay that no file names would not be found again
    server.keep(settings, front)
    end = time.monotonic() + RELAY_SECONDS
    while time.monotonic() < end and server.is_alive(front):
        if relay.status(front.port) is not None and process.listens(begun, front.port):
            return front
        change.waited()
        time.sleep(POLL_SECONDS)
    process.stop(begun)
    said = process.log_tail(log, 1) or "it did not answer"
    raise ServerError(
        f"The live endpoint could not be started on port {front.port}: {said.rstrip('.')}. "
        f"Its log is {log.name}. Start it again."
    )
