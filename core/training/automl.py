"""Fitting and cross-validation of candidates; the only import of PyCaret."""

from __future__ import annotations

import functools
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
from core.platform.messages import Message
from core.platform.own_columns import LABEL, PROBABILITY
from core.stats import weighted_figures
from core.training import candidates as kinds
from core.training import sample_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

# column of PyCaret's fold table -> name of the metric
FOLD_METRICS = {
    "Accuracy": "accuracy",
    "AUC": "roc_auc",
    "Recall": "recall",
    "Prec.": "precision",
    "F1": "f1",
    "Log Loss": "log_loss",
}
# name of the preprocessing step, in PyCaret's pipeline and in ours
_STEP = "preprocess"
_CLASSIFY = "classify"


class OutOfTime(BaseException):
    """The training deadline passed. Not an `Exception`: scikit-learn would swallow it in a fold."""


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted by PyCaret.

    Parameters
    ----------
    id : str
        PyCaret's id of the model, e.g. `lr`, or the name of a combination of models.
    estimator : Classifier
        Plain scikit-learn classifier or pipeline; works without PyCaret.
    params : dict
        The classifier's own parameters.
    folds : DataFrame
        `fold` (from 1) and one column per metric of FOLD_METRICS.
    validation : DataFrame
        Out-of-fold predictions: `row` (position in the training set), `fold`, `label`,
        `probability`.
    rows_fit : int
        Rows that the estimator was fitted on.
    seconds : float
        Wall time of cross-validation and fit.
    libraries : tuple of str
        Distributions required to load the estimator.
    unweighted : tuple of str
        Ids of the models in it that cannot be fitted by weight, where the rows have weights.
    """

    id: str
    estimator: Classifier
    params: dict[str, Any]
    folds: pd.DataFrame
    validation: pd.DataFrame
    rows_fit: int
    seconds: float
    libraries: tuple[str, ...]
    unweighted: tuple[str, ...] = ()


class Trainer:
    """Fits candidates on one training set, with the same folds for each.

    Parameters
    ----------
    train : DataFrame
        Features and target; without a preprocessor, numbers without missing values.
    folds : int
        Stratified folds, 2 or more.
    seed : int
        PyCaret's session_id.
    fit_share : float
        Share of the rows that PyCaret fits on, above 0, at most 1. PyCaret's own default is 0.7,
        stratified; the rest would be its hold-out, which is unused: there is a separate test set.
    preprocessor : Transformer, optional
        Refitted in every fold, and part of the returned estimators.
    on_fold : callable, optional
        Called after every fold.
    deadline : float, optional
        Value of `time.monotonic` after which the next completed fold raises `OutOfTime`.
    weights : array of float, optional
        Sampling weight of each row, for the fits and the metrics of the folds. Models that cannot
        be fitted by weight are fitted without.
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
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._weights = weights
        self._folds = folds
        self._preprocessor = preprocessor
        self._on_fold = on_fold
        self._deadline = deadline
        self._seen: list[pd.DataFrame] = []
        self._made: dict[str, tuple[Any, tuple[str, ...]]] = {}
        # the models that a candidate consists of
        self._models: dict[str, tuple[str, ...]] = {}
        # a fit that PyCaret finds in its cache would be of other weights
        more = {} if weights is None else {"memory": False}
        self._experiment = _experiment(train, target, folds, seed, fit_share, preprocessor, **more)
        self._by_weight = None if weights is None else sample_weights.ByIndex(weights)
        if self._by_weight is not None:
            for definition in self._experiment._all_models_internal.values():
                definition.class_def = self._by_weight.of(definition.class_def)
        self._experiment.add_metric(
            "log_loss", "Log Loss", self._log_loss, target="pred_proba", greater_is_better=False
        )

    def fit(self, model: str, params: Mapping[str, Any] | None = None) -> Fitted:
        """Cross-validate and fit one of PyCaret's models.

        Raises
        ------
        InputError
            When the model cannot be fitted on these rows.
        OutOfTime
            After the deadline.
        """
        libraries = ("scikit-learn", "lightgbm") if model == "lightgbm" else ("scikit-learn",)
        self._models[model] = (model,)
        return self._fitted(
            model,
            libraries,
            lambda: self._experiment.create_model(model, verbose=False, **(params or {})),
        )

    def adopt(self, fitted: Fitted) -> None:
        """Add a candidate that another Trainer fitted on the same rows and folds."""
        # a pipeline if there is a preprocessor
        estimator: Any = fitted.estimator
        if self._preprocessor is not None:
            estimator = estimator.named_steps[_CLASSIFY]
        self._models[fitted.id] = (fitted.id,)
        self._made[fitted.id] = (self._to_fit(estimator), fitted.libraries)

    def tune(self, model: str, *, trials: int, seconds: float) -> Fitted:
        """Search better parameters for a fitted model, with Optuna through PyCaret.

        Parameters
        ----------
        trials : int
            Most parameter sets to try; each is cross-validated.
        seconds : float
            No trial starts after this time.

        Raises
        ------
        InputError, OutOfTime
            As for `fit`.
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

        self._models[f"{model}.tuned"] = self._models[model]
        return self._fitted(f"{model}.tuned", libraries, search)

    def blend(self, name: str, models: Sequence[str]) -> Fitted:
        """Fit the mean of the probabilities of fitted models; raises as `fit` does."""
        return self._of_several(
            name,
            models,
            lambda members: self._experiment.blend_models(members, method="soft", verbose=False),
        )

    def stack(self, name: str, models: Sequence[str]) -> Fitted:
        """Fit a logistic regression on the predictions of fitted models; raises as `fit` does."""
        return self._of_several(
            name,
            models,
            lambda members: self._experiment.stack_models(members, restack=False, verbose=False),
        )

    def calibrate(self, model: str, method: str) -> Fitted:
        """Fit a model with `sigmoid` or `isotonic` calibration; raises as `fit` does."""
        estimator, libraries = self._made[model]
        self._models[f"{model}.{method}"] = self._models[model]
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
        of_members = [part for model in models for part in self._models[model]]
        self._models[name] = tuple(dict.fromkeys(of_members))
        return self._fitted(
            name, libraries, lambda: combine([estimator for estimator, _ in members])
        )

    def _fitted(self, name: str, libraries: tuple[str, ...], create: Callable[[], Any]) -> Fitted:
        self._seen.clear()
        start = time.perf_counter()
        with _wrap_fit_errors(name), _votes_are_counted():
            estimator = create()
        seconds = time.perf_counter() - start
        if len(self._seen) != self._folds:
            raise InputError(
                Message(
                    "'{name}' was fitted in {seen} of {folds} folds only. Choose fewer folds, or "
                    "leave it out.",
                    name=name,
                    seen=len(self._seen),
                    folds=self._folds,
                )
            )
        self._made[name] = (self._to_fit(estimator), libraries)
        return Fitted(
            name,
            _whole(self._experiment, estimator, self._preprocessor),
            {
                key: value
                for key, value in estimator.get_params().items()
                if value is None or isinstance(value, str | int | float)
            },
            self._scores(),
            pd.concat(
                [part.assign(fold=fold) for fold, part in enumerate(self._seen, start=1)],
                ignore_index=True,
            )[["row", "fold", LABEL, PROBABILITY]],
            len(self._experiment.X_train),
            seconds,
            libraries,
            tuple(
                model
                for model in self._models[name]
                if self._by_weight is not None and not kinds.KINDS[model].takes_weights
            ),
        )

    def _to_fit(self, estimator: Any) -> Any:
        """Return an estimator for PyCaret to fit again; the given one is of its own class again."""
        if self._by_weight is None:
            return estimator
        from sklearn.base import clone

        again = clone(sample_weights.leave(estimator))
        self._by_weight.enter(again)
        return again

    def _scores(self) -> pd.DataFrame:
        """Return the metrics of each fold: PyCaret's, or those by weight."""
        if self._weights is None:
            table = self._experiment.pull().drop(index=["Mean", "Std"])
            scores = table[list(FOLD_METRICS)].rename(columns=FOLD_METRICS).reset_index(drop=True)
        else:
            scores = pd.DataFrame(
                [
                    weighted_figures.figures(
                        part[LABEL].to_numpy(),
                        part[PROBABILITY].to_numpy(dtype=np.float64),
                        0.5,
                        self._weights[part["row"]],
                    )
                    for part in self._seen
                ]
            )[list(FOLD_METRICS.values())]
        scores.insert(0, "fold", range(1, len(scores) + 1))
        typed: pd.DataFrame = scores.astype("float64").astype({"fold": "int64"})
        return typed

    def _log_loss(self, labels: pd.Series[Any], probabilities: Any, **_: Any) -> float:
        """Record a fold's predictions, return their log loss: PyCaret calls this once per fold."""
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
        weights = None if self._weights is None else self._weights[labels.index]
        return float(log_loss(labels, probabilities, labels=[0, 1], sample_weight=weights))


