"""Rotation of the logs of long-running programs while they are written.

A log that is too large is copied to `<name>.1` and truncated in place (logrotate's `copytruncate`),
as the writing program has it open in append mode. Lines written between copy and truncation, a few
microseconds, are lost.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

MOST_BYTES = 10_000_000
# including the log itself
KEPT_FILES = 3


def rotate(folder: Path, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Truncate the logs of a folder that are larger than `most_bytes`, and return them.

    Up to `KEPT_FILES` of each log are kept. Does nothing if there is no such folder.
    """
    rotated: list[Path] = []
    large = [path for path in folder.glob("*.log") if _size(path) > most_bytes]
    if not large:
        return rotated
    # several programs rotate the logs; one at a time
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
            # only the newest lines, if much was printed since the last rotation
            log.seek(max(0, _size(path) - most_bytes))
            # no more than that: the program continues writing
            copy.write(log.read(most_bytes))
        os.replace(temporary, _older(path, 1))
    except OSError:
        # on a full disk, free space matters more than old lines
        temporary.unlink(missing_ok=True)
    os.truncate(path, 0)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
