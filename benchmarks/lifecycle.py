"""How long a person waits: from button to finished run, and from click to drawn page.

    python benchmarks/lifecycle.py

Works in a temporary home, on the real files when COURTSIDE_RAW_DIR names them, on the built-in
sample otherwise. Each figure is printed with a bare baseline from the same run.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page_times import time_pages
from core.jobs import jobs, supervision
from core.platform import mlflow_client, project, storage, tracking
from core.platform.config import Settings
from core.serving import server, server_process

REPEATS = 5
PAGES = (
    "overview",
    "data",
    "data?view=prepare",
    "train",
    "registry",
    "serve",
    "score",
    "monitor",
    "runs",
)
TRAIN = {"candidates": ["lr", "knn"], "folds": 10}


def press(settings: Settings, step: str, options: Mapping[str, Any]) -> float:
    """Return the seconds from the button to the finished run, and wait for what follows it."""
    start = time.perf_counter()
    job_id = jobs.submit(settings, step, options).job_id
    finished = 0.0
    while (job := jobs.get(settings, job_id)) is None or job.status in ("queued", "running"):
        time.sleep(0.01)
        run = tracking.run(settings, job.run_id) if job and job.run_id and not finished else None
        if run is not None and run.status == "FINISHED":
            finished = time.perf_counter() - start
    if job.status != "done":
        sys.exit(f"{step} ended {job.status}: {job.error}")
    return finished or time.perf_counter() - start


def bare_pycaret(settings: Settings) -> float:
    """Return the seconds that PyCaret alone takes for the same candidates, nothing recorded."""
    from pycaret.classification import ClassificationExperiment

    _, train, _ = storage.read_prepared(settings)
    target = project.of(settings).target
    start = time.perf_counter()
    experiment = ClassificationExperiment()
    experiment.setup(
        train,
        target=target,
        session_id=42,
        fold=10,
        # all rows are fitted on, as by the step
        test_data=train.head(100),
        index=False,
        preprocess=False,
        log_experiment=False,
        n_jobs=1,
        html=False,
        verbose=False,
    )
    for name in TRAIN["candidates"]:
        experiment.create_model(name, verbose=False)
    return time.perf_counter() - start


def median(measure: Callable[[], float], repeats: int = REPEATS) -> float:
    return statistics.median(measure() for _ in range(repeats))


def steps(settings: Settings) -> None:
    times = {
        "prepare": median(lambda: press(settings, "prepare", {})),
        "train": median(lambda: press(settings, "train", TRAIN)),
    }
    list_ = bare_pycaret(settings)  # the first one imports
    bare = median(lambda: bare_pycaret(settings))
    total = sum(times.values())
    print(f"button to finished run, warm worker, median of {REPEATS}")
    for step, seconds in times.items():
        print(f"  {step:<28}{seconds:6.2f} s")
    print(f"  {'prepare and train':<28}{total:6.2f} s")
    print(f"  {'bare PyCaret, untracked':<28}{bare:6.2f} s  (first, with imports: {list_:.1f} s)")
    print(f"  train / bare PyCaret        {times['train'] / bare:6.2f}")


def main() -> None:
    raw = os.environ.get("COURTSIDE_RAW_DIR")
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), raw_dir=raw, serve_port=5701)
        mlflow_client.warm(settings)
        supervision.keep_supervisor(settings)
        start = time.perf_counter()
        while not supervision.worker_state(settings).ready:
            time.sleep(0.05)
        print(f"worker ready after {time.perf_counter() - start:.1f} s")
        try:
            seconds = press(settings, "acquire", {"source": "folder" if raw else "sample"})
            print(f"acquire, {'real shots' if raw else 'sample'}: {seconds:.2f} s")
            steps(settings)
            print(f"explain: {press(settings, 'explain', {}):.2f} s")
            for step in ("serve", "score", "monitor"):
                print(f"{step}: {press(settings, step, {}):.2f} s")
            time_pages(settings, PAGES)
        finally:
            for running in server.servers(settings):
                server_process.stop(settings, running.port)
            supervision.stop_supervisor(settings)


if __name__ == "__main__":
    main()
