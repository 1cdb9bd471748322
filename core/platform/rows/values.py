"""The only reader of column values.

Acquire, Prepare, scoring, the endpoint, the client, labels and the served model all use it, so the
same row is read or refused in the same way everywhere. Copied into every registered model, so it
imports nothing of core but its own package.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.rows.days import are_settled, moment_of
from core.platform.rows.faults import EXACT_LIMIT, LARGEST, Fault
from core.platform.rows.rules import (
    BLANK,
    MISSING_MARKS,
    NO,
    YES,
    Rule,
    label_word,
    mark_word,
    text_fault,
)

BOOLEANS = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}
_BOOLEAN = {**dict.fromkeys(YES, 1.0), **dict.fromkeys(NO, 0.0)}
KEY_CHARACTERS = 200
EXAMPLES = 3
_ENDLESS = np.iinfo(np.int64)
# ASCII digits only: Python would also accept 1_000 and digits of other scripts
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_ENDLESS_TEXT = re.compile(r"([+-]?)inf(?:inity)?", re.IGNORECASE)
_NOTHING_TEXT = re.compile(r"[+-]?nan", re.IGNORECASE)
# what pandas calls columns of nothing but hashable values
_HASHABLE = ("string", "empty", "boolean", "integer", "floating", "decimal")
Bools = npt.NDArray[np.bool_]


class Read(NamedTuple):
    """A column converted to its type, with missing for invalid values; and all its faults."""

    values: pd.Series[Any]
    faults: tuple[Fault, ...] = ()


def read(values: pd.Series[Any], rule: Rule) -> Read:
    """Convert a column to its type, and return it with all its faults.

    Numbers and labels are float64, integers without missing values int64, texts and days object. A
    value has at most one fault.

    Examples
    --------
    >>> column = read(pd.Series(["1.5", "NA", "1_000", "1e400"], name="x"), Rule("number"))
    >>> column.values.tolist(), [(fault.code, fault.rows.tolist()) for fault in column.faults]
    ([1.5, nan, nan, nan], [('type', [2]), ('magnitude', [3])])
    >>> read(pd.Series(["NA", "", "NL"]), Rule("text")).values.tolist()
    ['NA', None, 'NL']
    >>> read(pd.Series(["1,5", "N/D", "2"]), Rule("number", missing=("n/d",))).faults[0].examples
    ("'1,5'",)
    """
    clean = clean_numbers(values, rule)
    if clean is not None:
        return Read(clean)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if rule.type == "text":
        return _texts(values, rule)
    if rule.missing:
        values = _without_marks(values, rule)
    if rule.type == "date":
        return _dates(values, rule)
    if rule.positive or rule.type == "boolean":
        return _words(values, rule)
    return _numbers(values, rule)


def clean_numbers(values: pd.Series[Any], rule: Rule) -> pd.Series[Any] | None:
    """Fast path: return numbers that are all valid, as in most batches; otherwise None."""
    kinds = {"number": "if", "integer": "i", "label": "if", "boolean": "if"}.get(rule.type, "")
    if not isinstance(values.dtype, np.dtype) or values.dtype.kind not in kinds or rule.positive:
        return None
    # `astype` is slow even where it changes nothing
    is_settled = rule.type == "integer" or values.dtype == "float64"
    settled = values if is_settled else values.astype("float64", copy=False)
    array = settled.to_numpy()
    if rule.type in ("label", "boolean"):
        return settled if ((array == 0) | (array == 1) | np.isnan(array)).all() else None
    if len(array):
        low, high = _ends(rule)
        if rule.type == "integer":
            outside = array.min() < low or array.max() > high
        else:
            # missing values are ignored, infinite ones are out of range
            outside = np.fmin.reduce(array) < low or np.fmax.reduce(array) > high
        if outside:
            return None
    is_other = rule.type == "integer" and settled.dtype != "int64"
    return settled.astype("int64", copy=False) if is_other else settled


def clean_cells(values: Sequence[Any], rule: Rule) -> Sequence[Any] | None:
    """Fast path: return a short column's values as `read` would if all are valid; otherwise None.

    For requests of a few rows, where creating a Series would dominate.
    """
    if rule.missing and rule.type != "text" and any(map(_marks(rule), values)):
        return None
    if rule.type == "date":
        moments = [moment_of(value, rule.date_form) for value in values]
        return moments if all(type(value) is str for value in moments) else None
    if rule.type == "text":
        if not all(type(value) is str and value for value in values):
            return None
        return values if all(text_fault(value, rule) is None for value in values) else None
    if rule.positive or not all(type(value) in (int, float) for value in values):
        return None
    try:
        numbers = [float(value) for value in values]
    except OverflowError:
        return None
    low, high = _ends(rule)
    if not all(low <= number <= high for number in numbers):
        return None
    if rule.type in ("label", "boolean") and not all(number in (0.0, 1.0) for number in numbers):
        return None
    if rule.type == "integer" and not all(
        number.is_integer() and -EXACT_LIMIT < number < EXACT_LIMIT for number in numbers
    ):
        return None
    return numbers


def label_of(value: object) -> int | None:
    """Return a label as 0 or 1; None if it is neither.

    Examples
    --------
    >>> [label_of(value) for value in (1, 0.0, "1", True, 2, "x", None)]
    [1, 0, 1, 1, None, None, None]
    """
    number = _number(value)
    return int(number) if number in (0.0, 1.0) else None


def empty_rows(values: pd.Series[Any], faults: Sequence[Fault]) -> Bools:
    """Return where a column from `read` is missing without a fault."""
    empty: Bools
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        plain = values.to_numpy()
        empty = np.isnan(plain) if plain.dtype.kind == "f" else np.zeros(len(plain), dtype=bool)
    else:
        empty = values.isna().to_numpy(copy=True)
    for fault in faults:
        empty[fault.rows] = False
    return empty


def missing(values: pd.Series[Any], faults: Sequence[Fault], name: str) -> Fault | None:
    """Return the fault of missing values in a required column from `read`."""
    is_float = isinstance(values.dtype, np.dtype) and values.dtype.kind == "f"
    if is_float and not np.isnan(values.to_numpy()).any():
        return None
    rows = np.flatnonzero(empty_rows(values, faults))
    return Fault("missing", name, rows) if len(rows) else None


def key_text(value: object, type_: str = "text") -> str | None:
    """Normalize a natural key for storage and comparison; None if it is missing.

    If the project file declares numbers, "12", "12.0", "012" and 12 are the same key; as text,
    "012" differs from "12". Idempotent.

    Examples
    --------
    >>> key_text(12.0), key_text(12), key_text(" a-7 "), key_text(float("nan")), key_text("")
    ('12', '12', 'a-7', None, None)
    >>> [key_text(value, "integer") for value in ("013", "12.0", 12, "NA", "x")]
    ['13', '12', '12', None, 'x']
    """
    text = _text_of(value)
    if text is None:
        return None
    text = str(value) if text is _NO_TEXT else text
    # what no database accepts as text: NUL and lone surrogates
    text = text.encode("utf-8", "replace").decode().replace("\0", "?").strip()
    if type_ in ("integer", "number"):
        if text in MISSING_MARKS:
            return None
        if len(text) <= KEY_CHARACTERS:
            if _WHOLE.fullmatch(text):
                text = str(int(text.partition(".")[0]))
            elif _NUMBER.fullmatch(text) and (number := float(text)).is_integer():
                text = f"{number:.0f}" if abs(number) < EXACT_LIMIT else text
    return text[:KEY_CHARACTERS] or None


def _ends(rule: Rule) -> tuple[float, float]:
    low, high = (-LARGEST, LARGEST) if rule.type == "number" else (-math.inf, math.inf)
    return (
        low if rule.min is None else max(low, rule.min),
        high if rule.max is None else min(high, rule.max),
    )


def _marks(rule: Rule) -> Callable[[object], bool]:
    """Return whether a value is a mark of a missing one by the rule; a label's word is none."""
    words = _BOOLEAN if rule.type == "boolean" else rule.labels
    marks = {*rule.missing} - words.keys()
    return lambda value: isinstance(value, str) and mark_word(value) in marks


