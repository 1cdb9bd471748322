"""The workers of a state, possibly on several machines, and what one of them alone does.

Each records a sign of life and, with it, where it runs. A worker of the same machine is dead when
its process has ended; any other is dead when its record has not changed for a while, by the clock
of whoever watches it.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sql

from core.jobs import jobs
from core.platform import identity, process, state
from core.platform.config import Settings
from core.platform.liveness import Pulse
from core.platform.process import Process

BEAT_SECONDS = 5.0
# at least; a worker ends its job processes for up to half of it without a beat
LOST_SECONDS = 60.0

_table = sql.Table(
    "workers",
    state.TABLES,
    sql.Column("worker", sql.String, primary_key=True),
    sql.Column("place", sql.String, nullable=False),
    sql.Column("host", sql.String, nullable=False),
    sql.Column("pid", sql.Integer, nullable=False),
    sql.Column("pid_created", sql.Float),
    sql.Column("since", sql.Float, nullable=False),
    sql.Column("beat", sql.Float, nullable=False),
    sql.Column("ready", sql.Boolean, nullable=False),
)
_leases = sql.Table(
    "leases",
    state.TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("worker", sql.String, nullable=False),
)


@dataclass(frozen=True)
class Worker:
    """A worker as recorded.

    Parameters
    ----------
    place : str
        Where its pid means something, see `here`.
    since, beat : float
        Its start and its newest sign of life, seconds since 1970 by its own clock.
    ready : bool
        Whether the slow imports are done.
    """

    worker: str
    place: str
    host: str
    pid: int
    pid_created: float | None
    since: float
    beat: float
    ready: bool


def here(settings: Settings) -> str:
    """Return where pids mean the same as for this process: home, boot, host, container."""
    spaces = ""
    with suppress(OSError):
        spaces = str(Path("/proc/self/ns/pid").stat().st_ino)
    home = identity.of_home(settings.state_dir)
    return " ".join([home, process.boot_id(), socket.gethostname(), spaces])


def listed(settings: Settings) -> list[Worker]:
    """Return the workers on record, the newest sign of life first; dead ones too."""
    query = sql.select(_table).order_by(_table.c.beat.desc())
    with state.reading(settings) as connection:
        return [Worker(**row) for row in connection.execute(query).mappings()]


@dataclass
class Own:
    """The record of this process, and what it has seen of the others."""

    settings: Settings
    worker: str = field(default_factory=lambda: uuid.uuid4().hex)
    since: float = field(default_factory=time.time)
    _home: str | None = None
    _beat_at: float | None = None
    _pulses: dict[str, Pulse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.place = here(self.settings)
        self._process = process.known(os.getpid())
        self._has_its_home()

    def beat(self, *, ready: bool, at_once: bool = False) -> None:
        """Record that this worker works; cheap within seconds of the last beat."""
        now = time.monotonic()
        if not at_once and self._beat_at is not None and now - self._beat_at < BEAT_SECONDS:
            return
        if not self._has_its_home():
            return
        # also if it fails: a locked database is not asked at every turn
        self._beat_at = now
        values = {
            "place": self.place,
            "host": socket.gethostname(),
            "pid": self._process.pid,
            "pid_created": self._process.create_time,
            "since": self.since,
            "beat": time.time(),
            "ready": ready,
        }
        with state.transaction(self.settings) as connection:
            new = state.insert(connection, _table).values(worker=self.worker, **values)
            connection.execute(new.on_conflict_do_update(index_elements=["worker"], set_=values))

    def leave(self) -> None:
        """Delete the record and what this worker alone did: another may do it at once."""
        if not self._has_its_home():
            return
        with state.transaction(self.settings) as connection:
            for table in (_leases, _table):
                connection.execute(sql.delete(table).where(table.c.worker == self.worker))

    def dead(self, others: Iterable[Worker]) -> set[str]:
        """Return which of these workers are dead, as far as this one can know by now."""
        return {other.worker for other in others if self._is_dead(other)}

    def _has_its_home(self) -> bool:
        """Return whether the home is still there: one that was moved away is not recreated."""
        now = identity.of_home(self.settings.state_dir)
        if self._home is None and self.settings.state_dir.exists():
            self._home = now
        return self._home in (None, now)

    def _is_dead(self, other: Worker) -> bool:
        if other.worker == self.worker:
            return False
        if other.place == self.place:
            if not process.is_alive(Process(other.pid, other.pid_created or 0.0)):
                return True
        elif self.settings.state_url is None:
            # a file is used on one machine: this is of a copied home, or from before a reboot
            return True
        patience = max(LOST_SECONDS, self.settings.hang_seconds)
        pulse = self._pulses.setdefault(other.worker, Pulse(patience))
        return pulse.is_hung(other.beat, cpu=0.0)

    def holds(self, name: str) -> bool:
        """Return whether this worker alone has a duty; it takes one that nobody alive has."""
        holder = sql.select(_leases.c.worker).where(_leases.c.name == name)
        with state.reading(self.settings) as connection:
            held_by = connection.execute(holder).scalar_one_or_none()
        if held_by == self.worker:
            return True
        if held_by is not None:
            holders = [each for each in listed(self.settings) if each.worker == held_by]
            if holders and not self.dead(holders):
                return False
        if not self._has_its_home():
            return False
        with state.transaction(self.settings) as connection:
            if connection.execute(holder).scalar_one_or_none() != held_by:
                return False
            connection.execute(sql.delete(_leases).where(_leases.c.name == name))
            connection.execute(sql.insert(_leases).values(name=name, worker=self.worker))
        return True

    def adopt(self, known: Collection[str]) -> dict[str, tuple[int | None, float | None]]:
        """Take over the running jobs of dead workers: each is taken by one worker alone.

        Parameters
        ----------
        known : collection of str
            Ids of this worker's own jobs.

        Returns
        -------
        dict
            By job, pid and start time of its process; None where they mean nothing here.
        """
        running = [each for each in jobs.running_claims(self.settings) if each.job_id not in known]
        others = listed(self.settings) if running else []
        by_name = {other.worker: other for other in others}
        dead = self.dead(others)
        taken = {}
        for claim in running:
            owner = by_name.get(claim.worker or "")
            if owner is not None and owner.worker not in dead | {self.worker}:
                continue
            if jobs.hand_over(self.settings, claim, self.worker):
                is_here = claim.worker is None or (owner and owner.place == self.place)
                taken[claim.job_id] = (claim.pid, claim.pid_created) if is_here else (None, None)
        return taken

    def forget_dead(self) -> None:
        """Delete the records of dead workers whose jobs have been taken over."""
        owners = {claim.worker for claim in jobs.running_claims(self.settings)}
        dead = self.dead(listed(self.settings)) - owners
        if dead:
            with state.transaction(self.settings) as connection:
                connection.execute(sql.delete(_table).where(_table.c.worker.in_(dead)))
