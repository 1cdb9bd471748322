"""The only import of PyCaret: fits candidates and reports their cross-validation."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

# PyCaret's column of a fold table -> the field's name of the metric.
FOLD_METRICS = {
    "Accuracy": "accuracy",
    "AUC": "roc_auc",
    "Recall": "recall",
    "Prec.": "precision",
    "F1": "f1",
    "Log Loss": "log_loss",
}
# name of the preprocessor's place in PyCaret's pipeline and in ours
_STEP = "preprocess"


@dataclass(frozen=True)
class Fitted:
    """A candidate that PyCaret has fitted.

    Parameters
    ----------
    id : str
        PyCaret's name of the model, e.g. `lr`.
    estimator : object
        Plain scikit-learn classifier or pipeline; needs no PyCaret to be used.
    params : dict
        The classifier's own parameters.
    folds : DataFrame
        `fold` (from 1) and a column per metric of FOLD_METRICS.
    rows_fit : int
        Rows that the estimator has seen.
    seconds : float
        Wall time of cross-validation and fit.
    """

    id: str
    estimator: Any
    params: dict[str, Any]
    folds: pd.DataFrame
    rows_fit: int
    seconds: float


def fit(
    train: pd.DataFrame,
    target: str,
    candidates: Sequence[str],
    *,
    folds: int,
    seed: int,
    fit_share: float,
    preprocessor: Any = None,
) -> Iterator[Fitted]:
    """Cross-validate and fit each candidate on the training set, one after the other.

    Parameters
    ----------
    train : DataFrame
        Features and target; without a preprocessor, numbers that are complete.
    candidates : sequence of str
        PyCaret model ids.
    folds : int
        Stratified folds, 2 or more.
    seed : int
        PyCaret's session_id.
    fit_share : float
        Share of the rows that PyCaret fits on, above 0, at most 1. PyCaret's own default is 0.7,
        drawn stratified; the rest would be its hold-out, which we do not use: the test set is ours.
    preprocessor : transformer, optional
        Fitted anew in every fold, and part of the estimators that come back.

    Yields
    ------
    Fitted
        In the order asked for.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    # without it PyCaret writes logs.log into whatever folder is current
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)
    warnings.filterwarnings("ignore")
    from pycaret.classification import ClassificationExperiment
    from sklearn.metrics import log_loss

    logging.getLogger("pycaret").setLevel(logging.ERROR)
    experiment = ClassificationExperiment()
    # With all rows to fit on, PyCaret still wants a hold-out: it gets rows that it will never use.
    share = (
        {"train_size": fit_share}
        if fit_share < 1
        else {"test_data": train.head(max(2, len(train) // 100)), "index": False}
    )
    experiment.setup(
        train.reset_index(drop=True),
        target=target,
        session_id=seed,
        fold=folds,
        # PyCaret's own transformers would need PyCaret where the model is served
        preprocess=False,
        custom_pipeline=None if preprocessor is None else [(_STEP, preprocessor)],
        # its own MLflow logger crashes with MLflow 3.17
        log_experiment=False,
        n_jobs=1,
        html=False,
        verbose=False,
        system_log=False,
        **share,
    )
    experiment.add_metric(
        "log_loss", "Log Loss", log_loss, target="pred_proba", greater_is_better=False
    )
    for candidate in candidates:
        start = time.perf_counter()
        estimator = experiment.create_model(candidate, verbose=False)
        table = experiment.pull().drop(index=["Mean", "Std"])
        scores = table[list(FOLD_METRICS)].rename(columns=FOLD_METRICS).reset_index(drop=True)
        scores.insert(0, "fold", range(1, len(scores) + 1))
        yield Fitted(
            candidate,
            _whole(experiment, estimator, preprocessor),
            estimator.get_params(),
            scores.astype("float64").astype({"fold": "int64"}),
            len(experiment.X_train),
            time.perf_counter() - start,
        )


def _whole(experiment: Any, estimator: Any, preprocessor: Any) -> Any:
    """Return the classifier behind the preprocessor that was fitted on the same rows."""
    if preprocessor is None:
        return estimator
    from sklearn.pipeline import Pipeline

    wrapped = experiment.pipeline.named_steps[_STEP]
    return Pipeline([(_STEP, wrapped.transformer), ("classify", estimator)])
