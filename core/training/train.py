"""train: fit candidates, compare them, register the best as challenger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from core.platform import config, project, schema, storage, tracking
from core.platform.classifier import Classifier
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError
from core.platform.hooks import hook
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Dataset, ModelRecord, Progress, Record
from core.platform.runs import EveryRun, ModelVersion, TrainedModel, VersionTags
from core.platform.storage import Prepared
from core.registry import registry
from core.stats import metrics
from core.stats.metrics import Labels
from core.training import automl, cluster, evaluation, evaluation_charts, learning
from core.training import candidates as kinds
from core.training.evaluation import Aim, Evaluated, Validated
from core.training.preprocessing import preprocessor
from core.training.records import CandidateRun, TrainingRun

Value = int | float | bool | str | None


class Options(config.Options):
    """Which candidates to fit, and how.

    Parameters
    ----------
    candidates : tuple of str
        Ids from `candidates.KINDS`; at least one, without repetition.
    params : dict of str to dict
        Parameters of a candidate that differ from its defaults.
    folds : int
        Stratified folds of the cross-validation, 2 to 20.
    seed : int
        PyCaret's session_id.
    fit_share : float
        Share of the training set that PyCaret fits on, 0.1 to 1. PyCaret's own default is 0.7; the
        other 30% would be an unused hold-out, since there is a separate test set.
    balanced : bool
        Weigh the classes equally, in the candidates that support it.
    tune_trials, tune_seconds : int
        Search better parameters for the best candidate, within this many trials and seconds.
    blend, stack : bool
        Add the mean of the best three, or a logistic regression on their predictions.
    calibrate : {"none", "sigmoid", "isotonic"}
        Add the best one with calibrated probabilities.
    budget_seconds : int, optional
        After this time no fold starts; the candidates finished by then are compared.
    aim : {"project", "f1", "balanced", "cost"}
        Criterion for each candidate's threshold, on its out-of-fold predictions: the project's
        own threshold; the highest F1; the highest sensitivity + specificity; the lowest cost of
        errors.
    cost_false_positive, cost_false_negative : float
        Cost of either kind of error, in any unit; for "cost" only.
    refit : bool
        Refit the best candidate on all labelled rows, including the test set, and serve that one.
        The metrics remain those of the fit on the training rows.
    learning_seconds : int
        Time limit of the best one's learning curve; 0 draws none.
    preset : str, optional
        Title of the project's preset that the other options come from.
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
    aim: evaluation.AimName = "project"
    cost_false_positive: float = Field(1.0, ge=0, le=1e9)
    cost_false_negative: float = Field(1.0, ge=0, le=1e9)
    refit: bool = False
    learning_seconds: int = Field(20, ge=0, le=3600)
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
    def _mistakes_cost_something(self) -> Options:
        if self.aim == "cost" and self.cost_false_positive + self.cost_false_negative == 0:
            raise ValueError("neither kind of mistake costs anything: give one of them a cost")
        return self

    @model_validator(mode="after")
    def _params_are_of_candidates(self) -> Options:
        if unknown := [name for name in self.params if name not in self.candidates]:
            raise ValueError(f"parameters of {', '.join(unknown)}, which is no candidate")
        return self


@dataclass(frozen=True)
class Result:
    """The registered version; `left_out` are candidates that failed or ran out of time."""

    run_id: str
    best: str
    version: str
    aliases: tuple[str, ...]
    log_loss_test: float
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sets:
    """The prepared sets as stored, as the candidates see them, and with all columns."""

    prepared: Prepared
    train: pd.DataFrame
    test: pd.DataFrame
    features_train: pd.DataFrame
    features_test: pd.DataFrame
    rows_train: pd.DataFrame
    rows_test: pd.DataFrame

    def labels(self, spec: ProjectSpec) -> Labels:
        """Return the labels of the test set."""
        return self.test[spec.target].to_numpy(dtype=np.int64)


