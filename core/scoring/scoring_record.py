"""The record of a finished scoring: its metrics, tables, files and data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.platform import csv_dialect, storage
from core.platform.config import Settings
from core.platform.own_columns import PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.run_record import Dataset, Record
from core.scoring import label_sums, new_levels
from core.scoring.part_records import Done
from core.scoring.records import ScoringRun
from core.scoring.row_source import Rows
from core.stats.charts import drift as drift_charts


def of(
    settings: Settings,
    spec: ProjectSpec,
    rows: Rows,
    total: Done,
    figures: Mapping[str, float],
    *,
    name: str,
    frame: pd.DataFrame | None,
    kept: str,
) -> Record:
    """Return the record of a scoring.

    Parameters
    ----------
    figures : mapping of str to float
        Metrics besides those of `total`.
    name : str
        File name of the result.
    frame : DataFrame or None
        The result, if it is a single file.
    kept : str
        Path or address of the result.
    """
    drawn: dict[str, dict[str, Any]] = {}
    sets: tuple[Dataset, ...] = ()
    files: tuple[Path, ...] = ()
    if frame is not None:
        scored = frame[[PROBABILITY]].assign(set="scored")
        drawn = {"probability": drift_charts.probability_density(scored).to_dict()}
        sets = (Dataset("scored", frame, f"data/07_model_output/{name}", "scoring"),)
        files = (storage.folder(settings, storage.MODEL_OUTPUT) / f"{name}.parquet",)
    tables = {
        "rejected": label_sums.rejected_table(total.listed),
        "new_levels": new_levels.as_table(total.new_levels),
    }
    return Record(
        params={"output": kept},
        metrics={
            "rows_scored": total.rows,
            "rows_labelled": total.labelled,
            "rows_skipped": total.skipped,
            "rows_rejected": total.rejected,
            "requests": len(total.latencies),
            "latency_ms_median": float(np.median(total.latencies)),
            "probability_mean": total.probability / total.rows,
            "predicted_positive": total.positive,
            **({"rows_new_levels": total.new_rows} if total.new_rows else {}),
            **figures,
        },
        tags=ScoringRun(
            csv_dialect=csv_dialect.listed(rows.dialects),
            **({} if rows.weights is None else {"weights": spec.weights}),
        ).write(),
        figures=drawn,
        tables={title: table for title, table in tables.items() if not table.empty},
        files=files,
        datasets=sets,
    )
