"""Servers that this app did not start: told, so that a person knows of them, and left alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from core.platform import process
from core.platform.config import Settings
from core.platform.errors import without_secrets
from core.serving import server

# From `settings.serve_port` on, the ports that this app serves models on.
PORTS = 120
SERVES_MODELS = ("mlflow models serve", "mlflow.pyfunc.scoring_server")


@dataclass(frozen=True)
class Foreign:
    """A server that this app did not start: it is shown, and left alone.

    Parameters
    ----------
    port : int
        Where it listens.
    pid : int or None
        None when it is another person's.
    command : str
        How it was started, without what looks like a secret.
    since : float or None
        Seconds since 1970.
    is_model : bool
        Whether it is MLflow that serves a model.
    """

    port: int
    pid: int | None
    command: str
    since: float | None
    is_model: bool


def listed(settings: Settings) -> list[Foreign]:
    """Return the servers of models, and programs on our ports, that this app did not start."""
    ours = [served.process for served in server.kept(settings)]
    first, last = settings.serve_port, settings.serve_port + PORTS - 1
    foreign = []
    for listener in process.listeners():
        command = " ".join(listener.command)
        is_model = any(name in command for name in SERVES_MODELS)
        if not is_model and not first <= listener.port <= last:
            continue
        if listener.pid is not None and (
            listener.pid == os.getpid() or process.belongs(listener.pid, ours)
        ):
            continue
        foreign.append(
            Foreign(
                listener.port, listener.pid, _without_secrets(command), listener.since, is_model
            )
        )
    return foreign


def _without_secrets(command: str) -> str:
    """Return a command for a page, without the values of what looks like a secret.

    Examples
    --------
    >>> _without_secrets("serve --api-key abc --port 5001 DB_PASSWORD=x")
    'serve --api-key *** --port 5001 DB_PASSWORD=***'
    """
    hidden = re.sub(
        r"(?i)([\w-]*(?:key|token|secret|password|passwd|pwd)[\w-]*[= ])\S+", r"\1***", command
    )
    return without_secrets(hidden)[:300]