@dataclass(frozen=True)
class _Candidate:
    """A candidate with a recorded run."""

    fitted: automl.Fitted
    run_id: str
    model_id: str
    evaluated: Evaluated


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Fit the candidates on the training set, as the run `Treinamento` with a child run for each.

    The best has the lowest cross-validated log loss: chosen without the test set, so that its test
    metrics stay unbiased. It is registered as `challenger`, and as `champion` if there is none yet.

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
        tags = TrainedModel(
            source=prepared.source,
            inputs=prepared.inputs,
            features=prepared.features,
            formulas=spec.formulas_of(prepared.features),
            missing="drop" if prepared.is_complete else "impute",
            rows_name=spec.rows.development_name
            if prepared.is_default_rows
            else "rows it was trained on",
        ).write()
        if prepared.is_sample:
            # the child runs and the version carry the tags too
            tags |= EveryRun(sample=True).write()
        source = f"data/{storage.MODEL_INPUT}"
        datasets = tuple(
            Dataset(name, frame, f"{source}/{file}", context, spec.target, prepared.digests[file])
            for name, frame, file, context in (
                ("train_data", train, storage.TRAIN_FILE, "training"),
                ("test_data", test, storage.TEST_FILE, "testing"),
            )
        )
        done, left_out = _fit_all(settings, spec, options, sets, tags, progress)
        progress.update(0.9, "Comparing the candidates")
        best = min(done, key=lambda candidate: candidate.evaluated.log_loss_cv)
        tables, figures = evaluation.compare(
            [candidate.evaluated for candidate in done], best.evaluated, sets.labels(spec)
        )
        curve = _learning_curve(options, best, sets, spec, progress)
        tracking.log(
            settings,
            run_id,
            Record(
                params={
                    "best": best.fitted.id,
                    "chosen_by": "log_loss_cv",
                    "prepared_by": prepared.run_id,
                    "threshold": best.evaluated.choice.threshold,
                    "left_out": ", ".join(kinds.title(name) for name in left_out),
                },
                metrics={
                    "rows_train": len(train),
                    "rows_test": len(test),
                    "rows_fit": best.fitted.rows_fit,
                    **{
                        f"{name}_test": float(best.evaluated.summary[f"{name}_test"])
                        for name in metrics.TITLES
                        if f"{name}_test" in best.evaluated.summary
                    },
                    "log_loss_cv": best.evaluated.log_loss_cv,
                },
                tags={**tags, **TrainingRun(best_run=best.run_id).write()},
                tables={
                    **tables,
                    **({} if curve.empty else {"learning": curve}),
                    "test_rows": sets.rows_test,
                    "train_keys": sets.rows_train[[spec.id]],
                    "left_out": pd.DataFrame(left_out.items(), columns=["model", "reason"]),
                },
                figures={
                    **figures,
                    **(
                        {}
                        if curve.empty
                        else {
                            "learning": evaluation_charts.learning_curve(
                                curve, "Log loss (nats)"
                            ).to_dict()
                        }
                    ),
                },
                datasets=datasets,
            ),
        )
        progress.update(0.96, f"Registering {best.evaluated.title}")
        version = _register(settings, spec, options, best, sets, tags, run_id)
        loss = float(best.evaluated.summary["log_loss_test"])
        progress.update(
            1.0, f"{best.evaluated.title} is version {version.version}, log loss {loss:.4f}"
        )
    # if there was no champion, or only the sample's, the new version is the champion now
    hook("operation_changed")(settings)
    return Result(run_id, best.fitted.id, version.version, version.aliases, loss, tuple(left_out))


def _register(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    best: _Candidate,
    sets: _Sets,
    tags: Mapping[str, str],
    run_id: str,
) -> ModelVersion:
    """Register the best candidate, or its refit on all labelled rows."""
    served, rows = best.model_id, best.fitted.rows_fit
    if options.refit:
        again = automl.refitted(
            best.fitted,
            pd.concat([sets.features_train, sets.features_test], ignore_index=True),
            np.concatenate([sets.train[spec.target], sets.test[spec.target]]).astype(np.int64),
        )
        rows = len(sets.train) + len(sets.test)
        model = _model(spec, best.fitted, sets, best.evaluated.choice.threshold, estimator=again)
        served = str(tracking.log(settings, run_id, Record(model=model)))
    own = VersionTags(
        candidate=best.fitted.id,
        train_run=run_id,
        threshold=best.evaluated.choice.threshold,
        threshold_aim=best.evaluated.choice.text,
        rows_served=rows,
    )
    return registry.register(
        settings, spec.model, served, best.run_id, {**tags, **own.write()}, evaluated=best.model_id
    )


