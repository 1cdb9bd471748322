"""The results of every preset on the real rows, and the limits that were set.

    COURTSIDE_RAW_DIR=/folder/of/the/real/files python benchmarks/presets.py

Works in a temporary home, through the same steps that the button runs. Ends with 1 when a limit is
missed, and with 0 and a note when the real files are not there.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pandas as pd

from core.data import acquire, prepare
from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.own_columns import LABEL, PROBABILITY
from core.platform.project import Preset, ProjectSpec
from core.stats import figure_intervals
from core.training import candidates, train

# largest log loss on the test set, in nats (issue 4)
LIMITS = {
    "Best by place and time": 0.674,
    "Best with the kind of shot": 0.607,
    "Best by place and time, split by date": 0.672,
    "Best with the kind of shot, split by date": 0.632,
}
# logistic regression with scikit-learn's defaults on the same rows
BASELINE = 0.67849
RESAMPLES = 1000


def press(settings: Settings, spec: ProjectSpec, preset: Preset) -> train.Result:
    """Do what the button *Prepare and train* does."""
    prepare.run(
        settings,
        prepare.Options(
            features=spec.features_called(preset.features),
            split=preset.split,
            test_from=preset.test_from,
        ),
    )
    return train.run(
        settings,
        train.Options(
            candidates=preset.candidates,
            params=preset.params,
            blend=preset.blend,
            preset=preset.title,
        ),
    )


def line(settings: Settings, spec: ProjectSpec, title: str, result: train.Result) -> dict[str, str]:
    """Return a line of the table: what the run itself says, with an interval of its forecasts."""
    run = tracking.run(settings, result.run_id)
    best = tracking.table(settings, result.run_id, "comparison").set_index("model").loc[result.best]
    test_predictions = tracking.table(settings, str(best["run_id"]), "test_predictions")
    labels = test_predictions[LABEL].to_numpy(dtype="int64")
    forecasts = test_predictions[PROBABILITY].to_numpy(dtype="float64")
    ends = figure_intervals.of(labels, forecasts, spec.threshold, resamples=RESAMPLES)["log_loss"]
    limit = LIMITS.get(title)
    return {
        "preset": title,
        "rows": f"{run.metrics['rows_train']:,.0f} + {run.metrics['rows_test']:,.0f}",
        "best": candidates.title(result.best),
        "CV": f"{best['log_loss_cv']:.4f}",
        "test": f"{result.log_loss_test:.5f}",
        "95% interval": f"{ends[0]:.4f} to {ends[1]:.4f}",
        "limit": "-" if limit is None else f"{limit:.3f}",
        "reached": "-" if limit is None else "yes" if result.log_loss_test <= limit else "NO",
        "skill": f"{best['skill_test']:.4f}",
    }


def main() -> int:
    raw = os.environ.get("COURTSIDE_RAW_DIR", "-")
    spec = project.load(Settings().project)
    if not all((Path(raw) / item.name).is_file() for item in spec.downloads):
        print("COURTSIDE_RAW_DIR names no folder with the real files: nothing is measured.")
        return 0
    warnings.filterwarnings("ignore")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    lines = []
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), raw_dir=Path(raw))
        acquire.run(settings, acquire.Options(source="folder", path=Path(raw)))
        for preset in spec.presets:
            start = time.perf_counter()
            result = press(settings, spec, preset)
            seconds = f"{time.perf_counter() - start:.1f}"
            lines.append({**line(settings, spec, preset.title, result), "seconds": seconds})
        prepare.run(settings, prepare.Options())
        start = time.perf_counter()
        result = train.run(settings, train.Options(candidates=("lr",)))
        title = "(six, logistic regression)"
        seconds = f"{time.perf_counter() - start:.1f}"
        lines.append({**line(settings, spec, title, result), "seconds": seconds})
    print("Log loss in nats, lower is better; rows: training + test; skill: 1 - log loss / base")
    print(pd.DataFrame(lines).to_string(index=False))
    same = "the same" if round(result.log_loss_test, 5) == BASELINE else "NOT the same"
    print(f"Logistic regression by scikit-learn alone, same rows: {BASELINE}, {same}")
    return int(any(item["reached"] == "NO" for item in lines))


if __name__ == "__main__":
    sys.exit(main())
