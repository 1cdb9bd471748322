"""Journal of predictions that are missing from the log, kept next to it.

While the log is down, an endpoint keeps a small file here, `state/gaps/<pid>-<hex>.json`, readable
by its owner only. A killed endpoint leaves its file; the next one records it in the log as a gap.
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

# reason of a gap left by an endpoint
ENDED = "gateway_ended"


@dataclass(frozen=True)
class Left:
    """Rows that an endpoint had not written when it ended.

    Parameters
    ----------
    begun, ended : float
        When the log went down, and when that was last recorded; seconds since 1970.
    rows : int
        Predicted rows that were not in the log.
    """

    path: Path
    begun: float
    ended: float
    rows: int


class Journal:
    """The journal file of one endpoint; exists while rows are missing."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.state_dir / "gaps" / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._owner = {"pid": os.getpid(), "created": psutil.Process().create_time()}
        self._noted: tuple[float, int, bool] | None = None

    def note(self, begun: float, rows: int, *, is_closed: bool = False) -> None:
        """Record the number of missing rows since `begun`; on disk on return.

        Parameters
        ----------
        is_closed : bool
            Whether the rows are lost for good.
        """
        if self._noted == (begun, rows, is_closed):
            return
        now = {"begun": begun, "at": time.time(), "rows": rows, "closed": is_closed}
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        privacy.replace(self._path, json.dumps(self._owner | now).encode())
        self._noted = (begun, rows, is_closed)

    def clear(self) -> None:
        """Remove the file: every row is in the log, or recorded there as missing."""
        if self._noted is not None:
            self._path.unlink(missing_ok=True)
            self._noted = None


def left(settings: Settings) -> list[Left]:
    """Return what endpoints had not written when they ended, oldest first."""
    gaps = []
    for path in (settings.state_dir / "gaps").glob("*.json"):
        try:
            # gone if its endpoint has written the rows since
            with suppress(FileNotFoundError):
                noted = json.loads(path.read_text(encoding="utf-8"))
                owner = Process(int(noted["pid"]), float(noted["created"]))
                if noted["closed"] or not is_alive(owner):
                    times = float(noted["begun"]), float(noted["at"])
                    gaps.append(Left(path, *times, int(noted["rows"])))
        except (OSError, ValueError, KeyError, TypeError) as error:
            set_aside.put(settings, "predictions", path.name, "unreadable", error=error)
    return sorted(gaps, key=lambda gap: gap.begun)
