"""95% intervals cover the truth in 93% of samples or more, for rare classes too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import coverage
from core.stats import intervals, support

SAMPLES = 300
# 93% less twice a binomial error of 1.3 points
LEAST = 0.905


@pytest.mark.parametrize(
    ("population", "rows"),
    [(coverage.RARE, 1_000), (coverage.RARE, 200), (coverage.Population(0.5, 0.4, 0.5), 200)],
)
def test_intervals_of_figures_hold_the_truth(population: coverage.Population, rows: int) -> None:
    case, rng = coverage.figures(population, rows, resamples=40), np.random.default_rng(5)
    held: dict[str, int] = {}
    for _ in range(SAMPLES):
        for name, (low, high, truth) in case(rng).items():
            held[name] = held.get(name, 0) + (low <= truth <= high)
    del held["calibration_error"]  # with as few resamples as a test can wait for
    assert {name: count for name, count in held.items() if count < LEAST * SAMPLES} == {}


def test_the_interval_of_a_share_holds_the_truth_however_rare_it_is() -> None:
    from scipy import stats

    for rows, least in ((10, 0.92), (20, 0.925), (30, 0.93), (100, 0.93), (1_000, 0.93)):
        hits = np.arange(rows + 1)
        low, high = intervals.share(hits / rows, np.full(rows + 1, rows))
        for truth in np.linspace(0.5 / rows, 0.5, 200):
            inside = (low <= truth) & (truth <= high)
            assert stats.binom.pmf(hits, rows, truth)[inside].sum() > least


def test_the_interval_of_the_domain_classifier_holds_a_half_where_nothing_moved() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(40):
        sides = [pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")) for _ in range(2)]
        result = support.measure(*sides, list("abc"), seed=seed)
        held += result.domain_low <= 0.5 <= result.domain_high
    # 95% of 40 with a binomial error of 1.4; DeLong's own interval covered it in 34
    assert held >= 36
