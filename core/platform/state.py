"""The state database of a home: SQLite (`state/state.db`: WAL, private to its owner) or PostgreSQL.

In PostgreSQL each home of a project is a schema, so that several share a database.

Each subject defines its tables in its own package, on `TABLES`. Singletons that need no search are
documents: JSON under a name. What reads or writes it raises a StoreError if it cannot be used.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sql
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from core.platform import databases, store_faults
from core.platform.config import Settings

WAIT_SECONDS = 15
TABLES = sql.MetaData()
_documents = sql.Table(
    "documents",
    TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
)
# held by the writing transaction of a schema, which is the second number
_WRITE_LOCK = 71_305
# writes are counted in PostgreSQL; SQLite does so by itself
_COUNTER = "CREATE TABLE IF NOT EXISTS writes AS SELECT 0::bigint AS number"
_COUNT = "UPDATE writes SET number = number + 1 WHERE pg_current_xact_id_if_assigned() IS NOT NULL"


class _Opened(NamedTuple):
    # SQLite counts the writes for each connection by itself
    opening: int
    inode: int
    tables: int
    engine: sql.Engine
    # a read-only connection, so that it sees every write; the driver's own, as it is asked often
    watcher: Any


_opened: dict[Path, _Opened] = {}
_openings = itertools.count()
_opening_lock = threading.RLock()


def path(settings: Settings) -> Path:
    """Return the path of the database."""
    return settings.state_dir / "state.db"


@contextmanager
def transaction(settings: Settings) -> Iterator[sql.Connection]:
    """Open a write transaction: all writes are committed, or none.

    Transactions of all threads and processes are serialized: what is read inside stays valid until
    it ends. The file is created if missing.

    Raises
    ------
    StoreError
        If the database cannot be used; `store_faults.DamagedError` if it is damaged.
    """
    with (
        _faults(settings),
        _open(settings).engine.connect() as connection,
        connection.execution_options(is_writing=True).begin(),
    ):
        yield connection
        if settings.state_url:
            connection.exec_driver_sql(_COUNT)


@contextmanager
def reading(settings: Settings) -> Iterator[sql.Connection]:
    """Open a read transaction, without waiting; a missing database reads as empty."""
    with _faults(settings):
        if exists(settings):
            with _open(settings).engine.connect() as connection:
                yield connection
        else:
            with _nothing().begin() as connection:
                TABLES.create_all(connection)
                yield connection


def version(settings: Settings) -> tuple[int, int]:
    """Return a value that changes with every write of any process.

    It takes microseconds, with PostgreSQL the way to its server and back.
    """
    if not exists(settings):
        return -1, 0
    ask = "SELECT number FROM writes" if settings.state_url else "PRAGMA data_version"
    with _faults(settings), _opening_lock:
        opened = _open(settings)
        try:
            (number,) = opened.watcher.execute(ask).fetchone()
        except Exception:
            # a connection that has lost its server stays lost
            if settings.state_url:
                _close(path(settings))
            raise
    return opened.opening, number


def exists(settings: Settings) -> bool:
    """Return whether there is a database; the first write creates a SQLite file."""
    return settings.state_url is not None or path(settings).exists()


def insert(connection: sql.Connection, table: sql.Table) -> Any:
    """Return the database's own INSERT, which supports ON CONFLICT."""
    return databases.insert_of(connection.dialect.name, table)


def rename(settings: Settings, name: str, *, back: bool = False) -> None:
    """Put a project's schema in PostgreSQL aside under another name, or back; no-op with SQLite.

    The file of SQLite moves with the home.
    """
    if settings.state_url is None:
        return
    close(settings)
    mine = _schema(settings)
    before, after = (name, mine) if back else (mine, name)
    with _faults(settings):
        engine = sql.create_engine(settings.state_url, poolclass=sql.NullPool)
        with engine.begin() as connection:
            if sql.inspect(connection).has_schema(before):
                connection.exec_driver_sql(f'ALTER SCHEMA "{before}" RENAME TO "{after}"')


def close(settings: Settings) -> None:
    """Close the database before its file is moved; everything is in that file then.

    On closing, SQLite removes the companion files by name, and would remove those of a database
    that has replaced this one.
    """
    _close(path(settings))


def document(connection: sql.Connection, name: str) -> Any:
    """Return the document with this name; None if there is none.

    Raises
    ------
    DamagedError
        If it is not JSON.
    """
    mine = sql.select(_documents.c.body).where(_documents.c.name == name)
    body = connection.execute(mine).scalar_one_or_none()
    try:
        return None if body is None else json.loads(body)
    except ValueError as error:
        raise store_faults.DamagedError(store_faults.damaged_document(name)) from error


def keep_document(connection: sql.Connection, name: str, content: Any) -> None:
    """Store a JSON value under this name, replacing any earlier one; None deletes it."""
    if content is None:
        connection.execute(sql.delete(_documents).where(_documents.c.name == name))
        return
    body = json.dumps(content)
    new = insert(connection, _documents).values(name=name, body=body)
    connection.execute(
        new.on_conflict_do_update(index_elements=["name"], set_={"body": new.excluded.body})
    )


def load(settings: Settings, name: str) -> Any:
    """Return a document, as `document` does."""
    with reading(settings) as connection:
        return document(connection, name)


