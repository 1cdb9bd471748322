"""Columns that leak the label are reported, and others are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data import leakage
from core.platform import project

SPEC = project.load("kobe")


def findings_of(frame: pd.DataFrame, labels: pd.Series) -> dict[str, list[str]]:
    table = leakage.inspect(frame, leakage.alone(frame, labels), SPEC)
    return table.groupby("feature")["finding"].agg(list).to_dict()


@pytest.fixture
def labels() -> pd.Series:
    return pd.Series(np.random.default_rng(3).integers(0, 2, 2000))


def auc_alone(values, labels):
    return float(leakage.alone(values.to_frame("x"), labels)["x"])


def test_the_brief_features_of_the_sample_are_not_suspected(shots: pd.DataFrame) -> None:
    labelled = shots[shots[SPEC.target].notna()]
    assert findings_of(labelled[list(SPEC.features)], labelled[SPEC.target]) == {}


def test_late_identifying_and_constant_columns_are_reported(shots: pd.DataFrame) -> None:
    labelled = shots[shots[SPEC.target].notna()]
    assert findings_of(labelled.drop(columns=SPEC.target), labelled[SPEC.target]) == {
        "action_type": ["recorded_after"],
        "combined_shot_type": ["recorded_after"],
        "game_id": ["identifier"],
        "shot_id": ["identifier"],
        "team_id": ["constant"],
        "team_name": ["constant"],
    }


def test_a_copy_of_the_label_is_too_good_in_whatever_shape(labels: pd.Series) -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.2, len(labels))
    frame = pd.DataFrame(
        {
            "lat": labels + noise,
            # no straight line: both ends are made
            "lon": (labels - 0.5) * 2 * (3 + noise) * rng.choice([-1, 1], len(labels)) ** 2,
            "opponent": np.where(labels == 1, "W", "L"),
            "loc_x": np.where(labels == 1, np.nan, 1.0),
            "loc_y": np.where(labels == 1, rng.choice([-5, 5], len(labels)), 0) + noise,
            "period": rng.integers(1, 5, len(labels)),
        }
    )
    by_feature = findings_of(frame, labels)
    assert {name for name, findings in by_feature.items() if "too_good" in findings} == set(
        frame
    ) - {"period"}


def test_names_that_occur_once_are_not_mistaken_for_leaks(labels: pd.Series) -> None:
    own = pd.Series([f"name {i}" for i in range(len(labels))])
    assert auc_alone(own, labels) == pytest.approx(0.5, abs=0.03)
    assert findings_of(pd.DataFrame({"opponent": own}), labels) == {"opponent": ["identifier"]}


def test_random_columns_are_near_a_half(labels: pd.Series) -> None:
    rng = np.random.default_rng(5)
    for values in (rng.normal(size=len(labels)), rng.choice(list("abcdefgh"), len(labels))):
        assert auc_alone(pd.Series(values), labels) < 0.55


def test_few_rows_or_one_class_say_nothing() -> None:
    assert np.isnan(auc_alone(pd.Series([1.0, 2.0]), pd.Series([0, 1])))
    assert np.isnan(auc_alone(pd.Series(range(500)), pd.Series([1] * 500)))
    assert np.isnan(auc_alone(pd.Series([np.nan] * 500), pd.Series([1] * 500)))


def test_sets_of_rows_measured_together_are_measured_as_each_is_alone(monkeypatch) -> None:
    rng = np.random.default_rng(5)
    labels = pd.Series(rng.integers(0, 2, 2000)).astype(float)
    numbers = labels + rng.normal(0, 1, 2000)
    frame = pd.DataFrame(
        {
            "plain": numbers,
            "missing": numbers.where(rng.random(2000) < 0.6),
            "infinite": numbers.where(rng.random(2000) < 0.9, np.inf),
            "extreme": numbers.where(rng.random(2000) < 0.9, -1e308).replace(numbers[0], 1e308),
            "whole": rng.integers(0, 30, 2000),
            "constant": 1.0,
            "empty": np.nan,
            "text": np.where(labels == 1, "a", rng.choice(["a", "b"], 2000)),
        }
    )
    masks = {
        "all": np.ones(2000, dtype=bool),
        "half": np.arange(2000) % 2 == 0,
        "few": np.arange(2000) < 50,
        "a class": (labels == 1).to_numpy(),
    }
    monkeypatch.setattr(leakage, "_CELLS", 6000)
    together = leakage.alone_in(frame, labels, masks)
    for name, mask in masks.items():
        apart = leakage.alone(frame[mask], labels[mask])
        pd.testing.assert_series_equal(together[name], apart, check_exact=True)
    assert together["few"].isna().all()
    assert together["a class"].isna().all()
    assert together["all"]["plain"] > 0.7
    assert together["all"]["empty"] == 0.5


def test_an_engineered_feature_of_a_late_column_is_late() -> None:
    assert SPEC.recorded_after("action_type")
    assert not any(map(SPEC.recorded_after, SPEC.engineered))


@pytest.mark.real
def test_on_the_real_rows_only_the_kind_of_action_stands_out(real_dir) -> None:
    frame = pd.concat(pd.read_parquet(path) for path in sorted(real_dir.glob("*.parquet")))
    labelled = frame[(frame["shot_type"] == SPEC.rows.development) & frame[SPEC.target].notna()]
    alone = leakage.alone(labelled.drop(columns=SPEC.target), labelled[SPEC.target])
    assert alone.idxmax() == "action_type"
    assert 0.68 < alone["action_type"] < 0.71
    assert alone.drop("action_type").max() < 0.62
