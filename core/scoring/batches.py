"""Rows of large files in bounded memory: sources, their parts, and batches.

Parts are cut the same way each time, so that finished parts can be recognized.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
import pandas as pd

from core.platform import bounds, csv_detection, csv_numbers, rows
from core.platform.csv_dialect import NOTHING, PLAIN, Dialect, DialectError, Given
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.rows import Fault, Rule, arrow
from core.scoring import addresses

PART_ROWS = 500_000
# of CSV: rows in memory at a time
PART_BYTES = 32_000_000
_BLOCK = 1 << 22
_BOM = b"\xef\xbb\xbf"
# Arrow's names of encodings
ARROW = {"utf-8": "utf8", "windows-1252": "cp1252"}


@dataclass(frozen=True)
class Part:
    """A range of rows of one file, scored and stored as a unit.

    Parameters
    ----------
    number, first_row, rows : int
        Its index; the first row, counted from 0 over all files; the number of rows.
    groups : tuple of int
        Row groups of a parquet file.
    begin, end : int
        Byte range of a CSV file.
    dialect : Dialect
        Of the CSV file.
    """

    number: int
    file: str
    first_row: int
    rows: int
    groups: tuple[int, ...] = ()
    begin: int = 0
    end: int = 0
    dialect: Dialect = PLAIN


@dataclass(frozen=True)
class Source:
    """The files at a path or address.

    Parameters
    ----------
    address : str
        Resolved address; for messages too.
    kind : {"parquet", "csv"}
    digest : str
        SHA-256 over name, size and modification time of the files, to detect changes.
    """

    address: str
    kind: str
    columns: tuple[str, ...]
    rows: int
    files: tuple[str, ...]
    digest: str
    parts: tuple[Part, ...]

    @property
    def written(self) -> tuple[str, ...]:
        """The distinct dialects of its CSV files, as recorded in runs; empty for parquet."""
        if self.kind != "csv":
            return ()
        return tuple(dict.fromkeys(part.dialect.code for part in self.parts))


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
        Key column as text, see `core.platform.rows.key_text`.
    key_fault : Fault or None
        Invalid keys.
    """

    first_row: int
    frame: pd.DataFrame
    keys: Any
    key_fault: Fault | None = None


def inspect(address: str, *, part_rows: int = PART_ROWS, given: Given = NOTHING) -> Source:
    """Return the source at a path or address: a parquet or CSV file, or a folder of one kind.

    Rows are counted, not stored.

    Parameters
    ----------
    given : Given
        Dialect settings from the user; the rest is detected per file.

    Raises
    ------
    InputError
        When there is no readable file, or it is of another kind; for a CSV file with an ambiguous
        dialect.
    """
    fs, path = addresses.resolve(address)
    is_local = addresses.is_local(fs)
    shown = path if is_local else address
    with addresses.wrap_read_errors(shown):
        files = addresses.files_at(fs, path, shown)
        kind = "csv" if files[0].lower().endswith(".csv") else "parquet"
        if any((file.lower().endswith(".csv")) != (kind == "csv") for file in files):
            raise InputError(
                Message(
                    "'{path}' contains parquet and CSV files. Keep one kind in a folder.",
                    path=shown,
                )
            )
        digest = hashlib.sha256(
            json.dumps([addresses.fingerprint(fs, file) for file in files], default=str).encode()
        ).hexdigest()
        parts: list[Part] = []
        columns: tuple[str, ...] | None = None
        rows = 0
        for file in files:
            if kind == "csv":
                named, cut = _cut_csv(fs, file, rows, len(parts), part_rows, given)
            else:
                named, cut = _cut_parquet(fs, file, rows, len(parts), part_rows)
            if columns is not None and set(named) != set(columns):
                raise InputError(
                    Message(
                        "The columns of '{name}' differ from those of '{other}' ({columns}). "
                        "Choose files with the same columns.",
                        name=file,
                        other=files[0],
                        columns=sorted(set(named) ^ set(columns))[:5],
                    )
                )
            columns = columns or named
            parts += cut
            rows += sum(part.rows for part in cut)
    if not rows:
        raise InputError(Message("'{name}' has no rows.", name=shown))
    return Source(shown, kind, columns or (), rows, tuple(files), digest, tuple(parts))


