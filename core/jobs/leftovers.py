"""Removal of leftover files; imports no pandas, so that the worker stays light."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path

from core.jobs import jobs
from core.platform import set_aside
from core.platform.config import Settings
from core.platform.errors import StoreError

STALE_SECONDS = 3600
UPLOAD_SECONDS = 24 * 3600


def sweep(settings: Settings) -> None:
    """Remove leftovers: partial files of dead writers, old uploads.

    Uploads and temporary files are removed after a day, unless a waiting or running job needs them.
    """
    now = time.time()
    for path in settings.data_dir.glob("*/.*.tmp"):
        _remove_older(settings, path, now - STALE_SECONDS)
    state = settings.state_dir
    try:
        named = [job.job_id + json.dumps(job.options) for job in jobs.active(settings)]
    except StoreError:
        return  # the needs of jobs are unknown now
    for place in (state / "uploads", state / "tmp", state / "downloads"):
        for path in place.glob("*"):
            if not any(path.name in text for text in named):
                _remove_older(settings, path, now - UPLOAD_SECONDS)
    # left by a killed writer of a small file: `.clock.json.1a2b3c4d`
    for path in state.glob(".*"):
        _remove_older(settings, path, now - UPLOAD_SECONDS)


def _remove_older(settings: Settings, path: Path, moment: float) -> None:
    # other processes clean up too, and writers finish: the file may not exist any more
    with (
        set_aside.guarded(settings, "sweep", path.name, code="undeletable"),
        suppress(FileNotFoundError),
    ):
        if path.stat().st_mtime < moment:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
