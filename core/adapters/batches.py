"""Rows of large files in bounded memory: what lies at a path or address, its parts, their batches.

A path is of this machine; an address (`s3://bucket/folder`) is one that fsspec knows, with the
credentials of the environment. Parts are cut the same way each time, so that what was done of them
can be told from what was not.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from core.errors import InputError

PART_ROWS = 500_000
# of CSV: what is held in memory at once
PART_BYTES = 32_000_000
_BLOCK = 1 << 22
_BOM = b"\xef\xbb\xbf"
# what is read of a network, and the package that fsspec needs for it
PROTOCOLS = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs", "hdfs": "pyarrow", "webhdfs": "requests", "http": "aiohttp",
    "https": "aiohttp", "ftp": "fsspec", "sftp": "paramiko", "ssh": "paramiko", "memory": "fsspec",
}  # fmt: skip
_SECRET = re.compile(r"(key|secret|token|password|signature|sig|credential)[^=&]*=", re.I)
# what an empty cell of numbers may be called
MISSING = ("#N/A", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "<NA>")


@dataclass(frozen=True)
class Part:
    """A stretch of rows of one file, scored and kept as one.

    Parameters
    ----------
    number, first_row, rows : int
        Its place among the parts; the first row, counted from 0 over all files; how many.
    file : str
    groups : tuple of int
        Row groups of a parquet file.
    begin, end : int
        Bytes of a CSV file.
    """

    number: int
    file: str
    first_row: int
    rows: int
    groups: tuple[int, ...] = ()
    begin: int = 0
    end: int = 0


@dataclass(frozen=True)
class Source:
    """What lies at a path or address.

    Parameters
    ----------
    address : str
        As it was resolved; for messages too.
    kind : {"parquet", "csv"}
    columns : tuple of str
    rows : int
    files : tuple of str
    digest : str
        SHA-256 over name, size and time of change of the files: another one means that they
        changed.
    parts : tuple of Part
    """

    address: str
    kind: str
    columns: tuple[str, ...]
    rows: int
    files: tuple[str, ...]
    digest: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Batch:
    """Some rows of a part.

    Parameters
    ----------
    first_row : int
        Counted from 0 over all files.
    frame : DataFrame
        Index from 0.
    keys : pyarrow.Array or None
        Texts of the key column, whole numbers without a point.
    """

    first_row: int
    frame: pd.DataFrame
    keys: Any


def holds_credentials(address: str) -> bool:
    """Tell whether an address has a password or key in it, which then would stand in the runs.

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
        For a relative path, an address with credentials in it, a protocol that is not read, or one
        whose package is not installed.
    """
    import fsspec  # type: ignore[import-untyped]

    if "::" in address or "\0" in address:
        raise InputError(f"'{address[:80]}' is no path or address of a file or folder.")
    if "://" not in address or address.startswith("file://"):
        path = Path(address.removeprefix("file://")).expanduser()
        if not path.is_absolute():
            raise InputError(f"'{address}' is not a whole path. Begin with {os.sep}.")
        return fsspec.filesystem("file"), str(path.resolve())
    protocol = address.split("://", 1)[0].lower()
    if protocol not in PROTOCOLS:
        raise InputError(
            f"Addresses of '{protocol}' are not read. Known: {', '.join(sorted(PROTOCOLS))}."
        )
    if holds_credentials(address):
        raise InputError(
            f"The address of '{protocol}' holds a password or key. Leave it out: credentials are "
            "taken from the environment, as its package documents it."
        )
    try:
        found, path_in = fsspec.core.url_to_fs(address)
    except ImportError as error:
        package = PROTOCOLS[protocol]
        raise InputError(
            f"Addresses of '{protocol}' need the package {package}, which is not installed. "
            f"Install it (pip install {package}), start the app again, and score again."
        ) from error
    except Exception as error:
        raise InputError(f"'{address}' cannot be opened: {_reason(error)}") from error
    return found, str(path_in)


def look(address: str, *, part_rows: int = PART_ROWS) -> Source:
    """Return what lies at a path or address: a parquet or CSV file, or a folder of one kind.

    Rows are counted, not kept.

    Raises
    ------
    InputError
        When there is nothing that this user can read, or it is of another kind.
    """
    fs, path = resolve(address)
    is_local = _is_local(fs)
    shown = path if is_local else address
    with _faults(shown):
        files = _files(fs, path, shown)
        kind = "csv" if files[0].lower().endswith(".csv") else "parquet"
        if any((one.lower().endswith(".csv")) != (kind == "csv") for one in files):
            raise InputError(f"'{shown}' holds parquet and CSV files. Keep one kind in a folder.")
        digest = hashlib.sha256(
            json.dumps([_mark(fs, one) for one in files], default=str).encode()
        ).hexdigest()
        parts: list[Part] = []
        columns: tuple[str, ...] | None = None
        rows = 0
        for file in files:
            cut = _cut_csv if kind == "csv" else _cut_parquet
            named, found = cut(fs, file, rows, len(parts), part_rows)
            if columns is not None and set(named) != set(columns):
                other = sorted(set(named) ^ set(columns))
                raise InputError(
                    f"The files in '{shown}' differ in their columns ({', '.join(other[:5])}). "
                    "Give them the same."
                )
            columns = columns or named
            parts += found
            rows += sum(one.rows for one in found)
    if not rows:
        raise InputError(f"'{shown}' has no rows.")
    return Source(shown, kind, columns or (), rows, tuple(files), digest, tuple(parts))


def read(
    source: Source, part: Part, columns: Sequence[str], *, texts: Sequence[str] = (),
    key: str | None = None, batch_rows: int = 65_536,
) -> Iterator[Batch]:  # fmt: skip
    """Yield the rows of a part, a batch at a time.

    Parameters
    ----------
    columns : sequence of str
        Those of the frames.
    texts : sequence of str
        Those of them that are read as they stand ("007" stays "007").
    key : str, optional
        Column of the keys, which may be one of the others too.

    Raises
    ------
    InputError
        When the rows cannot be read.
    """
    fs, _ = resolve(source.address)
    wanted = list(dict.fromkeys([*columns, *([key] if key else [])]))
    first = part.first_row
    with _faults(part.file):
        tables = _read_csv if source.kind == "csv" else _read_parquet
        for table in tables(fs, source, part, wanted, batch_rows):
            keys = _keys(table.column(key)) if key else None
            frame = _frame(table.select(list(columns)), texts)
            yield Batch(first, frame, keys)
            first += len(frame)
    if first != part.first_row + part.rows:
        raise InputError(
            f"'{part.file}' has {first - part.first_row:,} rows where {part.rows:,} were counted: "
            "it changes, or a line of it is broken."
        )


def head(source: Source, rows: int = 1000) -> pd.DataFrame:
    """Return the first rows, all columns, as they stand."""
    for batch in read(source, source.parts[0], source.columns, batch_rows=rows):
        return batch.frame.head(rows)
    raise AssertionError("unreachable")


def peek(address: str, rows: int = 1000) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return the columns and first rows of what lies there, by its first file, without counting.

    Raises
    ------
    InputError
        As `look` does.
    """
    fs, path = resolve(address)
    shown = path if _is_local(fs) else address
    with _faults(shown):
        file = _files(fs, path, shown)[0]
        if not file.lower().endswith(".csv"):
            with _opened(fs, file) as opened:
                table = next(opened.iter_batches(batch_size=rows), None)
                found = opened.schema_arrow.empty_table() if table is None else table
                frame = found.to_pandas().reset_index(drop=True)
        else:
            with fs.open(file, "rb") as handle:
                _header(handle, file)
                handle.seek(0)
                frame = pd.read_csv(handle, nrows=rows, dtype=str, encoding="utf-8-sig")
    return tuple(frame.columns.astype(str)), frame