def read(
    source: Source,
    part: Part,
    columns: Sequence[str],
    *,
    texts: Sequence[str] = (),
    key: str | None = None,
    key_rule: Rule | None = None,
    batch_rows: int = 65_536,
) -> Iterator[Batch]:
    """Yield the rows of a part in batches.

    Parameters
    ----------
    columns : sequence of str
        Columns of the frames.
    texts : sequence of str
        Columns to read as text ("007" stays "007").
    key : str, optional
        Column of the keys, which may be one of the others too.
    key_rule : Rule, optional
        Permitted keys; any text if unknown.

    Raises
    ------
    InputError
        When the rows cannot be read.
    """
    fs, _ = addresses.resolve(source.address)
    wanted = list(dict.fromkeys([*columns, *([key] if key else [])]))
    first = part.first_row
    with addresses.wrap_read_errors(part.file):
        tables = _read_csv if source.kind == "csv" else _read_parquet
        for table in tables(fs, source, part, wanted, batch_rows):
            _check_texts(part.file, table)
            keys, fault = _keys(table, key, key_rule or Rule("text")) if key else (None, None)
            frame = _frame(table.select(list(columns)), texts, part.file, part.dialect)
            yield Batch(first, frame, keys, fault)
            first += len(frame)
    if first != part.first_row + part.rows:
        raise bounds.FileError("changed", name=part.file)


def peek(
    address: str, rows: int = 1000, given: Given = NOTHING
) -> tuple[tuple[str, ...], pd.DataFrame, Dialect | None]:
    """Return the columns and first rows at an address, from its first file, without counting.

    The third element is the dialect of a CSV file, from its first megabyte; None for parquet.

    Raises
    ------
    InputError
        As for `inspect`.
    """
    fs, path = addresses.resolve(address)
    shown = path if addresses.is_local(fs) else address
    dialect = None
    with addresses.wrap_read_errors(shown):
        file = addresses.files_at(fs, path, shown)[0]
        if not file.lower().endswith(".csv"):
            with _parquet(fs, file) as opened:
                table = next(opened.iter_batches(batch_size=rows), None)
                batch = opened.schema_arrow.empty_table() if table is None else table
                _check_texts(file, batch)
                frame = _frame(batch, batch.schema.names, file).reset_index(drop=True)
        else:
            with addresses.opened(fs, file) as handle:
                sample = handle.read(csv_detection.SAMPLE_BYTES)
                is_whole = not handle.read(1)
                check = csv_detection.TextCheck(file, given)
                # a character may be cut at the end of the sample
                check.feed(sample if is_whole else sample[: sample.rfind(b"\n") + 1] or sample)
                dialect, _ = _header(sample, file, is_whole, check.encoding(), given)
                handle.seek(0)
                content: IO[bytes] = handle
                if dialect.old_mac:
                    # pandas stumbles over a space after a lone carriage return
                    whole = sample if is_whole else sample[: sample.rfind(b"\r")]
                    content = io.BytesIO(whole.replace(b"\r", b"\n"))
                frame = pd.read_csv(
                    content,
                    nrows=rows,
                    dtype=str,
                    encoding=dialect.codec,
                    sep=dialect.sign,
                    # a country code may be NA
                    keep_default_na=False,
                    na_values=[""],
                )
                frame = csv_numbers.with_plain_numbers(
                    frame, dialect, frame.columns.astype(str).tolist()
                )
    return tuple(frame.columns.astype(str)), frame, dialect


@contextmanager
def _parquet(fs: Any, file: str) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with addresses.opened(fs, file) as handle:
        # what Arrow opens by itself is read fastest
        place = bounds.again(handle) if addresses.is_local(fs) else handle
        with pq.ParquetFile(place) as opened:
            schema = opened.schema_arrow
        bounds.check_columns(file, len(schema.names))
        texts = [field.name for field in schema if bounds.is_text(field.type)]
        # no column chunk is read ahead of its rows, since a file may be one large row group; and a
        # text repeated in a million rows is stored once
        with pq.ParquetFile(place, pre_buffer=False, read_dictionary=texts) as opened:
            yield opened


