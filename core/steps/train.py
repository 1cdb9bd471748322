"""train: fit candidates, compare them, register the best as challenger."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from core import config, project, schema
from core.adapters import automl, storage, tracking
from core.adapters.storage import Prepared
from core.config import Settings
from core.errors import CourtsideError, InputError, NotReadyError
from core.logic import candidates as kinds
from core.logic import metrics, model_charts
from core.logic.preprocessing import preprocessor
from core.project import ProjectSpec
from core.record import SILENT, Dataset, ModelRecord, Progress, Record

Value = int | float | bool | str | None


class Options(config.Options):
    """Which candidates to fit, and how.

    Parameters
    ----------
    candidates : tuple of str
        PyCaret's ids of `candidates.KINDS`; at least one, none twice.
    params : dict of str to dict
        Parameters of a candidate that differ from its defaults.
    folds : int
        Stratified folds of the cross-validation, 2 to 20.
    seed : int
        PyCaret's session_id, 0 or more.
    fit_share : float
        Share of the training set that PyCaret fits on, 0.1 to 1. PyCaret's own default is 0.7; the
        other 30% would be a hold-out that nobody reads, since the test set was split off before.
    balanced : bool
        Weigh the classes alike, in the candidates that can.
    tune_trials, tune_seconds : int
        Search better parameters for the best candidate: at most so many trials, and so long.
    blend, stack : bool
        Add the mean of the best three, or a logistic regression on their forecasts.
    calibrate : {"none", "sigmoid", "isotonic"}
        Add the best one with its probabilities mended.
    budget_seconds : int, optional
        After so long no further fold is begun; what is done by then is compared.
    preset : str, optional
        Title of the project's preset that the other choices come from.
    """

    candidates: tuple[str, ...] = Field(kinds.DEFAULT, min_length=1)
    params: dict[str, dict[str, Value]] = Field(default_factory=dict)
    folds: int = Field(10, ge=2, le=20)
    seed: int = Field(42, ge=0, le=2**31 - 1)
    fit_share: float = Field(1.0, ge=0.1, le=1.0)
    balanced: bool = False
    tune_trials: int = Field(0, ge=0, le=500)
    tune_seconds: int = Field(60, ge=1, le=86_400)
    blend: bool = False
    stack: bool = False
    calibrate: Literal["none", "sigmoid", "isotonic"] = "none"
    budget_seconds: int | None = Field(None, ge=1, le=86_400)
    preset: str | None = Field(None, max_length=80)

    @field_validator("candidates")
    @classmethod
    def _known_and_none_twice(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in kinds.KINDS]:
            raise ValueError(f"no candidate is called {', '.join(unknown)}")
        if len(set(value)) < len(value):
            raise ValueError("a candidate stands there twice")
        return value

    @model_validator(mode="after")
    def _params_are_of_candidates(self) -> Options:
        if unknown := [name for name in self.params if name not in self.candidates]:
            raise ValueError(f"parameters of {', '.join(unknown)}, which is no candidate")
        return self


@dataclass(frozen=True)
class Result:
    """What was registered; `left_out` are candidates that failed or had no time."""

    run_id: str
    best: str
    version: str
    aliases: tuple[str, ...]
    log_loss_test: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sets:
    """The prepared sets as they stand, as the candidates see them, and with all columns."""

    prepared: Prepared
    train: pd.DataFrame
    test: pd.DataFrame
    features_train: pd.DataFrame
    features_test: pd.DataFrame
    rows_train: pd.DataFrame
    rows_test: pd.DataFrame


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
        _check_preset(spec, prepared, options)
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
        done, left_out = _fit_all(settings, spec, options, sets, tags, progress)
        progress.update(0.9, "Comparing and registering")
        best = min(done, key=lambda found: float(found.summary["log_loss_cv"]))
        comparison = pd.DataFrame([found.summary for found in done])
        left_out_names = ", ".join(kinds.title(name) for name in left_out)
        tracking.log(
            settings,
            run_id,
            Record(
                params={
                    "best": best.fitted.id,
                    "chosen_by": "log_loss_cv",
                    "prepared_by": prepared.run_id,
                    "threshold": spec.threshold,
                    "left_out": left_out_names,
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
                tables={
                    "comparison": comparison,
                    **_together(done),
                    "test_rows": sets.rows_test,
                    "train_keys": sets.rows_train[[spec.id]],
                    "left_out": pd.DataFrame(left_out.items(), columns=["model", "reason"]),
                },
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
            1.0, f"{kinds.title(best.fitted.id)} is version {version.version}, log loss {loss:.4f}"
        )
    return Result(run_id, best.fitted.id, version.version, version.aliases, loss, tuple(left_out))


def _fit_all(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    sets: _Sets,
    tags: Mapping[str, str],
    progress: Progress,
) -> tuple[list[_Candidate], dict[str, str]]:
    """Fit what was asked for, each in a run of its own; return it, and why others are left out.

    Raises
    ------
    InputError
        When nothing could be fitted, or not in time.
    """
    clock = _Clock(options, progress)
    end = None if options.budget_seconds is None else time.monotonic() + options.budget_seconds
    seen_as = spec.kinds_of(sets.prepared.features)
    trainer = automl.Trainer(
        sets.features_train.assign(**{spec.target: sets.train[spec.target]}),
        spec.target,
        folds=options.folds, seed=options.seed, fit_share=options.fit_share,
        preprocessor=preprocessor(
            [name for name, kind in seen_as.items() if kind == "number"],
            [name for name, kind in seen_as.items() if kind == "text"],
            impute=not sets.prepared.is_complete,
        ),
        on_fold=clock.fold_done, deadline=end,
    )  # fmt: skip
    done: list[_Candidate] = []
    left_out: dict[str, str] = {}

    def fit(name: str, how: Callable[[], automl.Fitted]) -> bool:
        """Fit one candidate; tell whether there is time for more."""
        clock.begin(name, done)
        try:
            with tracking.child_run(settings, kinds.title(name), progress, tags) as child:
                done.append(_record_candidate(settings, spec, how(), child, sets))
        except automl.OutOfTime:
            left_out[name] = f"not finished within {options.budget_seconds} s"
            return False
        except CourtsideError as error:
            left_out[name] = error.message
        return True

    in_time = True
    for name in options.candidates:
        if in_time:
            weights = {"class_weight": "balanced"} if options.balanced else {}
            given = {
                **(weights if kinds.KINDS[name].weighs else {}),
                **options.params.get(name, {}),
            }
            in_time = fit(name, partial(trainer.fit, name, given))
        else:
            left_out[name] = "no time was left"
    for name, how in _derived(options, trainer, done):
        if in_time:
            in_time = fit(name, how)
        else:
            left_out[name] = "no time was left"
    if not done:
        reasons = " ".join(f"{kinds.title(name)}: {why}." for name, why in left_out.items())
        raise InputError(f"No candidate was fitted. {reasons}")
    return done, left_out


def _derived(
    options: Options, trainer: automl.Trainer, done: list[_Candidate]
) -> Iterator[tuple[str, Callable[[], automl.Fitted]]]:
    """Yield what is made of the candidates that are done, each when the one before is done."""

    def ranked() -> list[str]:
        found = sorted(done, key=lambda one: float(one.summary["log_loss_cv"]))
        return [one.fitted.id for one in found]

    if options.tune_trials and done:
        best = ranked()[0]
        yield (
            f"{best}.tuned",
            lambda: trainer.tune(best, trials=options.tune_trials, seconds=options.tune_seconds),
        )
    members = ranked()[: kinds.MEMBERS]
    if options.blend and len(members) > 1:
        yield kinds.BLEND, lambda: trainer.blend(kinds.BLEND, members)
    if options.stack and len(members) > 1:
        yield kinds.STACK, lambda: trainer.stack(kinds.STACK, members)
    if options.calibrate != "none" and done:
        first = ranked()[0]
        yield f"{first}.{options.calibrate}", lambda: trainer.calibrate(first, options.calibrate)


class _Clock:
    """Tells how far the folds of all candidates are, what is best so far, and the time left."""

    def __init__(self, options: Options, progress: Progress) -> None:
        many = len(options.candidates) + options.blend + options.stack
        many += options.calibrate != "none"
        self._folds = options.folds
        # a trial of a search is a cross-validation too
        self._all = options.folds * (many + (options.tune_trials + 1) * bool(options.tune_trials))
        self._progress = progress
        self._start = time.monotonic()
        self._done = 0
        self._of_one = 0
        self._title = self._best = ""

    def begin(self, name: str, done: list[_Candidate]) -> None:
        """Go on to a candidate."""
        self._title, self._of_one = kinds.title(name), 0
        if done:
            best = min(done, key=lambda one: float(one.summary["log_loss_cv"]))
            loss = float(best.summary["log_loss_cv"])
            self._best = f" · best so far {kinds.title(best.fitted.id)}, {loss:.4f}"
        self._tell()

    def fold_done(self) -> None:
        """Count a fold."""
        self._done += 1
        self._of_one += 1
        self._tell()

    def _tell(self) -> None:
        share = min(self._done / self._all, 1.0)
        fold = min(self._of_one + 1, self._folds)
        text = f"{self._title}: fold {fold} of {self._folds}{self._best}"
        if self._of_one > self._folds:
            text = f"{self._title}: trial {self._of_one // self._folds + 1}{self._best}"
        if self._done >= self._folds:
            left = (time.monotonic() - self._start) * (1 - share) / max(share, 1e-9)
            text += f" · about {left:.0f} s left"
        self._progress.update(0.05 + 0.85 * share, text)


def _check_preset(spec: ProjectSpec, prepared: Prepared, options: Options) -> None:
    """Refuse sets that are not those of the preset that the person asked for."""
    if options.preset is None:
        return
    found = next((one for one in spec.presets if one.title == options.preset), None)
    if found is None:
        raise InputError(f"The project has no preset '{options.preset}'.")
    wanted = (spec.features_called(found.features), found.split, found.test_from)
    there = (
        prepared.features, prepared.options["split"], prepared.options.get("test_from"),
    )  # fmt: skip
    if wanted != there or not prepared.is_default_rows:
        raise NotReadyError(
            f"The prepared sets are not those of '{found.title}' ({found.features}, split "
            f"{found.split}). Prepare by this preset first."
        )


def _read(settings: Settings, spec: ProjectSpec) -> _Sets:
    from core.adapters import served_model

    prepared, train, test = storage.read_prepared(settings)
    rows = storage.read_rows(settings, prepared)
    if prepared.rules != spec.digest:
        raise NotReadyError("The project file changed since these sets were made. Prepare again.")
    wanted = schema.chosen_columns(spec, [*prepared.inputs, spec.target])
    complete = list(wanted) if prepared.is_complete else [spec.target]
    types, engineered = spec.kinds_of(prepared.inputs), spec.formulas_of(prepared.features)
    seen = []
    for frame in (train, test):
        schema.validate(frame, wanted, complete=complete)
        taken = served_model.checked(frame, types, is_complete=False)
        seen.append(served_model.with_features(taken, prepared.features, engineered))
    return _Sets(prepared, train, test, seen[0], seen[1], *rows)


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
    types = spec.kinds_of(inputs)
    start = time.perf_counter()
    probabilities = fitted.estimator.predict_proba(sets.features_test)[:, 1]
    seconds = time.perf_counter() - start
    labels = test[spec.target].to_numpy(dtype=np.int64)
    on_test = metrics.classification(labels, probabilities, spec.threshold)
    cv = fitted.folds.drop(columns="fold")
    name = kinds.title(fitted.id)
    tables = {
        "folds": fitted.folds,
        "roc": metrics.roc_points(labels, probabilities),
        "calibration": metrics.calibration_bins(labels, probabilities),
        "confusion": metrics.confusion(labels, probabilities, spec.threshold),
        "validation": fitted.validation,
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
                types,
                spec.threshold,
                served_model.checked(sets.train[inputs].head(5), types, is_complete=False),
                spec.formulas_of(prepared.features),
                prepared.is_complete,
                fitted.libraries,
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
            [found.tables[table].assign(model=kinds.title(found.fitted.id)) for found in done],
            ignore_index=True,
        )
        for table in ("folds", "roc", "calibration", "confusion")
    }
