"""Paired comparisons against the truth of simulations, and against resampling row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import comparison, metrics


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, rows)
    return (rng.uniform(size=rows) < truth).astype(np.int64), truth


def noisy(truth: np.ndarray, spread: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    odds = np.log(truth / (1 - truth)) + rng.normal(0, spread, len(truth))
    return 1 / (1 + np.exp(-odds))


def test_every_metric_names_the_better_model_in_either_direction() -> None:
    labels, truth = draw(3000, 1)
    worse = noisy(truth, 2.0, 2)
    table = comparison.paired(labels, truth, worse, 0.4, 0.4).set_index("metric")
    assert table.index.tolist() == list(comparison.COMPARED)
    assert (table["better"] == "one").all()
    assert (table.loc[["log_loss", "brier_score"], "high"] < 0).all()
    assert (table.loc[["roc_auc", "f1"], "low"] > 0).all()
    turned = comparison.paired(labels, worse, truth, 0.4, 0.4).set_index("metric")
    assert (turned["better"] == "other").all()
    assert turned["difference"].tolist() == pytest.approx((-table["difference"]).tolist())


def test_values_are_those_of_the_metrics_each_at_its_own_threshold() -> None:
    labels, truth = draw(500, 3)
    other = noisy(truth, 1.0, 4)
    table = comparison.paired(labels, truth, other, 0.3, 0.6).set_index("metric")
    for side, forecast, threshold in (("one", truth, 0.3), ("other", other, 0.6)):
        expected = metrics.classification(labels, forecast, threshold)
        for name in comparison.COMPARED:
            assert table.loc[name, side] == pytest.approx(expected[name])


@pytest.mark.long
def test_the_interval_of_f1_is_that_of_a_paired_bootstrap() -> None:
    labels, truth = draw(2000, 5)
    other = noisy(truth, 1.0, 6)
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(400):
        rows = rng.integers(0, 2000, 2000)
        first, second = (
            metrics.classification(labels[rows], side[rows], 0.5) for side in (truth, other)
        )
        differences.append(first["f1"] - second["f1"])
    wide = 1.96 * np.std(differences)
    table = comparison.paired(labels, truth, other, 0.5, 0.5).set_index("metric").loc["f1"]
    assert table["high"] - table["low"] == pytest.approx(2 * wide, rel=0.1)
    assert (table["high"] + table["low"]) / 2 == pytest.approx(table["difference"])


@pytest.mark.parametrize(
    ("rows", "rate"), [(200, 0.05), pytest.param(300, 0.3, marks=pytest.mark.long)]
)
def test_a_difference_holds_the_truth_for_a_rare_class_too(rows: int, rate: float) -> None:
    rng = np.random.default_rng(1)
    held = dict.fromkeys(["log_loss", "brier_score"], 0)
    for _ in range(200):
        truth = np.clip(rate * np.exp(rng.normal(0, 0.8, rows)), 0.001, 0.95)
        labels = (rng.uniform(size=rows) < truth).astype(np.int64)
        labels[:2] = 0, 1
        # both err alike on average: the true difference is 0
        pair = (np.clip(truth * np.exp(rng.normal(0, 0.3, rows)), 1e-4, 0.99) for _ in range(2))
        table = comparison.paired(labels, *pair, rate, rate).set_index("metric")
        for name in held:
            held[name] += bool(table.loc[name, "low"] <= 0 <= table.loc[name, "high"])
    # 93% less two standard errors of 200 samples
    assert all(count >= 200 * 0.894 for count in held.values()), held


def test_a_model_equals_itself() -> None:
    labels, truth = draw(300, 7)
    table = comparison.paired(labels, truth, truth, 0.5, 0.5)
    assert (table["better"] == "alike").all()
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    # the same model fitted again differs in its last digits
    away = np.where(labels == 1, truth - 1e-13, truth + 1e-13)
    again = comparison.paired(labels, away, truth, 0.5, 0.5)
    assert (again["better"] == "alike").all()
    row = comparison.against_best(labels, {"a": truth, "b": away}, "a").iloc[0]
    assert row["better"] == "alike"


def test_models_with_equal_errors_rarely_differ() -> None:
    differing = 0
    for seed in range(60):
        labels, truth = draw(400, 100 + seed)
        sides = noisy(truth, 0.5, 200 + seed), noisy(truth, 0.5, 300 + seed)
        table = comparison.paired(labels, *sides, 0.5, 0.5).set_index("metric")
        differing += table.loc["log_loss", "better"] != "alike"
    # 3 of 60 with a binomial error of 1.7
    assert differing <= 9


def test_of_one_class_there_is_no_roc_auc() -> None:
    table = comparison.paired(np.ones(40, dtype=np.int64), np.full(40, 0.8), np.full(40, 0.6), 0, 0)
    assert table["metric"].tolist() == ["log_loss", "brier_score", "f1"]
    assert table["better"].tolist() == ["one", "one", "alike"]


def test_one_row_has_a_difference_and_no_rows_have_none() -> None:
    row = np.array([1], dtype=np.int64), np.array([0.5]), np.array([0.25])
    table = comparison.paired(*row, 0.5, 0.5).set_index("metric")
    assert table.loc["log_loss", "difference"] == pytest.approx(-np.log(2))
    assert comparison.paired(*(side[:0] for side in row), 0.5, 0.5).empty


def test_resamples_of_one_class_do_not_spoil_the_interval_of_roc_auc() -> None:
    labels = np.array([1, *[0] * 9], dtype=np.int64)
    table = comparison.paired(labels, np.linspace(0.9, 0, 10), np.full(10, 0.5), 0.5, 0.5)
    assert table[["low", "high"]].notna().all(axis=None)


def test_every_other_model_is_compared_with_the_best() -> None:
    labels, truth = draw(2000, 8)
    models = {
        "dummy": np.full(2000, 0.5),
        "chosen": noisy(truth, 0.6, 9),
        "twin": noisy(truth, 0.6, 10),
        "oracle": truth,
    }
    table = comparison.against_best(labels, models, "chosen").set_index("model")
    assert table.index.tolist() == ["oracle", "twin", "dummy"]
    assert table["better"].to_dict() == {"oracle": "model", "twin": "alike", "dummy": "best"}
    texts = table["text"].map(str)
    assert texts["twin"].startswith("Alike: ")
    assert "may be chance" in texts["twin"]
    assert texts["dummy"].startswith("Worse by ")
    assert "the choice did not use these rows" in texts["oracle"]
    assert (table["low"] < table["difference"]).all()
    assert (table["difference"] < table["high"]).all()
    pair = comparison.paired(labels, models["dummy"], models["chosen"], 0.5, 0.5).iloc[0]
    dummy = table.loc["dummy", ["difference", "low", "high"]].tolist()
    assert dummy == pytest.approx(pair[["difference", "low", "high"]].tolist())


def test_a_best_without_others_or_with_a_copy_of_itself() -> None:
    labels, truth = draw(100, 11)
    alone = comparison.against_best(labels, {"a": truth}, "a")
    assert alone.empty
    assert "text" in alone
    copy = comparison.against_best(labels, {"a": truth, "b": truth}, "a")
    assert copy.loc[0, "better"] == "alike"


def test_the_same_rows_give_the_same_table() -> None:
    labels, truth = draw(200, 12)
    models = {"a": truth, "b": noisy(truth, 1.0, 13)}
    first, second = (comparison.against_best(labels, models, "a") for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
