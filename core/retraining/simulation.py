"""Simulation of monitoring and retraining on labelled history.

Rows arrive in the order of time, and nothing is used before it would have been known: a model is
trained, and its limits are learned, on rows whose labels had arrived by then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.classifier import Classifier, Unfitted
from core.platform.errors import InputError
from core.platform.messages import Message, Words
from core.platform.own_columns import LABEL, PROBABILITY
from core.retraining import row_stream
from core.retraining.policy_evidence import Window
from core.retraining.row_stream import Span, Stream
from core.stats import checks, drift, figure_intervals, limits, metrics
from core.stats.checks import Check, Conclusion
from core.stats.metrics import Floats, Labels
from core.training.estimators import unfitted

Bools = npt.NDArray[np.bool_]

# Fewest rows of a training.
MIN_TRAIN = 200
# Folds of the out-of-fold predictions that are a champion's reference.
FOLDS = 5
# Draws for learning limits: few, since every champion learns its own.
DRAWS = 200
# Limits are learned for window sizes in steps of this factor; the next smaller size applies.
SIZE_STEP = 1.5


@dataclass(frozen=True)
class Recipe:
    """How every champion of a replay is trained."""

    kind: str
    params: Mapping[str, Any]
    features: tuple[str, ...]
    texts: tuple[str, ...]
    impute: bool
    threshold: float
    seed: int


@dataclass(frozen=True)
class Champion:
    """A model in force, and the reference of its windows.

    Parameters
    ----------
    version : int
        From 1, in the order in which the replay needed them.
    trained_at : float
        Seconds since 1970.
    first : int
        The first row that it scores.
    reference : DataFrame
        The features, label, and out-of-fold probability of those rows.
    figures : mapping
        Of the reference, from `metrics.classification`.
    """

    version: int
    trained_at: float
    first: int
    rows: int
    estimator: Classifier
    reference: pd.DataFrame
    figures: Mapping[str, float]
    seconds: float
    learned: dict[tuple[int, int], limits.Learned] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Report:
    """The checks of a window with what was known at its end, and the conclusion."""

    checks: tuple[Check, ...]
    conclusion: Conclusion
    labels: int

    def codes(self, verdict: str, *groups: str) -> list[str]:
        """Return the checks with a verdict, of these groups or of all."""
        return [
            check.code
            for check in self.checks
            if check.verdict == verdict and (not groups or check.group in groups)
        ]

    @property
    def is_alarm(self) -> bool:
        """Whether a performance check is in alert: inputs alone are no alarm."""
        return bool(self.codes("alert", "performance"))


def train(
    stream: Stream, recipe: Recipe, known: Bools, *, version: int, at: float, first: int
) -> Champion:
    """Fit a champion on the rows with known labels, with out-of-fold predictions for them.

    Parameters
    ----------
    known : array of bool, shape (n,)
        Rows whose labels had arrived.
    at : float
        Time of the training, seconds since 1970.
    first : int
        The first row that it will score.

    Raises
    ------
    InputError
        When there are too few rows, or too few of a class, or the classifier cannot be fitted.
    """
    from sklearn.model_selection import StratifiedKFold

    began = time.perf_counter()
    codes, labels = stream.codes[known], stream.labels[known]
    count = len(labels)
    fewest = int(np.bincount(labels, minlength=2).min())
    if count < MIN_TRAIN or fewest < FOLDS:
        raise InputError(
            Message(
                "By {day} only {labels:,} labels are known, {fewest:,} of the rarer class; a "
                "model needs {min_train}, and {folds} of each class. Let the first training take "
                "more rows, or labels arrive sooner.",
                day=row_stream.day(at),
                labels=count,
                fewest=fewest,
                min_train=MIN_TRAIN,
                folds=FOLDS,
            )
        )

    def new_estimator() -> Unfitted:
        numbers = [name for name in recipe.features if name not in recipe.texts]
        return unfitted(
            recipe.kind,
            numbers,
            recipe.texts,
            impute=recipe.impute,
            params=recipe.params,
            seed=recipe.seed,
        )

    held_out = np.empty(count)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=recipe.seed)
    try:
        for rest, fold in folds.split(codes, labels):
            fitted = new_estimator().fit(codes.iloc[rest], labels[rest])
            held_out[fold] = fitted.predict_proba(codes.iloc[fold])[:, 1]
        estimator = new_estimator().fit(codes, labels)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            Message("'{name}' cannot be fitted: {reason}", name=recipe.kind, reason=reason)
        ) from error
    reference = (
        stream.features[known]
        .reset_index(drop=True)
        .assign(**{PROBABILITY: held_out, LABEL: labels})
    )
    return Champion(
        version,
        at,
        first,
        count,
        estimator,
        reference,
        _figures(labels, held_out, recipe.threshold),
        time.perf_counter() - began,
    )


def forecast(champion: Champion, codes: pd.DataFrame) -> Floats:
    """Return the probability of label 1 of each row."""
    probabilities = champion.estimator.predict_proba(codes)[:, 1]
    return np.asarray(probabilities, dtype=np.float64)


def judge(
    champion: Champion,
    recipe: Recipe,
    current: pd.DataFrame,
    labelled: pd.DataFrame,
    *,
    name: Words,
) -> Report:
    """Compare a window with the champion's reference, using what is known at its end.

    Parameters
    ----------
    current : DataFrame
        Features and probability of the window's rows.
    labelled : DataFrame
        Probability and label of rows that this champion scored and whose labels arrived in
        the window; with a delay they are older than the window.
    """
    reference = champion.reference
    columns = [*recipe.features, PROBABILITY]
    known = limits_of(champion, recipe, len(current), len(labelled))
    labels = labelled[LABEL].to_numpy(dtype=np.int64)
    forecasts = labelled[PROBABILITY].to_numpy(dtype=np.float64)
    figures = _figures(labels, forecasts, recipe.threshold) if len(labels) else None
    intervals = figure_intervals.of(labels, forecasts, recipe.threshold, seed=recipe.seed)
    moved = drift.by_feature(reference[columns], current[columns], columns)
    answers = moved["feature"] == PROBABILITY
    all_checks = [
        *checks.performance(champion.figures, figures, len(labels), intervals, known),
        *checks.inputs(moved[~answers], known),
        *checks.outputs(moved[answers], known),
    ]
    conclusion = checks.conclude(all_checks, name, "reference", labels=len(labels))
    return Report(tuple(all_checks), conclusion, len(labels))


def limits_of(
    champion: Champion, recipe: Recipe, rows: int, labels: int
) -> Mapping[str, limits.Limit]:
    """Return the champion's limits for windows of about this size, learned once per size."""
    size = size_class(rows), size_class(labels)
    if size not in champion.learned:
        champion.learned[size] = limits.learn(
            champion.reference,
            features=recipe.features,
            rows=size[0],
            labels=min(size),
            threshold=recipe.threshold,
            windows=DRAWS,
            tells_needed=False,
            seed=recipe.seed,
        )
    return champion.learned[size].limits


