"""Peak memory of the largest files and requests that are accepted, and of those that are refused.

    python -m benchmarks.memory [NAME ...]

Each is read in a process of its own; printed are its peak and its size before, in MB, and seconds.
`million.csv` and `million.parquet` are a million rows x 30 columns, beside pandas reading them (the
way `bare`): Acquire and Prepare as whole steps, in processes and a home of their own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.guess import generated
from core.data import acquire, prepare
from core.data.guess import guess
from core.data.guess_roles import RANDOM
from core.data.guess_sample import read_some
from core.platform import projects, tables
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.project import Column
from core.platform.rows import Rule
from core.scoring import batches
from core.serving import contract, request_bounds

PROMISED = 1_000.0
# of a whole step: its process holds MLflow and scikit-learn too
PROMISED_STEP = 2_000.0
STEPS = ("new", "acquire", "prepare")


def peak() -> float:
    """Return the peak of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def numbers(path: Path) -> None:
    """Write 6.4 million numbers of 30 digits: 200 MB."""
    block = pd.DataFrame(np.random.default_rng(1).normal(size=(3_200, 20)))
    rows = block.to_csv(index=False, header=False, float_format="%.27f")
    with path.open("w") as file:
        file.write(",".join(f"c{i}" for i in range(20)) + "\n")
        for _ in range(100):
            file.write(rows)


def texts(path: Path) -> None:
    """Write 6.4 million different texts, 30 characters each: 200 MB."""
    rows = "".join(
        ",".join(f"@-text-of-a-row-{row:05d}-{i:02d}00" for i in range(10)) + "\n"
        for row in range(6_400)
    )
    with path.open("w") as file:
        file.write(",".join(f"c{i}" for i in range(10)) + "\n")
        for number in range(100):
            file.write(rows.replace("@", f"{number:03d}"))


def wide(path: Path) -> None:
    """Write a header of 100,000 columns."""
    path.write_text(",".join(f"c{i}" for i in range(100_000)) + "\n1\n")


def constant(path: Path) -> None:
    """Write 100 constant columns of 2 million rows: under 1 MB of parquet, 1.6 GB of numbers."""
    table = pa.table({f"c{i}": pa.array(np.zeros(2_000_000)) for i in range(100)})
    pq.write_table(table, path, compression="zstd")


def long_text(path: Path) -> None:
    """Write one text of 100,000 characters in a million rows: 100 GB once each row has its own."""
    column = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, "int32"), ["x" * 100_000])
    pq.write_table(pa.table({"c0": column}), path)


def largest_request(path: Path) -> None:
    """Write the largest request: 999,980 values as records of JSON."""
    rows = [{f"c{i}": float(row) for i in range(9)} for row in range(99_990)]
    path.write_text(json.dumps({"dataframe_records": rows}))


def million(path: Path) -> None:
    """Write a million rows x 30 columns: numbers, whole numbers, texts, days."""
    frame = generated(1_000_000)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)


FILES = {
    "numbers.csv": numbers,
    "texts.csv": texts,
    "wide.csv": wide,
    "constant.parquet": constant,
    "long_text.parquet": long_text,
    "asked.json": largest_request,
    "million.csv": million,
    "million.parquet": million,
}
READERS = {
    "numbers.csv": ("whole", "batches"),
    "texts.csv": ("whole", "batches"),
    "wide.csv": ("whole", "batches"),
    "constant.parquet": ("whole", "batches", "request"),
    "long_text.parquet": ("whole", "batches", "request"),
    "asked.json": ("request",),
    "million.csv": ("bare", "new", "acquire", "prepare"),
    "million.parquet": ("bare", "new", "acquire", "prepare"),
}


def read(path: Path, way: str) -> str:
    """Read a file in one way, and return the outcome."""
    try:
        if way == "bare":
            is_csv = path.suffix == ".csv"
            return f"{len(pd.read_csv(path) if is_csv else pd.read_parquet(path)):,} rows"
        if way in STEPS:
            return step(path, way)
        if way == "whole":
            kind = "text" if path.stem in ("texts", "long_text") else "number"
            columns = {f"c{i}": Column(type=kind, about="x") for i in range(20)}
            return f"{len(tables.read(path, columns=columns)):,} rows"
        if way == "batches":
            source = batches.inspect(str(path))
            wanted = list(source.columns[:20])
            text_columns = wanted if path.stem in ("texts", "long_text") else []
            rows = sum(
                len(batch.frame)
                for part in source.parts
                for batch in batches.read(source, part, wanted, texts=text_columns)
            )
            return f"{rows:,} rows"
        body = path.read_bytes()
        request_bounds.check(body)
        kind = contract.PARQUET if path.suffix == ".parquet" else contract.JSON
        inputs = {f"c{i}": "number" for i in range(9)}
        rules = dict.fromkeys(inputs, Rule("number"))
        parsed = contract.read(body, kind, inputs, rules, is_complete=True)
        return f"{len(parsed.features):,} rows" if parsed else "left to MLflow"
    except InputError as error:
        return f"refused: {getattr(error, 'code', 'in words')}"


def step(path: Path, name: str) -> str:
    """Guess a file's schema, or run a step on it, in a home next to it."""
    outer = Settings(home=path.parent / f"{path.name}-home", upload_limit_mb=400)
    if name == "new":
        guesses = guess(read_some(path), target="converted").with_(rows=RANDOM)
        projects.create(outer, guesses.project_file("million", "A million rows"))
        return f"{guesses.sampled:,} of {guesses.rows:,} rows"
    settings = outer.of_project("million")
    if name == "acquire":
        acquired = acquire.run(settings, acquire.Options(source="file", path=path))
        return f"{acquired.rows:,} rows"
    prepared = prepare.run(settings, prepare.Options(missing="impute"))
    return f"{prepared.rows_train:,} and {prepared.rows_test:,} rows"


def child(*arguments: str) -> list[Any]:
    """Run this script in another process, and return what it prints."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    printed: list[Any] = json.loads((run.stdout.splitlines() or ["[]"])[-1])
    return printed


def main(names: list[str]) -> int:
    """Print a line for each kind; exit code 1 if one takes more than is promised."""
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'file':<20}{'way':<10}{'MB':>8}{'before':>8}{'peak':>8}{'s':>7}  outcome")
        for name in names or FILES:
            path = Path(folder) / name
            # in a process of its own, whose peak is not that of the readers
            child("--write", str(path))
            for way in READERS[name]:
                before, after, seconds, outcome = child("--read", str(path), way)
                size = path.stat().st_size / 1e6
                print(
                    f"{name:<20}{way:<10}{size:>8.1f}{before:>8.0f}{after:>8.0f}{seconds:>7.1f}  "
                    f"{outcome}",
                    flush=True,
                )
                if way != "bare":
                    broken += after > (PROMISED_STEP if way in STEPS else PROMISED)
            path.unlink()
    return int(bool(broken))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        FILES[Path(sys.argv[2]).name](Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--read"]:
        began, start = peak(), time.perf_counter()
        result_text = read(Path(sys.argv[2]), sys.argv[3])
        print(json.dumps([began, peak(), time.perf_counter() - start, result_text]))
    else:
        sys.exit(main(sys.argv[1:]))
