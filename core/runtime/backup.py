"""Reset and restore: everything the app wrote is moved into a backup, and can be moved back.

Nothing is deleted. The request is recorded first and executed when the app starts, before any store
is opened; an interrupted one is resumed at the next start.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.jobs import supervision
from core.platform import permissions, projects, state, storage, store_faults
from core.platform.config import PROJECTS, Settings
from core.platform.errors import InputError, JobError, StoreError
from core.platform.messages import Message, Words
from core.runtime import project_homes
from core.runtime.project_homes import FOLDER

# the app's files in a home, besides the numbered folders of data/
OWN = ("mlflow.db", "mlflow.db-wal", "mlflow.db-shm", "mlruns", "state", "logs", PROJECTS)
_NAME = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
_JOURNAL = "reset.json"
# an open app beats every other second
_SILENCE = 10.0


@dataclass(frozen=True)
class Backup:
    """A backup: name, creation time (seconds since 1970), size in bytes."""

    name: str
    made: float
    size: int


def listed(settings: Settings) -> tuple[Backup, ...]:
    """Return the backups, newest first."""
    backups = [
        Backup(path.name, _moment(path.name), _size(path))
        for path in (settings.home / FOLDER).glob("*")
        if path.is_dir() and _NAME.fullmatch(path.name)
    ]
    return tuple(sorted(backups, key=lambda backup: backup.name, reverse=True))


def size(settings: Settings) -> int:
    """Return the number of bytes that a reset would move."""
    return sum(_size(path) for path in _own(settings))


def untouched(settings: Settings) -> tuple[Words, ...]:
    """Return, in words, what a reset leaves alone because it is elsewhere."""
    elsewhere: list[Words] = []
    if settings.tracking_uri and not settings.tracking_uri.startswith("sqlite:"):
        elsewhere.append(store_faults.CONTENTS["mlflow.db"])
    if settings.state_url:
        elsewhere.append(store_faults.CONTENTS["state.db"])
    if settings.predictions_url:
        elsewhere.append(store_faults.CONTENTS["predictions.db"])
    return tuple(elsewhere)


@permissions.needs("reset")
def ask(settings: Settings, restore: str | None = None) -> str:
    """Record the request for a reset, and return the name of the backup.

    Servers and the background worker are stopped.

    Parameters
    ----------
    restore : str, optional
        The backup that replaces the current files.

    Raises
    ------
    InputError
        For the settings of a project with a home nested in that of the app.
    JobError
        While a job of any project is queued or running.
    StoreError
        If there is no such backup.
    """
    if settings.is_nested:
        raise InputError(
            Message(
                "A reset covers the whole home, with all its projects. Delete a single "
                "project on the Projects page."
            )
        )
    if any(project_homes.is_busy(each) for each in projects.homes(settings)):
        raise JobError(
            Message("A job is under way. Wait until it is done, or cancel it; then try again.")
        )
    known = {backup.name for backup in listed(settings)}
    if restore is not None and restore not in known:
        raise StoreError(Message("{name} does not exist. Reload the page.", name=restore))
    base = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    name = next(name for name in _names(base) if name not in known)
    storage.write_json(_journal(settings), {"backup": name, "restore": restore})
    _stop_all(settings)
    return name


def finish(settings: Settings) -> str | None:
    """Execute the recorded request, and return the name of the backup; None if there is none.

    Servers and the background worker are stopped first. No store may be open yet.

    Raises
    ------
    StoreError
        If a file cannot be moved; the next call resumes.
    """
    wanted: dict[str, Any] | None = storage.read_json(_journal(settings))
    if wanted is None:
        return None
    _stop_all(settings)
    for each in projects.homes(settings):
        state.close(each)
    place = settings.home / FOLDER / str(wanted["backup"])
    try:
        if not wanted.get("moved"):
            for path in _own(settings):
                _move(path, place / path.relative_to(settings.home))
            wanted["moved"] = True
            storage.write_json(_journal(settings), wanted)
        if wanted["restore"]:
            _put_back(settings, settings.home / FOLDER / str(wanted["restore"]))
        _journal(settings).unlink()
    except OSError as error:
        raise StoreError(
            Message(
                "The reset could not be finished: {reason} ({file}). Correct that and "
                "start the app again: the reset continues.",
                reason=error.strerror,
                file=str(error.filename),
            )
        ) from error
    return str(wanted["backup"])


def now(settings: Settings, restore: str | None = None) -> str:
    """Reset or restore a backup immediately, while no app is open.

    Raises
    ------
    JobError
        While an app of this home is open, or a job is queued or running.
    """
    beats = [supervision.last_beat(each) for each in projects.homes(settings)]
    if time.time() - max(beats) < _SILENCE:
        raise JobError(Message("The app is open. Reset on its Overview page, or close it first."))
    ask(settings, restore)
    name = finish(settings)
    assert name is not None
    return name


def _own(settings: Settings) -> Iterator[Path]:
    """Yield what the app wrote into a home, without files that came with the code."""
    for name in OWN:
        path = settings.home / name
        if path.exists():
            yield path
    for folder in sorted(settings.data_dir.glob("0*_*")):
        for path in sorted(folder.iterdir()):
            if path.name != ".gitkeep":
                yield path


def _put_back(settings: Settings, place: Path) -> None:
    folders = ("data",) if (place / "data").is_dir() else ()
    for name in (*OWN, *folders):
        if name == "data":
            for path in sorted((place / "data").glob("*/*")):
                _move(path, settings.home / path.relative_to(place))
        elif (place / name).exists():
            _move(place / name, settings.home / name)
    for folder in sorted(place.glob("data/*"), reverse=True):
        folder.rmdir()
    for folder in (place / "data", place):
        if folder.is_dir():
            folder.rmdir()


def _move(path: Path, target: Path) -> None:
    """Move by renaming, atomically; an existing target is kept."""
    if path.is_dir() and target.is_dir():
        # left by an interrupted run, and recreated since
        for child in sorted(path.iterdir()):
            _move(child, target / child.name)
        path.rmdir()
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        names = (f"{target.name}.later{place}" for place in range(1, 1000))
        target = next(free for name in names if not (free := target.with_name(name)).exists())
    os.replace(path, target)


def _stop_all(settings: Settings) -> None:
    for each in projects.homes(settings):
        project_homes.stop_all(each)


def _names(base: str) -> Iterator[str]:
    yield base
    for place in range(2, 1000):
        yield f"{base}-{place}"


def _journal(settings: Settings) -> Path:
    return settings.home / _JOURNAL


def _moment(name: str) -> float:
    return datetime.strptime(name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
