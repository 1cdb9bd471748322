"""Safe unpacking of zip files from users."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from core.platform import bounds
from core.platform.bounds import FileError
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.tables import SUFFIXES

MAX_MEMBERS = 200
_BLOCK = 1 << 20
# the first bytes of a zip that holds a file
_ZIP = b"PK\x03\x04"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def unpack(path: Path, name: str, folder: Path, *, limit: int) -> list[tuple[str, Path]]:
    """Copy the CSV and parquet files of a zip file, nested zips included, into a folder.

    Kaggle packs each table of a competition into a zip of its own, and those into another.

    Parameters
    ----------
    name : str
        The user's name for the file, for messages.
    folder : Path
        Target; its files are named by number, never by a name from the zip.
    limit : int
        Most bytes of all files together, unpacked.

    Returns
    -------
    list of (str, Path)
        The base name of each file, for messages, and its new path.

    Raises
    ------
    InputError
        When the file is broken, encrypted or too large, has paths that lead out of it, or holds no
        table.
    """
    tables = list(_members(path, name, folder, _Room(limit, limit), deep=True))
    if not tables:
        raise InputError(Message("'{name}' contains no CSV or parquet file.", name=name))
    return tables


@dataclass
class _Room:
    """Bytes that may still be unpacked, and the limit for all files."""

    left: int
    limit: int


def _members(
    path: Path, name: str, folder: Path, room: _Room, *, deep: bool
) -> Iterator[tuple[str, Path]]:
    try:
        archive = zipfile.ZipFile(path)
    except (*_BROKEN, OSError) as error:
        # an end that is missing, or another kind of file
        with bounds.opened(path, name) as file:
            is_zip = file.read(len(_ZIP)) == _ZIP
        fault = bounds.BROKEN_ZIP if is_zip else bounds.NOT_A_TABLE
        raise InputError(Message(fault.msgid, name=name)) from error
    with archive:
        infos = archive.infolist()
        _refuse(infos, name, room)
        for info in infos:
            label = PurePosixPath(info.filename).name
            suffix = Path(label).suffix.lower()
            wanted = suffix in SUFFIXES or (deep and suffix == ".zip")
            # macOS adds these for each file
            if info.is_dir() or not wanted or "__MACOSX" in info.filename or label[0] == ".":
                continue
            target = folder / f"member-{len(list(folder.iterdir()))}{suffix}"
            try:
                with archive.open(info) as source:
                    _copy(source, target, name, room)
            except (*_BROKEN, OSError) as error:
                if getattr(error, "errno", None):  # an error of the disk, not of the file
                    raise
                raise InputError(
                    Message(
                        "'{name}' cannot be read: {reason}",
                        name=f"{name}/{label}",
                        reason=f"{error}.",
                    )
                ) from error
            if suffix == ".zip":
                yield from _members(target, f"{name}/{label}", folder, room, deep=False)
            else:
                yield label, target


def _refuse(infos: list[zipfile.ZipInfo], name: str, room: _Room) -> None:
    if len(infos) > MAX_MEMBERS:
        raise InputError(
            Message(
                "{name}: {files:,} files; the limit is {most:,}.",
                name=name,
                files=len(infos),
                most=MAX_MEMBERS,
            )
        )
    for info in infos:
        # ZipInfo turns a backslash into a slash on Windows only
        given = info.orig_filename.replace("\\", "/")
        out = ".." in given.split("/") or given.startswith("/") or "\0" in given
        link = stat.S_ISLNK(info.external_attr >> 16)
        if out or link or PureWindowsPath(given).drive or info.flag_bits & 1:
            raise InputError(
                Message(
                    "'{name}' is encrypted, or has paths that lead out of it ('{path}'). Unpack it "
                    "and choose the files.",
                    name=name,
                    path=given[:60],
                )
            )
    size = sum(info.file_size for info in infos)
    if size > room.left:
        raise _too_large(name, room.limit - room.left + size, room.limit)


def _copy(source: IO[bytes], target: Path, name: str, room: _Room) -> None:
    """Copy and count the bytes: a header can claim fewer than there are."""
    with target.open("wb") as file:
        while block := source.read(_BLOCK):
            room.left -= len(block)
            if room.left < 0:
                raise _too_large(name, room.limit - room.left, room.limit)
            file.write(block)


def _too_large(name: str, size: int, limit: int) -> FileError:
    return FileError("text", name=name, size=size / 1e6, most=limit / 1e6)