def _check_texts(file: str, table: Any) -> None:
    """Refuse texts that are too large for a batch once each row has its own copy."""
    size = sum(bounds.text_bytes(column) for column in table.columns)
    if size > bounds.MAX_DECODED:
        raise bounds.FileError("text", name=file, size=size / 1e6, most=bounds.MAX_DECODED / 1e6)


def _cut_parquet(
    fs: Any, file: str, first: int, number: int, part_rows: int
) -> tuple[tuple[str, ...], list[Part]]:
    import pyarrow

    with _parquet(fs, file) as opened:
        about, schema = opened.metadata, opened.schema_arrow
        sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    kinds = pyarrow.types
    if nested := [field.name for field in schema if kinds.is_nested(field.type)]:
        raise InputError(
            Message(
                "'{name}' has lists, structures or bytes in {columns}. Give each value "
                "its own column, as text.",
                name=file,
                columns=nested[0],
            )
        )
    names = [name for name in schema.names if not name.startswith("__index_level_")]
    if len(set(names)) < len(names):
        raise InputError(_repeated(names, file))
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

    held: list[Any] = []
    count = 0
    with _parquet(fs, part.file) as opened:
        # texts stored as dictionaries end a batch with their row group, however small that is
        for batch in opened.iter_batches(batch_rows, row_groups=list(part.groups), columns=columns):
            if held and count + batch.num_rows > batch_rows:
                yield pyarrow.Table.from_batches(held).unify_dictionaries()
                held, count = [], 0
            if batch.num_rows:
                held.append(batch)
                count += batch.num_rows
        if held:
            yield pyarrow.Table.from_batches(held).unify_dictionaries()


def _cut_csv(
    fs: Any, file: str, first: int, number: int, part_rows: int, given: Given
) -> tuple[tuple[str, ...], list[Part]]:
    """Cut at line ends outside quotes, and count the lines."""
    with addresses.opened(fs, file) as handle:
        sample = handle.read(csv_detection.SAMPLE_BYTES)
        is_whole = not handle.read(1)
        # a file that is no table is refused before all of it is read
        dialect, columns = _header(sample, file, is_whole, given.encoding or "utf-8", given)
        start = _begin(sample, dialect)
        check = csv_detection.TextCheck(file, given)
        handle.seek(0)
        check.feed(handle.read(start))
        line_end = dialect.line_end[0]
        parts: list[Part] = []
        begin = at = ended = start
        quoted = False
        rows = 0
        # whether the current line has any content
        is_open = False
        while block := handle.read(_BLOCK):
            check.feed(block)
            data = np.frombuffer(block, dtype=np.uint8)
            inside = np.cumsum(data == ord('"')) % 2 == (0 if quoted else 1)
            ends = np.flatnonzero((data == line_end) & ~inside)
            quoted = bool(inside[-1])
            # an empty line is no row
            solid = np.concatenate([[0], np.cumsum((data != ord("\n")) & (data != ord("\r")))])
            filled = np.diff(solid[np.concatenate([[0], ends + 1])]) > 0
            if len(filled):
                filled[0] |= is_open
                is_open = bool(solid[-1] > solid[ends[-1] + 1])
            else:
                is_open |= bool(solid[-1])
            rows += int(filled.sum())
            # from one line end to the next
            longest = int(np.diff(ends, prepend=ended - at).max()) if len(ends) else 0
            ended = at + int(ends[-1]) if len(ends) else ended
            if max(longest, at + len(block) - ended) > bounds.MAX_LINE:
                raise bounds.FileError("line", name=file, most=bounds.MAX_LINE)
            if len(ends) and (at + int(ends[-1]) + 1 - begin >= PART_BYTES or rows >= part_rows):
                end = at + int(ends[-1]) + 1
                parts.append(Part(number + len(parts), file, first, rows, (), begin, end))
                begin, first, rows = end, first + rows, 0
            at += len(block)
        rows += is_open
    if quoted:
        raise InputError(
            Message(
                "'{name}' cannot be read: {reason}",
                name=file,
                reason=Message(
                    'a quote (") opens in row {row:,} below the header and is never closed.',
                    row=rows + 1,
                ),
            )
        )
    if rows:
        parts.append(Part(number + len(parts), file, first, rows, (), begin, at))
    encoding = check.encoding()
    if encoding != dialect.encoding:
        dialect, columns = _header(sample, file, is_whole, encoding, given)
    return columns, [replace(part, dialect=dialect) for part in parts]


