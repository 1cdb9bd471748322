"""Candidates side by side on a Dask cluster of two workers, as a ratio to one by one.

    python benchmarks/side_by_side.py [candidate ...]

The six features, on the real files when COURTSIDE_RAW_DIR names them, on the built-in sample
otherwise; ten folds. Both ways take turns on the same machine, after a first turn that does not
count: a worker imports PyCaret then. Everything listens on 127.0.0.1.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# workers are started as new processes
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

from core.data import acquire, prepare
from core.platform import mlflow_client, project, storage
from core.platform.config import Settings
from core.training import automl, candidates, cluster, train

REPEATS = 5
# where a cluster has something to gain
SLOW, SLOW_REPEATS = ("gbc", "rf", "et", "ada"), 2


def fitting(
    settings: Settings, address: str, names: tuple[str, ...], repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of fits alone, nothing recorded."""
    _, rows, _ = storage.read_prepared(settings)
    target = project.of(settings).target
    new_trainer = partial(automl.Trainer, rows, target, folds=10, seed=42, fit_share=1.0)

    def serial() -> None:
        trainer = new_trainer()
        for name in names:
            trainer.fit(name)

    def side_by_side() -> None:
        for _, fit in cluster.fit_all(address, new_trainer, {name: {} for name in names}):
            fit()

    return in_turn({"one by one": serial, "side by side": side_by_side}, repeats)


def whole_step(settings: Settings, address: str, names: tuple[str, ...]) -> dict[str, list[float]]:
    """Return the seconds of the step: fits, figures, curves, runs, registration."""
    # the learning curve comes after the fits and is the same either way
    options = train.Options(candidates=names, learning_seconds=0)
    on_cluster = settings.model_copy(update={"dask": address})
    return in_turn(
        {
            "one by one": lambda: train.run(settings, options),
            "side by side": lambda: train.run(on_cluster, options),
        },
        REPEATS,
    )


def in_turn(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(repeats + 1):
        for way, do in ways.items():
            start = time.perf_counter()
            do()
            if turn:
                seconds[way].append(time.perf_counter() - start)
    return seconds


def print_ratios(title: str, names: tuple[str, ...], seconds: dict[str, list[float]]) -> None:
    baseline, other = seconds["one by one"], seconds["side by side"]
    ratios = [
        cluster_seconds / serial_seconds
        for cluster_seconds, serial_seconds in zip(other, baseline, strict=True)
    ]
    print(
        f"{title:<10} {', '.join(names):<44} one by one {statistics.median(baseline):6.2f} s, "
        f"side by side {statistics.median(other):6.2f} s, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} turns)",
        flush=True,
    )


def main() -> None:
    import distributed

    warnings.filterwarnings("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    raw = os.environ.get("COURTSIDE_RAW_DIR")
    requested = tuple(sys.argv[1:])
    with (
        tempfile.TemporaryDirectory() as home,
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as local,
    ):
        settings = Settings(home=Path(home), raw_dir=raw)
        mlflow_client.warm(settings)
        source = {"source": "folder", "path": raw} if raw else {"source": "sample"}
        acquire.run(settings, acquire.Options(**source))
        prepare.run(settings, prepare.Options())
        print(f"{'real shots' if raw else 'sample'}; medians; a ratio below 1: side by side wins")
        names, address = requested or candidates.DEFAULT, local.scheduler_address
        print_ratios("fits", names, fitting(settings, address, names, REPEATS))
        print_ratios("whole step", names, whole_step(settings, address, names))
        if not requested:
            print_ratios("fits", SLOW, fitting(settings, address, SLOW, SLOW_REPEATS))


if __name__ == "__main__":
    main()
