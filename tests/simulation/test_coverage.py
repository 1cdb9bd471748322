"""95% intervals cover the truth in 93% of samples or more, for rare classes too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import coverage
from core.stats import support
from tests.simulation.samples import Samples


@pytest.mark.parametrize(
    ("population", "rows"),
    [(coverage.RARE, 1_000), (coverage.RARE, 200), (coverage.Population(0.5, 0.4, 0.5), 200)],
)
def test_intervals_of_figures_hold_the_truth(
    population: coverage.Population, rows: int, samples: Samples
) -> None:
    case, rng = coverage.figures(population, rows, resamples=40), np.random.default_rng(5)
    missed: dict[str, int] = {}
    for _ in range(samples.of(300)):
        for name, (low, high, truth) in case(rng).items():
            missed[name] = missed.get(name, 0) + (not low <= truth <= high)
    del missed["calibration_error"]  # with as few resamples as a test can wait for
    # 7% and twice a binomial error of 1.3 points
    most = samples.most(28, 300, 0.07)
    assert {name: count for name, count in missed.items() if count > most} == {}


def test_the_interval_of_the_domain_classifier_holds_a_half_where_nothing_moved(
    samples: Samples,
) -> None:
    rng = np.random.default_rng(2)
    missed = 0
    for seed in range(samples.of(40)):
        sides = [pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")) for _ in range(2)]
        result = support.measure(*sides, list("abc"), seed=seed)
        missed += not result.domain_low <= 0.5 <= result.domain_high
    # 95% of 40 with a binomial error of 1.4; DeLong's own interval covered it in 34
    assert missed <= samples.most(4, 40, 0.05)
