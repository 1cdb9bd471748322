"""The time of each page's script: with real or sample rows, a million rows, and 10,000 runs.

    python -m benchmarks.page_times [few] [million] [runs] [--runs 10000] [--versions 500]

`few` is a home after a life cycle, on the real files when COURTSIDE_RAW_DIR names them and on the
sample otherwise; `runs` is the same home whose runs and versions were multiplied in the database,
with ratios to `few`; `million` has a million made-up rows, acquired and prepared. Median of five
visits, in processor time, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.data import acquire, prepare
from core.jobs import supervision
from core.monitoring import monitor
from core.platform import mlflow_client, project, run_index, state
from core.platform.config import Settings
from core.projects.kobe import sample
from core.scoring import score
from core.training import train

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 5
PAGES = (
    "overview",
    "data",
    "data?view=prepare",
    "data?view=explore",
    "train",
    "train?view=results",
    "train?view=explain",
    "registry",
    "registry?view=versions",
    "registry?view=compare",
    "registry?view=ledger",
    "serve",
    "score",
    "score?view=log",
    "score?view=labels",
    "monitor",
    "monitor?view=alerts",
    "monitor?view=history",
    "retrain",
    "retrain?view=policy",
    "documents",
    "runs",
    "runs?view=jobs",
)
BEFORE_TRAINING = ("overview", "data", "data?view=prepare", "data?view=explore", "train")
# what a run is made of in MLflow's database
CHAMPION = "courtside.champion_"
RUN_TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def time_pages(
    settings: Settings, pages: Sequence[str], before: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Print what each page takes, with ratios to `before`; return it in seconds."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    logging.disable(logging.CRITICAL)
    os.environ |= settings.environment()
    st.cache_resource.clear()

    def seconds_of(app: Any) -> float:
        start = time.process_time()
        app.run(timeout=120)
        seconds = time.process_time() - start
        if app.exception:
            sys.exit(f"A page failed: {app.exception[0].value}")
        return seconds

    empty = AppTest.from_string("import streamlit as st\nst.title('Empty')")
    seconds_of(empty)
    bare = statistics.median(seconds_of(empty) for _ in range(REPEATS))
    print(f"  {'an empty page':<24}{bare * 1000:6.0f} ms")
    times = {}
    for page in pages:
        app = AppTest.from_file(str(ROOT / "app.py"))
        folder, _, view = page.partition("?view=")
        if folder != "overview":
            app._page_hash = calc_hash(folder)
        if view:
            app.query_params["view"] = view
        st.cache_data.clear()
        first = seconds_of(app)
        seconds = times[page] = statistics.median(seconds_of(app) for _ in range(REPEATS))
        ratio = f"; {seconds / before[page]:4.2f} times that of few runs" if before else ""
        print(f"  {page:<24}{seconds * 1000:6.0f} ms, first {first * 1000:4.0f} ms{ratio}")
    return times


def made_up(rows: int) -> pd.DataFrame:
    """Return at least so many made-up rows: the sample of one seed after the other."""
    tables = project.sample_tables("kobe")
    parts: list[pd.DataFrame] = []
    while sum(map(len, parts)) < rows:
        parts.append(sample.generate(tables, seed=24 + len(parts)))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(shot_id=range(len(frame)))


def live(settings: Settings) -> None:
    """Run a life cycle in this process."""
    source = "folder" if settings.raw_dir else "sample"
    acquire.run(settings, acquire.Options(source=source))
    prepare.run(settings, prepare.Options())
    for _ in range(2):
        train.run(settings, train.Options(candidates=("lr",), learning_seconds=0))
    score.run(settings, score.Options(way="in_process"))
    monitor.run(settings, monitor.Options())


def grow(settings: Settings, runs: int, versions: int) -> None:
    """Multiply the runs and versions of a home in MLflow's database, each copy a day older."""
    database = sqlite3.connect(settings.mlflow_uri.removeprefix("sqlite:///"))
    rows = {table: _rows(database, table) for table in RUN_TABLES}
    # most trainings make no champion
    rows["tags"] = [row for row in rows["tags"] if not row["key"].startswith(CHAMPION)]
    copies = -(-runs // len(rows["runs"])) - 1
    for copy in range(1, copies + 1):
        names = {row["run_uuid"]: uuid.uuid4().hex for row in rows["runs"]}
        for table in RUN_TABLES:
            _insert(database, table, [_copied(row, names, copy) for row in rows[table]])
    (newest,) = _rows(database, "model_versions")[-1:]
    tags = [
        row for row in _rows(database, "model_version_tags") if row["version"] == newest["version"]
    ]
    for number in range(newest["version"] + 1, versions + 1):
        _insert(database, "model_versions", [{**newest, "version": number}])
        _insert(database, "model_version_tags", [{**tag, "version": number} for tag in tags])
    database.commit()
    # the index looks for new runs, and these are old ones
    with state.transaction(settings) as connection:
        connection.exec_driver_sql("DELETE FROM run_stores")


def _rows(database: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    cursor = database.execute(" ".join(("SELECT * FROM", table)))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _copied(row: dict[str, Any], names: Mapping[str, str], copy: int) -> dict[str, Any]:
    changed = {"run_uuid": names[row["run_uuid"]]}
    for moment in ("start_time", "end_time"):
        if row.get(moment):
            changed[moment] = row[moment] - copy * 86_400_000
    if row.get("key") == run_index.PARENT:
        changed["value"] = names.get(row["value"], row["value"])
    return row | changed


def _insert(database: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    columns = ", ".join(f'"{name}"' for name in rows[0])
    marks = ", ".join("?" * len(rows[0]))
    values = [tuple(row.values()) for row in rows]
    statement = " ".join(("INSERT INTO", table, f"({columns})", "VALUES", f"({marks})"))
    database.executemany(statement, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("homes", nargs="*", choices=["few", "million", "runs", []])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=500)
    given = parser.parse_args()
    homes = given.homes or ["few", "runs", "million"]
    supervision.keep_supervisor = lambda settings: None  # only pages are timed
    raw = os.environ.get("COURTSIDE_RAW_DIR")
    with tempfile.TemporaryDirectory() as folder:
        if {"few", "runs"} & {*homes}:
            settings = Settings(home=Path(folder, "few"), raw_dir=raw)
            mlflow_client.warm(settings)
            live(settings)
            print(f"{'real' if raw else 'sample'} rows, after a life cycle")
            few = time_pages(settings, PAGES)
        if "runs" in homes:
            grow(settings, given.runs, given.versions)
            start = time.process_time()
            time_pages(settings, ("runs",))
            print(
                f"{given.runs:,} runs and {given.versions} versions; the index was built again in"
            )
            print(f"  {time.process_time() - start:.1f} s of processor time")
            time_pages(settings, PAGES, few)
        if "million" in homes:
            settings = Settings(home=Path(folder, "million"))
            mlflow_client.warm(settings)
            path = Path(folder, "rows.parquet")
            made_up(1_000_000).to_parquet(path, index=False)
            acquire.run(settings, acquire.Options(source="file", path=path))
            prepare.run(settings, prepare.Options())
            print("a million made-up rows, acquired and prepared")
            time_pages(settings, BEFORE_TRAINING)
            shutil.rmtree(settings.home, ignore_errors=True)


if __name__ == "__main__":
    main()