def _record(
    settings: Settings, spec: ProjectSpec, aim: Aim, fitted: automl.Fitted, run_id: str, sets: _Sets
) -> _Candidate:
    """Evaluate a fitted candidate on the test set and record everything in its run."""
    test, labels = sets.test, sets.labels(spec)
    start = time.perf_counter()
    probabilities = fitted.estimator.predict_proba(sets.features_test)[:, 1]
    seconds = time.perf_counter() - start
    evaluated = evaluation.evaluate(
        spec,
        aim,
        Validated(fitted.id, fitted.folds, fitted.validation),
        labels,
        np.asarray(probabilities, dtype=np.float64),
        sets.rows_test,
    )
    threshold = evaluated.choice.threshold
    predictions = test[list(sets.prepared.inputs)].assign(
        **{
            PROBABILITY: evaluated.probabilities,
            PREDICTED: (evaluated.probabilities >= threshold).astype(int),
            LABEL: labels,
        }
    )
    model_id = tracking.log(
        settings,
        run_id,
        Record(
            params={
                "model": fitted.id,
                "threshold": threshold,
                "threshold_aim": aim.name,
                "features": ",".join(sets.prepared.features),
                **{f"model.{key}": value for key, value in fitted.params.items()},
            },
            metrics={
                "rows_fit": fitted.rows_fit,
                "rows_test": len(test),
                "seconds_fit": fitted.seconds,
                "seconds_predict_test": seconds,
                **evaluated.metrics,
            },
            tags=CandidateRun(threshold_choice=evaluated.choice.text).write(),
            tables={**evaluated.tables, "test_predictions": predictions},
            figures=evaluated.figures,
            model=_model(spec, fitted, sets, threshold),
        ),
    )
    summary = {
        **evaluated.summary,
        "run_id": run_id,
        "rows_fit": fitted.rows_fit,
        "seconds_fit": fitted.seconds,
    }
    return _Candidate(fitted, run_id, str(model_id), replace(evaluated, summary=summary))


def _model(
    spec: ProjectSpec,
    fitted: automl.Fitted,
    sets: _Sets,
    threshold: float,
    estimator: Classifier | None = None,
) -> ModelRecord:
    """Return a candidate as a model to store; with another estimator, a refitted one."""
    from core.platform import served_model

    prepared = sets.prepared
    types = spec.kinds_of(prepared.inputs)
    example = sets.train[list(prepared.inputs)].head(5)
    return ModelRecord(
        fitted.estimator if estimator is None else estimator,
        prepared.features,
        types,
        threshold,
        served_model.checked(example, types, is_complete=False),
        spec.formulas_of(prepared.features),
        prepared.is_complete,
        fitted.libraries,
        {name: spec.columns[name].rule for name in prepared.inputs},
    )


def _learning_curve(
    options: Options, best: _Candidate, sets: _Sets, spec: ProjectSpec, progress: Progress
) -> pd.DataFrame:
    if not options.learning_seconds:
        return pd.DataFrame()
    progress.update(0.92, f"Learning curve of {best.evaluated.title}")
    return learning.learning_curve(
        best.fitted.estimator,
        sets.features_train,
        sets.train[spec.target].to_numpy(dtype=np.int64),
        seed=options.seed,
        seconds=options.learning_seconds,
    )


