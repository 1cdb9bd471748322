"""Frames as MLflow's data sets: the inputs of a run."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from core.platform.run_record import Dataset


def as_input(mlflow: Any, dataset: Dataset) -> Any:
    """Return a frame as MLflow logs one that a run read."""

    def of_rows(frame: pd.DataFrame) -> Any:
        return mlflow.data.from_pandas(
            frame,
            source=dataset.source,
            name=dataset.name,
            targets=dataset.target,
            # MLflow allows at most 36 characters
            digest=dataset.digest[:32] if dataset.digest else None,
        )

    whole = of_rows(dataset.frame)
    # MLflow would inspect every cell to infer types: 22 s for a million rows
    whole.__dict__["schema"] = _schema(dataset.frame.head(1000), mlflow)
    return whole


def _schema(rows: pd.DataFrame, mlflow: Any) -> Any:
    """Return the schema that MLflow infers from rows, which takes a second for 500 columns.

    Columns of one type, all with missing values or all without, have the same one.
    """
    known: dict[Hashable, Any] = {}
    inferred = []
    for name, series in rows.items():
        key, some = _sample(series)
        if key not in known:
            frame = pd.DataFrame({name: some})
            known[key] = mlflow.data.from_pandas(frame).schema.inputs[0]
        alike = known[key]
        inferred.append(mlflow.types.ColSpec(type=alike.type, name=name, required=alike.required))
    return mlflow.types.Schema(inferred)


def _sample(series: pd.Series[Any]) -> tuple[Hashable, Any]:
    """Return what columns of the same schema have in common, and rows that show it.

    Two rows with the type, and with a missing value if there is one, or all rows.
    """
    values = series.to_numpy()
    kind = values.dtype.kind
    is_uniform = values.dtype == series.dtype and (
        kind in "iufb" or (kind == "O" and pd.api.types.infer_dtype(values) == "string")
    )
    if not is_uniform or not len(values):
        return (series.name,), series
    is_known = ~np.isnan(values) if kind == "f" else pd.notna(values)
    some = values[[is_known.argmax(), is_known.argmin()]]
    return (values.dtype.str, bool(is_known.any()), bool(is_known.all())), some
