"""How much candidates disagree, and when that is more than on the reference."""

from __future__ import annotations

import numpy as np
import pytest

from core.stats.check import Limit
from core.stats.disagreement import Disagreement, check, measure


def probabilities(rows: int, apart: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = rng.uniform(0.3, 0.7, rows)[:, None]
    return np.clip(shared + apart * rng.normal(size=(rows, 3)), 0, 1)


def test_candidates_with_equal_predictions_do_not_disagree() -> None:
    result = measure(np.tile([[0.2], [0.9]], 4), [0.5] * 4)
    assert (result.spread, result.labels_differ, result.rows, result.candidates) == (0.0, 0.0, 2, 4)
    # the same answer is another label where the thresholds differ
    assert measure(np.tile([[0.2], [0.9]], 2), [0.5, 0.1]).labels_differ == 0.5


@pytest.mark.parametrize(("times", "verdict"), [(1.0, "ok"), (1.35, "warning"), (1.8, "alert")])
def test_a_wider_spread_is_reported(times: float, verdict: str) -> None:
    reference, current = (
        measure(probabilities(4000, 0.05, 0), [0.5] * 3),
        measure(probabilities(2000, 0.05 * times, 1), [0.5] * 3),
    )
    result = check(reference, current)
    assert result.verdict == verdict
    assert (result.group, result.code) == ("output", "disagreement")
    assert result.value is not None
    assert result.low < result.value < result.high
    assert bool(result.todo) == (verdict != "ok")
    assert result.alert_high == pytest.approx(1.5 * reference.spread)


def test_windows_of_the_reference_exceed_the_limit_once_in_a_thousand_however_small() -> None:
    """With a spread so uneven that chance alone passes 1.5 times the reference's."""
    rng = np.random.default_rng(2)
    apart = rng.exponential(0.03, 3000)
    reference = Disagreement(float(apart.mean()), float(apart.std()), 0.1, len(apart), 3)
    for rows in (20, 200):
        drawn = rng.choice(apart, (4000, rows)).mean(axis=1)
        limits = check(reference, Disagreement(0.03, 0.03, 0.1, rows, 3))
        assert limits.warning_high is not None
        assert (drawn > limits.warning_high).mean() < 0.005
    assert (
        check(reference, Disagreement(0.03, 0.03, 0.1, 20, 3)).alert_high > 1.5 * reference.spread
    )


def test_fewer_than_two_candidates_are_not_applicable() -> None:
    reference = measure(probabilities(100, 0.05, 0), [0.5] * 3)
    for pair in (
        (None, reference),
        (reference, None),
        (reference, measure(probabilities(50, 0.1, 1)[:, :1], [0.5])),
    ):
        result = check(*pair)
        assert (result.verdict, result.value, result.reference) == ("not_applicable", None, None)
        assert result.value is None
        assert result.text


def test_limits_set_by_a_person_win() -> None:
    reference = measure(probabilities(1000, 0.05, 0), [0.5] * 3)
    result = check(reference, reference, {"disagreement": Limit(warning_high=0.001, source="set")})
    assert result.verdict == "warning"
    assert str(result.threshold) == "warning: above 0.001; set by a person"
