"""Items that a background loop could not work on: kept with a reason; the next has its turn.

One file for all loops of a home, `state/set_aside.jsonl`, one line per item, readable by its owner
alone. It needs no database: it is written when a database refuses an item. An entry names the item
and says why; it never holds the item itself.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout

from core.platform import privacy
from core.platform.config import Settings
from core.platform.errors import CourtsideError, StoreError, without_secrets

Queue = Literal[
    "predictions",
    "labels",
    "endpoint",
    "servers",
    "messages",
    "schedules",
    "alerts",
    "jobs",
    "chain",
    "retraining",
    "sweep",
]
Code = Literal[
    "not_an_answer",
    "answer_unreadable",
    "unwritable",
    "unreadable",
    "gone",
    "undeletable",
    "refused",
    "unexpected",
    "folded",
]
ITEM_CHARACTERS, DETAIL_CHARACTERS = 120, 300
# Above so many bytes older entries are folded into one for each queue and code.
LIMIT_BYTES = 400_000
KEPT = 500
LOCK_SECONDS = 5.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class SetAside:
    """An item that was set aside.

    Parameters
    ----------
    at : float
        When, seconds since 1970.
    queue : str
        The loop that it was in.
    item : str
        Its name: a request id, a schedule's name, a file.
    code : str
        Why, see `Code`.
    rows : int
        Predictions or labels that it held; 0 where it held none.
    detail : str
        What the program said, bounded and without secrets.
    count : int
        Items that the entry stands for; more than one when older entries were folded.
    """

    at: float
    queue: str
    item: str
    code: str
    rows: int = 0
    detail: str = ""
    count: int = 1


def put(
    settings: Settings, queue: Queue, item: object, code: Code, *, rows: int = 0, error: object = ""
) -> bool:
    """Keep that an item was set aside; never raises.

    An item without rows that is there already under this code is not noted again: a loop meets a
    bad item at every turn.

    Parameters
    ----------
    error : Exception or str
        Why, for the detail.

    Returns
    -------
    bool
        Whether it is kept on disk; if not, the log of the process says what it was.
    """
    entry = SetAside(
        time.time(), queue, _bounded(item, ITEM_CHARACTERS), code, rows, _detail(error)
    )
    path = _path(settings)
    try:
        # without its parents: a home that was moved away does not come back
        path.parent.mkdir(exist_ok=True)
        with _locked(settings):
            if not rows and any(_same(entry, known) for known in _read(path)):
                return True
            with open(path, "ab", opener=privacy.opener) as file:
                file.write(_line(entry))
                file.flush()
                os.fsync(file.fileno())
                is_long = file.tell() > LIMIT_BYTES
            if is_long:
                _write(path, _folded(_read(path)))
    except (OSError, Timeout) as fault:
        _log.error("set aside, but not noted (%s): %s", fault, entry)
        return False
    _log.error("set aside: %s %s, %s: %s", queue, entry.item, code, entry.detail)
    return True


def entries(settings: Settings, queues: Collection[str] = ()) -> list[SetAside]:
    """Return what was set aside, newest first; of these queues only where some are named."""
    listed = _read(_path(settings))
    return [entry for entry in reversed(listed) if not queues or entry.queue in queues]


def dismiss(settings: Settings, queues: Collection[str] = ()) -> None:
    """Forget what was set aside from these queues, or from all; what is still bad comes again.

    Raises
    ------
    StoreError
        When the file cannot be written.
    """
    path = _path(settings)
    try:
        with _locked(settings):
            _write(path, [entry for entry in _read(path) if queues and entry.queue not in queues])
    except (OSError, Timeout) as error:
        raise StoreError(f"{path.name} cannot be written: {error}. Try again.") from error


@contextmanager
def guarded(
    settings: Settings,
    queue: Queue,
    item: object,
    *,
    passing: tuple[type[Exception], ...] = (StoreError,),
    code: Code | None = None,
) -> Iterator[None]:
    """Set the item aside when the work on it inside fails, and go on after the block.

    Parameters
    ----------
    passing : tuple of exception types
        Faults that are not the item's and pass, as a locked database; raised.
    code : str, optional
        Without, `refused` where the error has a sentence for people, else `unexpected`.

    Examples
    --------
    >>> import tempfile
    >>> settings = Settings(home=tempfile.mkdtemp())
    >>> done = []
    >>> for text in ("1", "one", "2"):
    ...     with guarded(settings, "jobs", text):
    ...         done.append(int(text))
    >>> done, [entry.item for entry in entries(settings)]
    ([1, 2], ['one'])
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:  # noqa: BLE001
        if not isinstance(error, CourtsideError):
            _log.exception("%s: work on %s failed", queue, _bounded(item, ITEM_CHARACTERS))
        is_told = isinstance(error, CourtsideError)
        put(settings, queue, item, code or ("refused" if is_told else "unexpected"), error=error)


