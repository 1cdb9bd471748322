"""The only reader of CSV and parquet files: looks before it reads, and refuses in a sentence."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.errors import InputError
from core.project import Column
from core.schema import aliases

SUFFIXES = (".parquet", ".csv")
# What one file may hold: far above what the app is made for, far below what ends a small machine.
MAX_BYTES = 1_000_000_000
MAX_CELLS = 100_000_000
MAX_COLUMNS = 2_000
MAX_LINE = 1_000_000
_BLOCK = 1 << 20
_BOM = codecs.BOM_UTF8
# the index that pandas adds to a file; nobody's column
_INDEX = "__index_level_"
# what pandas itself takes for a missing value
_MISSING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip


@dataclass(frozen=True)
class Head:
    """What a file says of itself before its rows are read.

    Parameters
    ----------
    columns : tuple of str
    rows : int
        For CSV the lines after the header, which is at least the number of rows.
    notes : tuple of str
        What is odd with it but does not matter, a sentence each.
    """

    columns: tuple[str, ...]
    rows: int
    notes: tuple[str, ...] = ()


def list_sources(path: Path) -> list[Path]:
    """Return the CSV, parquet and zip files of a folder, by name.

    Raises
    ------
    InputError
        When there is no such folder, or none in it.
    """
    if not path.is_dir():
        raise InputError(f"There is no folder {path}.")
    wanted = (*SUFFIXES, ".zip")
    found = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in wanted)
    if not found:
        raise InputError(f"The folder {path} holds no .csv or .parquet file, nor a zip of them.")
    return found


def look(path: Path, name: str | None = None) -> Head:
    """Return the columns and size of a CSV or parquet file, without reading its rows into memory.

    Parameters
    ----------
    path : Path
        Where it lies; its suffix says what it is.
    name : str, optional
        What the person calls it, for messages.

    Raises
    ------
    InputError
        When it is of another kind, empty, not what its name says, or beyond the limits above; when
        a column stands there twice; for text that is not UTF-8 with commas; for nested columns.
    """
    name = name or path.name
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"'{name}' is not a CSV or parquet file. Choose a .csv or .parquet file.")
    if path.stat().st_size == 0:
        raise InputError(f"'{name}' is empty.")
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if suffix == ".parquet" and not is_parquet:
        raise InputError(f"'{name}' is not a parquet file, whatever its name says.")
    if suffix == ".csv" and is_parquet:
        raise InputError(f"'{name}' is a parquet file. Rename it to .parquet.")
    head = _look_at_parquet(path, name) if is_parquet else _look_at_csv(path, name)
    if len(head.columns) > MAX_COLUMNS:
        raise InputError(
            f"'{name}' has {len(head.columns):,} columns; at most {MAX_COLUMNS:,} are taken."
        )
    _refuse_repeated(head.columns, name)
    if head.rows * len(head.columns) > MAX_CELLS:
        raise InputError(
            f"'{name}' has {head.rows:,} rows of {len(head.columns):,} columns; at most "
            f"{MAX_CELLS:,} cells are taken. Bring fewer rows or columns."
        )
    return head


def read(
    path: Path, name: str | None = None, columns: Mapping[str, Column] | None = None
) -> pd.DataFrame:
    """Return the rows of a CSV or parquet file.

    Parameters
    ----------
    path : Path
        Where it lies; its suffix says what it is.
    name : str, optional
        What the person calls it, for messages.
    columns : mapping of str to Column, optional
        What is expected. Texts are then read as they stand ("007" stays "007", "NA" stays "NA"),
        and other columns are left out.

    Raises
    ------
    InputError
        As `look` does, and when the rows cannot be read.
    """
    name = name or path.name
    head = look(path, name)
    expected = columns or {}
    names = {**aliases(expected), **{known: known for known in expected}}
    if path.suffix.lower() == ".parquet":
        wanted = [one for one in head.columns if one in names] if columns else list(head.columns)
        return _read_parquet(path, name, wanted)
    texts = [one for one in head.columns if one in names and expected[names[one]].type == "text"]
    try:
        frame = _read_csv(path, name, head.columns, texts)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"'{name}' is empty.") from error
    except (pd.errors.ParserError, ValueError) as error:
        raise InputError(f"'{name}' cannot be read as CSV: {_fault_of_csv(error)}") from error
    # pandas would not see a row that is too long if it were told which columns to read
    return frame[[one for one in frame if one in names]] if columns else frame


def preview(path: Path, name: str | None = None, rows: int = 1000) -> tuple[Head, pd.DataFrame]:
    """Return what `look` tells of a file, and its first rows, without reading the others.

    Parameters
    ----------
    path, name
        As `read` takes them.
    rows : int
        At most so many.

    Raises
    ------
    InputError
        As `look` does, and when the first rows cannot be read.
    """
    name = name or path.name
    head = look(path, name)
    if path.suffix.lower() == ".csv":
        try:
            return head, pd.read_csv(path, encoding="utf-8-sig", nrows=rows)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise InputError(f"'{name}' cannot be read as CSV: {_fault_of_csv(error)}") from error
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            first = next(file.iter_batches(rows, columns=list(head.columns)), None)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(f"'{name}' is a broken parquet file: {_reason(error)}") from error
    if first is None:
        return head, pd.DataFrame(columns=list(head.columns))
    return head, first.to_pandas()


def _look_at_csv(path: Path, name: str) -> Head:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(_too_large(name, path.stat().st_size))
    with path.open("rb") as file:
        start = file.read(_BLOCK)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InputError(f"'{name}' is UTF-16 text. Save it as CSV UTF-8.")
        file.seek(0)
        lines = _scan(file, name)
    notes: tuple[str, ...] = ()
    if start.startswith(_BOM):
        start = start.removeprefix(_BOM)
        notes = (f"'{name}' starts with a byte-order mark, as Excel writes it; it was left out.",)
    # the block may end within a character
    columns = _header(start.decode("utf-8", errors="ignore"), name)
    return Head(columns, max(lines - 1, 0), notes)


def _scan(file: Any, name: str) -> int:
    """Return how many lines there are; refuse what no CSV of UTF-8 text holds."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    lines = longest = held = 0
    last = b"\n"
    while block := file.read(_BLOCK):
        if b"\0" in block:
            raise InputError(f"'{name}' holds binary data, not text. Choose a CSV file.")
        try:
            decode(block)
        except UnicodeDecodeError as error:
            raise InputError(f"'{name}' is not UTF-8 text. Save it as CSV UTF-8.") from error
        # files of old Macs end their lines with \r alone
        ends = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        lines += len(ends) - 1
        longest = max(longest, held + len(ends[0]), *(len(end) for end in ends[1:]))
        held = len(ends[-1]) + (held if len(ends) == 1 else 0)
        last = block[-1:]
        if longest > MAX_LINE:
            raise InputError(
                f"'{name}' has a line of more than {MAX_LINE:,} characters. It is no table."
            )
    try:
        decode(b"", True)
    except UnicodeDecodeError as error:
        raise InputError(f"'{name}' is not UTF-8 text. Save it as CSV UTF-8.") from error
    return lines + (last not in b"\r\n")


