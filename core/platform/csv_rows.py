"""The rows of a CSV file whose head is known, in parts, so that a million rows stay small."""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform import bounds
from core.platform.csv_detection import SAMPLE_BYTES, header
from core.platform.csv_dialect import Dialect
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.rows import EXACT_LIMIT, MISSING_MARKS
from core.platform.rows.values import BOOLEANS

# bytes at a time for Arrow; more than the longest line
_BLOCK = 16 << 20
# a column with so large a share of different texts is not searched for equal ones
_DIFFERENT = 0.5
# number of rows that show which columns are floats
_FIRST_ROWS = 100
_FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def read(
    path: Path,
    name: str,
    dialect: Dialect,
    columns: Sequence[str],
    rows: int,
    *,
    texts: Sequence[str],
    kept: Sequence[str],
    is_bare: bool = False,
) -> pd.DataFrame:
    """Return the columns in `kept`; the others are parsed, to detect rows that are too long.

    The values are those that pandas reads at once, whatever parts they are read in. Arrow is four
    times as fast; it reads what it and pandas certainly read alike.

    Parameters
    ----------
    columns : sequence of str
        All columns of the file.
    rows : int
        An upper bound of its rows.
    texts : sequence of str
        Columns that are read literally.
    is_bare : bool
        See `tables.Head`.

    Raises
    ------
    InputError
        For rows with more values than the file has columns, and texts that take too much memory.
    EmptyDataError, ParserError, ValueError
        As pandas does.
    """
    given: dict[str, Any] = {
        **as_written(dialect),
        "low_memory": False,
        "dtype": dict.fromkeys(texts, "object"),
        # "None" and "NA" can be names; in a text column only an empty cell is missing
        "keep_default_na": False,
        "na_values": {
            heading: [""] if heading in texts else list(MISSING_MARKS) for heading in columns
        },
        # the nearest float, as in all other readers
        "float_precision": "round_trip",
    }
    with bounds.opened(path, name) as opened:
        file = with_new_lines(opened, dialect)
        grown = _Grown(name, rows, texts, kept)
        floats = _floats(file, dialect) - {*texts} if is_bare else frozenset()
        is_read = is_bare and _by_arrow(file, grown, columns, dialect, floats)
        if floats and grown.is_other_type:
            # a column of numbers has a text further down
            file.seek(0)
            grown = _Grown(name, rows, texts, kept)
            is_read = _by_arrow(file, grown, columns, dialect, frozenset())
        if not is_read:
            # in parts pandas would drop what is too much in the first row of each
            bounds.check_at_once(name, rows * len(columns))
        file.seek(0)
        return grown.frame(file, given) if is_read else _at_once(file, name, given, kept)


def with_new_lines(file: IO[bytes], dialect: Dialect) -> IO[bytes]:
    """Return the file for pandas, which fails on a space after a bare carriage return."""
    return io.BytesIO(file.read().replace(b"\r", b"\n")) if dialect.old_mac else file


def as_written(dialect: Dialect) -> dict[str, Any]:
    """Return the arguments of pandas' reader for a dialect."""
    return {"encoding": dialect.codec, "sep": dialect.sign, "decimal": dialect.point}


def _at_once(
    file: IO[bytes], name: str, given: dict[str, Any], kept: Sequence[str]
) -> pd.DataFrame:
    frame: pd.DataFrame = pd.read_csv(file, **given)
    if isinstance(frame.index, pd.RangeIndex):
        return frame[list(kept)]
    # rows longer than the header: pandas took their first values as an index and so shifted all
    # values to other columns; only empty ones at the end, from a trailing comma, can be left
    # out
    if frame.iloc[:, -frame.index.nlevels :].notna().any(axis=None):
        raise InputError(
            Message("'{name}' has rows with more values than it has columns.", name=name)
        )
    del frame
    file.seek(0)
    with warnings.catch_warnings():
        # leaving them out is intended
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        shorter: pd.DataFrame = pd.read_csv(file, **given, index_col=False)
    return shorter[list(kept)]


def _floats(file: IO[bytes], dialect: Dialect) -> frozenset[str]:
    """Return columns of floats by their first rows: Arrow converts them while it reads.

    In one of them at least one value is a float to pandas, and so all others are, if they are
    numbers. None in a file with blanks around values, which Arrow would strip.
    """
    lines = file.read(SAMPLE_BYTES).decode(errors="replace").splitlines()[: _FIRST_ROWS + 2]
    file.seek(0)
    # the last one may be cut
    rows = [line.split(dialect.sign) for line in lines[:-1]]
    if len(rows) < 2 or {len(row) for row in rows} != {len(rows[0])} or _has_blanks(file, dialect):
        return frozenset()
    return frozenset(name for name, *cells in zip(*rows, strict=True) if _are_floats(cells))


def _are_floats(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if cell not in MISSING_MARKS]
    return any("." in cell for cell in known) and all(map(_FLOAT.fullmatch, known))


