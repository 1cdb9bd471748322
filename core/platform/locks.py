"""One piece of work at a time, for as long as it takes.

The system frees a lock whose process dies. Where a transaction does the same, `state` is the place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.platform.errors import NotReadyError


@contextmanager
def exclusive(
    path: Path,
    on_wait: Callable[[], None] | None = None,
    *,
    poll: float = 0.1,
    patience: float = math.inf,
    busy: str = "",
) -> Iterator[None]:
    """Hold the lock of this file, once whoever holds it now has let it go.

    Parameters
    ----------
    on_wait : callable, optional
        Called every `poll` seconds while somebody else holds it; may raise to give up.
    patience : float
        Seconds to wait at most.
    busy : str
        What the error says after that: who holds it, and what to do.

    Raises
    ------
    NotReadyError
        When it is not free within `patience` seconds.
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
                raise NotReadyError(busy) from error
        if on_wait is not None:
            on_wait()
    try:
        yield
    finally:
        lock.release()
