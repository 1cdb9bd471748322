"""Endpoints: ports whose model can change, or restart, without a failed request.

An endpoint is a process (`core.serving.worker`) that serves the version that its record describes.
For a change it loads the next version beside the live one; then the record changes, and every
request from then on is answered by the next one. It keeps running when the app stops. One endpoint,
the live one, follows the champion; others serve the challenger, or any version, beside it.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from core.platform import messages, permissions, process, project
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError, StoreError
from core.platform.messages import Message, sentences
from core.platform.model_store import CHAMPION
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.serving import api_keys, restarts, server, server_process
from core.serving.endpoint_status import status
from core.serving.protocol import LOAD_PATH, TOKEN
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


def endpoints(settings: Settings) -> list[Server]:
    """Return the endpoints that were started and not stopped: the live one, then by port."""
    return sorted(
        server.servers(settings), key=lambda endpoint: (not endpoint.is_live, endpoint.port)
    )


def live(settings: Settings) -> Server | None:
    """Return the live endpoint, None when it was not started or was stopped.

    `version` is the one that answers, since `started`.
    """
    return next((endpoint for endpoint in endpoints(settings) if endpoint.is_live), None)


def follow(
    settings: Settings,
    version: ModelVersion,
    on_wait: Callable[[float], None] | None = None,
    *,
    alias: str | None = CHAMPION,
    job_id: str | None = None,
    timeout: float = server_process.START_SECONDS,
    workers: int | None = None,
) -> Server:
    """Serve this version on the live endpoint, and return when it answers.

    The old version answers until the new one is loaded; then the new one answers new requests. If
    the new one does not load, the old one stays. A missing live endpoint is started, on
    `settings.serve_port` if that is free; a dead one is restarted on its port. If this version
    answers already, nothing happens. A shadow endpoint of the same version no longer gets copies of
    requests.

    Parameters
    ----------
    on_wait : callable, optional
        Called several times a second with the seconds waited so far.
    alias : str or None
        Shown beside the version.
    job_id : str or None
        The job that waits for it; see `server_process.stop_unfinished`.
    timeout : float
        Seconds until the new version's first answer.
    workers : int, optional
        Processes that answer; by default as many as before, or one.

    Raises
    ------
    InputError
        When another program has taken the endpoint's port; nothing was changed.
    NotReadyError
        When another change of the endpoint does not finish, or it is stopped meanwhile.
    StoreError
        When the files of the version are not the registered ones.
    ServerError
        When its process ends, or the version is not loaded in time.
    """
    change = _Change(settings, version, alias, job_id, timeout, on_wait, time.monotonic(), workers)
    with server.exclusive(settings, "live", change.waited):
        current = live(settings)
        recorded = None if current is None else server.find(settings, current.port)
        if current is not None and (recorded is None or recorded.state in ("starting", "stopped")):
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
    workers: int | None = None,
) -> Server:
    """Serve a version beside the live endpoint, and return when it answers.

    Parameters
    ----------
    port : int or None
        None takes the first free one.
    alias : str or None
        The requested alias, None if a version was requested.
    workers : int, optional
        Processes that answer, by default one.

    Raises
    ------
    InputError
        When the port is in use.
    StoreError, ServerError
        As for `follow`; nothing is left running then.
    """
    change = _Change(
        settings,
        version,
        alias,
        job_id,
        server_process.START_SECONDS,
        on_wait,
        time.monotonic(),
        workers,
    )
    return _begin(change, port or 0, is_live=False)


@permissions.needs("serve")
def restart(settings: Settings, port: int) -> None:
    """Restart a dead or abandoned endpoint, without waiting for it.

    Raises
    ------
    NotReadyError
        When there is none on this port.
    """
    endpoint = server.find(settings, port)
    if endpoint is None:
        raise NotReadyError(server.not_there(port))
    # the supervisor counts restarts from zero again
    server.change(settings, endpoint, state="ready", problem=None, restarts=-1)
    restarts.begin(settings, port)


@permissions.needs("serve")
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
    endpoint, other = _shadowed(settings), server.find(settings, port)
    if not on:
        return (
            server.change(settings, endpoint, shadow=None) if endpoint.shadow == port else endpoint
        )
    if other is None:
        raise NotReadyError(server.not_there(port))
    _check_shadow(endpoint, other.identity)
    return server.change(settings, endpoint, shadow=port)


def check_shadow(settings: Settings, version: ModelVersion) -> None:
    """Verify that this version may shadow the live endpoint; raises as `set_shadow` does."""
    _check_shadow(_shadowed(settings), _identity(version))


@permissions.needs("serve")
def stop(settings: Settings) -> Server:
    """Stop the live endpoint.

    Raises
    ------
    NotReadyError
        When there is none.
    """
    endpoint = live(settings)
    if endpoint is None:
        raise NotReadyError(server.NO_MODEL_SERVED)
    return server_process.stop(settings, endpoint.port)


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
    workers: int | None

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
            workers=self.workers or 1,
        )

    def wait_until_ready(self, endpoint: Server) -> Server:
        return server_process.wait_until_ready(self.settings, endpoint, self.timeout, self.waited)


def _begin(change: _Change, port: int, *, is_live: bool) -> Server:
    """Start an endpoint."""
    settings = change.settings
    described = replace(change.described(), is_live=is_live)
    if port:
        server_process.check_port(settings, port)
        # a dead endpoint on the port, with all its leftovers
        _stop_quietly(settings, port)
    endpoint = server_process.reserve(settings, replace(described, port=port))
    try:
        with server.exclusive(settings, str(endpoint.port), change.waited):
            endpoint = change.wait_until_ready(server_process.start(settings, endpoint))
            return server.change(settings, endpoint, started=time.time())
    except BaseException:
        # an endpoint that never answered is not left behind
        _stop_quietly(settings, endpoint.port)
        raise


def _follow(change: _Change, port: int) -> Server:
    """Change the version of the live endpoint on this port, or restart it."""
    settings = change.settings
    endpoint = server.find(settings, port)
    if endpoint is None or endpoint.state == "stopped":
        raise NotReadyError(server.not_there(port))
    if server.is_alive(endpoint) and not _answers(change, endpoint):
        process.kill(endpoint.process)
    if not server.is_alive(endpoint):
        return _restart(change, endpoint)
    if endpoint.identity == _identity(change.version):
        endpoint = change.wait_until_ready(endpoint)
        return server.change(
            settings, endpoint, alias=change.alias, workers=change.workers or endpoint.workers
        )
    try:
        described = change.described()
        _load(change, endpoint, described)
        return _switch(change, endpoint, described)
    except CourtsideError as error:
        still = Message("The live endpoint serves version {version}.", version=endpoint.version)
        raise type(error)(sentences(error.message, still)) from error


def _answers(change: _Change, endpoint: Server) -> bool:
    """Return whether the endpoint answers before it counts as hung."""
    end = time.monotonic() + change.settings.hang_seconds
    while status(endpoint.own_port) is None:
        if time.monotonic() > end or not server.is_alive(endpoint):
            return False
        change.waited()
        time.sleep(POLL_SECONDS)
    return True


def _restart(change: _Change, endpoint: Server) -> Server:
    """Start an endpoint that has ended, with the new version; if that fails, the old one stays."""
    settings = change.settings
    old = {name: getattr(endpoint, name) for name in DESCRIBED}
    described = change.described()
    new = server_process.start(
        settings, endpoint, **_fields(change, endpoint, described), state="restarting"
    )
    try:
        return change.wait_until_ready(new)
    except BaseException:
        with suppress(CourtsideError):
            process.stop(new.process)
            server.change(settings, new, **old, state="ready")
        raise


def _load(change: _Change, endpoint: Server, described: Server) -> None:
    """Have the endpoint load a version beside the live one."""
    settings = change.settings
    body = server.written(replace(described, port=endpoint.port)).encode()
    outcome: list[tuple[int, bytes]] = []

    def ask() -> None:
        connection = http.client.HTTPConnection(process.HOST, endpoint.own_port, timeout=None)
        with suppress(OSError, http.client.HTTPException):
            headers = {TOKEN: api_keys.internal_token(settings)}
            connection.request("POST", LOAD_PATH, body, headers)
            answer = connection.getresponse()
            outcome.append((answer.status, answer.read()))
        connection.close()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    begun = time.monotonic()
    new = replace(described, port=endpoint.port, log_path=endpoint.log_path)
    while asking.is_alive():
        asking.join(POLL_SECONDS)
        if time.monotonic() - begun > change.timeout:
            raise server_process.not_started(new, server_process.late(change.timeout))
        change.waited()
    if not outcome:
        raise server_process.not_started(new, server_process.reason(settings, endpoint))
    code, content = outcome[0]
    if code == 200:
        return
    facts = json.loads(content)
    problem = messages.from_data(facts.get("problem", facts.get("message", "")))
    if facts.get("is_changed"):
        raise StoreError(problem)
    raise server_process.not_started(new, problem)


def _switch(change: _Change, endpoint: Server, described: Server) -> Server:
    """Let the loaded version answer every request from now on."""
    return server.change(
        change.settings, endpoint, **_fields(change, endpoint, described), state="ready"
    )


def _fields(change: _Change, endpoint: Server, described: Server) -> dict[str, Any]:
    """Return the changes in the record of an endpoint that serves another version."""
    shadow = None if endpoint.shadow is None else server.find(change.settings, endpoint.shadow)
    is_itself = shadow is not None and shadow.identity == described.identity
    return {
        **{name: getattr(described, name) for name in DESCRIBED},
        "started": time.time(),
        "shadow": None if is_itself else endpoint.shadow,
        "workers": change.workers or endpoint.workers,
        "restarts": 0,
        "problem": None,
    }


# fields of the endpoint that come from the version it changes to
DESCRIBED = (
    "model",
    "version",
    "alias",
    "run_id",
    "job_id",
    "sample",
    "inputs",
    "rules",
    "is_complete",
    "threshold",
    "key",
    "folder",
    "digests",
)


def _shadowed(settings: Settings) -> Server:
    endpoint = live(settings)
    if endpoint is None:
        raise NotReadyError(server.NO_MODEL_SERVED)
    return endpoint


def _check_shadow(endpoint: Server, version: server.Identity) -> None:
    if endpoint.identity == version:
        raise InputError(Message("{reason!c}.", reason=server.NO_OWN_SHADOW))


def _identity(version: ModelVersion) -> server.Identity:
    return (version.name, version.version, version.run_id)


def _stop_quietly(settings: Settings, port: int) -> None:
    with suppress(NotReadyError):
        server_process.stop(settings, port)
