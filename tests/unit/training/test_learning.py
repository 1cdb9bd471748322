"""The learning curve: its shares, its limit of time, and what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from core.training import learning


def rows(count: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(rng.normal(size=(count, 5)), columns=list("abcde"))
    labels = (rng.uniform(size=count) < 1 / (1 + np.exp(-features["a"]))).astype("int64")
    return features, labels.to_numpy()


def test_a_simple_model_closes_the_gap_as_rows_grow() -> None:
    curve = learning.learning_curve(LogisticRegression(), *rows(3000))
    gaps = curve.pivot_table(index="rows", columns="set", values="mean")
    gap = gaps[learning.HELD_OUT] - gaps[learning.TRAINED]
    assert gap.index.tolist() == [200, 500, 1000, 1500, 2000]
    assert gap.iloc[0] > 2 * abs(gap.iloc[-1])
    assert ((curve["low"] <= curve["mean"]) & (curve["mean"] <= curve["high"])).all()


def test_a_tree_knows_its_own_rows_and_not_the_others() -> None:
    curve = learning.learning_curve(DecisionTreeClassifier(random_state=0), *rows(600))
    last = curve.set_index("set").groupby(level=0)["mean"].last()
    assert last[learning.TRAINED] == pytest.approx(0, abs=1e-9)
    assert last[learning.HELD_OUT] > 1


def test_the_same_seed_gives_the_same_curve_and_the_model_is_left_as_it_was() -> None:
    model = LogisticRegression()
    first, second = (learning.learning_curve(model, *rows(200), seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert not hasattr(model, "coef_")


def test_no_share_starts_that_would_end_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(0, 1000, 3))
    monkeypatch.setattr(learning.time, "monotonic", lambda: next(moments))
    curve = learning.learning_curve(LogisticRegression(), *rows(400), seconds=10)
    # a share takes 3 s of that clock whatever its size; the next is foreseen to take longer
    assert curve["rows"].unique().tolist() == [26]


def test_labels_too_rare_for_the_folds_draw_nothing() -> None:
    features, labels = rows(50)
    labels[:] = 0
    labels[0] = 1
    curve = learning.learning_curve(LogisticRegression(), features, labels)
    assert curve.empty
    assert "too few points" in str(learning.sentence(curve))


def test_a_step_smaller_than_what_the_folds_differ_by_promises_nothing() -> None:
    curve = pd.DataFrame(
        {
            "rows": [50, 100],
            "set": learning.HELD_OUT,
            "mean": [0.66, 0.659],
            "low": [0.65, 0.65],
            "high": [0.67, 0.668],
        }
    )
    assert str(learning.sentence(curve)) == (
        "From 50 to 100 rows, log loss changed by -0.0010, less than the spread of the folds "
        "(0.0180): more rows would help little."
    )
