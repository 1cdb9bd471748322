"""The index of runs in the state database: what pages list, without a search in MLflow.

MLflow keeps the record. What writes a run also writes its row here; `refresh` adds what others did
in the same store, such as a deletion on MLflow's own pages, as soon as the store has changed. An
index that is lost is built again.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import sqlalchemy as sql

from core.platform import state, store_version
from core.platform.config import SQLITE, Settings
from core.platform.run_tags import TAG, Condition
from core.platform.runs import RunInfo

PARENT = "mlflow.parentRunId"
STEP = f"{TAG}step"
# tags with a column, since runs are searched by them
COLUMNS = {STEP: "step", PARENT: "parent", f"{TAG}champion_of": "champion_of"}
# a store on a server does not show that it has changed: it is asked again after this time
REFRESH_SECONDS = 30.0
# clocks of other machines may be late by this much
LATE_SECONDS = 300.0

# runs of the experiment that meet a filter in MLflow's syntax
Search = Callable[[str, Literal["active", "deleted"]], Iterable[RunInfo]]

_runs = sql.Table(
    "runs",
    state.TABLES,
    sql.Column("scope", sql.String, primary_key=True),
    sql.Column("run_id", sql.String, primary_key=True),
    sql.Column("experiment_id", sql.String, nullable=False),
    sql.Column("name", sql.String, nullable=False),
    sql.Column("step", sql.String),
    sql.Column("parent", sql.String),
    sql.Column("champion_of", sql.String),
    sql.Column("status", sql.String, nullable=False),
    sql.Column("started", sql.Float, nullable=False),
    sql.Column("ended", sql.Float),
    sql.Column("is_deleted", sql.Boolean, nullable=False),
    sql.Column("params", sql.JSON, nullable=False),
    sql.Column("metrics", sql.JSON, nullable=False),
    sql.Column("tags", sql.JSON, nullable=False),
    sql.Index("runs_by_start", "scope", "started"),
    sql.Index("runs_by_step", "scope", "step", "name", "started"),
    sql.Index("runs_by_status", "scope", "status"),
    sql.Index("runs_by_parent", "scope", "parent"),
    sql.Index("runs_by_champion", "scope", "champion_of"),
)
# when a store was last compared with the index, which has all of its runs since the first time
_compared = sql.Table(
    "run_stores",
    state.TABLES,
    sql.Column("scope", sql.String, primary_key=True),
    sql.Column("compared_at", sql.Float, nullable=False),
)


class Wanted(NamedTuple):
    """Which runs: all that has a value must be so; see `tracking.runs`."""

    step: str | None = None
    name: str | None = None
    status: str | None = None
    parent: str | None = None
    ids: Sequence[str] | None = None
    matching: tuple[Condition, ...] = ()

    def for_mlflow(self) -> str:
        """Return it as a filter in MLflow's syntax."""
        given = [
            ("tags", STEP, self.step),
            ("attributes", "run_name", self.name),
            ("attributes", "status", self.status),
            ("tags", PARENT, self.parent),
        ]
        wanted = [f"{kind}.`{name}` = '{value}'" for kind, name, value in given if value]
        wanted += [condition.for_mlflow() for condition in self.matching]
        wanted += [] if self.ids is None else [_among(self.ids)]
        return " and ".join(wanted)


class _Seen(NamedTuple):
    """The state of a store at its last comparison in this process; no version if it shows none."""

    compared_at: float
    version: store_version.Version | None
    # changes if the state database was lost or replaced
    opening: int


_seen: dict[tuple[Path, str], _Seen] = {}
_refreshing = threading.RLock()


def write(settings: Settings, run: RunInfo) -> None:
    """Add a run, or replace its row."""
    with state.transaction(settings) as connection:
        _write(connection, _scope(settings), [run])


def refresh(settings: Settings, search: Search) -> bool:
    """Add what the store has and the index lacks, if the store has changed.

    A change of a finished run's tags or metrics that was made elsewhere is not noticed.

    Returns
    -------
    bool
        Whether there is an index; a home that cannot be written may have none.
    """
    scope = _scope(settings)
    key = (state.path(settings), scope)
    with _refreshing:
        seen = _seen.get(key)
        now = _Seen(time.time(), store_version.current(settings), state.version(settings)[0])
        if seen is not None and not _has_changed(settings, seen, now):
            return True
        if not _is_writable(settings):
            return _is_known(settings, scope)
        _compare(settings, scope, search, now.compared_at)
        # the first write may have created the state database
        _seen[key] = now._replace(opening=state.version(settings)[0])
        return True


