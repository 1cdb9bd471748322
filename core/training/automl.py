"""The only import of PyCaret: fits candidates and reports their cross-validation."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.classifier import Classifier, Transformer
from core.platform.errors import InputError
from core.platform.own_columns import LABEL, PROBABILITY

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_CLASSIFY = "classify"


class OutOfTime(BaseException):
    """The time for training is over. No `Exception`: scikit-learn would swallow one in a fold."""


@dataclass(frozen=True)
class Fitted:
    """A candidate that PyCaret has fitted.

    Parameters
    ----------
    id : str
        Name of the candidate: PyCaret's of the model, e.g. `lr`, or what was made of others.
    estimator : Classifier
        Plain scikit-learn classifier or pipeline; needs no PyCaret to be used.
    params : dict
        The classifier's own parameters.
    folds : DataFrame
        `fold` (from 1) and a column per metric of FOLD_METRICS.
    validation : DataFrame
        `row` (place in the training set), `fold`, `label`, `probability`: what was forecast of
        each row by the fit that had not seen it.
    rows_fit : int
        Rows that the estimator has seen.
    seconds : float
        Wall time of cross-validation and fit.
    libraries : tuple of str
        Distributions that must be there where it is loaded.
    """

    id: str
    estimator: Classifier
    params: dict[str, Any]
    folds: pd.DataFrame
    validation: pd.DataFrame
    rows_fit: int
    seconds: float
    libraries: tuple[str, ...]


class Trainer:
    """Fits candidates on one training set, with the same folds for each.

    Parameters
    ----------
    train : DataFrame
        Features and target; without a preprocessor, numbers that are complete.
    folds : int
        Stratified folds, 2 or more.
    seed : int
        PyCaret's session_id.
    fit_share : float
        Share of the rows that PyCaret fits on, above 0, at most 1. PyCaret's own default is 0.7,
        drawn stratified; the rest would be its hold-out, which we do not use: the test set is ours.
    preprocessor : Transformer, optional
        Fitted anew in every fold, and part of the estimators that come back.
    on_fold : callable, optional
        Called after every fold.
    deadline : float, optional
        Moment of `time.monotonic` after which the fold that ends next raises `OutOfTime`.
    """

    def __init__(
        self,
        train: pd.DataFrame,
        target: str,
        *,
        folds: int,
        seed: int,
        fit_share: float,
        preprocessor: Transformer | None = None,
        on_fold: Callable[[], None] | None = None,
        deadline: float | None = None,
    ) -> None:
        self._folds = folds
        self._preprocessor = preprocessor
        self._on_fold = on_fold
        self._deadline = deadline
        self._seen: list[pd.DataFrame] = []
        self._made: dict[str, tuple[Any, tuple[str, ...]]] = {}
        self._experiment = _experiment(train, target, folds, seed, fit_share, preprocessor)
        self._experiment.add_metric(
            "log_loss", "Log Loss", self._log_loss, target="pred_proba", greater_is_better=False
        )

    def fit(self, model: str, params: Mapping[str, Any] | None = None) -> Fitted:
        """Cross-validate and fit one of PyCaret's models, with parameters of its own.

        Raises
        ------
        InputError
            When it cannot be fitted on these rows.
        OutOfTime
            After the deadline.
        """
        libraries = ("scikit-learn", "lightgbm") if model == "lightgbm" else ("scikit-learn",)
        return self._fitted(
            model,
            libraries,
            lambda: self._experiment.create_model(model, verbose=False, **(params or {})),
        )

    def adopt(self, fitted: Fitted) -> None:
        """Take what another Trainer fitted on the same rows and folds, to make others of it."""
        # a pipeline, with a preprocessor
        estimator: Any = fitted.estimator
        if self._preprocessor is not None:
            estimator = estimator.named_steps[_CLASSIFY]
        self._made[fitted.id] = (estimator, fitted.libraries)

    def tune(self, model: str, *, trials: int, seconds: float) -> Fitted:
        """Search better parameters for a model that was fitted, with Optuna through PyCaret.

        Parameters
        ----------
        trials : int
            At most so many choices of parameters; each is cross-validated.
        seconds : float
            No trial is begun after so long.

        Raises
        ------
        InputError, OutOfTime
            As `fit` does.
        """
        estimator, libraries = self._made[model]

        def search() -> Any:
            import optuna

            optuna.logging.set_verbosity(optuna.logging.ERROR)
            tuned = self._experiment.tune_model(
                estimator,
                search_library="optuna",
                search_algorithm="tpe",
                n_iter=trials,
                optimize="log_loss",
                choose_better=False,
                verbose=False,
                tuner_verbose=False,
                timeout=seconds,
            )
            self._seen.clear()
            return self._experiment.create_model(tuned, verbose=False)

        return self._fitted(f"{model}.tuned", libraries, search)

    def blend(self, name: str, models: Sequence[str]) -> Fitted:
        """Fit the mean of the probabilities of models that were fitted; raises as `fit` does."""
        return self._of_several(
            name,
            models,
            lambda members: self._experiment.blend_models(members, method="soft", verbose=False),
        )

    def stack(self, name: str, models: Sequence[str]) -> Fitted:
        """Fit a logistic regression on the forecasts of models; raises as `fit` does."""
        return self._of_several(
            name,
            models,
            lambda members: self._experiment.stack_models(members, restack=False, verbose=False),
        )

    def calibrate(self, model: str, method: str) -> Fitted:
        """Fit a model, its probabilities calibrated by `sigmoid` or `isotonic`; raises as `fit`."""
        estimator, libraries = self._made[model]
        return self._fitted(
            f"{model}.{method}",
            libraries,
            lambda: self._experiment.calibrate_model(estimator, method=method, verbose=False),
        )

    def _of_several(
        self, name: str, models: Sequence[str], combine: Callable[[list[Any]], Any]
    ) -> Fitted:
        members = [self._made[model] for model in models]
        libraries = tuple(dict.fromkeys(library for _, needed in members for library in needed))
        return self._fitted(
            name, libraries, lambda: combine([estimator for estimator, _ in members])
        )

    def _fitted(self, name: str, libraries: tuple[str, ...], create: Callable[[], Any]) -> Fitted:
        self._seen.clear()
        start = time.perf_counter()
        with _wrap_fit_errors(name):
            estimator = create()
        seconds = time.perf_counter() - start
        if len(self._seen) != self._folds:
            raise InputError(
                f"'{name}' was fitted in {len(self._seen)} of {self._folds} folds only. Choose "
                "fewer folds, or leave it out."
            )
        self._made[name] = (estimator, libraries)
        table = self._experiment.pull().drop(index=["Mean", "Std"])
        scores = table[list(FOLD_METRICS)].rename(columns=FOLD_METRICS).reset_index(drop=True)
        scores.insert(0, "fold", range(1, len(scores) + 1))
        return Fitted(
            name,
            _whole(self._experiment, estimator, self._preprocessor),
            {
                key: value
                for key, value in estimator.get_params().items()
                if value is None or isinstance(value, str | int | float)
            },
            scores.astype("float64").astype({"fold": "int64"}),
            pd.concat(
                [part.assign(fold=fold) for fold, part in enumerate(self._seen, start=1)],
                ignore_index=True,
            )[["row", "fold", LABEL, PROBABILITY]],
            len(self._experiment.X_train),
            seconds,
            libraries,
        )

    def _log_loss(self, labels: pd.Series[Any], probabilities: Any, **_: Any) -> float:
        """Note what a fold forecast, and return its log loss: PyCaret calls this once a fold."""
        from sklearn.metrics import log_loss

        self._seen.append(
            pd.DataFrame(
                {
                    "row": labels.index.to_numpy(),
                    LABEL: labels.to_numpy(dtype="int64"),
                    PROBABILITY: probabilities,
                }
            )
        )
        if self._on_fold is not None:
            self._on_fold()
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTime
        return float(log_loss(labels, probabilities, labels=[0, 1]))


def refitted(fitted: Fitted, features: pd.DataFrame, labels: npt.NDArray[np.int64]) -> Classifier:
    """Return the same pipeline fitted anew on other rows, as PyCaret's `finalize_model` does.

    Not by that function itself: it would fit on the rows that the experiment was set up with.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
        The columns that it was fitted on.
    labels : array of int, shape (n,)
        0 or 1.
    """
    from sklearn.base import clone

    with _wrap_fit_errors(fitted.id):
        again: Classifier = clone(fitted.estimator).fit(features, labels)
        return again


def _experiment(
    train: pd.DataFrame,
    target: str,
    folds: int,
    seed: int,
    fit_share: float,
    preprocessor: Transformer | None,
) -> Any:
    os.environ.setdefault("MPLBACKEND", "Agg")
    # without it PyCaret writes logs.log into whatever folder is current
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)
    warnings.filterwarnings("ignore")
    from pycaret.classification import ClassificationExperiment

    logging.getLogger("pycaret").setLevel(logging.ERROR)
    # With all rows to fit on, PyCaret still wants a hold-out: it gets rows that it will never use.
    share = (
        {"train_size": fit_share}
        if fit_share < 1
        else {"test_data": train.head(max(2, len(train) // 100)), "index": False}
    )
    experiment = ClassificationExperiment()
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
    return experiment


@contextmanager
def _wrap_fit_errors(name: str) -> Iterator[None]:
    """Turn whatever a library raises while it fits into a sentence."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"'{name}' cannot be fitted on these rows: {reason}") from error


def _whole(experiment: Any, estimator: Any, preprocessor: Transformer | None) -> Any:
    """Return the classifier behind the preprocessor that was fitted on the same rows."""
    if preprocessor is None:
        return estimator
    from sklearn.pipeline import Pipeline

    wrapped = experiment.pipeline.named_steps[_STEP]
    return Pipeline([(_STEP, wrapped.transformer), (_CLASSIFY, estimator)])