def refitted(
    fitted: Fitted,
    features: pd.DataFrame,
    labels: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64] | None = None,
) -> Classifier:
    """Return the same pipeline refitted on other rows, as PyCaret's `finalize_model` does.

    That function itself would fit on the rows that the experiment was set up with.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
        The columns that it was fitted on.
    labels : array of int, shape (n,)
        0 or 1.
    weights : array of float, optional
    """
    with _wrap_fit_errors(fitted.id):
        again: Classifier = sample_weights.fitted(fitted.estimator, features, labels, weights)
        return again


def _experiment(
    train: pd.DataFrame,
    target: str,
    folds: int,
    seed: int,
    fit_share: float,
    preprocessor: Transformer | None,
    **more: Any,
) -> Any:
    os.environ.setdefault("MPLBACKEND", "Agg")
    # otherwise PyCaret writes logs.log into the current folder
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)
    warnings.filterwarnings("ignore")
    from pycaret.classification import ClassificationExperiment

    logging.getLogger("pycaret").setLevel(logging.ERROR)
    _remember_lists()
    # Even when fitting on all rows, PyCaret requires a hold-out: it gets rows that it never uses.
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
        # PyCaret's own transformers would require PyCaret at serving time
        preprocess=False,
        custom_pipeline=None if preprocessor is None else [(_STEP, preprocessor)],
        # its own MLflow logger crashes with MLflow 3.17
        log_experiment=False,
        n_jobs=1,
        html=False,
        verbose=False,
        system_log=False,
        **share,
        **more,
    )
    return experiment


