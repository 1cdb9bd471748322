"""Model servers that were started and not stopped: their records and processes.

Callers use a gateway (`core.serving.endpoint` starts it), recorded here as a server with the port
of its backend: MLflow's scoring server of one version, in a process of its own. Both keep running
when the app stops, and are found again by their records.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sql
from sqlalchemy.dialects.sqlite import insert

from core.platform import identity, locks, process, set_aside, state
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, ServerError, without_secrets
from core.platform.rows import Rule, rule_of

State = Literal["starting", "ready", "silent", "restarting", "stopped", "died"]
POLL_SECONDS = 0.1
TURN_SECONDS = 300.0
# Servers behind gateways have ports of their own, apart from the public ones.
BACKEND_OFFSET = 100

_table = sql.Table(
    "servers",
    state.TABLES,
    sql.Column("port", sql.Integer, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
)


# by database: the version of the state, and the servers at that version
_read: dict[Path, tuple[tuple[int, int], dict[int, Server | None]]] = {}


@dataclass(frozen=True)
class Server:
    """A served version, as recorded under its port.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    pid, create_time
        Together they identify the process; for an endpoint, its gateway's.
    model, version : str
        The registered model and its version.
    alias : str or None
        The requested alias, None if a version was requested.
    run_id : str
        The run that logged the model.
    state : str
        `starting` until the first answer, then `ready`. `servers` may also report an endpoint as
        `silent`, while its gateway or the server behind it lives and does not answer;
        `restarting`, while the server behind it has ended and is being restarted; `died`, when
        nothing restarts it; and `stopped`, while it is being stopped.
    started : float
        Seconds since 1970; for an endpoint, since when it serves this version.
    log_path : Path
        Its output.
    job_id : str or None
        The background job that started it.
    sample : bool
        Whether the model was trained on the built-in sample.
    backend : int or None
        For an endpoint: the port of the server behind it.
    front : int or None
        For a server behind an endpoint: the endpoint's port.
    is_live : bool
        Whether it is the endpoint that follows the champion.
    inputs : dict of str to {"number", "text"}
        Input columns of the model, in order.
    is_complete : bool
        Whether the model refuses rows with a missing value.
    threshold : float or None
        Lowest probability, 0 to 1, that is labelled 1.
    key : str or None
        The project's natural key, an optional extra column of a request.
    shadow : int or None
        The port of another endpoint that gets a copy of every request.
    restarts : int
        Automatic restarts of the server behind it since a person started it.
    problem : str or None
        Why it is down, or cannot be restarted, as a sentence.
    folder : Path or None
        The local files of the version.
    digests : dict of str to str
        The registered SHA-256 of its files, by file name.
    boot : str
        The `process.boot_id` of its process.
    home : str or None
        The home that it belongs to, see `core.platform.identity`; set by `keep`.
    silent_since : float or None
        When its own process last stopped answering, in seconds since 1970; None while it answers.
    rules : dict of str to dict
        Permitted values of each input, and of the key, see `core.platform.rows.rule_of`; without a
        rule, any number or text.
    """

    port: int
    pid: int
    create_time: float
    model: str
    version: str
    alias: str | None
    run_id: str
    state: State
    started: float
    log_path: Path
    job_id: str | None
    sample: bool
    backend: int | None = None
    front: int | None = None
    is_live: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = True
    threshold: float | None = None
    key: str | None = None
    shadow: int | None = None
    restarts: int = 0
    problem: str | None = None
    folder: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    boot: str = ""
    home: str | None = None
    silent_since: float | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://{process.HOST}:{self.port}"

    @cached_property
    def contract(self) -> dict[str, Rule]:
        """The rule of each input, and of the key if known."""
        return {name: rule_of(about) for name, about in {**self.inputs, **self.rules}.items()}

    @property
    def name(self) -> str:
        """Display name, e.g. `kobe-shots version 3 (champion)`."""
        return f"{self.model} version {self.version}" + (f" ({self.alias})" if self.alias else "")

    @property
    def process(self) -> process.Process:
        """Its process, for `core.platform.process`."""
        return process.Process(self.pid, self.create_time, self.boot)


def servers(settings: Settings) -> list[Server]:
    """Return the servers that were started and not stopped, by port.

    Records and processes are read each time, so servers from an earlier session of the app are
    found, and dead ones are reported. An endpoint is one of them, with its own port and the version
    that it serves; the servers behind endpoints are not listed separately.
    """
    every = kept(settings)
    fronts = {server.port for server in every if server.backend is not None}
    return [
        replace(server, state=_state(settings, server))
        for server in every
        if server.front not in fronts
    ]


def find(settings: Settings, port: int) -> Server | None:
    """Return the record of our server on this port, alive or not, including one behind."""
    server = _all(settings).get(port)
    return server if server is not None and _is_ours(settings, server) else None


def is_kept(settings: Settings, port: int) -> bool:
    """Return whether this port has a record, of whatever home and readable or not."""
    return port in _all(settings)


def behind(settings: Settings, front: Server) -> Server | None:
    """Return the server behind an endpoint, None when it is gone."""
    server = None if front.backend is None else find(settings, front.backend)
    # the port may belong to another server by now
    if server is None or server.front != front.port or not is_alive(server):
        return None
    return server


def is_behind(settings: Settings, server: Server) -> bool:
    """Return whether an endpoint forwards its requests to this server now."""
    front = None if server.front is None else find(settings, server.front)
    return front is not None and front.backend == server.port


def behind_all(settings: Settings, port: int) -> list[Server]:
    """Return all servers started for the endpoint on this port, whether or not it uses them."""
    return [server for server in kept(settings) if server.front == port]


def is_alive(server: Server) -> bool:
    """Return whether its process runs."""
    return process.is_alive(server.process)


def is_silent(server: Server) -> bool:
    """Return whether its own process lives but, by the last check, does not answer."""
    return server.silent_since is not None or process.is_stopped(server.process)


def silent_since(settings: Settings, server: Server) -> float | None:
    """Return since when an endpoint has not answered, for whatever reason; None if unknown."""
    both = [server, behind(settings, server)]
    return min(
        (running.silent_since for running in both if running and running.silent_since), default=None
    )


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
        raise InputError(f"Port {port} cannot be used. Choose one from 1024 to 65535.")
    for server in servers(settings):
        # the gateway of an endpoint outlives the server behind it
        if server.port == port and (server.state != "died" or is_alive(server)):
            doing = "is starting there" if server.state == "starting" else "is served there"
            raise InputError(
                f"Port {port} is in use: {server.name} {doing}. Stop it, or choose another port."
            )
    if port in _backends(settings):
        raise InputError(f"Port {port} belongs to an endpoint. Choose another port.")
    if not process.port_is_free(port):
        raise InputError(f"Port {port} is in use by another program. Choose another port.")


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
    in_use = {server.port for server in servers(settings)}
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
        _keep(settings, connection, front)
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
    old = find(settings, described.port) if described.port else None
    if old is not None and not is_alive(old):
        # its child processes may have outlived it, and hold the port
        process.stop(old.process)
    # two jobs must not choose the same free port: it is bound only seconds later
    with state.transaction(settings) as connection:
        port, front = described.port, described.front
        if front is not None and not _is_wanted(settings, front):
            raise NotReadyError(f"The endpoint on port {front} was stopped meanwhile.")
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
        _keep(settings, connection, server)
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
    while is_alive(server):
        if answers(server):
            return change(settings, server, state="ready")
        waited = time.monotonic() - started
        if waited > timeout:
            _end(settings, server)
            raise ServerError(
                f"{server.name} did not answer on port {server.port} within {timeout:g} seconds "
                f"and was stopped. Its log is {server.log_path.name}."
            )
        if on_wait is not None:
            on_wait(waited)
        time.sleep(POLL_SECONDS)
    _end(settings, server)
    reason = _reason(process.log_tail(server.log_path, 200), server.port)
    raise ServerError(f"{server.name} could not be served: {reason}")


def change(settings: Settings, server: Server, **values: Any) -> Server:
    """Change some values of a server's current record, and return the server.

    Raises
    ------
    NotReadyError
        When it was stopped meanwhile, so that its record is gone.
    """
    with state.transaction(settings) as connection:
        standing = _find(settings, connection, server.port)
        # the gateway of an endpoint may be another process by now
        other = standing is not None and not server.backend and standing.process != server.process
        if standing is None or standing.state == "stopped" or other:
            raise NotReadyError(f"{server.name} on port {server.port} was stopped meanwhile.")
        changed = replace(standing, **values)
        _keep(settings, connection, changed)
    return changed


def stop(settings: Settings, port: int) -> Server:
    """Stop the server on this port and the server behind it, including child processes.

    It cannot be restarted afterwards, and gets no more copies of requests.

    Raises
    ------
    NotReadyError
        When none of ours is there.
    """
    server = find(settings, port)
    if server is None:
        raise NotReadyError(f"No model is served on port {port}. It may be stopped already.")
    _end(settings, server)
    return replace(server, state="stopped")


def dismiss(settings: Settings, port: int) -> None:
    """Delete the record of a dead server; its log stays.

    Raises
    ------
    InputError
        When it runs.
    """
    server = find(settings, port)
    if server is None:
        return
    if _state(settings, server) in ("starting", "ready"):
        raise InputError(f"{server.name} runs on port {port}. Stop it instead.")
    _end(settings, server)


def stop_unfinished(settings: Settings, job_id: str) -> list[Server]:
    """Stop the servers that this job started and that have never answered.

    For a job that was cancelled or killed while it waited, or while an endpoint switched servers:
    the one of the two that the endpoint does not use is stopped as well.
    """
    unfinished = [
        server
        for server in kept(settings)
        if server.job_id == job_id
        and (
            server.state == "starting"
            or (server.front is not None and not is_behind(settings, server))
        )
    ]
    for server in unfinished:
        _end(settings, server)
    return [replace(server, state="stopped") for server in unfinished]


def log_tail(settings: Settings, port: int, lines: int = 40, *, gateway: bool = False) -> str:
    """Return the last lines that the server of this port printed, empty if there are none.

    Parameters
    ----------
    gateway : bool
        Whether to return the lines of an endpoint's gateway, not of the server behind it.
    """
    server = find(settings, port)
    path = settings.logs_dir / f"serve-{port}.log"
    if gateway:
        path = gateway_log(settings, port)
    elif server is not None and server.backend is not None:
        path = server.log_path
    return without_secrets(process.log_tail(path, lines))


def gateway_log(settings: Settings, port: int) -> Path:
    """Return the log of the gateway of an endpoint."""
    return settings.logs_dir / f"gateway-{port}.log"


def kept(settings: Settings) -> list[Server]:
    """Return all records, including servers behind endpoints; `servers` adds their state."""
    return [server for server in _all(settings).values() if server and _is_ours(settings, server)]


def keep(settings: Settings, server: Server) -> None:
    """Replace the record of a server's port; a gateway rereads its own."""
    with state.transaction(settings) as connection:
        _keep(settings, connection, server)


