"""How many answered rows the predictions log has not got, noted beside it.

While the log is down a gateway keeps one small file here, `state/gaps/<pid>-<hex>.json`, readable
by its owner alone. A gateway that is killed leaves its file; the next one notes it in the log as a
gap.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from core.platform import privacy, set_aside
from core.platform.config import Settings
from core.platform.process import Process, is_alive

# the reason of a gap that a gateway left
ENDED = "gateway_ended"


@dataclass(frozen=True)
class Left:
    """Rows that a gateway which has ended had not written.

    Parameters
    ----------
    begun, ended : float
        Since when the log was down, and when that was last noted; seconds since 1970.
    rows : int
        Answered rows that were not in the log.
    """

    path: Path
    begun: float
    ended: float
    rows: int


class Journal:
    """The file of one gateway; there while rows are missing."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.state_dir / "gaps" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._owner = {"pid": os.getpid(), "created": psutil.Process().create_time()}
        self._noted: tuple[float, int, bool] | None = None

    def note(self, begun: float, rows: int, *, is_closed: bool = False) -> None:
        """Keep that so many rows are missing since then; returns when it is on disk.

        Parameters
        ----------
        is_closed : bool
            Whether nobody will write these rows any more.
        """
        if self._noted == (begun, rows, is_closed):
            return
        now = {"begun": begun, "at": time.time(), "rows": rows, "closed": is_closed}
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        privacy.replace(self._path, json.dumps(self._owner | now).encode())
        self._noted = (begun, rows, is_closed)

    def clear(self) -> None:
        """Take the file away: every row is in the log, or noted there as missing."""
        if self._noted is not None:
            self._path.unlink(missing_ok=True)
            self._noted = None


def left(settings: Settings) -> list[Left]:
    """Return what gateways that have ended did not write, oldest first."""
    gaps = []
    for path in (settings.state_dir / "gaps").glob("*.json"):
        try:
            # gone when its gateway has written its rows meanwhile
            with suppress(FileNotFoundError):
                noted = json.loads(path.read_text(encoding="utf-8"))
                owner = Process(int(noted["pid"]), float(noted["created"]))
                if noted["closed"] or not is_alive(owner):
                    times = float(noted["begun"]), float(noted["at"])
                    gaps.append(Left(path, *times, int(noted["rows"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            set_aside.put(settings, "predictions", path.name, "unreadable", error=error)
    return sorted(gaps, key=lambda gap: gap.begun)
