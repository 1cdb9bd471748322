"""Chains: jobs one after the other, each queued when the one before it is done.

A chain is a file in state/ that says what is wanted; how far it is stands in the job table. So it
survives whoever dies: the next supervisor goes on with it. There is one at a time.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from core.adapters import jobs, storage
from core.adapters.jobs import Job
from core.config import Settings
from core.errors import JobError, StoreError

State = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Link:
    """One job of a chain; None as long as it was not queued."""

    step: str
    options: Mapping[str, Any]
    job: Job | None


@dataclass(frozen=True)
class Chain:
    """A chain as a page shows it.

    Parameters
    ----------
    title : str
        What it is about, in the words of who started it.
    state : {"running", "done", "failed", "cancelled"}
        Running as long as a job of it is to come.
    began : float
        Seconds since 1970.
    """

    chain_id: str
    title: str
    state: State
    began: float
    links: tuple[Link, ...]

    @property
    def current(self) -> Link | None:
        """The link that is waited for, or at which it ended; None when all are done."""
        return next(
            (one for one in self.links if one.job is None or one.job.status != "done"), None
        )


def start(settings: Settings, steps: Sequence[tuple[str, Mapping[str, Any]]], title: str) -> str:
    """Begin a chain and return its id; its first job is queued.

    Raises
    ------
    JobError
        While another chain runs.
    InputError
        For a step that does not exist.
    """
    with _lock(settings):
        before = current(settings)
        if before is not None and before.state == "running":
            raise JobError(
                f"{before.title}: still running. Wait until it is done, or cancel it first."
            )
        for step, _ in steps:
            jobs.require_step(step)
        wanted = {
            "chain_id": uuid.uuid4().hex,
            "title": title,
            "began": time.time(),
            "cancelled": False,
            "steps": [[step, dict(options)] for step, options in steps],
            "jobs": [],
        }
        storage.write_json(_path(settings), wanted)
    advance(settings)
    return str(wanted["chain_id"])


def current(settings: Settings) -> Chain | None:
    """Return the chain that runs, or the last one there was; None where there was none.

    Raises
    ------
    StoreError
        When its file or the job table cannot be read.
    """
    found = _read(settings)
    if found is None:
        return None
    ids = found["jobs"]
    links = tuple(
        Link(step, options, jobs.get(settings, ids[place]) if place < len(ids) else None)
        for place, (step, options) in enumerate(found["steps"])
    )
    return Chain(found["chain_id"], found["title"], _state(found, links), found["began"], links)


def advance(settings: Settings) -> None:
    """Queue the next job of the chain if the one before it is done; else do nothing."""
    with _lock(settings):
        found = _read(settings)
        if found is None or found["cancelled"] or len(found["jobs"]) == len(found["steps"]):
            return
        if found["jobs"]:
            last = jobs.get(settings, found["jobs"][-1])
            if last is None or last.status != jobs.DONE:
                return
        place = len(found["jobs"])
        step, options = found["steps"][place]
        # whoever dies between the next two lines queues the same job again: it has the same id
        name = f"{found['chain_id']} {place}"
        wanted = hashlib.sha256(name.encode()).hexdigest()[:32]
        job = jobs.submit(settings, step, options, job_id=wanted)
        found["jobs"].append(job.job_id)
        storage.write_json(_path(settings), found)


def cancel(settings: Settings) -> None:
    """Cancel the chain: the job that runs, and all that were to come."""
    with _lock(settings):
        found = _read(settings)
        if found is None:
            return
        found["cancelled"] = True
        storage.write_json(_path(settings), found)
    if found["jobs"]:
        jobs.cancel(settings, found["jobs"][-1])


def forget(settings: Settings) -> None:
    """Forget a chain that has ended; one that runs stays."""
    with _lock(settings):
        found = current(settings)
        if found is not None and found.state != "running":
            _path(settings).unlink(missing_ok=True)


def _state(found: Mapping[str, Any], links: Sequence[Link]) -> State:
    status = [one.job.status if one.job else "" for one in links]
    if all(one == jobs.DONE for one in status):
        return "done"
    if jobs.FAILED in status:
        return "failed"
    if jobs.CANCELLED in status or (found["cancelled"] and not _goes(status)):
        return "cancelled"
    return "running"


def _goes(status: Sequence[str]) -> bool:
    return any(one in jobs.ACTIVE for one in status)


def _read(settings: Settings) -> dict[str, Any] | None:
    found = storage.read_json(_path(settings))
    if found is None:
        return None
    if not isinstance(found, dict) or not {"chain_id", "steps", "jobs"} <= found.keys():
        raise StoreError(f"{_path(settings).name} is damaged. Delete it, and start again.")
    return found


def _path(settings: Settings) -> Path:
    return settings.state_dir / "chain.json"


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(settings.state_dir / "chain.lock", timeout=30):
            yield
    except Timeout as error:
        raise JobError("The chain of jobs is being changed elsewhere. Try again.") from error