@contextmanager
def exclusive(
    settings: Settings, name: str, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Serialize changes of an endpoint: a start, a switch, a restart.

    Parameters
    ----------
    name : str
        The endpoint's port, or `live` for the one that follows the champion.
    on_wait : callable, optional
        Called several times a second while waiting for another change.

    Raises
    ------
    NotReadyError
        When the other change does not finish.
    """
    with locks.exclusive(
        settings.state_dir / f"endpoint-{name}.lock",
        on_wait,
        patience=TURN_SECONDS,
        busy=(
            "Another change of this endpoint has been under way for "
            f"{TURN_SECONDS / 60:g} minutes. Look at the jobs, and try again when it is done."
        ),
    ):
        yield


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
    every = kept(settings)
    named = {server.backend for server in every if server.backend is not None}
    return named | {server.port for server in every if server.front and is_alive(server)}


def _is_wanted(settings: Settings, port: int) -> bool:
    front = find(settings, port)
    return front is not None and front.state != "stopped"


def _state(settings: Settings, server: Server) -> State:
    """Return the current state, from the record and from the running processes."""
    if server.state in ("stopped", "died"):
        return server.state
    if not is_alive(server):
        return "died"
    if server.state == "starting":
        return server.state
    answering = server if server.backend is None else behind(settings, server)
    if answering is None:
        # its gateway is restarting it
        return "restarting"
    return "silent" if is_silent(server) or is_silent(answering) else server.state


def _end(settings: Settings, server: Server) -> None:
    if server.backend is not None:
        with state.transaction(settings) as connection:
            # its gateway may be another process by now
            server = _find(settings, connection, server.port) or server
            # from here on nobody restarts it or the server behind it
            server = replace(server, state="stopped")
            _keep(settings, connection, server)
    process.stop(server.process)
    if server.backend is not None:
        for other in behind_all(settings, server.port):
            _end(settings, other)
    shadowing = [served for served in kept(settings) if served.shadow == server.port]
    with state.transaction(settings) as connection:
        # meanwhile the port may have become another server's
        standing = _find(settings, connection, server.port)
        if standing is not None and standing.process == server.process:
            connection.execute(sql.delete(_table).where(_table.c.port == server.port))
            for other in shadowing:
                if (now := _find(settings, connection, other.port)) is not None:
                    _keep(settings, connection, replace(now, shadow=None))


def _keep(settings: Settings, connection: sql.Connection, server: Server) -> None:
    home = identity.of_home(settings.state_dir)
    body = json.dumps(asdict(server) | {"home": home}, default=str)
    new = insert(_table).values(port=server.port, body=body)
    connection.execute(
        new.on_conflict_do_update(index_elements=["port"], set_={"body": new.excluded.body})
    )


def _all(settings: Settings) -> dict[int, Server | None]:
    """Return the record of each port, None if unreadable.

    Reread only after the state has changed: an endpoint needs it at every request.
    """
    place, version = state.path(settings), state.version(settings)
    if place not in _read or _read[place][0] != version:
        with state.reading(settings) as connection:
            rows = connection.execute(sql.select(_table).order_by(_table.c.port)).all()
        by_port = {port: _content(body) for port, body in rows}
        for port in (port for port, server in by_port.items() if server is None):
            set_aside.put(settings, "servers", f"port:{port}", "unreadable")
        _read[place] = version, by_port
    return _read[place][1]


def _find(settings: Settings, connection: sql.Connection, port: int) -> Server | None:
    mine = sql.select(_table.c.body).where(_table.c.port == port)
    body = connection.execute(mine).scalar_one_or_none()
    server = None if body is None else _content(body)
    return server if server is not None and _is_ours(settings, server) else None


def _is_ours(settings: Settings, server: Server) -> bool:
    """Return whether it belongs to this home; a copied database describes another's."""
    return identity.is_ours({"home": server.home}, settings.state_dir)


def _content(body: str) -> Server | None:
    try:
        content = json.loads(body)
        content["log_path"] = Path(content["log_path"])
        content["folder"] = Path(content["folder"]) if content.get("folder") else None
        return Server(**content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _reason(log: str, port: int) -> str:
    r"""Return why a server ended, according to its log.

    Examples
    --------
    >>> _reason("Traceback\nValueError: bad file\nException: Command 'x' returned 1", 5001)
    'ValueError: bad file'
    """
    if "address already in use" in log:
        return f"another program took port {port} meanwhile. Choose another port."
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return "it ended without a word."
    # mlflow's own line about its child only repeats that it ended
    named = [
        line
        for line in lines
        if re.match(r"[\w.]*(Error|Exception|Exit)\b.*: ", line)
        and not line.startswith("Exception: Command ")
    ]
    return (named or lines)[-1][:500]
