"""Schema and connection of the predictions log, on SQLite or PostgreSQL, with sentences for errors.

Only the modules of this package use it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from filelock import FileLock, Timeout
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url

from core.platform import databases
from core.platform.config import SQLITE, Settings
from core.platform.errors import StoreError
from core.platform.messages import Words
from core.platform.rows import key_text as key_text

# Default wait for another writer, seconds.
WAIT_SECONDS = 30.0
# The scope of a label that names a prediction. The others name a key, and have the scope of its
# data source, see `scope_of`.
BY_ID = ""
_SAMPLE = "/sample"
# Held for a transaction: shared by writers of predictions, exclusive for writers of labels.
_LABELS_LOCK = 7_130_501
_SCHEMA_LOCK = 7_130_502

# Writers look up single rows. Without this, PostgreSQL scans whole tables while it lacks
# statistics, and keeps a plan from when they were empty: 177 s for 100,000 labels.
_LOOK_UPS = "SET LOCAL plan_cache_mode = force_custom_plan; " + "".join(
    f"SET LOCAL {name} = off; "
    for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)

# Result codes about the file and not about a row: busy, locked, out of memory, read-only, I/O
# error, corrupt, full, cannot open, not a database (https://sqlite.org/rescode.html).
_SQLITE_DOWN = frozenset({5, 6, 7, 8, 10, 11, 13, 14, 15, 26})
# Error classes of the server, the connection or the account
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
_POSTGRESQL_DOWN = frozenset({"08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"})

_number = sql.BigInteger().with_variant(sql.Integer, "sqlite")
# the only collation in which SQLite and PostgreSQL sort alike
_name = sql.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

metadata = sql.MetaData()
requests = sql.Table(
    "requests",
    metadata,
    sql.Column("number", _number, primary_key=True, autoincrement=True),
    sql.Column("request_id", _name, nullable=False),
    sql.Column("is_shadow", sql.Boolean, nullable=False),
    sql.Column("digest", sql.Text, nullable=False),
    # the data source, see `scope_of`
    sql.Column("scope", sql.Text, nullable=False),
    sql.Column("run_id", sql.Text),
    sql.Column("scored_at", sql.Double, nullable=False),
    sql.Column("source", sql.Text, nullable=False),
    sql.Column("model", sql.Text, nullable=False),
    sql.Column("version", sql.Text, nullable=False),
    sql.Column("alias", sql.Text),
    sql.Column("latency_ms", sql.Double, nullable=False),
    sql.Column("columns", sql.Text, nullable=False),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.UniqueConstraint("request_id", "is_shadow", name="requests_once"),
    sql.Index("requests_of_run", "run_id"),
    # covers the counts of a day
    sql.Index("requests_by_time", "scored_at", "source", "is_shadow", "rows"),
)
sql.Index(
    "requests_shadow",
    requests.c.number,
    sqlite_where=requests.c.is_shadow,
    postgresql_where=requests.c.is_shadow,
)
# the rows of a request are adjacent: by its number, then by position
predictions = sql.Table(
    "predictions",
    metadata,
    sql.Column("request", _number, primary_key=True, autoincrement=False),
    sql.Column("position", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("row_key", _name),
    sql.Column("probability", sql.Double, nullable=False),
    sql.Column("predicted", sql.SmallInteger, nullable=False),
    sql.Column("label", sql.SmallInteger),
    sql.Column("features", sql.Text, nullable=False),
    sqlite_with_rowid=False,
)
sql.Index(
    "predictions_by_key",
    predictions.c.row_key,
    sqlite_where=predictions.c.row_key.isnot(None),
    postgresql_where=predictions.c.row_key.isnot(None),
)
labels = sql.Table(
    "labels",
    metadata,
    sql.Column("scope", _name, primary_key=True),
    sql.Column("name", _name, primary_key=True),
    sql.Column("label", sql.SmallInteger, nullable=False),
    sql.Column("labelled_at", sql.Double, nullable=False),
    sqlite_with_rowid=False,
)
label_history = sql.Table(
    "label_history",
    metadata,
    sql.Column("number", _number, primary_key=True, autoincrement=True),
    sql.Column("scope", _name, nullable=False),
    sql.Column("name", _name, nullable=False),
    sql.Column("label", sql.SmallInteger, nullable=False),
    sql.Column("labelled_at", sql.Double, nullable=False),
    sql.Column("received_at", sql.Double, nullable=False),
    sql.Column("source", sql.Text, nullable=False),
    sql.Column("outcome", sql.Text, nullable=False),
    sql.Index("label_history_by_name", "scope", "name"),
)
scorings = sql.Table(
    "scorings",
    metadata,
    sql.Column("run_id", sql.Text, primary_key=True),
    sql.Column("source", sql.Text, nullable=False),
    sql.Column("model", sql.Text, nullable=False),
    sql.Column("version", sql.Text, nullable=False),
    sql.Column("scored_at", sql.Double, nullable=False, index=True),
    sql.Column("rows", sql.BigInteger, nullable=False),
    sql.Column("labels", sql.BigInteger, nullable=False),
    sql.Column("path", sql.Text),
    # number in label_history up to which a file's labels are counted
    sql.Column("labels_until", sql.BigInteger, nullable=False, server_default="0"),
    sql.Column("scope", sql.Text, nullable=False),
)
# updated on write, since counting a million predictions takes seconds
tallies = sql.Table(
    "tallies",
    metadata,
    sql.Column("scope", sql.Text, primary_key=True),
    sql.Column("source", sql.Text, primary_key=True),
    sql.Column("model", sql.Text, primary_key=True),
    sql.Column("version", sql.Text, primary_key=True),
    sql.Column("is_shadow", sql.Boolean, primary_key=True),
    sql.Column("rows", sql.BigInteger, nullable=False),
    sql.Column("labels", sql.BigInteger, nullable=False),
    sql.Column("first_at", sql.Double, nullable=False),
    sql.Column("last_at", sql.Double, nullable=False),
)
gaps = sql.Table(
    "gaps",
    metadata,
    sql.Column("number", _number, primary_key=True, autoincrement=True),
    sql.Column("begun", sql.Double, nullable=False),
    sql.Column("ended", sql.Double, nullable=False),
    sql.Column("rows", sql.BigInteger, nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
)


@dataclass(frozen=True)
class _Kept:
    """A cached engine, with the process and file it belongs to."""

    engine: sql.Engine
    made_for: tuple[int, int]


_kept: dict[str, _Kept] = {}
_making = threading.Lock()


def url(settings: Settings) -> str:
    """Return the log's URL, which may contain a password."""
    return settings.predictions_url or f"{SQLITE}{_default(settings).as_posix()}"


