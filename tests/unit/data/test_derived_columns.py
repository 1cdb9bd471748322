"""Which rows are current, where Courtside decides it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.data.derived_columns import derive
from core.platform.own_columns import PART
from core.platform.project import ProjectSpec


def test_a_random_part_has_labels_as_its_reference_has() -> None:
    spec = ProjectSpec(
        name="x",
        title="X",
        question="?",
        model="x",
        target="y",
        positive="yes",
        negative="no",
        features=("x",),
        columns={"x": {"type": "number"}, "y": {"type": "label"}},
        rows={"by": "random", "share": 0.3},
    )
    frame = pd.DataFrame({"x": np.arange(2000.0), "y": np.tile([0, 1, None, 1], 500)})
    parts = derive([frame], ["a.csv"], spec)[PART]
    assert set(parts[frame["y"].isna()]) == {"reference"}
    assert 0.25 < (parts[frame["y"].notna()] == "current").mean() < 0.35
