"""The processes of model servers: their ports, start, first answer, end and logs.

Each is MLflow's scoring server of one version. `core.serving.server` describes it and keeps its
record; `core.serving.restarts` starts the gateways of endpoints.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from core.platform import process, state
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, ServerError, without_secrets
from core.platform.messages import Message, Words
from core.serving import server as servers
from core.serving.server import Server

POLL_SECONDS = 0.1
# Servers behind gateways have ports of their own, apart from the public ones.
BACKEND_OFFSET = 100


def answers(server: Server) -> bool:
    """Return whether this very server answers `/ping`."""
    connection = HTTPConnection(process.HOST, server.port, timeout=1.0)
    try:
        connection.request("GET", "/ping")
        is_up = connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    # another program may have taken the port meanwhile, and answer /ping too
    return is_up and process.listens(server.process, server.port)


def check_port(settings: Settings, port: int) -> None:
    """Verify that a model can be served on this port.

    Raises
    ------
    InputError
        When the port is in use; the message names our own server there, if any.
    """
    if not 1024 <= port <= 65535:
        raise InputError(_in_use(port))
    for server in servers.servers(settings):
        # the gateway of an endpoint outlives the server behind it
        if server.port == port and (server.state != "died" or servers.is_alive(server)):
            raise InputError(_in_use(port))
    if port in _backends(settings) or not process.port_is_free(port):
        raise InputError(_in_use(port))


def _in_use(port: int) -> Message:
    return Message(
        "Port {port} is in use, or not from 1024 to 65535. Choose another port.", port=port
    )


def free_port(settings: Settings, offset: int = 1) -> int:
    """Return the first port that a model can be served on.

    Parameters
    ----------
    offset : int
        The first port to try, relative to `settings.serve_port`. Offset 0 is reserved for the live
        endpoint.

    Raises
    ------
    InputError
        When a hundred ports are in use.
    """
    # a dead server keeps its port: it may be restarted
    in_use = {server.port for server in servers.servers(settings)}
    first = min(settings.serve_port + offset, 65536 - process.PORTS_TRIED)
    return process.free_port(first, in_use | _backends(settings))


def reserve(settings: Settings, described: Server) -> Server:
    """Record a port for an endpoint that is about to start, and return the endpoint.

    Parameters
    ----------
    described : Server
        Port 0 takes the first free one.

    Raises
    ------
    InputError
        When the port is in use.
    """
    with state.transaction(settings) as connection:
        port = described.port or free_port(settings, 0 if described.is_live else 1)
        check_port(settings, port)
        front = replace(described, port=port, state="starting", started=time.time(), backend=0)
        servers.keep_within(settings, connection, front)
    return front


def start(settings: Settings, described: Server) -> Server:
    """Start the scoring server of a version; `wait_until_ready` waits for its first answer.

    Parameters
    ----------
    described : Server
        Version, files and endpoint; port 0 takes the first free one.

    Raises
    ------
    InputError
        When the port is in use.
    NotReadyError
        When its endpoint was stopped meanwhile.
    """
    old = servers.find(settings, described.port) if described.port else None
    if old is not None and not servers.is_alive(old):
        # its child processes may have outlived it, and hold the port
        process.stop(old.process)
    # two jobs must not choose the same free port: it is bound only seconds later
    with state.transaction(settings) as connection:
        port, front = described.port, described.front
        if front is not None and not _is_wanted(settings, front):
            raise NotReadyError(
                Message(
                    "There is no endpoint on port {port}. It may be stopped already.", port=front
                )
            )
        if not port:
            port = free_port(settings, BACKEND_OFFSET)
        check_port(settings, port)
        log_path = settings.logs_dir / f"serve-{port}.log"
        started = process.start(
            _command(described, port),
            log_path,
            _environment(settings, described),
            settings.state_dir,
        )
        server = replace(
            described,
            port=port,
            pid=started.pid,
            create_time=started.create_time,
            boot=started.boot,
            state="starting",
            started=time.time(),
            log_path=log_path,
            backend=None,
            silent_since=None,
        )
        servers.keep_within(settings, connection, server)
    return server


def wait_until_ready(
    settings: Settings,
    server: Server,
    timeout: float = 120.0,
    on_wait: Callable[[float], None] | None = None,
) -> Server:
    """Return the server once it has answered, marked `ready` for good.

    Parameters
    ----------
    timeout : float
        Seconds after which it is stopped.
    on_wait : callable, optional
        Called several times a second with the seconds waited so far.

    Raises
    ------
    ServerError
        When it ends by itself, with the reason from its log, or does not answer in time.
    """
    started = time.monotonic()
    while servers.is_alive(server):
        if answers(server):
            return servers.change(settings, server, state="ready")
        waited = time.monotonic() - started
        if waited > timeout:
            _end(settings, server)
            raise ServerError(
                Message(
                    "{server} did not start on port {port}: {reason}. Its log is {log}.",
                    server=server.name,
                    port=server.port,
                    reason=Message("no answer within {timeout:g} seconds", timeout=timeout),
                    log=server.log_path.name,
                )
            )
        if on_wait is not None:
            on_wait(waited)
        time.sleep(POLL_SECONDS)
    _end(settings, server)
    reason = _reason(process.log_tail(server.log_path, 200), server.port)
    raise ServerError(
        Message(
            "{server} did not start on port {port}: {reason}. Its log is {log}.",
            server=server.name,
            port=server.port,
            reason=reason,
            log=server.log_path.name,
        )
    )


def stop(settings: Settings, port: int) -> Server:
    """Stop the server on this port and the server behind it, including child processes.

    It cannot be restarted afterwards, and gets no more copies of requests.

    Raises
    ------
    NotReadyError
        When none of ours is there.
    """
    server = servers.find(settings, port)
    if server is None:
        raise NotReadyError(servers.not_there(port))
    _end(settings, server)
    return replace(server, state="stopped")


def dismiss(settings: Settings, port: int) -> None:
    """Delete the record of a dead server; its log stays.

    Raises
    ------
    InputError
        When it runs.
    """
    server = servers.find(settings, port)
    if server is None:
        return
    if servers.current_state(settings, server) in ("starting", "ready"):
        raise InputError(
            Message("{server} runs on port {port}. Stop it first.", server=server.name, port=port)
        )
    _end(settings, server)


def stop_unfinished(settings: Settings, job_id: str) -> list[Server]:
    """Stop the servers that this job started and that have never answered.

    For a job that was cancelled or killed while it waited, or while an endpoint switched servers:
    the one of the two that the endpoint does not use is stopped as well.
    """
    unfinished = [
        server
        for server in servers.kept(settings)
        if server.job_id == job_id
        and (
            server.state == "starting"
            or (server.front is not None and not servers.is_behind(settings, server))
        )
    ]
    for server in unfinished:
        _end(settings, server)
    return [replace(server, state="stopped") for server in unfinished]


def log_tail(settings: Settings, port: int, *, gateway: bool = False) -> str:
    """Return the last lines that the server of this port printed, empty if there are none.

    Parameters
    ----------
    gateway : bool
        Whether to return the lines of an endpoint's gateway, not of the server behind it.
    """
    server = servers.find(settings, port)
    path = settings.logs_dir / f"serve-{port}.log"
    if gateway:
        path = gateway_log(settings, port)
    elif server is not None and server.backend is not None:
        path = server.log_path
    return without_secrets(process.log_tail(path, 40))


def gateway_log(settings: Settings, port: int) -> Path:
    """Return the log of the gateway of an endpoint."""
    return settings.logs_dir / f"gateway-{port}.log"


def command_line(server: Server) -> str:
    """Return the MLflow command that serves the same on the same port, for display."""
    return (
        f"mlflow models serve --model-uri models:/{server.model}/{server.version} "
        f"--host {process.HOST} --port {server.port} --workers 1 --env-manager local"
    )


def _command(described: Server, port: int) -> list[str]:
    """Return the command of MLflow's own scoring server.

    `mlflow models serve` starts the same program through a shell, from a process that imports
    everything once more: two processes, and twice the time to the first answer.
    """
    return [
        sys.executable,
        "-m",
        "uvicorn",
        "--host",
        process.HOST,
        "--port",
        str(port),
        "--workers",
        "1",
        "mlflow.pyfunc.scoring_server.app:app",
    ]


def _environment(settings: Settings, described: Server) -> dict[str, str]:
    place = "" if described.folder is None else described.folder.as_uri()
    return {
        # as `mlflow models serve` sets it for its scoring server
        "__pyfunc_model_path__": place,
        "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": os.environ.get(
            "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "60"
        ),
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # a line per request would fill the log
        "UVICORN_ACCESS_LOG": "false",
    }


def _backends(settings: Settings) -> set[int]:
    """Return the ports behind endpoints: those in use or dead, and those of servers starting up.

    A starting server is not named by its endpoint yet, and binds its port only seconds later.
    """
    every = servers.kept(settings)
    named = {server.backend for server in every if server.backend is not None}
    return named | {server.port for server in every if server.front and servers.is_alive(server)}


def _is_wanted(settings: Settings, port: int) -> bool:
    front = servers.find(settings, port)
    return front is not None and front.state != "stopped"


def _end(settings: Settings, server: Server) -> None:
    if server.backend is not None:
        with state.transaction(settings) as connection:
            # its gateway may be another process by now
            server = servers.find_within(settings, connection, server.port) or server
            # from here on nobody restarts it or the server behind it
            server = replace(server, state="stopped")
            servers.keep_within(settings, connection, server)
    process.stop(server.process)
    if server.backend is not None:
        for other in servers.behind_all(settings, server.port):
            _end(settings, other)
    shadowing = [served for served in servers.kept(settings) if served.shadow == server.port]
    with state.transaction(settings) as connection:
        # meanwhile the port may have become another server's
        standing = servers.find_within(settings, connection, server.port)
        if standing is not None and standing.process == server.process:
            servers.remove_within(connection, server.port)
            for other in shadowing:
                if (now := servers.find_within(settings, connection, other.port)) is not None:
                    servers.keep_within(settings, connection, replace(now, shadow=None))


def _reason(log: str, port: int) -> Words:
    r"""Return why a server ended, according to its log.

    Examples
    --------
    >>> _reason("Traceback\nValueError: bad file\nException: Command 'x' returned 1", 5001)
    'ValueError: bad file'
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return "–"
    # mlflow's own line about its child only repeats that it ended
    named = [
        line
        for line in lines
        if re.match(r"[\w.]*(Error|Exception|Exit)\b.*: ", line)
        and not line.startswith("Exception: Command ")
    ]
    return (named or lines)[-1][:500].rstrip(".")
