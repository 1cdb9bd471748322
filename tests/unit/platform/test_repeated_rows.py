"""Rows that repeat another one are those that pandas finds, whatever the values are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.platform import repeated_rows


def test_repeated_rows_are_those_of_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "number": rng.choice([0.0, -0.0, 1.5, np.nan], 400),
            "whole": rng.integers(0, 3, 400),
            "text": rng.choice(np.array(["a", "b", None], dtype=object), 400),
            "id": np.arange(400),
        }
    )
    columns = ["number", "whole", "text"]
    wanted = frame[columns].duplicated()
    assert 0 < wanted.sum() < 400
    assert repeated_rows.mask(frame, columns).tolist() == wanted.tolist()
    assert not repeated_rows.mask(frame, [*columns, "id"]).any()
    # equal hashes alone are no equal rows
    monkeypatch.setattr(pd.util, "hash_array", lambda values: np.zeros(len(values), np.uint64))
    assert repeated_rows.mask(frame, columns).tolist() == wanted.tolist()
    assert not repeated_rows.mask(frame, [*columns, "id"]).any()
