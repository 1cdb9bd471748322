"""MLflow's own web pages: started on demand, and reconnected to later."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from core.platform import identity, permissions, process, state
from core.platform.config import Settings
from core.serving import client

FIRST_PORT = 5500
NAME = "mlflow_ui"


@dataclass(frozen=True)
class _Started:
    pid: int
    create_time: float
    port: int

    @property
    def process(self) -> process.Process:
        return process.Process(self.pid, self.create_time)

    @property
    def url(self) -> str:
        return f"http://{process.HOST}:{self.port}"


@permissions.needs("mlflow")
def start(settings: Settings) -> str:
    """Start MLflow's pages if they are not up, and return their address.

    They take some seconds until `running` returns it. For a store that is a server itself, its
    address is returned and nothing is started.

    Raises
    ------
    InputError
        When no port is free.
    """
    remote = _remote(settings)
    if remote:
        return remote
    with state.transaction(settings) as connection:
        earlier = _of(settings, state.document(connection, NAME))
        if earlier and process.is_alive(earlier.process):
            return earlier.url
        port = process.free_port(FIRST_PORT)
        running_process = process.start(
            _command(port),
            settings.logs_dir / "mlflow_ui.log",
            _environment(settings),
            settings.state_dir,
        )
        started = _Started(running_process.pid, running_process.create_time, port)
        home = identity.of_home(settings.state_dir)
        state.keep_document(connection, NAME, asdict(started) | {"home": home})
    return started.url


def running(settings: Settings) -> str | None:
    """Return the address of MLflow's pages, None while they do not answer."""
    remote = _remote(settings)
    if remote:
        return remote
    started = _alive(settings)
    return started.url if started and client.ping(started.url, "/health") else None


def starting(settings: Settings) -> bool:
    """Return whether MLflow's pages were started and do not answer yet."""
    if _remote(settings):
        return False
    started = _alive(settings)
    return started is not None and not client.ping(started.url, "/health")


@permissions.needs("mlflow")
def stop(settings: Settings) -> None:
    """Stop MLflow's pages; does nothing when they are not up."""
    started = _read(settings)
    if started:
        process.stop(started.process)
        state.save(settings, NAME, None)


def run_url(base: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page.

    Examples
    --------
    >>> run_url("http://127.0.0.1:5500", "1", "ab12")
    'http://127.0.0.1:5500/#/experiments/1/runs/ab12'
    """
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def _command(port: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        process.HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        # not in the command, where everybody on the machine could read a password
        "MLFLOW_BACKEND_STORE_URI": settings.mlflow_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (settings.home / "mlruns").as_uri(),
        "MLFLOW_ARTIFACTS_DESTINATION": (settings.home / "mlruns").as_uri(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # without MLflow's job runners: four more processes that these pages do not need
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "UVICORN_ACCESS_LOG": "false",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def _remote(settings: Settings) -> str | None:
    parts = urlsplit(settings.tracking_uri or "")
    if parts.scheme not in ("http", "https"):
        return None
    # the address is shown on pages: without user and password
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _read(settings: Settings) -> _Started | None:
    return _of(settings, state.load(settings, NAME))


def _of(settings: Settings, kept: Any) -> _Started | None:
    if kept is None or not identity.is_ours(kept, settings.state_dir):
        return None
    return _Started(kept["pid"], kept["create_time"], kept["port"])


def _alive(settings: Settings) -> _Started | None:
    started = _read(settings)
    return started if started and process.is_alive(started.process) else None
