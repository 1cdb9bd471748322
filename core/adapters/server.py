"""Starts, finds again and stops `mlflow models serve`; a server goes on when the app stops.

A server stands alone on its port, or behind the live endpoint (`core.adapters.endpoint`), which is
told as a server too: one whose process is a relay, with the port of its backend.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from core.adapters import client, process
from core.adapters.tracking import ModelVersion
from core.config import Settings
from core.errors import InputError, NotReadyError, ServerError, without_secrets

State = Literal["starting", "ready", "stopped", "died"]
POLL_SECONDS = 0.25
# Servers behind the live endpoint have ports of their own, out of the way of those people call.
BACKEND_OFFSET = 100


@dataclass(frozen=True)
class Server:
    """A served version, as the file `state/servers/<port>.json` keeps it.

    Parameters
    ----------
    port : int
        On 127.0.0.1.
    pid, create_time
        The process, known by both; that of a live endpoint is its relay.
    model, version : str
        The registered model and its version.
    alias : str or None
        The alias that was asked for, if it was not a version.
    run_id : str
        The run that made the model.
    state : str
        `starting` until it has answered once, then `ready`; `died` when it ended by itself.
    started : float
        Seconds since 1970; of a live endpoint, since when this version answers there.
    log_path : Path
        What it prints.
    job_id : str or None
        The background job that started it.
    sample : bool
        Whether the model was trained on the built-in sample.
    backend : int or None
        For a live endpoint: the port of the server that answers for it.
    front : int or None
        For a server behind a live endpoint: the port of that.
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

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{process.HOST}:{self.port}"

    @property
    def name(self) -> str:
        """The version in words, e.g. `kobe-shots version 3 (champion)`."""
        return f"{self.model} version {self.version}" + (f" ({self.alias})" if self.alias else "")


def servers(settings: Settings) -> list[Server]:
    """Return the servers that were started and not stopped, by port.

    The files and the processes are asked each time, so servers of an earlier life of the app are
    found, and one that died since is told as `died`. The live endpoint is one of them, with its own
    port and the version that answers there; the server behind it is not listed beside it.
    """
    return [
        server if _answers(settings, server) else replace(server, state="died")
        for server in _kept(settings)
        if not is_behind(settings, server)
    ]


def find(settings: Settings, port: int) -> Server | None:
    """Return the server of ours on this port as it was kept, alive or not; also one behind."""
    return _read(file_of(settings, port))


def behind(settings: Settings, live: Server) -> Server | None:
    """Return the server that answers for a live endpoint, None when it is gone."""
    found = None if live.backend is None else find(settings, live.backend)
    # the port may have become another server's
    if found is None or found.front != live.port or not is_alive(found):
        return None
    return found


def is_behind(settings: Settings, server: Server) -> bool:
    """Tell whether a live endpoint passes its requests to this server now."""
    live = None if server.front is None else find(settings, server.front)
    return live is not None and live.backend == server.port


def behind_any(settings: Settings) -> list[Server]:
    """Return the servers that were started for a live endpoint, whether it names them or not."""
    return [server for server in _kept(settings) if server.front is not None]


def is_alive(server: Server) -> bool:
    """Tell whether its process runs."""
    return process.is_alive(_process(server))


def check_port(settings: Settings, port: int) -> None:
    """Do nothing if a model can be served on this port.

    Raises
    ------
    InputError
        When something else is there, saying which of ours it is.
    """
    if not 1024 <= port <= 65535:
        raise InputError(f"Port {port} cannot be used. Choose one from 1024 to 65535.")
    for server in servers(settings):
        # the relay of a live endpoint outlives the server behind it
        if server.port == port and (server.state != "died" or is_alive(server)):
            doing = "is starting there" if server.state == "starting" else "is served there"
            raise InputError(
                f"Port {port} is in use: {server.name} {doing}. Stop it, or choose another port."
            )
    if port in _backends(settings):
        raise InputError(f"Port {port} belongs to the live endpoint. Choose another port.")
    if not process.port_is_free(port):
        raise InputError(f"Port {port} is in use by another program. Choose another port.")


def free_port(settings: Settings, offset: int = 1) -> int:
    """Return the first port that a model can be served on.

    Parameters
    ----------
    offset : int
        Added to `settings.serve_port`, gives the first port tried. `serve_port` itself (0) is kept
        for the live endpoint.

    Raises
    ------
    InputError
        When a hundred ports are in use.
    """
    taken = {server.port for server in servers(settings) if server.state != "died"}
    first = min(settings.serve_port + offset, 65536 - process.PORTS_TRIED)
    return process.free_port(first, taken | _backends(settings))