def sift(
    items: Sequence[T],
    work: Callable[[Sequence[T]], object],
    is_of_the_item: Callable[[Exception], bool],
) -> list[tuple[T, Exception]]:
    """Do the work on all items at once; where it fails, halve them until the bad ones are found.

    Parameters
    ----------
    work : callable
        Does all of what it is given, or nothing of it and raises. Work done twice must do no harm.
    is_of_the_item : callable
        Whether an error lies in an item; any other error is raised.

    Returns
    -------
    list of tuple
        The items on which the work failed, each with its error; it is done on all others.

    Examples
    --------
    >>> done = []
    >>> sift(["1", "b", "3"], lambda part: done.extend([int(t) for t in part]), lambda _: True)
    [('b', ValueError("invalid literal for int() with base 10: 'b'"))]
    >>> done
    [1, 3]
    """
    try:
        work(items)
    except Exception as error:
        if not is_of_the_item(error):
            raise
        if len(items) <= 1:
            return [(item, error) for item in items]
        middle = len(items) // 2
        return [
            *sift(items[:middle], work, is_of_the_item),
            *sift(items[middle:], work, is_of_the_item),
        ]
    return []


def _same(first: SetAside, second: SetAside) -> bool:
    return (first.queue, first.item, first.code) == (second.queue, second.item, second.code)


def _folded(listed: list[SetAside]) -> list[SetAside]:
    """Return one entry for each queue of all but the newest, then these."""
    sums: dict[str, SetAside] = {}
    for entry in listed[:-KEPT]:
        before = sums.get(entry.queue)
        if before is None:
            sums[entry.queue] = SetAside(
                entry.at, entry.queue, "", "folded", entry.rows, "", entry.count
            )
        else:
            sums[entry.queue] = replace(
                before, at=entry.at, rows=before.rows + entry.rows, count=before.count + entry.count
            )
    return [*sums.values(), *listed[-KEPT:]]


def _read(path: Path) -> list[SetAside]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    listed = []
    for line in lines:
        try:
            listed.append(SetAside(**json.loads(line)))
        except (ValueError, TypeError):
            # a line that was cut off by the end of the machine
            listed.append(SetAside(0.0, "sweep", path.name, "unreadable"))
    return listed


def _write(path: Path, listed: Sequence[SetAside]) -> None:
    privacy.replace(path, b"".join(map(_line, listed)))


def _line(entry: SetAside) -> bytes:
    return json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"


def _detail(error: object) -> str:
    # SQLAlchemy's own text repeats the statement with all of its values
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, CourtsideError):
        return _bounded(cause.message, DETAIL_CHARACTERS)
    if isinstance(cause, Exception):
        return _bounded(f"{type(cause).__name__}: {cause}", DETAIL_CHARACTERS)
    return _bounded(cause, DETAIL_CHARACTERS)


def _bounded(value: object, characters: int) -> str:
    text = " ".join(str(value)[: 4 * characters].encode("utf-8", "replace").decode().split())
    return without_secrets(text)[:characters]


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    with FileLock(settings.state_dir / "set_aside.lock", timeout=LOCK_SECONDS):
        yield


def _path(settings: Settings) -> Path:
    return settings.state_dir / "set_aside.jsonl"