def _repeated(names: Sequence[str], file: str) -> Message:
    return Message(
        "'{name}' has repeated columns: {columns}. Column names must be unique.",
        name=file,
        columns=[f"'{name}'" for name in sorted({n for n in names if names.count(n) > 1})[:5]],
    )


def _header(
    sample: bytes, file: str, is_whole: bool, encoding: str, given: Given
) -> tuple[Dialect, tuple[str, ...]]:
    """Return a CSV file's dialect, and its column names."""
    dialect, names = csv_detection.detect(
        sample, file, is_whole=is_whole, encoding=encoding, given=given
    )
    bounds.check_columns(file, len(names))
    if not all(name.strip() for name in names):
        raise DialectError("no_header", name=file)
    if len(set(names)) < len(names):
        raise InputError(_repeated(names, file))
    return dialect, names


def _begin(sample: bytes, dialect: Dialect) -> int:
    """Return where the rows begin: after the first non-empty line."""
    start = len(_BOM) if sample.startswith(_BOM) else 0
    while True:
        end = sample.find(dialect.line_end, start) + 1 or len(sample)
        if sample[start:end].strip() or end == len(sample):
            return end
        start = end


def _read_csv(
    fs: Any, source: Source, part: Part, columns: list[str], batch_rows: int
) -> Iterator[Any]:
    import pyarrow
    from pyarrow import csv as reader

    with addresses.opened(fs, part.file) as handle:
        sample = handle.read(csv_detection.SAMPLE_BYTES)
        handle.seek(part.begin)
        content = handle.read(part.end - part.begin)
    table = reader.read_csv(
        pyarrow.BufferReader(content),
        reader.ReadOptions(
            # of this file: others may have another column order
            column_names=csv_detection.header(sample, part.dialect),
            encoding=ARROW[part.dialect.encoding],
        ),
        reader.ParseOptions(delimiter=part.dialect.sign, newlines_in_values=b'"' in content),
        reader.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pyarrow.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    for first in range(0, table.num_rows, batch_rows):
        yield table.slice(first, batch_rows)


def _frame(table: Any, texts: Sequence[str], file: str, dialect: Dialect = PLAIN) -> pd.DataFrame:
    import pyarrow

    kinds = pyarrow.types
    columns = {}
    for name in table.column_names:
        values = table.column(name)
        kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
        if kinds.is_binary(kind) or kinds.is_large_binary(kind):
            raise InputError(
                Message(
                    "'{name}' has lists, structures or bytes in {columns}. Give each value its own "
                    "column, as text.",
                    name=file,
                    columns=name,
                )
            )
        if kinds.is_string(values.type) and name not in texts:
            values = csv_numbers.plain_numbers(values, dialect)
        # invalid numbers are reported per row, by the caller, which knows the column
        columns[name] = arrow.series(values, name, is_text=name in texts)
    return pd.DataFrame(columns, copy=False)


def _keys(table: Any, name: str, rule: Rule) -> tuple[Any, Fault | None]:
    """Return the keys as texts, and the invalid ones."""
    values = table.column(name)
    texts = arrow.keys(values, rule)
    if rule.is_text:
        return texts, None
    faults = rows.read(arrow.series(values, name, is_text=False), rule).faults
    return texts, faults[0] if faults else None
