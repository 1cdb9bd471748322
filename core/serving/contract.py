"""Parsing and validation of request rows, in any of MLflow's formats.

The model gets the rows as parsed here: MLflow's own parsers differ between formats. A request in
none of these formats is left to MLflow, whose error message is the most precise.
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
from core.predictions_log.log_writer import Columns as LoggedRows

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
# magic bytes at the start of a parquet file
PARQUET_MARK = b"PAR1"
Value = float | str | None


class RefusedError(Exception):
    """Rows that break the contract; the message has a sentence per fault."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(" ".join(rows.sentence(fault) for fault in faults))
        self.faults = faults


class UnreadError(Exception):
    """The request has no rows in a supported format."""


@dataclass(frozen=True)
class Rows:
    """The parsed rows of a request.

    Parameters
    ----------
    features : sequence of dict
        The model's inputs of each row, in its order: numbers, texts or None.
    keys : list of str or None
        The natural key of each row; None when the request has none.
    rules : mapping of str to Rule
        For each input.
    is_plain : bool
        Whether MLflow parses the request to the same rows.
    """

    features: LoggedRows
    keys: list[str | None] | None
    rules: Mapping[str, Rule]
    is_plain: bool = False

    def frame(self) -> pd.DataFrame:
        """Return the rows as the model takes them."""
        columns = zip(self.features.names, self.features.values, strict=True)
        return pd.DataFrame(
            {
                name: np.array(values, dtype="object" if self.rules[name].is_text else "float64")
                for name, values in columns
            },
            copy=False,
        )

    def rewritten(self) -> tuple[bytes, str] | None:
        """Return the rows as a body that MLflow cannot misread, with its content type.

        None if the original can be passed on.
        """
        if self.is_plain:
            return None
        data = list(zip(*self.features.values, strict=True))
        split = {"columns": list(self.features.names), "data": data}
        return json.dumps({"dataframe_split": split}).encode(), JSON


def read(
    body: bytes,
    content_type: str | None,
    inputs: Iterable[str],
    rules: Mapping[str, Rule],
    *,
    is_complete: bool,
    key: str | None = None,
) -> Rows | None:
    r"""Return the rows of a request to /invocations, None when it is left to MLflow.

    Parameters
    ----------
    content_type : str or None
        The request's header.
    rules : mapping of str to Rule
        For each input, and for the key if known.
    is_complete : bool
        Whether the model refuses missing values.
    key : str, optional
        Column of the natural key, optional in a request.

    Raises
    ------
    RefusedError
        For ragged rows; for missing or repeated columns; for values that break their rule or are
        missing where the model needs them.

    Examples
    --------
    >>> body = b'{"dataframe_split": {"columns": ["a", "id"], "data": [[1, 7], [2.5, 8]]}}'
    >>> rows = read(body, "application/json", ["a"], {"a": Rule()}, is_complete=True, key="id")
    >>> list(rows.features), rows.keys
    ([{'a': 1.0}, {'a': 2.5}], ['7', '8'])
    >>> read(b"a\n1\nx", "text/csv", ["a"], {"a": Rule()}, is_complete=True)
    Traceback (most recent call last):
    core.serving.contract.RefusedError: Column 'a' must be a number: violated in 1 row ('x'), row 2.
    """
    kind, *parameters = [part.strip() for part in (content_type or "").split(";")]
    names = [part.partition("=") for part in parameters]
    if any(name != "charset" or value.lower() != "utf-8" for name, _, value in names):
        return None
    try:
        if kind == JSON:
            columns, is_plain = _of_json(body)
        elif kind == CSV:
            # MLflow's reader takes the country code NA for a missing value
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


# a list of cells, or a Series from a parquet file
Columns = dict[str, Any]


def _of_json(body: bytes) -> tuple[Columns, bool]:
    """Return the columns, and whether MLflow parses the request to the same rows."""
    try:
        parsed = json.loads(body)
    except UnicodeDecodeError as error:
        raise UnreadError from error
    except json.JSONDecodeError as error:
        raise UnreadError from error
    except (ValueError, RecursionError) as error:
        # a number with thousands of digits, or brackets nested thousands deep
        raise RefusedError(Fault("unread")) from error
    if not isinstance(parsed, dict):
        raise UnreadError
    formats = [
        name
        for name in ("dataframe_split", "dataframe_records", "instances", "inputs")
        if name in parsed
    ]
    if len(formats) != 1:
        raise UnreadError
    is_plain = len(parsed) == 1
    content = parsed[formats[0]]
    if formats[0] == "dataframe_split":
        # an index would only name the rows, or add to them
        return _of_split(content), is_plain and len(content) == 2
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return _of_records(content), is_plain
    if formats[0] == "inputs" and isinstance(content, dict):
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
        raise RefusedError(Fault("different_columns", "", np.array(partly), {"width": len(every)}))
    return {name: [row[name] for row in records] for name in every}


def _of_lists(lists: dict[str, Any]) -> Columns:
    if not lists:
        raise UnreadError
    if not any(isinstance(values, list) for values in lists.values()):
        # one value per column is a single row
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
            # of other columns only the names matter
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
    # extra columns are not passed to the model
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
        key_values = columns[key]
        if not rule.is_text:
            faults += rows.read(_as_series(key_values, key), rule).faults
        keys = [rows.key_text(value, rule.type) for value in key_values]
    if faults:
        raise RefusedError(*faults)
    return Rows(LoggedRows(tuple(inputs), tuple(settled)), keys, rules, is_plain)


def _column(
    values: Any, name: str, rule: Rule, *, is_complete: bool
) -> tuple[Sequence[Value], list[Fault], bool]:
    """Return a column's values as logged, its faults, and whether they are unchanged."""
    is_list = not isinstance(values, pd.Series)
    cells = rows.clean_cells(values, rule) if is_list else None
    if cells is not None:
        # the usual case
        return cells, [], rule.type != "date"
    series = _as_series(values, name)
    read, faults = rows.read(series, rule)
    empty = rows.missing(read, faults, name) if is_complete else None
    column_faults = [*faults, *([empty] if empty else [])]
    is_same = (
        not is_list and rule.type != "date" and series.dtype == ("O" if rule.is_text else "f8")
    )
    if rule.is_text:
        is_text = is_same and pd.api.types.infer_dtype(series, skipna=True) in ("string", "empty")
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
    except OverflowError:  # pandas tries to convert integers of any size to floats
        return pd.Series(cells, name=name, dtype="object")
