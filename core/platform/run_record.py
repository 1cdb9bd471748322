"""What a step records: plain data that `core.platform.tracking` turns into MLflow calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from core.platform.classifier import Classifier
from core.platform.messages import Message, Words
from core.platform.rows import Rule


@dataclass(frozen=True)
class Dataset:
    """A frame that a run read, logged as an MLflow dataset input.

    Parameters
    ----------
    name : str
        E.g. `train_data`.
    source : str
        Where the rows are stored; shown in the run.
    context : str
        Their use: raw, training, testing, scoring, reference, current.
    digest : str or None
        SHA-256 of the file with the rows; its first 32 digits are the dataset's digest in MLflow.
        Without it MLflow computes a digest from the frame.
    """

    name: str
    frame: pd.DataFrame
    source: str
    context: str
    target: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class ModelRecord:
    """A fitted model with everything needed to serve it.

    Parameters
    ----------
    estimator : Classifier
        Fitted scikit-learn classifier or pipeline with `predict_proba`; takes the features.
    features : tuple of str
        Columns that the estimator takes, in order.
    inputs : dict of str to {"number", "text"}
        Raw columns that the served model takes, in order.
    engineered : dict of str to (formula, {"number", "text"})
        Features that the served model computes from its inputs.
    is_complete : bool
        Whether rows with a missing input are refused; otherwise the estimator imputes.
    threshold : float
        Probability, 0 to 1, from which a row is labelled 1.
    example : DataFrame
        A few input rows, logged as the input example.
    libraries : tuple of str
        Distributions needed to load the model.
    rules : dict of str to Rule
        Rules on each input; without one, any number or text is allowed.
    """

    estimator: Classifier
    features: tuple[str, ...]
    inputs: Mapping[str, str]
    threshold: float
    example: pd.DataFrame
    engineered: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_complete: bool = True
    libraries: tuple[str, ...] = ("scikit-learn",)
    rules: Mapping[str, Rule] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """Everything that a run records.

    Parameters
    ----------
    params, metrics, tags : mapping
        Names say what and on which set: `log_loss_test`, `rows_train`.
    tables : mapping of str to DataFrame
        Kept as `tables/<name>.parquet` artifacts.
    figures : mapping of str to dict
        Vega-Lite specifications, kept as `figures/<name>.svg` and `.json`.
    files : tuple of Path
        Kept as `files/<name>` artifacts.
    documents : mapping of str to mapping
        Kept as `documents/<name>.json` artifacts.
    datasets : tuple of Dataset
        Kept as dataset inputs.
    model : ModelRecord or None
        Kept as the run's model.
    is_sample : bool
        Whether anything comes from generated rows; marks the run.

    Examples
    --------
    >>> Record(metrics={"rows_train": 3.0}).metrics["rows_train"]
    3.0
    """

    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    model: ModelRecord | None = None
    is_sample: bool = False


def counted(name: Words, done: int, total: int) -> Message:
    """Return how much of something is done, for a progress."""
    return Message("{name}: {done:,} of {total:,}", name=name, done=done, total=total)


class Progress:
    """Progress reports of a running step. This base class ignores them.

    A background job passes a subclass that writes to the job table.

    Examples
    --------
    >>> Progress().update(0.5, "half way") is None
    True
    """

    job_id: str | None = None

    def update(self, fraction: float, text: Words) -> None:
        """Report the progress: a fraction from 0 to 1 and a line of words."""

    def run_started(self, run_id: str) -> None:
        """Report the id of the MLflow run that records the work."""


SILENT = Progress()
