"""The processes of endpoints: their ports, start, first answer, end and logs.

`core.serving.server` describes an endpoint and keeps its record; `core.serving.worker` is the
process.
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

from core.platform import permissions, process, state
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, NotReadyError, ServerError, without_secrets
from core.platform.messages import Message, Words
from core.serving import server as servers
from core.serving.server import Server

POLL_SECONDS = 0.1
PORT_SECONDS = 1.0
START_SECONDS = 120.0


def answers(server: Server) -> bool:
    """Return whether this very server answers `/ping`."""
    connection = HTTPConnection(process.HOST, server.own_port, timeout=1.0)
    try:
        connection.request("GET", "/ping")
        is_up = connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    # another program may have taken the port meanwhile, and answer /ping too
    return is_up and process.listens(server.process, server.own_port)


def check_port(settings: Settings, port: int) -> None:
    """Verify that a model can be served on this port.

    Raises
    ------
    InputError
        When the port is in use; the message names our own server there, if any.
    """
    if not 1024 <= port <= 65535:
        raise InputError(in_use(port))
    for server in servers.servers(settings):
        if server.port == port and servers.is_alive(server):
            raise InputError(in_use(port))
    if not process.port_is_free(port):
        raise InputError(in_use(port))


def in_use(port: int) -> Message:
    """Return that a model cannot be served on a port."""
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
    taken = {server.port for server in servers.kept(settings)}
    first = min(settings.serve_port + offset, 65536 - process.PORTS_TRIED)
    return process.free_port(first, taken)


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
        endpoint = replace(
            described,
            port=port,
            state="starting",
            started=time.time(),
            log_path=log_path(settings, port),
        )
        servers.keep_within(settings, connection, endpoint)
    return endpoint


def start(settings: Settings, endpoint: Server, **values: object) -> Server:
    """Start the process of an endpoint; `wait_until_ready` waits for its first answer.

    Parameters
    ----------
    endpoint : Server
        The endpoint on record, whose process has ended.
    **values
        Changes of its record, of which it is started.

    Raises
    ------
    InputError
        When another program has the port.
    NotReadyError
        When the endpoint was stopped meanwhile.
    """
    # its child processes may have outlived it, and hold the port
    process.stop(endpoint.process)
    end = time.monotonic() + PORT_SECONDS
    # threads of a killed process release its sockets some moments later
    while not process.port_is_free(endpoint.port):
        if time.monotonic() > end:
            raise InputError(in_use(endpoint.port))
        time.sleep(POLL_SECONDS)
    # its process will say which own port it has
    endpoint = servers.change(settings, endpoint, **values, control=None)
    started = process.start(
        _command(endpoint),
        log_path(settings, endpoint.port),
        _environment(settings),
        settings.state_dir,
    )
    try:
        # at once: a process without a record could not be identified again
        return servers.change(
            settings,
            endpoint,
            pid=started.pid,
            create_time=started.create_time,
            boot=started.boot,
            silent_since=None,
        )
    except BaseException:
        process.stop(started)
        raise


def wait_until_ready(
    settings: Settings,
    server: Server,
    timeout: float = START_SECONDS,
    on_wait: Callable[[float], None] | None = None,
) -> Server:
    """Return the server once it has answered, marked `ready` for good.

    Parameters
    ----------
    timeout : float
        Seconds until its first answer.
    on_wait : callable, optional
        Called several times a second with the seconds waited so far.

    Raises
    ------
    ServerError
        When it ends by itself, with the reason from its log, or does not answer in time.
    """
    started = time.monotonic()
    while servers.is_alive(server):
        # with several processes, it answers on a port that it has chosen meanwhile
        server = servers.find(settings, server.port) or server
        if answers(server):
            return servers.change(settings, server, state="ready", problem=None)
        waited = time.monotonic() - started
        if waited > timeout:
            raise not_started(server, late(timeout))
        if on_wait is not None:
            on_wait(waited)
        time.sleep(POLL_SECONDS)
    raise not_started(server, reason(settings, server))


def late(timeout: float) -> Message:
    """Return that nothing answered in time."""
    return Message("no answer within {timeout:g} seconds", timeout=timeout)


def not_started(server: Server, reason: Words) -> ServerError:
    """Return the error of a version that cannot be served."""
    return ServerError(
        Message(
            "{server} did not start on port {port}: {reason}. Its log is {log}.",
            server=server.name,
            port=server.port,
            reason=reason,
            log=server.log_path.name,
        )
    )


def reason(settings: Settings, server: Server) -> Words:
    """Return why a server ended, according to its log."""
    return _reason(process.log_tail(log_path(settings, server.port), 200))


@permissions.needs("serve")
def stop(settings: Settings, port: int) -> Server:
    """Stop the endpoint on this port, with all its processes.

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


@permissions.needs("serve")
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
    if servers.current_state(server) in ("starting", "ready"):
        raise InputError(
            Message("{server} runs on port {port}. Stop it first.", server=server.name, port=port)
        )
    _end(settings, server)


def stop_unfinished(settings: Settings, job_id: str) -> list[Server]:
    """Stop the endpoints that this job started and that have never answered.

    For a job that was cancelled or killed while it waited.
    """
    unfinished = [
        server
        for server in servers.kept(settings)
        if server.job_id == job_id and server.state == "starting"
    ]
    for server in unfinished:
        _end(settings, server)
    return [replace(server, state="stopped") for server in unfinished]


def log_tail(settings: Settings, port: int) -> str:
    """Return the last lines that the endpoint of this port printed, empty if there are none."""
    return without_secrets(process.log_tail(log_path(settings, port), 40))


def log_path(settings: Settings, port: int) -> Path:
    """Return the log of an endpoint."""
    return settings.logs_dir / f"serve-{port}.log"


def command_line(server: Server) -> str:
    """Return the MLflow command that serves the same on the same port, for display."""
    return (
        f"mlflow models serve --model-uri models:/{server.model}/{server.version} "
        f"--host {process.HOST} --port {server.port} --workers 1 --env-manager local"
    )


def _command(endpoint: Server) -> list[str]:
    return [sys.executable, "-m", "core.serving.worker", str(endpoint.port)]


def _environment(settings: Settings) -> dict[str, str]:
    search = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **settings.environment(),
        "PYTHONPATH": os.pathsep.join(search),
        # as `mlflow models serve` sets it for its scoring server
        "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": os.environ.get(
            "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "60"
        ),
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }


def _end(settings: Settings, server: Server) -> None:
    with state.transaction(settings) as connection:
        # it may be another process by now
        server = servers.find_within(settings, connection, server.port) or server
        # from here on nobody restarts it
        server = replace(server, state="stopped")
        servers.keep_within(settings, connection, server)
    process.stop(server.process)
    shadowing = [served for served in servers.kept(settings) if served.shadow == server.port]
    with state.transaction(settings) as connection:
        # meanwhile the port may have become another server's
        standing = servers.find_within(settings, connection, server.port)
        if standing is not None and standing.process == server.process:
            servers.remove_within(connection, server.port)
            for other in shadowing:
                if (now := servers.find_within(settings, connection, other.port)) is not None:
                    servers.keep_within(settings, connection, replace(now, shadow=None))


def _reason(log: str) -> Words:
    r"""Return why a server ended, according to its log.

    Examples
    --------
    >>> _reason("Traceback\nValueError: bad file\nException: Command 'x' returned 1")
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