def _without_marks(values: pd.Series[Any], rule: Rule) -> pd.Series[Any]:
    """Return values with nothing in place of the rule's marks."""
    if pd.api.types.is_numeric_dtype(values.dtype) or values.dtype.kind in "mM":
        return values
    distinct = pd.unique(_hashable(values.astype("object"), None))
    marks = list(filter(_marks(rule), distinct))
    if not marks:
        return values
    plain = values.astype("object")
    return plain.where(~_hashable(plain, None).isin(marks), None)


def _numbers(values: pd.Series[Any], rule: Rule) -> Read:
    numbers, broken, exact = _as_numbers(values)
    codes: dict[str, Bools] = {}
    if rule.type == "integer":
        with np.errstate(invalid="ignore"):
            broken = broken | (~np.isnan(numbers) & (numbers % 1 != 0))
        if exact is None:
            codes["digits"] = ~broken & (np.abs(numbers) >= EXACT_LIMIT)
    elif rule.type == "label":
        broken = broken | ~(np.isnan(numbers) | (numbers == 0) | (numbers == 1))
    else:
        codes["magnitude"] = ~broken & (np.abs(numbers) > LARGEST)
    codes = {"type": broken, **codes}
    wrong = np.logical_or.reduce(list(codes.values()))
    kept = np.where(wrong, np.nan, numbers)
    low, high = (
        -math.inf if rule.min is None else rule.min,
        math.inf if rule.max is None else rule.max,
    )
    if (rule.min, rule.max) != (None, None):
        codes["range"] = (kept < low) | (kept > high)
    faults = _faults(values, rule, codes)
    # out-of-range values are kept, as they may be shown
    settled: Any = kept
    if rule.type == "integer" and not np.isnan(kept).any():
        settled = kept.astype("int64") if exact is None else exact
    return Read(pd.Series(settled, index=values.index, name=values.name), faults)