def place(settings: Settings) -> Words:
    """Return the log's location for people, without a password."""
    return databases.place(url(settings))


def is_there(settings: Settings) -> bool:
    """Return whether the log exists; the first writer creates a SQLite file."""
    path = _file(settings)
    return path is None or path.is_file()


@contextmanager
def reading(settings: Settings) -> Iterator[sql.Connection]:
    """Yield a connection for reading the current log."""
    with _wrap_log_errors(settings), _engine(settings).connect() as connection:
        yield connection


@contextmanager
def writing(
    settings: Settings, *, wait_seconds: float | None = None, of_labels: bool = False
) -> Iterator[sql.Connection]:
    """Yield a connection whose changes are committed at the end, or not at all.

    Parameters
    ----------
    wait_seconds : float, optional
        Longest wait for another writer; default 30 s.
    of_labels : bool
        Whether labels are written; excludes writers of predictions, so that both see each other's
        rows.
    """
    seconds = WAIT_SECONDS if wait_seconds is None else max(wait_seconds, 0.001)
    with _wrap_log_errors(settings), _engine(settings).connect() as bare:
        # SQLite's options are read by `_begin`
        connection = bare.execution_options(courtside_wait=seconds, courtside_writes=True)
        with connection.begin():
            if connection.dialect.name == "postgresql":
                shared = "" if of_labels else "_shared"
                connection.exec_driver_sql(
                    f"SET LOCAL lock_timeout = {int(seconds * 1000)}; {_LOOK_UPS}"
                    f"SELECT pg_advisory_xact_lock{shared}({_LABELS_LOCK})"
                )
            yield connection


def is_down(error: StoreError) -> bool:
    """Return whether the log itself failed (busy, full, damaged or unreachable), for any rows."""
    cause: Any = error.__cause__
    cause = getattr(cause, "orig", None) or cause
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _SQLITE_DOWN
    if isinstance(cause, OSError | Timeout | sql.exc.TimeoutError):
        return True
    state = getattr(cause, "sqlstate", "")
    # psycopg gives no SQLSTATE if it has lost the server
    return state is None or state[:2] in _POSTGRESQL_DOWN


