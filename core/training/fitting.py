"""Fit the candidates, one after the other or on a Dask cluster, each in its own run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from core.platform import steps, tracking
from core.platform.classifier import Classifier
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError
from core.platform.messages import Message, Words, in_words, sentences
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.platform.project import ProjectSpec
from core.platform.run_record import ModelRecord, Progress, Record, counted
from core.training import automl, cluster, evaluation
from core.training import candidates as kinds
from core.training.evaluation import Aim, Evaluated, Validated
from core.training.preprocessing import preprocessor, with_many_names
from core.training.records import CandidateRun
from core.training.training_sets import TrainingSets

if TYPE_CHECKING:
    from core.training.train import Options


@dataclass(frozen=True)
class Candidate:
    """A candidate with a recorded run."""

    fitted: automl.Fitted
    run_id: str
    model_id: str
    evaluated: Evaluated


def fit_all(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    sets: TrainingSets,
    tags: Mapping[str, str],
    progress: Progress,
) -> tuple[list[Candidate], dict[str, Words]]:
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
    texts = [name for name, kind in seen_as.items() if kind == "text"]
    new_trainer = partial(
        automl.Trainer,
        sets.features_train.assign(**{spec.target: sets.train[spec.target]}),
        spec.target,
        folds=options.folds,
        seed=options.seed,
        fit_share=options.fit_share,
        preprocessor=preprocessor(
            [name for name, kind in seen_as.items() if kind == "number"],
            texts,
            impute=not sets.prepared.is_complete,
            many=with_many_names(sets.features_train, texts),
        ),
        weights=sets.weights(spec),
    )
    weights = {"class_weight": "balanced"} if options.balanced else {}
    wanted = {
        name: {**(weights if kinds.KINDS[name].weighs else {}), **options.params.get(name, {})}
        for name in kinds.wanted(options.candidates, len(sets.train))
    }
    done: list[Candidate] = []
    too_many = Message(
        "By default it is excluded above {rows:,} rows: it compares each row with all others.",
        rows=kinds.QUADRATIC_ROWS,
    )
    left_out: dict[str, Words] = {
        name: too_many for name in options.candidates if name not in wanted
    }
    no_time = Message("It did not finish within {seconds} s.", seconds=options.budget_seconds)

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
            run_name = in_words(kinds.title(name), "en")
            with tracking.child_run(settings, run_name, progress, tags) as child:
                done.append(_record(settings, spec, aim, fitting(), child, sets))
        except automl.OutOfTime:
            left_out[name] = no_time
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
                left_out[name] = no_time
        return in_time

    def in_parallel(address: str) -> bool:
        in_time = True
        progress.update(
            0.05,
            Message("Waiting for {name} to respond ({seconds:.0f} s)", name=address, seconds=0),
        )
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
        left_out |= {name: no_time for name, _ in further}
    if not done:
        reasons = [
            Message("{name}: {value}", name=kinds.title(name), value=why)
            for name, why in left_out.items()
        ]
        raise InputError(sentences(Message("No candidate was fitted."), *reasons))
    return done, left_out


def _derived(
    options: Options, trainer: Callable[[], automl.Trainer], done: list[Candidate]
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


def _record(
    settings: Settings,
    spec: ProjectSpec,
    aim: Aim,
    fitted: automl.Fitted,
    run_id: str,
    sets: TrainingSets,
) -> Candidate:
    """Evaluate a fitted candidate on the test set and record everything in its run."""
    test, labels, weights = sets.test, sets.labels(spec), sets.weights(spec)
    start = time.perf_counter()
    probabilities = fitted.estimator.predict_proba(sets.features_test)[:, 1]
    seconds = time.perf_counter() - start
    evaluated = evaluation.evaluate(
        spec,
        aim,
        Validated(
            fitted.id,
            fitted.folds,
            fitted.validation,
            None if weights is None else weights[fitted.validation["row"]],
        ),
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
            tags=CandidateRun(
                threshold_choice=evaluated.choice.text,
                **({"unweighted": fitted.unweighted} if fitted.unweighted else {}),
            ).write(),
            tables={**evaluated.tables, "test_predictions": predictions},
            figures=evaluated.figures,
            model=model_record(spec, fitted, sets, threshold),
        ),
    )
    summary = {
        **evaluated.summary,
        "run_id": run_id,
        "rows_fit": fitted.rows_fit,
        "seconds_fit": fitted.seconds,
    }
    return Candidate(fitted, run_id, str(model_id), replace(evaluated, summary=summary))


def model_record(
    spec: ProjectSpec,
    fitted: automl.Fitted,
    sets: TrainingSets,
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


FINAL_FIT = Message("final fit and test")


class _TrainingProgress:
    """Reports progress over the folds of all candidates, the best so far, and the time left."""

    def __init__(self, options: Options, progress: Progress) -> None:
        self._candidates = len(options.candidates)
        many = self._candidates + options.blend + options.stack
        many += options.calibrate != "none"
        self._folds = options.folds
        # a trial of a search is a cross-validation too
        self._tuning = options.folds * (options.tune_trials + 1)
        self._all = options.folds * many + self._tuning * bool(options.tune_trials)
        self._progress = progress
        self._start = time.monotonic()
        self._done = 0
        self._of_one = self._arrived = self._workers = 0
        self._folds_of_one = self._folds
        self._title: Words = ""
        self._best: Message | None = None

    def begin(self, name: str, done: list[Candidate]) -> None:
        """Start a candidate."""
        self._title, self._of_one = kinds.title(name), 0
        self._folds_of_one = self._tuning if name.endswith(".tuned") else self._folds
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

    def arrived(self, done: list[Candidate]) -> None:
        """Count a candidate that a cluster has fitted or given up."""
        self._arrived += 1
        self._done += self._folds
        self._note_best(done)
        self._report(self._side_by_side(), foresees=False)

    def _note_best(self, done: list[Candidate]) -> None:
        if done:
            best = min(done, key=lambda candidate: candidate.evaluated.log_loss_cv)
            loss = best.evaluated.log_loss_cv
            self._best = Message(
                "best so far {candidate}, {loss:.4f}",
                candidate=kinds.title(best.fitted.id),
                loss=loss,
            )

    def _fold(self) -> Message:
        if self._of_one >= self._folds_of_one:
            return Message("{name}: {value}", name=self._title, value=FINAL_FIT)
        if self._of_one >= self._folds:
            return Message(
                "{name}: {value}",
                name=self._title,
                value=Message("trial {number}", number=self._of_one // self._folds + 1),
            )
        return Message(
            "{name}: {value}",
            name=self._title,
            value=Message("fold {number} of {folds}", number=self._of_one + 1, folds=self._folds),
        )

    def _side_by_side(self) -> Message:
        return counted(steps.named("train").title, self._arrived, self._candidates)

    def _report(self, text: Message, *, foresees: bool = True) -> None:
        # in parallel, the last candidate decides, and the progress of its folds is unknown
        share = min(self._done / self._all, 1.0)
        if self._best is not None:
            text = Message("{first}, {second}", first=text, second=self._best)
        # of the last candidate's final fit, whose duration is unknown, nothing is foreseen
        if foresees and self._folds <= self._done < self._all:
            left = (time.monotonic() - self._start) * (1 - share) / max(share, 1e-9)
            text = Message(
                "{first}, {second}",
                first=text,
                second=Message("about {left:.0f} s left", left=max(left, 1.0)),
            )
        self._progress.update(0.05 + 0.85 * share, text)
