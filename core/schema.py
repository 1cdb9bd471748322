"""Columns, types and ranges of a frame, as the project file states them; `validate` holds them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.errors import InputError
from core.project import Column, ProjectSpec

EXACT_LIMIT = 2**53  # a float from here on may stand for several whole numbers


@dataclass(frozen=True)
class Validated:
    """A frame whose columns have the project's types, and what was odd but not wrong.

    Parameters
    ----------
    frame : DataFrame
        The rows, columns in the order of the project file, types settled.
    warnings : tuple of str
        One sentence each.
    """

    frame: pd.DataFrame
    warnings: tuple[str, ...] = ()


def validate(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    *,
    optional: Sequence[str] = (),
    unique: str | None = None,
) -> Validated:
    """Return the frame with the stated columns and types, or tell all that is wrong with it.

    Parameters
    ----------
    frame : DataFrame
        What was read.
    columns : mapping of str to Column
        What it must hold.
    optional : sequence of str
        Columns that may be absent.
    unique : str, optional
        Column whose values must differ from row to row.

    Raises
    ------
    InputError
        With every fault found: no rows, missing columns (a close name is suggested), values of
        the wrong type, out of their range, or missing or repeated in the unique column.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", min=-119, max=-117)}
    >>> validate(pd.DataFrame({"lon": ["-118.2"], "x": [1]}), wanted).warnings
    ("1 column is not used: 'x'.",)
    >>> validate(pd.DataFrame({"lom": [-118.2]}), wanted)
    Traceback (most recent call last):
    core.errors.InputError: Column 'lon' is missing. Is it 'lom'?
    """
    faults = _missing_columns(frame, columns, optional)
    if not faults and frame.empty:
        faults = ["The data has no rows."]
    if faults:
        raise InputError(" ".join(faults))
    present = {name: column for name, column in columns.items() if name in frame.columns}
    settled: dict[str, pd.Series[Any]] = {}
    for name, column in present.items():
        settled[name], fault = _settle(frame[name], column)
        if fault:
            faults.append(fault)
    if unique and unique in settled:
        missing = int(frame[unique].isna().sum())
        if missing:
            verb = "is" if missing == 1 else "are"
            faults.append(f"Column '{unique}' must not be missing: {_rows(missing)} {verb} empty.")
        repeated = int(settled[unique].dropna().duplicated().sum())
        if repeated:
            faults.append(f"Column '{unique}' must not repeat a value: {_rows(repeated)} do.")
    if faults:
        raise InputError(" ".join(faults))
    extra = [str(name) for name in frame.columns if name not in columns]
    warnings = []
    if extra:
        names = ", ".join(f"'{name}'" for name in extra[:8]) + (" ..." if len(extra) > 8 else "")
        count = "1 column is" if len(extra) == 1 else f"{len(extra)} columns are"
        warnings.append(f"{count} not used: {names}.")
    return Validated(pd.DataFrame(settled, index=frame.index), tuple(warnings))


def validate_source(frame: pd.DataFrame, spec: ProjectSpec) -> Validated:
    """Return the rows of a source with the project's columns, in the order of its id.

    Raises
    ------
    InputError
        As `validate` does.
    """
    found = validate(frame, spec.columns, unique=spec.id)
    rows = found.frame.sort_values(spec.id, kind="stable").reset_index(drop=True)
    return Validated(rows, found.warnings)


def feature_columns(spec: ProjectSpec) -> dict[str, Column]:
    """Return the columns that a row to be scored must hold.

    Examples
    --------
    >>> from core.project import load
    >>> list(feature_columns(load("kobe")))[:2]
    ['lat', 'lon']
    """
    return {name: spec.columns[name] for name in spec.features}


def _missing_columns(
    frame: pd.DataFrame, columns: Mapping[str, Column], optional: Sequence[str]
) -> list[str]:
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        return [f"Column '{name}' stands there more than once." for name in repeated]
    missing = [name for name in columns if name not in names and name not in optional]
    free = [name for name in names if name not in columns]
    if len(missing) > 5 and len(missing) > len(columns) / 2:
        listed = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
        return [
            f"{len(missing)} of {len(columns)} columns are missing: {listed}. "
            f"Found: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}."
        ]
    faults = []
    for name in missing:
        close = difflib.get_close_matches(name, free, n=1, cutoff=0.5)
        hint = f" Is it '{close[0]}'?" if close else ""
        faults.append(f"Column '{name}' is missing.{hint}")
    return faults


def _settle(values: pd.Series[Any], column: Column) -> tuple[pd.Series[Any], str | None]:
    """Return the values in the column's type, and the sentence of its fault, if any."""
    if column.type == "text":
        text = values.astype("object")
        return text.where(text.isna(), text.astype(str)), None
    numbers = _numbers(values)
    exact = numbers.astype("int64") if _fits_int64(numbers) else None
    numbers = numbers.astype("float64")
    broken = (numbers.isna() & values.notna()) | np.isinf(numbers)
    if column.type == "integer":
        broken |= numbers.notna() & (numbers % 1 != 0)
        wanted = "a whole number"
        if exact is None and not broken.any():
            broken |= numbers.abs() >= EXACT_LIMIT
            wanted = f"a whole number below {EXACT_LIMIT:,}, to keep all its digits"
    elif column.type == "label":
        broken |= numbers.notna() & ~numbers.isin([0.0, 1.0])
        wanted = "0, 1 or empty"
    else:
        wanted = "a number"
    if broken.any():
        return numbers, _fault(values, broken, f"must be {wanted}")
    outside = pd.Series(data=False, index=values.index)
    if column.min is not None:
        outside |= numbers < column.min
    if column.max is not None:
        outside |= numbers > column.max
    if outside.any():
        low = "" if column.min is None else f"{column.min:g}"
        high = "" if column.max is None else f"{column.max:g}"
        return numbers, _fault(values, outside, f"must lie in {low}..{high}")
    if column.type == "integer" and not numbers.isna().any():
        return numbers.astype("int64") if exact is None else exact, None
    return numbers, None


def _numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the values as numbers, missing where they are none."""
    # pandas would count the nanoseconds of times and drop the imaginary part
    if values.dtype.kind not in "mMc":
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.dtype.kind != "c":
            return numbers
    return pd.Series(np.nan, index=values.index, name=values.name)


def _fits_int64(numbers: pd.Series[Any]) -> bool:
    if not pd.api.types.is_integer_dtype(numbers.dtype) or numbers.isna().any():
        return False
    return numbers.empty or int(numbers.max()) <= np.iinfo("int64").max


def _fault(values: pd.Series[Any], broken: pd.Series[Any], rule: str) -> str:
    # by their repr: a parquet file can hold lists, which have no hash
    examples = ", ".join(text[:30] for text in values[broken].map(repr).unique()[:3])
    return f"Column '{values.name}' {rule}: not so in {_rows(int(broken.sum()))} ({examples})."


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
