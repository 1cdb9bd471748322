"""Endpoints: ports whose model can change, or restart, without a failed request.

A gateway (`core.serving.gateway`) listens on the port, with a server of one version behind it on a
port of its own. Both keep running when the app stops. One endpoint, the live one, follows the
champion; others serve the challenger, or any version, beside it. `core.serving.server` describes
an endpoint as a single server.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from core.platform import process, project
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError
from core.platform.messages import Message, sentences
from core.platform.model_store import CHAMPION
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.serving import gateway, restarts, server, server_process
from core.serving.restarts import revive
from core.serving.server import Server

__all__ = [
    "begin",
    "check_shadow",
    "endpoints",
    "follow",
    "live",
    "restart",
    "revive",
    "set_shadow",
    "stop",
]

POLL_SECONDS = 0.05
# Longer than MLflow's own limit per request, 60 s.
DRAIN_SECONDS = 120.0


def endpoints(settings: Settings) -> list[Server]:
    """Return the endpoints that were started and not stopped: the live one, then by port."""
    started = [endpoint for endpoint in server.servers(settings) if endpoint.backend is not None]
    return sorted(started, key=lambda endpoint: (not endpoint.is_live, endpoint.port))


def live(settings: Settings) -> Server | None:
    """Return the live endpoint, None when it was not started or was stopped.

    `port` and `url` are those for callers, `version` is the one that answers, since `started`. It
    is `restarting` when the server behind it has ended, `died` when its gateway has.
    """
    return next((endpoint for endpoint in endpoints(settings) if endpoint.is_live), None)


def follow(
    settings: Settings,
    version: ModelVersion,
    on_wait: Callable[[float], None] | None = None,
    *,
    alias: str | None = CHAMPION,
    job_id: str | None = None,
    timeout: float = restarts.START_SECONDS,
) -> Server:
    """Serve this version on the live endpoint, and return when it answers.

    The old version answers until the new one can; then new requests go to the new one, those in
    flight are awaited, and the old one is stopped. If the new one does not start, the old one
    stays. A missing live endpoint is started, on `settings.serve_port` if that is free; a dead one
    is restarted on its port. If this version answers already, nothing happens. A shadow endpoint of
    the same version no longer gets copies of requests.

    Parameters
    ----------
    on_wait : callable, optional
        Called several times a second with the seconds waited so far.
    alias : str or None
        Shown beside the version.
    job_id : str or None
        The job that waits for it; see `server_process.stop_unfinished`.
    timeout : float
        Seconds until the new server's first answer.

    Raises
    ------
    InputError
        When another program has taken the endpoint's port; nothing was changed.
    NotReadyError
        When another change of the endpoint does not finish, or it is stopped meanwhile.
    StoreError
        When the files of the version are not the registered ones.
    ServerError
        When the server or the gateway ends, or does not answer in time.
    """
    change = _Change(settings, version, alias, job_id, timeout, on_wait, time.monotonic())
    with server.exclusive(settings, "live", change.waited):
        current = live(settings)
        if current is not None and current.state in ("starting", "stopped"):
            # leftovers of a killed change or stop: nobody else is working on them now
            _stop_quietly(settings, current.port)
            current = None
        if current is None:
            return _begin(change, 0, is_live=True)
        with server.exclusive(settings, str(current.port), change.waited):
            return _follow(change, current.port)


def begin(
    settings: Settings,
    version: ModelVersion,
    port: int | None,
    on_wait: Callable[[float], None] | None = None,
    *,
    alias: str | None,
    job_id: str | None = None,
) -> Server:
    """Serve a version beside the live endpoint, and return when it answers.

    Parameters
    ----------
    port : int or None
        None takes the first free one.
    alias : str or None
        The requested alias, None if a version was requested.

    Raises
    ------
    InputError
        When the port is in use.
    StoreError, ServerError
        As for `follow`; nothing is left running then.
    """
    change = _Change(
        settings, version, alias, job_id, restarts.START_SECONDS, on_wait, time.monotonic()
    )
    return _begin(change, port or 0, is_live=False)


def restart(settings: Settings, port: int) -> None:
    """Restart a dead or abandoned endpoint, without waiting for it.

    Raises
    ------
    NotReadyError
        When there is none on this port.
    """
    front = server.find(settings, port)
    if front is None or front.backend is None:
        raise NotReadyError(server.not_there(port))
    # its watch counts restarts from zero again
    server.change(settings, front, state="ready", problem=None, restarts=0)
    restarts.begin(settings, port)


def set_shadow(settings: Settings, port: int, *, on: bool) -> Server:
    """Start or stop sending this endpoint a copy of every request to the live one.

    Returns the live endpoint.

    Raises
    ------
    NotReadyError
        When there is no live endpoint, or none on this port.
    InputError
        When both serve the same version.
    """
    front, other = _shadowed(settings), server.find(settings, port)
    if not on:
        return server.change(settings, front, shadow=None) if front.shadow == port else front
    if other is None or other.backend is None:
        raise NotReadyError(server.not_there(port))
    _check_shadow(front, _version_of(other))
    return server.change(settings, front, shadow=port)


def check_shadow(settings: Settings, version: ModelVersion) -> None:
    """Verify that this version may shadow the live endpoint; raises as `set_shadow` does."""
    _check_shadow(_shadowed(settings), _version_of_registered(version))


def stop(settings: Settings) -> Server:
    """Stop the live endpoint: the gateway first, then the server behind it.

    Raises
    ------
    NotReadyError
        When there is none.
    """
    front = live(settings)
    if front is None:
        raise NotReadyError(server.NO_MODEL_SERVED)
    return server_process.stop(settings, front.port)


@dataclass(frozen=True)
class _Change:
    """The requested change of an endpoint."""

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

    def described(self) -> Server:
        """Return the version as a server to start, with its registered files."""
        # the server runs the code among the version's files
        servable = version_files.servable(self.settings, self.version)
        spec = project.of(self.settings)
        return Server(
            port=0,
            pid=0,
            create_time=0.0,
            model=self.version.name,
            version=self.version.version,
            alias=self.alias,
            run_id=self.version.run_id,
            state="starting",
            started=time.time(),
            log_path=self.settings.logs_dir / "serve.log",
            job_id=self.job_id,
            sample=self.version.is_sample,
            inputs=servable.inputs,
            rules={**servable.rules, spec.id: asdict(spec.columns[spec.id].rule)},
            is_complete=servable.is_complete,
            threshold=servable.threshold,
            key=spec.id,
            folder=servable.folder,
            digests=servable.digests,
        )

    def wait_until_ready(self, new: Server) -> Server:
        return server_process.wait_until_ready(self.settings, new, self.timeout, self.waited)


def _begin(change: _Change, port: int, *, is_live: bool) -> Server:
    """Start an endpoint and the server behind it, in parallel."""
    settings = change.settings
    described = replace(change.described(), is_live=is_live)
    if port:
        server_process.check_port(settings, port)
        # a dead endpoint on the port, with all its leftovers
        _stop_quietly(settings, port)
    front = server_process.reserve(settings, replace(described, port=port))
    try:
        with server.exclusive(settings, str(front.port), change.waited):
            new = server_process.start(
                settings, replace(described, front=front.port, is_live=False)
            )
            front = server.change(settings, front, backend=new.port, log_path=new.log_path)
            front = restarts.start_gateway(settings, front, change.waited)
            change.wait_until_ready(new)
            return server.change(settings, front, state="ready", started=time.time())
    except BaseException:
        # an endpoint that never answered is not left behind
        _stop_quietly(settings, front.port)
        raise


def _follow(change: _Change, port: int) -> Server:
    """Change the version of the live endpoint on this port, and restart its dead parts."""
    settings = change.settings
    front = server.find(settings, port)
    if front is None or front.state == "stopped":
        raise NotReadyError(server.not_there(port))
    if server.is_alive(front) and not _answers(change, front):
        process.kill(front.process)
    old = server.behind(settings, front)
    for left in server.behind_all(settings, port):
        if left != old:
            _stop_quietly(settings, left.port)
    if not server.is_alive(front):
        front = restarts.start_gateway(settings, front, change.waited)
    if old is not None and _version_of(old) == _version_of_registered(change.version):
        return server.change(settings, front, alias=change.alias, state="ready", problem=None)
    try:
        now = _put_in_place(change, front, old)
    except CourtsideError as error:
        if old is None:
            raise
        still = Message("The live endpoint serves version {version}.", version=old.version)
        raise type(error)(sentences(error.message, still)) from error
    if old is not None:
        _drain(change, now, old)
        _stop_quietly(settings, old.port)
    return now


def _answers(change: _Change, front: Server) -> bool:
    """Return whether the gateway answers before it counts as hung."""
    end = time.monotonic() + change.settings.hang_seconds
    while gateway.status(front.port) is None:
        if time.monotonic() > end or not server.is_alive(front):
            return False
        change.waited()
        time.sleep(POLL_SECONDS)
    return True


def _put_in_place(change: _Change, front: Server, old: Server | None) -> Server:
    """Start the new server, and switch the gateway to it for new requests."""
    settings = change.settings
    described = change.described()
    new = server_process.start(settings, replace(described, front=front.port))
    try:
        new = change.wait_until_ready(new)
        if old is not None:
            # if this job is killed from here on, the old one is stopped with the job's servers
            server.change(settings, old, job_id=change.job_id)
        shadow = None if front.shadow is None else server.find(settings, front.shadow)
        is_itself = shadow is not None and _version_of(shadow) == _version_of(new)
        return server.change(
            settings,
            front,
            backend=new.port,
            **{name: getattr(described, name) for name in DESCRIBED},
            log_path=new.log_path,
            state="ready",
            started=time.time(),
            shadow=None if is_itself else front.shadow,
            restarts=0,
            problem=None,
        )
    except BaseException:
        _stop_quietly(settings, new.port)
        raise


# fields of the endpoint that come from the version it changes to
DESCRIBED = (
    "model",
    "version",
    "alias",
    "run_id",
    "job_id",
    "sample",
    "inputs",
    "is_complete",
    "threshold",
    "key",
    "folder",
    "digests",
)


def _drain(change: _Change, front: Server, old: Server) -> None:
    """Wait until the gateway sends nothing to the old server and has all its responses."""
    end = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < end and server.is_alive(front):
        status = gateway.status(front.port)
        if status is not None and status.backend != old.port and not status.in_flight.get(old.port):
            return
        change.waited()
        time.sleep(POLL_SECONDS)


def _shadowed(settings: Settings) -> Server:
    front = live(settings)
    if front is None:
        raise NotReadyError(server.NO_MODEL_SERVED)
    return front


def _check_shadow(front: Server, version: tuple[str, str, str]) -> None:
    if _version_of(front) == version:
        raise InputError(Message("{reason!c}.", reason=server.NO_OWN_SHADOW))


def _version_of(served: Server) -> tuple[str, str, str]:
    # the same number in another registry is another model
    return (served.model, served.version, served.run_id)


def _version_of_registered(version: ModelVersion) -> tuple[str, str, str]:
    return (version.name, version.version, version.run_id)


def _stop_quietly(settings: Settings, port: int) -> None:
    with suppress(NotReadyError):
        server_process.stop(settings, port)
