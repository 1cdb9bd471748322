"""Intervals of importance cover the truth, and a background represents all rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.training import shap_values
from core.training.explanation import importance, partial_dependence
from core.training.shap_values import EXACT_FEATURES
from tests.simulation.samples import Samples

MANY = [f"x{i}" for i in range(EXACT_FEATURES + 3)]


def test_the_interval_of_importance_covers_what_other_rows_would_say(samples: Samples) -> None:
    rng = np.random.default_rng(6)

    def draw(count):
        p = rng.uniform(0.2, 0.8, count)
        return pd.DataFrame({"p": p}), (rng.random(count) < p).astype(int)

    # by integrals: E[-log] where label and feature are independent, minus where they are not
    p = np.linspace(0.2, 0.8, 20001)
    apart = -(0.5 * np.log(p) + 0.5 * np.log(1 - p)).mean()
    truth = apart + (p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    covered, count = 0, samples.of(200)
    for _ in range(count):
        frame, labels = draw(300)
        row = importance(lambda rows: rows["p"].to_numpy(), frame, labels, repeats=10).iloc[0]
        covered += row["low"] <= truth <= row["high"]
    assert count - covered <= samples.most(24, 200, 0.05)
    assert covered <= samples.most(198, 200, 0.95)


def test_rows_that_stand_for_all_give_nearly_the_same_partial_dependence(samples: Samples) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).uniform(size=(len(MANY), 4000)).T, columns=MANY)

    def predict(rows):
        return 1 / (1 + np.exp(-4 * (rows[MANY[:4]].sum(axis=1) - 2))).to_numpy()

    full = partial_dependence(predict, frame, "x0")["mean"]
    even = shap_values.background(frame, predict(frame), 300)
    error = np.abs(partial_dependence(predict, frame, "x0", over=even)["mean"] - full).max()
    drawn = [
        np.abs(partial_dependence(predict, frame, "x0", over=some)["mean"] - full).max()
        for some in (frame.sample(300, random_state=seed) for seed in range(samples.of(20)))
    ]
    assert error < np.mean(drawn)