def _is_local(fs: Any) -> bool:
    return type(fs).__name__ == "LocalFileSystem"


def _files(fs: Any, path: str, shown: str) -> list[str]:
    """Return the files to read: the one, or those of a folder by name."""
    if _is_local(fs):
        if not os.path.lexists(path):
            raise InputError(f"There is no file or folder '{shown}'.")
        if not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
            raise InputError(f"'{shown}' cannot be read by this user.")
    elif not fs.exists(path):
        raise InputError(f"There is no file or folder '{shown}'.")
    if fs.isdir(path):
        every = sorted(fs.find(path))
        hidden = [one[len(path) :].split("/") for one in every]
        files = [
            one
            for one, names in zip(every, hidden, strict=True)
            if one.lower().endswith((".parquet", ".csv"))
            and not any(name.startswith((".", "_")) for name in names)
        ]
        if not files:
            raise InputError(f"The folder '{shown}' holds no .parquet or .csv file.")
    else:
        files = [path]
        if not path.lower().endswith((".parquet", ".csv")):
            raise InputError(f"'{shown}' is not a parquet or CSV file, by its name.")
    if _is_local(fs):
        for file in files:
            if not stat.S_ISREG(os.stat(file).st_mode):
                raise InputError(f"'{file}' is not a file of rows.")
            if not os.access(file, os.R_OK):
                raise InputError(f"'{file}' cannot be read by this user.")
    return files


