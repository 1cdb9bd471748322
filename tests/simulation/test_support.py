"""Small windows of the reference are inside its support."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.stats import support, support_checks
from tests.populations import kinds
from tests.simulation.samples import Samples


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return kinds(1500, 0)


def verdicts(result: support.Support) -> dict[str, str]:
    return {check.code: check.verdict for check in support_checks.checks(result)}


def test_small_windows_of_the_reference_itself_raise_no_alarm(
    reference: pd.DataFrame, samples: Samples
) -> None:
    many = kinds(4000, 8)
    shares = []
    for seed in range(samples.of(12)):
        window = many.sample(100, random_state=seed)
        result = support.measure(reference, window, ["x", "y", "kind"], seed=seed)
        assert set(verdicts(result).values()) == {"ok"}
        shares.append(result.outside_share)
    assert np.mean(shares) < 0.03
