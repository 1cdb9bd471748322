"""Guesses about a million rows x 30 columns, compared with a bare pyarrow read of the file.

Measures processor time and wall time of `read_some` and `guess` for parquet and CSV; takes about a
minute and 300 MB in a temporary folder. With `--tables FOLDER` it prints the guesses about each
table of a folder instead.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from core.data.guess import guess
from core.data.guess_sample import read_some

ROWS = 1_000_000


def generated(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    moments = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.sort(rng.integers(0, 365 * 86_400, rows)), unit="s"
    )
    columns: dict[str, Any] = {
        "order_id": np.arange(rows),
        "created_at": moments.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for place in range(14):
        columns[f"number {place}"] = np.round(rng.normal(size=rows) * 10 ** (place % 5), 3)
    for place in range(5):
        columns[f"count_{place}"] = rng.poisson(3 * (place + 1), rows)
        levels = np.array([f"level {level}" for level in range(4 * (place + 1))])
        columns[f"kind_{place}"] = rng.choice(levels, rows)
    columns["customer"] = np.array([f"customer {n}" for n in range(30_000)])[
        rng.integers(0, 30_000, rows)
    ]
    columns["flag"] = np.where(rng.random(rows) < 0.3, "yes", "no")
    columns["holes"] = np.where(rng.random(rows) < 0.4, np.nan, rng.integers(0, 50, rows))
    columns["converted"] = (rng.random(rows) < 1 / (1 + np.exp(2 - columns["number 0"]))).astype(
        int
    )
    return pd.DataFrame(columns)


def timed(act: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    result = act()
    return result, time.perf_counter() - wall, time.process_time() - processor


def speed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        frame = generated(ROWS)
        frame.to_parquet(Path(folder, "million.parquet"))
        pyarrow.csv.write_csv(pyarrow.Table.from_pandas(frame), Path(folder, "million.csv"))
        del frame
        for name, bare in (
            ("million.parquet", pyarrow.parquet.read_table),
            ("million.csv", pyarrow.csv.read_csv),
        ):
            path = Path(folder, name)
            _, wall_bare, bare_time = timed(lambda path=path, bare=bare: bare(path))
            some, wall_read, read_time = timed(lambda path=path: read_some(path))
            guesses, wall_guess, guess_time = timed(lambda some=some: guess(some))
            print(
                f"{name}: bare {bare_time:.2f} s, read {read_time:.2f} s, guess {guess_time:.2f} s "
                f"of processor time; ratio {(read_time + guess_time) / bare_time:.2f}; wall "
                f"{wall_read + wall_guess:.2f} s beside {wall_bare:.2f} s; {guesses.target.value}"
            )


def tables(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".csv", ".parquet", ".zip"):
            continue
        guesses, wall, _ = timed(lambda path=path: guess(read_some(path)))
        ranked = [guesses.target.value, *guesses.target.alternatives][:3]
        left_out = {name: out.code for name, out in guesses.left_out.items()}
        print(f"{path.name} ({wall:.1f} s): {ranked} = {guesses.positive.value}, {left_out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path)
    given = parser.parse_args()
    tables(given.tables) if given.tables else speed()
