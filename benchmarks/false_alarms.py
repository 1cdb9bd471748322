"""How often reports on rows in which nothing changed raise an alert, compared with the bound.

    python benchmarks/false_alarms.py [--quick] [--core FOLDER] [--only WORD] [--lines N/M]

Limits are learned from references of 500 and of 2,000 rows (20 in all) for windows of 50 to 5,000
rows; then 200 fresh windows each are drawn from the distribution that the reference was drawn from,
judged by those limits, and counted. Beside it is the power: how often a check is in alert in
windows with a change. `--core` measures another version of the code (a folder that holds its
`core`). `--quick` takes 6 references and 50 windows. `--lines 0/2` and `--lines 1/2` are two halves
that run beside each other. 500 columns are compared with references of 500 rows alone, in a quarter
of the windows, and last: they take as long as all others together.

Columns of numbers are continuous and independent. Their window is drawn as counts between the
reference's values, multinomial with the gaps between them: where in a gap a value lies moves no
check. The values of every check are computed here for many windows at once; in the first windows of
each line they are held against those of `core.stats.drift.by_feature`.

Printed are shares with two standard errors, from how they differ between references (windows with
the same reference share its chance). A line fails where the measured share less two standard errors
exceeds the promise.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SIZES = (50, 100, 200, 1000, 5000)
REFERENCES = (500, 2000)
WIDE = 500
NUMBERS = (1, 5, 30)
LEVELS = (5, 400, 5000)
TARGET = 0.01


@dataclass(frozen=True)
class Line:
    """A case of the table."""

    kind: str
    size: int
    rows: int

    def named(self) -> str:
        """Return the name of the case in the table."""
        columns = {
            "numbers": f"{self.size} number column{'s' if self.size > 1 else ''}",
            "even": f"text of {self.size:,} equal levels",
            "skewed": f"text of {self.size:,} levels, skewed",
            "labels": f"{self.size} number columns and labels",
        }[self.kind]
        return f"{columns}, windows of {self.rows:,}"


def lines() -> Iterator[Line]:
    for rows in SIZES:
        for size in NUMBERS:
            yield Line("numbers", size, rows)
        for size in LEVELS:
            yield Line("even", size, rows)
            yield Line("skewed", size, rows)
        if rows > 100:
            yield Line("labels", 5, rows)
    for rows in SIZES:
        yield Line("numbers", WIDE, rows)


Verdicts = dict[str, Any]


class Numbers:
    """Continuous columns, as counts between the reference's values."""

    def __init__(self, core: Any, size: int, rows: int, seed: int) -> None:
        self.core, self.size, self.rows = core, size, rows
        rng = np.random.default_rng(seed)
        names = [f"x{place}" for place in range(size)] + [self.core.probability]
        values = rng.random((rows, size + 1))
        self.frame = pd.DataFrame(values, columns=names)
        self.frame[self.core.label] = (rng.random(rows) < values[:, -1]).astype(np.int64)
        self.sorted = np.sort(values, axis=0)
        self.names = names

    def learn(self, rows: int) -> Any:
        """Return what the version that is measured learns."""
        return self.core.learn(
            self.frame,
            features=self.names[:-1],
            rows=rows,
            labels=0,
            threshold=0.5,
            tells_needed=False,
        )

    def judged(self, limits: Verdicts, rows: int, windows: int, seed: int, shift: float) -> Floats:
        """Return the worst verdict of each window: 0, 1 for a warning, 2 for an alert."""
        rng = np.random.default_rng(seed)
        worst = np.zeros(windows, dtype=np.int64)
        places = np.arange(1, self.rows + 1) / self.rows
        for column, name in enumerate(self.names):
            if shift and column:
                break
            reference = self.sorted[:, column]
            ends = reference if not shift else normal_cdf(reference, shift)
            gaps = np.diff(ends, prepend=0.0, append=1.0)
            counts = rng.multinomial(rows, gaps / gaps.sum(), size=windows)
            edges = np.quantile(reference, np.linspace(0, 1, 11))[1:-1]
            # a gap begins at the value before it; edges are between values or on them
            inside = self._inside(reference, edges, counts, rng)
            reference_counts = np.bincount(
                np.searchsorted(edges, reference, side="right"), minlength=10
            )
            reached = np.cumsum(counts, axis=1)[:, :-1] / rows
            measurements = {
                f"psi.{name}": self.core.psi_of(reference_counts, inside),
                f"js.{name}": self.core.js_of(reference_counts, inside),
                f"ks.{name}": np.maximum(
                    np.abs(reached - places), np.abs(reached - places + 1 / self.rows)
                ).max(axis=1),
                f"range.{name}": (counts[:, 0] + counts[:, -1]) / rows,
            }
            if name == self.core.probability:
                measurements = {code: measurements[code] for code in (f"psi.{name}", f"ks.{name}")}
            worst = np.maximum(worst, beyond(limits, self.core.usual, measurements))
        return worst

    def _inside(self, reference: Any, edges: Any, counts: Any, rng: Any) -> Any:
        """Return the counts in the ten bins; a gap that an edge divides is divided by chance."""
        cumulative = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)
        # the edge is in this gap, or at its end
        at = np.searchsorted(reference, edges, side="left")
        low = reference[at - 1]
        share = (edges - low) / (reference[at] - low)
        before = cumulative[:, at] + rng.binomial(counts[:, at], np.clip(share, 0, 1))
        return np.diff(before, axis=1, prepend=0.0, append=cumulative[:, -1:])

    def check(self, limits: Verdicts, rows: int, seed: int) -> None:
        """Hold the values against those of the reports, on a window of values."""
        window = np.random.default_rng(seed).random((rows, 2))
        columns = [self.names[0], self.core.probability]
        moved = self.core.by_feature(
            self.frame, pd.DataFrame(window, columns=columns), columns
        ).set_index("feature")
        reference = self.sorted[:, 0]
        counts = np.bincount(np.searchsorted(reference, window[:, 0]), minlength=self.rows + 1)
        reached, places = np.cumsum(counts)[:-1] / rows, np.arange(1, self.rows + 1) / self.rows
        ks = max(np.abs(reached - places).max(), np.abs(reached - places + 1 / self.rows).max())
        assert np.isclose(moved.loc[columns[0], "ks"], ks)
        share = (counts[0] + counts[-1]) / rows
        assert np.isclose(moved.loc[columns[0], "out_of_range"], share)
        edges = np.quantile(reference, np.linspace(0, 1, 11))[1:-1]
        sides = [
            np.bincount(np.searchsorted(edges, side, side="right"), minlength=10)
            for side in (reference, window[:, 0])
        ]
        assert np.isclose(moved.loc[columns[0], "psi"], self.core.psi_of(*sides))