def _mark(fs: Any, file: str) -> list[Any]:
    """Return by what a file is known again."""
    if _is_local(fs):
        found = os.stat(file)
        return [file, found.st_size, found.st_mtime_ns]
    about: Mapping[str, Any] = fs.info(file)
    names = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
    return [file, *(str(about[name]) for name in names if name in about)]


@contextmanager
def _opened(fs: Any, file: str) -> Iterator[Any]:
    import pyarrow.parquet as pq

    # what Arrow reads by itself is read fastest
    handle = file if _is_local(fs) else fs.open(file, "rb")
    try:
        # no column chunk is read ahead of its rows: a file may be one large row group
        with pq.ParquetFile(handle, pre_buffer=False) as opened:
            yield opened
    finally:
        if not isinstance(handle, str):
            handle.close()


def _cut_parquet(
    fs: Any, file: str, first: int, number: int, part_rows: int
) -> tuple[tuple[str, ...], list[Part]]:
    import pyarrow

    with _opened(fs, file) as opened:
        about, schema = opened.metadata, opened.schema_arrow
        sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    kinds = pyarrow.types
    if nested := [field.name for field in schema if kinds.is_nested(field.type)]:
        raise InputError(
            f"'{file}' holds lists or structures in '{nested[0]}'. Give each value a column."
        )
    names = [name for name in schema.names if not name.startswith("__index_level_")]
    if len(set(names)) < len(names):
        raise InputError(f"In '{file}' a column stands there more than once. Name each once.")
    parts: list[Part] = []
    groups: list[int] = []
    held = 0
    for group, size in enumerate(sizes):
        if groups and held + size > part_rows:
            parts.append(Part(number + len(parts), file, first, held, tuple(groups)))
            first, groups, held = first + held, [], 0
        groups.append(group)
        held += size
    if held:
        parts.append(Part(number + len(parts), file, first, held, tuple(groups)))
    return tuple(names), parts


def _read_parquet(
    fs: Any, source: Source, part: Part, columns: list[str], batch_rows: int
) -> Iterator[Any]:
    import pyarrow

    with _opened(fs, part.file) as opened:
        for batch in opened.iter_batches(batch_rows, row_groups=list(part.groups), columns=columns):
            if batch.num_rows:
                yield pyarrow.Table.from_batches([batch])


def _cut_csv(
    fs: Any, file: str, first: int, number: int, part_rows: int
) -> tuple[tuple[str, ...], list[Part]]:
    """Cut at ends of lines that stand outside quotes, and count the lines on the way."""
    with fs.open(file, "rb") as handle:
        columns, start = _header(handle, file)
        handle.seek(start)
        parts: list[Part] = []
        begin = at = start
        quoted = False
        rows = 0
        # whether the line that is open has anything in it
        is_open = False
        while block := handle.read(_BLOCK):
            data = np.frombuffer(block, dtype=np.uint8)
            if (data == 0).any():
                raise InputError(f"'{file}' holds binary data, not text. Choose a CSV file.")
            inside = np.cumsum(data == ord('"')) % 2 == (0 if quoted else 1)
            ends = np.flatnonzero((data == ord("\n")) & ~inside)
            quoted = bool(inside[-1])
            # a line of nothing but its end is no row
            solid = np.concatenate([[0], np.cumsum((data != ord("\n")) & (data != ord("\r")))])
            filled = np.diff(solid[np.concatenate([[0], ends + 1])]) > 0
            if len(filled):
                filled[0] |= is_open
                is_open = bool(solid[-1] > solid[ends[-1] + 1])
            else:
                is_open |= bool(solid[-1])
            rows += int(filled.sum())
            if len(ends) and (at + int(ends[-1]) + 1 - begin >= PART_BYTES or rows >= part_rows):
                end = at + int(ends[-1]) + 1
                parts.append(Part(number + len(parts), file, first, rows, (), begin, end))
                begin, first, rows = end, first + rows, 0
            at += len(block)
        rows += is_open
    if quoted:
        raise InputError(f"'{file}' cannot be read as CSV: a quote is never closed.")
    if rows:
        parts.append(Part(number + len(parts), file, first, rows, (), begin, at))
    return columns, parts


