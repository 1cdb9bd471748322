"""Paired comparisons against the truth of simulations, and against resampling row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import comparison, metrics
from tests.populations import forecasts, noisy


def test_every_metric_names_the_better_model_in_either_direction() -> None:
    labels, truth = forecasts(3000, 1)
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
    labels, truth = forecasts(500, 3)
    other = noisy(truth, 1.0, 4)
    table = comparison.paired(labels, truth, other, 0.3, 0.6).set_index("metric")
    for side, forecast, threshold in (("one", truth, 0.3), ("other", other, 0.6)):
        expected = metrics.classification(labels, forecast, threshold)
        for name in comparison.COMPARED:
            assert table.loc[name, side] == pytest.approx(expected[name])


def test_a_model_equals_itself() -> None:
    labels, truth = forecasts(300, 7)
    table = comparison.paired(labels, truth, truth, 0.5, 0.5)
    assert (table["better"] == "alike").all()
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    # the same model fitted again differs in its last digits
    away = np.where(labels == 1, truth - 1e-13, truth + 1e-13)
    again = comparison.paired(labels, away, truth, 0.5, 0.5)
    assert (again["better"] == "alike").all()
    row = comparison.against_best(labels, {"a": truth, "b": away}, "a").iloc[0]
    assert row["better"] == "alike"


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
    labels, truth = forecasts(2000, 8)
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
    assert texts["twin"].startswith("No clear difference: ")
    assert "may be chance" in texts["twin"]
    assert texts["dummy"].startswith("Worse by ")
    assert "the choice did not use these rows" in texts["oracle"]
    assert (table["low"] < table["difference"]).all()
    assert (table["difference"] < table["high"]).all()
    pair = comparison.paired(labels, models["dummy"], models["chosen"], 0.5, 0.5).iloc[0]
    dummy = table.loc["dummy", ["difference", "low", "high"]].tolist()
    assert dummy == pytest.approx(pair[["difference", "low", "high"]].tolist())


def test_a_best_without_others_or_with_a_copy_of_itself() -> None:
    labels, truth = forecasts(100, 11)
    alone = comparison.against_best(labels, {"a": truth}, "a")
    assert alone.empty
    assert "text" in alone
    copy = comparison.against_best(labels, {"a": truth, "b": truth}, "a")
    assert copy.loc[0, "better"] == "alike"


def test_the_same_rows_give_the_same_table() -> None:
    labels, truth = forecasts(200, 12)
    models = {"a": truth, "b": noisy(truth, 1.0, 13)}
    first, second = (comparison.against_best(labels, models, "a") for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
