"""Exclusive file locks, for work of any length.

The system releases the lock when the holder dies. For transactions use `state`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.platform.errors import NotReadyError
from core.platform.messages import Message


@contextmanager
def exclusive(
    path: Path,
    on_wait: Callable[[], None] | None = None,
    *,
    poll: float = 0.1,
    patience: float = math.inf,
) -> Iterator[None]:
    """Hold the lock of this file; wait while another holds it.

    Parameters
    ----------
    on_wait : callable, optional
        Called every `poll` seconds while waiting; may raise to give up.
    patience : float
        Maximum wait in seconds.

    Raises
    ------
    NotReadyError
        If it is not free within `patience` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    end = time.monotonic() + patience
    while True:
        try:
            lock.acquire(timeout=poll)
            break
        except Timeout as error:
            if time.monotonic() > end:
                raise NotReadyError(
                    Message(
                        "A job is under way. Wait until it is done, or cancel it; then try again."
                    )
                ) from error
        if on_wait is not None:
            on_wait()
    try:
        yield
    finally:
        lock.release()
