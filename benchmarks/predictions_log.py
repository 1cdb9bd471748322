"""How fast the predictions log takes rows and labels, and how its page does with a million rows.

    python -m benchmarks.predictions_log [--rows 1000000] [--url postgresql+psycopg://...]

Rates are given with that of a bare `executemany` of the same rows into one SQLite table.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from benchmarks.page_times import time_pages
from core.jobs import supervision
from core.platform import mlflow_client
from core.platform.config import Settings
from core.predictions_log import labels, log_search, predictions

FEATURES = ("lat", "lon", "minutes_remaining", "period", "playoffs", "shot_distance")
BATCH = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--url", help="of the database; a SQLite file without")
    arguments = parser.parse_args()
    supervision.keep_supervisor = lambda settings: None  # only pages are timed
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), predictions_url=arguments.url)
        mlflow_client.warm(settings)
        some = [answer(0, 1, single=True) for _ in range(500)]
        begun = time.perf_counter()
        for row_answer in some:
            predictions.write(settings, [row_answer])
        print(f"answers of one row, each committed: {500 / (time.perf_counter() - begun):,.0f}/s")
        bare = bare_rate(Path(home), min(arguments.rows, 100_000))
        begun = time.perf_counter()
        for first in range(0, arguments.rows, BATCH):
            predictions.write(settings, [answer(first, BATCH)])
        rate = arguments.rows / (time.perf_counter() - begun)
        print(f"answers of {BATCH:,} rows: {rate:,.0f} rows/s, {rate / bare:.2f} of bare inserts")
        reports = [labels.Report(label=i % 2, key=str(i)) for i in range(0, arguments.rows, 10)]
        for turn in ("new", "the same again"):
            begun = time.perf_counter()
            for first in range(0, len(reports), 20_000):
                labels.report(settings, reports[first : first + 20_000], source="file")
            print(f"labels, {turn}: {len(reports) / (time.perf_counter() - begun):,.0f}/s")
        for name, query in {
            "counts": lambda: log_search.tallies(settings),
            "last day by source": lambda: log_search.by_source(settings, time.time() - 86_400),
            "newest 100": lambda: log_search.browse(settings, limit=100),
            "one key": lambda: log_search.browse(settings, predictions.Filters(search="77")),
        }.items():
            begun = time.perf_counter()
            query()
            print(f"{name}: {(time.perf_counter() - begun) * 1000:,.0f} ms")
        time_pages(settings, ["score?view=log"])


def answer(first: int, rows: int, *, single: bool = False) -> predictions.Answer:
    rng = np.random.default_rng(first)
    values = rng.normal(size=(rows, len(FEATURES))).tolist()
    return predictions.Answer(
        request_id=uuid.uuid4().hex,
        model="kobe-shots",
        version="1",
        alias="champion",
        source="api" if single else "file",
        scored_at=time.time(),
        latency_ms=4.0,
        features=[dict(zip(FEATURES, row, strict=True)) for row in values],
        probabilities=rng.random(rows).tolist(),
        predicted=[0] * rows,
        row_keys=[None] if single else [str(first + i) for i in range(rows)],
    )


def bare_rate(folder: Path, rows: int) -> float:
    """Return the rows per second of plain inserts of the same texts and numbers."""
    with sqlite3.connect(folder / "bare.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE rows (id TEXT PRIMARY KEY, key TEXT, p REAL, features TEXT)"
        )
        begun = time.perf_counter()
        for first in range(0, rows, BATCH):
            batch = answer(first, BATCH)
            listed = [
                (f"{batch.request_id}-{i}", batch.row_keys[i], batch.probabilities[i], str(row))
                for i, row in enumerate(batch.features)
            ]
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", listed)
            connection.commit()
        return rows / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
