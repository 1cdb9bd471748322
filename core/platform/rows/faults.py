"""Faults of rows: code, column, rows and parameters, and the only place that words them.

Copied into every registered model, so it imports nothing of core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

# The largest magnitude of a number. Trees work in float32, whose maximum 3.4e38 is also the no-data
# value of many programs; fourth powers (variances of squares) summed over 1e9 rows stay far below
# the maximum of float64, 1.8e308.
LARGEST = 1e38
# From here on, a float may represent several integers.
EXACT_LIMIT = 2**53
# Range of a pandas timestamp, in whole years: 1677-09-21 to 2262-04-11.
FIRST_YEAR, LAST_YEAR = 1678, 2261


@dataclass(frozen=True)
class Fault:
    """Values of one column that violate the contract for one reason; or a fault of whole rows.

    Parameters
    ----------
    code : str
        For values: type, magnitude, digits, range, category, pattern, spreadsheet_formula,
        unreadable, years or missing; see `sentence` for those of whole rows.
    rows : array of int
        Their positions, from 0.
    params : mapping
        Parameters of the sentence.
    examples : tuple of str
        Some of the values, formatted for display.
    """

    code: str
    column: str = ""
    rows: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), compare=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[str, ...] = ()


def sentence(fault: Fault) -> str:
    """Return the fault in words, for people.

    Examples
    --------
    >>> sentence(Fault("range", "lat", np.array([4]), {"min": 32.0, "max": 35.0}, ("1e+30",)))
    "Column 'lat' must lie in 32..35: not so in 1 row (1e+30), row 5."
    >>> sentence(Fault("missing", "lat", np.array([0, 2])))
    "Column 'lat' must not be missing: 2 rows are empty, first row 1."
    """
    name, rows = fault.column, len(fault.rows)
    if fault.code in _WHOLE_ROWS:
        return _WHOLE_ROWS[fault.code](fault)
    where = _where(fault.rows)
    few = ", ".join(fault.examples)
    if fault.code == "missing":
        verb = "is" if rows == 1 else "are"
        return f"Column '{name}' must not be missing: {_rows(rows)} {verb} empty, {where}."
    if fault.code == "spreadsheet_formula":
        return (
            f"Column '{name}' has cells that a spreadsheet would run as a formula, in "
            f"{_rows(rows)} ({few}), {where}. Take them out."
        )
    rule = reason(fault)
    return f"Column '{name}' {rule}: not so in {_rows(rows)} ({few}), {where}."


def reason(fault: Fault) -> str:
    """Return the violated requirement, without the column.

    Examples
    --------
    >>> reason(Fault("type", "lat", params={"type": "number"}))
    'must be a number'
    """
    given = fault.params
    if fault.code == "type" and given.get("words"):
        return f"must be one of {_quoted(given['words'])} or empty"
    if fault.code == "type":
        return f"must be {_WANTED[given['type']]}"
    if fault.code == "magnitude":
        return f"must be a number from -{LARGEST:g} to {LARGEST:g}"
    if fault.code == "digits":
        return f"must be a whole number below {EXACT_LIMIT:,}, to keep all its digits"
    if fault.code == "range":
        low, high = ("" if end is None else f"{end:.10g}" for end in (given["min"], given["max"]))
        return f"must lie in {low}..{high}"
    if fault.code == "category":
        return f"must be one of {_quoted(given['categories'])}"
    if fault.code == "pattern":
        return f"must look like {given['pattern']}"
    if fault.code == "years":
        return f"must lie in the years {FIRST_YEAR} to {LAST_YEAR}"
    if fault.code == "unreadable":
        return "must be text without broken characters"
    if fault.code == "spreadsheet_formula":
        return "would be run as a formula by a spreadsheet"
    return "must not be missing"


_WANTED = {
    "number": "a number",
    "integer": "a whole number",
    "label": "0, 1 or empty",
    "text": "text",
    "date": "a day like 2000-10-31, or a time like 2000-10-31T19:30:00",
}


def _absent(fault: Fault) -> str:
    absent, wanted = (", ".join(fault.params[name]) for name in ("absent", "wanted"))
    return f"Missing columns: {absent}. The model takes {wanted}."


def _ragged(fault: Fault) -> str:
    width, verb = fault.params["width"], "has" if len(fault.rows) == 1 else "have"
    columns = "1 column" if width == 1 else f"{width} columns"
    return (
        f"Each row needs a value for each of {columns}: {_rows(len(fault.rows))} {verb} another "
        f"number of values, {_where(fault.rows)}."
    )


def _different(fault: Fault) -> str:
    names, verb = ", ".join(fault.params["columns"]), "lacks" if len(fault.rows) == 1 else "lack"
    return (
        f"Each row needs the same columns: {_rows(len(fault.rows))} {verb} some of {names}, "
        f"{_where(fault.rows)}. Send null for a value that is missing."
    )


def _unequal(fault: Fault) -> str:
    sizes = ", ".join(f"{name} {size:,}" for name, size in fault.params["sizes"].items())
    return f"Each column needs the same number of values, but they have: {sizes}."


def _repeated(fault: Fault) -> str:
    names = ", ".join(fault.params["columns"])
    return f"Columns are there twice: {names}. Send each of them once."


def _unread(fault: Fault) -> str:
    return "The request cannot be read: it is nested too deep, or has a number of too many digits."


def _shape(fault: Fault) -> str:
    return (
        "The request has no rows that can be read. Send `dataframe_split`, `dataframe_records`, "
        "`instances` or `inputs` with a value for each column, CSV or parquet."
    )


def _many_labels(fault: Fault) -> str:
    given = fault.params
    return (
        f"Column '{fault.column}' has {given['count']:,} values: {_quoted(given['values'])}. A "
        "binary classifier needs two. Choose another target, leave the cells of rows without a "
        "label empty, or group the values in the project file, with positive_values and "
        "negative_values of this column."
    )


def _other_labels(fault: Fault) -> str:
    given = fault.params
    wanted = " and ".join(f"'{word}'" for word in given["words"]) or "0 and 1"
    return (
        f"Column '{fault.column}' holds {_quoted(given['values'])} where {wanted} are expected. "
        "Say in the project file which value counts as 1 and which as 0, with positive_values and "
        "negative_values of this column."
    )


def _quoted(values: Sequence[str], most: int = 8) -> str:
    listed = ", ".join(f"'{value}'" for value in values[:most])
    return listed + (" ..." if len(values) > most else "")


_WHOLE_ROWS: Mapping[str, Callable[[Fault], str]] = {
    "absent_columns": _absent,
    "ragged_rows": _ragged,
    "different_columns": _different,
    "unequal_columns": _unequal,
    "repeated_columns": _repeated,
    "unread": _unread,
    "shape": _shape,
    "many_labels": _many_labels,
    "other_labels": _other_labels,
}


def _where(rows: npt.NDArray[np.intp]) -> str:
    first = f"row {int(rows[0]) + 1:,}" if len(rows) else ""
    return first if len(rows) == 1 else f"first {first}"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