def save(settings: Settings, name: str, content: Any) -> None:
    """Store a document, as `keep_document` does."""
    with transaction(settings) as connection:
        keep_document(connection, name, content)


@contextmanager
def _faults(settings: Settings) -> Iterator[None]:
    if settings.state_url:
        with databases.wrap_errors(settings.state_url, "COURTSIDE_STATE_URL"):
            yield
        return
    with store_faults.wrap_store_errors(path(settings), SQLAlchemyError, sqlite3.Error, Timeout):
        yield


def _open(settings: Settings) -> _Opened:
    place = path(settings)
    with _opening_lock:
        standing = _opened.get(place)
        if standing is not None:
            # the file may have been replaced: moved away, or restored from a backup
            inode = _identity(settings)
            if standing.inode == inode and standing.tables == len(TABLES.tables):
                return standing
            _close(place)
        tables = len(TABLES.tables)
        if settings.state_url:
            engine, watcher = _new_postgresql(settings.state_url, _schema(settings))
        else:
            engine = _new_engine(place)
            watcher = _connect(place)
        opened = _Opened(next(_openings), _identity(settings), tables, engine, watcher)
        _opened[place] = opened
        return opened


def _close(place: Path) -> None:
    with _opening_lock:
        opened = _opened.pop(place, None)
        if opened is None:
            return
        if opened.engine.dialect.name == "postgresql" and opened.inode != os.getpid():
            opened.engine.dispose(close=False)
            return
        opened.engine.dispose()
        opened.watcher.close()


def _new_engine(place: Path) -> sql.Engine:
    engine = sql.create_engine(
        "sqlite://", creator=lambda: _connect(place), poolclass=sql.QueuePool
    )
    sql.event.listen(engine, "begin", _begin)
    if _is_read_only(place):
        return engine
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # two processes that switch a new file to WAL at once get "database is locked"
        with FileLock(place.with_suffix(".lock"), timeout=30):
            # SQLite gives its companion files the same permissions
            os.close(os.open(place, os.O_CREAT | os.O_RDWR, 0o600))
            with engine.connect() as connection:
                connection.connection.execute("PRAGMA journal_mode=WAL")
                # a read transaction that starts to write fails at once if another wrote meanwhile
                with connection.execution_options(is_writing=True).begin():
                    TABLES.create_all(connection)
                    _add_columns(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _add_columns(connection: sql.Connection) -> None:
    """Add columns that a database of an earlier version lacks; only those that may be empty."""
    known = sql.inspect(connection).get_multi_columns()
    for table in TABLES.sorted_tables:
        present = {column["name"] for column in known[(None, table.name)]}
        for column in table.columns:
            if column.name not in present and column.nullable:
                kind = column.type.compile(connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD {column.name} {kind}")


def _new_postgresql(address: str, schema: str) -> tuple[sql.Engine, Any]:
    """Return an engine whose tables are those of a schema, and the driver's connection."""
    asked = {
        "connect_timeout": databases.CONNECT_SECONDS,
        "application_name": "courtside",
        "options": f"-csearch_path={schema} -clock_timeout={WAIT_SECONDS * 1000}",
    }
    engine = sql.create_engine(address, connect_args=asked, pool_pre_ping=True)
    try:
        with engine.connect() as bare, bare.begin():
            is_whole = {*TABLES.tables, "writes"} <= set(sql.inspect(bare).get_table_names())
        if not is_whole:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK}, 0)")
                connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
                TABLES.create_all(connection)
                connection.exec_driver_sql(_COUNTER)
        sql.event.listen(engine, "begin", _begin_postgresql)
        arguments, given = engine.dialect.create_connect_args(engine.url)
        watcher = engine.dialect.connect(*arguments, **given, **asked, autocommit=True)
    except BaseException:
        engine.dispose()
        raise
    return engine, watcher


def _begin_postgresql(connection: sql.Connection) -> None:
    if connection.get_execution_options().get("is_writing", False):
        # each statement after it sees all that the writers before have committed
        lock = f"SELECT pg_advisory_xact_lock({_WRITE_LOCK}, hashtext(current_schema()))"
        connection.exec_driver_sql(lock)
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _schema(settings: Settings) -> str:
    return f"courtside_{settings.project}" if settings.is_nested else "courtside"


def _connect(place: Path) -> sqlite3.Connection:
    address = place.absolute().as_uri()
    if _is_read_only(place):
        # read without the companion files that SQLite would create
        wal = place.with_name(f"{place.name}-wal")
        address += "?mode=ro" if wal.exists() else "?immutable=1"
    return sqlite3.connect(
        address,
        uri=True,
        timeout=WAIT_SECONDS,
        # we begin transactions: sqlite3 by itself begins one only with the first write
        isolation_level=None,
        check_same_thread=False,
    )


def _is_read_only(place: Path) -> bool:
    return place.exists() and not os.access(place.parent, os.W_OK)


def _begin(connection: sql.Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


@cache
def _nothing() -> sql.Engine:
    # a connection may be closed by another thread
    return sql.create_engine("sqlite://", poolclass=sql.NullPool)


def _identity(settings: Settings) -> int:
    """Return a number of the database in use: one in PostgreSQL is never replaced by another."""
    # connections of a parent process are not ours
    return os.getpid() if settings.state_url else _inode(path(settings))


def _inode(place: Path) -> int:
    try:
        return os.stat(place).st_ino
    except OSError:
        return -1