def insert(connection: sql.Connection, table: sql.Table) -> Any:
    """Return the database's own INSERT, which supports ON CONFLICT."""
    return databases.insert_of(connection.dialect.name, table)


def fill(connection: sql.Connection, table: str, columns: tuple[str, ...], rows: Any) -> None:
    """Insert many rows in the database's fastest way.

    Parameters
    ----------
    rows : list of tuple
        Values in the order of `columns`.
    """
    names = ", ".join(columns)
    if connection.dialect.name == "postgresql":
        raw: Any = connection.connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    elif rows:
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, rows)


def scope_of(project: str, *, is_sample: bool) -> str:
    """Return the data source that scopes rows and their keys.

    A key is unique only within its source.

    Examples
    --------
    >>> scope_of("kobe", is_sample=False), scope_of("kobe", is_sample=True)
    ('kobe', 'kobe/sample')
    """
    # not a valid project name, see `Settings.project`
    return f"{project}{_SAMPLE}" if is_sample else project


def scopes(project: str) -> tuple[str, str]:
    """Return all data sources of a project: real rows, and the built-in sample."""
    return scope_of(project, is_sample=False), scope_of(project, is_sample=True)


def of_sample(scope: Any) -> Any:
    """Return the condition that a scope column refers to the built-in sample."""
    return scope.endswith(_SAMPLE)


def _default(settings: Settings) -> Path:
    return settings.state_dir / "predictions.db"


def _file(settings: Settings) -> Path | None:
    address = make_url(url(settings))
    return Path(str(address.database)) if address.drivername.startswith("sqlite") else None


def _engine(settings: Settings) -> sql.Engine:
    """Return this process's engine for the current log."""
    address, path = url(settings), _file(settings)
    with _making:
        opened = _kept.get(address)
        # never reuse connections of a parent process, or to a deleted file
        if opened is None or opened.made_for != (os.getpid(), _inode(path)):
            if opened is not None:
                opened.engine.dispose(close=opened.made_for[0] == os.getpid())
            engine = _new_engine(settings, path)
            opened = _kept[address] = _Kept(engine, (os.getpid(), _inode(path)))
        return opened.engine


def _inode(path: Path | None) -> int:
    try:
        return path.stat().st_ino if path else 0
    except OSError:
        return -1


def _new_engine(settings: Settings, path: Path | None) -> sql.Engine:
    with _wrap_log_errors(settings):
        if path is None:
            return _make_postgresql(url(settings))
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = sql.create_engine(url(settings), connect_args={"timeout": WAIT_SECONDS})
        sql.event.listen(engine, "connect", _set_up)
        sql.event.listen(engine, "begin", _begin)
        # two processes that switch a new file to WAL at once get "database is locked"
        with FileLock(f"{path}.lock", timeout=WAIT_SECONDS):
            with engine.connect() as bare, bare.begin():
                whole = _is_whole(bare)
            if not whole:
                writer = engine.execution_options(courtside_writes=True)
                with writer.begin() as connection:
                    metadata.create_all(connection)
        return engine


def _make_postgresql(address: str) -> sql.Engine:
    engine = sql.create_engine(
        address,
        pool_pre_ping=True,
        pool_size=4,
        connect_args={
            "connect_timeout": databases.CONNECT_SECONDS,
            "application_name": "courtside",
        },
    )
    with engine.connect() as bare, bare.begin():
        whole = _is_whole(bare)
    if not whole:  # a read-only account need not be allowed to create tables
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
            metadata.create_all(connection)
    return engine


def _is_whole(connection: sql.Connection) -> bool:
    return set(metadata.tables) <= set(sql.inspect(connection).get_table_names())


def _set_up(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin too late, see `_begin`
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA temp_store=MEMORY")


def _begin(connection: sql.Connection) -> None:
    options = connection.get_execution_options()
    seconds = options.get("courtside_wait", WAIT_SECONDS)
    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(seconds * 1000)}")
    # a read transaction that starts to write is refused if another wrote first
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("courtside_writes") else "BEGIN")


@contextmanager
def _wrap_log_errors(settings: Settings) -> Iterator[None]:
    with databases.wrap_errors(url(settings), "COURTSIDE_PREDICTIONS_URL"):
        yield
