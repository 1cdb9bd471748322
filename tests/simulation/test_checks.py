"""Checks of performance seldom err on rows like those of the reference."""

from __future__ import annotations

import numpy as np
import pytest

from core.stats import checks, figure_intervals, metrics
from tests.simulation.samples import Samples


@pytest.mark.parametrize("rows", [150, 600, 2400])
def test_rows_like_the_reference_seldom_raise_an_alarm_however_few_they_are(
    rows: int, samples: Samples
) -> None:
    """A forecast that is as weak as the shipped one, on 60 sets of rows that it fits."""
    rng = np.random.default_rng(5)

    def draw(size: int) -> tuple[np.ndarray, np.ndarray]:
        probabilities = np.clip(rng.normal(0.476, 0.1, size), 0.01, 0.99)
        return (rng.uniform(size=size) < probabilities).astype(np.int64), probabilities

    def figures(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
        return metrics.classification(labels, probabilities, 0.5)

    reference = figures(*draw(4057))
    alarms = 0
    for _ in range(samples.of(60)):
        labels, probabilities = draw(rows)
        results = checks.performance(
            reference,
            figures(labels, probabilities),
            rows,
            figure_intervals.of(labels, probabilities, 0.5, resamples=100),
        )
        code = checks.conclude(results, "new", "old", labels=rows).code
        # so weak a skill takes some 1,500 labels to show
        assert code != "cannot_tell" or rows < 2400
        alarms += code not in ("fits", "cannot_tell")
    # each of five checks errs at most in 2.5% of sets where it is at its limit
    assert alarms <= samples.most(4, 60, 0.025)
