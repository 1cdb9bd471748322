"""The representation of a number is not a change of its value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import alignment, checks, drift, limits, support


def represented(values: np.ndarray, representation: str) -> np.ndarray:
    """Return the same values in another representation."""
    return {
        "single": values.astype(np.float32).astype(np.float64),
        "single type": values.astype(np.float32),
        "1e-12": values * (1 + 1e-12 * np.where(np.arange(len(values)) % 2, 1, -1)),
        "sum": (values - 0.1) + 0.1,
    }[representation]


@pytest.mark.parametrize("representation", ["single", "single type", "1e-12", "sum"])
@pytest.mark.parametrize("swapped", [False, True])
def test_another_representation_of_the_same_values_is_no_drift(
    representation: str, swapped: bool
) -> None:
    rng = np.random.default_rng(0)
    reference = pd.DataFrame(
        {
            "few": rng.choice([0.1, 0.2, 0.3, 0.7], 400),
            "many": rng.normal(size=400) * 30 - 118.2698,
            "tenths": rng.integers(0, 60, 400) / 10,
            "constant": 0.1,
        }
    )
    current = pd.DataFrame(
        {name: represented(reference[name].to_numpy(), representation) for name in reference}
    )
    if swapped:
        reference, current = current, reference
    table = drift.by_feature(reference, current, list(reference))
    assert table["psi"].tolist() == [0] * 4
    assert table["ks"].tolist() == [0] * 4
    assert table["out_of_range"].tolist() == [0] * 4
    assert table["unseen"].dropna().tolist() == [0, 0]
    if representation == "sum":
        return
    result = support.measure(reference, current, list(reference))
    assert result.outside_share <= 0.02
    assert result.domain_auc < 0.55


def test_numbers_that_differ_stay_different() -> None:
    reference = np.array([1.0, 2.0, 3.5])
    current = np.array([1.000001, 2.0, 3.500001, np.nan, np.inf])
    assert np.array_equal(alignment.aligned(reference, current)[1], current, equal_nan=True)
    # integers are compared exactly: ids, seconds since 1970
    ids = np.array([1_700_000_000.0, 1_700_000_001.0])
    assert alignment.aligned(ids, ids + 1)[1].tolist() == (ids + 1).tolist()
    assert alignment.aligned([0.0, 0.5, 1.0], [1e-17])[1].tolist() == [0.0]


def test_sums_in_the_reference_itself_are_no_second_value() -> None:
    reference = pd.DataFrame(
        {"x": [0.3, 0.1 + 0.2] * 300, "courtside_probability": 0.5, "courtside_label": [0, 1] * 300}
    )
    assert drift.Column(reference["x"]).names.tolist() == [0.3]
    learned_limits = limits.learn(
        reference, features=["x"], rows=100, labels=0, threshold=0.5, windows=60
    ).limits
    moved = drift.by_feature(reference, pd.DataFrame({"x": [0.3] * 100}), ["x"])
    assert {check.verdict for check in checks.inputs(moved, learned_limits)} == {"ok"}