class Text:
    """One text column; `skewed` levels have shares as 1, 1/2, 1/3, ..., others equal ones."""

    def __init__(self, core: Any, size: int, rows: int, seed: int, *, skewed: bool) -> None:
        self.core, self.rows, self.size = core, rows, size
        rng = np.random.default_rng(seed)
        self.shares = 1 / np.arange(1, size + 1) if skewed else np.ones(size)
        self.shares = self.shares / self.shares.sum()
        # names whose order says nothing of their shares
        self.levels = np.array([f"level {place}" for place in rng.permutation(size)], dtype=object)
        # nothing else may move: one column of answers that are all alike
        self.frame = pd.DataFrame(
            {
                "t": self._drawn(rng, rows, 0.0),
                core.probability: 0.5,
                core.label: rng.integers(0, 2, rows),
            }
        )

    def _drawn(self, rng: Any, rows: int, shift: float) -> Any:
        shares = self.shares
        if shift:
            # a mix that changed: levels gain or lose
            shares = shares * np.where(np.arange(self.size) % 2, 1 + shift, 1 - shift)
            shares = shares / shares.sum()
        return self.levels[np.searchsorted(np.cumsum(shares)[:-1], rng.random(rows))]

    def learn(self, rows: int) -> Any:
        """Return what the version that is measured learns."""
        return self.core.learn(
            self.frame, features=["t"], rows=rows, labels=0, threshold=0.5, tells_needed=False
        )

    def judged(self, limits: Verdicts, rows: int, windows: int, seed: int, shift: float) -> Any:
        """Return the worst verdict of each window: 0, 1 for a warning, 2 for an alert."""
        rng = np.random.default_rng(seed)
        worst = np.zeros(windows, dtype=np.int64)
        before = self.frame["t"]
        compared = self.core.comparer(before)
        for place in range(windows):
            measurements = compared(pd.Series(self._drawn(rng, rows, shift)))
            values = {
                f"{kind}.t": np.array([measurements[column]])
                for kind, column in (
                    ("psi", "psi"),
                    ("js", "js"),
                    ("chi2", "cramers_v"),
                    ("unseen", "unseen"),
                )
                if measurements.get(column) == measurements.get(column)
            }
            worst[place] = beyond(limits, self.core.usual, values)[0]
        return worst

    def check(self, limits: Verdicts, rows: int, seed: int) -> None:
        """The values are those of the reports."""


