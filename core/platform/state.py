"""The state database of a home, SQLite: `state/state.db` (WAL, private to its owner).

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
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from core.platform import store_faults
from core.platform.config import Settings

WAIT_SECONDS = 15
TABLES = sql.MetaData()
_documents = sql.Table(
    "documents",
    TABLES,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("body", sql.String, nullable=False),
)


class _Opened(NamedTuple):
    # SQLite counts the writes for each connection by itself
    opening: int
    inode: int
    tables: int
    engine: sql.Engine
    # a read-only connection, so that it sees every write
    watcher: sqlite3.Connection


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
        _open(path(settings)).engine.connect() as connection,
        connection.execution_options(is_writing=True).begin(),
    ):
        yield connection


@contextmanager
def reading(settings: Settings) -> Iterator[sql.Connection]:
    """Open a read transaction, without waiting; a missing database reads as empty."""
    place = path(settings)
    with _faults(settings):
        if place.exists():
            with _open(place).engine.connect() as connection:
                yield connection
        else:
            with _nothing().begin() as connection:
                TABLES.create_all(connection)
                yield connection


def version(settings: Settings) -> tuple[int, int]:
    """Return a value that changes with every write of any process; takes microseconds."""
    place = path(settings)
    if not place.exists():
        return -1, 0
    with _faults(settings), _opening_lock:
        opened = _open(place)
        (number,) = opened.watcher.execute("PRAGMA data_version").fetchone()
    return opened.opening, number


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
    new = insert(_documents).values(name=name, body=body)
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
    with store_faults.wrap_store_errors(path(settings), SQLAlchemyError, sqlite3.Error, Timeout):
        yield


def _open(place: Path) -> _Opened:
    with _opening_lock:
        standing = _opened.get(place)
        if standing is not None:
            # the file may have been replaced: moved away, or restored from a backup
            if standing.inode == _inode(place) and standing.tables == len(TABLES.tables):
                return standing
            _close(place)
        engine = _new_engine(place)
        tables = len(TABLES.tables)
        opened = _Opened(next(_openings), _inode(place), tables, engine, _connect(place))
        _opened[place] = opened
        return opened


def _close(place: Path) -> None:
    with _opening_lock:
        opened = _opened.pop(place, None)
        if opened is not None:
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
    except BaseException:
        engine.dispose()
        raise
    return engine


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


def _inode(place: Path) -> int:
    try:
        return os.stat(place).st_ino
    except OSError:
        return -1
