"""Reads the rows of a request by the row contract, whichever of MLflow's formats they come in.

What the model is asked is what was read here: MLflow's own readers differ from format to format. A
request that is none of these formats is MLflow's to answer: it knows best what to say of it.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.platform import rows
from core.platform.rows import Fault, Rule, arrow

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
# what a parquet file begins with
PARQUET_MARK = b"PAR1"
# Rows from which on a request that is written anew is parquet, which MLflow reads faster.
MANY_ROWS = 500
Value = float | str | None


class RefusedError(Exception):
    """Rows that break the contract; the message is the sentence of each fault."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(" ".join(rows.sentence(fault) for fault in faults))
        self.faults = faults


class UnreadError(Exception):
    """The request has no rows that this knows how to read."""


@dataclass(frozen=True)
class Rows:
    """What a request asks about.

    Parameters
    ----------
    features : list of dict
        The model's inputs of each row, in its order: numbers, texts or None.
    keys : list of str or None
        The natural key of each row; None when the request has none.
    asked : tuple of (bytes, str) or None
        What the model is to be asked instead, and its content type; None where the request may go
        on as it stands, since MLflow reads the same in it.
    """

    features: list[dict[str, Value]]
    keys: list[str | None] | None
    asked: tuple[bytes, str] | None = None


def read(
    body: bytes,
    content_type: str | None,
    inputs: Iterable[str],
    rules: Mapping[str, Rule],
    *,
    is_complete: bool,
    key: str | None = None,
) -> Rows | None:
    r"""Return the rows of a request to /invocations, None when it is MLflow's to answer.

    Parameters
    ----------
    content_type : str or None
        The request's header.
    inputs : iterable of str
        Columns that the model takes.
    rules : mapping of str to Rule
        Of each input, and of the key where it is known.
    is_complete : bool
        Whether the model refuses missing values.
    key : str, optional
        Column of the natural key, which a request may have beside the inputs.

    Raises
    ------
    RefusedError
        For ragged rows; for columns that are missing or there twice; for values that break their
        rule, or are missing where the model takes none.

    Examples
    --------
    >>> body = b'{"dataframe_split": {"columns": ["a", "id"], "data": [[1, 7], [2.5, 8]]}}'
    >>> rows = read(body, "application/json", ["a"], {"a": Rule()}, is_complete=True, key="id")
    >>> rows.features, rows.keys
    ([{'a': 1.0}, {'a': 2.5}], ['7', '8'])
    >>> read(b"a\n1\nx", "text/csv", ["a"], {"a": Rule()}, is_complete=True)
    Traceback (most recent call last):
    core.serving.contract.RefusedError: Column 'a' must be a number: not so in 1 row ('x'), row 2.
    """
    kind, *parameters = [part.strip() for part in (content_type or "").split(";")]
    names = [part.partition("=") for part in parameters]
    if any(name != "charset" or value.lower() != "utf-8" for name, _, value in names):
        return None
    try:
        if kind == JSON:
            columns, is_plain = _of_json(body)
        elif kind == CSV:
            # MLflow's reader takes the country NA for a missing value
            columns, is_plain = _of_csv(body), False
        elif kind == PARQUET:
            columns, is_plain = _of_parquet(body, [*inputs, *([key] if key else [])]), True
        else:
            return None
    except UnreadError:
        return None
    return _settle(
        columns, list(inputs), rules, is_complete=is_complete, key=key, is_plain=is_plain
    )


# a list of cells, or a Series of a parquet file
Columns = dict[str, Any]


def _of_json(body: bytes) -> tuple[Columns, bool]:
    """Return the columns, and whether MLflow reads the same rows in this request."""
    try:
        asked = json.loads(body)
    except UnicodeDecodeError as error:
        raise UnreadError from error
    except json.JSONDecodeError as error:
        raise UnreadError from error
    except (ValueError, RecursionError) as error:
        # a number of thousands of digits, or brackets within thousands of brackets
        raise RefusedError(Fault("unread")) from error
    if not isinstance(asked, dict):
        raise UnreadError
    given = [
        name
        for name in ("dataframe_split", "dataframe_records", "instances", "inputs")
        if name in asked
    ]
    if len(given) != 1:
        raise UnreadError
    is_plain = len(asked) == 1
    content = asked[given[0]]
    if given[0] == "dataframe_split":
        # an index would only name the rows, or make more of them
        return _of_split(content), is_plain and len(content) == 2
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return _of_records(content), is_plain
    if given[0] == "inputs" and isinstance(content, dict):
        return _of_lists(content), is_plain
    raise UnreadError


def _of_split(split: Any) -> Columns:
    if not isinstance(split, dict):
        raise UnreadError
    names, data = split.get("columns"), split.get("data")
    if not isinstance(names, list) or not isinstance(data, list) or not data:
        raise UnreadError
    if not all(isinstance(name, str) for name in names):
        raise UnreadError
    _refuse_repeated(names)
    if not all(isinstance(row, list) for row in data):
        raise UnreadError
    width = len(names)
    ragged = [i for i, row in enumerate(data) if len(row) != width]
    if ragged:
        raise RefusedError(Fault("ragged_rows", "", np.array(ragged), {"width": width}))
    return dict(zip(names, zip(*data, strict=True), strict=True))