@functools.cache
def _remember_lists() -> None:
    """Keep the lists of numbers that PyCaret makes for its searches.

    It makes the same 160 lists at each set-up, which took three quarters of it.
    """
    from pycaret.containers.models import classification

    # 1 and 1.0 are not the same here
    ranges = functools.lru_cache(maxsize=None, typed=True)(classification.np_list_arange)
    # a separate list for each: a search may change it
    classification.np_list_arange = lambda *of, **how: [*ranges(*of, **how)]


@contextmanager
def _votes_are_counted() -> Iterator[None]:
    """Let K nearest neighbours predict the class of the most votes from its probabilities.

    That is the same class, also in a tie. scikit-learn searches it with SciPy's mode, row by row:
    half of the time of cross-validating these models.
    """
    from sklearn.neighbors import KNeighborsClassifier

    by_mode = KNeighborsClassifier.predict

    def by_votes(self: Any, rows: Any) -> Any:
        if self.weights != "uniform":
            return by_mode(self, rows)
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]

    KNeighborsClassifier.predict = by_votes
    try:
        yield
    finally:
        KNeighborsClassifier.predict = by_mode


@contextmanager
def _wrap_fit_errors(name: str) -> Iterator[None]:
    """Turn any exception of a library during a fit into a readable error."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            Message("'{name}' cannot be fitted: {reason}", name=name, reason=reason)
        ) from error


def _whole(experiment: Any, estimator: Any, preprocessor: Transformer | None) -> Any:
    """Return the classifier in a pipeline after the preprocessor fitted on the same rows."""
    if preprocessor is None:
        return estimator
    from sklearn.pipeline import Pipeline

    wrapped = experiment.pipeline.named_steps[_STEP]
    return Pipeline([(_STEP, wrapped.transformer), (_CLASSIFY, estimator)])
