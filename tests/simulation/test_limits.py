"""Limits keep their promise: rare alarms by chance at any size, and one when labels suffice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from core.platform import project
from core.stats import chance, checks, drift, limits, metrics
from tests.populations import FEATURES, learned, population, report
from tests.simulation.samples import Samples


def alarms_of_fresh_windows(
    draw: Callable[[int, int], pd.DataFrame], rows: int, *, references: int, windows: int
) -> None:
    """Assert that fresh windows are in alert or warning no more often than promised.

    They are of the same distribution as the reference, which holds none of their rows.
    """
    alerts = warned = 0
    for place in range(references):
        reference = draw((500, 2000)[place % 2], place)
        features = [
            name for name in reference if name not in ("courtside_probability", "courtside_label")
        ]
        learned_limits = limits.learn(
            reference, features=features, rows=rows, labels=0, threshold=0.5, windows=200
        ).limits
        columns = {
            name: drift.Column(reference[name]) for name in [*features, "courtside_probability"]
        }
        for number in range(windows):
            window = draw(rows, 1000 + 100 * place + number)
            moved = pd.DataFrame(
                [
                    {"feature": name, **column.compared(window[name])}
                    for name, column in columns.items()
                ]
            )
            verdicts = {
                check.verdict
                for check in [
                    *checks.inputs(moved, learned_limits),
                    *checks.outputs(moved, learned_limits),
                ]
            }
            alerts += "alert" in verdicts
            warned += bool(verdicts & {"alert", "warning"})
    # more come by chance once in a million tries
    count = references * windows
    assert alerts <= stats.binom.isf(1e-6, count, 0.01)
    assert warned <= stats.binom.isf(1e-6, count, 0.02)


def numbers(columns: int) -> Callable[[int, int], pd.DataFrame]:
    def draw(rows: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng([columns, seed])
        frame = pd.DataFrame(rng.normal(size=(rows, columns)), columns=range(columns))
        return frame.rename(columns=str).assign(
            courtside_probability=rng.uniform(size=rows), courtside_label=0
        )

    return draw


def names(levels: int) -> Callable[[int, int], pd.DataFrame]:
    def draw(rows: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng([levels, seed])
        values = np.array([f"level {place}" for place in range(levels)], dtype=object)
        return pd.DataFrame(
            {
                "t": rng.choice(values, rows),
                "courtside_probability": rng.uniform(size=rows),
                "courtside_label": 0,
            }
        )

    return draw


THIRTY = numbers(30)


@pytest.mark.parametrize("rows", [50, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "drawn", [numbers(1), THIRTY, names(5), names(400)], ids=["1", "30", "names", "many names"]
)
def test_fresh_windows_alarm_no_more_often_than_promised(
    drawn: Callable[[int, int], pd.DataFrame], rows: int, samples: Samples
) -> None:
    """1% of alerts and 2% of warnings or alerts promised; `benchmarks/false_alarms.py` has more."""
    alarms_of_fresh_windows(
        drawn, rows, references=2 * samples.of(2), windows=samples.of(15 if drawn is THIRTY else 30)
    )


def test_fresh_windows_of_real_rows_alarm_no_more_often_than_promised(
    real_dir: Path, samples: Samples
) -> None:
    spec = project.load("kobe")
    rows = pd.read_parquet(real_dir / "dataset_kobe_dev.parquet")[[*spec.features]].dropna()
    forecast = rows["lat"].rank(pct=True).to_numpy()
    rows = rows.assign(courtside_probability=forecast, courtside_label=0)

    def draw(size: int, seed: int) -> pd.DataFrame:
        # references from one half, windows from the other
        half = rows.iloc[int(seed >= 1000) :: 2]
        return half.sample(size, random_state=seed).reset_index(drop=True)

    alarms_of_fresh_windows(draw, 200, references=2 * samples.of(2), windows=samples.of(30))


def test_windows_of_the_population_seldom_raise_an_alarm_whatever_their_size(
    samples: Samples,
) -> None:
    """Checked as in reports, on rows drawn separately from those of the reference."""
    reference = population(1500, 2)
    for rows in (150, 1500):
        learned_limits = learned(reference, rows, seed=rows).limits
        alarms = sum(
            any(
                check.verdict == "alert"
                for check in report(reference, population(rows, seed), learned_limits)
            )
            for seed in range(1000, 1000 + samples.of(50))
        )
        # 1% asked for: more than 4 of 50 windows come once in some thousand tries
        assert alarms <= samples.most(4, 50, 0.01)


def test_the_labels_that_an_alarm_needs_do_not_depend_on_those_received() -> None:
    reference = population(2000, 7)
    few, many = (learned(reference, rows, windows=200).labels_needed for rows in (500, 5000))
    assert few == many
    # and there is an alarm from about that many on, for a lost skill
    wanted = few["skill"]
    learned_limits = learned(reference, wanted, windows=400).limits
    alarms = 0
    figures = limits._ReferenceSampler(reference, 0.5, 0).middle
    for seed in range(40):
        window = population(wanted, seed)
        window["courtside_label"] = (
            np.random.default_rng(seed + 900).uniform(size=wanted)
            < window["courtside_label"].mean()
        ).astype(int)
        pair = window["courtside_label"].to_numpy(), window["courtside_probability"].to_numpy()
        now = metrics.classification(*pair, 0.5)
        results = checks.performance(
            figures | {"mean_probability": 0.5}, now, wanted, None, learned_limits
        )
        alarms += any(check.code == "skill" and check.verdict == "alert" for check in results)
    assert alarms >= 0.6 * 40


def test_values_that_the_reference_misses_too_are_no_alarm(samples: Samples) -> None:
    reference = population(1500, 10)
    rng = np.random.default_rng(0)
    reference.loc[rng.uniform(size=1500) < 0.3, "x"] = np.nan
    learned_limits = learned(reference, 150, windows=400).limits
    alarms = 0
    for seed in range(samples.of(100)):
        window = population(150, seed)
        window.loc[np.random.default_rng(seed + 5000).uniform(size=150) < 0.3, "x"] = np.nan
        results = checks.inputs(drift.by_feature(reference, window, FEATURES), learned_limits)
        alarms += any(check.verdict == "alert" for check in results)
    assert alarms <= samples.most(5, 100, 0.01)


@pytest.mark.parametrize(
    ("levels", "size", "rows"), [(400, 500, 100), (400, 500, 5000), (3000, 500, 50), (30, 50, 400)]
)
def test_new_values_exceed_their_limit_as_rarely_as_promised(
    levels: int, size: int, rows: int, samples: Samples
) -> None:
    rng = np.random.default_rng(levels + size + rows)
    shares = rng.exponential(size=levels)
    shares /= shares.sum()
    beyond = []
    for _ in range(samples.of(1500)):
        counts = np.bincount(rng.choice(levels, size, p=shares), minlength=levels)
        tail = chance.unseen(int((counts == 1).sum()), int((counts == 2).sum()), size, rows)
        unseen_share = rng.binomial(rows, shares[counts == 0].sum()) / rows
        beyond.append(unseen_share >= tail.limit(0.01))
    # 15 of 1,500 expected at most; 40 come once in ten million tries
    assert sum(beyond) <= samples.most(40, 1500, 0.01)
