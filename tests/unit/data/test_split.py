"""Which rows are kept, and how they are divided."""

from __future__ import annotations

import pandas as pd
import pytest

from core.data import split
from core.platform import project
from core.platform.errors import InputError

SPEC = project.load("kobe")


def test_filtering_counts_what_it_leaves_out_and_changes_nothing(few_shots: pd.DataFrame) -> None:
    before = few_shots.copy()
    result = split.filter_rows(few_shots, SPEC)
    wanted = few_shots[few_shots[SPEC.rows.column] == SPEC.rows.development]
    assert result.rows_other == len(few_shots) - len(wanted) > 0
    assert result.rows_unlabelled == wanted[SPEC.target].isna().sum() > 0
    assert result.rows_missing == 0
    assert len(wanted) == len(result.frame) + result.rows_unlabelled
    assert tuple(result.frame.columns) == tuple(SPEC.columns)
    assert result.frame[SPEC.target].dtype == "int64"
    pd.testing.assert_frame_equal(few_shots, before)


def test_a_row_that_misses_any_value_is_dropped(few_shots: pd.DataFrame) -> None:
    rows_before = len(split.filter_rows(few_shots, SPEC).frame)
    labelled = few_shots[
        few_shots[SPEC.target].notna() & (few_shots["shot_type"] == "2PT Field Goal")
    ]
    few_shots.loc[labelled.index[0], "opponent"] = None
    result = split.filter_rows(few_shots, SPEC)
    assert len(result.frame) == rows_before - 1
    assert result.missing.set_index("column").loc["opponent", "missing"] == 1


def test_a_row_of_weight_0_is_left_out_and_a_negative_weight_refused(
    few_shots: pd.DataFrame,
) -> None:
    weighted = SPEC.model_copy(update={"weights": "shot_distance"})
    all_rows = split.filter_rows(few_shots, SPEC).frame
    kept = split.filter_rows(few_shots, weighted)
    assert kept.rows_missing == (all_rows["shot_distance"] == 0).sum() > 0
    assert len(kept.frame) == len(all_rows) - kept.rows_missing
    for weights in (0, -1):
        with pytest.raises(InputError, match="must not be negative, and not all 0"):
            split.filter_rows(few_shots.assign(shot_distance=weights), weighted)


def test_a_split_is_stratified_whole_and_the_same_for_a_seed(few_shots: pd.DataFrame) -> None:
    frame = split.filter_rows(few_shots, SPEC).frame
    train, test = split.at_random(frame, SPEC.target, test_share=0.25, seed=7)
    again, _ = split.at_random(frame, SPEC.target, test_share=0.25, seed=7)
    other, _ = split.at_random(frame, SPEC.target, test_share=0.25, seed=8)
    assert sorted([*train.index, *test.index]) == list(frame.index)
    assert len(test) == pytest.approx(0.25 * len(frame), abs=1)
    assert train[SPEC.target].mean() == pytest.approx(test[SPEC.target].mean(), abs=0.01)
    assert list(train.index) == list(again.index)
    assert list(train.index) != list(other.index)
