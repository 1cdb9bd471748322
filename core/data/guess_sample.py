"""Rows of a user's table, spread over its file: reads CSV, parquet or a zip of one.

CSV cells are read as a project's steps read them later: what is a number throughout becomes
numbers, everything else stays text, and `007` stays `007`.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from core.data import archives
from core.data.guess import Guesses
from core.data.guess_columns import NUMBER, Unfit
from core.data.guess_marks import marks_of
from core.data.guess_words import names_a_key
from core.platform import bounds, csv_detection, csv_dialect, tables
from core.platform.csv_dialect import NOTHING, Dialect, Given
from core.platform.csv_numbers import plain_numbers
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.rows import MISSING_MARKS

ROWS = 100_000
# rows at a time of a parquet file
_BATCH = 50_000
# bytes at a time of a CSV file, and places of a large one from which rows are taken
_BLOCK = 4 << 20
_PIECES = 50
# columns whose values are compared over the whole file, at most
_MOST_KEYS = 4
_CODE = r"^-?0[0-9]"
_NUMBER = f"^(?:{NUMBER.pattern})$"
_FIRST = 200
_NUMERIC = frozenset("0123456789+-.,")
_UNPACKED = 2_000_000_000


def read_some(
    path: Path, *, rows: int = ROWS, given: Given = NOTHING, name: str = ""
) -> pd.DataFrame:
    """Return rows of a file, spread evenly over it, in its order.

    Parameters
    ----------
    path : Path
        A .csv or .parquet file, or a .zip that holds exactly one.
    given : Given
        Stated parts of a CSV file's dialect; the rest is detected.
    name : str
        The person's name for the file; by default that of the path.

    Returns
    -------
    DataFrame
        Its `attrs` are plain values: `rows` (of the whole file), `file` (its name) and `unique`
        (columns of whole numbers or text without a repeated or missing value: in the whole file,
        but of a CSV file that is sampled only in its sample; see `is_unique`). Of a CSV file also
        `marks` (column and the texts in it that were read as missing, with their rows) and
        `unfit` (column, and for types the values that are none of it, see `guess_columns.Unfit`).

    Raises
    ------
    InputError
        When the file cannot be read, or a zip holds no table or several.
    """
    name = name or path.name
    if path.suffix.lower() != ".zip":
        return _read(path, name, rows, given)
    with tempfile.TemporaryDirectory() as folder:
        bounds.check_bytes(name, bounds.size_of(path, name))
        members = archives.unpack(path, name, Path(folder), limit=_UNPACKED)
        if len(members) > 1:
            raise InputError(
                Message(
                    "'{name}' contains {files:,} tables: {members}. Provide the project's "
                    "table as a separate file.",
                    name=name,
                    files=len(members),
                    members=[f"'{member}'" for member, _ in members[:5]],
                )
            )
        return _read(members[0][1], members[0][0], rows, given)


def _read(path: Path, name: str, rows: int, given: Given) -> pd.DataFrame:
    head = tables.read_head(path, name, given, check_cells=False)
    is_parquet = path.suffix.lower() == ".parquet"
    parts = _parquet(path, name, head, rows) if is_parquet else _csv(path, name, head, rows)
    frame, total, about = _frame(parts, head, is_text=not is_parquet)
    unique = [
        column
        for column in _keys(frame)
        if not is_parquet or len(frame) == total or _repeats_nothing(path, column)
    ]
    frame.attrs = {**about, "rows": total, "file": name, "unique": unique}
    return frame


def _parquet(path: Path, name: str, head: tables.Head, rows: int) -> Iterator[tuple[Any, int]]:
    """Yield the kept rows of each part of a parquet file, and how many rows the part has."""
    import pyarrow
    import pyarrow.parquet

    keep = _every(head.rows, rows)
    seen = 0
    try:
        with (
            bounds.opened(path, name) as file,
            pyarrow.parquet.ParquetFile(bounds.again(file)) as opened,
        ):
            for batch in opened.iter_batches(_BATCH, columns=list(head.columns)):
                yield _spread(pyarrow.table(batch), seen, keep), len(batch)
                seen += len(batch)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(
            Message("'{name}' cannot be read: {reason}", name=name, reason=str(error))
        ) from error


def _csv(path: Path, name: str, head: tables.Head, rows: int) -> Iterator[tuple[Any, int]]:
    """Yield the kept rows of a CSV file, and how many rows it has."""
    dialect = head.dialect or csv_dialect.PLAIN
    with bounds.opened(path, name) as file:
        size = os.fstat(file.fileno()).st_size
        # lines are at least as many as rows
        share = min(rows / max(head.rows, 1), 1.0)
        text = file.read() if share == 1 else _pieces(file, size, share, head)
    table = _texts(text, name, dialect, is_whole=share == 1)
    table = table.slice(0, rows)
    yield table, len(table) if share == 1 else head.rows


def _pieces(file: IO[bytes], size: int, share: float, head: tables.Head) -> bytes:
    """Return whole lines from places spread over a file, the first one with its header.

    A line end within quotes ends no row: an even number of quotes precedes one that does. In a file
    without quotes the rest need not be read.
    """
    line_end = (head.dialect or csv_dialect.PLAIN).line_end
    length = max(int(size * share / _PIECES), 1)
    kept = []
    quotes = at = 0
    for number in range(_PIECES):
        start = max(size * number // _PIECES, at)
        at = start if head.is_bare else at
        file.seek(at)
        while at < start:
            block = file.read(min(_BLOCK, start - at))
            quotes += block.count(b'"')
            at += len(block)
        piece = file.read(length + bounds.MAX_LINE)
        begin = 0 if number == 0 else _line_end(piece, line_end, 0, quotes % 2)
        end = _line_end(
            piece, line_end, begin + length, (quotes + piece[: begin + length].count(b'"')) % 2
        )
        kept.append(piece[begin:end])
        quotes += piece[:end].count(b'"')
        at += end
    return b"".join(kept)


def _line_end(piece: bytes, line_end: bytes, start: int, parity: int) -> int:
    """Return the place after the first end of a row from a place on, or the end of the piece."""
    at = start
    while (place := piece.find(line_end, at)) >= 0:
        parity = (parity + piece.count(b'"', at, place)) % 2
        at = place + 1
        if parity == 0:
            return at
    return len(piece)


def _texts(text: bytes, name: str, dialect: Dialect, *, is_whole: bool) -> Any:
    """Return the cells of a CSV, or of lines of it, as text; an empty one is missing."""
    import pyarrow
    import pyarrow.csv

    if dialect.codec != csv_dialect.CODECS["utf-8"]:
        text = text.decode(dialect.codec).encode()
    text = text.replace(b"\r", b"\n") if dialect.old_mac else text
    # the text has been converted to UTF-8
    columns = csv_detection.header(text[: csv_detection.SAMPLE_BYTES], Dialect(dialect.delimiter))
    places = [place for place, column in enumerate(columns) if column.strip()]
    try:
        table = pyarrow.csv.read_csv(
            pyarrow.py_buffer(text),
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.sign, newlines_in_values=b'"' in text
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pyarrow.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pyarrow.ArrowInvalid:
        # pandas takes rows that end with empty values beyond the header's
        try:
            frame = pd.read_csv(
                io.BytesIO(text),
                sep=dialect.sign,
                dtype="str",
                index_col=False,
                keep_default_na=False,
                na_values=[""],
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            reason = tables.fault_of_csv(error, is_whole=is_whole)
            raise InputError(
                Message("'{name}' cannot be read: {reason}", name=name, reason=reason)
            ) from error
        table = pyarrow.Table.from_pandas(frame.astype("object"), preserve_index=False)
    return pyarrow.table(
        {columns[place]: table.column(place).cast(pyarrow.string()) for place in places}
    )


def _every(total: int, rows: int) -> float:
    """Return the distance between kept rows."""
    return max(total / max(rows, 1), 1.0)


def _spread(table: Any, seen: int, distance: float) -> Any:
    """Return the rows of a part that are kept: those nearest to each multiple of a distance."""
    if distance <= 1:
        return table
    first = int(np.ceil(seen / distance))
    places = np.floor(np.arange(first, (seen + len(table)) / distance) * distance).astype(np.int64)
    return table.take(places[(places >= seen) & (places < seen + len(table))] - seen)


def _frame(
    parts: Iterator[tuple[Any, int]], head: tables.Head, *, is_text: bool
) -> tuple[pd.DataFrame, int, dict[Hashable, Any]]:
    """Return the kept rows, how many there are in all, and `marks` and `unfit` of a CSV."""
    import pyarrow

    kept, total = [], 0
    for table, size in parts:
        kept.append(table)
        total += size
    if not kept:
        return pd.DataFrame(columns=list(head.columns)), 0, {}
    whole = pyarrow.concat_tables(kept)
    if not is_text:
        values = {column: _values(whole.column(column)) for column in head.columns}
        return pd.DataFrame(values, copy=False), total, {}
    cells = {column: _numbers(whole.column(column), head) for column in head.columns}
    frame = pd.DataFrame({column: read.values for column, read in cells.items()}, copy=False)
    marks = {column: read.marks for column, read in cells.items() if read.marks}
    unfit = {column: read.unfit for column, read in cells.items() if read.unfit is not None}
    return frame, total, {"marks": marks, "unfit": unfit}


class _Cells(NamedTuple):
    """A CSV column, the texts that were read as missing, and of texts those that are no numbers."""

    values: pd.Series[Any]
    marks: Mapping[str, int] = {}
    unfit: Mapping[str, Unfit] | None = None


def _values(column: Any) -> pd.Series[Any]:
    import pyarrow

    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        column = column.dictionary_encode()
    values: pd.Series[Any] = column.to_pandas(date_as_object=False)
    return values


def _numbers(column: Any, head: tables.Head) -> _Cells:
    """Return a CSV column as numbers, if it holds nothing else but marks; otherwise as text."""
    import pyarrow
    import pyarrow.compute as compute

    texts = column.combine_chunks()
    few = texts.slice(0, 4 * _FIRST).drop_null()
    first = (few if len(few) >= _FIRST else texts.drop_null()).slice(0, _FIRST).to_pylist()
    # most texts are known by their first values
    if not all(text.strip()[:1] in _NUMERIC or text.strip() in MISSING_MARKS for text in first):
        return _mixed(texts, head)
    plain = plain_numbers(texts, head.dialect or csv_dialect.PLAIN)
    # most numbers have no spaces around them
    for known in (plain, None):
        bare = compute.utf8_trim_whitespace(plain) if known is None else known
        marked = compute.is_in(bare, pyarrow.array(sorted(MISSING_MARKS)))
        bare = compute.if_else(marked, None, bare)
        try:
            numbers = compute.cast(bare, pyarrow.float64())
            break
        except pyarrow.ArrowInvalid:
            continue
    else:
        return _mixed(texts, head)
    with_zero = compute.or_(compute.starts_with(bare, "0"), compute.starts_with(bare, "-0"))
    if compute.any(compute.match_substring_regex(bare.filter(with_zero), _CODE)).as_py():
        return _mixed(texts, head)
    values = numbers.to_numpy(zero_copy_only=False)
    is_whole = (
        not numbers.null_count
        and len(values)
        and bool((values == np.trunc(values)).all() and np.abs(values).max() < 2**53)
    )
    series: pd.Series[Any] = pd.Series(values.astype("int64") if is_whole else values)
    return _Cells(series)


def _mixed(texts: Any, head: tables.Head) -> _Cells:
    """Return texts, or the numbers among them if the others stand for missing values."""
    import pyarrow
    import pyarrow.compute as compute

    coded = texts.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy()
    rows = np.bincount(codes[codes >= 0], minlength=len(coded.dictionary))
    plain = plain_numbers(coded.dictionary, head.dialect or csv_dialect.PLAIN)
    plain = compute.utf8_trim_whitespace(plain)
    is_number = compute.match_substring_regex(plain, _NUMBER)
    is_mark = compute.is_in(
        compute.utf8_trim_whitespace(coded.dictionary), pyarrow.array(sorted(MISSING_MARKS))
    )
    is_other = ~np.asarray(is_number) & ~np.asarray(is_mark)
    levels = coded.dictionary.to_pylist()
    others = {levels[place]: int(rows[place]) for place in np.flatnonzero(is_other)}
    marks = marks_of(others, int(rows[np.asarray(is_number)].sum()))
    numbers = compute.cast(compute.if_else(is_number, plain, None), pyarrow.float64())
    values = np.append(numbers.to_numpy(zero_copy_only=False), np.nan)
    is_code = compute.any(
        compute.match_substring_regex(plain.filter(is_number), _CODE), min_count=0
    ).as_py()
    if marks and not is_code:
        return _Cells(pd.Series(values[codes]), marks)
    fractions = np.flatnonzero(values[:-1] % 1 != 0)
    no_integers = {
        levels[place]: int(rows[place]) for place in fractions if not is_mark[place].as_py()
    }
    unfit = {"number": Unfit.of(others), "integer": Unfit.of(no_integers)}
    return _Cells(coded.to_pandas(), unfit=unfit)


def _keys(frame: pd.DataFrame) -> list[str]:
    """Return the columns of whole numbers or text whose sampled values are all different."""
    keys = [
        column
        for column in frame.columns
        if frame[column].dtype.kind not in "fbM"
        and len(frame) > 1
        and frame[column].notna().all()
        and frame[column].nunique() == len(frame)
    ]
    return sorted(keys, key=lambda column: not names_a_key(column))[:_MOST_KEYS]


def with_proved_id(guesses: Guesses, path: Path, given: Given = NOTHING) -> Guesses:
    """Return the guesses without an id that repeats in the rows that were not read for them.

    Raises
    ------
    InputError
        If a person chose that id, or the file cannot be read.
    """
    column = guesses.id.value
    if not column or guesses.sampled == guesses.rows or is_unique(path, column, given):
        return guesses
    if guesses.choices.id:
        raise InputError(
            Message(
                "'{column}' has repeated or missing values, so it cannot be the "
                "id. Choose another column.",
                column=column,
            )
        )
    return guesses.with_(id="")


def is_unique(path: Path, column: str, given: Given = NOTHING) -> bool:
    """Return whether no value of a column is missing or repeated in the whole file.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    whole = read_some(path, rows=2**62, given=given)
    return bool(whole[column].notna().all() and whole[column].is_unique)


def _repeats_nothing(path: Path, column: str) -> bool:
    import pyarrow.compute as compute
    import pyarrow.parquet

    with bounds.opened(path) as file:
        values = pyarrow.parquet.read_table(bounds.again(file), columns=[column]).column(0)
    return not values.null_count and compute.count_distinct(values).as_py() == len(values)