def _header(handle: Any, file: str) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns, and where the rows begin."""
    block = handle.read(_BLOCK)
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"'{file}' is UTF-16 text. Save it as CSV UTF-8.")
    start = len(_BOM) if block.startswith(_BOM) else 0
    while True:
        end = block.find(b"\n", start) + 1 or len(block)
        line = block[start:end].decode("utf-8")
        if line.strip() or end == len(block):
            break
        start = end
    names = tuple(next(csv.reader(io.StringIO(line)), []))
    if not names or not all(name.strip() for name in names):
        raise InputError(f"'{file}' has no line with the names of its columns.")
    if len(names) == 1 and (sign := next((s for s in ";\t|" if s in names[0]), "")):
        raise InputError(f"'{file}' is divided by '{sign}'. Save it with commas.")
    if len(set(names)) < len(names):
        raise InputError(f"In '{file}' a column stands there more than once. Name each once.")
    return names, end


def _read_csv(
    fs: Any, source: Source, part: Part, columns: list[str], batch_rows: int
) -> Iterator[Any]:
    import pyarrow
    from pyarrow import csv as reader

    with fs.open(part.file, "rb") as handle:
        names, _ = _header(handle, part.file)
        handle.seek(part.begin)
        content = handle.read(part.end - part.begin)
    table = reader.read_csv(
        pyarrow.BufferReader(content),
        reader.ReadOptions(column_names=names),
        reader.ParseOptions(newlines_in_values=b'"' in content),
        reader.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pyarrow.string()),
            null_values=[""], strings_can_be_null=True,
        ),
    )  # fmt: skip
    for first in range(0, table.num_rows, batch_rows):
        yield table.slice(first, batch_rows)


def _frame(table: Any, texts: Sequence[str]) -> pd.DataFrame:
    import pyarrow
    import pyarrow.compute as compute

    taken = {}
    for name in table.column_names:
        values = table.column(name)
        if pyarrow.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pyarrow.types.is_binary(values.type) or pyarrow.types.is_large_binary(values.type):
            raise InputError(f"Column '{name}' holds bytes. Write them as text.")
        if pyarrow.types.is_string(values.type) and name not in texts:
            try:
                values = compute.cast(values, pyarrow.float64())
            except pyarrow.ArrowInvalid:
                # what is no number is told by row, by whoever knows the column
                plain = values.to_pandas()
                taken[name] = plain.mask(plain.isin(MISSING))
                continue
        taken[name] = values.to_pandas()
    return pd.DataFrame(taken, copy=False)


def _keys(values: Any) -> Any:
    import pyarrow
    import pyarrow.compute as compute

    values = values.combine_chunks()
    if pyarrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pyarrow.types.is_floating(values.type):
        # a column of whole numbers with a missing one is kept as floats by many programs
        with suppress(pyarrow.ArrowInvalid):
            values = compute.cast(values, pyarrow.int64())
    return compute.cast(values, pyarrow.string())


@contextmanager
def _faults(shown: str) -> Iterator[None]:
    """Tell what the libraries and the disk say as a sentence."""
    import pyarrow

    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"'{shown}' is not UTF-8 text. Save it as CSV UTF-8.") from error
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(f"'{shown}' cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:200].strip()
    return (text or type(error).__name__).rstrip(".") + "."
