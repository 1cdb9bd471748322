"""Reads the rows of a request as MLflow's scoring server does, and names what it must not score.

A request that this cannot read is MLflow's to answer: it knows best what to say of it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
NAMED_ROWS = 5
# What pandas takes for a missing value in a CSV file.
MISSING = frozenset(
    {
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip

Value = float | str | None


class RefusedError(Exception):
    """Rows that would be scored to no purpose; the message names the columns and rows."""


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
    """

    features: list[dict[str, Value]]
    keys: list[str | None] | None


def read(
    body: bytes,
    content_type: str | None,
    inputs: Mapping[str, str],
    *,
    is_complete: bool,
    key: str | None = None,
) -> Rows | None:
    r"""Return the rows of a request to /invocations, None when it is MLflow's to answer.

    Parameters
    ----------
    content_type : str or None
        The request's header.
    inputs : mapping of str to {"number", "text"}
        Columns that the model takes.
    is_complete : bool
        Whether the model refuses missing values.
    key : str, optional
        Column of the natural key, which a request may have beside the inputs.

    Raises
    ------
    RefusedError
        For ragged rows; for columns that are missing or there twice; for missing values where the
        model takes none, values that are not finite, and texts where it takes numbers.

    Examples
    --------
    >>> body = b'{"dataframe_split": {"columns": ["a", "id"], "data": [[1, 7], [2.5, 8]]}}'
    >>> read(body, "application/json", {"a": "number"}, is_complete=True, key="id")
    Rows(features=[{'a': 1.0}, {'a': 2.5}], keys=['7', '8'])
    >>> read(b"a\n1\nx", "text/csv", {"a": "number"}, is_complete=True)
    Traceback (most recent call last):
    core.adapters.contract.RefusedError: Not a number in a (row 1). Rows are counted from 0.
    """
    kind, *parameters = [part.strip() for part in (content_type or "").split(";")]
    names = [part.partition("=") for part in parameters]
    if any(name != "charset" or value.lower() != "utf-8" for name, _, value in names):
        return None
    try:
        if kind == JSON:
            columns = _of_json(body)
        elif kind == CSV:
            columns = _of_csv(body)
        elif kind == PARQUET:
            columns = _of_parquet(body)
        else:
            return None
    except UnreadError:
        return None
    return _settle(columns, inputs, is_complete=is_complete, key=key, is_text=kind == CSV)


Columns = dict[str, Sequence[Any]]


def _of_json(body: bytes) -> Columns:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadError from error
    if not isinstance(asked, dict):
        raise UnreadError
    given = [
        name
        for name in ("dataframe_split", "dataframe_records", "instances", "inputs")
        if name in asked
    ]
    if len(given) != 1:
        raise UnreadError
    found = asked[given[0]]
    if given[0] == "dataframe_split":
        return _of_split(found)
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        return _of_records(found)
    if given[0] == "inputs" and isinstance(found, dict):
        return _of_lists(found)
    raise UnreadError


def _of_split(found: Any) -> Columns:
    if not isinstance(found, dict):
        raise UnreadError
    names, data = found.get("columns"), found.get("data")
    if not isinstance(names, list) or not isinstance(data, list) or not data:
        raise UnreadError
    if not all(isinstance(name, str) for name in names):
        raise UnreadError
    _refuse_doubled(names)
    if not all(isinstance(row, list) for row in data):
        raise UnreadError
    width = len(names)
    ragged = [i for i, row in enumerate(data) if len(row) != width]
    if ragged:
        raise RefusedError(
            f"Each row has {width} value{'s'[: width != 1]}, one for each of the columns; "
            f"{_rows(ragged)} {'has' if len(ragged) == 1 else 'have'} another number. {COUNTED}"
        )
    return dict(zip(names, zip(*data, strict=True), strict=True))


def _of_records(found: list[dict[str, Any]]) -> Columns:
    first = found[0].keys()
    ragged = [i for i, row in enumerate(found) if row.keys() != first]
    if ragged:
        every = dict.fromkeys(name for row in found for name in row)
        partly = [name for name in every if not all(name in row for row in found)]
        raise RefusedError(
            f"Each row needs the same columns; {_rows(ragged)} and row 0 differ in "
            f"{', '.join(partly)}. Send null for a value that is missing. {COUNTED}"
        )
    return {name: [row[name] for row in found] for name in first}