def _words(values: pd.Series[Any], rule: Rule) -> Read:
    """Convert a label with its own words, or a boolean, to 1 and 0."""
    known = _BOOLEAN if rule.type == "boolean" else rule.labels
    others = 0.0 if rule.positive and not rule.negative else math.nan
    codes, cells = pd.factorize(_hashable(values.astype("object"), _NO_TEXT))
    # one more place, for missing values
    numbers, wrong = np.full(len(cells) + 1, math.nan), np.zeros(len(cells) + 1, dtype=bool)
    for place, cell in enumerate(cells):
        word = label_word(cell)
        is_mark = isinstance(cell, str) and cell.strip(BLANK) in MISSING_MARKS
        if _text_of(cell) is None or (is_mark and word not in known):
            continue
        numbers[place] = known.get(word, math.nan if cell is _NO_TEXT else others)
        wrong[place] = math.isnan(numbers[place])
    settled = pd.Series(numbers[codes], index=values.index, name=values.name)
    return Read(settled, _faults(values, rule, {"type": wrong[codes]}))


def _as_numbers(
    values: pd.Series[Any],
) -> tuple[npt.NDArray[np.float64], Bools, npt.NDArray[np.int64] | None]:
    """Return floats, a mask of non-numbers, and exact integers where floats lose digits."""
    dtype = values.dtype
    nothing = np.zeros(len(values), dtype=bool)
    if isinstance(dtype, np.dtype) and dtype.kind in "mMc":
        # pandas would convert times to nanoseconds and drop imaginary parts
        filled = values.notna().to_numpy()
        return np.full(len(values), np.nan), filled, None
    if pd.api.types.is_numeric_dtype(dtype):
        numbers = values.to_numpy("float64", na_value=np.nan)
        exact = None
        if pd.api.types.is_integer_dtype(dtype) and not values.isna().any():
            whole = values.to_numpy()
            if not len(whole) or int(whole.max()) <= _ENDLESS.max:
                exact = whole.astype("int64")
        return numbers, nothing, exact
    cells = values.astype("object").to_numpy()
    numbers = np.empty(len(cells))
    broken = nothing
    known: dict[str, float | None] = {}
    for i, cell in enumerate(cells):
        if type(cell) is str:
            if cell not in known:
                known[cell] = _number(cell)
            number = known[cell]
        else:
            number = _number(cell)
        if number is None:
            broken[i] = True
            number = math.nan
        numbers[i] = number
    return numbers, broken, None if broken.any() else _exactly(cells, numbers)


