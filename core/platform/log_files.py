"""Logs of programs that go on for weeks: bounded while they are written.

A log that has grown too large is copied to `<name>.1` and emptied in place (`copytruncate` of
logrotate), since the program that writes it has it open. All of them write at the end of their
file, so the next line comes to the beginning of the emptied one. What is printed between the copy
and the emptying, some microseconds, is lost.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

MOST_BYTES = 10_000_000
# with the log itself
KEPT_FILES = 3


def rotate(folder: Path, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Empty the logs of a folder that are larger than that, and return them.

    Parameters
    ----------
    folder : Path
        `Settings.logs_dir`; does nothing where it is not there.
    most_bytes : int
        The largest size of one file; up to `KEPT_FILES` of each log are kept.
    """
    rotated: list[Path] = []
    large = [path for path in folder.glob("*.log") if _size(path) > most_bytes]
    if not large:
        return rotated
    # several programs look after the logs; one at a time
    with suppress(OSError, Timeout), FileLock(folder / ".rotate.lock", timeout=0):
        for path in large:
            if _size(path) > most_bytes:
                _rotate(path, most_bytes)
                rotated.append(path)
    return rotated


def _rotate(path: Path, most_bytes: int) -> None:
    for number in range(KEPT_FILES - 1, 1, -1):
        with suppress(FileNotFoundError):
            os.replace(_older(path, number - 1), _older(path, number))
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with path.open("rb") as log, temporary.open("wb") as copy:
            # the newest lines, where much was printed since the last look
            log.seek(max(0, _size(path) - most_bytes))
            shutil.copyfileobj(log, copy)
        os.replace(temporary, _older(path, 1))
    except OSError:
        # a full disk needs the room more than the old lines
        temporary.unlink(missing_ok=True)
    os.truncate(path, 0)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