def _header(text: str, name: str) -> tuple[str, ...]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""))
        # pandas passes over blank lines too
        columns = tuple(next((row for row in rows if "".join(row).strip()), []))
    except csv.Error as error:
        raise InputError(f"'{name}' cannot be read as CSV: {_reason(error)}") from error
    if len(columns) == 1:
        for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if sign in columns[0]:
                raise InputError(f"'{name}' is divided by {word}. Save it with commas.")
    # pandas gives a column without a name one of its own; a trailing comma makes none
    named = tuple(column for column in columns if column.strip())
    if not named:
        raise InputError(f"'{name}' has no line with the names of its columns.")
    return named


def _read_csv(path: Path, name: str, columns: Sequence[str], texts: Sequence[str]) -> pd.DataFrame:
    given: dict[str, Any] = {
        "encoding": "utf-8-sig",
        "low_memory": False,
        "dtype": dict.fromkeys(texts, "object"),
        # "None" and "NA" can be names; in a column of texts only an empty cell is a missing one
        "keep_default_na": False,
        "na_values": {one: [""] if one in texts else _MISSING for one in columns},
    }
    frame: pd.DataFrame = pd.read_csv(path, **given)
    if isinstance(frame.index, pd.RangeIndex):
        return frame
    # rows longer than the header: pandas took their first values for an index, and so moved all
    # values to other columns; only empty ones at the end, from a trailing comma, can be left out
    if frame.iloc[:, -frame.index.nlevels :].notna().any(axis=None):
        raise InputError(f"'{name}' has rows with more values than it has columns.")
    with warnings.catch_warnings():
        # that they are left out is what is wanted
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        shorter: pd.DataFrame = pd.read_csv(path, **given, index_col=False)
    return shorter