def _of_records(records: list[dict[str, Any]]) -> Columns:
    every = dict.fromkeys(name for row in records for name in row)
    partly = [i for i, row in enumerate(records) if len(row) != len(every)]
    if partly:
        names = [name for name in every if not all(name in row for row in records)]
        raise RefusedError(Fault("different_columns", "", np.array(partly), {"columns": names}))
    return {name: [row[name] for row in records] for name in every}


def _of_lists(lists: dict[str, Any]) -> Columns:
    if not lists:
        raise UnreadError
    if not any(isinstance(values, list) for values in lists.values()):
        # a value of each column is a row
        lists = {name: [value] for name, value in lists.items()}
    if not all(isinstance(values, list) for values in lists.values()):
        raise RefusedError(Fault("shape"))
    sizes = {name: len(values) for name, values in lists.items()}
    if len(set(sizes.values())) > 1:
        raise RefusedError(Fault("unequal_columns", params={"sizes": sizes}))
    if not next(iter(sizes.values())):
        raise UnreadError
    return dict(lists)


def _of_csv(body: bytes) -> Columns:
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text)) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadError from error
    if len(lines) < 2:
        raise UnreadError
    names, data = lines[0], lines[1:]
    _refuse_repeated(names)
    ragged = [i for i, row in enumerate(data) if len(row) != len(names)]
    if ragged:
        raise RefusedError(Fault("ragged_rows", "", np.array(ragged), {"width": len(names)}))
    return dict(zip(names, zip(*data, strict=True), strict=True))


def _of_parquet(body: bytes, wanted: Sequence[str]) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(body))
        _refuse_repeated(table.column_names)
        columns: Columns = {
            # of the others only their names matter
            name: arrow.series(table.column(name), name, is_text=True) if name in wanted else []
            for name in table.column_names
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadError from error
    if not table.num_rows:
        raise UnreadError
    return columns


def _refuse_repeated(names: Iterable[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise RefusedError(Fault("repeated_columns", params={"columns": repeated}))


def _settle(
    columns: Columns,
    inputs: list[str],
    rules: Mapping[str, Rule],
    *,
    is_complete: bool,
    key: str | None,
    is_plain: bool,
) -> Rows:
    if absent := [name for name in inputs if name not in columns]:
        raise RefusedError(Fault("absent_columns", params={"absent": absent, "wanted": inputs}))
    settled: list[Sequence[Value]] = []
    faults: list[Fault] = []
    # columns that are none of the inputs are not the model's business
    is_plain = is_plain and len(columns) == len(inputs)
    for name in inputs:
        values, column_faults, is_same = _column(
            columns[name], name, rules[name], is_complete=is_complete
        )
        settled.append(values)
        faults += column_faults
        is_plain = is_plain and is_same
    keys = None
    if key is not None and key in columns and key not in inputs:
        rule = rules.get(key, Rule("text"))
        given = columns[key]
        if not rule.is_text:
            faults += rows.read(_as_series(given, key), rule).faults
        keys = [rows.key_text(value, rule.type) for value in given]
    if faults:
        raise RefusedError(*faults)
    features = [dict(zip(inputs, row, strict=True)) for row in zip(*settled, strict=True)]
    asked = None if is_plain else _asked(inputs, settled, rules)
    return Rows(features, keys, asked)


def _column(
    values: Any, name: str, rule: Rule, *, is_complete: bool
) -> tuple[Sequence[Value], list[Fault], bool]:
    """Return a column's values as the log keeps them, its faults, and whether nothing changed."""
    is_list = not isinstance(values, pd.Series)
    cells = rows.clean_cells(values, rule) if is_list else None
    if cells is not None:
        # nearly always
        return cells, [], rule.type != "date"
    given = _as_series(values, name)
    read, faults = rows.read(given, rule)
    empty = rows.missing(read, faults, name) if is_complete else None
    column_faults = [*faults, *([empty] if empty else [])]
    is_same = not is_list and rule.type != "date" and given.dtype == ("O" if rule.is_text else "f8")
    if rule.is_text:
        is_text = is_same and pd.api.types.infer_dtype(given, skipna=True) in ("string", "empty")
        return read.where(read.notna(), None).tolist(), column_faults, is_text
    numbers: Sequence[Value] = read.astype("float64").tolist()
    if read.isna().any():
        numbers = [None if number != number else number for number in numbers]
    return numbers, column_faults, is_same


def _as_series(values: Any, name: str) -> pd.Series[Any]:
    if isinstance(values, pd.Series):
        return values
    cells = np.empty(len(values), dtype="object")
    # cells may be lists
    for i, value in enumerate(values):
        cells[i] = value
    try:
        return pd.Series(cells, name=name)
    except OverflowError:  # pandas tries to make floats of whole numbers, however large
        return pd.Series(cells, name=name, dtype="object")


def _asked(
    inputs: list[str], settled: list[Sequence[Value]], rules: Mapping[str, Rule]
) -> tuple[bytes, str]:
    """Return the rows as they were read, in a request that MLflow cannot read otherwise."""
    if len(settled[0]) <= MANY_ROWS:
        split = {"columns": inputs, "data": list(zip(*settled, strict=True))}
        return json.dumps({"dataframe_split": split}).encode(), JSON
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [pa.string() if rules[name].is_text else pa.float64() for name in inputs]
    arrays = [pa.array(values, kind) for values, kind in zip(settled, kinds, strict=True)]
    sink = pa.BufferOutputStream()
    # it goes no further than this machine
    pq.write_table(
        pa.Table.from_arrays(arrays, names=inputs),
        sink,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
    )
    return sink.getvalue().to_pybytes(), PARQUET
