"""Conversion of a CSV's localized numbers into Python's notation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.platform.csv_detection import EXPONENT
from core.platform.csv_dialect import Dialect


def plain_numbers(values: Any, dialect: Dialect) -> Any:
    """Rewrite the numbers of an Arrow text column with a decimal point and no separators.

    Text that is not a number in the dialect stays invalid: in a file with decimal commas `1.5` gets
    a question mark, as it would otherwise become a number. `1.234,5` is one in any case.

    Examples
    --------
    >>> import pyarrow
    >>> dialect = Dialect("semicolon", "comma", thousands=True)
    >>> plain_numbers(pyarrow.array(["1,5", "1.234,5", "1.5", "x", None]), dialect).to_pylist()
    ['1.5', '1234.5', '1.5?', 'x', None]
    """
    if dialect.decimal == "point" and not dialect.thousands:
        return values
    import pyarrow.compute as compute

    point = dialect.point
    group = "." if point == "," else ","
    tail = rf"(?:[{point}]\d*)?{EXPONENT}\s*$"
    grouped = compute.match_substring_regex(
        values, rf"^\s*[+-]?[1-9]\d{{0,2}}(?:[{group}]\d{{3}})+{tail}"
    )
    simple = compute.match_substring_regex(values, rf"^\s*[+-]?\d*{tail}")
    if not dialect.thousands:
        # such a number comes after the rows that the dialect is known from, and has both signs
        grouped = compute.and_(grouped, compute.match_substring(values, point))
    bare = compute.replace_substring(compute.replace_substring(values, group, ""), point, ".")
    other = compute.match_substring_regex(values, rf"^\s*[+-]?[\d.,]+{EXPONENT}\s*$")
    odd = compute.binary_join_element_wise(values, "?", "")
    rest = compute.if_else(other, odd, values)
    return compute.if_else(compute.or_(grouped, simple), bare, rest)


def with_plain_numbers(
    frame: pd.DataFrame, dialect: Dialect, columns: Sequence[str]
) -> pd.DataFrame:
    """Return the frame with number columns that pandas left as text converted by the dialect."""
    if dialect.decimal == "point" and not dialect.thousands:
        return frame
    import pyarrow

    for column in columns:
        if frame[column].dtype != "object":
            continue
        texts = pyarrow.array(frame[column].astype("str").where(frame[column].notna(), None))
        plain = pd.Series(plain_numbers(texts, dialect).to_pandas(), frame.index)
        numbers = pd.to_numeric(plain, errors="coerce")
        frame[column] = plain if (numbers.isna() & plain.notna()).any() else numbers
    return frame
