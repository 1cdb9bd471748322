"""A sign of life: a file that a process touches now and then, from the loop that does its work."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

EVERY_SECONDS = 1.0


class Heart:
    """Touches a file once a second at most; a full disk or a folder that is gone is passed over.

    Parameters
    ----------
    path : Path
        Made at the first beat, in a folder that is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: float | None = None

    def beat(self) -> None:
        """Show that this process works; cheap when it has done so within the last second."""
        now = time.monotonic()
        if self._last is not None and now - self._last < EVERY_SECONDS:
            return
        self._last = now
        with suppress(OSError):
            # not `touch`: a file that its folder has lost must not come back after a clean-up
            try:
                os.utime(self.path)
            except FileNotFoundError:
                if self.path.parent.is_dir():
                    self.path.touch()

    def beat_in_background(self) -> None:
        """Beat from a thread until the process ends: for work that no loop of ours counts."""

        def work() -> None:
            while True:
                self.beat()
                time.sleep(EVERY_SECONDS)

        threading.Thread(target=work, daemon=True, name="heartbeat").start()


def last(path: Path) -> float | None:
    """Return when a process last showed that it works, seconds since 1970; None if it never did."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
