"""Whether MLflow's database has changed; what was read from it is remembered until it has.

Only a SQLite store says so. Nothing is remembered of another.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from core.platform.config import SQLITE, Settings

MOST_REMEMBERED = 2000
Version = tuple[int, int]
Value = TypeVar("Value")


class _Watched(NamedTuple):
    opening: int
    inode: int
    # never writes, so that it sees every write
    connection: sqlite3.Connection


_watched: dict[Path, _Watched] = {}
_remembered: dict[str, tuple[Version, dict[Hashable, Any]]] = {}
_openings = 0
_lock = threading.RLock()


def current(settings: Settings) -> Version | None:
    """Return a value that changes with every write of any process; None if the store has none."""
    uri = settings.mlflow_uri
    if not uri.startswith(SQLITE):
        return None
    try:
        return _version(Path(uri.removeprefix(SQLITE)))
    except (OSError, sqlite3.Error):
        return None


def remember(settings: Settings, key: Hashable, read: Callable[[], Value]) -> Value:
    """Return what was read under this key since the last write to the store, or read it now."""
    version = current(settings)
    if version is None:
        return read()
    with _lock:
        known, values = _remembered.get(settings.mlflow_uri, (version, {}))
        if known != version or len(values) > MOST_REMEMBERED:
            values = {}
        _remembered[settings.mlflow_uri] = (version, values)
    if key not in values:
        # a write meanwhile changes the version: the next reader forgets this value
        values[key] = read()
    value: Value = values[key]
    return value


def _version(place: Path) -> Version:
    global _openings
    with _lock:
        inode = place.stat().st_ino
        watched = _watched.get(place)
        if watched is None or watched.inode != inode:
            if watched is not None:
                watched.connection.close()
            _openings += 1
            connection = sqlite3.connect(
                f"{place.absolute().as_uri()}?mode=ro", uri=True, timeout=5, check_same_thread=False
            )
            watched = _watched[place] = _Watched(_openings, inode, connection)
        (number,) = watched.connection.execute("PRAGMA data_version").fetchone()
        return watched.opening, number
