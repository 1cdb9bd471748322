"""Keys of many rows: the same texts as those of each."""

import numpy as np
import pandas as pd
import pytest

from core.platform.rows import key_text, key_texts


@pytest.mark.parametrize("type_", ["text", "integer", "number", "date"])
@pytest.mark.parametrize(
    "values",
    [
        pd.Series([0, 7, -3, 2**60]),
        pd.Series([0, 7], dtype="uint8"),
        pd.Series([0, 7, None], dtype="Int64"),
        pd.Series([1.0, -2.0, 2.0**52]),
        pd.Series([1.0, -0.0]),
        pd.Series([1.0, np.nan]),
        pd.Series([1.0, 2.5]),
        pd.Series([1.0, np.inf]),
        pd.Series([2.0**53, 1e22]),
        pd.Series([" a ", "012", "12.0", "", None, "NA"]),
        pd.Series([True, False]),
        pd.Series(pd.to_datetime(["2001-02-03", None])),
        pd.Series(["a", "b", None], dtype="category"),
        pd.Series([], dtype="float64"),
    ],
    ids=lambda values: f"{values.dtype}-{len(values)}-{str(values.tolist())[:20]}",
)
def test_each_key_has_the_text_that_it_has_alone(values, type_):
    assert key_texts(values, type_) == [key_text(value, type_) for value in values]
