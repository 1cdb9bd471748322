"""score: send rows to the served model, keep what it answers, and judge it where labels exist."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from core import config, project, schema
from core.adapters import client, predictions, server, snapshots, storage, tables, tracking
from core.adapters.storage import Upload
from core.config import Settings
from core.errors import InputError, NotReadyError
from core.logic import drift_charts, metrics
from core.project import ProjectSpec
from core.record import SILENT, Dataset, Progress, Record


class Options(config.Options):
    """Which rows to score, and by which server.

    Parameters
    ----------
    source : {"production", "upload", "row"}
        The project's production rows, an uploaded file, or one row's values.
    port : int, optional
        Of the served model; without it the one that was started last.
    upload : Upload, optional
        What `storage.stage_upload` returned; for source `upload`.
    row : dict of str to (float, str or None), optional
        A value per input of the model; for source `row`.
    batch_rows : int
        Rows per request, 1 to 100,000.
    """

    source: Literal["production", "upload", "row"] = "production"
    port: int | None = Field(None, ge=1024, le=65535)
    upload: Upload | None = None
    row: dict[str, float | str | None] | None = None
    batch_rows: int = Field(2000, ge=1, le=100_000)

    @model_validator(mode="after")
    def _has_its_source(self) -> Options:
        if self.source == "upload" and self.upload is None:
            raise ValueError("no file was uploaded")
        if self.source == "row" and self.row is None:
            raise ValueError("no values were given")
        return self


@dataclass(frozen=True)
class Result:
    """What was scored.

    Parameters
    ----------
    rows, rows_labelled, rows_skipped : int
        Scored; scored with a label; left out because an input is missing.
    probability : float
        Mean over the rows.
    log_loss, f1 : float or None
        On the labelled rows; None where there are none.
    """

    run_id: str
    rows: int
    rows_labelled: int
    rows_skipped: int
    probability: float
    log_loss: float | None
    f1: float | None


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Score rows through the served model's /invocations, as the run `PipelineAplicacao`.

    Raises
    ------
    NotReadyError
        When no model is served, or there are no raw rows yet.
    InputError
        When the rows cannot be used.
    ServerError
        When the server goes away or refuses the rows; nothing is kept then.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "score", options, progress) as run_id:
        serving = _server(settings, options.port)
        version = tracking.require_version(settings, serving.model, serving.version)
        progress.update(0.05, "Reading the rows")
        inputs = version.inputs
        rows, is_sample = _rows(settings, spec, options, inputs, run_id)
        skipped = 0
        if version.is_complete:
            complete = rows[list(inputs)].notna().all(axis=1)
            skipped = int((~complete).sum())
            rows = rows[complete].reset_index(drop=True)
        if rows.empty:
            raise InputError("Every row misses the value of a feature. There is nothing to score.")

        def sent(done: int, total: int) -> None:
            progress.update(0.1 + 0.6 * done / total, f"{done:,} of {total:,} rows scored")

        scored = client.score(
            serving.url, rows, spec.kinds_of(inputs), is_complete=version.is_complete,
            batch_rows=options.batch_rows, on_batch=sent,
        )  # fmt: skip
        rows = rows.assign(probability=scored.probabilities, predicted=scored.labels)
        labelled = rows[rows["label"].notna()]
        figures = _judge(labelled, version.threshold)
        is_sample = is_sample or version.is_sample
        name = output_name(options.source, run_id, is_sample=is_sample)
        tags = {
            tracking.TAG + "source": options.source,
            tracking.TAG + "model_run": version.run_id,
            tracking.TAG + "version": version.version,
        }
        tracking.log(
            settings,
            run_id,
            Record(
                params={
                    "model": version.name,
                    "version": version.version,
                    "served_port": serving.port,
                },
                metrics={
                    "rows_scored": len(rows),
                    "rows_labelled": len(labelled),
                    "rows_skipped": skipped,
                    "requests": scored.batches,
                    "latency_ms_median": float(np.median(scored.latencies)),
                    "probability_mean": float(rows["probability"].mean()),
                    "predicted_positive": int(rows["predicted"].sum()),
                    **{f"{name}_{options.source}": value for name, value in figures.items()},
                },
                tags=tags,
                is_sample=is_sample,
                figures={
                    "probability": drift_charts.probability_density(
                        rows[["probability"]].assign(set="scored")
                    ).to_dict()
                },
                datasets=(Dataset("scored", rows, f"data/07_model_output/{name}", "scoring"),),
            ),
        )
        progress.update(0.8, "Keeping the predictions")
        predictions.save(
            settings, rows, features=inputs, run_id=run_id, source=options.source,
            model=version.name, version=version.version, alias=serving.alias,
            latency_ms=scored.row_latencies, request_sizes=scored.sizes,
        )  # fmt: skip
        path = storage.save_output(settings, name, rows)
        tracking.log(settings, run_id, Record(files=(path,)))
        progress.update(1.0, f"{len(rows):,} rows scored, {len(labelled):,} of them labelled")
    return Result(
        run_id, len(rows), len(labelled), skipped, float(rows["probability"].mean()),
        figures.get("log_loss"), figures.get("f1"),
    )  # fmt: skip


def _server(settings: Settings, port: int | None) -> server.Server:
    ready = [found for found in server.servers(settings) if found.state == "ready"]
    if port is not None:
        ready = [found for found in ready if found.port == port]
    if not ready:
        where = f" on port {port}" if port is not None else ""
        raise NotReadyError(f"No model is served{where}. Start one on the Serve page first.")
    # what people call, before what was started beside it
    return max(ready, key=lambda found: (found.backend is not None, found.started))


def _rows(
    settings: Settings, spec: ProjectSpec, options: Options, inputs: tuple[str, ...], run_id: str
) -> tuple[pd.DataFrame, bool]:
    """Return the rows (`row_key`, inputs, `label`) and whether they are sample rows."""
    columns = schema.chosen_columns(spec, inputs)
    if options.source == "row":
        given = {name: [(options.row or {}).get(name)] for name in inputs}
        frame = schema.validate(pd.DataFrame(given), columns).frame
        return frame.assign(row_key=None, label=math.nan), False
    if options.source == "upload":
        assert options.upload is not None  # the options' own validation
        wanted = {**columns, **schema.chosen_columns(spec, (spec.id, spec.target))}
        path, name = storage.uploaded(settings, options.upload), options.upload.name
        checked = schema.inspect(
            tables.read(path, name, wanted), wanted, optional=(spec.id, spec.target)
        )
        report = Record(tables={"validation": schema.as_table(checked.findings)})
        tracking.log(settings, run_id, report)
        found = checked.required().frame
        is_sample = False
    else:
        snapshot = snapshots.current(settings)
        if snapshot is None:
            raise NotReadyError("No raw data yet. Acquire a source on the Acquire page first.")
        raw = schema.validate_source(snapshots.read(settings, snapshot, spec.columns), spec).frame
        found = raw[raw[spec.rows.column] == spec.rows.production]
        if found.empty:
            raise InputError(
                f"The raw data has no row with {spec.rows.column} = '{spec.rows.production}'."
            )
        is_sample = snapshot.is_sample
    keys = found[spec.id].map(_key) if spec.id in found else None
    labels = found.reindex(columns=[spec.target])[spec.target]
    return found[list(inputs)].assign(row_key=keys, label=labels), is_sample


def output_name(source: str, run_id: str, *, is_sample: bool) -> str:
    """Return what the file of a scoring is called; made-up rows are told by their name.

    Examples
    --------
    >>> output_name("production", "0123456789abcdef", is_sample=True)
    'sample_production_0123456789ab'
    """
    return f"{'sample_' if is_sample else ''}{source}_{run_id[:12]}"


def _key(value: object) -> str | None:
    if value is None or value != value:  # NaN is not itself
        return None
    # a column of whole numbers with a missing one is read as floats
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _judge(labelled: pd.DataFrame, threshold: float) -> dict[str, float]:
    if labelled.empty:
        return {}
    return metrics.classification(
        labelled["label"].to_numpy(dtype=np.int64),
        labelled["probability"].to_numpy(dtype=np.float64),
        threshold,
    )
