"""Statistics by sampling weight: a whole weight is as many equal rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.monitoring import report
from core.platform.own_columns import LABEL, PROBABILITY, WEIGHT
from core.scoring import label_sums
from core.stats import calibration, comparison, curves, limits, slices, thresholds, weighted_figures

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
    parts = calibration.brier_parts(LABELS, FORECAST, weights=WEIGHTS)
    score = weighted_figures.figures(LABELS, FORECAST, 0.5, WEIGHTS)["brier_score"]
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    assert total == pytest.approx(score)
    ones = np.ones(300)
    for of in (calibration.calibration_error, calibration.brier_parts):
        assert of(LABELS, FORECAST, weights=ones) == pytest.approx(of(LABELS, FORECAST))
    assert calibration.calibration_floor(FORECAST, weights=ones) == calibration.calibration_floor(
        FORECAST
    )


def test_candidates_are_compared_by_weight() -> None:
    forecasts = {"a": FORECAST, "b": np.full(300, 0.4)}
    by_weight = comparison.against_best(LABELS, forecasts, "a", WEIGHTS).iloc[0]
    repeated = comparison.against_best(
        LABELS[ROWS], {name: side[ROWS] for name, side in forecasts.items()}, "a"
    ).iloc[0]
    assert by_weight["difference"] == pytest.approx(repeated["difference"])
    assert by_weight["log_loss"] == pytest.approx(repeated["log_loss"])
    # 300 rows carry less information than the 600 that they represent
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


def test_curves_are_those_of_the_population() -> None:
    for points in (curves.roc_points, curves.pr_points, curves.gain_points):
        by_weight = points(LABELS, FORECAST, weights=WEIGHTS)
        pd.testing.assert_frame_equal(by_weight, points(LABELS[ROWS], FORECAST[ROWS]))
    bins = calibration.calibration_bins(LABELS, FORECAST, weights=WEIGHTS)
    total = np.average(FORECAST, weights=WEIGHTS)
    assert bins["mean_predicted"].between(0, 1).all()
    assert bins["mean_predicted"].iloc[0] < total < bins["mean_predicted"].iloc[-1]
    # rows of unequal weight say less than as many of equal weight
    assert 0.5 * len(LABELS) < bins["rows"].sum() < len(LABELS)
    ones = calibration.calibration_bins(LABELS, FORECAST, weights=np.full(300, 7.0))
    pd.testing.assert_frame_equal(ones, calibration.calibration_bins(LABELS, FORECAST))


def test_slices_are_judged_by_weight() -> None:
    kind = pd.DataFrame({"kind": np.where(np.arange(300) % 3, "a", "b")})
    columns = ["value", "base_rate", "mean_probability", "gap", "log_loss", "skill", "f1"]
    tables = [
        slices.by_slice(*side, ["kind"], 0.5, weights=by).sort_values("value")[columns]
        for side, by in (
            ((kind, LABELS, FORECAST), WEIGHTS),
            ((kind.iloc[ROWS], LABELS[ROWS], FORECAST[ROWS]), None),
        )
    ]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in tables))
    equal, plain = (
        slices.by_slice(kind, LABELS, FORECAST, ["kind"], 0.5, weights=by)
        for by in (np.full(300, 2.0), None)
    )
    pd.testing.assert_frame_equal(equal, plain)
    # a model of the population is not biased, though it is far off the rows
    strong = np.where(LABELS == 1, 9.0, 1.0)
    rate = np.full(300, np.average(LABELS, weights=strong))
    findings = [
        set(slices.by_slice(kind, LABELS, rate, ["kind"], 0.5, weights=by)["finding"])
        for by in (strong, None)
    ]
    assert "biased" not in findings[0]
    assert findings[1] == {"biased"}


def test_a_row_of_weight_0_is_in_no_slice() -> None:
    kind = pd.DataFrame({"kind": ["a"] * 150 + ["b"] * 150})
    weights = np.r_[np.zeros(150), np.ones(150)]
    table = slices.by_slice(kind, LABELS, FORECAST, ["kind"], 0.5, weights=weights)
    assert dict(zip(table["value"], table["rows"], strict=True)) == {"a": 0, "b": 150}


def test_harm_and_calibration_are_judged_by_weight() -> None:
    kind = pd.DataFrame({"kind": ["a"] * 300})
    worse = np.clip(FORECAST + 0.2, 0, 0.99)
    harm, repeated = (
        slices.harm(frame, labels, new, old, ["kind"], weights=by).iloc[0]
        for frame, labels, new, old, by in (
            (kind, LABELS, worse, FORECAST, WEIGHTS),
            (kind.iloc[ROWS], LABELS[ROWS], worse[ROWS], FORECAST[ROWS], None),
        )
    )
    assert harm["difference"] == pytest.approx(repeated["difference"])
    change, (low, high) = calibration.calibration_change(LABELS, worse, FORECAST, weights=WEIGHTS)
    assert low < change < high
    assert change == pytest.approx(
        calibration.calibration_error(LABELS, worse, weights=WEIGHTS)
        - calibration.calibration_error(LABELS, FORECAST, weights=WEIGHTS)
    )


def test_versions_are_compared_by_weight() -> None:
    other = np.full(300, 0.4)
    by_weight = comparison.paired(LABELS, FORECAST, other, 0.5, 0.5, WEIGHTS).set_index("metric")
    repeated = comparison.paired(LABELS[ROWS], FORECAST[ROWS], other[ROWS], 0.5, 0.5).set_index(
        "metric"
    )
    for name in comparison.COMPARED:
        line = by_weight.loc[name]
        assert line["difference"] == pytest.approx(repeated.loc[name, "difference"]), name
        assert line["low"] < line["difference"] < line["high"], name
