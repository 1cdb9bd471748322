"""Slices whose true bias is known: biased ones are found, calibrated ones are not flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from core.stats import metrics, slices
from tests.populations import noisy, teams


def test_wrong_slices_are_found_and_come_first() -> None:
    frame, labels, truth = teams(20_000, 1)
    wrong = (frame["team"] == "team 07").to_numpy()
    unknown = (frame["team"] == "team 11").to_numpy()
    few = (frame["team"] == "team 03").to_numpy() & (np.arange(20_000) > 600)
    included = ~few
    forecast = np.where(wrong, truth + 0.2, truth)
    forecast[unknown] = np.random.default_rng(2).permutation(noisy(truth, 1.0, 3)[unknown])
    table = slices.by_slice(frame[included], labels[included], forecast[included], ["team"], 0.5)
    assert table["value"].tolist()[:2] == ["team 07", "team 11"]
    assert table["finding"].tolist() == ["biased", "no_skill", *["ok"] * 17, "too_few"]
    worst = table.iloc[0]
    assert worst["low"] < 0.2 < worst["high"]
    assert worst["gap"] == pytest.approx(worst["mean_probability"] - worst["base_rate"])
    assert str(worst["text"]).startswith("Predictions are off by +")
    assert str(table.iloc[1]["text"]).startswith("Worse than this slice's own base rate")
    last = table.iloc[-1]
    assert last["value"] == "team 03"
    assert np.isnan(last["low"])
    assert str(last["text"]) == f"Only {last['rows']} labels; at least 50 are needed."


def test_a_certain_but_small_gap_is_shown_without_a_finding() -> None:
    rng = np.random.default_rng(4)
    labels = (rng.uniform(size=40_000) < 0.5).astype(np.int64)
    frame = pd.DataFrame({"kind": ["a", "b"] * 20_000})
    table = slices.by_slice(frame, labels, np.full(40_000, 0.54), ["kind"], 0.5)
    assert (table["low"] > 0).all()
    assert not (table["finding"] == "biased").any()
    assert (table["gap"] > 0).all()


def test_figures_are_those_of_the_rows_of_the_slice() -> None:
    frame, labels, truth = teams(2000, 5)
    forecast = noisy(truth, 0.5, 6)
    table = slices.by_slice(frame, labels, forecast, ["year"], 0.45).set_index("value")
    for year, row in table.iterrows():
        inside = (frame["year"] == year).to_numpy()
        expected = metrics.classification(labels[inside], forecast[inside], 0.45)
        names = ["base_rate", "mean_probability", "log_loss", "skill", "roc_auc", "f1"]
        assert row[names].tolist() == pytest.approx([expected[name] for name in names])
        assert row["rows"] == inside.sum()
        # as wide as theory has it for one of twenty
        error = np.std(forecast[inside] - labels[inside]) / np.sqrt(inside.sum())
        reach = stats.t.ppf(1 - 0.05 / 40, inside.sum() - 1) * error
        assert row["high"] - row["gap"] == pytest.approx(reach, rel=0.25)


def test_many_numbers_become_bands_and_few_stand_for_themselves() -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "distance": rng.permutation(np.arange(1000) % 40),
            "share": rng.uniform(size=1000) / 1000 + 34,
            "period": rng.integers(1, 5, 1000).astype(float),
            "home": rng.uniform(size=1000) < 0.5,
        }
    )
    labels = rng.integers(0, 2, 1000)
    table = slices.by_slice(frame, labels, np.full(1000, 0.5), list(frame), 0.5)
    values = table.groupby("column")["value"].agg(set).to_dict()
    assert values["distance"] == {"0 – 7", "8 – 15", "16 – 23", "24 – 31", "32 – 39"}
    assert values["period"] == {"1", "2", "3", "4"}
    assert values["home"] == {"False", "True"}
    assert len(values["share"]) == 5
    assert all(len(set(value.split(" – "))) == 2 for value in values["share"])
    assert table.groupby("column")["rows"].sum().tolist() == [1000] * 4
    banded = table[table["column"] == "distance"]
    assert banded["rows"].tolist() == [200] * 5


def test_twelve_numbers_are_values_and_thirteen_are_bands() -> None:
    for count, slices_of in ((12, 12), (13, 5)):
        frame = pd.DataFrame({"x": np.arange(1200) % count})
        table = slices.by_slice(frame, np.arange(1200) % 2, np.full(1200, 0.5), ["x"], 0.5)
        assert len(table) == slices_of


def test_a_common_number_has_a_band_of_its_own() -> None:
    frame = pd.DataFrame({"x": [0] * 600 + list(range(1, 401))})
    table = slices.by_slice(frame, np.arange(1000) % 2, np.full(1000, 0.5), ["x"], 0.5)
    assert table.set_index("value")["rows"].to_dict() == {
        "0": 600,
        "1 – 200": 200,
        "201 – 400": 200,
    }


def test_missing_values_are_a_slice_and_rows_without_label_count_nowhere() -> None:
    frame = pd.DataFrame(
        {"x": [1.0, None] * 100, "word": ["a", "b"] * 100, "gone": [None] * 200}, index=[7] * 200
    )
    labels = np.tile([0.0, 1.0, 1.0, np.nan], 50)
    table = slices.by_slice(frame, labels, np.full(200, 0.6), ["x", "word", "gone"], 0.5)
    rows = table.set_index(["column", "value"])["rows"].to_dict()
    assert rows == {
        ("x", "1"): 100,
        ("x", "missing"): 50,
        ("word", "a"): 100,
        ("word", "b"): 50,
        ("gone", "missing"): 150,
    }
    assert table.set_index(["column", "value"]).loc[("x", "1"), "base_rate"] == 0.5


def test_one_class_has_no_skill_to_judge_but_a_bias() -> None:
    frame = pd.DataFrame({"x": ["a"] * 80})
    table = slices.by_slice(frame, np.ones(80, dtype=np.int64), np.full(80, 0.5), ["x"], 0.5)
    row = table.iloc[0]
    assert np.isnan(row["skill"])
    assert np.isnan(row["roc_auc"])
    assert row["finding"] == "biased"
    assert str(row["text"]).startswith("Predictions are off by -")


def test_a_slice_without_labels_is_kept() -> None:
    frame = pd.DataFrame({"x": ["a"] * 60 + ["b"] * 3})
    labels = np.append(np.tile([0.0, 1.0], 30), [np.nan] * 3)
    table = slices.by_slice(frame, labels, np.full(63, 0.5), ["x"], 0.5)
    assert table.iloc[1][["value", "rows", "finding"]].tolist() == ["b", 0, "too_few"]
    harmed = slices.harm(frame, labels, np.full(63, 0.5), np.full(63, 0.5), ["x"])
    assert harmed["harmed"].tolist() == [False, False]


def test_without_rows_or_columns_there_are_no_slices() -> None:
    empty = pd.DataFrame({"x": pd.Series([], dtype=float)})
    nothing = np.array([], dtype=np.int64), np.array([])
    full = pd.DataFrame({"x": [1.0]})
    assert slices.by_slice(empty, *nothing, ["x"], 0.5).empty
    assert slices.by_slice(full, np.array([1]), np.array([0.5]), [], 0.5).empty
    table = slices.harm(empty, *nothing, np.array([]), ["x"])
    assert table.empty
    assert table["harmed"].dtype == bool


def test_a_challenger_that_is_worse_on_one_slice_is_found_there_alone() -> None:
    frame, labels, truth = teams(8000, 8)
    champion = noisy(truth, 0.4, 9)
    worse = (frame["team"] == "team 05").to_numpy()
    # better on the whole
    challenger = np.where(worse, noisy(champion, 1.5, 10), truth)
    gain = (
        metrics.log_losses(labels, challenger).mean() - metrics.log_losses(labels, champion).mean()
    )
    assert gain < 0
    table = slices.harm(frame, labels, challenger, champion, ["team", "year"])
    assert table["harmed"].tolist() == [True] + [False] * 39
    first = table.iloc[0]
    assert first[["column", "value"]].tolist() == ["team", "team 05"]
    sides = first["log_loss_challenger"] - first["log_loss_champion"]
    assert first["difference"] == pytest.approx(sides)
    assert first["low"] < first["difference"] < first["high"]
    assert str(first["text"]).startswith("The log loss changes by +")
    within = slices.harm(frame, labels, challenger, champion, ["team"], margin=first["high"])
    assert not within["harmed"].any()


def test_a_champion_does_not_harm_itself() -> None:
    frame, labels, truth = teams(2000, 11)
    table = slices.harm(frame, labels, truth, truth, ["team"])
    assert not table["harmed"].any()
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    # the same model fitted again differs in its last digits
    away = np.where(labels == 1, truth - 1e-13, truth + 1e-13)
    assert not slices.harm(frame, labels, away, truth, ["team"])["harmed"].any()


def test_the_table_is_the_same_each_time_and_the_rows_stay_as_they_were() -> None:
    frame, labels, truth = teams(1500, 12)
    before = frame.copy()
    first, second = (slices.by_slice(frame, labels, truth, ["team", "year"], 0.5) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(frame, before)
