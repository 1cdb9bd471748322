"""The time of a replay, and of a bare loop that only trains, predicts and computes log loss.

    COURTSIDE_RAW_DIR=/folder/of/the/real/files python -m benchmarks.replay

Works in a temporary home. Ends with 1 when logistic regression takes a minute or more, and with 0
and a note when the real files are not there. Times are best on a machine that does nothing else:
processor time is printed with them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.data import acquire, snapshots
from core.platform import project, served_model, tracking
from core.platform.config import Settings
from core.platform.project import ProjectSpec
from core.retraining import policy_comparison, replay_rows, row_stream
from core.retraining import replay as step
from core.retraining.policy import Policy
from core.stats import metrics
from core.training import estimators

LIMIT_SECONDS = 60.0
FEW_LEAVES = {
    "n_estimators": 100,
    "num_leaves": 7,
    "learning_rate": 0.03,
    "min_child_samples": 100,
    "reg_lambda": 10.0,
}


def bare(
    settings: Settings, spec: ProjectSpec, features: tuple[str, ...], kind: str, params: Any
) -> tuple[float, float]:
    """Predict each window by a model of the first five, and by one that is trained each time.

    Returns
    -------
    (never, each) : tuple of float
        Log loss over all rows.
    """
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    raw = snapshots.Archive.of(settings).validated(snapshot, spec)
    rows, moments = replay_rows.in_order(raw, spec, "development")
    inputs = spec.inputs_of(features)
    frame = served_model.with_features(
        served_model.checked(rows, spec.kinds_of(inputs), is_complete=False),
        features,
        spec.formulas_of(features),
    )
    texts = [name for name in features if spec.is_text(name)]
    numbers = [name for name in features if name not in texts]
    labels = rows[spec.target].to_numpy(dtype=np.int64)
    names = rows[replay_rows.dividing(rows, spec)[0]]
    first = row_stream.first_of(moments, names, windows=5, by="column", rows=0)
    spans = row_stream.cut(moments, first, by="column", names=names)

    def fitted(end: int) -> Any:
        estimator = estimators.unfitted(kind, numbers, texts, impute=False, params=params, seed=42)
        return estimator.fit(frame[:end], labels[:end])

    never_model = fitted(first)
    losses: tuple[list[Any], list[Any]] = ([], [])
    for span in spans:
        each_model = never_model if span.first == first else fitted(span.first)
        part = slice(span.first, span.last)
        for place, model in enumerate((never_model, each_model)):
            forecast = model.predict_proba(frame[part])[:, 1]
            losses[place].append(metrics.log_losses(labels[part], forecast))
    never, each = (float(np.concatenate(parts).mean()) for parts in losses)
    return never, each


def timed(work: Any) -> tuple[Any, float, float]:
    """Return the result, its seconds, and its seconds of a processor."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - processor


def main() -> int:
    folder = os.environ.get("COURTSIDE_RAW_DIR")
    if not folder:
        print("COURTSIDE_RAW_DIR names no folder with the real files: nothing measured.")
        return 0
    spec = project.load("kobe")
    every = spec.features_called("All, with the kind of shot")
    presets = [
        preset.params["lightgbm"] for preset in spec.presets if preset.features.startswith("All")
    ]
    cases = {
        "logistic regression, six": (spec.features, "lr", {}),
        "LightGBM of few leaves, all": (every, "lightgbm", FEW_LEAVES),
        "LightGBM as the preset, all": (every, "lightgbm", presets[0]),
        "LightGBM with defaults, all": (every, "lightgbm", {}),
    }
    late = False
    with tempfile.TemporaryDirectory() as temporary:
        settings = Settings(home=Path(temporary), raw_dir=Path(folder))
        acquire.run(settings, acquire.Options(source="folder"))
        for title, (features, kind, params) in cases.items():
            bare(settings, spec, features, kind, params)  # imports
            losses, bare_wall, bare_processor = timed(
                lambda f=features, k=kind, p=params: bare(settings, spec, f, k, p)
            )
            options = step.Options(features=features, candidate=kind, params=params)
            result, wall, processor = timed(lambda o=options: step.run(settings, o))
            table = tracking.table(settings, result.run_id, "policies").set_index("policy")
            calendar = table.loc[
                policy_comparison.titled(Policy(strategy="calendar", every_days=180))
            ]
            print(
                f"\n{title}: {wall:.1f} s ({processor:.1f} s of a processor) for {result.windows} "
                f"windows, {len(table)} policies, "
                f"{tracking.run(settings, result.run_id).metrics['models_trained']:.0f} models\n"
                f"  bare loop {bare_wall:.1f} s ({bare_processor:.1f} s): "
                f"{processor / bare_processor:.1f} times its processor time\n"
                f"  never {table.loc['Never', 'log_loss']:.4f} (bare {losses[0]:.4f}), "
                f"calendar {calendar['log_loss']:.4f} (bare {losses[1]:.4f}): gain "
                f"{calendar['gain']:.4f} ({calendar['gain_low']:.4f} to "
                f"{calendar['gain_high']:.4f})"
            )
            shown = table[["log_loss", "gain", "retrainings", "alarms", "input_alerts"]]
            print(shown.to_string(float_format=lambda value: f"{value:.4f}"))
            late |= kind == "lr" and wall >= LIMIT_SECONDS
    return int(late)


if __name__ == "__main__":
    pd.set_option("display.width", 200)
    sys.exit(main())
