"""Figures against scikit-learn, against formulas, and on edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from core.stats import calibration, curves, figure_intervals, metrics


@pytest.fixture
def forecast() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    probabilities = rng.uniform(0.05, 0.95, 4000)
    return (rng.uniform(size=4000) < probabilities).astype(np.int64), probabilities


def test_figures_are_those_of_scikit_learn(forecast: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = forecast
    figures = metrics.classification(labels, probabilities, 0.4)
    predicted = probabilities >= 0.4
    assert figures["log_loss"] == pytest.approx(sk.log_loss(labels, probabilities), abs=1e-12)
    assert figures["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities), abs=1e-12)
    assert figures["brier_score"] == pytest.approx(sk.brier_score_loss(labels, probabilities))
    assert figures["f1"] == pytest.approx(sk.f1_score(labels, predicted))
    assert figures["recall"] == pytest.approx(sk.recall_score(labels, predicted))
    assert figures["precision"] == pytest.approx(sk.precision_score(labels, predicted))
    assert figures["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    average = sk.average_precision_score(labels, probabilities)
    assert figures["average_precision"] == pytest.approx(average, abs=1e-12)


def test_always_forecasting_the_base_rate_has_no_skill() -> None:
    labels = np.array([1, 0, 0, 1, 0])
    figures = metrics.classification(labels, np.full(5, 0.4), 0.5)
    assert figures["skill"] == pytest.approx(0.0, abs=1e-12)
    assert figures["roc_auc"] == 0.5
    assert (figures["f1"], figures["precision"]) == (0.0, 0.0)


def test_log_loss_is_of_probabilities_and_sure_mistakes_stay_finite() -> None:
    figures = metrics.classification(np.array([1, 0]), np.array([0.0, 1.0]), 0.5)
    assert np.isfinite(figures["log_loss"])
    assert figures["log_loss"] > 30


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_what_does_not_exist_is_left_out(label: int) -> None:
    figures = metrics.classification(np.full(10, label), np.linspace(0.1, 0.9, 10), 0.5)
    assert "skill" not in figures
    assert "roc_auc" not in figures
    assert "average_precision" not in figures
    assert np.isfinite(figures["log_loss"])


def test_a_threshold_counts_as_reached() -> None:
    table = curves.confusion(np.array([1, 0]), np.array([0.5, 0.4999]), 0.5)
    assert table["rows"].tolist() == [1, 0, 0, 1]


def test_confusion_holds_every_row_once(forecast: tuple[np.ndarray, np.ndarray]) -> None:
    table = curves.confusion(*forecast, 0.5)
    assert table["rows"].sum() == 4000
    matrix = sk.confusion_matrix(forecast[0], forecast[1] >= 0.5).ravel()
    assert table["rows"].tolist() == matrix.tolist()


def test_a_thinned_roc_curve_keeps_its_ends_and_its_area(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    points = curves.roc_points(*forecast)
    assert len(points) <= 200
    assert points.iloc[0][["fpr", "tpr"]].tolist() == [0, 0]
    assert points.iloc[-1][["fpr", "tpr"]].tolist() == [1, 1]
    area = np.trapz(points["tpr"], points["fpr"])
    assert area == pytest.approx(sk.roc_auc_score(*forecast), abs=0.002)
    assert np.isfinite(points["threshold"]).all()


def test_calibration_bins_hold_all_rows_and_lie_on_the_diagonal_of_a_true_forecast(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    bins = calibration.calibration_bins(*forecast)
    assert bins["rows"].sum() == 4000
    assert len(bins) == 10
    # three standard errors of a share of 400 rows
    assert ((bins["observed"] - bins["mean_predicted"]).abs() < 0.075).all()


def test_intervals_hold_every_figure_and_shrink_with_the_rows(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, probabilities = forecast
    figures = metrics.classification(labels, probabilities, 0.4)
    figures["calibration"] = figures["mean_probability"] - figures["base_rate"]
    figures["calibration_error"] = calibration.calibration_error(labels, probabilities)
    wide = figure_intervals.of(labels[:200], probabilities[:200], 0.4)
    narrow = figure_intervals.of(labels, probabilities, 0.4)
    assert set(narrow) == {*metrics.TITLES, "calibration", "calibration_error"}
    for name, (low, high) in narrow.items():
        assert low <= figures[name] <= high
        assert low < high
        assert high - low < wide[name][1] - wide[name][0]


@pytest.mark.parametrize("digits", [1, 15])
def test_resampled_figures_are_those_of_the_drawn_rows(
    forecast: tuple[np.ndarray, np.ndarray], digits: int
) -> None:
    labels, probabilities = forecast[0][:300], forecast[1][:300].round(digits)
    counts = np.concatenate(list(metrics.draws(300, 5, 8)))
    figures = metrics.weighted(counts, labels, probabilities, 0.4)
    for drawn, row in zip(counts, figures.to_dict("records"), strict=True):
        rows = np.repeat(np.arange(300), drawn.astype(int))
        expected = metrics.classification(labels[rows], probabilities[rows], 0.4)
        expected["calibration"] = expected["mean_probability"] - expected["base_rate"]
        assert row == pytest.approx({name: expected[name] for name in row}, abs=1e-12)


def test_resampled_figures_do_not_depend_on_the_batch_size(
    forecast: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    probabilities = forecast[1][:300]
    floor = calibration.calibration_floor(probabilities, resamples=7)
    together = np.concatenate(list(metrics.draws(300, 7, 1)))
    monkeypatch.setattr(metrics, "_AT_ONCE", 600)
    apart = list(metrics.draws(300, 7, 1))
    assert len(apart) == 4
    np.testing.assert_array_equal(together, np.concatenate(apart))
    assert calibration.calibration_floor(probabilities, resamples=7) == pytest.approx(floor)


def test_intervals_hold_the_truth_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(5)
    truth = {"log_loss": 0.5, "roc_auc": 5 / 6, "brier_score": 1 / 6, "accuracy": 0.75}
    held = dict.fromkeys([*truth, "calibration_error"], 0)
    for _ in range(100):
        # p uniform: -E[p log p + (1 - p) log(1 - p)] = 1/2, E[p (1 - p)] = 1/6
        probabilities = rng.uniform(size=500)
        labels = (rng.uniform(size=500) < probabilities).astype(np.int64)
        intervals = figure_intervals.of(labels, probabilities, 0.5, resamples=100)
        for name, value in (truth | {"calibration_error": 0.0}).items():
            held[name] += intervals[name][0] <= value <= intervals[name][1]
    # 95 of 100 with a binomial error of 2.2; with 100 resamples a little less
    assert min(held.values()) >= 86


def test_the_interval_of_a_calibration_error_holds_the_truth_of_a_forecast_that_errs() -> None:
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(60):
        truth = rng.uniform(0.2, 0.7, 2000)
        labels = (rng.uniform(size=2000) < truth).astype(np.int64)
        low, high = figure_intervals.of(labels, truth + 0.1, 0.5, resamples=100)[
            "calibration_error"
        ]
        held += low <= 0.1 <= high
        assert low > 0.02
    assert held >= 50


def test_without_rows_or_with_one_class_there_are_no_intervals() -> None:
    assert figure_intervals.of(np.array([], dtype=np.int64), np.array([]), 0.5) == {}
    assert figure_intervals.of(np.ones(50, dtype=np.int64), np.full(50, 0.3), 0.5) == {}


def test_one_probability_for_all_is_one_bin() -> None:
    bins = calibration.calibration_bins(np.array([0, 1, 1]), np.full(3, 0.5))
    assert bins["rows"].tolist() == [3]


def test_values_of_a_tree_that_is_sure_are_bins_of_their_own() -> None:
    labels, probabilities = np.array([1, 0, 1, 0]), np.array([0.0, 0.0, 1.0, 1.0])
    bins = calibration.calibration_bins(labels, probabilities)
    assert bins["mean_predicted"].tolist() == [0.0, 1.0]
    # in one bin the mistakes of both sides would cancel out
    assert calibration.calibration_error(labels, probabilities) == 0.5


@pytest.mark.parametrize("size", [1, 7, 10, 11, 1003])
def test_bins_are_of_equal_count_where_no_values_are_equal(size: int) -> None:
    values = np.random.default_rng(size).permutation(size) / size
    place = calibration.equal_count_bins(values, 10)
    rows = np.bincount(place)
    assert len(rows) == min(size, 10)
    assert rows.max() - rows.min() <= 1
    assert (np.diff(place[np.argsort(values)]) >= 0).all()


def test_equal_values_stay_in_one_bin() -> None:
    values = np.random.default_rng(0).integers(0, 30, 500).astype(float)
    place = calibration.equal_count_bins(values, 5)
    assert all(len(set(place[values == value])) == 1 for value in values)
    assert set(place) == set(range(place.max() + 1))


def test_a_calibration_error_is_the_weighted_mean_of_the_gaps() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([0.1, 0.1, 0.1, 0.1, 0.7, 0.7])
    # gaps of 0.15 in four rows and 0.3 in two
    expected = (4 * 0.15 + 2 * 0.3) / 6
    assert calibration.calibration_error(labels, probabilities) == pytest.approx(expected)
    assert calibration.calibration_error(labels[:1], probabilities[:1]) == pytest.approx(0.1)
    assert np.isnan(calibration.calibration_error(labels[:0], probabilities[:0]))


def test_the_floor_is_what_chance_gives_and_falls_with_the_rows() -> None:
    rng = np.random.default_rng(2)
    above = 0
    for _ in range(200):
        probabilities = rng.uniform(size=400)
        labels = (rng.uniform(size=400) < probabilities).astype(np.int64)
        _, q95 = calibration.calibration_floor(probabilities)
        above += calibration.calibration_error(labels, probabilities) > q95
    # 10 of 200 with a binomial error of 3
    assert 2 <= above <= 20
    few, many = (calibration.calibration_floor(np.full(rows, 0.5))[0] for rows in (100, 10_000))
    # of one bin the error is the size of a normal deviate: sqrt(2 / pi) standard errors
    assert few == pytest.approx(np.sqrt(2 / np.pi) * 0.05, rel=0.15)
    assert many == pytest.approx(few / 10, rel=0.2)
    assert calibration.calibration_floor(np.array([0.0, 1.0])) == (0.0, 0.0)
    assert np.isnan(calibration.calibration_floor(np.array([]))).all()


@pytest.mark.parametrize("bins", [1, 4, 10, 5000])
def test_the_parts_of_the_brier_score_add_up(
    forecast: tuple[np.ndarray, np.ndarray], bins: int
) -> None:
    labels, probabilities = forecast
    parts = calibration.brier_parts(labels, probabilities, bins)
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    assert total == pytest.approx(sk.brier_score_loss(labels, probabilities), abs=1e-12)
    assert parts["uncertainty"] == pytest.approx(labels.mean() * (1 - labels.mean()))


def test_the_parts_of_the_brier_score_are_murphys_where_bins_hold_one_forecast() -> None:
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    probabilities = np.repeat([0.2, 0.6], 4)
    parts = calibration.brier_parts(labels, probabilities)
    assert parts["reliability"] == pytest.approx((0.05**2 + 0.15**2) / 2)
    assert parts["resolution"] == pytest.approx(0.25**2)
    assert parts["uncertainty"] == pytest.approx(0.25)
    constant = calibration.brier_parts(labels, np.full(8, 0.5))
    assert constant == pytest.approx({"reliability": 0, "resolution": 0, "uncertainty": 0.25})


def test_a_thinned_pr_curve_keeps_its_ends_and_its_area(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    points = curves.pr_points(*forecast)
    assert len(points) <= 200
    assert points.iloc[-1][["recall", "precision"]].tolist() == [0, 1]
    assert points.iloc[0]["recall"] == 1
    assert points.iloc[0]["precision"] == pytest.approx(forecast[0].mean(), abs=0.001)
    area = -np.sum(np.diff(points["recall"]) * points["precision"].to_numpy()[:-1])
    assert area == pytest.approx(sk.average_precision_score(*forecast), abs=0.005)
    assert np.isfinite(points["threshold"]).all()


def test_gain_is_the_share_found_in_the_most_probable_rows(
    forecast: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, probabilities = forecast
    points = curves.gain_points(labels, probabilities)
    assert len(points) <= 200
    assert points.iloc[0][["share_rows", "share_found"]].tolist() == [0, 0]
    assert points.iloc[-1][["share_rows", "share_found"]].tolist() == [1, 1]
    for row in points.iloc[1::40].itertuples():
        first = probabilities >= row.threshold
        assert row.share_rows == pytest.approx(first.mean())
        assert row.share_found == pytest.approx(labels[first].sum() / labels.sum())


def test_the_order_of_equal_probabilities_gains_nothing() -> None:
    points = curves.gain_points(np.array([1, 1, 0, 0]), np.full(4, 0.5))
    assert points[["share_rows", "share_found"]].to_numpy().tolist() == [[0, 0], [1, 1]]


def test_without_a_label_1_there_is_no_recall_and_no_gain() -> None:
    labels, probabilities = np.zeros(3, dtype=np.int64), np.array([0.2, 0.3, 0.4])
    assert curves.pr_points(labels, probabilities).empty
    assert curves.gain_points(labels, probabilities).empty
