"""Chains of jobs, each queued when the one before it is done.

A chain lists the steps; its progress is in the job table. Both are in one database, so a chain
survives any crash: the next supervisor continues it. Only one chain runs at a time.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sql

from core.jobs import jobs
from core.jobs.jobs import Job
from core.platform import messages, permissions, set_aside, state, store_faults
from core.platform.config import Settings
from core.platform.errors import JobError, StoreError
from core.platform.messages import Words

NAME = "chain"
_KEYS = {"chain_id", "title", "began", "cancelled", "steps", "jobs"}

State = Literal["running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Link:
    """One job of a chain; None until it is queued."""

    step: str
    options: Mapping[str, Any]
    job: Job | None


@dataclass(frozen=True)
class Chain:
    """A chain as a page shows it.

    Parameters
    ----------
    title : Words
        Its purpose, in the words of the person who started it.
    state : {"running", "done", "failed", "cancelled"}
        Running while jobs of it are left.
    began : float
        Seconds since 1970.
    """

    chain_id: str
    title: Words
    state: State
    began: float
    links: tuple[Link, ...]

    @property
    def current(self) -> Link | None:
        """The link that is awaited, or at which the chain ended; None if all are done."""
        return next(
            (link for link in self.links if link.job is None or link.job.status != "done"), None
        )


def start(settings: Settings, steps: Sequence[tuple[str, Mapping[str, Any]]], title: Words) -> str:
    """Start a chain, queue its first job, and return the chain's id.

    Raises
    ------
    JobError
        While another chain runs.
    InputError
        For an unknown step.
    """
    with state.transaction(settings) as connection:
        try:
            stored = _read(settings, connection)
        except StoreError:
            stored = None  # neither continued nor waited for any more
        before = None if stored is None else _chain(connection, stored)
        if before is not None and before.state == "running":
            raise JobError(jobs.still_running(before.title))
        for step, _ in steps:
            jobs.require_step(step)
        wanted = {
            "chain_id": uuid.uuid4().hex,
            "title": messages.dumps(title),
            "began": time.time(),
            "cancelled": False,
            "steps": [[step, dict(options)] for step, options in steps],
            "jobs": [],
        }
        _queue_next(connection, wanted)
    return str(wanted["chain_id"])


def current(settings: Settings) -> Chain | None:
    """Return the running or the latest chain; None if there was none."""
    with state.reading(settings) as connection:
        stored = _read(settings, connection)
        return None if stored is None else _chain(connection, stored)


def advance(settings: Settings) -> None:
    """Queue the next job of the chain if the one before it is done."""
    with state.transaction(settings) as connection:
        stored = _read(settings, connection)
        if stored is None or stored["cancelled"] or len(stored["jobs"]) == len(stored["steps"]):
            return
        last = jobs.find(connection, stored["jobs"][-1])
        if last is not None and last.status == jobs.DONE:
            _queue_next(connection, stored)


@permissions.needs("job")
def cancel(settings: Settings) -> None:
    """Cancel the chain: the running job and all remaining ones."""
    with state.transaction(settings) as connection:
        stored = _read(settings, connection)
        if stored is None:
            return
        state.keep_document(connection, NAME, stored | {"cancelled": True})
    jobs.cancel(settings, stored["jobs"][-1])


@permissions.needs("job")
def forget(settings: Settings) -> None:
    """Delete a chain that has ended; a running one stays."""
    with state.transaction(settings) as connection:
        stored = _read(settings, connection)
        if stored is not None and _chain(connection, stored).state != "running":
            state.keep_document(connection, NAME, None)


def _queue_next(connection: sql.Connection, stored: dict[str, Any]) -> None:
    step, options = stored["steps"][len(stored["jobs"])]
    stored["jobs"].append(jobs.put(connection, step, options).job_id)
    state.keep_document(connection, NAME, stored)


def _chain(connection: sql.Connection, stored: Mapping[str, Any]) -> Chain:
    ids = stored["jobs"]
    links = tuple(
        Link(step, options, jobs.find(connection, ids[place]) if place < len(ids) else None)
        for place, (step, options) in enumerate(stored["steps"])
    )
    return Chain(
        stored["chain_id"],
        messages.loads(stored["title"]),
        _state(stored, links),
        stored["began"],
        links,
    )


def _state(stored: Mapping[str, Any], links: Sequence[Link]) -> State:
    statuses = [link.job.status if link.job else "" for link in links]
    if all(status == jobs.DONE for status in statuses):
        return "done"
    if jobs.FAILED in statuses:
        return "failed"
    if jobs.CANCELLED in statuses or (
        stored["cancelled"] and set(jobs.ACTIVE).isdisjoint(statuses)
    ):
        return "cancelled"
    return "running"


def _read(settings: Settings, connection: sql.Connection) -> dict[str, Any] | None:
    stored = state.document(connection, NAME)
    if stored is None:
        return None
    if not isinstance(stored, dict) or not stored.keys() >= _KEYS or not stored["jobs"]:
        set_aside.put(settings, "chain", NAME, "unreadable")
        raise StoreError(store_faults.damaged_document(NAME))
    return stored
