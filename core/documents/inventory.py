"""Inventory of files: written by the steps below the home, or shipped with the code."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq

from core.documents.dossier import FileFacts
from core.platform import storage
from core.platform.config import CODE_ROOT, IN_CHECKOUT, Settings

# a digest of a larger file takes too long for a page
_MOST_BYTES = 64 * 2**20
_SHIPPED = ("docs", "pages")


def files(settings: Settings) -> dict[str, FileFacts]:
    """Return the files below the numbered data folders, by their path below the home.

    A file that vanishes meanwhile is left out; one of more than 64 MB has no digest.
    """
    by_path = {}
    for path in _below(settings):
        name = path.relative_to(settings.home).as_posix()
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            by_path[name] = _facts(path, name)
        except (OSError, ValueError):
            continue
    return by_path


def states(settings: Settings) -> list[str]:
    """Return path, size and time of the same files, which change with their contents."""
    known = []
    for path in _below(settings):
        with suppress(OSError):
            now = path.stat()
            known.append(f"{path}:{now.st_size}:{now.st_mtime_ns}")
    return known


def shipped() -> frozenset[str]:
    """Return the files shipped with the code: in the top folder, and below docs and pages.

    Empty if core is an installed library.
    """
    if not IN_CHECKOUT:
        return frozenset()
    top = {path.name for path in CODE_ROOT.iterdir() if path.is_file()}
    below = {
        path.relative_to(CODE_ROOT).as_posix()
        for folder in _SHIPPED
        for path in (CODE_ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return frozenset(top | below)


def _below(settings: Settings) -> list[Path]:
    return sorted(settings.data_dir.glob("0*_*/**/*"))


def _facts(path: Path, name: str) -> FileFacts:
    size = path.stat().st_size
    rows = columns = None
    if path.suffix == ".parquet":
        held = pq.read_metadata(path)
        rows, columns = held.num_rows, held.num_columns
    return FileFacts(
        path=name,
        rows=rows,
        columns=columns,
        size=size,
        sha256=storage.sha256(path) if size <= _MOST_BYTES else "",
    )
