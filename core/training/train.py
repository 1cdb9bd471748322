"""train: fit candidates, compare them, register the best as challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from core.data import split
from core.data.split_checks import SPLITS
from core.platform import config, project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.hooks import hook
from core.platform.messages import Message, Words, _, in_words
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Dataset, Progress, Record
from core.platform.runs import EveryRun, ModelVersion, TrainedModel, VersionTags
from core.platform.storage import Prepared
from core.registry import registry
from core.stats import metrics
from core.training import automl, evaluation, evaluation_charts, fitting, learning, training_sets
from core.training import candidates as kinds
from core.training.fitting import Candidate, model_record
from core.training.records import TrainingRun
from core.training.training_sets import TrainingSets

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
    balanced : bool, optional
        Weigh the classes equally, in the candidates that support it; by default as the project
        file says.
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
        own (`threshold_by`, by default its fixed threshold); the highest F1; the highest
        sensitivity + specificity; the lowest cost of errors.
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
    balanced: bool | None = None
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
            raise _no_candidate(unknown)
        if len(set(value)) < len(value):
            raise ValueError(
                Message(
                    "used more than once: {names}",
                    names=sorted({n for n in value if value.count(n) > 1}),
                )
            )
        return value

    @model_validator(mode="after")
    def _mistakes_cost_something(self) -> Options:
        if self.aim == "cost" and self.cost_false_positive + self.cost_false_negative == 0:
            raise ValueError(Message("both error costs are 0: set at least one of them"))
        return self

    @model_validator(mode="after")
    def _params_are_of_candidates(self) -> Options:
        if unknown := [name for name in self.params if name not in self.candidates]:
            raise _no_candidate(unknown)
        return self


def _no_candidate(names: list[str]) -> ValueError:
    return ValueError(Message("not in {table}: {names}", table="candidates", names=names))


@dataclass(frozen=True)
class Result:
    """The registered version; `left_out` are candidates that failed or ran out of time."""

    run_id: str
    best: str
    version: str
    aliases: tuple[str, ...]
    log_loss_test: float
    left_out: tuple[str, ...] = ()


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Fit the candidates on the training set, as the run `Treinamento` with a child run for each.

    The best has the lowest cross-validated log loss: chosen without the test set, so that its test
    metrics stay unbiased. It is registered as `challenger`, and as `champion` if there is none yet.

    Raises
    ------
    NotReadyError
        Before the first preparation.
    """
    spec = project.of(settings)
    if options.balanced is None:
        options = options.model_copy(update={"balanced": spec.balanced})
    with tracking.step_run(settings, "train", options, progress) as run_id:
        progress.update(0.02, Message("Reading the rows"))
        sets = training_sets.read(settings, spec)
        prepared, train, test = sets.prepared, sets.train, sets.test
        _check_preset(spec, prepared, options)
        _check_folds(train, spec, options)
        tags = TrainedModel(
            source=prepared.source,
            inputs=prepared.inputs,
            features=prepared.features,
            formulas=spec.formulas_of(prepared.features),
            missing="drop" if prepared.is_complete else "impute",
            rows_name=_rows_name(spec, prepared),
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
        done, left_out = fitting.fit_all(settings, spec, options, sets, tags, progress)
        progress.update(0.9, Message("Comparing the results"))
        best = min(done, key=lambda candidate: candidate.evaluated.log_loss_cv)
        tables, figures = evaluation.compare(
            [candidate.evaluated for candidate in done],
            best.evaluated,
            sets.labels(spec),
            sets.weights_test(spec),
        )
        levels = training_sets.levels(sets, spec)
        tracking.log(
            settings,
            run_id,
            Record(
                params={
                    "best": best.fitted.id,
                    "chosen_by": "log_loss_cv",
                    "prepared_by": prepared.run_id,
                    "threshold": best.evaluated.choice.threshold,
                    "left_out": ", ".join(in_words(kinds.title(name), "en") for name in left_out),
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
                    "base_rate_test": best.evaluated.metrics["base_rate_test"],
                },
                tags={**tags, **TrainingRun(best_run=best.run_id, **_weighed(spec, done)).write()},
                tables={
                    **tables,
                    **({} if levels.empty else {"levels": levels}),
                    "test_rows": sets.rows_test,
                    "train_keys": sets.rows_train[[spec.id]],
                    "left_out": pd.DataFrame(left_out.items(), columns=["model", "reason"]),
                },
                figures=figures,
                datasets=datasets,
            ),
        )
        progress.update(0.96, Message("Writing the results"))
        version = _register(settings, spec, options, best, sets, tags, run_id)
    loss = float(best.evaluated.summary["log_loss_test"])
    # if there was no champion, or only the sample's, the new version is the champion now
    hook("operation_changed")(settings)
    # the run has ended and can be read meanwhile
    _add_learning_curve(settings, run_id, options, best, sets, spec, progress)
    progress.update(
        1.0,
        Message(
            "{title} is version {version}, log loss {loss:.4f}",
            title=best.evaluated.title,
            version=version.version,
            loss=loss,
        ),
    )
    return Result(run_id, best.fitted.id, version.version, version.aliases, loss, tuple(left_out))


def _rows_name(spec: ProjectSpec, prepared: Prepared) -> Words:
    """Return what the rows of the sets are called."""
    if prepared.is_default_rows:
        return spec.rows.reference_rows
    # a retraining adds rows that were labelled since, of any kind
    continues = prepared.options.get("continues") is not None
    name = "" if continues else split.rows_name(spec, prepared.options["rows"])
    return name or Message("selected rows")


def _register(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    best: Candidate,
    sets: TrainingSets,
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
            sets.weights_all(spec),
        )
        rows = len(sets.train) + len(sets.test)
        model = model_record(
            spec, best.fitted, sets, best.evaluated.choice.threshold, estimator=again
        )
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


def _weighed(spec: ProjectSpec, done: list[Candidate]) -> dict[str, Any]:
    """Return the tags about sampling weights; none for a project without any."""
    if spec.weights is None:
        return {}
    without = [model for candidate in done for model in candidate.fitted.unweighted]
    return {"weights": spec.weights, "unweighted": tuple(dict.fromkeys(without))}


def _add_learning_curve(
    settings: Settings,
    run_id: str,
    options: Options,
    best: Candidate,
    sets: TrainingSets,
    spec: ProjectSpec,
    progress: Progress,
) -> None:
    """Add the learning curve of the best candidate to the ended run."""
    if not options.learning_seconds:
        return
    progress.update(0.98, Message("Comparing the results"))
    curve = learning.learning_curve(
        best.fitted.estimator,
        sets.features_train,
        sets.train[spec.target].to_numpy(dtype=np.int64),
        seed=options.seed,
        seconds=options.learning_seconds,
        weights=sets.weights(spec),
    )
    if curve.empty:
        return
    drawn = evaluation_charts.learning_curve(curve, _("Log loss")).to_dict()
    tracking.log(settings, run_id, Record(tables={"learning": curve}, figures={"learning": drawn}))


def _check_preset(spec: ProjectSpec, prepared: Prepared, options: Options) -> None:
    """Refuse prepared sets that differ from those of the requested preset."""
    if options.preset is None:
        return
    chosen = next((preset for preset in spec.presets if preset.title == options.preset), None)
    if chosen is None:
        raise InputError(Message("'{name}' does not exist.", name=options.preset))
    wanted = (spec.features_called(chosen.features), chosen.split, chosen.test_from)
    prepared_as = (prepared.features, prepared.options["split"], prepared.options.get("test_from"))
    if wanted != prepared_as or not prepared.is_default_rows:
        raise NotReadyError(
            Message(
                "The prepared sets are not those of '{title}' ({features}, split {split}). "
                "Prepare with this preset first.",
                title=project.words(chosen.title),
                features=project.words(chosen.features),
                split=SPLITS[chosen.split],
            )
        )


def _check_folds(train: pd.DataFrame, spec: ProjectSpec, options: Options) -> None:
    """Refuse more folds than the rarer label allows, before PyCaret fails on them."""
    counts = train[spec.target].value_counts() * options.fit_share
    for label, count in counts.items():
        if int(count) < options.folds:
            word = project.words(spec.positive if label == 1 else spec.negative)
            raise InputError(
                Message(
                    "Only {rows:,} of the training rows are '{label}'; {folds} folds need at least "
                    "{folds}. Choose fewer folds, or prepare a larger set.",
                    rows=int(count),
                    label=word,
                    folds=options.folds,
                )
            )
