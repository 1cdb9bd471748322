"""MLflow's own pages for the store: started when asked for, found again later."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from filelock import FileLock

from core.adapters import process
from core.config import Settings

FIRST_PORT = 5500


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


def start(settings: Settings) -> str:
    """Start MLflow's pages if they are not up, and return where they will answer.

    It takes some seconds until `running` says so. For a store that is a server itself, that
    server's address is returned and nothing is started.

    Raises
    ------
    InputError
        When no port is free.
    """
    remote = _remote(settings)
    if remote:
        return remote
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.state_dir / "mlflow_ui.lock", timeout=30):
        found = _alive(settings)
        if found:
            return found.url
        port = process.free_port(FIRST_PORT)
        begun = process.start(
            _command(port),
            settings.logs_dir / "mlflow_ui.log",
            _environment(settings),
            settings.state_dir,
        )
        started = _Started(begun.pid, begun.create_time, port)
        path = _path(settings)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(json.dumps(asdict(started)), encoding="utf-8")
        os.replace(temporary, path)
    return started.url


def running(settings: Settings) -> str | None:
    """Return where MLflow's pages answer, None while they do not."""
    remote = _remote(settings)
    if remote:
        return remote
    found = _alive(settings)
    return found.url if found and _answers(found.url) else None


def starting(settings: Settings) -> bool:
    """Tell whether MLflow's pages were started and do not answer yet."""
    if _remote(settings):
        return False
    found = _alive(settings)
    return found is not None and not _answers(found.url)


def stop(settings: Settings) -> None:
    """Stop MLflow's pages; does nothing when they are not up."""
    found = _read(settings)
    if found:
        process.stop(found.process)
        _path(settings).unlink(missing_ok=True)


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
        sys.executable, "-m", "mlflow", "server",
        "--host", process.HOST,
        "--port", str(port),
        "--workers", "1",
    ]  # fmt: skip


def _environment(settings: Settings) -> dict[str, str]:
    return {
        # not in the command, where everybody on the machine could read a password
        "MLFLOW_BACKEND_STORE_URI": settings.mlflow_uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": (settings.home / "mlruns").as_uri(),
        "MLFLOW_ARTIFACTS_DESTINATION": (settings.home / "mlruns").as_uri(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # its own job runners: four more processes that these pages do not need
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "UVICORN_ACCESS_LOG": "false",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def _remote(settings: Settings) -> str | None:
    parts = urlsplit(settings.tracking_uri or "")
    if parts.scheme not in ("http", "https"):
        return None
    # the address is shown on pages: without a user and a password in it
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _path(settings: Settings) -> Path:
    return settings.state_dir / "mlflow_ui.json"


def _read(settings: Settings) -> _Started | None:
    try:
        return _Started(**json.loads(_path(settings).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _alive(settings: Settings) -> _Started | None:
    found = _read(settings)
    return found if found and process.is_alive(found.process) else None


def _answers(url: str) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            return bool(session.get(f"{url}/health", timeout=1).status_code == 200)
    except requests.RequestException:
        return False
