"""monitor: compare the latest scored rows with the reference, and say whether the model fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from core import config, project, schema
from core.adapters import predictions, storage, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.logic import checks, drift, drift_charts, metrics
from core.project import ProjectSpec
from core.record import SILENT, Dataset, Progress, Record

# Fewer scored rows than this fill no bin of a PSI.
MIN_ROWS = 100


class Options(config.Options):
    """Which scored rows to look at.

    Parameters
    ----------
    scoring_run : str, optional
        Run id of a scoring; without it the newest with at least 100 rows.
    """

    scoring_run: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")


@dataclass(frozen=True)
class Result:
    """The conclusion of the report."""

    run_id: str
    verdict: str
    title: str
    alerts: int
    warnings: int


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Compare scored rows with the test set of the model that scored them: run `Monitoramento`.

    The reference is the copy of the test set that the model's own training run kept, so that a
    later preparation does not move it.

    Raises
    ------
    NotReadyError
        When nothing (or too little) was scored yet.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "monitor", options, progress) as run_id:
        progress.update(0.1, "Reading reference and current rows")
        scoring = _scoring(settings, options.scoring_run)
        version = tracking.require_version(settings, scoring.model, scoring.version)
        reference = tracking.table(settings, version.run_id, "test_predictions")
        current = predictions.read(settings, scoring.run_id)
        scored_by = tracking.run(settings, scoring.run_id)
        is_sample = version.is_sample or (scored_by is not None and scored_by.is_sample)
        progress.update(0.4, f"Comparing {len(current):,} rows with {len(reference):,}")
        before, now = (_as_seen(spec, rows, version) for rows in (reference, current))
        columns = list(before.columns)
        moved = drift.by_feature(before, now, columns)
        on_reference = _figures(reference, version.threshold)
        labelled = current[current["label"].notna()]
        on_current = _figures(labelled, version.threshold) if len(labelled) else None
        intervals = metrics.intervals(*_forecast(labelled), version.threshold)
        found = [
            *checks.performance(on_reference, on_current, len(labelled), intervals),
            *checks.inputs(moved),
        ]
        name = spec.rows.production_name if scoring.source == "production" else "scored rows"
        trained_on = version.tags.get(tracking.TAG + "rows_name", spec.rows.development_name)
        conclusion = checks.conclude(found, name, trained_on)
        report = {
            "run_id": run_id,
            "scoring_run": scoring.run_id,
            "model": {"name": version.name, "version": version.version, "run_id": version.run_id},
            "rows": {
                "reference": len(reference),
                "current": len(current),
                "labelled": len(labelled),
            },
            "sample": is_sample,
            "conclusion": asdict(conclusion),
            "checks": [asdict(check) for check in found],
        }
        progress.update(0.7, "Writing the report")
        tags = {
            tracking.TAG + "verdict": conclusion.code,
            tracking.TAG + "verdict_title": conclusion.title,
            tracking.TAG + "verdict_text": conclusion.text,
            tracking.TAG + "verdict_todo": conclusion.todo,
            tracking.TAG + "source": scoring.source,
            tracking.TAG + "scoring_run": scoring.run_id,
            tracking.TAG + "model_run": version.run_id,
        }
        densities = pd.concat(
            [
                reference[["probability"]].assign(set="reference"),
                current[["probability"]].assign(set="current"),
            ],
            ignore_index=True,
        )
        alerts = sum(check.verdict == "alert" for check in found)
        warnings = sum(check.verdict == "warning" for check in found)
        tracking.log(
            settings,
            run_id,
            Record(
                params={
                    "scored_by": scoring.run_id,
                    "model": version.name,
                    "version": version.version,
                },
                metrics={
                    "rows_reference": len(reference),
                    "rows_current": len(current),
                    "rows_labelled": len(labelled),
                    "checks_alert": alerts,
                    "checks_warning": warnings,
                    **{f"{key}_reference": value for key, value in on_reference.items()},
                    **{f"{key}_current": value for key, value in (on_current or {}).items()},
                    **{
                        f"{code}_{name}": float(value)
                        for code in ("psi", "ks")
                        for name, value in zip(moved["feature"], moved[code], strict=True)
                    },
                },
                tags=tags,
                is_sample=is_sample,
                tables={
                    "checks": checks.as_table(found),
                    "drift": moved,
                    "densities": drift.densities(before, now, columns),
                },
                figures={
                    "psi": drift_charts.psi_bars(moved).to_dict(),
                    "probability": drift_charts.probability_density(densities).to_dict(),
                },
                datasets=(
                    Dataset("reference", reference, f"run-{version.run_id}", "reference"),
                    Dataset("current", current, f"run-{scoring.run_id}", "current"),
                ),
            ),
        )
        path = storage.save_report(settings, f"monitoring_{run_id[:12]}", report)
        tracking.log(settings, run_id, Record(files=(path,)))
        progress.update(1.0, conclusion.title)
    return Result(run_id, conclusion.code, conclusion.title, alerts, warnings)


def _as_seen(spec: ProjectSpec, rows: pd.DataFrame, version: tracking.ModelVersion) -> pd.DataFrame:
    """Return the features as the model sees them, and its probabilities."""
    from core.adapters import served_model

    schema.chosen_columns(spec, version.inputs)  # tells those that the project no longer has
    inputs = served_model.checked(rows, spec.kinds_of(version.inputs), is_complete=False)
    features = served_model.with_features(inputs, version.features, version.formulas)
    return features.assign(probability=rows["probability"])


def _scoring(settings: Settings, run_id: str | None) -> predictions.Scoring:
    if run_id is not None and not predictions.scorings(settings, run_id=run_id):
        raise NotReadyError(f"The predictions log holds no rows of the run {run_id[:8]}.")
    large = predictions.scorings(settings, run_id=run_id, min_rows=MIN_ROWS, limit=1)
    if large:
        return large[0]
    few = predictions.scorings(settings, run_id=run_id, limit=1)
    if few:
        count = "1 row was" if few[0].rows == 1 else f"{few[0].rows:,} rows were"
        raise NotReadyError(
            f"Only {count} scored; at least {MIN_ROWS} are needed to compare. Score a file or the "
            "production rows first."
        )
    raise NotReadyError("Nothing was scored yet. Score rows on the Score page first.")


def _forecast(rows: pd.DataFrame) -> tuple[metrics.Labels, metrics.Floats]:
    return rows["label"].to_numpy(dtype=np.int64), rows["probability"].to_numpy(dtype=np.float64)


def _figures(rows: pd.DataFrame, threshold: float) -> dict[str, float]:
    figures = metrics.classification(*_forecast(rows), threshold)
    figures["calibration"] = figures["mean_probability"] - figures["base_rate"]
    return figures
