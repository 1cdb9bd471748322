"""Injected drift: where it begins, its size, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.platform.errors import InputError
from core.retraining.injection import DAY, Injection, check, inject, strength

COUNT, BEGIN = 1000, 400


@pytest.fixture(scope="module")
def moments() -> np.ndarray:
    return np.arange(COUNT) * DAY


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": rng.normal(5, 2, COUNT),
            "name": rng.choice(["a", "b"], COUNT),
            "label": rng.integers(0, 2, COUNT),
        }
    )


def drift(**fields: object) -> Injection:
    day = pd.Timestamp(BEGIN * DAY, unit="s").date().isoformat()
    return Injection(**{"column": "x", "begin": day, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "shift", "size": 2},
        {"kind": "scale", "size": 3},
        {"kind": "label_flip", "size": 0.5},
        {"kind": "missing_feature", "size": 0.5},
    ],
)
def test_nothing_changes_before_the_drift_nor_in_other_columns(
    rows: pd.DataFrame, moments: np.ndarray, fields: dict
) -> None:
    before = rows.copy()
    result = inject(rows, moments, "label", drift(**fields))
    pd.testing.assert_frame_equal(rows, before)
    pd.testing.assert_frame_equal(result.frame.iloc[:BEGIN], rows.iloc[:BEGIN], check_dtype=False)
    changed = "label" if fields["kind"] == "label_flip" else "x"
    for name in set(rows) - {changed}:
        pd.testing.assert_series_equal(result.frame[name], rows[name])
    differs = ~(result.frame[changed] == rows[changed])
    assert differs.to_numpy().tolist() == result.changed.tolist()
    assert result.changed[BEGIN:].any()
    assert not result.changed[:BEGIN].any()


def test_a_shift_is_in_standard_deviations_of_what_came_before(
    rows: pd.DataFrame, moments: np.ndarray
) -> None:
    shifted = inject(rows, moments, "label", drift(kind="shift", size=-2)).frame["x"]
    moved = (shifted - rows["x"])[BEGIN:]
    assert np.allclose(moved, -2 * rows["x"][:BEGIN].std())


def test_a_share_is_about_the_share_and_the_same_for_the_same_seed(
    rows: pd.DataFrame, moments: np.ndarray
) -> None:
    flip = drift(kind="label_flip", size=0.3)
    first, second, other = (
        inject(rows, moments, "label", flip, seed=seed).changed for seed in (1, 1, 2)
    )
    assert first.tolist() == second.tolist() != other.tolist()
    # five standard errors
    assert abs(first[BEGIN:].mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / (COUNT - BEGIN))
    flipped = inject(rows, moments, "label", drift(kind="label_flip", size=1)).frame["label"]
    assert (flipped[BEGIN:] == 1 - rows["label"][BEGIN:]).all()


def test_a_gradual_drift_grows_evenly_and_then_stays(moments: np.ndarray) -> None:
    force = strength(moments, drift(kind="shift", size=1, ramp_days=100))
    assert force[BEGIN] == 0
    assert force[BEGIN + 50] == 0.5
    assert np.allclose(np.diff(force[BEGIN : BEGIN + 100]), 0.01)
    assert (force[BEGIN + 100 :] == 1).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "shift", "size": 0}, "a shift is -20 to 20"),
        ({"kind": "shift", "size": 21}, "a shift is -20 to 20"),
        ({"kind": "scale", "size": -1}, "a shift is -20 to 20"),
        ({"kind": "scale", "size": 1}, "a shift is -20 to 20"),
        ({"kind": "label_flip", "size": 1.5}, "a shift is -20 to 20"),
        ({"kind": "missing_feature", "size": 0}, "a shift is -20 to 20"),
        ({"kind": "missing_feature", "size": 1, "column": None}, "needs `column`"),
        ({"kind": "shift", "size": float("nan")}, "finite number"),
        ({"kind": "shift", "size": 1, "begin": "soon"}, "use a form like 2004-11-02"),
    ],
)
def test_what_is_no_drift_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        drift(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "shift", "size": 1, "column": "name"}, "'name' is not a number"),
        ({"kind": "scale", "size": 2, "column": "gone"}, "'gone' does not exist"),
        ({"kind": "missing_feature", "size": 1, "column": "label"}, "'label' does not exist"),
        ({"kind": "shift", "size": 1, "begin": "1970-01-02"}, "leaves no rows on one side"),
        ({"kind": "label_flip", "size": 1, "begin": "2030-01-01"}, "leaves no rows on one side"),
    ],
)
def test_a_drift_that_these_rows_cannot_have_is_refused(
    rows: pd.DataFrame, moments: np.ndarray, fields: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(drift(**fields), rows, moments, 300, "label")


def test_a_text_can_be_lost_and_a_constant_column_has_no_scale(
    rows: pd.DataFrame, moments: np.ndarray
) -> None:
    check(drift(kind="missing_feature", size=1, column="name"), rows, moments, 300, "label")
    with pytest.raises(InputError, match="not a number that varies"):
        check(drift(kind="shift", size=1), rows.assign(x=1.0), moments, 300, "label")