def _of_lists(found: dict[str, Any]) -> Columns:
    if not found or not all(isinstance(values, list) for values in found.values()):
        raise UnreadError
    sizes = {name: len(values) for name, values in found.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        raise RefusedError(f"Each column needs the same number of values, but they have: {told}.")
    if not next(iter(sizes.values())):
        raise UnreadError
    return dict(found)


def _of_csv(body: bytes) -> Columns:
    try:
        text = body.decode("utf-8-sig")
        lines = [line for line in csv.reader(io.StringIO(text)) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadError from error
    if len(lines) < 2:
        raise UnreadError
    names, data = lines[0], lines[1:]
    _refuse_doubled(names)
    ragged = [i for i, row in enumerate(data) if len(row) != len(names)]
    if ragged:
        raise RefusedError(
            f"The first line names {len(names)} column{'s'[: len(names) != 1]}; {_rows(ragged)} "
            f"{'has' if len(ragged) == 1 else 'have'} another number of values. {COUNTED}"
        )
    return {
        name: [None if value in MISSING else value for value in values]
        for name, values in zip(names, zip(*data, strict=True), strict=True)
    }


def _of_parquet(body: bytes) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(body))
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadError from error
    if not table.num_rows:
        raise UnreadError
    _refuse_doubled(table.column_names)
    return dict(zip(table.column_names, columns, strict=True))


COUNTED = "Rows are counted from 0."


def _refuse_doubled(names: Iterable[str]) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise RefusedError(
            f"Columns are there twice: {', '.join(doubled)}. Send each of them once."
        )


def _settle(
    columns: Columns,
    inputs: Mapping[str, str],
    *,
    is_complete: bool,
    key: str | None,
    is_text: bool,
) -> Rows:
    missing = [name for name in inputs if name not in columns]
    if missing:
        raise RefusedError(
            f"Missing columns: {', '.join(missing)}. The model takes {', '.join(inputs)}."
        )
    settled: list[Sequence[Value]] = []
    faults: dict[str, dict[str, list[int]]] = {}
    for name, kind in inputs.items():
        values, bad = _column(columns[name], kind, is_complete=is_complete, is_text=is_text)
        settled.append(values)
        for fault, rows in bad.items():
            faults.setdefault(fault, {})[name] = rows
    if faults:
        told = [
            f"{fault} in {', '.join(f'{name} ({_rows(rows)})' for name, rows in named.items())}."
            for fault, named in faults.items()
        ]
        raise RefusedError(f"{' '.join(told)} {COUNTED}")
    names = list(inputs)
    features = [dict(zip(names, row, strict=True)) for row in zip(*settled, strict=True)]
    keys = None
    if key is not None and key in columns and key not in inputs:
        keys = [_key(value) for value in columns[key]]
    return Rows(features, keys)


def _column(
    values: Sequence[Any], kind: str, *, is_complete: bool, is_text: bool
) -> tuple[Sequence[Value], dict[str, list[int]]]:
    """Return a column's values as the log keeps them, and the rows of each fault."""
    if kind == "number" and all(type(value) in (int, float) for value in values):
        # nearly always
        try:
            found = [float(value) for value in values]
        except OverflowError:
            pass
        else:
            if all(map(math.isfinite, found)):
                return found, {}
    settled: list[Value] = []
    bad: dict[str, list[int]] = {}
    for i, value in enumerate(values):
        taken, fault = _cell(value, kind, is_text=is_text)
        if taken is None and fault is None and is_complete:
            fault = "Missing values"
        if fault is not None:
            bad.setdefault(fault, []).append(i)
        settled.append(taken)
    return settled, bad


def _cell(value: Any, kind: str, *, is_text: bool) -> tuple[Value, str | None]:
    if value is None:
        return None, None
    if isinstance(value, float) and math.isnan(value):
        return None, None
    if kind == "text":
        return (value, None) if isinstance(value, str) else (None, "Not a text")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None, "Not a number"
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None, "Not a number"
    if math.isnan(number) and is_text:
        return None, None
    if not math.isfinite(number):
        return None, "Infinite values" if math.isinf(number) else "Not a number"
    return number, None


def _key(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    # a column of whole numbers with a missing one is read as floats
    whole = isinstance(value, float) and value.is_integer()
    return (f"{value:.0f}" if whole else str(value))[:80]


def _rows(rows: list[int]) -> str:
    """Return the numbers of rows in words.

    Examples
    --------
    >>> _rows([3]), _rows([0, 2]), _rows(list(range(9)))
    ('row 3', 'rows 0, 2', 'rows 0, 1, 2, 3, 4 and 4 more')
    """
    if len(rows) == 1:
        return f"row {rows[0]}"
    some = ", ".join(str(row) for row in rows[:NAMED_ROWS])
    more = f" and {len(rows) - NAMED_ROWS:,} more" if len(rows) > NAMED_ROWS else ""
    return f"rows {some}{more}"
