"""Paired comparisons against the truth of simulations, and against resampling row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.logic import comparison, metrics


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, rows)
    return (rng.uniform(size=rows) < truth).astype(np.int64), truth


def noisy(truth: np.ndarray, spread: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    odds = np.log(truth / (1 - truth)) + rng.normal(0, spread, len(truth))
    return 1 / (1 + np.exp(-odds))


def test_the_better_model_is_told_by_every_metric_whichever_way_is_better() -> None:
    labels, truth = drawn(3000, 1)
    worse = noisy(truth, 2.0, 2)
    found = comparison.paired(labels, truth, worse, 0.4, 0.4).set_index("metric")
    assert found.index.tolist() == list(comparison.COMPARED)
    assert (found["better"] == "one").all()
    assert (found.loc[["log_loss", "brier_score"], "high"] < 0).all()
    assert (found.loc[["roc_auc", "f1"], "low"] > 0).all()
    turned = comparison.paired(labels, worse, truth, 0.4, 0.4).set_index("metric")
    assert (turned["better"] == "other").all()
    assert turned["difference"].tolist() == pytest.approx((-found["difference"]).tolist())


def test_values_are_those_of_the_metrics_each_at_its_own_threshold() -> None:
    labels, truth = drawn(500, 3)
    other = noisy(truth, 1.0, 4)
    found = comparison.paired(labels, truth, other, 0.3, 0.6).set_index("metric")
    for side, forecast, threshold in (("one", truth, 0.3), ("other", other, 0.6)):
        expected = metrics.classification(labels, forecast, threshold)
        for name in comparison.COMPARED:
            assert found.loc[name, side] == pytest.approx(expected[name])


def test_the_same_rows_are_drawn_for_both() -> None:
    labels, truth = drawn(200, 5)
    other = noisy(truth, 1.0, 6)
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(50):
        rows = rng.integers(0, 200, 200)
        first, second = (
            metrics.classification(labels[rows], side[rows], 0.5) for side in (truth, other)
        )
        differences.append([first[name] - second[name] for name in comparison.COMPARED])
    low, high = np.quantile(differences, [0.025, 0.975], axis=0)
    found = comparison.paired(labels, truth, other, 0.5, 0.5, resamples=50, seed=0)
    assert found["low"].tolist() == pytest.approx(low.tolist())
    assert found["high"].tolist() == pytest.approx(high.tolist())


def test_a_model_is_like_itself() -> None:
    labels, truth = drawn(300, 7)
    found = comparison.paired(labels, truth, truth, 0.5, 0.5)
    assert (found["better"] == "alike").all()
    assert (found[["difference", "low", "high"]] == 0).all(axis=None)
    # the same model fitted again differs in its last digits
    away = np.where(labels == 1, truth - 1e-13, truth + 1e-13)
    again = comparison.paired(labels, away, truth, 0.5, 0.5)
    assert (again["better"] == "alike").all()
    text = comparison.against_best(labels, {"a": truth, "b": away}, "a").loc[0, "text"]
    assert text == "Alike: the log loss is the same."


def test_models_that_err_alike_are_rarely_told_apart() -> None:
    told = 0
    for seed in range(60):
        labels, truth = drawn(400, 100 + seed)
        sides = noisy(truth, 0.5, 200 + seed), noisy(truth, 0.5, 300 + seed)
        found = comparison.paired(labels, *sides, 0.5, 0.5, resamples=100).set_index("metric")
        told += found.loc["log_loss", "better"] != "alike"
    # 3 of 60 with a binomial error of 1.7
    assert told <= 9


def test_of_one_class_there_is_no_roc_auc() -> None:
    found = comparison.paired(np.ones(40, dtype=np.int64), np.full(40, 0.8), np.full(40, 0.6), 0, 0)
    assert found["metric"].tolist() == ["log_loss", "brier_score", "f1"]
    assert found["better"].tolist() == ["one", "one", "alike"]


def test_one_row_has_a_difference_and_no_rows_have_none() -> None:
    one = np.array([1], dtype=np.int64), np.array([0.5]), np.array([0.25])
    found = comparison.paired(*one, 0.5, 0.5, resamples=3).set_index("metric")
    assert found.loc["log_loss", "difference"] == pytest.approx(-np.log(2))
    assert comparison.paired(*(side[:0] for side in one), 0.5, 0.5).empty


def test_resamples_of_one_class_do_not_spoil_the_interval_of_roc_auc() -> None:
    labels = np.array([1, *[0] * 9], dtype=np.int64)
    found = comparison.paired(labels, np.linspace(0.9, 0, 10), np.full(10, 0.5), 0.5, 0.5)
    assert found[["low", "high"]].notna().all(axis=None)


def test_every_other_model_is_compared_with_the_best() -> None:
    labels, truth = drawn(2000, 8)
    models = {
        "dummy": np.full(2000, 0.5),
        "chosen": noisy(truth, 0.6, 9),
        "twin": noisy(truth, 0.6, 10),
        "oracle": truth,
    }
    found = comparison.against_best(labels, models, "chosen").set_index("model")
    assert found.index.tolist() == ["oracle", "twin", "dummy"]
    assert found["better"].to_dict() == {"oracle": "model", "twin": "alike", "dummy": "best"}
    assert found.loc["twin", "text"].startswith("Alike: the difference of")
    assert "may be chance" in found.loc["twin", "text"]
    assert found.loc["dummy", "text"].startswith("Worse by ")
    assert "did not look at them" in found.loc["oracle", "text"]
    assert (found["low"] < found["difference"]).all()
    assert (found["difference"] < found["high"]).all()
    pair = comparison.paired(labels, models["dummy"], models["chosen"], 0.5, 0.5).iloc[0]
    dummy = found.loc["dummy", ["difference", "low", "high"]].tolist()
    assert dummy == pytest.approx(pair[["difference", "low", "high"]].tolist())


def test_a_best_without_others_or_with_a_copy_of_itself() -> None:
    labels, truth = drawn(100, 11)
    alone = comparison.against_best(labels, {"a": truth}, "a")
    assert alone.empty
    assert "text" in alone
    copy = comparison.against_best(labels, {"a": truth, "b": truth}, "a")
    assert copy.loc[0, "text"] == "Alike: the log loss is the same."


def test_the_same_seed_gives_the_same_table() -> None:
    labels, truth = drawn(200, 12)
    models = {"a": truth, "b": noisy(truth, 1.0, 13)}
    first, second = (comparison.against_best(labels, models, "a", seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
