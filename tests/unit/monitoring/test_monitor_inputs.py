"""Which of the current rows a version was trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.monitoring.monitor_inputs import Training

KNOWN = Training(
    pd.Series(["1", "2", "3", None]),
    pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "kind": ["a", "b", None, "d"]}),
    frozenset({"a"}),
)


@pytest.mark.parametrize(
    ("keys", "x", "kind", "share"),
    [
        (["2", "3", "9", "9"], [2.0, np.nan, 9.0, 9.0], ["b", None, "z", "z"], 0.5),
        # the same number of a row in another file
        (["1", "2", "3", "4"], [7.0, 7.0, 7.0, 7.0], ["a", "b", "c", "d"], 0.0),
        ([None, None, None, None], [4.0, 4.0, 4.0, 4.0], ["d", "d", "d", "d"], 0.0),
        ([], [], [], 0.0),
    ],
)
def test_a_row_is_known_by_its_key_and_its_features(
    keys: list[str | None], x: list[float], kind: list[str | None], share: float
) -> None:
    rows = pd.DataFrame({"x": np.array(x, dtype=float), "kind": pd.Series(kind, dtype=object)})
    assert KNOWN.share_of(pd.Series(keys, dtype=object), rows) == share
