"""Slices that are calibrated or harmed by nothing are rarely accused."""

from __future__ import annotations

import numpy as np
import pytest

from core.stats import slices
from tests.populations import noisy, teams
from tests.simulation.samples import Samples


def test_a_calibrated_model_is_rarely_accused_on_forty_slices(samples: Samples) -> None:
    accused, excluded = 0, 0
    for seed in range(samples.of(20)):
        frame, labels, truth = teams(4000, seed)
        table = slices.by_slice(frame, labels, truth, ["team", "year"], 0.5)
        assert len(table) == 40
        accused += (table["finding"] != "ok").any()
        excluded += ((table["low"] > 0) | (table["high"] < 0)).any()
    # a few percent at most; of the intervals alone 1 of 20 with a binomial error of 1
    assert accused <= samples.most(1, 20, 0.02)
    assert excluded <= samples.most(4, 20, 0.05)


@pytest.mark.long
def test_a_calibrated_constant_is_not_reported_as_unskilled() -> None:
    # the base rate fitted to the very rows always beats a constant, if by chance only
    accused = 0
    for seed in range(60):
        frame, _, _ = teams(4000, seed)
        labels = (np.random.default_rng(seed + 500).uniform(size=4000) < 0.3).astype(np.int64)
        constant = np.full(4000, 0.3)
        table = slices.by_slice(frame, labels, constant, ["team", "year"], 0.5)
        assert (table["skill"] <= 1e-12).all()
        accused += (table["finding"] != "ok").any()
    assert accused <= 2


@pytest.mark.long
def test_rare_labels_are_no_bias() -> None:
    accused = 0
    for seed in range(60):
        frame, _, _ = teams(2400, seed)
        labels = (np.random.default_rng(seed + 900).uniform(size=2400) < 0.06).astype(np.int64)
        forecast = np.full(2400, 0.06)
        table = slices.by_slice(frame, labels, forecast, ["team", "year"], 0.5)
        accused += ((table["low"] > 0) | (table["high"] < 0)).any()
    assert accused <= 9


@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_a_harmless_challenger_is_rarely_accused(spread: float, samples: Samples) -> None:
    accused = 0
    for seed in range(samples.of(40)):
        frame, labels, truth = teams(4000, seed)
        sides = noisy(truth, spread, 1000 + seed), noisy(truth, spread, 2000 + seed)
        table = slices.harm(frame, labels, *sides, ["team", "year"])
        accused += table["harmed"].any()
    # one side of 5%: 1 of 40 with a binomial error of 1
    assert accused <= samples.most(4, 40, 0.025)
