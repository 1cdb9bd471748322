"""How a number is written down is no change of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import alignment, checks, drift, limits, support


def written(values: np.ndarray, how: str) -> np.ndarray:
    """The same values as another reader would have them."""
    return {
        "single": values.astype(np.float32).astype(np.float64),
        "single type": values.astype(np.float32),
        "1e-12": values * (1 + 1e-12 * np.where(np.arange(len(values)) % 2, 1, -1)),
        "sum": (values - 0.1) + 0.1,
    }[how]


@pytest.mark.parametrize("how", ["single", "single type", "1e-12", "sum"])
@pytest.mark.parametrize("turned", [False, True])
def test_another_representation_of_the_same_values_is_no_drift(how: str, turned: bool) -> None:
    rng = np.random.default_rng(0)
    old = pd.DataFrame(
        {
            "few": rng.choice([0.1, 0.2, 0.3, 0.7], 400),
            "many": rng.normal(size=400) * 30 - 118.2698,
            "tenths": rng.integers(0, 60, 400) / 10,
            "constant": 0.1,
        }
    )
    new = pd.DataFrame({name: written(old[name].to_numpy(), how) for name in old})
    if turned:
        old, new = new, old
    found = drift.by_feature(old, new, list(old))
    assert found["psi"].tolist() == [0] * 4
    assert found["ks"].tolist() == [0] * 4
    assert found["out_of_range"].tolist() == [0] * 4
    assert found["unseen"].dropna().tolist() == [0, 0]
    if how == "sum":
        return
    apart = support.measure(old, new, list(old))
    assert apart.outside_share <= 0.02
    assert apart.domain_auc < 0.55


def test_numbers_that_differ_stay_apart() -> None:
    old = np.array([1.0, 2.0, 3.5])
    new = np.array([1.000001, 2.0, 3.500001, np.nan, np.inf])
    assert np.array_equal(alignment.aligned(old, new)[1], new, equal_nan=True)
    # whole numbers are compared exactly: ids, seconds since 1970
    ids = np.array([1_700_000_000.0, 1_700_000_001.0])
    assert alignment.aligned(ids, ids + 1)[1].tolist() == (ids + 1).tolist()
    assert alignment.aligned([0.0, 0.5, 1.0], [1e-17])[1].tolist() == [0.0]


def test_sums_in_the_reference_itself_are_no_second_value() -> None:
    reference = pd.DataFrame(
        {"x": [0.3, 0.1 + 0.2] * 300, "courtside_probability": 0.5, "courtside_label": [0, 1] * 300}
    )
    assert drift.Column(reference["x"]).names.tolist() == [0.3]
    known = limits.learn(
        reference, features=["x"], rows=100, labels=0, threshold=0.5, windows=60
    ).limits
    moved = drift.by_feature(reference, pd.DataFrame({"x": [0.3] * 100}), ["x"])
    assert {check.verdict for check in checks.inputs(moved, known)} == {"ok"}
