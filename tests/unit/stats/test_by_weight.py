"""Statistics by sampling weight: a whole weight is as many equal rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.monitoring import report
from core.platform.own_columns import LABEL, PROBABILITY, WEIGHT
from core.scoring import label_sums
from core.stats import comparison, limits, metrics, thresholds, weighted_figures

RNG = np.random.default_rng(11)
FORECAST = RNG.uniform(size=300).round(2)
LABELS = (RNG.uniform(size=300) < FORECAST**2).astype(np.int64)
WEIGHTS = RNG.integers(1, 4, 300).astype(float)
# the same population, each row as often as it weighs
ROWS = np.repeat(np.arange(300), WEIGHTS.astype(int))


@pytest.mark.parametrize("aim", ["f1", "cost", "balanced"])
def test_a_threshold_is_chosen_by_weight(aim: thresholds.Aim) -> None:
    by_weight = thresholds.choose(LABELS, FORECAST, aim, 2.0, 1.0, weights=WEIGHTS)
    repeated = thresholds.choose(LABELS[ROWS], FORECAST[ROWS], aim, 2.0, 1.0)
    assert by_weight.threshold == repeated.threshold
    assert by_weight.value == pytest.approx(repeated.value)


def test_the_trade_off_has_the_rates_of_the_population() -> None:
    by_weight = thresholds.trade_off(LABELS, FORECAST, weights=WEIGHTS)
    repeated = thresholds.trade_off(LABELS[ROWS], FORECAST[ROWS])
    rates = ["threshold", "precision", "recall", "specificity", "f1", "share_positive"]
    pd.testing.assert_frame_equal(by_weight[rates], repeated[rates])
    assert by_weight[["tp", "fp", "fn", "tn"]].sum(axis=1).to_numpy() == pytest.approx(len(LABELS))


def test_calibration_and_the_parts_of_the_brier_score_are_by_weight() -> None:
    parts = metrics.brier_parts(LABELS, FORECAST, weights=WEIGHTS)
    score = weighted_figures.figures(LABELS, FORECAST, 0.5, WEIGHTS)["brier_score"]
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    assert total == pytest.approx(score)
    ones = np.ones(300)
    for of in (metrics.calibration_error, metrics.brier_parts):
        assert of(LABELS, FORECAST, weights=ones) == pytest.approx(of(LABELS, FORECAST))
    assert metrics.calibration_floor(FORECAST, weights=ones) == metrics.calibration_floor(FORECAST)


def test_candidates_are_compared_by_weight() -> None:
    forecasts = {"a": FORECAST, "b": np.full(300, 0.4)}
    by_weight = comparison.against_best(LABELS, forecasts, "a", WEIGHTS).iloc[0]
    repeated = comparison.against_best(
        LABELS[ROWS], {name: side[ROWS] for name, side in forecasts.items()}, "a"
    ).iloc[0]
    assert by_weight["difference"] == pytest.approx(repeated["difference"])
    assert by_weight["log_loss"] == pytest.approx(repeated["log_loss"])
    # 300 rows know less than the 600 that they stand for
    spans = [side["high"] - side["low"] for side in (by_weight, repeated)]
    assert spans[0] > 1.2 * spans[1]


def test_sums_of_batches_are_by_weight() -> None:
    sums = label_sums.Sums()
    for part in (slice(0, 100), slice(100, None)):
        sums.add(LABELS[part], FORECAST[part], 0.5, WEIGHTS[part])
    whole = weighted_figures.figures(LABELS, FORECAST, 0.5, WEIGHTS)
    assert sums.figures() == pytest.approx({name: whole[name] for name in sums.figures()})


def test_a_report_counts_rows_by_weight_in_figures_and_limits() -> None:
    rows = pd.DataFrame({"x": FORECAST, PROBABILITY: FORECAST, LABEL: LABELS})
    weighted = rows.assign(**{WEIGHT: WEIGHTS})
    figures = report.figures(weighted, 0.5)
    assert figures["base_rate"] == pytest.approx(LABELS[ROWS].mean())
    plain, equal, strong = (
        limits.learn(
            frame, features=["x"], rows=200, labels=200, threshold=0.5, windows=80, seed=1
        ).limits
        for frame in (
            rows,
            rows.assign(**{WEIGHT: 1.0}),
            rows.assign(**{WEIGHT: np.where(LABELS == 1, 9.0, 1.0)}),
        )
    )
    assert plain == equal
    # what chance does is of the weighted reference: its columns are not
    assert strong["log_loss"] != plain["log_loss"]
    assert strong["psi.x"].warning_high == pytest.approx(plain["psi.x"].warning_high, rel=0.5)