def select(
    settings: Settings, wanted: Wanted, *, limit: int, with_deleted: bool = False
) -> list[RunInfo]:
    """Return runs, newest first; see `tracking.runs`."""
    of = _runs.c
    where = [of.scope == _scope(settings)]
    where += [
        of[name] == value
        for name in ("step", "name", "status", "parent")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.ids is not None:
        where.append(of.run_id.in_(wanted.ids))
    if not with_deleted:
        where.append(of.is_deleted.is_(False))
    for condition in wanted.matching:
        column = COLUMNS.get(condition.name) if condition.kind == "tags" else None
        value = of[column] if column else of[condition.kind][condition.name].as_string()
        where.append(
            value == condition.value if condition.sign == "=" else value != condition.value
        )
    query = sql.select(_runs).where(*where).order_by(of.started.desc(), of.run_id).limit(limit)
    with state.reading(settings) as connection:
        return [_info(row) for row in connection.execute(query)]


def _compare(settings: Settings, scope: str, search: Search, now: float) -> None:
    """Write the runs that are new, were open or were deleted since the last comparison."""
    of = _runs.c
    mine = of.scope == scope
    with state.reading(settings) as connection:
        since = connection.execute(
            sql.select(_compared.c.compared_at).where(_compared.c.scope == scope)
        ).scalar_one_or_none()
        rows = connection.execute(
            sql.select(of.run_id, of.status, of.is_deleted).where(
                mine, sql.or_(of.status == "RUNNING", of.is_deleted.is_(True))
            )
        ).all()
    after = "" if since is None else f"attributes.start_time > {int(since - LATE_SECONDS) * 1000}"
    runs = {run.run_id: run for run in search(after, "active")}
    deleted = {run.run_id: run for run in search("", "deleted")}
    were_deleted = {row.run_id for row in rows if row.is_deleted}
    uncertain = {row.run_id for row in rows} - runs.keys() - deleted.keys()
    if uncertain:
        runs |= {run.run_id: run for run in search(_among(uncertain), "active")}
    gone = uncertain - runs.keys()
    with state.transaction(settings) as connection:
        _write(connection, scope, runs.values())
        unknown = [run for name, run in deleted.items() if name not in were_deleted]
        _write(connection, scope, unknown, is_deleted=True)
        if gone:
            connection.execute(sql.delete(_runs).where(mine, of.run_id.in_(gone)))
        new = state.insert(connection, _compared).values(scope=scope, compared_at=now)
        connection.execute(
            new.on_conflict_do_update(
                index_elements=["scope"], set_={"compared_at": new.excluded.compared_at}
            )
        )


def _write(
    connection: sql.Connection, scope: str, runs: Iterable[RunInfo], *, is_deleted: bool = False
) -> None:
    rows = [
        {
            "scope": scope,
            "run_id": run.run_id,
            "experiment_id": run.experiment_id,
            "name": run.name,
            **{column: run.tags.get(tag) for tag, column in COLUMNS.items()},
            "status": run.status,
            "started": run.started,
            "ended": run.ended,
            "is_deleted": is_deleted,
            "params": run.params,
            # a database may refuse others
            "metrics": {name: value for name, value in run.metrics.items() if math.isfinite(value)},
            "tags": run.tags,
        }
        for run in runs
    ]
    if not rows:
        return
    new = state.insert(connection, _runs)
    replaced = {column.name: new.excluded[column.name] for column in _runs.columns}
    connection.execute(
        new.on_conflict_do_update(index_elements=["scope", "run_id"], set_=replaced), rows
    )


def _info(row: Any) -> RunInfo:
    return RunInfo(
        row.run_id,
        row.experiment_id,
        row.name,
        row.status,
        row.started,
        row.ended,
        row.params,
        row.metrics,
        row.tags,
    )


def _among(ids: Iterable[str]) -> str:
    return "attributes.run_id IN (" + ", ".join(f"'{run_id}'" for run_id in sorted(ids)) + ")"


def _is_known(settings: Settings, scope: str) -> bool:
    query = sql.select(_compared.c.scope).where(_compared.c.scope == scope)
    with state.reading(settings) as connection:
        return connection.execute(query).first() is not None


def _scope(settings: Settings) -> str:
    """Return the key of a project in a store; the same after the home was moved."""
    store = settings.mlflow_uri.replace(settings.outer_home.as_posix(), "", 1)
    return hashlib.sha256(f"{settings.project}\n{store}".encode()).hexdigest()[:16]


def _has_changed(settings: Settings, seen: _Seen, now: _Seen) -> bool:
    if seen.opening != now.opening:
        return True
    if now.version is None and not settings.mlflow_uri.startswith(SQLITE):
        return now.compared_at - seen.compared_at > REFRESH_SECONDS
    # a file that shows no version cannot be read: the search says why
    return now.version is None or seen.version != now.version


def _is_writable(settings: Settings) -> bool:
    return os.access(settings.state_dir, os.W_OK)
