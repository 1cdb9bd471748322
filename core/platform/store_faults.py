"""Sentences for files of the app that cannot be read or written.

A sentence says which file, what still works and what to do, without SQL. An unknown fault keeps the
first line of the library's message.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from core.platform.config import SQLITE
from core.platform.errors import StoreError

Kind = Literal["damaged", "full", "read_only", "forbidden", "locked", "unknown"]
FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM)
_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "full": re.compile("disk is full|no space left|disk quota"),
    "damaged": re.compile("not a database|malformed|encrypted|no such table|no such column"),
    "read_only": re.compile("readonly|read-only|unable to open database"),
    "forbidden": re.compile("permission denied"),
    "locked": re.compile("database is locked|timeout|could not be acquired"),
}


class DamagedError(StoreError):
    """A file of the app has invalid content; a retry does not help."""


def kind_of(error: BaseException) -> Kind:
    """Return the kind of fault, from the system's or the database's error.

    Examples
    --------
    >>> kind_of(OSError(errno.ENOSPC, "No space left on device"))
    'full'
    >>> kind_of(ValueError("file is not a database"))
    'damaged'
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return "full"
        if isinstance(cause, OSError) and cause.errno == errno.EROFS:
            return "read_only"
        if isinstance(cause, OSError) and cause.errno in FORBIDDEN:
            return "forbidden"
        cause = getattr(cause, "orig", None) or cause.__cause__
    text = str(error).lower()
    return next((kind for kind, words in _PATTERNS.items() if words.search(text)), "unknown")


def of_file(path: Path, error: BaseException) -> StoreError:
    """Return the error on one of the app's own files, with a sentence for a person."""
    kind, name = kind_of(error), path.name
    if kind == "damaged":
        return DamagedError(damage(path))
    if kind == "full":
        return StoreError(
            f"The disk is full: {name} cannot be written. What was kept before can still be read. "
            f"Make room in {path.parent}, then try again."
        )
    if kind == "read_only":
        return StoreError(
            f"{name} in {path.parent} cannot be written: the folder is read-only. What is there "
            "can be read; make the folder writable for anything new, then try again."
        )
    if kind == "forbidden":
        return StoreError(
            f"{name} in {path.parent} may not be used by this user. Give its owner the right to "
            "read and write it, then try again."
        )
    if kind == "locked":
        return StoreError(
            f"Another program holds {name}. Close what has it open, then try again. Nothing was "
            "changed."
        )
    first = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    return StoreError(f"{name} cannot be used: {first}. Try again, or restore a backup.")


def damage(path: Path) -> str:
    """Return the sentence on a damaged file: its contents, what still works, what to do.

    Examples
    --------
    >>> damage(Path("/srv/state/state.db"))[:59]
    'state.db is damaged: jobs, schedules, alerts, API keys and '
    """
    name = path.name
    known = {
        "state.db": (
            "state.db is damaged: jobs, schedules, alerts, API keys and endpoints cannot be read. "
            "Results are untouched, and running endpoints keep answering."
        ),
        "mlflow.db": (
            "mlflow.db is damaged: runs and models cannot be read. Served models keep answering, "
            "and the data and the predictions log are untouched."
        ),
        "predictions.db": (
            "predictions.db is damaged: scored rows and labels cannot be read or kept. Served "
            "models go on answering; training and runs still work."
        ),
    }
    if name in known:
        return (
            f"{known[name]} Close the app; then restore {path} from a backup, or move it away: an "
            "empty one is made at the next start."
        )
    return _damaged_json(path)


def damaged_document(name: str) -> str:
    """Return the sentence on a value in state.db that cannot be read.

    Examples
    --------
    >>> damaged_document("policy")
    "The entry 'policy' in state.db cannot be read. Save it again on its page."
    """
    return f"The entry '{name}' in state.db cannot be read. Save it again on its page."


def _damaged_json(path: Path) -> str:
    name = path.name
    known = {
        "clock.json": (
            f"{name} is damaged: schedules and alerts do not know the time. Delete {path}; the "
            "clock starts again."
        ),
        "reset.json": (
            f"{name} is damaged: a reset was under way. Everything is either in its place or in "
            f"the newest folder of {path.parent / 'backups'}. Delete {path}, and reset again."
        ),
        "snapshot.json": f"{name} is damaged. Acquire the data again.",
        "current.json": f"{name} is damaged. Acquire the data again.",
        "prepared.json": f"{name} is damaged. Prepare again.",
    }
    return known.get(name, f"{name} is damaged. Restore {path} from a backup, or delete it.")


def of_disk(error: OSError) -> StoreError | None:
    """Return the error with a sentence if the disk caused it; otherwise None.

    Examples
    --------
    >>> of_disk(FileNotFoundError(2, "No such file")) is None
    True
    >>> str(of_disk(OSError(errno.ENOSPC, "No space left on device", "/srv/a.json")))[:42]
    'The disk is full: a.json cannot be written'
    """
    if kind_of(error) not in ("full", "read_only", "forbidden"):
        return None
    return of_file(Path(str(error.filename or "a file")), error)


def of_mlflow(uri: str, error: BaseException) -> StoreError:
    """Return the error of an MLflow call with a sentence for a person.

    For a SQLite store the sentence is about its file.
    """
    if uri.startswith(SQLITE) and kind_of(error) != "unknown":
        return of_file(Path(uri.removeprefix(SQLITE)), error)
    # only the first line: SQL follows
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return StoreError(f"The MLflow store cannot be used: {first}")


@contextmanager
def wrap_store_errors(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds, and of the system, into a StoreError about this file."""
    caught: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except caught as error:
        raise of_file(path, error) from error
