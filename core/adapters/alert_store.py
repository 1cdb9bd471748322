"""The database of alerts, their deliveries and the schedules: state/alerts.db (SQLite, WAL).

Times named `at` are of `core.adapters.clock`, those named `real` are of the wall; seconds since
1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sql
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from core.config import Settings
from core.errors import StoreError

_metadata = sql.MetaData()

# the person's rules in their order; no row at all means those that come with the app
rules = sql.Table(
    "rules",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
)
# what was saved by a person at least once, so that an empty list stays empty
saved = sql.Table("saved", _metadata, sql.Column("name", sql.String, primary_key=True))
reports = sql.Table(
    "reports",
    _metadata,
    sql.Column("run_id", sql.String, primary_key=True),
    sql.Column("title", sql.String, nullable=False),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("real", sql.Float, nullable=False),
)
states = sql.Table(
    "states",
    _metadata,
    sql.Column("code", sql.String, primary_key=True),
    sql.Column("is_open", sql.Boolean, nullable=False),
    sql.Column("bad", sql.Integer, nullable=False),
    sql.Column("good", sql.Integer, nullable=False),
    sql.Column("told_at", sql.Float),
    sql.Column("is_told", sql.Boolean, nullable=False),
    sql.Column("is_acknowledged", sql.Boolean, nullable=False),
)
alerts = sql.Table(
    "alerts",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("alert_id", sql.String, nullable=False, unique=True),
    sql.Column("code", sql.String, nullable=False, index=True),
    sql.Column("group", sql.String),
    sql.Column("title", sql.String, nullable=False),
    sql.Column("rule", sql.String, nullable=False),
    sql.Column("state", sql.String, nullable=False, index=True),
    sql.Column("verdict", sql.String, nullable=False),
    sql.Column("value", sql.Float),
    sql.Column("limit", sql.String, nullable=False),
    sql.Column("run_id", sql.String, nullable=False),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("real", sql.Float, nullable=False),
    # as the newest report says
    sql.Column("last_verdict", sql.String, nullable=False),
    sql.Column("last_value", sql.Float),
    sql.Column("last_run_id", sql.String, nullable=False),
    sql.Column("cleared_at", sql.Float),
    sql.Column("cleared_real", sql.Float),
)
# two alerts of one check never stand at once
sql.Index(
    "one_open_alert",
    alerts.c.code,
    unique=True,
    sqlite_where=sql.text("state IN ('open', 'acknowledged')"),
)
events = sql.Table(
    "events",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("alert_id", sql.String, nullable=False, index=True),
    sql.Column("kind", sql.String, nullable=False),
    sql.Column("run_id", sql.String, index=True),
    sql.Column("value", sql.Float),
    sql.Column("is_told", sql.Boolean, nullable=False),
    sql.Column("person", sql.String),
    sql.Column("note", sql.String),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("real", sql.Float, nullable=False),
)
outbox = sql.Table(
    "outbox",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("delivery_id", sql.String, nullable=False, unique=True),
    sql.Column("channel", sql.String, nullable=False),
    sql.Column("body", sql.String, nullable=False),
    sql.Column("state", sql.String, nullable=False, index=True),
    sql.Column("tries", sql.Integer, nullable=False, default=0),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("next_try", sql.Float, nullable=False),
    sql.Column("ended", sql.Float),
    sql.Column("problem", sql.String),
)
schedules = sql.Table(
    "schedules",
    _metadata,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
    sql.Column("is_on", sql.Boolean, nullable=False),
    # when `next_at` was reckoned: a clock that reads less was put back
    sql.Column("set_at", sql.Float, nullable=False),
    sql.Column("next_at", sql.Float, nullable=False),
    sql.Column("last_at", sql.Float),
    sql.Column("last_real", sql.Float),
    sql.Column("job_id", sql.String),
    sql.Column("is_submitted", sql.Boolean, nullable=False, default=True),
    sql.Column("runs", sql.Integer, nullable=False, default=0),
    sql.Column("skipped", sql.Integer, nullable=False, default=0),
    sql.Column("problem", sql.String),
)


def is_there(settings: Settings) -> bool:
    """Return whether anything was ever kept here; cheap, makes no file."""
    return (settings.state_dir / "alerts.db").exists()


@contextmanager
def begin(settings: Settings) -> Iterator[sql.Connection]:
    """Open one transaction: all that is written inside stands, or none of it.

    Raises
    ------
    StoreError
        When the database cannot be used.
    """
    try:
        with _engine(settings.state_dir).begin() as connection:
            yield connection
    except (SQLAlchemyError, OSError, Timeout) as error:
        raise StoreError(f"The database of alerts cannot be used: {error}") from error


@lru_cache(maxsize=8)
def _engine(state_dir: Path) -> sql.Engine:
    state_dir.mkdir(parents=True, exist_ok=True)
    path = (state_dir / "alerts.db").as_posix()
    engine = sql.create_engine(f"sqlite:///{path}", connect_args={"timeout": 15})
    # one maker: two processes that switch a new file to WAL at once get "database is locked"
    with FileLock(state_dir / "alerts.lock", timeout=30), engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        _metadata.create_all(connection)
    return engine
