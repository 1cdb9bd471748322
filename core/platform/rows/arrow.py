"""Conversion of Arrow columns, from parquet or CSV, to the Series that the row contract reads."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.platform.rows.faults import EXACT_LIMIT
from core.platform.rows.rules import Rule
from core.platform.rows.values import KEY_CHARACTERS, key_text


def series(values: Any, name: str, *, is_text: bool) -> pd.Series[Any]:
    """Convert an Arrow column without losing or guessing anything.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
    is_text : bool
        Whether texts stay texts; otherwise they become floats if all are plain numbers.

    Examples
    --------
    >>> import pyarrow
    >>> series(pyarrow.chunked_array([["1", "2.5"]]), "x", is_text=False).tolist()
    [1.0, 2.5]
    >>> series(pyarrow.chunked_array([[1, None]]), "x", is_text=True).tolist()
    [1, None]
    """
    import pyarrow

    kinds = pyarrow.types
    if kinds.is_dictionary(values.type):
        # a repeated text is stored once
        kept: pd.Series[Any] = values.to_pandas()
        return kept.astype(kept.cat.categories.dtype).rename(name)
    if not is_text and (kinds.is_string(values.type) or kinds.is_large_string(values.type)):
        numbers = _plain_numbers(values)
        values = values if numbers is None else numbers
    plain: pd.Series[Any] = values.to_pandas(
        # Python's dates are limited in range; as text, an integer keeps all its digits
        date_as_object=False,
        integer_object_nulls=is_text,
    )
    # `rename` would copy
    plain.name = name
    return plain


def _plain_numbers(values: Any) -> Any:
    """Return texts as floats if all are plain numbers; None if the contract has to check them."""
    import pyarrow
    import pyarrow.compute as compute

    try:
        numbers = compute.cast(values, pyarrow.float64())
    except pyarrow.ArrowInvalid:
        return None
    # NaN, infinity, and integers that a float cannot represent exactly
    is_plain = compute.less(compute.abs(numbers), float(EXACT_LIMIT))
    return numbers if compute.all(is_plain, min_count=0).as_py() else None


def keys(values: Any, rule: Rule) -> Any:
    """Return a column of keys as text, normalized like `core.platform.rows.values.key_text`.

    Examples
    --------
    >>> import pyarrow
    >>> keys(pyarrow.chunked_array([["12.0", "013", None]]), Rule("integer")).to_pylist()
    ['12', '13', None]
    """
    import pyarrow
    import pyarrow.compute as compute

    values = values.combine_chunks()
    kinds = pyarrow.types
    if kinds.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if kinds.is_integer(values.type):
        return compute.cast(values, pyarrow.string())
    if kinds.is_string(values.type):
        trimmed = compute.utf8_trim_whitespace(values)
        pattern = (
            r"^(0|[1-9][0-9]{0,17})$" if not rule.is_text else rf"^[^\x00]{{1,{KEY_CHARACTERS}}}$"
        )
        if compute.all(compute.match_substring_regex(trimmed, pattern), min_count=0).as_py():
            return trimmed
    texts = series(pyarrow.chunked_array([values]), "", is_text=True)
    return pyarrow.array([key_text(value, rule.type) for value in texts], pyarrow.string())
