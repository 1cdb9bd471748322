"""The only reader of CSV and parquet files: checks a file before reading its rows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pandas as pd

from core.platform import bounds, csv_detection, csv_dialect, csv_numbers, csv_rows
from core.platform.csv_dialect import NOTHING, PLAIN, Dialect, Given
from core.platform.errors import InputError
from core.platform.messages import Message, Words
from core.platform.project import Column
from core.platform.rows import arrow

SUFFIXES = (".parquet", ".csv")
# bytes at a time; less than the longest line
_BLOCK = 1 << 18
# values of a parquet file that are decoded at a time
_CELLS = 4_000_000
_BOM = b"\xef\xbb\xbf"
# the index that pandas adds to a file
_INDEX = "__index_level_"


@dataclass(frozen=True)
class Head:
    """What is known of a file before its rows are read.

    Parameters
    ----------
    rows : int
        For CSV the lines after the header, an upper bound of the rows.
    notes : tuple of Words
        Harmless oddities, a sentence each.
    dialect : Dialect or None
        None for parquet.
    is_bare : bool
        Whether it is a CSV without a quote, and without a carriage return but at line ends.
    """

    columns: tuple[str, ...]
    rows: int
    notes: tuple[Words, ...] = ()
    dialect: Dialect | None = None
    is_bare: bool = False


def list_sources(path: Path) -> list[Path]:
    """Return the CSV, parquet and zip files of a folder, by name.

    Raises
    ------
    InputError
        If there is no such folder, or no such file in it.
    """
    if not path.is_dir():
        raise InputError(Message("'{name}' does not exist.", name=path))
    wanted = (*SUFFIXES, ".zip")
    sources = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in wanted)
    if not sources:
        raise InputError(Message("'{name}' contains no CSV or parquet file.", name=path))
    return sources


def read_head(
    path: Path, name: str | None = None, given: Given = NOTHING, *, check_cells: bool = True
) -> Head:
    """Return the columns and size of a CSV or parquet file, without loading its rows.

    Parameters
    ----------
    path : Path
        Its suffix decides the format.
    name : str, optional
        The person's name for it, for messages.
    given : Given
        Stated parts of the dialect; the rest is detected.
    check_cells : bool
        Whether a table that would not fit into memory is refused; not needed for a sample of it.

    Raises
    ------
    InputError
        If it is of another kind, empty, not what its suffix says, or beyond the limits of
        `core.platform.bounds`; for duplicate or nested columns; for a CSV file with an ambiguous
        dialect (`core.platform.csv_dialect`).
    """
    name = name or path.name
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            Message(
                "'{name}' is not a CSV or parquet file. Choose a .csv, .parquet or .zip file.",
                name=name,
            )
        )
    with bounds.opened(path, name) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise InputError(Message("'{name}' has no rows.", name=name))
        bounds.check_bytes(name, size)
        is_parquet = file.read(4) == b"PAR1"
        file.seek(0)
        if is_parquet != (suffix == ".parquet"):
            raise InputError(
                Message(
                    "The contents of '{name}' do not match its extension. Rename or replace it.",
                    name=name,
                )
            )
        head = _parquet_head(file, name) if is_parquet else _csv_head(file, name, given)
    if check_cells:
        bounds.check_table(name, head.rows, len(head.columns))
    return head


def read(
    path: Path,
    name: str | None = None,
    columns: Mapping[str, Column] | None = None,
    given: Given = NOTHING,
    head: Head | None = None,
) -> pd.DataFrame:
    """Return the rows of a CSV or parquet file; parameters as in `read_head`.

    Parameters
    ----------
    columns : mapping of str to Column, optional
        Expected columns. Texts are then read literally ("007" stays "007", "NA" stays "NA"), and
        other columns are left out.
    head : Head, optional
        As `read_head` has just returned it.

    Raises
    ------
    InputError
        As `read_head` does, and if the rows cannot be read.
    """
    name = name or path.name
    expected = columns or {}
    head = read_head(path, name, given.knowing(expected)) if head is None else head
    names = {alias: known for known, column in expected.items() for alias in column.aliases}
    names |= {known: known for known in expected}
    texts = [
        heading for heading in head.columns if heading in names and expected[names[heading]].is_text
    ]
    if path.suffix.lower() == ".parquet":
        wanted = (
            [heading for heading in head.columns if heading in names]
            if columns
            else list(head.columns)
        )
        return _read_parquet(path, name, wanted, texts if columns else wanted)
    kept = (
        [heading for heading in head.columns if heading in names] if columns else list(head.columns)
    )
    try:
        frame = csv_rows.read(
            path,
            name,
            head.dialect or PLAIN,
            head.columns,
            head.rows,
            texts=texts,
            kept=kept,
            is_bare=head.is_bare,
        )
    except pd.errors.EmptyDataError as error:
        raise InputError(Message("'{name}' has no rows.", name=name)) from error
    except (pd.errors.ParserError, ValueError) as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=name, reason=fault_of_csv(error))
        ) from error
    numbers = [heading for heading in kept if heading in names and heading not in texts]
    return csv_numbers.with_plain_numbers(frame, head.dialect or PLAIN, numbers)


def preview(
    path: Path, name: str | None = None, rows: int = 1000, given: Given = NOTHING
) -> tuple[Head, pd.DataFrame]:
    """Return the head and the first rows of a file, without reading the rest; see `read_head`.

    Raises
    ------
    InputError
        As `read_head` does, and if the first rows cannot be read.
    """
    name = name or path.name
    head = read_head(path, name, given)
    if path.suffix.lower() == ".csv":
        try:
            with bounds.opened(path, name) as file:
                dialect = head.dialect or PLAIN
                first_rows: pd.DataFrame = pd.read_csv(
                    csv_rows.with_new_lines(file, dialect),
                    **csv_rows.as_written(dialect),
                    nrows=rows,
                    dtype=str,
                    # literally: NA may be a country, and 007 a key
                    keep_default_na=False,
                    na_values=[""],
                )
            return head, csv_numbers.with_plain_numbers(
                first_rows, dialect, first_rows.columns.astype(str).tolist()
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise InputError(
                Message("'{name}' cannot be read: {reason}", name=name, reason=fault_of_csv(error))
            ) from error
    import pyarrow
    import pyarrow.parquet

    try:
        with (
            bounds.opened(path, name) as file,
            pyarrow.parquet.ParquetFile(
                bounds.again(file), read_dictionary=list(head.columns)
            ) as opened,
        ):
            first = next(opened.iter_batches(rows, columns=list(head.columns)), None)
            _check_texts(name, sum(map(bounds.text_bytes, [] if first is None else first.columns)))
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=name, reason=reason(error))
        ) from error
    if first is None:
        return head, pd.DataFrame(columns=list(head.columns))
    return head, _without_categories(first.to_pandas(date_as_object=False))


def _csv_head(file: IO[bytes], name: str, given: Given) -> Head:
    sample = file.read(csv_detection.SAMPLE_BYTES)
    is_whole = not file.read(1)
    # refuses binary content before any of it is parsed
    csv_detection.sample_text(sample, name, "utf-8")
    file.seek(0)
    lines, encoding, is_bare = _scan(file, name, given)
    dialect, header = csv_detection.detect(
        sample, name, is_whole=is_whole, encoding=encoding, given=given
    )
    notes: tuple[Words, ...] = ()
    if dialect != PLAIN:
        notes = (
            Message("'{name}' was read with {dialect}.", name=name, dialect=dialect.describe()),
        )
    # pandas names a column without a name; a trailing comma is not a column
    columns = tuple(column for column in header if column.strip())
    if not columns:
        raise csv_dialect.DialectError("no_header", name=name)
    bounds.check_columns(name, len(columns))
    _refuse_repeated(columns, name)
    return Head(columns, max(lines - 1, 0), notes, dialect, is_bare)


def _scan(file: IO[bytes], name: str, given: Given) -> tuple[int, str, bool]:
    """Return the number of lines, the encoding, and `Head.is_bare`; refuse what is not CSV."""
    check = csv_detection.TextCheck(name, given)
    lines = held = returns = 0
    is_quoted = False
    last = b"\n"
    while block := file.read(_BLOCK):
        check.feed(block)
        is_quoted = is_quoted or b'"' in block
        end, last = last, block[-1:]
        if end == b"\r" and block.startswith(b"\n"):
            block = block[1:]
            returns -= 1
        # files of old Macs end their lines with a bare \r
        if b"\r" in block:
            returns += block.count(b"\r") - block.count(b"\r\n")
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        ends = block.count(b"\n")
        lines += ends
        # a line within a block is shorter than the limit
        longest = held + (block.find(b"\n") if ends else len(block))
        held = len(block) - block.rfind(b"\n") - 1 if ends else longest
        if max(longest, held) > bounds.MAX_LINE:
            raise bounds.FileError("line", name=name, most=bounds.MAX_LINE)
    is_bare = not is_quoted and not returns
    return lines + (last not in b"\r\n"), check.encoding(), is_bare


def fault_of_csv(error: Exception, *, is_whole: bool = True) -> Words:
    """Return pandas' complaint about a CSV, with the line if it names one of the whole file."""
    text = str(error)
    if match := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        wanted, line, seen = (int(number) for number in match.groups())
        if not is_whole:
            return Message(
                "a line has {seen:,} values instead of {wanted:,}.", seen=seen, wanted=wanted
            )
        return Message(
            "line {line:,} has {seen:,} values instead of {wanted:,}.",
            line=line,
            seen=seen,
            wanted=wanted,
        )
    if is_whole and (match := re.search(r"EOF inside string starting at row (\d+)", text)):
        return Message(
            'a quote (") opens in row {row:,} below the header and is never closed.',
            row=int(match[1]),
        )
    return reason(error)