def _has_blanks(file: IO[bytes], dialect: Dialect) -> bool:
    """Return whether a value begins or ends with a blank."""
    ends = np.zeros(256, dtype=bool)
    ends[[ord("\n"), ord("\r"), ord(dialect.sign)]] = True
    last, is_blank = b"\n", False
    while not is_blank and (block := file.read(SAMPLE_BYTES)):
        cells = np.frombuffer(last + block, dtype=np.uint8)
        blanks = np.flatnonzero((cells == ord(" ")) | (cells == ord("\t")))
        after = cells[np.minimum(blanks + 1, len(cells) - 1)]
        is_blank = bool(ends[cells[blanks - 1]].any() or ends[after].any())
        last = block[-1:]
    file.seek(0)
    return is_blank or last in (b" ", b"\t")


def _by_arrow(
    file: IO[bytes], grown: _Grown, columns: Sequence[str], dialect: Dialect, floats: frozenset[str]
) -> bool:
    """Read the rows; return False for what pandas may read otherwise, or refuse."""
    import pyarrow
    import pyarrow.csv

    plain = Dialect(dialect.delimiter)
    if dialect != plain or len(columns) < 2:
        return False
    first = file.read(SAMPLE_BYTES)
    file.seek(0)
    names = header(first, plain)
    if first[:1].isspace() or [name for name in names if name.strip()] != [*columns]:
        return False
    try:
        with pyarrow.csv.open_csv(
            file,
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK),
            parse_options=pyarrow.csv.ParseOptions(delimiter=dialect.sign, quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={
                    name: pyarrow.float64() if name in floats else pyarrow.string()
                    for name in names
                },
                null_values=sorted(MISSING_MARKS),
                strings_can_be_null=False,
            ),
        ) as batches:
            if batches.schema.names != [*names]:
                return False
            places = {name: place for place, name in enumerate(names)}
            for batch in batches:
                cells = {name: batch.column(places[name]) for name in grown.columns}
                grown.append(
                    {
                        name: _of_floats(values)
                        if name in floats
                        else _literal(values)
                        if name in grown.texts
                        else _as_pandas(values)
                        for name, values in cells.items()
                    },
                    len(batch),
                )
    except pyarrow.ArrowException as error:
        grown.is_other_type = "conversion error" in str(error)
        return False
    # of a file without rows the types are pandas'
    return grown.rows > 0


class _Texts(NamedTuple):
    """A column of texts: the different ones, and the place of each row's; -1 if it is missing."""

    codes: npt.NDArray[np.int32]
    cells: list[str]

    def of(self, cells: Sequence[str]) -> npt.NDArray[Any]:
        """Return the rows with these texts instead of their own."""
        objects: npt.NDArray[Any] = np.array([*cells, np.nan], dtype="object")[self.codes]
        return objects


def _literal(texts: Any) -> _Texts:
    """Return texts, in which only an empty cell is missing."""
    import pyarrow.compute as compute

    return _coded(compute.if_else(compute.equal(texts, ""), None, texts))


def _coded(texts: Any) -> _Texts:
    coded = texts.dictionary_encode()
    return _Texts(coded.indices.fill_null(-1).to_numpy(), coded.dictionary.to_pylist())


def _as_pandas(texts: Any) -> npt.NDArray[Any] | _Texts | None:
    """Return the values of a column as pandas infers them; None if that is not certain."""
    import pyarrow
    import pyarrow.compute as compute

    marked = compute.is_in(texts, _marks())
    known = compute.if_else(marked, None, texts)
    try:
        floats = compute.cast(known, pyarrow.float64())
    except pyarrow.ArrowInvalid:
        coded = _coded(known)
        return coded if any(map(_is_word, coded.cells)) else None
    numbers = _of_floats(floats)
    if numbers is None:
        return None
    if not floats.null_count and (numbers % 1 == 0).all():
        try:
            whole: npt.NDArray[np.int64] = compute.cast(known, pyarrow.int64()).to_numpy()
            return whole
        except pyarrow.ArrowInvalid:
            pass  # 1.0 is no integer
    return numbers


@lru_cache
def _marks() -> Any:
    import pyarrow

    return pyarrow.array(sorted(MISSING_MARKS))


def _of_floats(floats: Any) -> npt.NDArray[np.float64] | None:
    """Return numbers; None if pandas may read their texts otherwise."""
    numbers: npt.NDArray[np.float64] = floats.to_numpy(zero_copy_only=False)
    present = numbers if not floats.null_count else numbers[~np.isnan(numbers)]
    # pandas handles infinity, other spellings of missing, and very long integers in its own way
    is_certain = len(present) == len(numbers) - floats.null_count and (
        not len(present) or (present.min() > -EXACT_LIMIT and present.max() < EXACT_LIMIT)
    )
    return numbers if is_certain else None


