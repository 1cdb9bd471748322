"""Rows drawn from distributions whose truth is known, for tests of the statistics."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.stats import calibration, checks, drift, limits, metrics
from core.stats.limits import Limit

FEATURES = ["x", "kind"]


def population(rows: int, seed: int) -> pd.DataFrame:
    """Rows of a weak forecast of a skewed number and a few-valued one, calibrated."""
    rng = np.random.default_rng(seed)
    x, kind = rng.exponential(1, rows), rng.integers(0, 3, rows)
    forecast = 1 / (1 + np.exp(-(0.5 * (x - 1) + 0.3 * (kind - 1))))
    label = (rng.uniform(size=rows) < forecast).astype(int)
    return pd.DataFrame(
        {"x": x, "kind": kind, "courtside_probability": forecast, "courtside_label": label}
    )


def report(
    reference: pd.DataFrame, window: pd.DataFrame, learned_limits: dict[str, Limit]
) -> list[checks.Check]:
    """Run all checks that have learned limits on a window, as a report does."""

    def figures(rows: pd.DataFrame) -> dict[str, float]:
        pair = (
            rows["courtside_label"].to_numpy(dtype=np.int64),
            rows["courtside_probability"].to_numpy(),
        )
        return {
            **metrics.classification(*pair, 0.5),
            "calibration_error": calibration.calibration_error(*pair),
        }

    moved = drift.by_feature(reference, window, [*FEATURES, "courtside_probability"])
    return [
        *checks.performance(figures(reference), figures(window), len(window), None, learned_limits),
        *checks.outputs(moved, learned_limits),
        *checks.inputs(moved, learned_limits),
    ]


def learned(reference: pd.DataFrame, rows: int, **values: object) -> limits.Learned:
    return limits.learn(
        reference, features=FEATURES, rows=rows, labels=rows, threshold=0.5, **values
    )


def forecasts(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, rows)
    return (rng.uniform(size=rows) < truth).astype(np.int64), truth


def noisy(truth: np.ndarray, spread: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    odds = np.log(truth / (1 - truth)) + rng.normal(0, spread, len(truth))
    return 1 / (1 + np.exp(-odds))


def teams(rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return rows of two columns with twenty values each, labels, and their true probabilities."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "team": rng.choice([f"team {number:02}" for number in range(20)], rows),
            "year": rng.choice([f"{number}" for number in range(1990, 2010)], rows),
        }
    )
    truth = rng.beta(4, 4, rows)
    return frame, (rng.uniform(size=rows) < truth).astype(np.int64), truth


def kinds(rows: int, seed: int, **shift: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "y": rng.normal(size=rows),
            "kind": rng.choice(["jump", "dunk", "hook"], rows, p=[0.7, 0.2, 0.1]),
        }
    )
    return frame.assign(**{name: frame[name] + by for name, by in shift.items()})