class Labelled:
    """Rows of a weak model, with labels: the checks of performance and of columns."""

    def __init__(self, core: Any, size: int, rows: int, seed: int) -> None:
        self.core, self.size, self.rows = core, size, rows
        self.frame = self._drawn(np.random.default_rng(seed), rows, 0.0)
        self.names = [name for name in self.frame if name not in (core.probability, core.label)]

    def _drawn(self, rng: Any, rows: int, shift: float) -> pd.DataFrame:
        values = rng.normal(size=(rows, self.size))
        signal = values @ np.linspace(1.0, 0.2, self.size)
        forecast = 1 / (1 + np.exp(-signal))
        truth = 1 / (1 + np.exp(-signal * (1 - shift)))
        frame = pd.DataFrame(values, columns=[f"x{place}" for place in range(self.size)])
        return frame.assign(
            **{
                self.core.probability: forecast,
                self.core.label: (rng.random(rows) < truth).astype(np.int64),
            }
        )

    def learn(self, rows: int) -> Any:
        """Return what the version that is measured learns."""
        return self.core.learn(
            self.frame,
            features=self.names,
            rows=rows,
            labels=rows,
            threshold=0.5,
            tells_needed=False,
        )

    def judged(self, limits: Verdicts, rows: int, windows: int, seed: int, shift: float) -> Any:
        """Return the worst verdict of each window: 0, 1 for a warning, 2 for an alert."""
        rng = np.random.default_rng(seed)
        columns = [*self.names, self.core.probability]
        figures = self.core.figures(self.frame)
        compared = {name: self.core.comparer(self.frame[name]) for name in columns}
        worst = np.zeros(windows, dtype=np.int64)
        for place in range(windows):
            window = self._drawn(rng, rows, shift)
            results = self.core.performance(figures, self.core.figures(window), rows, None, limits)
            words = {check.verdict for check in results}
            worst[place] = 2 if "alert" in words else 1 if "warning" in words else 0
            if shift:
                continue
            for name in columns:
                values = compared[name](window[name])
                kinds = {"psi": "psi", "ks": "ks"}
                if name != self.core.probability:
                    kinds |= {"js": "js", "range": "out_of_range"}
                column_values = {
                    f"{kind}.{name}": np.array([values[of]]) for kind, of in kinds.items()
                }
                worst[place] = max(worst[place], beyond(limits, self.core.usual, column_values)[0])
        return worst

    def check(self, limits: Verdicts, rows: int, seed: int) -> None:
        """The values are those of the reports."""


Floats = Any
# a change that a check should see: of the mean by 0.3 standard deviations, of every level's share
# by 30%, of the signal to 60%
SHIFTS = {"numbers": 0.3, "even": 0.3, "skewed": 0.3, "labels": 0.4}


def normal_cdf(values: Floats, shift: float) -> Floats:
    """Return the distribution function of uniform values that were shifted as normal ones."""
    from scipy.special import ndtr, ndtri

    return ndtr(ndtri(values) - shift)


def beyond(limits: Verdicts, usual: Callable[[str], Any], statistics: dict[str, Any]) -> Any:
    """Return the worst verdict of each window, as `checks` judges it."""
    worst = 0
    for code, values in statistics.items():
        limit = limits.get(code) or usual(code.split(".")[0])
        for mark, end in ((1, limit.warning_high), (2, limit.alert_high)):
            if end is not None:
                worst = np.maximum(worst, np.where(values >= end, mark, 0))
    return worst


