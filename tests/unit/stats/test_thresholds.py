"""Chosen thresholds against trying all of them, and on edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from core.stats import curves, metrics, thresholds
from core.stats.check import ONE_CLASS


def value_at(labels: np.ndarray, forecast: np.ndarray, threshold: float, aim: str) -> float:
    tn, fp, fn, tp = sk.confusion_matrix(labels, forecast >= threshold, labels=[0, 1]).ravel()
    if aim == "f1":
        return sk.f1_score(labels, forecast >= threshold, zero_division=0)
    if aim == "cost":
        return (2.0 * fp + 3.0 * fn) / len(labels)
    return tp / (tp + fn) + tn / (tn + fp) - 1


@pytest.mark.parametrize("aim", ["f1", "cost", "balanced"])
@pytest.mark.parametrize("digits", [1, 15])
@pytest.mark.parametrize("seed", range(6))
def test_no_threshold_is_better_and_none_as_good_is_nearer_to_the_middle(
    aim: str, digits: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    forecast = rng.uniform(0.05, 0.98, 60).round(digits)
    labels = (rng.uniform(size=60) < forecast).astype(np.int64)
    choice = thresholds.choose(labels, forecast, aim, 2.0, 3.0)
    assert choice.value == pytest.approx(value_at(labels, forecast, choice.threshold, aim))
    sign = -1 if aim == "cost" else 1
    tried = np.unique([*forecast, 0.5, 1.0])
    values = {value: sign * value_at(labels, forecast, value, aim) for value in tried}
    best = max(values.values())
    assert sign * choice.value == pytest.approx(best)
    as_good = [value for value in tried if values[value] > best - 1e-12]
    assert abs(choice.threshold - 0.5) == min(abs(value - 0.5) for value in as_good)


def test_the_best_cost_of_a_true_forecast_lies_where_decision_theory_puts_it() -> None:
    rng = np.random.default_rng(0)
    forecast = rng.uniform(size=200_000)
    labels = (rng.uniform(size=200_000) < forecast).astype(np.int64)
    # label 1 when p * cost of a miss exceeds (1 - p) * cost of an alarm: p > 1 / (1 + 4)
    choice = thresholds.choose(labels, forecast, "cost", 1.0, 4.0)
    assert choice.threshold == pytest.approx(0.2, abs=0.03)
    # 4 * integral of p to 0.2 + integral of 1 - p from 0.2
    assert choice.value == pytest.approx(4 * 0.02 + 0.32, abs=0.005)
    assert thresholds.choose(labels, forecast, "balanced").threshold == pytest.approx(0.5, abs=0.03)


def test_the_middle_of_equally_good_thresholds_is_chosen() -> None:
    labels, forecast = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    for aim in ("f1", "cost", "balanced"):
        assert thresholds.choose(labels, forecast, aim).threshold == 0.5


def test_labelling_nothing_is_tried_too() -> None:
    labels, forecast = np.array([0, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6])
    choice = thresholds.choose(labels, forecast, "cost", 10.0, 1.0)
    assert (choice.threshold, choice.value) == (1.0, 0.25)
    assert "No row is predicted '1'." in str(choice.text)
    surely = thresholds.choose(labels, np.array([1.0, 0.8, 0.7, 0.6]), "cost", 10.0, 1.0)
    assert surely.value == pytest.approx(11 / 4)


def test_a_threshold_that_labels_nearly_all_rows_alike_is_reported() -> None:
    rng = np.random.default_rng(1)
    forecast = rng.uniform(0.45, 0.55, 1000)
    labels = rng.integers(0, 2, 1000)
    choice = thresholds.choose(labels, forecast, "f1")
    assert np.mean(forecast >= choice.threshold) > 0.95
    assert "hardly separates" in str(choice.text)


@pytest.mark.parametrize("aim", ["f1", "cost", "balanced"])
@pytest.mark.parametrize("labels", [[], [1], [0, 0, 0], [1, 1, 1]])
def test_without_both_classes_nothing_is_chosen(aim: str, labels: list[int]) -> None:
    forecast = np.linspace(0.1, 0.9, len(labels))
    choice = thresholds.choose(np.array(labels, dtype=np.int64), forecast, aim)
    assert choice.threshold == 0.5
    assert np.isnan(choice.value)
    assert choice.text == ONE_CLASS


def test_the_trade_off_counts_as_the_confusion_matrix_does() -> None:
    rng = np.random.default_rng(2)
    forecast = rng.uniform(size=500).round(2)
    labels = (rng.uniform(size=500) < forecast).astype(np.int64)
    table = thresholds.trade_off(labels, forecast)
    assert table["threshold"].tolist() == [number / 100 for number in range(101)]
    for row in table.iloc[::7].itertuples():
        cells = curves.confusion(labels, forecast, row.threshold)["rows"].tolist()
        assert [row.tn, row.fp, row.fn, row.tp] == cells
        figures = metrics.classification(labels, forecast, row.threshold)
        assert row.recall == pytest.approx(figures["recall"])
        assert row.f1 == pytest.approx(figures["f1"])
        assert row.accuracy == pytest.approx(figures["accuracy"])
        predicted = forecast >= row.threshold
        assert row.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
        assert row.share_positive == pytest.approx(predicted.mean())
    with_positives = table[table["share_positive"] > 0]
    assert with_positives["precision"].notna().all()


def test_a_figure_that_does_not_exist_is_no_zero() -> None:
    table = thresholds.trade_off(np.array([0, 0]), np.array([0.2, 0.3]), points=3)
    assert table["recall"].isna().all()
    assert table["specificity"].tolist() == [0, 1, 1]
    assert table["precision"].isna().tolist() == [False, True, True]
    assert thresholds.trade_off(np.array([], dtype=np.int64), np.array([]))["accuracy"].isna().all()