def start(
    settings: Settings,
    version: ModelVersion,
    port: int | None,
    alias: str | None,
    job_id: str | None = None,
    front: int | None = None,
) -> Server:
    """Start serving a version; `wait_until_ready` waits for its first answer.

    Parameters
    ----------
    port : int or None
        None takes the first free one.
    alias : str or None
        The alias that was asked for, to be shown.
    job_id : str or None
        The job that waits for it; see `stop_unfinished`.
    front : int, optional
        The port of the live endpoint that it will answer for.

    Raises
    ------
    InputError
        When the port is in use.
    """
    _folder(settings).mkdir(parents=True, exist_ok=True)
    # two jobs must not both find the same port free: it is bound only seconds later
    with FileLock(settings.state_dir / "servers.lock", timeout=30):
        if port is None:
            port = free_port(settings, 1 if front is None else BACKEND_OFFSET)
        old = find(settings, port)
        if old is not None and not is_alive(old):
            # what it started may have outlived it, and hold the port
            process.stop(_process(old))
        check_port(settings, port)
        log_path = _log_path(settings, port)
        begun = process.start(
            _command(version, port), log_path, _environment(settings), settings.state_dir
        )
        server = Server(
            port=port,
            pid=begun.pid,
            create_time=begun.create_time,
            model=version.name,
            version=version.version,
            alias=alias,
            run_id=version.run_id,
            state="starting",
            started=time.time(),
            log_path=log_path,
            job_id=job_id,
            sample=version.is_sample,
            front=front,
        )
        keep(settings, server)
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
        Told the seconds waited so far, several times a second.

    Raises
    ------
    ServerError
        When it ends by itself, with the reason from its log, or does not answer in time.
    """
    begun = time.monotonic()
    while is_alive(server):
        # another program may have taken the port meanwhile, and answer /ping too
        if client.ping(server.url) and process.listens(_process(server), server.port):
            ready = replace(server, state="ready")
            keep(settings, ready)
            return ready
        waited = time.monotonic() - begun
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


def stop(settings: Settings, port: int) -> Server:
    """Stop the server on this port; no process of it is left, nor of what is behind it.

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
    """Forget a server that died; its log stays.

    Raises
    ------
    InputError
        When it runs.
    """
    server = find(settings, port)
    if server is None:
        return
    if _answers(settings, server):
        raise InputError(f"{server.name} runs on port {port}. Stop it instead.")
    _end(settings, server)


def stop_unfinished(settings: Settings, job_id: str) -> list[Server]:
    """Stop the servers that this job started and that have never answered.

    For a job that was cancelled or killed while it waited, or while the live endpoint changed from
    one server to the next: the one of the two that does not answer for it is stopped as well.
    """
    found = [
        server
        for server in _kept(settings)
        if server.job_id == job_id
        and (
            server.state == "starting"
            or (server.front is not None and not is_behind(settings, server))
        )
    ]
    for server in found:
        _end(settings, server)
    return [replace(server, state="stopped") for server in found]


def log_tail(settings: Settings, port: int, lines: int = 40) -> str:
    """Return the last lines that the server on this port printed, empty if there are none."""
    path = _log_path(settings, port)
    server = find(settings, port)
    if server is not None and server.backend is not None:
        # the relay says something only when it ends by a fault of its own
        backend = _log_path(settings, server.backend)
        path = backend if is_alive(server) else relay_log(settings, port)
    return without_secrets(process.log_tail(path, lines))


def file_of(settings: Settings, port: int) -> Path:
    """Return the file that keeps the server on this port."""
    return _folder(settings) / f"{port}.json"


def relay_log(settings: Settings, port: int) -> Path:
    """Return the log of the relay of a live endpoint."""
    return settings.logs_dir / f"relay-{port}.log"


def keep(settings: Settings, server: Server) -> None:
    """Write the file of a server whole, or leave the old one; a relay reads its own."""
    path = file_of(settings, server.port)
    text = json.dumps({**asdict(server), "log_path": str(server.log_path)})
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    for _ in range(50):
        # Windows does not replace a file in the moment in which somebody reads it
        with suppress(PermissionError):
            os.replace(temporary, path)
            return
        time.sleep(0.02)
    os.replace(temporary, path)


def _command(version: ModelVersion, port: int) -> list[str]:
    return [
        sys.executable, "-m", "mlflow", "models", "serve",
        "--model-uri", f"models:/{version.name}/{version.version}",
        "--host", process.HOST,
        "--port", str(port),
        "--workers", "1",
        # the libraries are here already; any other choice installs them anew
        "--env-manager", "local",
    ]  # fmt: skip


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # a line for every request would fill the log
        "UVICORN_ACCESS_LOG": "false",
        # mlflow calls uvicorn by its bare name
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def _folder(settings: Settings) -> Path:
    return settings.state_dir / "servers"


def _log_path(settings: Settings, port: int) -> Path:
    return settings.logs_dir / f"serve-{port}.log"


def _process(server: Server) -> process.Process:
    return process.Process(server.pid, server.create_time)


def _kept(settings: Settings) -> list[Server]:
    read = (_read(path) for path in _folder(settings).glob("*.json"))
    return sorted((found for found in read if found), key=lambda server: server.port)


def _backends(settings: Settings) -> set[int]:
    """Return the ports that live endpoints pass requests to, also where the server died."""
    return {server.backend for server in _kept(settings) if server.backend is not None}


def _answers(settings: Settings, server: Server) -> bool:
    """Tell whether it runs; a live endpoint needs the server behind it, too."""
    return is_alive(server) and (server.backend is None or behind(settings, server) is not None)


def _end(settings: Settings, server: Server) -> None:
    process.stop(_process(server))
    if server.backend is not None:
        for other in _kept(settings):
            if other.front == server.port:
                _end(settings, other)
    path = file_of(settings, server.port)
    # meanwhile the port may have become another server's
    standing = _read(path)
    if standing is not None and _process(standing) == _process(server):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Server | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Server(**{**kept, "log_path": Path(kept["log_path"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _reason(log: str, port: int) -> str:
    r"""Return why a server ended, as its log says it.

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
    # what mlflow says of its child's end only repeats that it ended
    named = [
        line
        for line in lines
        if re.match(r"[\w.]*(Error|Exception|Exit)\b.*: ", line)
        and not line.startswith("Exception: Command ")
    ]
    return (named or lines)[-1][:500]