class Core:
    """The version of the code that is measured."""

    def __init__(self, folder: str) -> None:
        sys.path.insert(0, folder)
        from core.stats import calibration, checks, distances, drift, limits, metrics
        from core.stats.performance import performance

        self._metrics, self._drift, self._calibration = metrics, drift, calibration
        self.learn, self.usual = limits.learn, checks.usual
        self.psi_of, self.js_of, self.by_feature = (
            distances.psi_of,
            distances.js_of,
            drift.by_feature,
        )
        self.performance = performance
        # the version's names of its own columns
        self.probability = checks.PROBABILITY
        self.label = getattr(limits, "LABEL", "label")

    def comparer(self, before: Any) -> Callable[[Any], dict[str, float]]:
        """Return what compares a window with one column of the reference."""
        if hasattr(self._drift, "Column"):
            compare: Callable[[Any], dict[str, float]] = self._drift.Column(before).compared
            return compare
        return lambda after: self._drift._compared(before, after)

    def figures(self, rows: pd.DataFrame) -> dict[str, float]:
        """Return the figures of labelled rows, as a report has them."""
        pair = rows[self.label].to_numpy(dtype=np.int64), rows[self.probability].to_numpy()
        return {
            **self._metrics.classification(*pair, 0.5),
            "calibration_error": self._calibration.calibration_error(*pair),
        }


def population(core: Core, line: Line, rows: int, seed: int) -> Any:
    if line.kind == "numbers":
        return Numbers(core, line.size, rows, seed)
    if line.kind == "labels":
        return Labelled(core, line.size, rows, seed)
    return Text(core, line.size, rows, seed, skewed=line.kind == "skewed")


def measured(shares: list[float]) -> tuple[float, float]:
    """Return the mean over references, and its standard error."""
    values = np.asarray(shares)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def of_line(core: Core, line: Line, references: int, windows: int) -> bool:
    alerts, warned, power = [], [], []
    promised = {"alert": 0.0, "warning": 0.0}
    seconds = 0.0
    for place in range(references):
        seed = 1_000 * place + line.rows + line.size
        # between 2,000 values there are too many gaps to draw for so many columns
        size = REFERENCES[0 if line.size == WIDE else place % len(REFERENCES)]
        of = population(core, line, size, seed)
        start = time.process_time()
        learned = of.learn(line.rows)
        seconds += time.process_time() - start
        if place == 0:
            of.check(learned.limits, line.rows, seed + 1)
        promised = {
            "alert": max(promised["alert"], learned.false_alarms),
            "warning": max(promised["warning"], learned.warnings),
        }
        many = windows // 4 if line.size == WIDE else windows
        worst = of.judged(learned.limits, line.rows, many, seed + 2, 0.0)
        alerts.append(float((worst == 2).mean()))
        warned.append(float((worst >= 1).mean()))
        few = max(windows // 4, 10)
        changed = of.judged(learned.limits, line.rows, few, seed + 3, SHIFTS[line.kind])
        power.append(float((changed == 2).mean()))
    share, error = measured(alerts)
    warn, warn_error = measured(warned)
    # the target, and twice the target for warnings and alerts together
    holds = share <= TARGET + 2 * error + 1e-9 and warn <= 2 * TARGET + 2 * warn_error + 1e-9
    print(
        f"| {line.named()} | {promised['alert']:.1%} | {share:.2%} ± {2 * error:.2%} | "
        f"{promised['warning']:.1%} | {warn:.2%} ± {2 * warn_error:.2%} | {np.mean(power):.0%} | "
        f"{seconds / references:.2f} | {'yes' if holds else 'NO'} |",
        flush=True,
    )
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--core", default=str(Path(__file__).resolve().parents[1]))
    parser.add_argument("--only", default="")
    parser.add_argument("--lines", default="0/1")
    arguments = parser.parse_args()
    core = Core(arguments.core)
    references, windows = (6, 50) if arguments.quick else (20, 200)
    part, parts = (int(number) for number in arguments.lines.split("/"))
    print("| what | bound | alerts | bound | warnings or alerts | power | s to learn | holds |")
    print("|---|---|---|---|---|---|---|---|")
    start = time.perf_counter()
    chosen = [line for line in lines() if arguments.only in line.named()][part::parts]
    failed = [line for line in chosen if not of_line(core, line, references, windows)]
    print(
        f"\n{references} references, {windows} windows each; {len(failed)} lines fail; "
        f"{time.perf_counter() - start:,.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
