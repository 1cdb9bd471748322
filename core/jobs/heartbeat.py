"""Heartbeats: a file that a process touches from its work loop."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

EVERY_SECONDS = 1.0


class Heart:
    """Touches a file at most once a second; a full disk or a missing folder is ignored.

    Parameters
    ----------
    path : Path
        Created by the first beat, in an existing folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: float | None = None

    def beat(self) -> None:
        """Record that this process works; cheap within a second of the last beat."""
        now = time.monotonic()
        if self._last is not None and now - self._last < EVERY_SECONDS:
            return
        self._last = now
        with suppress(OSError):
            # not `touch`: a file removed by a clean-up must not be recreated
            try:
                os.utime(self.path)
            except FileNotFoundError:
                if self.path.parent.is_dir():
                    self.path.touch()

    def beat_in_background(self) -> None:
        """Beat from a thread until the process ends, for work without a loop of ours."""

        def work() -> None:
            while True:
                self.beat()
                time.sleep(EVERY_SECONDS)

        threading.Thread(target=work, daemon=True, name="heartbeat").start()


def last(path: Path) -> float | None:
    """Return the time of a process's last beat, seconds since 1970; None if there was none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
