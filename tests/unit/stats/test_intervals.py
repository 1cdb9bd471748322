"""The interval of a share holds the truth, by its definition."""

from __future__ import annotations

import numpy as np
from scipy import stats

from core.stats import intervals


def test_the_interval_of_a_share_holds_the_truth_however_rare_it_is() -> None:
    for rows, least in ((10, 0.92), (20, 0.925), (30, 0.93), (100, 0.93), (1_000, 0.93)):
        hits = np.arange(rows + 1)
        low, high = intervals.share(hits / rows, np.full(rows + 1, rows))
        for truth in np.linspace(0.5 / rows, 0.5, 200):
            inside = (low <= truth) & (truth <= high)
            assert stats.binom.pmf(hits, rows, truth)[inside].sum() > least
