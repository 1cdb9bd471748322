"""Items that a background loop failed to process, recorded with a reason.

All loops of a home share one file, `state/set_aside.jsonl`, with one line per item, readable by its
owner only. It needs no database, as it is written when a database refuses an item. An entry names
the item and the reason; it never contains the item itself.
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

from core.platform import messages, permissions, privacy
from core.platform.config import Settings
from core.platform.errors import CourtsideError, StoreError, without_secrets, words_of
from core.platform.messages import Message, Words

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
# Above this many bytes, older entries are merged into one per queue.
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
        Seconds since 1970.
    queue : str
        The loop that processed it.
    item : str
        Its name: a request id, a schedule's name, a file.
    code : str
        The reason, see `Code`.
    rows : int
        Predictions or labels in it; may be 0.
    detail : Words
        The error, truncated and without secrets.
    count : int
        Number of items; more than one if older entries were merged.
    """

    at: float
    queue: str
    item: str
    code: str
    rows: int = 0
    detail: Words = ""
    count: int = 1


def put(
    settings: Settings, queue: Queue, item: object, code: Code, *, rows: int = 0, error: object = ""
) -> bool:
    """Record that an item was set aside; never raises.

    An item without rows that is already recorded under this code is not recorded again, since a
    loop meets a bad item in every round.

    Parameters
    ----------
    error : Exception or str
        For the detail.

    Returns
    -------
    bool
        Whether it is on disk; if not, it is in the log of the process.
    """
    entry = SetAside(
        time.time(), queue, _bounded(item, ITEM_CHARACTERS), code, rows, _detail(error)
    )
    path = _path(settings)
    try:
        # without parents: a home that was moved away is not recreated
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
    """Return the entries, newest first, of these queues or of all."""
    listed = _read(_path(settings))
    return [entry for entry in reversed(listed) if not queues or entry.queue in queues]


@permissions.needs("job")
def dismiss(settings: Settings, queues: Collection[str] = ()) -> None:
    """Delete the entries of these queues, or all; items that still fail are recorded again.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    path = _path(settings)
    try:
        with _locked(settings):
            _write(path, [entry for entry in _read(path) if queues and entry.queue not in queues])
    except (OSError, Timeout) as error:
        raise StoreError(
            Message("{path} cannot be written: {reason}.", path=path.name, reason=error)
        ) from error


@contextmanager
def guarded(
    settings: Settings,
    queue: Queue,
    item: object,
    *,
    passing: tuple[type[Exception], ...] = (StoreError,),
    code: Code | None = None,
) -> Iterator[None]:
    """Set the item aside if the block fails, and continue after the block.

    Parameters
    ----------
    passing : tuple of exception types
        Transient errors unrelated to the item, such as a locked database; raised.
    code : str, optional
        Default: `refused` if the error has a sentence for people, otherwise `unexpected`.

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
        reason: Code = "refused" if isinstance(error, CourtsideError) else "unexpected"
        put(settings, queue, item, code or reason, error=error)


def sift(
    items: Sequence[T],
    work: Callable[[Sequence[T]], object],
    is_of_the_item: Callable[[Exception], bool],
) -> list[tuple[T, Exception]]:
    """Process all items together; on failure, bisect them to isolate the bad ones.

    Parameters
    ----------
    work : callable
        Processes all items given, or none and raises. Must be idempotent.
    is_of_the_item : callable
        Whether an error is caused by an item; other errors are raised.

    Returns
    -------
    list of tuple
        The failed items with their errors; all others are processed.

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
    """Merge all but the newest entries into one per queue."""
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
            entry = SetAside(**json.loads(line))
            listed.append(replace(entry, detail=messages.loads(str(entry.detail))))
        except (ValueError, TypeError, AttributeError):
            # a line cut off by a crash
            listed.append(SetAside(0.0, "sweep", path.name, "unreadable"))
    return listed


def _write(path: Path, listed: Sequence[SetAside]) -> None:
    privacy.replace(path, b"".join(map(_line, listed)))


def _line(entry: SetAside) -> bytes:
    facts = asdict(entry) | {"detail": messages.dumps(entry.detail)}
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def _detail(error: object) -> Words:
    # SQLAlchemy's message repeats the statement with all its values
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, CourtsideError):
        words = words_of(cause)
        return words if len(str(words)) <= DETAIL_CHARACTERS else _bounded(words, DETAIL_CHARACTERS)
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
