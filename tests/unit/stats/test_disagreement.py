"""How far candidates lie apart, and when that is more than on the reference."""

from __future__ import annotations

import numpy as np
import pytest

from core.stats.check import Limit
from core.stats.disagreement import Disagreement, check, measure


def answers(rows: int, apart: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = rng.uniform(0.3, 0.7, rows)[:, None]
    return np.clip(shared + apart * rng.normal(size=(rows, 3)), 0, 1)


def test_candidates_that_answer_alike_do_not_differ() -> None:
    found = measure(np.tile([[0.2], [0.9]], 4), [0.5] * 4)
    assert (found.spread, found.labels_differ, found.rows, found.candidates) == (0.0, 0.0, 2, 4)
    # the same answer is another label where the thresholds differ
    assert measure(np.tile([[0.2], [0.9]], 2), [0.5, 0.1]).labels_differ == 0.5


@pytest.mark.parametrize(("times", "verdict"), [(1.0, "ok"), (1.35, "warning"), (1.8, "alert")])
def test_a_wider_spread_is_told(times: float, verdict: str) -> None:
    old, new = (
        measure(answers(4000, 0.05, 0), [0.5] * 3),
        measure(answers(2000, 0.05 * times, 1), [0.5] * 3),
    )
    found = check(old, new)
    assert found.verdict == verdict
    assert (found.group, found.code) == ("output", "disagreement")
    assert found.value is not None
    assert found.low < found.value < found.high
    assert bool(found.todo) == (verdict != "ok")
    assert found.alert_high == pytest.approx(1.5 * old.spread)


def test_windows_of_the_reference_exceed_the_limit_once_in_a_thousand_however_small() -> None:
    """With a spread so uneven that chance alone passes 1.5 times the reference's."""
    rng = np.random.default_rng(2)
    apart = rng.exponential(0.03, 3000)
    old = Disagreement(float(apart.mean()), float(apart.std()), 0.1, len(apart), 3)
    for rows in (20, 200):
        drawn = rng.choice(apart, (4000, rows)).mean(axis=1)
        limits = check(old, Disagreement(0.03, 0.03, 0.1, rows, 3))
        assert limits.warning_high is not None
        assert (drawn > limits.warning_high).mean() < 0.005
    assert check(old, Disagreement(0.03, 0.03, 0.1, 20, 3)).alert_high > 1.5 * old.spread


def test_fewer_than_two_candidates_are_not_applicable() -> None:
    old = measure(answers(100, 0.05, 0), [0.5] * 3)
    for pair in ((None, old), (old, None), (old, measure(answers(50, 0.1, 1)[:, :1], [0.5]))):
        found = check(*pair)
        assert (found.verdict, found.value, found.reference) == ("not_applicable", None, None)
        assert found.text.startswith("Not available")


def test_limits_of_the_person_win() -> None:
    old = measure(answers(1000, 0.05, 0), [0.5] * 3)
    found = check(old, old, {"disagreement": Limit(warning_high=0.001, source="set")})
    assert (found.verdict, found.threshold) == ("warning", "warning above 0.001; set by a person")
