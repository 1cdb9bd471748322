"""How much the distributions of two sets of rows differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.platform import project
from core.stats import checks, densities, distances, drift

SPEC = project.load("kobe")


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Return the PSI of two columns, in the bins of the reference."""
    old, new = drift.Column(pd.Series(reference), 10).counts(pd.Series(current))
    return float(distances.psi_of(old, new))


def test_psi_of_a_set_with_itself_is_zero() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    assert psi(values, values) == 0


def test_psi_of_known_shares_is_the_formula() -> None:
    reference, current = np.repeat([0, 1], [900, 100]), np.repeat([0, 1], [500, 500])
    expected = (0.5 - 0.9) * np.log(0.5001 / 0.9001) + (0.5 - 0.1) * np.log(0.5001 / 0.1001)
    assert psi(reference, current) == pytest.approx(expected, abs=1e-12)


def test_psi_sees_a_value_that_the_reference_never_had() -> None:
    assert psi(np.zeros(100), np.ones(100)) > 10


def test_psi_counts_values_beyond_the_reference_in_its_last_bins() -> None:
    rng = np.random.default_rng(1)
    assert psi(rng.uniform(0, 1, 5000), rng.uniform(5, 6, 5000)) > 5


def test_drift_agrees_with_scipy_and_keeps_the_order() -> None:
    from scipy import stats

    rng = np.random.default_rng(2)
    reference = pd.DataFrame({"b": rng.normal(size=500), "a": rng.normal(size=500)})
    current = pd.DataFrame({"b": rng.normal(1, 1, 300), "a": rng.normal(size=300)})
    table = drift.by_feature(reference, current, ["b", "a"])
    assert table["feature"].tolist() == ["b", "a"]
    assert table.loc[0, "ks"] == pytest.approx(
        stats.ks_2samp(reference["b"], current["b"]).statistic
    )
    assert table.loc[0, "psi"] > 0.2 > table.loc[1, "psi"]


def test_texts_have_a_psi_and_missing_values_a_bin() -> None:
    reference = pd.DataFrame({"t": ["a", "b"] * 50, "x": [1.0, np.nan] * 50})
    current = pd.DataFrame({"t": ["a", "a"] * 50, "x": [np.nan, np.nan] * 50})
    same = drift.by_feature(reference, reference, ["t", "x"])
    moved = drift.by_feature(reference, current, ["t", "x"])
    assert same["psi"].tolist() == [0, 0]
    assert (moved["psi"] > 1).all()
    assert np.isnan(moved.loc[0, "ks"])


def test_many_rare_names_do_not_look_like_drift() -> None:
    rng = np.random.default_rng(6)
    names = np.array([f"name {i}" for i in range(1500)])
    reference, current = rng.choice(names, 16_000), rng.choice(names, 4_000)
    assert psi(reference, current) < 0.02
    assert psi(reference, np.array(["somebody new"] * 100)) > 5
    assert psi(np.array(list("ab") * 50), np.array(list("cd") * 50)) > 5


def test_densities_count_every_value_once() -> None:
    rng = np.random.default_rng(7)
    reference = pd.DataFrame({"x": rng.normal(size=500), "t": rng.choice(list("abc"), 500)})
    current = pd.DataFrame({"x": rng.normal(3, 1, 200), "t": [None, *rng.choice(list("bcd"), 199)]})
    counted = densities.densities(reference, current, ["x", "t"])
    table = counted.set_index(["feature", "set"]).sort_index()
    assert table.loc[("x", "reference"), "rows"].sum() == 500
    assert table.loc[("t", "current"), "rows"].sum() == 199
    assert table.loc[("t", "current"), "label"].tolist() == ["a", "b", "c", "d"]
    assert table.groupby(level=[0, 1])["share"].sum().tolist() == pytest.approx([1] * 4)


def test_a_change_without_another_mean_is_a_sentence_of_its_own() -> None:
    row = {"mean_reference": -118.263, "mean_current": -118.2630000001}
    assert str(checks._sentence("psi", 1.4, "alert", row)) == "Changed a lot."
    moved = {"mean_reference": 1.0, "mean_current": 2.0}
    text = str(checks._sentence("psi", 1.4, "alert", moved))
    assert text == "Changed a lot: mean 1 in the reference, 2 now."
