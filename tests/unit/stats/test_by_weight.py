"""Statistics by sampling weight: a whole weight is as many equal rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.monitoring import report
from core.platform.own_columns import LABEL, PROBABILITY, WEIGHT
from core.scoring import label_sums
from core.stats import (
    calibration,
    comparison,
    curves,
    densities,
    drift,
    intervals,
    limits,
    slices,
    support,
    thresholds,
    weighted_figures,
)

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


def population_of(rows: int, seed: int, move: float = 0.0) -> pd.DataFrame:
    """Return columns of every kind; quantiles fall on rounded numbers."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=rows) + move).round(1)
    return pd.DataFrame(
        {
            "x": x,
            "holes": np.where(rng.uniform(size=rows) < 0.2 + 0.2 * move, np.nan, x),
            "few": rng.integers(0, 4, rows) + (rng.uniform(size=rows) < move),
            "t": rng.choice(list("abcdz" if move else "abcd"), rows),
            PROBABILITY: rng.uniform(size=rows).round(1) ** (1 + move),
        }
    )


def sides_with_weights() -> list[tuple[pd.DataFrame, np.ndarray, pd.DataFrame]]:
    """Return two sets of rows, their whole weights, and each row as often as it weighs."""
    sides = []
    for seed, move in ((1, 0.0), (2, 0.5)):
        rows = population_of(900, seed, move)
        # more of the high values: the population is not that of the rows
        weights = np.random.default_rng(seed).integers(1, 4, 900) + 2 * (rows["x"] > 0.3)
        repeated = rows.loc[rows.index.repeat(weights)].reset_index(drop=True)
        sides.append((rows, weights.to_numpy(np.float64), repeated))
    return sides


def test_drift_is_that_of_the_population() -> None:
    (old, of_old, all_old), (new, of_new, all_new) = sides_with_weights()
    columns = list(old.columns)
    by_weight = drift.by_feature(old, new, columns, weights=(of_old, of_new))
    repeated = drift.by_feature(all_old, all_new, columns)
    # p-values and chi-square follow the number of rows, and repeated rows are not more of them
    of_size = ["ks_p_value", "chi2", "chi2_p_value"]
    # of rows, not of the population
    of_size += ["cramers_v", "unseen", "out_of_range"]
    shares = by_weight.columns.difference(of_size, sort=False)
    pd.testing.assert_frame_equal(by_weight[shares], repeated[shares], rtol=1e-9)
    plain = drift.by_feature(old, new, columns)
    measured = ["psi", "ks", "js"]
    assert (by_weight[measured] - plain[measured]).abs().max().min() > 0.005
    named = by_weight["chi2"].notna()
    assert named.sum() == 3
    assert (by_weight["chi2"] < repeated["chi2"])[named].all()
    numbers = by_weight["ks"].notna()
    assert (by_weight["ks_p_value"] > repeated["ks_p_value"])[numbers].all()


def test_cramers_v_is_that_of_the_population() -> None:
    # it depends on the ratio of both sides' rows, which is the same here
    old = pd.DataFrame({"t": list("abcd") * 100})
    new = pd.DataFrame({"t": list("aabd") * 100})
    weights = np.tile([1.0, 3.0, 2.0, 2.0], 100)
    by_weight = drift.by_feature(old, new, ["t"], weights=(weights, weights))
    repeated = drift.by_feature(
        *(side.loc[side.index.repeat(weights.astype(int))] for side in (old, new)), ["t"]
    )
    assert by_weight["cramers_v"][0] == pytest.approx(repeated["cramers_v"][0])


@pytest.mark.parametrize("scale", [1.0, 1e-6, 3.0, 1e9])
def test_equal_weights_change_no_drift_and_no_limit(scale: float) -> None:
    old, new = population_of(400, 3), population_of(300, 4, 0.3)
    columns = list(old.columns)
    weights = np.full(400, scale), np.full(300, scale)
    pd.testing.assert_frame_equal(
        drift.by_feature(old, new, columns, weights=weights), drift.by_feature(old, new, columns)
    )
    counted = [densities.densities(old, new, columns, weights=by) for by in (None, weights)]
    pd.testing.assert_frame_equal(*counted)
    labelled = old.assign(**{LABEL: 1, WEIGHT: scale})
    plain, by_weight = (
        limits.learn(
            labelled,
            features=columns[:-1],
            rows=300,
            effective=by,
            labels=0,
            threshold=0.5,
            windows=40,
            tells_needed=False,
        )
        for by in (None, drift.effective_rows(old, new, columns, weights))
    )
    assert plain == by_weight


def test_a_row_of_weight_0_is_in_no_distance() -> None:
    old, new = population_of(400, 3), population_of(300, 4, 0.3)
    columns = list(old.columns)
    far = new.assign(x=99.0, t="new", few=77)
    weights = np.r_[np.ones(300), np.zeros(300)]
    both = pd.concat([new, far], ignore_index=True)
    pd.testing.assert_frame_equal(
        drift.by_feature(old, both, columns, weights=(np.ones(400), weights)),
        drift.by_feature(old, new, columns),
    )
    parts = [
        support.measure(old, side, columns, weights=(np.ones(400), by))
        for side, by in ((both, weights), (new, np.ones(300)))
    ]
    assert parts[0].outside_share == parts[1].outside_share
    assert parts[0].domain_auc == parts[1].domain_auc


def test_densities_have_the_shares_of_the_population_and_count_rows() -> None:
    (old, of_old, all_old), (new, of_new, all_new) = sides_with_weights()
    columns = list(old.columns)
    by_weight = densities.densities(old, new, columns, weights=(of_old, of_new))
    repeated = densities.densities(all_old, all_new, columns)
    names = ["feature", "set", "label", "share"]
    pd.testing.assert_frame_equal(by_weight[names], repeated[names])
    rows = by_weight[by_weight["set"] == "current"].groupby("feature")["rows"].sum()
    assert rows["x"] == 900


