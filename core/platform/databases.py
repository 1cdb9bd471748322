"""SQLite files and PostgreSQL databases by address: their names, and sentences on their faults."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from filelock import Timeout
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from core.platform import store_faults
from core.platform.config import SQLITE
from core.platform.errors import StoreError
from core.platform.messages import Message, Words

CONNECT_SECONDS = 5
_GONE = (
    "OperationalError",
    "AdminShutdown",
    "InterfaceError",
    "ConnectionTimeout",
    "CrashShutdown",
    "CannotConnectNow",
)


def place(address: str) -> Words:
    """Return where a database is, for people, without a password.

    Examples
    --------
    >>> str(place("postgresql+psycopg://ann:s3cret@db/runs"))
    'PostgreSQL on db:5432, database runs'
    """
    parts = make_url(address)
    if parts.drivername.startswith("sqlite"):
        return str(parts.database)
    return Message(
        "PostgreSQL on {host}:{port}, database {database}",
        host=parts.host,
        port=str(parts.port or 5432),
        database=parts.database,
    )


def insert_of(dialect: str, table: sql.Table) -> Any:
    """Return the INSERT, which supports ON CONFLICT, of `postgresql` or `sqlite`."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


@contextmanager
def wrap_errors(address: str, setting: str) -> Iterator[None]:
    """Turn errors of a database into a StoreError with a sentence for a person.

    Parameters
    ----------
    setting : str
        The variable that holds the address.
    """
    try:
        yield
    except _database_errors(address) as error:
        cause: Any = getattr(error, "orig", None) or error
        text = " ".join(str(cause).split())[:200].rstrip(".")
        password = make_url(address).password
        if password:
            text = text.replace(str(password), "***")
        is_file = address.startswith(SQLITE)
        raise StoreError(_why(error, text, place(address), setting, is_file)) from error


def _database_errors(address: str) -> tuple[type[Exception], ...]:
    errors: tuple[type[Exception], ...] = (SQLAlchemyError, sqlite3.Error, OSError, Timeout)
    if address.startswith(SQLITE):
        return errors
    import psycopg

    return (*errors, psycopg.Error)


def _why(error: Exception, text: str, where: Words, setting: str, is_file: bool) -> Message:
    cause: Any = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None) or ""
    low = text.lower()
    if isinstance(error, Timeout) or "locked" in low or state in ("55P03", "57014"):
        return store_faults.sentence("locked", where)
    if "is full" in low or "disk i/o" in low or "no space" in low or state.startswith("53100"):
        return store_faults.sentence("full", where)
    if is_file and ("not a database" in low or "malformed" in low):
        return store_faults.damage(Path(str(where)))
    if is_file and ("readonly" in low or "unable to open" in low or isinstance(cause, OSError)):
        return store_faults.sentence("forbidden", where)
    absent = state == "3D000" or ("does not exist" in low and "database" in low)
    if absent or state.startswith("28") or "password" in low or "authentication" in low:
        return Message(
            "{where} refuses the name or the password, or does not exist. Correct {setting}.",
            where=where,
            setting=setting,
        )
    if state == "42501":
        return store_faults.sentence("forbidden", where)
    if not is_file and isinstance(cause, Exception) and type(cause).__name__ in _GONE:
        return Message("{where} does not answer. Start it again.", where=where)
    return Message("{name} cannot be used: {reason}", name=where, reason=f"{text}.")
