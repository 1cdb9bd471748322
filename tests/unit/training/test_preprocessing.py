"""Encoding of missing values, rare and new names, and texts of very many names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.training.preprocessing import MOST_NAMES, RARE, preprocessor, with_many_names


def encoded(train: pd.DataFrame, labels: np.ndarray, rows: pd.DataFrame) -> pd.DataFrame:
    texts = [name for name in train if train[name].dtype == object]
    numbers = [name for name in train if name not in texts]
    many = with_many_names(train, texts)
    shown = preprocessor(numbers, texts, impute=True, many=many)
    assert shown is not None
    return shown.fit(train, labels).transform(rows)


def test_a_missing_value_is_marked_and_a_new_one_is_no_fault() -> None:
    train = pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "y": [1.0, 2.0, 3.0, 4.0]})
    rows = pd.DataFrame({"x": [2.0, np.nan], "y": [np.nan, 2.0]})
    marks = encoded(train, np.array([0, 1, 0, 1]), rows)
    assert marks.columns.tolist() == ["x", "y", "missingindicator_x"]
    assert marks["x"].nunique() == 1  # the median is 2
    assert marks["missingindicator_x"].iloc[0] < 0 < marks["missingindicator_x"].iloc[1]
    assert marks.notna().all(axis=None)


def test_a_missing_text_is_a_name_of_its_own_and_a_new_one_is_none() -> None:
    train = pd.DataFrame({"t": np.array(["a", "b", np.nan], dtype=object).repeat(RARE)})
    rows = pd.DataFrame({"t": ["b", np.nan, "new"]}, dtype=object)
    columns = encoded(train, np.arange(3 * RARE) % 2, rows)
    assert columns.to_numpy().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    # all missing, as in a request of one row
    alone = encoded(train, np.arange(3 * RARE) % 2, rows.iloc[[1]])
    assert alone.to_numpy().tolist() == [[0, 0, 1]]


def test_rare_names_share_a_column() -> None:
    names = ["a"] * RARE + ["b"] * RARE + [f"rare {number}" for number in range(RARE)]
    train = pd.DataFrame({"t": names}, dtype=object)
    rows = pd.DataFrame({"t": ["rare 1", "rare 2", "a"]}, dtype=object)
    columns = encoded(train, np.arange(3 * RARE) % 2, rows)
    assert columns.shape == (3, 3)
    assert columns.iloc[0].tolist() == columns.iloc[1].tolist() != columns.iloc[2].tolist()


@pytest.mark.parametrize("many", [True, False])
def test_a_text_of_thousands_of_names_needs_few_columns(many: bool) -> None:
    rng = np.random.default_rng(1)
    effect = rng.normal(size=3000)
    place = rng.integers(0, 3000, 90_000)
    train = pd.DataFrame({"t": np.array([f"place {n}" for n in range(3000)], dtype=object)[place]})
    labels = (rng.random(len(place)) < 1 / (1 + np.exp(-effect[place]))).astype(int)
    assert with_many_names(train, ["t"]) == ("t",)
    shown = preprocessor([], ["t"], impute=False, many=["t"] if many else ())
    assert shown is not None
    columns = shown.fit(train, labels).transform(train)
    assert columns.shape[1] == (1 if many else MOST_NAMES)
    if many:
        # what a name says, though each has thirty rows only
        assert np.corrcoef(columns["t"], effect[place])[0, 1] > 0.8
        new = shown.transform(pd.DataFrame({"t": ["nowhere"]}, dtype=object))["t"].iloc[0]
        assert abs(new) < 0.3