def _is_word(text: object) -> bool:
    """Return whether a text is certainly neither a number nor a truth value to pandas."""
    return (
        isinstance(text, str)
        and text[0].isalpha()
        and text[0] not in "iInN"
        and text not in BOOLEANS
    )


class _Grown:
    """The columns of a file that is read in parts.

    Attributes
    ----------
    is_other_type : bool
        Whether reading ended at a value that is not of the type of its column.
    """

    def __init__(self, name: str, rows: int, texts: Sequence[str], kept: Sequence[str]) -> None:
        self.name, self.texts = name, {*texts}
        self.columns = {column: _Growing(rows, is_text=column in self.texts) for column in kept}
        self.rows = 0
        self.is_other_type = False

    def append(self, part: Mapping[str, npt.NDArray[Any] | _Texts | None], rows: int) -> None:
        """Add the values of the next rows; None for those that have to be read again."""
        for column, values in self.columns.items():
            values.append(part[column])
        self.rows += rows
        held = sum(values.held for values in self.columns.values())
        bounds.check_held(self.name, 8 * self.rows * len(self.columns) + held)

    def frame(self, file: IO[bytes], given: dict[str, Any]) -> pd.DataFrame:
        """Return the rows, with what has to be read again at once."""
        mixed = [column for column, values in self.columns.items() if values.is_mixed]
        again = {}
        if mixed:
            of_mixed = {
                key: {column: given[key][column] for column in mixed if column in given[key]}
                for key in ("dtype", "na_values")
            }
            again = dict(pd.read_csv(file, **{**given, **of_mixed}, usecols=mixed).items())
        columns = {
            column: again[column].to_numpy() if column in again else values.values
            for column, values in self.columns.items()
        }
        return pd.DataFrame(columns, index=pd.RangeIndex(self.rows), copy=False)


class _Growing:
    """A column that is read in parts.

    Attributes
    ----------
    held : int
        Bytes of its texts.
    is_mixed : bool
        Whether its parts are of kinds that pandas reads otherwise if it reads them at once: numbers
        beside texts are texts then.
    """

    def __init__(self, rows: int, *, is_text: bool) -> None:
        self._rows, self._is_text = rows, is_text
        self._kinds: set[str] = set()
        self._filled: npt.NDArray[Any] | None = None
        self._size = self.held = 0
        self._known: dict[Any, Any] | None = {}
        self.is_mixed = False

    @property
    def values(self) -> npt.NDArray[Any]:
        """The values of all parts."""
        return np.empty(0) if self._filled is None else self._filled[: self._size]

    def append(self, part: npt.NDArray[Any] | _Texts | None) -> None:
        """Add the values of the next part; None if they have to be read again."""
        if self.is_mixed or part is None:
            self._leave()
            return
        self._kinds |= {self._kind(part)} - {"empty"}
        is_text = isinstance(part, _Texts)
        values = self._shared(part) if isinstance(part, _Texts) else part
        if self._filled is None:
            # untouched memory takes no place
            self._filled = np.empty(max(self._rows, len(values)), values.dtype)
        elif self._filled.dtype != values.dtype:
            dtype = self._common(values.dtype)
            if dtype is None:
                self._leave()
                return
            wider = np.empty(len(self._filled), dtype)
            wider[: self._size] = self._filled[: self._size]
            self._filled = wider
        if is_text and len(self._kinds) > 1:
            self._leave()
            return
        end = self._size + len(values)
        self._filled[self._size : end] = values
        self._size = end

    def _leave(self) -> None:
        self.is_mixed, self._filled, self._known, self.held = True, None, None, 0

    def _kind(self, part: npt.NDArray[Any] | _Texts) -> str:
        if self._is_text or isinstance(part, _Texts):
            return "string"
        if part.dtype.kind == "f" and np.isnan(part).all():
            return "empty"
        return str(pd.api.types.infer_dtype(part, skipna=True))

    def _common(self, other: np.dtype[Any]) -> np.dtype[Any] | None:
        """Return the type that the whole column has; None if its values have to be read again."""
        assert self._filled is not None
        letters = {self._filled.dtype.kind, other.kind}
        if letters == {"i", "f"} and self._kinds <= {"integer", "floating"}:
            return np.dtype("float64")
        if letters <= {"O", "b", "f"} and self._kinds in ({"boolean"}, {"string"}):
            return np.dtype("object")
        return None

    def _shared(self, part: _Texts) -> npt.NDArray[Any]:
        """Return the part with equal texts replaced by those of earlier parts."""
        if self._known is None:
            texts = part.of(part.cells)
            self.held += sum(map(sys.getsizeof, texts))
            return texts
        before = len(self._known)
        same = [self._known.setdefault(cell, cell) for cell in part.cells]
        self.held += sum(map(sys.getsizeof, list(self._known)[before:]))
        if len(self._known) > _DIFFERENT * (self._size + len(part.codes)):
            self._known = None
        return part.of(same)
