"""How often a 95% interval covers the truth, for each kind of interval that is shown.

    python benchmarks/coverage.py                    # every case
    python benchmarks/coverage.py --quick figures    # a quarter of the samples; one family

Prints a Markdown table: what, rows, base rate, nominal and measured coverage with its Monte Carlo
error (one standard error), and the mean width. Each sample is drawn from a population
whose true value is known; simultaneous intervals (slices) count as holding where all of them do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd

from core.data import split_checks
from core.retraining import policy_comparison
from core.stats import (
    calibration,
    comparison,
    disagreement,
    estimation,
    figure_intervals,
    forecast,
    intervals,
    metrics,
    slices,
    support,
)
from core.stats.metrics import Floats, Labels
from core.training import explanation

LARGE = 400_000
# name -> (low, high, truth)
Held = Mapping[str, tuple[float, float, float]]
Case = Callable[[np.random.Generator], Held]


@dataclass(frozen=True)
class Population:
    """Rows of one feature x, with a forecast and the true probability of 1.

    Parameters
    ----------
    base : float
        Mean forecast.
    spread : float
        Standard deviation of the forecast's logit.
    shift, scale : float
        The true logit is shift + scale times the forecast's; 0 and 1 where it is calibrated.
    threshold : float
    """

    base: float
    spread: float
    threshold: float
    shift: float = 0.0
    scale: float = 1.0

    @cached_property
    def centre(self) -> float:
        """Mean logit of the forecast."""
        return _centre(self.base, self.spread)

    def forecast(self, x: Floats) -> Floats:
        """Return the probabilities that a model answers."""
        return _logistic(self.centre + self.spread * x)

    def true(self, x: Floats) -> Floats:
        """Return the true probabilities."""
        return _logistic(self.centre + self.shift + self.scale * self.spread * x)

    def draw(self, rng: np.random.Generator, rows: int) -> tuple[Floats, Labels]:
        """Return x and labels of both classes."""
        while True:
            x = rng.normal(size=rows)
            labels = (rng.uniform(size=rows) < self.true(x)).astype(np.int64)
            if 0 < labels.sum() < rows:
                return x, labels

    def figures(self) -> dict[str, float]:
        """Return the true figures."""
        x = _normal(LARGE)
        p, q = self.forecast(x), self.true(x)
        return _figures(p, q, self.threshold)


def _figures(p: Floats, q: Floats, threshold: float) -> dict[str, float]:
    """Return the figures of forecasts p where q is the probability of 1."""
    order = np.argsort(-p, kind="stable")
    p, q = p[order], q[order]
    rate, positive = float(q.mean()), p >= threshold
    hits, reached = float((q * positive).mean()), float(positive.mean())
    loss = float(np.mean(-q * np.log(p) - (1 - q) * np.log(1 - p)))
    zeros_below = (1 - q).sum() - np.cumsum(1 - q) + (1 - q) / 2
    bins = calibration.equal_count_bins(p, 10)
    return {
        "log_loss": loss,
        "skill": 1 - loss / metrics.base_rate_log_loss(rate),
        "roc_auc": float((q * zeros_below).sum() / (q.sum() * (1 - q).sum())),
        "average_precision": float((q * np.cumsum(q) / np.arange(1, len(q) + 1)).sum() / q.sum()),
        "brier_score": float(np.mean(q * (1 - p) ** 2 + (1 - q) * p**2)),
        "f1": 2 * hits / (reached + rate),
        "precision": hits / reached,
        "recall": hits / rate,
        "accuracy": float(np.mean(np.where(positive, q, 1 - q))),
        "calibration": float(p.mean()) - rate,
        "calibration_error": float(np.abs(np.bincount(bins, weights=p - q)).sum() / len(p)),
    }


def figures(population: Population, rows: int, resamples: int = 200) -> Case:
    """Intervals of the figures of one model: Train, Score, Monitor."""
    truth = population.figures()

    def case(rng: np.random.Generator) -> Held:
        x, labels = population.draw(rng, rows)
        ends_by_name = figure_intervals.of(
            labels, population.forecast(x), population.threshold, resamples=resamples
        )
        return {name: (*ends, truth[name]) for name, ends in ends_by_name.items()}

    return case


def compared(population: Population, rows: int, noise: float) -> Case:
    """Intervals of the difference of two models on the same rows: Train, the gate."""
    big = _normal(LARGE)
    other = np.random.default_rng(1).permutation(_normal(LARGE))
    limit = population.threshold

    def second(x: Floats, z: Floats) -> Floats:
        return population.forecast(0.8 * x + noise * z)

    q = population.true(big)
    first_truth, second_truth = (
        _figures(p, q, limit) for p in (population.forecast(big), second(big, other))
    )

    def case(rng: np.random.Generator) -> Held:
        x, labels = population.draw(rng, rows)
        pair = population.forecast(x), second(x, rng.normal(size=rows))
        table = comparison.paired(labels, *pair, limit, limit).set_index("metric")
        held = {
            f"difference of {name}": (
                row["low"],
                row["high"],
                first_truth[name] - second_truth[name],
            )
            for name, row in table.to_dict("index").items()
        }
        best = comparison.against_best(labels, {"a": pair[0], "b": pair[1]}, "b").iloc[0]
        held["log_loss against the best"] = (
            best["low"],
            best["high"],
            first_truth["log_loss"] - second_truth["log_loss"],
        )
        return held

    return case


def calibrated(population: Population, rows: int) -> Case:
    """Difference of the calibration errors of two models: the gate."""
    x = _normal(LARGE)
    pair = population.forecast(x), population.forecast(0.8 * x)
    errors = [
        _figures(p, population.true(x), population.threshold)["calibration_error"] for p in pair
    ]

    def case(rng: np.random.Generator) -> Held:
        x, labels = population.draw(rng, rows)
        sides = population.forecast(x), population.forecast(0.8 * x)
        _, ends = calibration.calibration_change(labels, *sides)
        return {"difference of calibration_error": (*ends, errors[0] - errors[1])}

    return case


def by_slice(population: Population, rows: int) -> Case:
    """Gaps of five slices, and changes of the log loss in them, all five at once."""
    x = _normal(LARGE)
    sides = population.forecast(x), population.forecast(0.8 * x)
    true = [_figures(side, population.true(x), population.threshold) for side in sides]
    gap, change = true[0]["calibration"], true[0]["log_loss"] - true[1]["log_loss"]

    def case(rng: np.random.Generator) -> Held:
        x, labels = population.draw(rng, rows)
        frame = pd.DataFrame({"slice": rng.integers(0, 5, rows).astype(str)})
        pair = population.forecast(x), population.forecast(0.8 * x)
        gaps = slices.by_slice(frame, labels, pair[0], ["slice"], population.threshold)
        changes = slices.harm(frame, labels, *pair, ["slice"])
        return {
            "gaps of 5 slices": _together(gaps, gap),
            "log loss changes of 5 slices": _together(changes, change),
        }

    return case


def estimated(population: Population, rows: int) -> Case:
    """Figures estimated without labels, of calibrated forecasts."""
    truth = population.figures()

    def case(rng: np.random.Generator) -> Held:
        p = population.forecast(rng.normal(size=rows))
        ends_by_name = estimation.intervals(p, population.threshold)
        return {f"estimated {name}": (*ends, truth[name]) for name, ends in ends_by_name.items()}

    return case


def shares(base: float, rows: int) -> Case:
    """Shares: profiles, reliability curves, rows outside the support; and balance of a split."""

    def case(rng: np.random.Generator) -> Held:
        train, test = (rng.uniform(size=size) < base for size in (4 * rows, rows))
        low, high = intervals.share([test.mean()], [rows])
        balance = split_checks.balance(
            pd.Series(train.astype(float)), pd.Series(test.astype(float)), "1"
        )
        held = {"share": (float(low[0]), float(high[0]), base)}
        if balance.low is not None and balance.high is not None:
            held["class balance of a split"] = balance.low, balance.high, 0.0
        return held

    return case


def domain(columns: int, rows: tuple[int, int], shift: float, truth: float) -> Case:
    """AUC of the domain classifier; `truth` is its mean over many draws, 0.5 of no change."""
    names = [f"c{place}" for place in range(columns)]

    def case(rng: np.random.Generator) -> Held:
        sides = [pd.DataFrame(rng.normal(size=(size, columns)), columns=names) for size in rows]
        result = support.measure(
            sides[0],
            sides[1].assign(c0=sides[1]["c0"] + shift),
            names,
            seed=int(rng.integers(1_000_000)),
        )
        return {"AUC of the domain classifier": (result.domain_low, result.domain_high, truth)}

    return case


def shuffled(population: Population, rows: int) -> Case:
    """Permutation importance of the one feature."""
    x = _normal(LARGE)
    mixed = np.random.default_rng(1).permutation(x)
    q, pair = population.true(x), (population.forecast(mixed), population.forecast(x))
    after, before = (float(np.mean(-q * np.log(p) - (1 - q) * np.log(1 - p))) for p in pair)

    def case(rng: np.random.Generator) -> Held:
        x, labels = population.draw(rng, rows)
        row = explanation.importance(
            lambda frame: population.forecast(frame["x"].to_numpy()),
            pd.DataFrame({"x": x}),
            labels,
            seed=int(rng.integers(1_000_000)),
        ).iloc[0]
        return {"importance of a feature": (row["low"], row["high"], after - before)}

    return case


def spread(population: Population, rows: int) -> Case:
    """Disagreement of two candidates."""
    x = _normal(LARGE)
    truth = disagreement.measure(_two(population, x), [0.5, 0.5])

    def case(rng: np.random.Generator) -> Held:
        measured = disagreement.measure(_two(population, rng.normal(size=rows)), [0.5, 0.5])
        check = disagreement.check(truth, measured)
        return {"disagreement": (check.low or 0.0, check.high or 0.0, truth.spread)}

    return case


def lines(windows: int) -> Case:
    """Slope of a figure over reports."""

    def case(rng: np.random.Generator) -> Held:
        times = forecast.DAY * np.sort(rng.uniform(0, 100, windows))
        values = 0.6 + 0.001 * times / forecast.DAY + rng.normal(0, 0.02, windows)
        trend = forecast.trend(times, values, low=None, high=None, now=0.0)
        return {"slope of a trend": (trend.slope_low, trend.slope_high, 0.001)}

    return case


def replayed(moments: int, each: int) -> Case:
    """Gain of a policy over doing nothing; rows of one moment resemble each other."""

    def case(rng: np.random.Generator) -> Held:
        at = np.repeat(np.arange(moments), each)
        values = 0.01 + rng.normal(0, 0.03, moments)[at] + rng.normal(0, 0.2, moments * each)
        _, low, high = policy_comparison.mean_gain(values, at.astype(np.float64))
        return {"gain of a policy": (low, high, 0.01)}

    return case


def _two(population: Population, x: Floats) -> Floats:
    return np.column_stack([population.forecast(x), population.forecast(0.7 * x)])


def _together(table: pd.DataFrame, truth: float) -> tuple[float, float, float]:
    """Return the interval that missed, else the mean one about the truth."""
    missed = table[(table["low"] > truth) | (table["high"] < truth)]
    if len(missed):
        return float(missed["low"].iloc[0]), float(missed["high"].iloc[0]), truth
    half = float((table["high"] - table["low"]).mean()) / 2
    return truth - half, truth + half, truth


def _logistic(x: Floats) -> Floats:
    probabilities: Floats = 1 / (1 + np.exp(-x))
    return probabilities


def _centre(base: float, spread: float) -> float:
    """Return the mean logit that makes the mean probability `base`."""
    from scipy.optimize import brentq

    x = _normal(10_000)
    return float(brentq(lambda middle: _logistic(middle + spread * x).mean() - base, -20, 20))


def _normal(rows: int) -> Floats:
    from scipy import stats

    quantiles: Floats = stats.norm.ppf((np.arange(rows) + 0.5) / rows)
    return quantiles


def run(name: str, rows: str, base: str, samples: int, case: Case) -> None:
    """Print a line per interval of a case."""
    rng = np.random.default_rng(38)
    held: dict[str, list[bool]] = {}
    widths: dict[str, list[float]] = {}
    for _ in range(samples):
        for interval, (low, high, truth) in case(rng).items():
            held.setdefault(interval, []).append(bool(low <= truth <= high))
            widths.setdefault(interval, []).append(high - low)
    for interval, hits in held.items():
        share = float(np.mean(hits))
        error = float(np.sqrt(share * (1 - share) / len(hits)))
        line = f"| {name}{interval} | {rows} | {base} | 95% | {share:.1%} | {error:.1%} "
        print(f"{line}| {np.mean(widths[interval]):.4g} |", flush=True)


RARE = Population(0.05, 0.8, 0.1)
POPULATIONS = (
    ("", Population(0.5, 0.4, 0.5), 100),
    ("", Population(0.477, 0.4, 0.5), 1_000),
    ("", Population(0.33, 0.4, 0.5), 1_000),
    ("", RARE, 200),
    ("", RARE, 1_000),
    ("no lead: ", Population(0.05, 0.3, 0.06, scale=0.0), 1_000),
    ("not calibrated: ", Population(0.05, 0.8, 0.1, shift=0.5, scale=0.5), 1_000),
    ("", Population(0.01, 0.8, 0.03), 5_000),
)
# the mean of 400 draws by this script's own cases
DOMAIN = (
    (6, (200, 100), 0.0, 0.5),
    (6, (2_000, 500), 0.0, 0.5),
    (30, (500, 500), 0.0, 0.5),
    (6, (500, 500), 1.0, 0.732),
)


def cases() -> Iterator[tuple[str, str, str, str, int, Case]]:
    """Yield family, prefix of the names, rows, base rate, samples and the case."""
    for name, population, rows in POPULATIONS:
        labels = f"{rows:,}", f"{population.base:.1%}"
        yield "figures", name, *labels, 2_000, figures(population, rows)
        if not name:
            yield "compared", "", *labels, 400, compared(population, rows, 0.6)
            yield "calibrated", "", *labels, 100, calibrated(population, rows)
            yield "estimated", "", *labels, 2_000, estimated(population, rows)
            yield "slices", "", *labels, 800 if rows >= 500 else 0, by_slice(population, rows)
            yield "shuffled", "", *labels, 1_000, shuffled(population, rows)
            yield "disagreement", "", *labels, 2_000, spread(population, rows)
    for base in (0.5, 0.05, 0.01):
        for rows in (20, 100, 1_000):
            yield "shares", "", f"{rows:,}", f"{base:.0%}", 4_000, shares(base, rows)
    for columns, sides, shift, truth in DOMAIN:
        labels = f"{sides[0]:,} and {sides[1]:,}, {columns} columns", f"truth {truth:g}"
        yield "domain", "", *labels, 400, domain(columns, sides, shift, truth)
    for windows in (3, 6, 20):
        yield "trend", "", f"{windows} windows", "", 4_000, lines(windows)
    for moments in (10, 100):
        yield "replay", "", f"{moments} moments", "", 4_000, replayed(moments, 20)


def main() -> None:
    """Print the table, of the families that are named or of all."""
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    part = 4 if "--quick" in sys.argv else 1
    print("| interval | rows | base rate | nominal | coverage | its error | mean width |")
    print("|---|---|---|---|---|---|---|")
    for family, name, rows, base, samples, case in cases():
        if not wanted or family in wanted:
            run(name, rows, base, samples // part, case)


if __name__ == "__main__":
    main()
