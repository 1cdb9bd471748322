"""What runs in a process forked by the supervisor: a job, or the clean-up after one."""

from __future__ import annotations

import dataclasses
import os
import pkgutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.jobs import heartbeat, jobs, supervision
from core.platform import steps, store_faults
from core.platform.config import Settings, sentence
from core.platform.errors import CourtsideError, InputError, StoreError, masked, without_secrets
from core.platform.messages import Message, Words
from core.platform.run_record import Progress

PAUSE = 0.1


class JobProgress(Progress):
    """Writes a step's progress to the job table, at most ten times a second.

    The last update is never lost: one that comes too early is written after the pause.
    """

    def __init__(self, settings: Settings, job_id: str) -> None:
        self.job_id = job_id
        self._settings = settings
        self._lock = threading.Lock()
        self._next: tuple[float, Words] | None = None
        self._timer: threading.Timer | None = None
        self._written = 0.0

    def update(self, fraction: float, text: Words) -> None:
        """Report the progress: a fraction from 0 to 1 and a line of words."""
        line = text.strip()[:500] if isinstance(text, str) else text
        with self._lock:
            self._next = (min(max(fraction, 0.0), 1.0), line)
            wait = self._written + PAUSE - time.monotonic()
            if wait <= 0:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self._late)
                self._timer.daemon = True
                self._timer.start()

    def run_started(self, run_id: str) -> None:
        """Report the id of the MLflow run that records the work."""
        jobs.update(self._settings, str(self.job_id), run_id=run_id)

    def _late(self) -> None:
        with self._lock:
            self._timer = None
            self._write()

    def _write(self) -> None:
        if self._next is None:
            return
        fraction, text = self._next
        self._next = None
        # a briefly locked table must not fail the work
        with suppress(StoreError):
            jobs.update(self._settings, str(self.job_id), fraction=fraction, text=text)
        self._written = time.monotonic()


def run_job(environ: Mapping[str, str], job_id: str, target: str) -> None:
    """Run a claimed job, record its outcome, and exit the process.

    Parameters
    ----------
    environ : mapping
        From `Settings.environment`.
    target : str
        Dotted name of the function that runs it, called like `run_step`.
    """
    settings = Settings.load(environ)
    job = jobs.get(settings, job_id)
    if job is None:
        return
    # a killed process cannot remove its temporary files: keep them where the supervisor can
    tempfile.tempdir = str(temporary_folder(settings, job_id, create=True))
    # from a thread, as a step that computes for hours is not hung
    heartbeat.Heart(supervision.heart(settings, job_id)).beat_in_background()
    progress = JobProgress(settings, job_id)
    try:
        result = pkgutil.resolve_name(target)(settings, job.step, job.options, progress)
        if dataclasses.is_dataclass(result) and not isinstance(result, type):
            result = dataclasses.asdict(result)
        jobs.finish(settings, job_id, jobs.DONE, result=result)
    except CourtsideError as error:
        jobs.finish(settings, job_id, jobs.FAILED, error=error.message)
    except Exception as error:  # noqa: BLE001  every error must reach the person
        print(without_secrets(traceback.format_exc()), file=sys.stderr)  # noqa: T201
        known = store_faults.of_disk(error) if isinstance(error, OSError) else None
        unexpected = Message(
            "This failed unexpectedly. {error_type}: {error}",
            error_type=type(error).__name__,
            error=error,
        )
        reason = known.message if known else masked(unexpected)
        jobs.finish(settings, job_id, jobs.FAILED, error=reason)
    sys.stdout.flush()
    sys.stderr.flush()
    # immediately: leftover library threads must not occupy the slot of a finished job
    os._exit(0)


def run_step(settings: Settings, step: str, options: Mapping[str, Any], progress: Progress) -> Any:
    """Run a step and return its result.

    Raises
    ------
    InputError
        If the step does not accept these options.
    """
    module = steps.module(step)
    try:
        checked = module.Options(**options)
    except ValidationError as error:
        raise InputError(sentence(error)) from error
    return module.run(settings, checked, progress)


def clean_up(environ: Mapping[str, str], job_id: str, outcome: str, reason: Words) -> None:
    """End what a dead job process left behind: runs, servers, a replay's store.

    Parameters
    ----------
    outcome : str
        `failed` or `cancelled`.
    reason : Words
        Recorded in the runs.
    """
    from core.platform import tracking
    from core.retraining import replay_store
    from core.serving import server_process

    settings = Settings.load(environ)
    try:
        replay_store.sweep(settings)
        server_process.stop_unfinished(settings, job_id)
    finally:
        tracking.end_runs(settings, job_id, outcome, reason)


def temporary_folder(settings: Settings, job_id: str, *, create: bool = False) -> Path:
    """Return the folder of a job's temporary files."""
    folder = supervision.heart(settings, job_id).parent
    if create:
        folder.mkdir(parents=True, exist_ok=True)
    return folder
