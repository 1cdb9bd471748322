"""The time of a page's script, compared with an empty page, with few rows and with a million.

    python benchmarks/page_times.py [rows ...]

Works in a temporary home, on made-up rows (30,697 and 1,013,001 unless other numbers are named).
Each page is opened warm and with cold caches; the ratio is to an empty page in the same run.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pandas as pd

from core.data import acquire, prepare
from core.jobs import supervision
from core.platform import mlflow_client, project
from core.platform.config import Settings
from core.projects.kobe import sample

REPEATS = 5
LIMIT_MS = 300
VIEWS = ("columns", "slices", "court", "correlation", "leakage")


def time_pages(
    settings: Settings, pages: Sequence[str], views: Sequence[tuple[str, str]] = ()
) -> None:
    """Print what each page takes; `views` are values of the view on the Acquire page."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    logging.getLogger("streamlit").setLevel(logging.ERROR)
    os.environ |= settings.environment()
    st.cache_resource.clear()
    empty = AppTest.from_string("import streamlit as st\nst.title('Empty')")

    def seconds_of(app: Any) -> float:
        start = time.perf_counter()
        app.run(timeout=120)
        seconds = time.perf_counter() - start
        if app.exception:
            sys.exit(f"A page failed: {app.exception[0].value}")
        return seconds

    seconds_of(empty)
    bare = statistics.median(seconds_of(empty) for _ in range(REPEATS))
    print(f"page script, median of {REPEATS}, and the first visit with cold caches")
    print(f"  {'an empty page':<22}{bare * 1000:7.0f} ms")
    for page, view in [*((page, "") for page in pages), *views]:
        app = AppTest.from_file(str(ROOT / "app.py"))
        folder, _, asked = page.partition("?view=")
        if folder != "overview":
            app._page_hash = calc_hash(folder)
        if asked:
            app.query_params["view"] = asked
        st.cache_data.clear()
        first = seconds_of(app)
        if view:
            app.segmented_control(key="view").set_value(view)
            st.cache_data.clear()
            first = seconds_of(app)
        seconds = statistics.median(seconds_of(app) for _ in range(REPEATS))
        print(
            f"  {f'{page} {view}':<22}{seconds * 1000:7.0f} ms  {seconds / bare:5.1f} times an "
            f"empty page, {(seconds - bare) * 1000:4.0f} ms more (limit {LIMIT_MS}); "
            f"first {first * 1000:.0f} ms"
        )


def made_up(rows: int) -> pd.DataFrame:
    """Return at least so many made-up rows: the sample of one seed after the other."""
    tables = project.sample_tables("kobe")
    parts: list[pd.DataFrame] = []
    while sum(map(len, parts)) < rows:
        parts.append(sample.generate(tables, seed=24 + len(parts)))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(shot_id=range(len(frame)))


def seconds_to_fill(settings: Settings, path: Path) -> dict[str, float]:
    """Return how long acquire and prepare take in this process."""
    start = time.perf_counter()
    acquire.run(settings, acquire.Options(source="file", path=path))
    acquired = time.perf_counter()
    prepare.run(settings, prepare.Options())
    return {"acquire": acquired - start, "prepare": time.perf_counter() - acquired}


def main() -> None:
    supervision.keep_supervisor = lambda settings: None  # only pages are timed
    for rows in [int(argument) for argument in sys.argv[1:]] or [30_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as home:
            settings = Settings(home=Path(home))
            mlflow_client.warm(settings)
            frame = made_up(rows)
            path = Path(home) / "rows.parquet"
            frame.to_parquet(path, index=False)
            print(f"\n{len(frame):,} rows")
            for name, seconds in seconds_to_fill(settings, path).items():
                print(f"  {name}, in this process: {seconds:.2f} s")
            views = [("acquire", view) for view in VIEWS]
            time_pages(settings, ("overview", "prepare", "train"), views)


if __name__ == "__main__":
    main()
