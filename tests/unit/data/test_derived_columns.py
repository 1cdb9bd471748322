"""Which rows are current, where Courtside decides it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.derived_columns import _random, derive
from core.platform.own_columns import ID, PART
from core.platform.rows import key_text
from tests.any_table import smallest


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        (None, [f"{place:07d}-{place:08x}" for place in range(50)]),
        ("integer", list(range(-20, 30))),
        ("integer", [f"0{place}" for place in range(50)]),
        ("text", [f" a{place} " for place in range(50)]),
        ("number", [place / 4 for place in range(50)]),
    ],
    ids=["derived", "integers", "digits", "texts", "numbers"],
)
def test_a_random_part_is_of_the_keys_whatever_their_type(
    kind: str | None, ids: list[object]
) -> None:
    name = "key" if kind else ID
    own = {"id": "key", "columns": {"key": {"type": kind}}} if kind else {}
    spec = smallest(rows={"by": "random", "share": 0.3}, **own)
    keys = np.array([key_text(value, kind or "text") for value in ids], dtype="object")
    hashes = pd.util.hash_array(keys, hash_key=f"{spec.rows.seed:016d}", categorize=False)
    assert (hashes / 2.0**64 < 0.3).tolist() == _random(pd.Series(ids, name=name), spec).tolist()


def test_a_random_part_has_labels_as_its_reference_has() -> None:
    spec = smallest(rows={"by": "random", "share": 0.3})
    frame = pd.DataFrame({"x": np.arange(2000.0), "y": np.tile([0, 1, None, 1], 500)})
    parts = derive([frame], ["a.csv"], spec)[PART]
    assert set(parts[frame["y"].isna()]) == {"reference"}
    assert 0.25 < (parts[frame["y"].notna()] == "current").mean() < 0.35
