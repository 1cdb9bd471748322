"""train: fit candidates, compare them, register the best as challenger."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from core import config, project, schema
from core.adapters import automl, storage, tracking
from core.adapters.storage import Prepared
from core.config import Settings
from core.errors import InputError, NotReadyError
from core.logic import metrics, model_charts
from core.logic.preprocessing import preprocessor
from core.project import ProjectSpec
from core.record import SILENT, Dataset, ModelRecord, Progress, Record

# PyCaret's id -> what people call it.
CANDIDATES = {
    "lr": "Logistic regression",
    "dt": "Decision tree",
    "knn": "K nearest neighbours",
    "lightgbm": "LightGBM",
}


class Options(config.Options):
    """Which candidates to fit, and how.

    Parameters
    ----------
    candidates : tuple of {"lr", "dt", "knn", "lightgbm"}
        At least one, none twice.
    folds : int
        Stratified folds of the cross-validation, 2 to 20.
    seed : int
        PyCaret's session_id, 0 or more.
    fit_share : float
        Share of the training set that PyCaret fits on, 0.1 to 1. PyCaret's own default is 0.7; the
        other 30% would be a hold-out that nobody reads, since the test set was split off before.
    """

    candidates: tuple[Literal["lr", "dt", "knn", "lightgbm"], ...] = Field(
        ("lr", "dt", "knn", "lightgbm"), min_length=1
    )
    folds: int = Field(10, ge=2, le=20)
    seed: int = Field(42, ge=0, le=2**31 - 1)
    fit_share: float = Field(1.0, ge=0.1, le=1.0)

    @field_validator("candidates")
    @classmethod
    def _none_twice(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a candidate stands there twice")
        return value


@dataclass(frozen=True)
class Result:
    """What was registered."""

    run_id: str
    best: str
    version: str
    aliases: tuple[str, ...]
    log_loss_test: float


@dataclass(frozen=True)
class _Sets:
    """The prepared sets as they stand, and as the candidates see them: with computed features."""

    prepared: Prepared
    train: pd.DataFrame
    test: pd.DataFrame
    features_train: pd.DataFrame
    features_test: pd.DataFrame


@dataclass(frozen=True)
class _Candidate:
    fitted: automl.Fitted
    run_id: str
    model_id: str
    summary: dict[str, Any]
    tables: dict[str, pd.DataFrame]


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Fit the candidates on the training set, as the run `Treinamento` with a child run for each.

    The best is the one with the lowest cross-validated log loss: chosen without the test set, so
    that its test figures stay honest. It is registered as `challenger`, and as `champion` where
    there is none yet.

    Raises
    ------
    NotReadyError
        Before the first preparation.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "train", options, progress) as run_id:
        progress.update(0.02, "Reading the prepared sets")
        sets = _read(settings, spec)
        prepared, train, test = sets.prepared, sets.train, sets.test
        _check_folds(train, spec, options)
        tags = {
            tracking.TAG + "source": prepared.source,
            tracking.TAG + "inputs": ",".join(prepared.inputs),
            tracking.TAG + "features": ",".join(prepared.features),
            tracking.TAG + "formulas": json.dumps(spec.formulas_of(prepared.features)),
            tracking.TAG + "missing": "drop" if prepared.is_complete else "impute",
            tracking.TAG + "rows_name": spec.rows.development_name
            if prepared.is_default_rows
            else "rows it was trained on",
        }
        if prepared.is_sample:
            # the children and the version carry the tags too
            tags[tracking.SAMPLE] = "true"
        source = f"data/{storage.MODEL_INPUT}"
        datasets = tuple(
            Dataset(name, frame, f"{source}/{file}", context, spec.target, prepared.digests[file])
            for name, frame, file, context in (
                ("train_data", train, storage.TRAIN_FILE, "training"),
                ("test_data", test, storage.TEST_FILE, "testing"),
            )
        )
        kinds = spec.kinds_of(prepared.features)
        fits = automl.fit(
            sets.features_train.assign(**{spec.target: train[spec.target]}),
            spec.target, options.candidates,
            folds=options.folds, seed=options.seed, fit_share=options.fit_share,
            preprocessor=preprocessor(
                [name for name, kind in kinds.items() if kind == "number"],
                [name for name, kind in kinds.items() if kind == "text"],
                impute=not prepared.is_complete,
            ),
        )  # fmt: skip
        done: list[_Candidate] = []
        for i, name in enumerate(options.candidates):
            text = f"{CANDIDATES[name]}: {options.folds}-fold cross-validation"
            progress.update(0.05 + 0.85 * i / len(options.candidates), text)
            with tracking.child_run(settings, CANDIDATES[name], progress, tags) as child:
                done.append(_record_candidate(settings, spec, next(fits), child, sets))
        progress.update(0.9, "Comparing and registering")
        best = min(done, key=lambda found: float(found.summary["log_loss_cv"]))
        comparison = pd.DataFrame([found.summary for found in done])
        tracking.log(
            settings,
            run_id,
            Record(
                params={
                    "best": best.fitted.id,
                    "chosen_by": "log_loss_cv",
                    "prepared_by": prepared.run_id,
                    "threshold": spec.threshold,
                },
                metrics={
                    "rows_train": len(train),
                    "rows_test": len(test),
                    "rows_fit": best.fitted.rows_fit,
                    **{
                        f"{name}_test": float(best.summary[f"{name}_test"])
                        for name in metrics.TITLES
                        if f"{name}_test" in best.summary
                    },
                    "log_loss_cv": float(best.summary["log_loss_cv"]),
                },
                tags={**tags, tracking.TAG + "best_run": best.run_id},
                tables={"comparison": comparison, **_together(done)},
                figures={
                    "comparison": model_charts.metric_bars(
                        comparison[["name", "log_loss_test"]].set_axis(
                            ["model", "value"], axis="columns"
                        ),
                        "Log loss on the test set (nats)",
                        higher_is_better=False,
                        baseline=metrics.base_rate_log_loss(float(test[spec.target].mean())),
                    ).to_dict()
                },
                datasets=datasets,
            ),
        )
        version = tracking.register(
            settings,
            spec.model,
            best.model_id,
            best.run_id,
            {
                **tags,
                tracking.TAG + "candidate": best.fitted.id,
                tracking.TAG + "train_run": run_id,
                tracking.TAG + "threshold": str(spec.threshold),
            },
        )
        loss = float(best.summary["log_loss_test"])
        progress.update(
            1.0, f"{CANDIDATES[best.fitted.id]} is version {version.version}, log loss {loss:.4f}"
        )
    return Result(run_id, best.fitted.id, version.version, version.aliases, loss)


def _read(settings: Settings, spec: ProjectSpec) -> _Sets:
    from core.adapters import served_model

    prepared, train, test = storage.read_prepared(settings)
    if prepared.rules != spec.digest:
        raise NotReadyError("The project file changed since these sets were made. Prepare again.")
    wanted = schema.chosen_columns(spec, [*prepared.inputs, spec.target])
    complete = list(wanted) if prepared.is_complete else [spec.target]
    kinds, engineered = spec.kinds_of(prepared.inputs), spec.formulas_of(prepared.features)
    seen = []
    for frame in (train, test):
        schema.validate(frame, wanted, complete=complete)
        rows = served_model.checked(frame, kinds, is_complete=False)
        seen.append(served_model.with_features(rows, prepared.features, engineered))
    return _Sets(prepared, train, test, *seen)


def _check_folds(train: pd.DataFrame, spec: ProjectSpec, options: Options) -> None:
    """Refuse folds that some label is too rare for, before PyCaret fails on them."""
    counts = train[spec.target].value_counts() * options.fit_share
    for label, count in counts.items():
        if int(count) < options.folds:
            word = spec.positive if label == 1 else spec.negative
            raise InputError(
                f"Only {int(count):,} of the rows to fit on are '{word}'; {options.folds} folds "
                f"need at least {options.folds}. Choose fewer folds, or prepare a larger set."
            )


def _record_candidate(
    settings: Settings,
    spec: ProjectSpec,
    fitted: automl.Fitted,
    run_id: str,
    sets: _Sets,
) -> _Candidate:
    from core.adapters import served_model

    prepared, test = sets.prepared, sets.test
    inputs = list(prepared.inputs)
    kinds = spec.kinds_of(inputs)
    start = time.perf_counter()
    probabilities = fitted.estimator.predict_proba(sets.features_test)[:, 1]
    seconds = time.perf_counter() - start
    labels = test[spec.target].to_numpy(dtype=np.int64)
    on_test = metrics.classification(labels, probabilities, spec.threshold)
    cv = fitted.folds.drop(columns="fold")
    name = CANDIDATES[fitted.id]
    tables = {
        "folds": fitted.folds,
        "roc": metrics.roc_points(labels, probabilities),
        "calibration": metrics.calibration_bins(labels, probabilities),
        "confusion": metrics.confusion(labels, probabilities, spec.threshold),
    }
    predictions = test[inputs].assign(
        probability=probabilities,
        predicted=(probabilities >= spec.threshold).astype(int),
        label=labels,
    )
    model_id = tracking.log(
        settings,
        run_id,
        Record(
            params={
                "model": fitted.id,
                "threshold": spec.threshold,
                "features": ",".join(prepared.features),
                **{f"model.{key}": value for key, value in fitted.params.items()},
            },
            metrics={
                "rows_fit": fitted.rows_fit,
                "rows_test": len(test),
                "seconds_fit": fitted.seconds,
                "seconds_predict_test": seconds,
                **{f"{key}_cv": float(cv[key].mean()) for key in cv},
                **{f"{key}_cv_std": float(cv[key].std(ddof=0)) for key in cv},
                **{f"{key}_test": value for key, value in on_test.items()},
            },
            tables={**tables, "test_predictions": predictions},
            figures={
                "roc": model_charts.roc_curve(tables["roc"].assign(model=name)).to_dict(),
                "calibration": model_charts.calibration_curve(
                    tables["calibration"].assign(model=name)
                ).to_dict(),
                "confusion": model_charts.confusion(
                    tables["confusion"], positive=spec.positive, negative=spec.negative
                ).to_dict(),
            },
            model=ModelRecord(
                fitted.estimator,
                prepared.features,
                kinds,
                spec.threshold,
                served_model.checked(sets.train[inputs].head(5), kinds, is_complete=False),
                spec.formulas_of(prepared.features),
                prepared.is_complete,
                ("scikit-learn", "lightgbm") if fitted.id == "lightgbm" else ("scikit-learn",),
            ),
        ),
    )
    summary = {
        "model": fitted.id,
        "name": name,
        "run_id": run_id,
        "rows_fit": fitted.rows_fit,
        "log_loss_cv": float(cv["log_loss"].mean()),
        "log_loss_cv_std": float(cv["log_loss"].std(ddof=0)),
        **{f"{key}_test": on_test[key] for key in metrics.TITLES if key in on_test},
        "seconds_fit": fitted.seconds,
    }
    return _Candidate(fitted, run_id, str(model_id), summary, tables)


def _together(done: list[_Candidate]) -> Mapping[str, pd.DataFrame]:
    """Return each table of the candidates as one, with a column `model` that names them."""
    return {
        table: pd.concat(
            [found.tables[table].assign(model=CANDIDATES[found.fitted.id]) for found in done],
            ignore_index=True,
        )
        for table in ("folds", "roc", "calibration", "confusion")
    }
