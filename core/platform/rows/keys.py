"""Natural keys of many rows together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.platform.rows.faults import EXACT_LIMIT
from core.platform.rows.values import key_text


def key_texts(values: pd.Series[Any], type_: str = "text") -> list[str | None]:
    """Normalize natural keys as `key_text` does each; whole numbers all together.

    Examples
    --------
    >>> key_texts(pd.Series([12.0, 13.0])), key_texts(pd.Series([" a-7 ", None]))
    (['12', '13'], ['a-7', None])
    """
    numbers = values.to_numpy() if isinstance(values.dtype, np.dtype) else np.empty(0, "object")
    if numbers.dtype.kind in "iu":
        return [str(number) for number in numbers.tolist()]
    if numbers.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            is_whole = (np.abs(numbers) < EXACT_LIMIT) & (numbers % 1 == 0)
        # the text of a negative zero keeps its sign
        if (is_whole & ~(np.signbit(numbers) & (numbers == 0))).all():
            return [str(number) for number in numbers.astype("int64").tolist()]
    return [key_text(value, type_) for value in values]
