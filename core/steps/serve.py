"""serve: start `mlflow models serve` for a registered version and wait until it answers."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from pydantic import Field

from core import config, project
from core.adapters import server, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.record import SILENT, Progress, Record

# Only to move the progress bar while waiting; nothing depends on it.
USUAL_SECONDS = 10.0


class Options(config.Options):
    """Which version to serve, and where.

    Parameters
    ----------
    target : str
        An alias (`champion`, `challenger`) or a version number.
    port : int, optional
        1024 to 65,535; without it the first free one from `COURTSIDE_SERVE_PORT` on.
    """

    target: str = Field("champion", pattern=r"^([a-z][a-z0-9_-]{0,39}|[1-9][0-9]{0,8})$")
    port: int | None = Field(None, ge=1024, le=65535)


@dataclass(frozen=True)
class Result:
    """The server that now answers."""

    run_id: str
    port: int
    url: str
    version: str
    seconds: float


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Start a server on 127.0.0.1, as the run `Disponibilizacao`; it goes on after the run ends.

    Raises
    ------
    NotReadyError
        When there is no such version.
    InputError
        When the port is in use.
    ServerError
        When the server ends or does not answer in time; it is stopped then.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "serve", options, progress) as run_id:
        version = tracking.require_version(settings, spec.model, options.target)
        alias = None if options.target.isdigit() else options.target
        start = time.perf_counter()
        started = server.start(settings, version, options.port, alias=alias, job_id=progress.job_id)
        name = f"version {version.version} on port {started.port}"

        def waited(seconds: float) -> None:
            fraction = min(0.95, 0.05 + 0.9 * seconds / USUAL_SECONDS)
            progress.update(fraction, f"Waiting for {name} to answer ({seconds:.0f} s)")

        try:
            ready = server.wait_until_ready(settings, started, on_wait=waited)
            seconds = time.perf_counter() - start
            _record(settings, run_id, version, ready, seconds)
        except BaseException:
            # a failed run leaves no server; one that ended by itself is gone already
            with suppress(NotReadyError):
                server.stop(settings, started.port)
            raise
        progress.update(1.0, f"{name[0].upper()}{name[1:]} answers")
    return Result(run_id, ready.port, ready.url, version.version, seconds)


def _record(
    settings: Settings,
    run_id: str,
    version: tracking.ModelVersion,
    ready: server.Server,
    seconds: float,
) -> None:
    tracking.log(
        settings,
        run_id,
        Record(
            params={
                "model": version.name,
                "version": version.version,
                "served_port": ready.port,
            },
            metrics={"seconds_to_answer": seconds},
            tags={tracking.TAG + "model_run": version.run_id, tracking.TAG + "url": ready.url},
            is_sample=version.is_sample,
        ),
    )
