"""serve: serve a registered version by MLflow's scoring application and wait until it answers.

The live endpoint serves the champion and follows it from version to version; any other version has
an endpoint of its own beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass

from pydantic import Field, model_validator

from core.platform import config, model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.hooks import hook
from core.platform.messages import Message
from core.platform.run_record import SILENT, Progress, Record
from core.platform.runs import ModelVersion
from core.registry import registry
from core.serving import endpoint, server, server_process
from core.serving.records import ServingRun

# Only moves the progress bar while waiting.
USUAL_SECONDS = 4.0


class Options(config.Options):
    """Which version to serve, and where.

    Parameters
    ----------
    target : str
        An alias (`champion`, `challenger`, `previous`) or a version number.
    port : int, optional
        1024 to 65,535, for an endpoint of its own. By default the champion uses the live endpoint,
        at `COURTSIDE_SERVE_PORT` if that is free, and any other target the next free port.
    shadow : bool
        Whether it gets a copy of every request to the live endpoint, for a comparison with the
        champion; its predictions are logged and returned to nobody.
    workers : int, optional
        Processes that answer, 1 to 16; by default as many as the endpoint has, or one.
    """

    target: str = Field("champion", pattern=r"^([a-z][a-z0-9_-]{0,39}|[1-9][0-9]{0,8})$")
    port: int | None = Field(None, ge=1024, le=65535)
    shadow: bool = False
    workers: int | None = Field(None, ge=1, le=16)

    @model_validator(mode="after")
    def _is_no_shadow_of_itself(self) -> Options:
        if self.shadow and self.is_live:
            raise ValueError(server.NO_OWN_SHADOW)
        return self

    @property
    def is_live(self) -> bool:
        """Whether the live endpoint serves it."""
        return self.target == model_store.CHAMPION and self.port is None


@dataclass(frozen=True)
class Result:
    """The server that now answers."""

    run_id: str
    port: int
    url: str
    version: str
    seconds: float


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Serve on 127.0.0.1, as the run `Disponibilizacao`; the endpoint outlives the run.

    If the live endpoint serves another version, it switches to this one without a failed request;
    if it serves this one already, nothing is started.

    Raises
    ------
    NotReadyError
        When the version does not exist, or there is no live endpoint to shadow.
    InputError
        When the port is in use, or a version would shadow itself.
    StoreError
        When the files of the version are not the registered ones.
    ServerError
        When the server ends or does not answer in time; it is stopped then.
    """
    spec = project.of(settings)
    with (
        tracking.step_run(settings, "serve", options, progress) as run_id,
        _turn(settings, options, progress),
    ):
        version = model_store.require_version(settings, spec.model, options.target)
        start = time.perf_counter()
        place = _live if options.is_live else _alone
        with place(settings, options, version, progress) as ready:
            seconds = time.perf_counter() - start
            _record(settings, run_id, version, ready, seconds)
        progress.update(
            1.0,
            Message(
                "{first}, {second}",
                first=Message("version {version}", version=version.version),
                second=ready.url,
            ),
        )
    hook("operation_changed")(settings)
    return Result(run_id, ready.port, ready.url, version.version, seconds)


def _turn(settings: Settings, options: Options, progress: Progress) -> AbstractContextManager[None]:
    """Lock the champion until the live endpoint serves it."""
    if not options.is_live:
        return nullcontext()
    text = Message("Waiting for another change of the champion")
    return registry.exclusive(settings, lambda: progress.update(0.02, text))


@contextmanager
def _live(
    settings: Settings, options: Options, version: ModelVersion, progress: Progress
) -> Iterator[server.Server]:
    before = endpoint.live(settings)
    on_wait = _reporter(progress, Message("version {version}", version=version.version))
    ready = endpoint.follow(
        settings,
        version,
        on_wait,
        alias=options.target,
        job_id=progress.job_id,
        workers=options.workers,
    )
    try:
        yield ready
    except BaseException:
        # a failed run leaves no server behind, but never stops one that was in use before
        if before is None:
            with suppress(NotReadyError):
                server_process.stop(settings, ready.port)
        raise


@contextmanager
def _alone(
    settings: Settings, options: Options, version: ModelVersion, progress: Progress
) -> Iterator[server.Server]:
    alias = None if options.target.isdigit() else options.target
    if options.shadow:
        # before a server is started needlessly
        endpoint.check_shadow(settings, version)
    on_wait = _reporter(progress, Message("version {version}", version=version.version))
    ready = endpoint.begin(
        settings,
        version,
        options.port,
        on_wait,
        alias=alias,
        job_id=progress.job_id,
        workers=options.workers,
    )
    try:
        if options.shadow:
            endpoint.set_shadow(settings, ready.port, on=True)
        yield ready
    except BaseException:
        # a failed run leaves no server behind
        with suppress(NotReadyError):
            server_process.stop(settings, ready.port)
        raise


def _reporter(progress: Progress, name: Message) -> Callable[[float], None]:
    def on_wait(seconds: float) -> None:
        fraction = min(0.95, 0.05 + 0.9 * seconds / USUAL_SECONDS)
        progress.update(
            fraction,
            Message("Waiting for {name} to respond ({seconds:.0f} s)", name=name, seconds=seconds),
        )

    return on_wait


def _record(
    settings: Settings, run_id: str, version: ModelVersion, ready: server.Server, seconds: float
) -> None:
    tracking.log(
        settings,
        run_id,
        Record(
            params={
                "model": version.name,
                "version": version.version,
                "served_port": ready.port,
                "served_command": server_process.command_line(ready),
            },
            metrics={"seconds_to_answer": seconds},
            tags=ServingRun(model_run=version.run_id, url=ready.url).write(),
            is_sample=version.is_sample,
        ),
    )
