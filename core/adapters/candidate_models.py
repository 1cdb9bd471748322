"""The candidates that one training compared: found from one of them, and asked for answers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.adapters import registry, tracking
from core.adapters.tracking import TAG, ModelVersion
from core.config import Settings
from core.errors import CourtsideError


def candidates_of(settings: Settings, version: ModelVersion) -> list[ModelVersion]:
    """Return the candidates of the training that a version comes from, itself among them.

    Parameters
    ----------
    version : ModelVersion
        A registered version or a candidate.

    Returns
    -------
    list of ModelVersion
        As `registry.candidate` returns them, in the order in which they were fitted; `run_id` tells
        them apart. Empty where the training is gone; without those that were not logged.

    Raises
    ------
    StoreError
        When the store does not answer.
    """
    parent = version.tags.get(TAG + "train_run")
    if not parent:
        return []
    found = []
    for run in tracking.runs(settings, parent=parent, status="FINISHED"):
        try:
            found.append(registry.candidate(settings, version.name, run.run_id))
        except CourtsideError:  # it kept no model
            continue
    return [one for one in found[::-1] if one.tags.get(TAG + "threshold")]


def on_test_set(settings: Settings, candidates: Sequence[ModelVersion]) -> pd.DataFrame:
    """Return what candidates answered for the rows of the test set.

    Returns
    -------
    DataFrame
        Probabilities, a column per candidate under its run's id; without those whose table is gone.
    """
    columns: dict[str, pd.Series[float]] = {}
    for one in candidates:
        try:
            table = tracking.table(settings, one.run_id, "test_predictions")
        except CourtsideError:
            continue
        columns[one.run_id] = table["probability"]
    return pd.DataFrame(columns)


def answers(
    settings: Settings, candidates: Sequence[ModelVersion], rows: pd.DataFrame
) -> pd.DataFrame:
    """Return what candidates answer for raw rows, in this process.

    Each classifier is loaded as carefully as `registry.load` does it. Thousands of rows take
    seconds where a candidate looks for neighbours: draw from more.

    Returns
    -------
    DataFrame
        Probabilities, a column per candidate under its run's id, a row per row that each of them
        answers, under the row's index. Without candidates that cannot be loaded.
    """
    columns: dict[str, pd.Series[float]] = {}
    for one in candidates:
        try:
            loaded = registry.load(settings, one)
            answered = rows[loaded.answers(rows)]
            columns[one.run_id] = pd.Series(loaded.predict(answered), index=answered.index)
        except CourtsideError:
            continue
    return pd.DataFrame(columns).dropna()