def _number(value: Any) -> float | None:
    """Return a value as a number; NaN if missing, None if it is not a number."""
    if value is None or value is pd.NA or value is pd.NaT:
        return math.nan
    if isinstance(value, str):
        text = value.strip(BLANK)
        if _NUMBER.fullmatch(text):
            return float(text)
        if text in MISSING_MARKS or _NOTHING_TEXT.fullmatch(text):
            return math.nan
        if endless := _ENDLESS_TEXT.fullmatch(text):
            return -math.inf if endless[1] == "-" else math.inf
        return BOOLEANS.get(text)
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating | Decimal):
        try:
            return float(value)
        except OverflowError:
            return math.inf if int(value) > 0 else -math.inf
        except ValueError:
            return None
    return None


def _exactly(
    cells: npt.NDArray[Any], numbers: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64] | None:
    """Return exact integers if floats would lose digits, None if not or if not all are integers."""
    with np.errstate(invalid="ignore"):
        if not (np.abs(numbers) >= EXACT_LIMIT).any() or np.isnan(numbers).any():
            return None
    whole = []
    for cell in cells:
        is_exact = isinstance(cell, int | np.integer | Decimal) or (
            isinstance(cell, float) and abs(cell) < EXACT_LIMIT
        )
        if isinstance(cell, str):
            is_exact = re.fullmatch(r"[+-]?[0-9]{1,19}", cell.strip(BLANK)) is not None
        if not is_exact:
            return None
        whole.append(int(cell))
    ends = (min(whole), max(whole))
    return np.array(whole, "int64") if _ENDLESS.min <= ends[0] and ends[1] <= _ENDLESS.max else None


def _texts(values: pd.Series[Any], rule: Rule) -> Read:
    plain = values.astype("object")
    broken = np.zeros(len(plain), dtype=bool)
    if pd.api.types.infer_dtype(plain, skipna=True) not in ("string", "empty"):
        cells = [_text_of(cell) for cell in plain]
        broken = np.array([cell is _NO_TEXT for cell in cells], dtype=bool)
        plain = pd.Series(
            [None if cell is _NO_TEXT else cell for cell in cells],
            index=values.index,
            name=values.name,
            dtype="object",
        )
    codes, texts = pd.factorize(plain)
    # one more place, for missing values
    kept = np.array([*(text or None for text in texts), None], dtype="object")
    why = np.array([*(text_fault(text, rule) if text else None for text in texts), None], "object")
    masks: dict[str, Bools] = {"type": broken}
    for code in sorted({str(reason) for reason in why if reason is not None}):
        masks[code] = (why == code)[codes]
    if "unreadable" in masks:
        kept[why == "unreadable"] = None
    faults = _faults(values, rule, masks)
    if not broken.any() and all(text for text in texts) and "unreadable" not in masks:
        # unchanged, without a copy
        return Read(plain.where(plain.notna(), None) if (codes < 0).any() else plain, faults)
    return Read(
        pd.Series(kept[codes], index=values.index, name=values.name, dtype="object"), faults
    )


_NO_TEXT = "\ud800"


