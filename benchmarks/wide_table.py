"""Acquire and Prepare of 500 columns x 5,000 rows, against pandas reading and checking the file.

    python -m benchmarks.wide_table [--columns 500] [--rows 5000] [--pandera PYTHON] [--profile]

The baseline reads the CSV with pandas and checks the type, the missing values, the range and the
categories of each column: with plain pandas, and with pandera where an interpreter that has it is
given. The ways take turns in one process, after a first turn that does not count. Takes a minute.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import logging
import pstats
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.data import acquire, prepare
from core.data.guess import guess
from core.data.guess_roles import RANDOM
from core.data.guess_sample import read_some
from core.platform import projects
from core.platform.config import Settings

TURNS = 3
LIMIT = 3.0
# reads and checks with pandera, in a process of its own; prints the seconds
WITH_PANDERA = """
import json, sys, time
import pandas as pd
import pandera.pandas as pa
rules, path = json.loads(sys.argv[1]), sys.argv[2]
schema = pa.DataFrameSchema({
    name: pa.Column(
        {"number": float, "integer": int, "text": str}[kind],
        [pa.Check.isin(values) if kind == "text" else pa.Check.in_range(*values)],
        nullable=True,
    )
    for name, (kind, values) in rules.items()
})
for _ in range(int(sys.argv[3])):
    start, processor = time.perf_counter(), time.process_time()
    schema.validate(pd.read_csv(path), lazy=True)
    print(time.perf_counter() - start, time.process_time() - processor)
"""

# wall time and processor time of each turn
Turns = dict[str, list[tuple[float, ...]]]
Rules = dict[str, tuple[str, list[Any]]]


def generated(columns: int, rows: int) -> pd.DataFrame:
    """Return a table with numbers (70%), integers (15%), texts (14%), and an id, day and target."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=rows)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 365, rows)), "D")
    values: dict[str, Any] = {
        "order_id": np.arange(1, rows + 1),
        "created": days.strftime("%Y-%m-%d"),
    }
    for place in range(columns - 3):
        kind = place % 20
        if kind < 14:
            numbers = np.round(rng.normal(size=rows) * 10 ** (place % 4) + 0.05 * signal, 4)
            values[f"measure_{place}"] = np.where(rng.random(rows) < 0.02, np.nan, numbers)
        elif kind < 17:
            values[f"count_{place}"] = rng.poisson(place % 30 + 1, rows)
        else:
            levels = np.array([f"level {level}" for level in range(2 + place % 25)])
            values[f"kind_{place}"] = rng.choice(levels, rows)
    values["converted"] = (rng.random(rows) < 1 / (1 + np.exp(1 - signal))).astype(int)
    return pd.DataFrame(values)


def rules_of(frame: pd.DataFrame) -> Rules:
    """Return the type of each column, and its range or its categories."""
    kinds = {"f": "number", "i": "integer", "O": "text"}
    return {
        str(name): (
            kinds[frame[name].dtype.kind],
            sorted(frame[name].unique())
            if frame[name].dtype.kind == "O"
            else [frame[name].min().item(), frame[name].max().item()],
        )
        for name in frame
    }


def checked(path: Path, rules: Rules) -> None:
    """Read the file and check each column: the baseline."""
    frame = pd.read_csv(path)
    for name, (kind, values) in rules.items():
        column = frame[name]
        missing = column.isna()
        if kind == "text":
            wrong = ~column.isin(values)
        else:
            numbers = pd.to_numeric(column, errors="coerce")
            wrong = numbers.isna() | ~numbers.between(*values)
        assert not (wrong & ~missing).any()
    assert not frame["order_id"].duplicated().any()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=500)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--pandera", help="an interpreter that has pandas and pandera")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "wide.csv")
        frame = generated(given.columns, given.rows)
        frame.to_csv(path, index=False)
        rules = rules_of(frame)
        start = time.perf_counter()
        guesses = guess(read_some(path), target="converted").with_(rows=RANDOM)
        print(f"guesses: {time.perf_counter() - start:.2f} s")
        settings = projects.create(Settings(home=home), guesses.project_file("wide", "Wide"))
        ways: dict[str, Callable[[], object]] = {
            "pandas": lambda: checked(path, rules),
            "acquire": lambda: acquire.run(settings, acquire.Options(source="file", path=path)),
            "prepare": lambda: prepare.run(settings, prepare.Options(missing="impute")),
        }
        seconds: Turns = {way: [] for way in ways}
        profiler = cProfile.Profile(time.process_time)
        for turn in range(given.turns + 1):
            if turn == 1:
                # as the server does from which jobs are forked: what is imported is not collected
                gc.freeze()
            for way, act in ways.items():
                is_profiled = given.profile and turn == given.turns and way != "pandas"
                start, processor = time.perf_counter(), time.process_time()
                profiler.runcall(act) if is_profiled else act()
                if turn:
                    wall = time.perf_counter() - start
                    seconds[way].append((wall, time.process_time() - processor))
        report(seconds)
        if given.pandera:
            with_pandera(given.pandera, path, rules, seconds, given.turns)
    if given.profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(110)


def report(seconds: Turns, baseline: str = "pandas") -> None:
    """Print the medians of wall time and processor time, and the ratios to the baseline."""
    both = list(zip(seconds["acquire"], seconds["prepare"], strict=True))
    ways = {way: seconds[way] for way in (baseline, "acquire", "prepare")}
    ways["both"] = [(one[0] + other[0], one[1] + other[1]) for one, other in both]
    bare = [statistics.median(turn[place] for turn in ways[baseline]) for place in (0, 1)]
    for way, turns in ways.items():
        wall, processor = (statistics.median(turn[place] for turn in turns) for place in (0, 1))
        limit = f" (limit {LIMIT:g})" if way == "both" else ""
        print(
            f"{way:<20} {wall:6.2f} s, ratio {wall / bare[0]:5.2f}{limit}; processor "
            f"{processor:6.2f} s, ratio {processor / bare[1]:5.2f}"
        )


def with_pandera(interpreter: str, path: Path, rules: Rules, seconds: Turns, turns: int) -> None:
    """Print the ratios to pandas and pandera, run in an interpreter that has them."""
    child = subprocess.run(
        [interpreter, "-c", WITH_PANDERA, json.dumps(rules), str(path), str(turns + 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    name = "pandas and pandera"
    lines = [tuple(map(float, line.split())) for line in child.stdout.splitlines()[1:]]
    report({**seconds, name: lines}, name)


if __name__ == "__main__":
    main()
