"""Paired comparisons hold the true difference, and rarely see one where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from core.stats import comparison, metrics
from tests.populations import forecasts, noisy
from tests.simulation.samples import Samples


@pytest.mark.long
def test_the_interval_of_f1_is_that_of_a_paired_bootstrap() -> None:
    labels, truth = forecasts(2000, 5)
    other = noisy(truth, 1.0, 6)
    rng = np.random.default_rng(0)
    differences = []
    for _ in range(400):
        rows = rng.integers(0, 2000, 2000)
        first, second = (
            metrics.classification(labels[rows], side[rows], 0.5) for side in (truth, other)
        )
        differences.append(first["f1"] - second["f1"])
    wide = 1.96 * np.std(differences)
    table = comparison.paired(labels, truth, other, 0.5, 0.5).set_index("metric").loc["f1"]
    assert table["high"] - table["low"] == pytest.approx(2 * wide, rel=0.1)
    assert (table["high"] + table["low"]) / 2 == pytest.approx(table["difference"])


@pytest.mark.parametrize(
    ("rows", "rate"), [(200, 0.05), pytest.param(300, 0.3, marks=pytest.mark.long)]
)
def test_a_difference_holds_the_truth_for_a_rare_class_too(
    rows: int, rate: float, samples: Samples
) -> None:
    rng = np.random.default_rng(1)
    missed = dict.fromkeys(["log_loss", "brier_score", "average_precision"], 0)
    for _ in range(samples.of(200)):
        truth = np.clip(rate * np.exp(rng.normal(0, 0.8, rows)), 0.001, 0.95)
        labels = (rng.uniform(size=rows) < truth).astype(np.int64)
        labels[:2] = 0, 1
        # both err alike on average: the true difference is 0
        pair = (np.clip(truth * np.exp(rng.normal(0, 0.3, rows)), 1e-4, 0.99) for _ in range(2))
        table = comparison.paired(labels, *pair, rate, rate).set_index("metric")
        for name in missed:
            missed[name] += not (table.loc[name, "low"] <= 0 <= table.loc[name, "high"])
    # 7% and two standard errors of 200 samples
    most = samples.most(21, 200, 0.07)
    assert all(count <= most for count in missed.values()), missed


def test_models_with_equal_errors_rarely_differ(samples: Samples) -> None:
    differing = 0
    for seed in range(samples.of(60)):
        labels, truth = forecasts(400, 100 + seed)
        sides = noisy(truth, 0.5, 200 + seed), noisy(truth, 0.5, 300 + seed)
        table = comparison.paired(labels, *sides, 0.5, 0.5).set_index("metric")
        differing += table.loc["log_loss", "better"] != "alike"
    # 3 of 60 with a binomial error of 1.7
    assert differing <= samples.most(9, 60, 0.05)
