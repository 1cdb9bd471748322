"""Limits keep their promise: rare alarms by chance at any size, and one when it matters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import chance, checks, drift, limits, metrics, performance
from core.stats.limits import Limit
from tests.populations import FEATURES, learned, population, report


@pytest.mark.parametrize("rows", [1000, 4000])
def test_a_change_that_matters_is_an_alarm_at_any_size_that_can_tell(rows: int) -> None:
    reference = population(1500, 3)
    learned_limits = learned(reference, rows).limits
    turned = population(rows, 7)
    turned["courtside_label"] = 1 - turned["courtside_label"]
    verdicts = {check.code: check.verdict for check in report(reference, turned, learned_limits)}
    assert verdicts["skill"] == verdicts["roc_auc"] == "alert"
    moved = population(rows, 8)
    moved["x"] = moved["x"] * 2
    verdicts = {check.code: check.verdict for check in report(reference, moved, learned_limits)}
    assert verdicts["psi.x"] == "alert"
    assert "alert" not in {verdicts["skill"], verdicts["roc_auc"], verdicts["psi.kind"]}


def test_a_difference_that_does_not_matter_is_no_alarm_however_many_rows() -> None:
    reference = population(5000, 4)
    learned_limits = learned(reference, 10_000, windows=200).limits
    window = population(10_000, 9)
    window["x"] = window["x"] * 1.08  # surely more than chance at this size
    table = drift.by_feature(reference, window, ["x"])
    assert table["ks_p_value"][0] < 0.01
    assert {check.verdict for check in checks.inputs(table, learned_limits)} == {"ok"}


def test_limits_are_never_tighter_than_what_matters_and_set_ones_win() -> None:
    reference = population(1000, 5)
    mine = {"psi.x": Limit(warning_high=0.5, alert_high=0.9)}
    result = learned(reference, 300, chosen=mine, windows=300)
    assert (result.limits["psi.x"].alert_high, result.limits["psi.x"].source) == (0.9, "set")
    learned_limits = result.limits
    sheet = limits._ReferenceSampler(reference, 0.5, 0)
    usual = performance.floors(sheet.middle) | {
        code: checks.usual(code.split(".")[0]) for code in learned_limits if "." in code
    }
    for code, limit in learned_limits.items():
        for name in ("warning", "alert"):
            low, high = getattr(limit, f"{name}_low"), getattr(limit, f"{name}_high")
            assert low is None or low <= getattr(usual[code], f"{name}_low")
            assert high is None or high >= getattr(usual[code], f"{name}_high")


def test_resampled_counts_give_the_figures_of_the_checks() -> None:
    """Counts over the reference give the same figures as the rows themselves."""
    reference = population(400, 6)
    sheet = limits._ReferenceSampler(reference, 0.5, 0)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 400, 300)
    counts = np.bincount(drawn, minlength=400)[None, :].astype(float)
    window = reference.iloc[drawn].reset_index(drop=True)
    exact = metrics.classification(
        window["courtside_label"].to_numpy(), window["courtside_probability"].to_numpy(), 0.5
    )
    figures = sheet.figures(counts)
    for code in ("log_loss", "skill", "roc_auc", "brier_score", "f1", "precision", "recall"):
        assert figures[code][0] == pytest.approx(exact[code], abs=1e-9)


def test_a_smaller_difference_needs_more_labels() -> None:
    reference = population(2000, 7)
    result = learned(reference, 500, windows=300)
    assert result.labels_needed["f1"] < result.labels_needed["skill"]
    assert (
        learned(reference, 500, windows=300, target=0.001).labels_needed["skill"]
        > (result.labels_needed["skill"])
    )


def test_a_reference_without_skill_has_none_to_lose() -> None:
    reference = population(1000, 11).assign(courtside_probability=0.5)
    window = population(400, 12).assign(courtside_probability=0.5)
    learned_limits = learned(reference, 400, windows=200).limits
    assert "alert" not in {
        check.verdict for check in report(reference, window, learned_limits)[:10]
    }


def test_without_enough_labels_only_what_needs_none_is_learned() -> None:
    result = limits.learn(
        population(500, 8), features=FEATURES, rows=400, labels=99, threshold=0.5, windows=200
    )
    assert not {"skill", "roc_auc"} & set(result.limits)
    assert {"psi.x", "psi.courtside_probability"} <= set(result.limits)


def odd(rows: int, seed: int) -> pd.DataFrame:
    """Columns that have nothing to compare, or next to nothing."""
    rng = np.random.default_rng(seed)
    forecast = np.clip(rng.normal(0.5, 0.2, rows), 0.01, 0.99)
    frame = pd.DataFrame(
        {
            "empty": np.full(rows, np.nan),
            "no_text": pd.Series([None] * rows, dtype="object"),
            "constant": 3.0,
            "one_level": "a",
            "all_unique": [f"row {seed} {place}" for place in range(rows)],
            "nearly_empty": np.where(np.arange(rows) == 0, 1.0, np.nan),
            "two": rng.integers(0, 2, rows).astype(float),
            "atom": np.where(rng.uniform(size=rows) < 0.9, 0.0, rng.exponential(size=rows)),
            "gaps": np.where(rng.uniform(size=rows) < 0.3, np.nan, rng.normal(size=rows)),
            "huge": rng.normal(size=rows) * 1e300,
        }
    )
    return frame.assign(
        courtside_probability=forecast,
        courtside_label=(rng.uniform(size=rows) < forecast).astype(np.int64),
    )


def lies_beyond(limit_by_code: dict[str, Limit]) -> None:
    for code, limit in limit_by_code.items():
        if limit.warning_high is not None and limit.alert_high is not None:
            assert limit.alert_high >= limit.warning_high, code
        if limit.warning_low is not None and limit.alert_low is not None:
            assert limit.alert_low <= limit.warning_low, code
        # without a limit for a warning there is none for an alert
        if limit.warning_high is limit.warning_low is None:
            assert limit.alert_high is limit.alert_low is None, code


@pytest.mark.parametrize("target", [0.001, 0.2])
@pytest.mark.parametrize("size", [120, 900])
def test_an_alert_lies_at_or_beyond_the_warning_whatever_the_columns(
    size: int, target: float
) -> None:
    reference = odd(size, size)
    features = [
        name for name in reference if name not in ("courtside_probability", "courtside_label")
    ]
    for rows, labels in ((60, 0), (4000, 300)):
        result = limits.learn(
            reference,
            features=features,
            rows=rows,
            labels=labels,
            threshold=0.5,
            target=target,
            windows=60,
            tells_needed=False,
        )
        lies_beyond(dict(result.limits))
        assert 0 <= result.false_alarms <= target + 1e-12
        assert result.false_alarms <= result.warnings <= 2 * target + 1e-12


def test_columns_with_nothing_to_compare_break_nothing_and_say_why() -> None:
    reference, window = odd(600, 1), odd(300, 2)
    features = [
        name for name in reference if name not in ("courtside_probability", "courtside_label")
    ]
    learned_limits = limits.learn(
        reference, features=features, rows=300, labels=300, threshold=0.5, windows=100
    ).limits
    moved = drift.by_feature(reference, window, features)
    by_code = {check.code: check for check in checks.inputs(moved, learned_limits)}
    for name in ("empty", "no_text"):
        check = by_code[f"psi.{name}"]
        assert (check.verdict, check.state) == ("not_applicable", "reference_empty")
        assert check.text
        assert check.todo
    assert by_code["unseen.all_unique"].state == "no_limit"
    assert by_code["unseen.all_unique"].value == 1.0
    assert {check.verdict for check in by_code.values()} == {"ok", "not_applicable"}
    # a column that was empty and is filled now, or the reverse, is reported
    filled = drift.by_feature(reference, window.assign(empty=1.5, two=np.nan), features)
    by_code = {check.code: check for check in checks.inputs(filled, learned_limits)}
    assert by_code["unseen.empty"].verdict == by_code["missing.two"].verdict == "alert"


def test_the_promise_includes_limits_set_by_a_person() -> None:
    reference = population(1000, 5)
    tight = {"ks.x": Limit(alert_high=0.01)}
    result = learned(reference, 300, chosen=tight, windows=100, tells_needed=False)
    assert result.false_alarms > 0.9
    assert result.limits["ks.x"].alert_high == 0.01


def test_numbers_out_of_range_are_as_frequent_as_the_distribution_says() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.uniform(size=(20_000, 60)), rng.uniform(size=(20_000, 40))
    low, high = (side[:, None] for side in (reference.min(axis=1), reference.max(axis=1)))
    share = ((current < low) | (current > high)).mean(axis=1)
    tail = chance.beyond_both_ends(60, 40)
    for value in (0.025, 0.05, 0.1, 0.2):
        error = np.sqrt(tail.share(value) / 20_000)
        assert (share >= value - 1e-9).mean() == pytest.approx(tail.share(value), abs=5 * error)
