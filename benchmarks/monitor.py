"""The time of a monitoring report, compared with its bare metrics, on the real production rows.

    python benchmarks/monitor.py

Works in a temporary home; COURTSIDE_RAW_DIR names the folder with the real files, without it the
built-in sample is taken. The bare loop computes the metrics of both sides and the PSI of each
feature, and keeps nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from core.data import acquire, prepare
from core.monitoring import monitor, report
from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.own_columns import LABEL, PROBABILITY
from core.predictions_log import predictions
from core.scoring import score
from core.stats import distances, drift, limits, metrics, support
from core.training import train

REPEATS = 3


def seconds_of(work: Callable[[], object]) -> float:
    """Return the median of some runs, in seconds."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    spec = project.load("kobe")
    raw = os.environ.pop("COURTSIDE_RAW_DIR", None)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), raw_dir=raw)
        acquire.run(settings, acquire.Options(source="folder" if raw else "sample"))
        prepare.run(settings, prepare.Options())
        train.run(settings, train.Options(candidates=("lr", "nb"), folds=3, learning_seconds=0))
        scored = score.run(settings, score.Options(source="production", way="in_process"))
        version = model_store.require_version(settings, spec.model, "champion")
        reference = tracking.table(settings, version.run_id, "test_predictions")
        current = predictions.read(settings, scored.run_id)
        names = list(spec.features)

        def bare() -> None:
            for rows in (reference, current[current[LABEL].notna()]):
                labels = rows[LABEL].to_numpy(dtype=np.int64)
                metrics.classification(labels, rows[PROBABILITY].to_numpy(), 0.5)
            for name in names:
                distances.psi_of(*drift.Column(reference[name], 10).counts(current[name]))

        sides = report.Sides(
            reference[[*names, PROBABILITY, LABEL]],
            current[[*names, PROBABILITY, LABEL]],
            tuple(names),
            version.threshold,
        )
        labelled = len(sides.labelled())
        base = seconds_of(bare)
        print(f"{len(current):,} rows, {labelled:,} labelled, against {len(reference):,}")
        print(f"  {'bare figures':<38}{base:7.2f} s")
        for name, work in (
            ("rows outside the support", lambda: support.measure(reference, current, names)),
            (
                "limits of 1,600 windows",
                lambda: limits.learn(
                    sides.reference,
                    features=names,
                    rows=len(current),
                    labels=labelled,
                    threshold=version.threshold,
                ),
            ),
            ("all checks", lambda: report.build(sides)),
            ("the step, with its run", lambda: monitor.run(settings, monitor.Options())),
        ):
            seconds = seconds_of(work)
            print(f"  {name:<38}{seconds:7.2f} s {seconds / base:7.0f} times the bare figures")


if __name__ == "__main__":
    main()
