"""Size limits of files and requests, and the only function that opens files named by people.

The limits keep every request and every file of an allowed size below 1 GB of memory
(`benchmarks/memory.py` measures it). They are checked before rows are read: on a parquet file's
footer, a CSV file's header, the tokens of a JSON request.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from core.platform.errors import InputError
from core.platform.messages import Message

# A table in memory: its file (`upload_limit_mb` is checked before), its values, its columns, one
# line of a CSV.
MAX_BYTES = 1_000_000_000
MAX_CELLS = 32_000_000
# of a CSV that pandas reads whole: 0.12 KB each if every text is different
MAX_AT_ONCE = 6_500_000
# Its numbers and texts together, of which equal ones are stored once.
MAX_HELD = 700_000_000
# of a text besides its characters
_OBJECT = 50
MAX_COLUMNS = 2_000
MAX_LINE = 1_000_000
# Decompressed size of a parquet file; and of its texts, without sharing of equal ones.
MAX_DECODED = 400_000_000
# A request to an endpoint. A JSON value takes up to 24 times its size in Python's memory.
MAX_REQUEST_BYTES = 32_000_000
MAX_REQUEST_CELLS = 1_000_000
MAX_REQUEST_DECODED = 100_000_000

_BYTES = Message(
    "{name} has {size:,.1f} MB of data; the limit is {most:,.1f} MB. Use fewer rows or columns."
)
_CELLS = Message("{name}: {cells:,} values; the limit is {most:,}. Use fewer rows or columns.")
_COLUMNS = Message("{name}: {columns:,} columns; the limit is {most:,}.")
NOT_A_TABLE = Message(
    "'{name}' is not a CSV or parquet file. Choose a .csv, .parquet or .zip file."
)
BROKEN_ZIP = Message("'{name}' is damaged or incomplete: it cannot be unpacked. Copy it again.")
REQUEST, ALL_FILES = Message("Request"), Message("All files")
FAULTS = {
    "absent": Message("'{name}' does not exist."),
    "not_regular": NOT_A_TABLE,
    "unreadable": Message("'{name}' cannot be read: {reason}"),
    "changed": Message("'{name}' was changed while it was read. Try again."),
    "bytes": _BYTES,
    "columns": _COLUMNS,
    "cells": _CELLS,
    "text": _BYTES,
    "line": Message("'{name}' has a line of more than {most:,} characters. It is not a table."),
}
# the same limits for a request and for several files
FAULTS |= {
    "together": Message(_CELLS.msgid, name=ALL_FILES),
    "request_cells": Message(_CELLS.msgid, name=REQUEST),
    "request_columns": Message(_COLUMNS.msgid, name=REQUEST),
    "request_text": Message(_BYTES.msgid, name=REQUEST),
}


class FileError(InputError):
    """A refused file: a code with its values, and the message built from them.

    Parameters
    ----------
    code : str
        A key of `sentences`.
    values : mapping
        Plain numbers; the message adds separators.

    Examples
    --------
    >>> fault = FileError("columns", name="a.csv", columns=3000, most=2000)
    >>> fault.code, str(fault)
    ('columns', 'a.csv: 3,000 columns; the limit is 2,000.')
    """

    sentences: Mapping[str, Message] = FAULTS

    def __init__(self, code: str, **values: Any) -> None:
        self.code, self.values = code, values
        words = self.sentences[code]
        super().__init__(Message(words.msgid, **{**words.params, **values}))


def check_bytes(name: str, size: int, most: int | None = None) -> None:
    """Refuse a file that is too large, before it is hashed or read.

    Raises
    ------
    FileError
        With the code `bytes`.
    """
    limit = MAX_BYTES if most is None else most
    if size > limit:
        raise FileError("bytes", name=name, size=size / 1e6, most=limit / 1e6)


def check_columns(name: str, columns: int) -> None:
    """Refuse a table with too many columns.

    Raises
    ------
    FileError
        With the code `columns`.
    """
    if columns > MAX_COLUMNS:
        raise FileError("columns", name=name, columns=columns, most=MAX_COLUMNS)


def check_table(name: str, rows: int, columns: int) -> None:
    """Refuse a table that would not fit into memory.

    Raises
    ------
    FileError
        With the code `columns` or `cells`.
    """
    check_columns(name, columns)
    if rows * columns > MAX_CELLS:
        raise FileError("cells", name=name, cells=rows * columns, most=MAX_CELLS)


def check_at_once(name: str, cells: int) -> None:
    """Refuse a CSV that only pandas can read, and that would not fit into memory meanwhile.

    Raises
    ------
    FileError
        With the code `cells`.
    """
    if cells > MAX_AT_ONCE:
        raise FileError("cells", name=name, cells=cells, most=MAX_AT_ONCE)


def check_held(name: str, size: int) -> None:
    """Refuse a table whose values take too much memory, while they are read.

    Raises
    ------
    FileError
        With the code `text`.
    """
    if size > MAX_HELD:
        raise FileError("text", name=name, size=size / 1e6, most=MAX_HELD / 1e6)


def check_together(cells: int) -> None:
    """Refuse several tables that would not fit into memory together.

    Raises
    ------
    FileError
        With the code `together`.
    """
    if cells > MAX_CELLS:
        raise FileError("together", cells=cells, most=MAX_CELLS)


def text_bytes(column: Any) -> int:
    """Return the bytes of an Arrow column's texts once decoded.

    A dictionary stores a repeated text once; decoding copies it for every row.
    """
    import pyarrow
    import pyarrow.compute as compute

    kinds = pyarrow.types
    total = 0
    for part in column.chunks if isinstance(column, pyarrow.ChunkedArray) else [column]:
        if not is_text(part.type):
            continue
        if kinds.is_dictionary(part.type):
            lengths = compute.binary_length(part.dictionary)
            lengths = compute.cast(lengths, pyarrow.int64()).take(part.indices)
        else:
            lengths = compute.cast(compute.binary_length(part), pyarrow.int64())
        total += compute.sum(lengths).as_py() or 0
    return total


def object_bytes(column: Any) -> int:
    """Return the bytes of an Arrow column's texts as Python's, where equal ones are stored once."""
    import pyarrow

    if not is_text(column.type):
        return 0
    if not pyarrow.types.is_dictionary(column.type):
        return _OBJECT * len(column) + text_bytes(column)
    parts = column.unify_dictionaries().chunks[:1]
    return sum(_OBJECT * len(part.dictionary) + text_bytes(part.dictionary) for part in parts)


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type holds text or bytes, dictionary-encoded or not."""
    import pyarrow

    kinds = pyarrow.types
    value = kind.value_type if kinds.is_dictionary(kind) else kind
    checks = (kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary)
    return any(check(value) for check in checks)