def _fit_all(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    sets: _Sets,
    tags: Mapping[str, str],
    progress: Progress,
) -> tuple[list[_Candidate], dict[str, str]]:
    """Fit the candidates, each in its own run; return them, and why others are left out.

    Raises
    ------
    InputError
        When no candidate could be fitted in time.
    """
    clock = _TrainingProgress(options, progress)
    aim = Aim(options.aim, options.cost_false_positive, options.cost_false_negative)
    end = None if options.budget_seconds is None else time.monotonic() + options.budget_seconds
    seen_as = spec.kinds_of(sets.prepared.features)
    new_trainer = partial(
        automl.Trainer,
        sets.features_train.assign(**{spec.target: sets.train[spec.target]}),
        spec.target,
        folds=options.folds,
        seed=options.seed,
        fit_share=options.fit_share,
        preprocessor=preprocessor(
            [name for name, kind in seen_as.items() if kind == "number"],
            [name for name, kind in seen_as.items() if kind == "text"],
            impute=not sets.prepared.is_complete,
        ),
    )
    weights = {"class_weight": "balanced"} if options.balanced else {}
    wanted = {
        name: {**(weights if kinds.KINDS[name].weighs else {}), **options.params.get(name, {})}
        for name in options.candidates
    }
    done: list[_Candidate] = []
    left_out: dict[str, str] = {}

    @cache
    def trainer() -> automl.Trainer:
        """Set up PyCaret here, with the candidates that a cluster has fitted."""
        fresh = new_trainer(on_fold=clock.fold_done, deadline=end)
        for candidate in done:
            fresh.adopt(candidate.fitted)
        return fresh

    def fit(name: str, fitting: Callable[[], automl.Fitted]) -> bool:
        """Fit one candidate and record it; return whether there is time for more."""
        try:
            with tracking.child_run(settings, kinds.title(name), progress, tags) as child:
                done.append(_record(settings, spec, aim, fitting(), child, sets))
        except automl.OutOfTime:
            left_out[name] = f"not finished within {options.budget_seconds} s"
            return False
        except CourtsideError as error:
            left_out[name] = error.message
        return True

    def in_sequence(fittings: Iterable[tuple[str, Callable[[], automl.Fitted]]]) -> bool:
        in_time = True
        for name, fitting in fittings:
            if in_time:
                clock.begin(name, done)
                in_time = fit(name, fitting)
            else:
                left_out[name] = "no time was left"
        return in_time

    def in_parallel(address: str) -> bool:
        in_time = True
        progress.update(0.05, f"Asking the Dask cluster at {address}")
        arriving = cluster.fit_all(address, new_trainer, wanted, deadline=end, on_wait=clock.waited)
        with closing(arriving):
            for name, fitting in arriving:
                in_time = fit(name, fitting) and in_time
                clock.arrived(done)
        # the order of sequential fitting: a tie goes to the first
        done.sort(key=lambda candidate: options.candidates.index(candidate.fitted.id))
        return in_time

    if settings.dask:
        in_time = in_parallel(settings.dask)
    else:
        in_time = in_sequence((name, partial(trainer().fit, name, wanted[name])) for name in wanted)
    further = _derived(options, trainer, done)
    if in_time:
        in_sequence(further)
    else:
        left_out |= {name: "no time was left" for name, _ in further}
    if not done:
        reasons = " ".join(f"{kinds.title(name)}: {why}." for name, why in left_out.items())
        raise InputError(f"No candidate was fitted. {reasons}")
    return done, left_out


def _derived(
    options: Options, trainer: Callable[[], automl.Trainer], done: list[_Candidate]
) -> Iterator[tuple[str, Callable[[], automl.Fitted]]]:
    """Yield the combinations of finished candidates, each when the previous one is done."""

    def ranked() -> list[str]:
        ranking = sorted(done, key=lambda candidate: candidate.evaluated.log_loss_cv)
        return [candidate.fitted.id for candidate in ranking]

    if options.tune_trials and done:
        best = ranked()[0]
        yield (
            f"{best}.tuned",
            lambda: trainer().tune(best, trials=options.tune_trials, seconds=options.tune_seconds),
        )
    members = ranked()[: kinds.MEMBERS]
    if options.blend and len(members) > 1:
        yield kinds.BLEND, lambda: trainer().blend(kinds.BLEND, members)
    if options.stack and len(members) > 1:
        yield kinds.STACK, lambda: trainer().stack(kinds.STACK, members)
    if options.calibrate != "none" and done:
        first = ranked()[0]
        yield f"{first}.{options.calibrate}", lambda: trainer().calibrate(first, options.calibrate)


