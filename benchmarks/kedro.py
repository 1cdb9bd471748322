"""Prepare and train beside `kedro run` of a project with the same task.

    python -m benchmarks.kedro KEDRO

KEDRO is the command `kedro` of an environment with benchmarks/kedro_project/requirements.txt
(benchmarks/README.md). The project in benchmarks/kedro_project is written for this comparison; it
is not the first version of this work, which was such a project too. It filters the same shots,
splits them, and trains logistic regression and KNN with PyCaret and 10 folds. A copy of it in a
temporary folder gets the rows that the app has acquired: the real files when COURTSIDE_RAW_DIR
names them, else the built-in sample.

Measured in turns: `kedro run` as a whole command, with its imports, because a person waits for
them; the same with the requirements of a model given, which saves MLflow from inferring them; and
Prepare and Train from button to finished run with a warm worker. Before the first round, `kedro
run` and the two steps run once uncounted: that creates MLflow's store and fills caches. Processor
time is that of the command and all its processes, and that of the worker until a job has ended.
Takes 5 to 15 minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.lifecycle import TRAIN, press
from core.jobs import supervision
from core.platform import mlflow_client
from core.platform.config import Settings

PROJECT = Path(__file__).parent / "kedro_project"
OURS, DEFAULTS, GIVEN = "prepare and train", "kedro run", "kedro run, requirements given"
SHOT_TYPES = {"dev": "2PT Field Goal", "prod": "3PT Field Goal"}
ROUNDS = 3
# seconds by the clock, seconds of processor time
Times = tuple[float, float]


def copied_project(settings: Settings, folder: Path) -> Path:
    """Return a copy of the Kedro project with the acquired rows as its raw files."""
    project = folder / "kedro_project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    raw = project / "data" / "01_raw"
    raw.mkdir(parents=True)
    parts = sorted((settings.home / "data" / "01_raw").glob("*/part-*.parquet"))
    rows = pd.concat([pd.read_parquet(part) for part in parts])
    for name, shot_type in SHOT_TYPES.items():
        wanted = rows[rows["shot_type"] == shot_type]
        wanted.to_parquet(raw / f"dataset_kobe_{name}.parquet", index=False)
    return project


def kedro_run(kedro: Path, project: Path, *options: str) -> Times:
    """Run the pipelines once; Kedro and MLflow send no usage data, which would cost time."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        begun = subprocess.Popen(
            [kedro, "run", *options],
            cwd=project,
            env={**os.environ, "DO_NOT_TRACK": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(begun.pid, 0)
        seconds = time.perf_counter() - start
        begun.returncode = os.waitstatus_to_exitcode(status)
        if begun.returncode:
            output.seek(0)
            sys.exit(f"kedro run ended with {begun.returncode}\n{output.read()[-3000:]}")
    return seconds, used.ru_utime + used.ru_stime


def worker_seconds(settings: Settings) -> float:
    """Return the processor time of the worker and its processes, ended ones included."""
    worker = psutil.Process(supervision.worker_state(settings).pid)
    return sum(sum(each.cpu_times()[:4]) for each in [worker, *worker.children(recursive=True)])


def ours(settings: Settings) -> Times:
    before = worker_seconds(settings)
    seconds = press(settings, "prepare", {}) + press(settings, "train", TRAIN)
    return seconds, worker_seconds(settings) - before


def report(rounds: dict[str, list[Times]]) -> None:
    """Print the medians, and the median over the rounds of the ratio to each Kedro run."""
    print(f"median of {len(rounds[OURS])} rounds{'clock':>22}{'processor':>12}")
    for way, times in rounds.items():
        clock, processor = (statistics.median(each) for each in zip(*times, strict=True))
        print(f"  {way:<34}{clock:6.1f} s{processor:10.1f} s")
    for way in (DEFAULTS, GIVEN):
        pairs = list(zip(rounds[OURS], rounds[way], strict=True))
        clock, processor = (
            statistics.median(own[kind] / other[kind] for own, other in pairs) for kind in (0, 1)
        )
        print(f"  {'ratio to ' + way:<34}{clock:8.2f}{processor:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("kedro", type=Path, help="the command kedro of its environment")
    asked = parser.parse_args()
    kedro = asked.kedro.absolute()
    raw = os.environ.get("COURTSIDE_RAW_DIR")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder, "home"), raw_dir=raw)
        mlflow_client.warm(settings)
        supervision.keep_supervisor(settings)
        while not supervision.worker_state(settings).ready:
            time.sleep(0.05)
        try:
            press(settings, "acquire", {"source": "folder" if raw else "sample"})
            project = copied_project(settings, Path(folder))
            ways: dict[str, Callable[[], Times]] = {
                DEFAULTS: lambda: kedro_run(kedro, project),
                GIVEN: lambda: kedro_run(
                    kedro, project, "--params", "model_requirements=requirements.txt"
                ),
                OURS: lambda: ours(settings),
            }
            for uncounted in (DEFAULTS, OURS):
                ways[uncounted]()
            print(f"{'real shots' if raw else 'sample'}, load {os.getloadavg()[0]:.1f}")
            rounds: dict[str, list[Times]] = {way: [] for way in ways}
            for turn in range(1, ROUNDS + 1):
                for way, act in ways.items():
                    clock, processor = act()
                    print(
                        f"round {turn}, {way}: {clock:.1f} s, processor {processor:.1f} s, "
                        f"load {os.getloadavg()[0]:.1f}",
                        flush=True,
                    )
                    rounds[way].append((clock, processor))
            report(rounds)
        finally:
            supervision.stop_supervisor(settings)


if __name__ == "__main__":
    main()