def test_limits_of_columns_are_those_of_the_effective_number_of_rows() -> None:
    rows = population_of(600, 5).assign(**{LABEL: 1, WEIGHT: 1.0})
    # a quarter of the rows has all but all of the weight
    uneven = rows.assign(**{WEIGHT: np.where(np.arange(600) % 4, 0.001, 1.0)})
    few = rows[np.arange(600) % 4 == 0]
    # of the current rows as well
    by = np.where(np.arange(400) % 4, 0.001, 1.0)
    strong, equal, small = (
        limits.learn(
            frame,
            features=["x", "t", "holes"],
            rows=400,
            effective=drift.effective_rows(
                frame, rows[:400], ["x", "t", "holes"], (frame[WEIGHT].to_numpy(), by)
            ),
            labels=0,
            threshold=0.5,
            windows=80,
            tells_needed=False,
        ).limits
        for frame in (uneven, rows, few)
    )
    for code in ("psi.x", "ks.x", "psi.t", "js.t", "missing.holes"):
        limit = [side[code].alert_high or 0.0 for side in (strong, equal, small)]
        assert limit[0] == pytest.approx(limit[2], rel=0.15), code
    assert (strong["ks.x"].warning_high or 0) > (equal["ks.x"].warning_high or 0)
    # of rows, not of the population
    assert strong["range.x"] == equal["range.x"]


def test_a_bin_of_few_heavy_rows_says_less_than_the_rows_together() -> None:
    rows = pd.DataFrame({"t": ["a"] * 990 + ["b"] * 10, "even": list("ab") * 500})
    weights = np.where(rows["t"] == "b", 20.0, 1.0)
    whole = intervals.effective(weights).sum()
    of_t, of_even = drift.effective_rows(rows, rows, ["t", "even"], (weights, weights)).values()
    # the variance of the share of b, by its linearization
    share = np.average(rows["t"] == "b", weights=weights)
    apart = (weights * ((rows["t"] == "b") - share)) / weights.sum()
    assert of_t == pytest.approx([share * (1 - share) / (apart**2).sum()] * 2)
    assert of_t[0] < of_even[0] <= whole


def test_an_auc_by_weight_is_that_of_repeated_scores() -> None:
    low, high = FORECAST[LABELS == 0], FORECAST[LABELS == 1]
    of_low, of_high = WEIGHTS[LABELS == 0], WEIGHTS[LABELS == 1]
    auc, error = intervals.delong(low, high, (of_low, of_high))
    repeated = intervals.delong(
        np.repeat(low, of_low.astype(int)), np.repeat(high, of_high.astype(int))
    )
    assert auc == pytest.approx(repeated[0])
    # rows of unequal weight say less than as many of equal weight, and more than the repeated
    plain = intervals.delong(low, high)
    assert intervals.delong(low, high, (of_low * 0 + 7, of_high * 0 + 2)) == pytest.approx(plain)
    assert repeated[1] < plain[1] < error


def test_the_support_is_that_of_the_population() -> None:
    rng = np.random.default_rng(8)
    trained, old, new = (
        pd.DataFrame(rng.normal(size=(rows, 2)), columns=list("ab")) for rows in (800, 500, 500)
    )
    new.loc[:99, "a"] += 9
    of_old = rng.integers(1, 4, 500).astype(float)
    of_new = np.where(np.arange(500) < 100, 4.0, 1.0)
    by_weight = support.measure(old, new, ["a", "b"], trained_on=trained, weights=(of_old, of_new))
    repeated = support.measure(
        *(
            side.loc[side.index.repeat(by.astype(int))]
            for side, by in ((old, of_old), (new, of_new))
        ),
        ["a", "b"],
        trained_on=trained,
    )
    assert by_weight.outside_share == pytest.approx(repeated.outside_share)
    assert by_weight.outside_share > 0.5
    assert by_weight.outside_reference == pytest.approx(repeated.outside_reference)
    widths = [side.outside_high - side.outside_low for side in (by_weight, repeated)]
    assert widths[0] > widths[1]
    plain = support.measure(old, new, ["a", "b"], trained_on=trained)
    # half of the population is apart, a fifth of the rows
    assert by_weight.domain_auc > plain.domain_auc + 0.1
    assert by_weight.domain_low < by_weight.domain_auc < by_weight.domain_high


def test_weights_that_undo_a_selection_leave_no_drift() -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=40_000)
    p = 1 / (1 + np.exp(-x))
    rows = pd.DataFrame(
        {"x": x, PROBABILITY: p, LABEL: (rng.uniform(size=len(x)) < p).astype(float)}
    )
    # the current rows were selected by x, and weigh what that left out
    chance = np.where(x > 0, 0.9, 0.15)
    old = rows[:4000].assign(**{WEIGHT: 1.0})
    drawn = rows[4000:][rng.uniform(size=len(x) - 4000) < chance[4000:]][:4000]
    new = drawn.assign(**{WEIGHT: 1 / chance[drawn.index]})
    codes = {"psi.x", "ks.x", "js.x", f"psi.{PROBABILITY}", f"ks.{PROBABILITY}", "domain_auc"}
    weighed, partly = (
        {
            check.code: check.verdict
            for check in report.build(
                report.Sides(old.reset_index(drop=True), side.reset_index(drop=True), ("x",), 0.5)
            ).checks
        }
        for side in (new, new.assign(**{LABEL: np.nan, WEIGHT: np.nan}))
    )
    assert {weighed[code] for code in codes} == {"ok"}
    assert {partly[code] for code in codes - {"domain_auc"}} == {"alert"}
