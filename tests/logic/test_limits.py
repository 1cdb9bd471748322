"""Limits hold what they promise: no alarm by chance, at any size, and one where it matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core import project
from core.logic import checks, drift, limits, metrics
from core.logic.limits import Limit

FEATURES = ["x", "kind"]


def population(rows: int, seed: int) -> pd.DataFrame:
    """Rows of a weak forecast of a skewed number and a few-valued one, calibrated."""
    rng = np.random.default_rng(seed)
    x, kind = rng.exponential(1, rows), rng.integers(0, 3, rows)
    forecast = 1 / (1 + np.exp(-(0.5 * (x - 1) + 0.3 * (kind - 1))))
    label = (rng.uniform(size=rows) < forecast).astype(int)
    return pd.DataFrame({"x": x, "kind": kind, "probability": forecast, "label": label})


def report(
    reference: pd.DataFrame, window: pd.DataFrame, known: dict[str, Limit]
) -> list[checks.Check]:
    """All checks of a window that `limits` knows, made as a report makes them."""

    def figures(rows: pd.DataFrame) -> dict[str, float]:
        pair = rows["label"].to_numpy(dtype=np.int64), rows["probability"].to_numpy()
        return {
            **metrics.classification(*pair, 0.5),
            "calibration_error": metrics.calibration_error(*pair),
        }

    moved = drift.by_feature(reference, window, [*FEATURES, "probability"])
    return [
        *checks.performance(figures(reference), figures(window), len(window), None, known),
        *checks.outputs(moved, known),
        *checks.inputs(moved, known),
    ]


def learned(reference: pd.DataFrame, rows: int, **values: object) -> limits.Learned:
    return limits.learn(
        reference, features=FEATURES, rows=rows, labels=rows, threshold=0.5, **values
    )


@pytest.mark.parametrize("rows", [150, 1200])
def test_10_000_windows_of_the_reference_give_the_promised_rate(rows: int) -> None:
    reference = population(1000, 1)
    found = learned(reference, rows)
    share, low, high = limits.alarm_rate(
        reference, found, features=FEATURES, threshold=0.5, windows=10_000, seed=99
    )
    # both are measured, so their intervals meet; and it is no more than was asked for by much
    assert low <= found.false_alarms_high
    assert high >= found.false_alarms_low
    assert share < 1.5 * found.target


def test_10_000_windows_of_the_real_reference_give_the_promised_rate(
    real_dir: Path,
) -> None:
    from sklearn.linear_model import LogisticRegression

    spec = project.load("kobe")
    names = list(spec.features)
    rows = pd.read_parquet(real_dir / "dataset_kobe_dev.parquet").sort_values("shot_id").dropna()
    train, test = rows.iloc[::2], rows.iloc[1::12]
    spread = train[names].std()
    model = LogisticRegression().fit(train[names] / spread, train[spec.target])
    reference = test[names].reset_index(drop=True)
    reference["probability"] = model.predict_proba(reference / spread)[:, 1]
    reference["label"] = test[spec.target].to_numpy(dtype=np.int64)
    found = limits.learn(reference, features=names, rows=500, labels=400, threshold=0.5)
    share, low, high = limits.alarm_rate(
        reference, found, features=names, threshold=0.5, windows=10_000, seed=5
    )
    assert low <= found.false_alarms_high
    assert high >= found.false_alarms_low
    assert share < 1.5 * found.target


def test_windows_of_the_population_seldom_raise_an_alarm_whatever_their_size() -> None:
    """Made as reports make them, of rows that are not those of the reference."""
    reference = population(1500, 2)
    for rows in (150, 1500):
        known = learned(reference, rows, seed=rows).limits
        alarms = sum(
            any(
                check.verdict == "alert"
                for check in report(reference, population(rows, seed), known)
            )
            for seed in range(1000, 1050)
        )
        # 1% asked for: more than 4 of 50 windows come once in some thousand tries
        assert alarms <= 4


@pytest.mark.parametrize("rows", [1000, 4000])
def test_a_change_that_matters_is_an_alarm_at_any_size_that_can_tell(rows: int) -> None:
    reference = population(1500, 3)
    known = learned(reference, rows).limits
    turned = population(rows, 7)
    turned["label"] = 1 - turned["label"]
    found = {check.code: check.verdict for check in report(reference, turned, known)}
    assert found["skill"] == found["roc_auc"] == "alert"
    moved = population(rows, 8)
    moved["x"] = moved["x"] * 2
    found = {check.code: check.verdict for check in report(reference, moved, known)}
    assert found["psi.x"] == "alert"
    assert "alert" not in {found["skill"], found["roc_auc"], found["psi.kind"]}


def test_a_difference_that_does_not_matter_is_no_alarm_however_many_rows() -> None:
    reference = population(5000, 4)
    known = learned(reference, 10_000, windows=200).limits
    window = population(10_000, 9)
    window["x"] = window["x"] * 1.08  # surely more than chance at this size
    found = drift.by_feature(reference, window, ["x"])
    assert found["ks_p_value"][0] < 0.01
    assert {check.verdict for check in checks.inputs(found, known)} == {"ok"}


def test_limits_are_never_tighter_than_what_matters_and_those_of_a_person_win() -> None:
    reference = population(1000, 5)
    mine = {"psi.x": Limit(warning_high=0.5, alert_high=0.9)}
    found = learned(reference, 300, chosen=mine, windows=300)
    assert (found.limits["psi.x"].alert_high, found.limits["psi.x"].source) == (0.9, "set")
    usual = limits._Sheet(reference, FEATURES, 0.5, None, 0).usual()
    for code, limit in found.limits.items():
        for name in ("warning", "alert"):
            low, high = getattr(limit, f"{name}_low"), getattr(limit, f"{name}_high")
            assert low is None or low <= getattr(usual[code], f"{name}_low")
            assert high is None or high >= getattr(usual[code], f"{name}_high")


def test_what_is_drawn_is_what_the_checks_compute() -> None:
    """Counts over the reference give the same values as the rows themselves."""
    reference = population(400, 6)
    sheet = limits._Sheet(reference, FEATURES, 0.5, None, 0)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 400, 300)
    counts = np.bincount(drawn, minlength=400)[None, :].astype(float)
    window = reference.iloc[drawn].reset_index(drop=True)
    moves = sheet._moves(np.ones((1, 400)), counts)
    rows = drift.by_feature(reference, window, [*FEATURES, "probability"]).set_index("feature")
    for name in ("x", "kind", "probability"):
        assert moves[f"psi.{name}"][0] == pytest.approx(rows.loc[name, "psi"], abs=1e-12)
        assert moves[f"ks.{name}"][0] == pytest.approx(rows.loc[name, "ks"], abs=1e-12)
    assert moves["js.x"][0] == pytest.approx(rows.loc["x", "js"], abs=1e-12)
    assert moves["chi2.kind"][0] == pytest.approx(rows.loc["kind", "cramers_v"], abs=1e-12)
    exact = metrics.classification(
        window["label"].to_numpy(), window["probability"].to_numpy(), 0.5
    )
    figures = sheet.figures(counts)
    for code in ("log_loss", "skill", "roc_auc", "brier_score", "f1", "precision", "recall"):
        assert figures[code][0] == pytest.approx(exact[code], abs=1e-9)


def test_an_alarm_needs_the_more_labels_the_smaller_the_difference() -> None:
    reference = population(2000, 7)
    found = learned(reference, 500, windows=300)
    assert found.labels_needed["f1"] < found.labels_needed["skill"]
    assert (
        learned(reference, 500, windows=300, target=0.001).labels_needed["skill"]
        > (found.labels_needed["skill"])
    )


def test_the_labels_that_an_alarm_needs_do_not_hang_on_those_that_are_in() -> None:
    reference = population(2000, 7)
    few, many = (learned(reference, rows, windows=200).labels_needed for rows in (500, 5000))
    assert few == many
    # and there is an alarm from about so many on, for a skill that is gone
    wanted = few["skill"]
    known = learned(reference, wanted, windows=400).limits
    alarms = 0
    figures = limits._Sheet(reference, FEATURES, 0.5, None, 0).middle
    for seed in range(40):
        window = population(wanted, seed)
        window["label"] = (
            np.random.default_rng(seed + 900).uniform(size=wanted) < window["label"].mean()
        ).astype(int)
        pair = window["label"].to_numpy(), window["probability"].to_numpy()
        now = metrics.classification(*pair, 0.5)
        found = checks.performance(figures | {"mean_probability": 0.5}, now, wanted, None, known)
        alarms += any(one.code == "skill" and one.verdict == "alert" for one in found)
    assert alarms >= 0.6 * 40


def test_values_that_the_reference_misses_too_are_no_alarm() -> None:
    reference = population(1500, 10)
    rng = np.random.default_rng(0)
    reference.loc[rng.uniform(size=1500) < 0.3, "x"] = np.nan
    known = learned(reference, 150, windows=400).limits
    alarms = 0
    for seed in range(100):
        window = population(150, seed)
        window.loc[np.random.default_rng(seed + 5000).uniform(size=150) < 0.3, "x"] = np.nan
        found = checks.inputs(drift.by_feature(reference, window, FEATURES), known)
        alarms += any(check.verdict == "alert" for check in found)
    assert alarms <= 5


def test_a_reference_without_skill_has_none_to_lose() -> None:
    reference = population(1000, 11).assign(probability=0.5)
    window = population(400, 12).assign(probability=0.5)
    known = learned(reference, 400, windows=200).limits
    assert "alert" not in {check.verdict for check in report(reference, window, known)[:10]}


def test_without_enough_labels_only_what_needs_none_is_learned() -> None:
    found = limits.learn(
        population(500, 8), features=FEATURES, rows=400, labels=99, threshold=0.5, windows=200
    )
    assert not {"skill", "roc_auc"} & set(found.limits)
    assert {"psi.x", "psi.probability"} <= set(found.limits)
