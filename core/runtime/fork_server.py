"""The server of processes: slow imports once, then a fork for each job."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from core.platform import steps
from core.platform.messages import Message
from core.platform.process import lead_group, signal_group

PRELOAD = (
    "core.runtime.without_collection",
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "altair",
    "vl_convert",
    "skops.io",
    "lightgbm",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "sklearn.pipeline",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.data",
    "mlflow.data.pandas_dataset",
    "mlflow.models",
    # imported by MLflow only on first use: 0.2 s of every job
    "mlflow.pyfunc.scoring_server",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.tracing.processor.otel",
    "alembic.command",
    "git",
    "opentelemetry.sdk.metrics",
    "pycaret.classification",
    # for explanations; not shap itself, whose first user decides whether its loops are compiled
    "numba",
    "core.runtime.worker",
    *map(steps.module_name, steps.RUN_NAMES),
)


class ForkServer:
    """Starts processes by forking a server in which the slow imports are done.

    Parameters
    ----------
    modules : sequence of str
        What it imports before its first fork.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(filter(None, modules))
        self._context = multiprocessing.get_context("forkserver")

    def start(self, target: str, *arguments: Any) -> BaseProcess:
        """Start a process that runs a function, given by its dotted name.

        Raises
        ------
        OSError, EOFError
            When no process can be started.
        """
        try:
            process: BaseProcess = self._context.Process(target=_enter, args=(target, arguments))
            process.start()
        except (OSError, EOFError):
            # the server was killed; the next start creates a new one
            process = self._context.Process(target=_enter, args=(target, arguments))
            process.start()
        return process

    def warm_up(self) -> Message | None:
        """Start the server, wait for its imports, and return which failed, if any."""
        self._context.set_forkserver_preload(list(self._modules))
        missing: str | list[str]
        try:
            missing = [f"{name} ({why})" for name, why in self._missing().items()]
        except (OSError, EOFError):
            missing = "–"
            self._context.set_forkserver_preload([])
        if not missing:
            return None
        return Message(
            "Jobs start slowly, as these modules could not be imported: {modules}.", modules=missing
        )

    def _missing(self) -> dict[str, str]:
        """Return the modules that the server could not import, and why.

        multiprocessing silently skips a missing module, and any other import error ends the server.
        So the first forked process reports what is missing.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        with receiver:
            process = self._context.Process(
                target=_report, args=(sender, self._modules), daemon=True
            )
            process.start()
            sender.close()
            missing: dict[str, str] = receiver.recv()
            process.join()
        return missing


def _enter(target: str, arguments: tuple[Any, ...]) -> None:
    """In the new process: make sure that it does not outlive the supervisor, then do its work."""
    lead_group()
    # what the fork server imported is no garbage, and PyCaret collects after each fit: 0.3 s of it
    gc.freeze()
    # the fork server collects nothing
    gc.enable()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_supervisor, daemon=True).start()
    function: Callable[..., None] = pkgutil.resolve_name(target)
    function(*arguments)


def _die_with_supervisor() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signal_group(os.getpid(), signal.SIGKILL)


def _report(sender: Connection, modules: Sequence[str]) -> None:
    """In the first forked process: report which modules the server could not import, and why."""
    missing = {}
    for name in modules:
        if name not in sys.modules:
            try:
                __import__(name)
                missing[name] = "skipped"
            except Exception as error:  # noqa: BLE001  an error of any library is only reported
                missing[name] = f"{type(error).__name__}: {error}"
    sender.send(missing)