def _text_of(value: Any) -> str | None:
    """Return a value as text; `_NO_TEXT` for what has none, such as a list."""
    if isinstance(value, str):
        return value or None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float | np.floating):
        number = float(value)
        if math.isnan(number):
            return None
        # many programs store a column of integers with missing values as floats
        is_whole = math.isfinite(number) and number.is_integer()
        return f"{number:.0f}" if is_whole and abs(number) < 1e21 else str(value)
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value == int(value) else str(value)
    if isinstance(value, datetime.date | np.datetime64):
        moment = moment_of(value)
        return moment if isinstance(moment, str) else str(value)
    if isinstance(value, bytes | list | tuple | dict | set | np.ndarray):
        return _NO_TEXT
    return str(value)


def _dates(values: pd.Series[Any], rule: Rule) -> Read:
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biufc":
        # pandas would interpret a number as nanoseconds since 1970
        broken = values.notna().to_numpy()
        empty = pd.Series([None] * len(values), index=values.index, name=values.name, dtype=object)
        return Read(empty, _faults(values, rule, {"type": broken}))
    codes, cells = pd.factorize(_hashable(values, False) if values.dtype == object else values)
    if are_settled(cells):
        texts = np.array([*cells, None], dtype="object")[codes]
        return Read(pd.Series(texts, index=values.index, name=values.name, dtype="object"))
    moments = [*(moment_of(cell, rule.date_form) for cell in cells), None]
    kept = np.array(
        [moment if isinstance(moment, str) else None for moment in moments], dtype="object"
    )
    why = np.array(
        [moment.code if isinstance(moment, Fault) else "" for moment in moments], dtype="object"
    )
    masks = {code: (why == code)[codes] for code in ("type", "years")}
    faults = _faults(values, rule, masks)
    return Read(
        pd.Series(kept[codes], index=values.index, name=values.name, dtype="object"), faults
    )


def _hashable(values: pd.Series[Any], other: Any) -> pd.Series[Any]:
    """Return values with those that are not hashable replaced by another one.

    A parquet file can contain lists.
    """
    if pd.api.types.infer_dtype(values, skipna=True) in _HASHABLE:
        return values
    return values.where(values.map(lambda cell: isinstance(cell, Hashable)), other)


def _faults(values: pd.Series[Any], rule: Rule, codes: Mapping[str, Bools]) -> tuple[Fault, ...]:
    faults = []
    params: dict[str, dict[str, Any]] = {
        "type": {"type": rule.type, "words": tuple(rule.labels)},
        "range": {"min": rule.min, "max": rule.max},
        "category": {"categories": rule.categories},
        "pattern": {"pattern": rule.pattern},
    }
    for code, wrong in codes.items():
        rows = np.flatnonzero(wrong)
        if len(rows):
            cells = values.iloc[rows[:1000]]
            examples = tuple(dict.fromkeys(shown(cell) for cell in cells))[:EXAMPLES]
            column = "" if values.name is None else str(values.name)
            faults.append(Fault(code, column, rows, params.get(code, {}), examples))
    return tuple(faults)


def shown(value: Any) -> str:
    """Format a value for a sentence; equal numbers look the same however they were written.

    Examples
    --------
    >>> shown("12.50"), shown(12.5), shown("1e400"), shown(10**400), shown("x"), shown([1])
    ('12.5', '12.5', 'inf', 'inf', "'x'", '[1]')
    """
    if isinstance(value, str):
        text = value.strip(BLANK)
        if text in BOOLEANS:
            return text.capitalize()
        if not _NUMBER.fullmatch(text) and not _ENDLESS_TEXT.fullmatch(text):
            return repr(value)[:40]
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else float(text)
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer) and _ENDLESS.min <= value <= _ENDLESS.max:
        return str(int(value))
    if isinstance(value, int | float | np.integer | np.floating | Decimal):
        number = _number(value)
        return str(value) if number is None else str(_text_of(number))[:40]
    return (str(value) if isinstance(value, datetime.date) else repr(value))[:40]