def size_class(rows: int) -> int:
    """Return the standard size for windows of about this many rows, never a larger one.

    Examples
    --------
    >>> [size_class(rows) for rows in (0, 47, 1000, 1300, 1500)]
    [0, 38, 985, 985, 1477]
    """
    if rows < 1:
        return 0
    return int(SIZE_STEP ** np.floor(np.log(rows) / np.log(SIZE_STEP) + 1e-9))


def as_window(report: Report, run_id: str, span: Span) -> Window:
    """Return a report as input of a policy."""
    judged = [check for check in report.checks if check.value is not None]
    return Window(
        run_id=run_id,
        begin=span.begin,
        end=span.end,
        rows=span.last - span.first,
        labels=report.labels,
        values={check.code: float(check.value) for check in judged if check.value is not None},
        verdicts={check.code: check.verdict for check in report.checks},
        groups={check.code: check.group for check in report.checks},
        limits={check.code: (check.alert_low, check.alert_high) for check in report.checks},
        verdict=report.conclusion.code,
        action=report.conclusion.action,
        todo=report.conclusion.todo,
    )


def truth(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    """Return the metrics of a window by all its labels, including those not known in time.

    `log_loss_error` is the standard error of its mean log loss.
    """
    figures = _figures(labels, probabilities, threshold)
    losses = metrics.log_losses(labels, probabilities)
    figures["log_loss_error"] = float(losses.std() / np.sqrt(len(losses)))
    names = ("log_loss", "log_loss_error", "skill", "roc_auc", "calibration", "base_rate")
    return {name: figures.get(name, float("nan")) for name in names}


def _figures(labels: Labels, probabilities: Floats, threshold: float) -> dict[str, float]:
    figures = metrics.classification(labels, probabilities, threshold)
    figures["calibration"] = figures["mean_probability"] - figures["base_rate"]
    return figures