def _fault_of_csv(error: Exception) -> str:
    """Return what pandas found wrong with a CSV, by line where it tells one."""
    text = str(error)
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        wanted, line, there = (int(number) for number in found.groups())
        return f"line {line:,} has {there:,} values where {wanted:,} are expected."
    if found := re.search(r"EOF inside string starting at row (\d+)", text):
        return f'a quote (") opens in row {int(found[1]):,} below the header and is never closed.'
    return _reason(error)


def _look_at_parquet(path: Path, name: str) -> Head:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            size = sum(
                metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)
            )
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(f"'{name}' is a broken parquet file: {_reason(error)}") from error
    if max(size, path.stat().st_size) > MAX_BYTES:
        raise InputError(_too_large(name, max(size, path.stat().st_size)))
    nested = [field.name for field in schema if pyarrow.types.is_nested(field.type)]
    if nested:
        quoted = ", ".join(f"'{column}'" for column in nested[:5])
        raise InputError(
            f"'{name}' holds lists or structures in {quoted}. Give each value a column of its own."
        )
    columns = tuple(field.name for field in schema if not field.name.startswith(_INDEX))
    return Head(columns, metadata.num_rows)


def _read_parquet(path: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
        _refuse_bytes(schema, name, columns)
        texts = [
            column
            for column in columns
            if pyarrow.types.is_string(schema.field(column).type)
            or pyarrow.types.is_large_string(schema.field(column).type)
        ]
        # a text that stands in a million rows is kept once, in the file and in memory
        table = pyarrow.parquet.read_table(path, columns=list(columns), read_dictionary=texts)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:
        raise InputError(f"'{name}' is a broken parquet file: {_reason(error)}") from error
    for column in frame.columns[[dtype == "category" for dtype in frame.dtypes]]:
        frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
    return frame


def _refuse_bytes(schema: Any, name: str, columns: Sequence[str]) -> None:
    """Refuse bytes where values are expected: unlike texts they cannot be read as kept once."""
    import pyarrow

    kinds = pyarrow.types
    for column in columns:
        kind = schema.field(column).type
        if kinds.is_dictionary(kind):
            kind = kind.value_type
        if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
            raise InputError(f"'{name}' holds bytes in '{column}'. Write them as text.")


def _refuse_repeated(columns: Sequence[str], name: str) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        quoted = ", ".join(f"'{column}'" for column in repeated[:5])
        verb = "stands" if len(repeated) == 1 else "stand"
        raise InputError(f"In '{name}' {quoted} {verb} there more than once. Name each once.")


def _too_large(name: str, size: int) -> str:
    return (
        f"'{name}' holds {size / 1e6:,.0f} MB; at most {MAX_BYTES / 1e6:,.0f} are taken. Divide it "
        "into several files."
    )


def _reason(error: Exception) -> str:
    """Return a library's own words as one short sentence."""
    text = " ".join(str(error).split())[:200].strip()
    return (text or type(error).__name__).rstrip(".") + "."
