"""A split is judged by the rows on both sides, and by how similar the sides are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data import split, split_checks
from core.platform import project
from core.platform.errors import InputError
from core.stats import drift

SPEC = project.load("kobe")


def judge(train: pd.DataFrame, test: pd.DataFrame, method: str, share: float | None = 0.2) -> dict:
    moved = drift.by_feature(train, test, SPEC.features)
    results = split_checks.judge(
        train,
        test,
        moved,
        split=method,
        target=SPEC.target,
        positive="made",
        time=SPEC.time,
        group=SPEC.group,
        test_share=share,
    )
    assert [check.code for check in results] == [
        "share",
        "balance",
        "drift",
        "groups_shared",
        "time_shared",
    ]
    assert all(check.group == "split" for check in results)
    return {check.code: check for check in results}


@pytest.fixture(scope="module")
def rows(shots: pd.DataFrame) -> pd.DataFrame:
    return split.filter_rows(shots, SPEC).frame


def test_a_random_split_is_alike_but_shares_its_groups(rows: pd.DataFrame) -> None:
    by_code = judge(*split.at_random(rows, SPEC.target, test_share=0.2, seed=42), "random")
    assert (
        by_code["share"].verdict == by_code["balance"].verdict == by_code["drift"].verdict == "ok"
    )
    assert by_code["drift"].value < 0.02
    assert by_code["groups_shared"].verdict == "warning"
    assert by_code["groups_shared"].value > 1000
    assert by_code["time_shared"].verdict == "not_applicable"


def test_a_split_by_time_trains_on_the_earlier_ones(rows: pd.DataFrame) -> None:
    train, test = split.by_time(rows, SPEC.target, SPEC.time, test_share=0.2)
    assert train[SPEC.time].max() < test[SPEC.time].min()
    assert len(train) + len(test) == len(rows)
    assert len(test) / len(rows) == pytest.approx(0.2, abs=0.002)
    by_code = judge(train, test, "time")
    assert by_code["time_shared"].verdict == by_code["groups_shared"].verdict == "ok"
    assert str(train[SPEC.time].max()) in str(by_code["time_shared"].text)


def test_a_split_from_a_moment_on_cuts_there(rows: pd.DataFrame) -> None:
    train, test = split.by_time(
        rows, SPEC.target, SPEC.time, test_share=0.2, test_from="2010-12-01"
    )
    assert train[SPEC.time].max() < "2010-12-01" <= test[SPEC.time].min()
    assert judge(train, test, "time", None)["share"].reference is None


def test_a_split_by_group_keeps_each_group_whole(rows: pd.DataFrame) -> None:
    train, test = split.by_group(rows, SPEC.target, "game_id", test_share=0.2, seed=42)
    assert not set(train["game_id"]) & set(test["game_id"])
    assert len(train) + len(test) == len(rows)
    assert len(test) / len(rows) == pytest.approx(0.2, abs=0.03)
    again = split.by_group(rows, SPEC.target, "game_id", test_share=0.2, seed=42)[1]
    other = split.by_group(rows, SPEC.target, "game_id", test_share=0.2, seed=43)[1]
    assert list(test.index) == list(again.index)
    assert list(test.index) != list(other.index)
    assert judge(train, test, "group")["groups_shared"].verdict == "ok"


def test_a_split_that_is_not_what_it_says_is_in_alert(rows: pd.DataFrame) -> None:
    train, test = split.at_random(rows, SPEC.target, test_share=0.2, seed=42)
    assert judge(train, test, "group")["groups_shared"].verdict == "alert"
    assert judge(train, test, "time")["time_shared"].verdict == "alert"
    assert judge(train, test, "random", 0.4)["share"].verdict == "warning"


def test_different_classes_and_columns_are_detected(rows: pd.DataFrame) -> None:
    near = rows["shot_distance"] < 8
    by_code = judge(rows[~near], rows[near], "random", None)
    assert by_code["drift"].verdict == "alert"
    assert "shot_distance" in str(by_code["drift"].text)
    assert by_code["balance"].verdict == "alert"
    assert by_code["balance"].low > 0.05


def test_few_rows_alone_do_not_unbalance_a_split() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 10 + [1, 1, 0, 1], "day": range(24), "game": range(24)})
    moved = pd.DataFrame({"feature": ["x"], "psi": [0.0]})
    results = split_checks.judge(
        frame[:20],
        frame[20:],
        moved,
        split="random",
        target="y",
        positive="made",
        time="day",
        group=None,
        test_share=0.2,
    )
    assert results[1].value == pytest.approx(0.25)
    assert results[1].verdict == "ok"
    assert results[3].verdict == "not_applicable"


def test_filters_take_values_as_a_person_writes_them(shots: pd.DataFrame) -> None:
    result = split.filter_rows(shots, SPEC, {"period": ("1", "4"), "season": ("2000-01",)})
    assert set(result.frame["period"]) == {1, 4}
    assert set(result.frame["season"]) == {"2000-01"}
    assert set(result.frame["shot_type"]) == {SPEC.rows.development, SPEC.rows.production}
    everything = split.filter_rows(shots, SPEC, {})
    assert len(everything.frame) == shots[SPEC.target].notna().sum()
    floats = shots.assign(period=shots["period"].astype(float))
    assert len(split.filter_rows(floats, SPEC, {"period": ("4",)}).frame) > 0


def test_rows_with_missing_values_are_kept_where_the_model_imputes(shots: pd.DataFrame) -> None:
    holes = shots.assign(lat=shots["lat"].where(np.arange(len(shots)) % 10 > 0))
    dropped = split.filter_rows(holes, SPEC)
    imputed = split.filter_rows(holes, SPEC, needed=[SPEC.target])
    assert dropped.frame["lat"].notna().all()
    assert imputed.frame["lat"].isna().any()
    assert imputed.rows_missing == 0 < dropped.rows_missing
    assert imputed.rows_unlabelled == dropped.rows_unlabelled > 0
    assert len(imputed.frame) == len(dropped.frame) + dropped.rows_missing
    with pytest.raises(InputError, match="'lat' has no value"):
        split.filter_rows(shots.assign(lat=None), SPEC, needed=["lat", SPEC.target])


def test_a_column_that_is_empty_in_every_row_drops_none_unless_it_is_used(
    shots: pd.DataFrame,
) -> None:
    empty = shots.assign(opponent=None)
    result = split.filter_rows(empty, SPEC, used=["lat", SPEC.target])
    assert len(result.frame) == len(split.filter_rows(shots, SPEC).frame)
    with pytest.raises(InputError, match="'opponent' has no value"):
        split.filter_rows(empty, SPEC, used=["opponent", SPEC.target])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: split.by_time(f, "y", "day", test_share=0.2, test_from="z"), "Choose a moment"),
        (
            lambda f: split.by_time(f.assign(day="a"), "y", "day", test_share=0.2),
            "with one class only",
        ),
        (
            lambda f: split.by_time(f, "y", "day", test_share=0.1, test_from="d"),
            "with one class only",
        ),
        (lambda f: split.by_group(f, "y", "game", test_share=0.2, seed=1), "with one class only"),
    ],
)
def test_an_impossible_split_is_reported(call, words: str) -> None:
    frame = pd.DataFrame({"day": list("aabbccd"), "y": [0, 1] * 3 + [1], "game": 1})
    with pytest.raises(InputError) as caught:
        call(frame)
    assert words in str(caught.value)