@contextmanager
def opened(path: Path | str, name: str | None = None) -> Iterator[IO[bytes]]:
    """Open a file that a person named, if it is a regular file.

    A pipe would block forever and a device has no end. The check is on the open file, not on the
    path, which may point elsewhere by then.

    Raises
    ------
    FileError
        With the code `absent`, `not_regular` or `unreadable`.
    """
    shown = name or str(path)
    flags = os.O_RDONLY
    for more in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"):  # not every system has both
        flags |= getattr(os, more, 0)
    try:
        # opening a device may have effects; the decisive check is on the open file
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FileError("not_regular", name=shown)
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise FileError("absent", name=shown) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError("unreadable", name=shown, reason=f"{reason}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileError("not_regular", name=shown)
    with os.fdopen(descriptor, "rb") as file:
        yield file


def again(file: IO[bytes]) -> str:
    """Return a path to the open file itself, for libraries that open files on their own."""
    return f"/dev/fd/{file.fileno()}"


def size_of(path: Path | str, name: str | None = None) -> int:
    """Return the size of a regular file in bytes.

    Raises
    ------
    FileError
        As `opened` does.
    """
    with opened(path, name) as file:
        return os.fstat(file.fileno()).st_size


def copy(path: Path | str, target: Path, name: str, most: int | None = None) -> Path:
    """Copy a file that a person named, so that later changes to it have no effect.

    Parameters
    ----------
    most : int, optional
        Maximum bytes; default `MAX_BYTES`.

    Raises
    ------
    FileError
        As `opened` does; with the code `bytes` if it is larger, before reading, and with `changed`
        if it grows while being copied.
    """
    with opened(path, name) as source:
        size = os.fstat(source.fileno()).st_size
        check_bytes(name, size, most)
        try:
            with target.open("wb") as file:
                left = size
                while left and (block := source.read(min(1 << 20, left))):
                    file.write(block)
                    left -= len(block)
                if left or source.read(1):
                    raise FileError("changed", name=name)
        except BaseException:
            with suppress(OSError):
                target.unlink()
            raise
    return target
