"""Servers that this app did not start: listed for information, never touched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from core.platform import process, projects
from core.platform.config import Settings
from core.platform.errors import without_secrets
from core.serving import server

# Ports for models, counted from `settings.serve_port`.
PORTS = 120
SERVES_MODELS = ("mlflow models serve", "mlflow.pyfunc.scoring_server")


@dataclass(frozen=True)
class Foreign:
    """A server that this app did not start.

    Parameters
    ----------
    pid : int or None
        None for a process of another user.
    command : str
        Command line without anything that looks like a secret.
    since : float or None
        Seconds since 1970.
    is_model : bool
        Whether it is MLflow serving a model.
    """

    port: int
    pid: int | None
    command: str
    since: float | None
    is_model: bool


def listed(settings: Settings) -> list[Foreign]:
    """Return model servers, and programs on our ports, that this app did not start.

    Those of the home's other projects are ours too.
    """
    homes = projects.homes(settings)
    ours = [served.process for home in homes for served in server.kept(home)]
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
    """Return a command line for display, with anything that looks like a secret masked.

    Examples
    --------
    >>> _without_secrets("serve --api-key abc --port 5001 DB_PASSWORD=x")
    'serve --api-key *** --port 5001 DB_PASSWORD=***'
    """
    hidden = re.sub(
        r"(?i)([\w-]*(?:key|token|secret|password|passwd|pwd)[\w-]*[= ])\S+", r"\1***", command
    )
    return without_secrets(hidden)[:300]
