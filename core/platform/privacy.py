"""File permissions: the app's files are private to its user, 0600 in folders 0700.

New files are private because each program of the app sets its umask at start; looser files from
earlier runs or other programs are tightened then. Only what the app writes is changed, not the home
itself if it is the checkout or a personal folder, nor files that came with the code.
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.platform.config import CODE_ROOT, Settings

MASK = 0o077
FOLDERS = ("data", "state", "logs", "mlruns", "backups", "projects")
DATABASE = "mlflow.db*"
# comes with the code
_TRACKED = (".gitkeep", ".gitignore", "README.md")


def set_umask() -> None:
    """Make new files of this process and its children private."""
    os.umask(MASK)


def opener(path: str, flags: int) -> int:
    """Open a file that is private from its first byte; an `opener` for `open`."""
    return os.open(path, flags, 0o600)


def replace(path: Path, content: bytes) -> None:
    """Replace a private file atomically; it is on disk on return."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "xb", opener=opener) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def umask(mask: int) -> Iterator[int]:
    """Set the umask of the whole process inside the block; yields the previous one."""
    before = os.umask(mask)
    try:
        yield before
    finally:
        os.umask(before)


def tighten(settings: Settings) -> None:
    """Remove other users' permissions from the app's files; skips files it may not change.

    A folder that is already private is not walked, because no other user can reach its contents.
    """
    home = settings.home
    if _is_the_apps_own(home):
        _private(home)
    for path in home.glob(DATABASE):
        _private(path)
    for name in FOLDERS:
        top = home / name
        if not top.is_dir() or top.is_symlink() or not _is_loose(top):
            continue
        for folder, _, files in os.walk(top, topdown=False):
            for file in files:
                if file not in _TRACKED:
                    _private(Path(folder) / file)
            # the folder after its contents, so that an interrupted walk is repeated
            _private(Path(folder))


def _is_the_apps_own(home: Path) -> bool:
    kept = (CODE_ROOT, Path.home(), Path("/"), Path("/tmp"))
    return home.resolve() not in kept and not (home / ".git").exists()


def _is_loose(path: Path) -> bool:
    with suppress(OSError):
        return bool(stat.S_IMODE(path.lstat().st_mode) & MASK)
    return False


def _private(path: Path) -> None:
    # another user's file, a read-only folder, or one that has disappeared
    with suppress(OSError):
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode) or not stat.S_IMODE(status.st_mode) & MASK:
            return
        path.chmod(stat.S_IMODE(status.st_mode) & ~MASK)
