"""Skill is shown by the requested number of labels, and never where there is none."""

from __future__ import annotations

import numpy as np

from core.stats import figure_intervals, metrics, verdicts
from tests.simulation.samples import Samples


def test_the_labels_needed_show_the_skill_in_four_of_five_samples(samples: Samples) -> None:
    rng = np.random.default_rng(4)

    def interval(rows: int) -> tuple[float, float]:
        p = np.clip(rng.normal(0.476, 0.1, rows), 0.01, 0.99)
        labels = (rng.uniform(size=rows) < p).astype(np.int64)
        return figure_intervals.of(labels, p, 0.5, resamples=2)["skill"]

    # the skill of that forecast, of many rows
    low, high = interval(400_000)
    halves = [np.subtract(*interval(400)[::-1]) / 2 for _ in range(20)]
    needed = verdicts.labels_needed(float(np.mean(halves)), 400, (low + high) / 2)
    count = samples.of(200)
    shown = sum(interval(needed)[0] > 0 for _ in range(count))
    # 160 of 200 expected, with a binomial error of 5.7
    assert count - shown <= samples.most(57, 200, 0.2)
    assert shown <= samples.most(178, 200, 0.8)


def test_a_constant_forecast_never_shows_skill(samples: Samples) -> None:
    rng = np.random.default_rng(1)
    for rate in (0.05, 0.5):
        for _ in range(samples.of(100)):
            labels = (rng.uniform(size=300) < rate).astype(np.int64)
            if not 0 < labels.sum() < 300:
                continue
            low, _ = figure_intervals.of(labels, np.full(300, rate), 0.5, resamples=2)["skill"]
            assert low <= 0
            assert metrics.classification(labels, np.full(300, rate), 0.5)["skill"] <= 1e-12
