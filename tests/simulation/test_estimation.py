"""Estimates without labels are the means of figures over drawn labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import estimation, metrics
from tests.simulation.samples import Samples


def test_estimates_and_intervals_are_those_of_drawn_labels(samples: Samples) -> None:
    rng = np.random.default_rng(1)
    rows = np.clip(rng.beta(3, 4, 1500), 0.01, 0.99)
    expected, between = estimation.cbpe(rows, 0.5), estimation.intervals(rows, 0.5)
    drawn = []
    for _ in range(samples.of(250)):
        p = rng.choice(rows, len(rows))
        labels = (rng.uniform(size=len(p)) < p).astype(np.int64)
        drawn.append(metrics.classification(labels, p, 0.5))
    table = pd.DataFrame(drawn)
    assert set(expected) == set(between) <= set(table)
    # errors of a mean and of a spread shrink with the root of the count
    near = 0.15 / samples.share**0.5
    for name, value in expected.items():
        low, high = between[name]
        assert table[name].mean() == pytest.approx(value, abs=near * (high - low)), name
        inside = int(((table[name] >= low) & (table[name] <= high)).sum())
        assert len(table) - inside <= samples.most(22, 250, 0.05), name
        assert inside <= samples.most(247, 250, 0.95), name
        assert table[name].std() * 2 * 1.96 == pytest.approx(high - low, rel=near), name