class _TrainingProgress:
    """Reports progress over the folds of all candidates, the best so far, and the time left."""

    def __init__(self, options: Options, progress: Progress) -> None:
        self._candidates = len(options.candidates)
        many = self._candidates + options.blend + options.stack
        many += options.calibrate != "none"
        self._folds = options.folds
        # a trial of a search is a cross-validation too
        self._all = options.folds * (many + (options.tune_trials + 1) * bool(options.tune_trials))
        self._progress = progress
        self._start = time.monotonic()
        self._done = 0
        self._of_one = self._arrived = self._workers = 0
        self._title = self._best = ""

    def begin(self, name: str, done: list[_Candidate]) -> None:
        """Start a candidate."""
        self._title, self._of_one = kinds.title(name), 0
        self._note_best(done)
        self._report(self._fold())

    def fold_done(self) -> None:
        """Count a fold."""
        self._done += 1
        self._of_one += 1
        self._report(self._fold())

    def waited(self, workers: int) -> None:
        """Report that a cluster with this many workers is running."""
        self._workers = workers
        self._report(self._side_by_side(), foresees=False)

    def arrived(self, done: list[_Candidate]) -> None:
        """Count a candidate that a cluster has fitted or given up."""
        self._arrived += 1
        self._done += self._folds
        self._note_best(done)
        self._report(self._side_by_side(), foresees=False)

    def _note_best(self, done: list[_Candidate]) -> None:
        if done:
            best = min(done, key=lambda candidate: candidate.evaluated.log_loss_cv)
            loss = best.evaluated.log_loss_cv
            self._best = f" · best so far {kinds.title(best.fitted.id)}, {loss:.4f}"

    def _fold(self) -> str:
        if self._of_one > self._folds:
            return f"{self._title}: trial {self._of_one // self._folds + 1}"
        return f"{self._title}: fold {min(self._of_one + 1, self._folds)} of {self._folds}"

    def _side_by_side(self) -> str:
        workers = f"{self._workers} Dask worker{'s'[: self._workers != 1]}"
        on = f", side by side on {workers}" if self._workers else ""
        return f"{self._arrived} of {self._candidates} candidates done{on}"

    def _report(self, text: str, *, foresees: bool = True) -> None:
        # in parallel, the last candidate decides, and the progress of its folds is unknown
        share = min(self._done / self._all, 1.0)
        text += self._best
        if foresees and self._done >= self._folds:
            left = (time.monotonic() - self._start) * (1 - share) / max(share, 1e-9)
            text += f" · about {left:.0f} s left"
        self._progress.update(0.05 + 0.85 * share, text)


def _check_preset(spec: ProjectSpec, prepared: Prepared, options: Options) -> None:
    """Refuse prepared sets that differ from those of the requested preset."""
    if options.preset is None:
        return
    chosen = next((preset for preset in spec.presets if preset.title == options.preset), None)
    if chosen is None:
        raise InputError(f"The project has no preset '{options.preset}'.")
    wanted = (spec.features_called(chosen.features), chosen.split, chosen.test_from)
    prepared_as = (prepared.features, prepared.options["split"], prepared.options.get("test_from"))
    if wanted != prepared_as or not prepared.is_default_rows:
        raise NotReadyError(
            f"The prepared sets are not those of '{chosen.title}' ({chosen.features}, split "
            f"{chosen.split}). Prepare by this preset first."
        )


def _read(settings: Settings, spec: ProjectSpec) -> _Sets:
    from core.platform import served_model

    prepared, train, test = storage.read_prepared(settings)
    rows = storage.read_rows(settings, prepared)
    if prepared.rules != spec.digest:
        raise NotReadyError("The project file changed since these sets were made. Prepare again.")
    wanted = schema.chosen_columns(spec, [*prepared.inputs, spec.target])
    complete = list(wanted) if prepared.is_complete else [spec.target]
    types, engineered = spec.kinds_of(prepared.inputs), spec.formulas_of(prepared.features)
    features = []
    for frame in (train, test):
        schema.validate(frame, wanted, complete=complete)
        checked = served_model.checked(frame, types, is_complete=False)
        features.append(served_model.with_features(checked, prepared.features, engineered))
    return _Sets(prepared, train, test, features[0], features[1], *rows)


def _check_folds(train: pd.DataFrame, spec: ProjectSpec, options: Options) -> None:
    """Refuse more folds than the rarer label allows, before PyCaret fails on them."""
    counts = train[spec.target].value_counts() * options.fit_share
    for label, count in counts.items():
        if int(count) < options.folds:
            word = spec.positive if label == 1 else spec.negative
            raise InputError(
                f"Only {int(count):,} of the rows to fit on are '{word}'; {options.folds} folds "
                f"need at least {options.folds}. Choose fewer folds, or prepare a larger set."
            )
