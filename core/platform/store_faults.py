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

from core.platform import steps
from core.platform.config import SQLITE
from core.platform.errors import StoreError
from core.platform.messages import Message, Words

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


FORBIDDEN_SENTENCE = Message(
    "{name} cannot be used: it or its folder is read-only, or this account has no "
    "permission. Allow reading and writing, or use another account."
)
# kind of fault -> what happened to a file or a database, and what to do
SENTENCES: dict[Kind, Message] = {
    "full": Message(
        "The disk is full: {name} cannot be written. Free some space, then try again. Finished "
        "work is kept."
    ),
    "read_only": FORBIDDEN_SENTENCE,
    "forbidden": FORBIDDEN_SENTENCE,
    "locked": Message("Another program locks {name}. Close that program, then try again."),
}


# database of the home -> its contents
CONTENTS = {
    "state.db": Message("jobs, schedules, alerts, API keys and endpoints"),
    "mlflow.db": Message("runs and models"),
    "predictions.db": Message("predictions and labels"),
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
    if kind != "unknown":
        return StoreError(sentence(kind, path))
    first = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    return StoreError(Message("{name} cannot be used: {reason}", name=name, reason=f"{first}."))


def sentence(kind: Kind, name: Path | Words) -> Message:
    """Return what a known kind of fault, other than damage, means for a file or database."""
    words = SENTENCES[kind]
    return Message(words.msgid, name=name)


def damage(path: Path) -> Message:
    """Return the sentence on a damaged file: its contents, what still works, what to do.

    Examples
    --------
    >>> str(damage(Path("/srv/state/state.db")))[:59]
    'state.db is damaged: jobs, schedules, alerts, API keys and '
    """
    name = path.name
    if name in CONTENTS:
        return Message(
            "{name} is damaged: {contents} cannot be read. Close the app; then restore {path} from "
            "a backup, or move it away: the next start creates an empty one. Served models keep "
            "answering.",
            name=name,
            contents=CONTENTS[name],
            path=str(path),
        )
    return _damaged_json(path)


def damaged_of(name: str, step: str) -> Message:
    """Return the sentence on a damaged or replaced file that a step writes.

    Examples
    --------
    >>> str(damaged_of("prepared.json", "prepare"))
    'prepared.json is damaged or was replaced. Run this step again: Prepare.'
    """
    return Message(
        "{name} is damaged or was replaced. Run this step again: {step}.",
        name=name,
        step=steps.named(step).title,
    )


def damaged_document(name: str) -> Message:
    """Return the sentence on a value in state.db that cannot be read.

    Examples
    --------
    >>> str(damaged_document("policy"))
    "The entry 'policy' in state.db cannot be read. Start or save it again on its page."
    """
    return Message(
        "The entry '{name}' in state.db cannot be read. Start or save it again on its page.",
        name=name,
    )


def _damaged_json(path: Path) -> Message:
    name = path.name
    known = {
        "reset.json": Message(
            "{name} is damaged: a reset was under way. Delete {path}, and reset again; everything "
            "is in its place or in the newest folder of {folder}.",
            name=name,
            folder=str(path.parent / "backups"),
            path=path,
        ),
        "snapshot.json": damaged_of(name, "acquire"),
        "current.json": damaged_of(name, "acquire"),
        "prepared.json": damaged_of(name, "prepare"),
    }
    return known.get(
        name,
        Message(
            "{name} is damaged. Restore {path} from a backup, or delete it.",
            name=name,
            path=str(path),
        ),
    )


def of_disk(error: OSError) -> StoreError | None:
    """Return the error with a sentence if the disk caused it; otherwise None.

    Examples
    --------
    >>> of_disk(FileNotFoundError(2, "No such file")) is None
    True
    >>> str(of_disk(OSError(errno.ENOSPC, "No space left on device", "/srv/a.json")))[:42]
    'The disk is full: /srv/a.json cannot be wr'
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
    return StoreError(Message("{name} cannot be used: {reason}", name="MLflow", reason=first))


@contextmanager
def wrap_store_errors(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds, and of the system, into a StoreError about this file."""
    caught: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except caught as error:
        raise of_file(path, error) from error
