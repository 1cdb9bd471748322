"""Endpoints, and bare scoring servers to compare them with, for tests and the benchmark."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests
import skops.io
import sqlalchemy as sql

from core.platform import model_files, state
from core.platform.config import CODE_ROOT, Settings
from core.serving import endpoint_status, server, versions, worker
from core.serving.app import App

# MLflow prints sets in its messages: in one order in all processes
HASHES = {"PYTHONHASHSEED": "0"}
UVICORN = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--no-access-log"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def save_model(
    folder: Path, estimator, inputs: Mapping[str, str], *, is_complete: bool, rules=None
) -> Path:
    """Save a fitted classifier as a registered version is saved."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    skops.io.dump(estimator, folder / "pipeline.skops")
    types = {"number": "double", "text": "string"}
    code = folder / "served_model.py"
    code.write_text(model_files.served_code(), encoding="utf-8")
    mlflow.pyfunc.save_model(
        folder / "model",
        python_model=str(code),
        artifacts={"pipeline": str(folder / "pipeline.skops")},
        model_config={
            "inputs": dict(inputs),
            "engineered": {},
            "features": list(inputs),
            "is_complete": is_complete,
            "threshold": 0.5,
            "rules": rules or dict(inputs),
            "sha256": hashlib.sha256((folder / "pipeline.skops").read_bytes()).hexdigest(),
        },
        signature=ModelSignature(
            Schema([ColSpec(types[kind], name) for name, kind in inputs.items()]),
            Schema([ColSpec("double", "probability"), ColSpec("long", "label")]),
        ),
        pip_requirements=[],
    )
    return folder / "model"


@dataclass
class EndpointProcess:
    """An endpoint of a model's folder, not started through `core.serving.endpoint`."""

    settings: Settings
    port: int
    model: Path
    # of the bare server of the same model, where there is one
    bare: str = ""
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def record(self, **values) -> server.Server:
        """Return the record that describes it."""
        defaults = {
            "port": self.port,
            "pid": os.getpid(),
            "create_time": psutil.Process().create_time(),
            "model": "toy",
            "version": "3",
            "alias": "champion",
            "run_id": "0" * 32,
            "state": "starting",
            "started": time.time(),
            "log_path": self.settings.logs_dir / "none.log",
            "job_id": None,
            "sample": False,
            "folder": self.model,
            "is_live": True,
            "threshold": 0.5,
        }
        return server.Server(**{**defaults, **values})

    def keep(self, **values) -> None:
        """Store the record that the endpoint reads."""
        self.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        server.keep(self.settings, self.record(**values))

    def start(self) -> None:
        """Start the endpoint and wait until it answers."""
        self.child = subprocess.Popen(
            [sys.executable, "-m", "core.serving.worker", str(self.port)],
            cwd=CODE_ROOT,
            env={
                **os.environ,
                **HASHES,
                **self.settings.environment(),
                "PYTHONPATH": str(CODE_ROOT),
            },
        )
        until(lambda: endpoint_status.status(self.port) is not None)

    def end(self) -> None:
        """Ask the endpoint to end, as `stop` does, and check that it ended cleanly."""
        if self.child is not None:
            self.child.terminate()
            assert self.child.wait(60) == 0


@contextmanager
def in_process(app: App) -> Iterator[int]:
    """Run an endpoint's application in this process; yield the port on which it answers."""
    running = Running(app)
    running.start()
    yield running.port
    running.end()


@contextmanager
def bare(application) -> Iterator[int]:
    """Run another ASGI application by the same server; yield its port."""
    running = Running(None, application=application)
    running.start()
    yield running.port
    running.end()


class Running:
    """An application that runs in a thread of this process."""

    def __init__(self, app: App | None, port: int = 0, application=None) -> None:
        self.app = app
        self.listening = worker.listen(port)
        self.port = self.listening.getsockname()[1]
        self.server = worker.server(app or application)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)

    async def serve(self) -> None:
        if self.app is None:
            await self.server.serve(sockets=[self.listening])
            return
        self.app.recorder.start()
        await self.server.serve(sockets=[self.listening])
        self.app.copies.close()
        await asyncio.to_thread(self.app.recorder.close)

    def start(self) -> None:
        self.thread.start()
        until(lambda: self.server.started)

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join()


@dataclass
class ThreadEndpoint(EndpointProcess):
    """The same in a thread of this process, with a loader that stands in for MLflow's."""

    loader: Callable[[server.Server], versions.Version] | None = None
    running: Running | None = None

    def start(self) -> None:
        app = App(self.settings, self.port, versions=versions.Versions(self.loader))
        self.running = Running(app, self.port)
        self.running.start()

    def end(self) -> None:
        if self.running is not None:
            self.running.end()
            self.running = None


def forget(settings: Settings, port: int) -> None:
    """Delete the record of a server without notifying its processes."""
    with state.transaction(settings) as connection:
        connection.execute(sql.delete(server._table).where(server._table.c.port == port))


def damage(settings: Settings, port: int, body: str = "{") -> None:
    """Overwrite the stored record of a server."""
    with state.transaction(settings) as connection:
        record = sql.update(server._table).where(server._table.c.port == port)
        connection.execute(record.values(body=body))


@contextmanager
def serving(model: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run the bare scoring server of a model; yield its port and process."""
    port = free_port()
    env = {"__pyfunc_model_path__": model.as_uri(), "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": "60"}
    child = subprocess.Popen(
        [*UVICORN, "--port", str(port), "mlflow.pyfunc.scoring_server.app:app"],
        env={**os.environ, **HASHES, **env},
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: is_up(port))
        yield port, child
    finally:
        child.terminate()
        child.wait(60)


def is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def until(condition, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
