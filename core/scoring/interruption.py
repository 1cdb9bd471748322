"""A scoring that was interrupted: what it was, and that one process at a time resumes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from core.jobs import jobs
from core.platform import steps, tracking
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.messages import Message
from core.scoring.output_parts import Place
from core.scoring.records import ScoringRun


def find(settings: Settings, run_id: str) -> tuple[dict[str, Any], str, Place]:
    """Return the options, the id and the place of an interrupted scoring.

    Raises
    ------
    InputError
        When it is finished, or nothing is left of it.
    """
    interrupted = tracking.run(settings, run_id)
    recorded = (
        ScoringRun.of(interrupted)
        if interrupted is not None and interrupted.step == "score"
        else None
    )
    lost = not_continued(run_id)
    if interrupted is None or recorded is None or recorded.staging is None:
        raise InputError(lost)
    if interrupted.status == "FINISHED":
        raise InputError(lost)
    scoring, place = recorded.scoring, Place(*recorded.staging)
    given = tracking.artifact(settings, scoring, "settings.json").read_text(encoding="utf-8")
    options: dict[str, Any] = json.loads(given)["options"]
    if options["source"] != "path" or place.manifest() is None:
        raise InputError(lost)
    return options, scoring, place


def not_continued(run_id: str) -> Message:
    """Return why a scoring cannot be continued."""
    return Message(
        "The scoring {run} cannot be continued: it is finished, nothing is left of it, or its "
        "source or model has changed. Score again.",
        run=run_id[:8],
    )


@contextmanager
def alone(settings: Settings, scoring: str) -> Iterator[None]:
    """Block a second process from resuming the same scoring."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    path = settings.state_dir / f"scoring-{scoring[:12]}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(jobs.still_running(steps.named("score").title)) from error
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)
