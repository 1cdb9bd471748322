"""Leakage checks: features that reveal the label or identify the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Message
from core.platform.project import ProjectSpec, words
from core.stats import intervals

# A single column whose AUC is this high is suspicious.
TOO_GOOD = 0.80
# A column whose values are unique in this share of rows identifies rows instead of describing them.
IDENTIFIES = 0.95
MIN_ROWS = 100
ROWS = 100_000
BINS = 20
_SHARES = np.linspace(0, 1, BINS + 1)
FOLDS = 5
# so many rows of the mean are added to those of each bin
SHRINK = 10

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Features = pd.DataFrame | Mapping[str, "pd.Series[Any]"]


def alone(
    features: Features, labels: pd.Series[Any], rows: Bools | None = None
) -> pd.Series[float]:
    """Return `auc_alone` of each feature.

    Parameters
    ----------
    features : DataFrame or mapping of str to Series
        Numbers or texts.
    labels : Series
        0 or 1 for each row that counts.
    rows : array of bool, optional
        A mask of the rows that count; all by default.
    """
    places = np.arange(len(labels)) if rows is None else np.flatnonzero(rows)
    target = labels.to_numpy(dtype=float)[places]
    if len(places) < MIN_ROWS or len(np.unique(target)) < 2:
        return pd.Series(np.nan, index=list(features), dtype="float64")
    some = np.random.default_rng(0).permutation(len(places))[:ROWS]
    places, target, fold = places[some], target[some], np.arange(len(some)) % FOLDS
    measured = {
        name: separation(_bins(features[name].to_numpy()[places]), target, fold)
        for name in map(str, features)
    }
    return pd.Series(measured, dtype="float64")


def inspect(
    features: Features, measured: pd.Series[float], spec: ProjectSpec, rows: Bools | None = None
) -> pd.DataFrame:
    """Return the leakage findings on features.

    Parameters
    ----------
    features : DataFrame or mapping of str to Series
        Columns of the project or engineered ones.
    measured : Series
        As returned by `alone` for them.
    rows : array of bool, optional
        A mask of the labelled rows, which count; all by default.

    Returns
    -------
    DataFrame
        `feature`, `finding` (recorded_after, identifier, constant, too_good), `auc_alone` (0.5 to
        1, NaN where rows are few), `text` (a sentence). Empty without findings.

    Examples
    --------
    >>> from core.platform.project import load
    >>> rng = np.random.default_rng(0)
    >>> made = pd.Series(rng.integers(0, 2, 500))
    >>> frame = pd.DataFrame({"lat": rng.normal(size=500), "lon": made + rng.normal(0, 0.3, 500),
    ...                       "game_id": 7, "action_type": "Dunk", "shot_id": range(500)})
    >>> inspect(frame, alone(frame, made), load("kobe"))[["feature", "finding"]].values.tolist()
    [['lon', 'too_good'], ['game_id', 'identifier'], ['game_id', 'constant'],
     ['action_type', 'recorded_after'], ['action_type', 'constant'], ['shot_id', 'identifier']]
    """
    lines = []
    for name in map(str, features):
        values = features[name] if rows is None else features[name][rows]
        for finding, text in _findings(name, values, measured, spec):
            lines.append((name, finding, measured[name], text))
    return pd.DataFrame(lines, columns=["feature", "finding", "auc_alone", "text"])


def auc_alone(values: pd.Series[Any], labels: pd.Series[Any]) -> float:
    """Return how well a single column separates the classes, as the area under the ROC curve.

    The score of a row is the positive rate of its bin in the other folds: 20 quantile bins for
    numbers, one bin per name for texts, a separate bin for missing values. So the relation may
    have any shape, and a name that occurs once gives nothing away.

    Parameters
    ----------
    values : Series
        Numbers or texts; missing values are allowed.
    labels : Series
        0 or 1 for each row.

    Returns
    -------
    float
        0.5 (no separation) to 1; NaN with fewer than 100 rows or a single class.

    Examples
    --------
    >>> labels = pd.Series([0, 1] * 100)
    >>> auc_alone(pd.Series(["a", "b"] * 100), labels), auc_alone(pd.Series([1.0] * 200), labels)
    (1.0, 0.5)
    """
    return float(alone(values.to_frame("x"), labels)["x"])


def separation(codes: Ints, target: Floats, fold: Ints) -> float:
    """Return the area under the ROC curve of a column's positive rates in the other folds.

    0.5 to 1. So the relation may have any shape, and a value that occurs once gives nothing away.
    """
    size = int(codes.max(initial=0)) + 1
    key = fold * size + codes
    counts = np.bincount(key, minlength=FOLDS * size).reshape(FOLDS, size).astype(float)
    positives = np.bincount(key, weights=target, minlength=FOLDS * size).reshape(FOLDS, size)
    others, of_others = counts.sum(0) - counts, positives.sum(0) - positives
    mean = of_others.sum(1, keepdims=True) / np.maximum(others.sum(1, keepdims=True), 1)
    # relative to the folds' own means, which would otherwise rank whole folds
    score = ((of_others + SHRINK * mean) / (others + SHRINK) - mean).round(9).ravel()
    positive, negative = positives.ravel(), (counts - positives).ravel()
    order = np.argsort(score, kind="stable")
    score, positive, negative = score[order], positive[order], negative[order]
    starts = np.flatnonzero(np.r_[True, np.diff(score) > 0])
    positive, negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
    below = np.cumsum(negative) - negative
    area = float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))
    return max(area, 0.5)


def _bins(values: npt.NDArray[Any]) -> Ints:
    if not pd.api.types.is_numeric_dtype(values):
        return np.asarray(pd.factorize(pd.Series(values))[0] + 1, dtype=np.int64)
    numbers = values.astype(float)
    missing = np.isnan(numbers)
    known = np.sort(numbers[~missing])
    edges = np.unique(intervals.quantiles(known, _SHARES)) if len(known) else known
    place = np.searchsorted(edges, numbers, side="right") + 1
    place[missing] = 0
    return np.asarray(place, dtype=np.int64)


def new_values(name: str, values: int, rows: int) -> Message:
    """Return why a column with a value of its own for nearly each row or group misleads."""
    return Message(
        "'{column}' has {values:,} values in {rows:,} rows. A model can memorize them, and new "
        "rows have new ones.",
        column=name,
        values=values,
        rows=rows,
    )


def constant(name: str) -> Message:
    """Return why a column without two different values is of no use."""
    return Message(
        "'{column}' has the same value in every row, or none. A model learns nothing from it.",
        column=name,
    )


def too_good(name: str, auc: float) -> Message:
    """Return why a column, or a difference of two, may reveal the label."""
    return Message(
        "'{column}' alone separates the classes with a ROC AUC of {auc:.3f}. Make sure that it is "
        "known before the predicted event.",
        column=name,
        auc=auc,
    )


def _findings(
    name: str, values: pd.Series[Any], measured: pd.Series[float], spec: ProjectSpec
) -> list[tuple[str, Message]]:
    column = spec.columns.get(name)
    distinct = values.nunique()
    findings = []
    if spec.recorded_after(name):
        findings.append(
            (
                "recorded_after",
                Message(
                    "'{feature}' is recorded only after the predicted event ({meaning}). A model "
                    "that uses it cannot predict beforehand.",
                    feature=name,
                    meaning=words(spec.about(name)),
                ),
            )
        )
    whole = column is not None and column.type in ("integer", "text")
    own = whole and len(values) >= MIN_ROWS and distinct >= IDENTIFIES * len(values)
    if name in (spec.id, spec.group) or own:
        findings.append(("identifier", new_values(name, distinct, len(values))))
    if distinct == 1 and len(values) > 1:
        findings.append(("constant", constant(name)))
    if measured[name] >= TOO_GOOD:
        findings.append(("too_good", too_good(name, float(measured[name]))))
    return findings
