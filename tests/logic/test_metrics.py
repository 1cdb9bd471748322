"""Figures against scikit-learn, against formulas, and on what breaks them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from core.logic import metrics


@pytest.fixture
def forecast() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    probabilities = rng.uniform(0.05, 0.95, 4000)
    return (rng.uniform(size=4000) < probabilities).astype(np.int64), probabilities


def test_figures_are_those_of_scikit_learn(forecast: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = forecast
    found = metrics.classification(labels, probabilities, 0.4)
    predicted = probabilities >= 0.4
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities), abs=1e-12)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities), abs=1e-12)
    assert found["brier_score"] == pytest.approx(sk.brier_score_loss(labels, probabilities))
    assert found["f1"] == pytest.approx(sk.f1_score(labels, predicted))
    assert found["recall"] == pytest.approx(sk.recall_score(labels, predicted))
    assert found["precision"] == pytest.approx(sk.precision_score(labels, predicted))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))


def test_always_forecasting_the_base_rate_has_no_skill() -> None:
    labels = np.array([1, 0, 0, 1, 0])
    found = metrics.classification(labels, np.full(5, 0.4), 0.5)
    assert found["skill"] == pytest.approx(0.0, abs=1e-12)
    assert found["roc_auc"] == 0.5
    assert (found["f1"], found["precision"]) == (0.0, 0.0)


def test_log_loss_is_of_probabilities_and_sure_mistakes_stay_finite() -> None:
    found = metrics.classification(np.array([1, 0]), np.array([0.0, 1.0]), 0.5)
    assert np.isfinite(found["log_loss"])
    assert found["log_loss"] > 30


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_what_does_not_exist_is_left_out(label: int) -> None:
    found = metrics.classification(np.full(10, label), np.linspace(0.1, 0.9, 10), 0.5)
    assert "skill" not in found
    assert "roc_auc" not in found
    assert np.isfinite(found["log_loss"])


def test_a_threshold_counts_as_reached() -> None:
    table = metrics.confusion(np.array([1, 0]), np.array([0.5, 0.4999]), 0.5)
    assert table["rows"].tolist() == [1, 0, 0, 1]


def test_confusion_holds_every_row_once(forecast: tuple[np.ndarray, np.ndarray]) -> None:
    table = metrics.confusion(*forecast, 0.5)
    assert table["rows"].sum() == 4000
    matrix = sk.confusion_matrix(forecast[0], forecast[1] >= 0.5).ravel()
    assert table["rows"].tolist() == matrix.tolist()


def test_a_thinned_roc_curve_keeps_its_ends_and_its_area(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    points = metrics.roc_points(*forecast)
    assert len(points) <= 200
    assert points.iloc[0][["fpr", "tpr"]].tolist() == [0, 0]
    assert points.iloc[-1][["fpr", "tpr"]].tolist() == [1, 1]
    area = np.trapz(points["tpr"], points["fpr"])
    assert area == pytest.approx(sk.roc_auc_score(*forecast), abs=0.002)
    assert np.isfinite(points["threshold"]).all()


def test_calibration_bins_hold_all_rows_and_lie_on_the_diagonal_of_a_true_forecast(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    bins = metrics.calibration_bins(*forecast)
    assert bins["rows"].sum() == 4000
    assert len(bins) == 10
    # three standard errors of a share of 400 rows
    assert ((bins["observed"] - bins["mean_predicted"]).abs() < 0.075).all()


def test_intervals_hold_the_figures_and_shrink_with_the_rows(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, probabilities = forecast
    found = metrics.classification(labels, probabilities, 0.4)
    found["calibration"] = found["mean_probability"] - found["base_rate"]
    wide = metrics.intervals(labels[:200], probabilities[:200], 0.4)
    for name, (low, high) in metrics.intervals(labels, probabilities, 0.4).items():
        assert low < found[name] < high
        assert high - low < wide[name][1] - wide[name][0]


def test_without_rows_or_with_one_class_there_are_no_intervals() -> None:
    assert metrics.intervals(np.array([], dtype=np.int64), np.array([]), 0.5) == {}
    assert metrics.intervals(np.ones(50, dtype=np.int64), np.full(50, 0.3), 0.5) == {}


def test_one_probability_for_all_is_one_bin() -> None:
    bins = metrics.calibration_bins(np.array([0, 1, 1]), np.full(3, 0.5))
    assert bins["rows"].tolist() == [3]
