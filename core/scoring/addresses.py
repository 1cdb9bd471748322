"""Paths and addresses of tables: their file systems, their files, and errors that say why not.

A path is local; an address (`s3://bucket/folder`) is opened by fsspec, with the credentials of the
environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from core.platform import bounds, store_faults, tables
from core.platform.csv_dialect import DialectError
from core.platform.errors import InputError
from core.platform.messages import Message

# supported network protocols, and the package that fsspec needs for each
PROTOCOLS = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "hdfs": "pyarrow",
    "webhdfs": "requests",
    "http": "aiohttp",
    "https": "aiohttp",
    "ftp": "fsspec",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "memory": "fsspec",
}
_SECRET = re.compile(r"(key|secret|token|password|signature|sig|credential)[^=&]*=", re.I)


def holds_credentials(address: str) -> bool:
    """Return whether an address contains a password or key, which would then appear in the runs.

    Examples
    --------
    >>> holds_credentials("s3://ann:secret@bucket/x"), holds_credentials("abfs://box@account/x")
    (True, False)
    """
    if "://" not in address:
        return False
    parts = urlsplit(address)
    return ":" in parts.netloc.rpartition("@")[0] or bool(_SECRET.search(parts.query))


def resolve(address: str) -> tuple[Any, str]:
    """Return fsspec's file system for a path or an address, and the path in it.

    Raises
    ------
    InputError
        For a relative path, an address with credentials, an unsupported protocol, or one whose
        package is not installed.
    """
    import fsspec  # type: ignore[import-untyped]

    if "::" in address or "\0" in address:
        raise InputError(_not_a_place(address[:80]))
    if "://" not in address or address.startswith("file://"):
        path = Path(address.removeprefix("file://")).expanduser()
        if not path.is_absolute():
            raise InputError(_not_a_place(address))
        return fsspec.filesystem("file"), str(path.resolve())
    protocol = address.split("://", 1)[0].lower()
    if protocol not in PROTOCOLS:
        raise InputError(_not_a_place(f"{protocol}://"))
    if holds_credentials(address):
        raise InputError(Message("{reason!c}.", reason=NO_CREDENTIALS))
    try:
        fs, path_in = fsspec.core.url_to_fs(address)
    except ImportError as error:
        package = PROTOCOLS[protocol]
        raise InputError(
            Message(
                "{package} is not installed, or not in a version that can be used. Run "
                "`{command}`, and restart the app.",
                package=package,
                command=f"pip install {package}",
            )
        ) from error
    except Exception as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=address, reason=tables.reason(error))
        ) from error
    return fs, str(path_in)


NO_CREDENTIALS = Message(
    "an address must not hold a password or key: credentials belong to the environment"
)


def _not_a_place(address: str) -> Message:
    return Message(
        "'{path}' is neither an absolute path ({separator}...) nor an address of {protocols}.",
        path=address,
        separator=os.sep,
        protocols=sorted(PROTOCOLS),
    )


def is_local(fs: Any) -> bool:
    """Return whether a file system is this machine's own."""
    return type(fs).__name__ == "LocalFileSystem"


def files_at(fs: Any, path: str, shown: str) -> list[str]:
    """Return the files to read: the single file, or those of a folder by name."""
    if is_local(fs):
        if not os.path.lexists(path):
            raise InputError(Message("'{name}' does not exist.", name=shown))
        if not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
            raise InputError(store_faults.sentence("forbidden", shown))
    elif not fs.exists(path):
        raise InputError(Message("'{name}' does not exist.", name=shown))
    if fs.isdir(path):
        every = sorted(fs.find(path))
        hidden = [file[len(path) :].split("/") for file in every]
        files = [
            file
            for file, names in zip(every, hidden, strict=True)
            if file.lower().endswith((".parquet", ".csv"))
            and not any(name.startswith((".", "_")) for name in names)
        ]
        if not files:
            raise InputError(Message("'{name}' contains no CSV or parquet file.", name=shown))
    else:
        files = [path]
        if not path.lower().endswith((".parquet", ".csv")):
            raise InputError(Message("'{name}' contains no CSV or parquet file.", name=shown))
    for file in files if is_local(fs) else ():
        bounds.size_of(file)
    return files


def fingerprint(fs: Any, file: str) -> list[Any]:
    """Return what identifies a file's current version."""
    if is_local(fs):
        status = os.stat(file)
        return [file, status.st_size, status.st_mtime_ns]
    about: Mapping[str, Any] = fs.info(file)
    names = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
    return [file, *(str(about[name]) for name in names if name in about)]


@contextmanager
def opened(fs: Any, file: str) -> Iterator[IO[bytes]]:
    """Open a file of a file system for reading."""
    with bounds.opened(file) if is_local(fs) else fs.open(file, "rb") as handle:
        yield handle


@contextmanager
def wrap_read_errors(shown: str) -> Iterator[None]:
    """Turn errors of libraries and of the disk into readable ones."""
    import pyarrow

    try:
        yield
    except UnicodeDecodeError as error:
        raise DialectError("not_utf8", name=shown) from error
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=shown, reason=tables.reason(error))
        ) from error