def _parquet_head(file: IO[bytes], name: str) -> Head:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            size = sum(
                metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)
            )
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=name, reason=reason(error))
        ) from error
    bounds.check_bytes(name, size, bounds.MAX_DECODED)
    nested = [field.name for field in schema if pyarrow.types.is_nested(field.type)]
    if nested:
        raise InputError(
            Message(
                "'{name}' has lists, structures or bytes in {columns}. Give each value its own "
                "column, as text.",
                name=name,
                columns=[f"'{column}'" for column in nested[:5]],
            )
        )
    columns = tuple(field.name for field in schema if not field.name.startswith(_INDEX))
    bounds.check_columns(name, len(columns))
    _refuse_repeated(columns, name)
    return Head(columns, metadata.num_rows)


def _read_parquet(
    path: Path, name: str, columns: Sequence[str], texts: Sequence[str]
) -> pd.DataFrame:
    import pyarrow
    import pyarrow.parquet

    try:
        with bounds.opened(path, name) as file:
            with pyarrow.parquet.ParquetFile(file) as opened:
                schema, rows = opened.schema_arrow, opened.metadata.num_rows
            _refuse_bytes(schema, name, columns)
            strings = [
                column
                for column in columns
                if pyarrow.types.is_string(schema.field(column).type)
                or pyarrow.types.is_large_string(schema.field(column).type)
            ]
            series: dict[str, pd.Series[Any]] = {}
            held, decoded = 8 * rows * len(columns), 0
            size = max(_CELLS // max(rows, 1), 1)
            with pyarrow.parquet.ParquetFile(
                # a repeated text is stored once, in the file and in memory
                bounds.again(file),
                read_dictionary=strings,
            ) as opened:
                # not all columns at once: Arrow's would be a second copy of all values
                for start in range(0, len(columns), size):
                    table = opened.read(columns=list(columns[start : start + size]))
                    # writing or sending them repeats each text
                    decoded += sum(map(bounds.text_bytes, table.columns))
                    _check_texts(name, decoded)
                    for column in table.column_names:
                        values = table.column(column)
                        held += bounds.object_bytes(values)
                        bounds.check_held(name, held)
                        series[column] = arrow.series(values, column, is_text=column in texts)
                    del table, values
        return pd.DataFrame(
            {column: series[column] for column in columns}, index=pd.RangeIndex(rows), copy=False
        )
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=name, reason=reason(error))
        ) from error


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    for column in frame.columns[[dtype == "category" for dtype in frame.dtypes]]:
        frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
    return frame


def _check_texts(name: str, size: int) -> None:
    if size > bounds.MAX_DECODED:
        raise bounds.FileError("text", name=name, size=size / 1e6, most=bounds.MAX_DECODED / 1e6)


def _refuse_bytes(schema: Any, name: str, columns: Sequence[str]) -> None:
    """Refuse bytes where values are expected: unlike texts they cannot be dictionary-encoded."""
    import pyarrow

    kinds = pyarrow.types
    for column in columns:
        kind = schema.field(column).type
        if kinds.is_dictionary(kind):
            kind = kind.value_type
        if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
            raise InputError(
                Message(
                    "'{name}' has lists, structures or bytes in {columns}. Give each value its own "
                    "column, as text.",
                    name=name,
                    columns=[f"'{column}'"],
                )
            )


def _refuse_repeated(columns: Sequence[str], name: str) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise InputError(
            Message(
                "'{name}' has repeated columns: {columns}. Column names must be unique.",
                name=name,
                columns=[f"'{column}'" for column in repeated[:5]],
            )
        )


def reason(error: Exception) -> str:
    """Return a library's message as one short sentence."""
    text = " ".join(str(error).split())[:200].strip()
    return (text or type(error).__name__).rstrip(".") + "."
