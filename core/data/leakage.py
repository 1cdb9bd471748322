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
# number of rows with the mean that are added to those of each bin
SHRINK = 10
# columns with at most this many bins are compared together
_FEW = 32

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Features = pd.DataFrame | Mapping[str, "pd.Series[Any]"]


def alone(
    features: Features, labels: pd.Series[Any], rows: Bools | None = None
) -> pd.Series[float]:
    """Return how well each feature alone separates the classes, as the area under the ROC curve.

    The score of a row is the positive rate of its bin in the other folds: 20 quantile bins for
    numbers, one bin per text, a separate bin for missing values.

    Parameters
    ----------
    features : DataFrame or mapping of str to Series
        Numbers or texts.
    labels : Series
        0 or 1 for each row that counts.
    rows : array of bool, optional
        A mask of the rows that count; all by default.

    Returns
    -------
    Series of float
        0.5 (no separation) to 1; NaN with fewer than 100 rows or a single class.
    """
    places = np.arange(len(labels)) if rows is None else np.flatnonzero(rows)
    target = labels.to_numpy(dtype=float)[places]
    if len(places) < MIN_ROWS or len(np.unique(target)) < 2:
        return pd.Series(np.nan, index=list(features), dtype="float64")
    some = np.random.default_rng(0).permutation(len(places))[:ROWS]
    places, target, fold = places[some], target[some], np.arange(len(some)) % FOLDS
    group = 2 * fold + target.astype(np.int64)
    # the rows of a group one after the other, so that each is sorted and counted at once
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=2 * FOLDS))
    counted: dict[str, Ints] = {}
    for name in map(str, features):
        values = features[name].to_numpy()
        if pd.api.types.is_numeric_dtype(values):
            counted[name] = _counts_of_numbers(values[places[order]].astype(float), ends)
        else:
            counted[name] = _counts_of_texts(values[places], group)
    return pd.Series(_separations(counted), dtype="float64")


def inspect(
    features: Features,
    measured: pd.Series[float],
    spec: ProjectSpec,
    rows: Bools | None = None,
    distinct: Mapping[str, int] | None = None,
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
    distinct : mapping of str to int, optional
        The number of different values of each feature in these rows, where it is known already.

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
    count = len(measured) and len(features[str(next(iter(features)))])
    count = count if rows is None else int(rows.sum())
    for name in map(str, features):
        if distinct is None:
            values = features[name] if rows is None else features[name][rows]
            number = values.nunique()
        else:
            number = distinct[name]
        area = float(measured[name])
        lines += [
            (name, finding, area, text)
            for finding, text in _findings(name, number, count, area, spec)
        ]
    return pd.DataFrame(lines, columns=["feature", "finding", "auc_alone", "text"])


def separation(codes: Ints, target: Floats, fold: Ints) -> float:
    """Return the area under the ROC curve of a column's positive rates in the other folds.

    0.5 to 1. So the relation may have any shape, and a value that occurs once gives nothing away.
    """
    group = 2 * fold + target.astype(np.int64)
    return float(_areas(_counts(codes, group)[np.newaxis])[0])


def _separations(counted: Mapping[str, Ints]) -> dict[str, float]:
    """Return the `separation` of columns from their `_counts`, those of few bins all at once."""
    areas: dict[str, float] = {}
    few = [name for name, counts in counted.items() if counts.shape[1] <= _FEW]
    if few:
        # a bin without rows makes no difference
        padded = np.zeros((len(few), 2 * FOLDS, _FEW), dtype=np.int64)
        for place, name in enumerate(few):
            padded[place, :, : counted[name].shape[1]] = counted[name]
        areas = dict(zip(few, _areas(padded).tolist(), strict=True))
    return {
        name: areas[name] if name in areas else float(_areas(counts[np.newaxis])[0])
        for name, counts in counted.items()
    }


def _areas(counts: Ints) -> Floats:
    """Return the area of each column from its rows by fold and label, and by bin."""
    columns, _, bins = counts.shape
    by_label = counts.reshape(columns, FOLDS, 2, bins).astype(float)
    negatives, positives = by_label[:, :, 0], by_label[:, :, 1]
    rows = negatives + positives
    others = rows.sum(1, keepdims=True) - rows
    of_others = positives.sum(1, keepdims=True) - positives
    mean = of_others.sum(2, keepdims=True) / np.maximum(others.sum(2, keepdims=True), 1)
    # relative to the folds' own means, which would otherwise rank whole folds
    score = ((of_others + SHRINK * mean) / (others + SHRINK) - mean).round(9)
    score = score.reshape(columns, -1)
    order = np.argsort(score, axis=1, kind="stable")
    score, positive, negative = (
        np.take_along_axis(side.reshape(columns, -1), order, axis=1)
        for side in (score, positives, negatives)
    )
    below = np.cumsum(negative, axis=1) - negative
    starts = np.diff(score, axis=1, prepend=-np.inf) > 0
    # of equal scores: the negative rows below all of them, and below or among them
    first = np.maximum.accumulate(np.where(starts, below, 0.0), axis=1)
    ends = np.roll(starts, -1, axis=1)
    ends[:, -1] = True
    last = np.where(ends, below + negative, np.inf)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    pairs = positive.sum(1) * negative.sum(1)
    areas: Floats = np.maximum((positive * (first + last) / 2).sum(1) / pairs, 0.5)
    return areas


def _counts(codes: Ints, group: Ints) -> Ints:
    """Return the number of rows by group (twice the fold, plus the label) and bin."""
    size = int(codes.max(initial=0)) + 1
    return np.bincount(group * size + codes, minlength=2 * FOLDS * size).reshape(-1, size)


def _counts_of_texts(texts: npt.NDArray[Any], group: Ints) -> Ints:
    return _counts(np.asarray(pd.factorize(pd.Series(texts))[0] + 1, dtype=np.int64), group)


def _counts_of_numbers(numbers: Floats, ends: Ints) -> Ints:
    """Return the number of rows by group and bin; the numbers are in the order of the groups.

    The bins are quantiles; the first one is for missing values.
    """
    parts = np.split(numbers, ends[:-1])
    for part in parts:
        # in place; missing values are last
        part.sort()
    sizes = [int(np.searchsorted(part, np.nan)) for part in parts]
    known = np.sort(np.concatenate([part[:size] for part, size in zip(parts, sizes, strict=True)]))
    edges = np.unique(intervals.quantiles(known, _SHARES)) if len(known) else known
    counts = np.empty((len(parts), len(edges) + 1), dtype=np.int64)
    for row, part, size in zip(counts, parts, sizes, strict=True):
        row[0] = len(part) - size
        if len(edges):
            places = np.searchsorted(part[:size], edges)
            row[1:-1] = places[1:] - places[:-1]
            row[-1] = size - places[-1]
    return counts


def new_values(name: str, values: int, rows: int) -> Message:
    """Return why a column with a distinct value for nearly each row or group misleads."""
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
    name: str, distinct: int, rows: int, area: float, spec: ProjectSpec
) -> list[tuple[str, Message]]:
    column = spec.columns.get(name)
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
    own = whole and rows >= MIN_ROWS and distinct >= IDENTIFIES * rows
    if name in (spec.id, spec.group) or own:
        findings.append(("identifier", new_values(name, distinct, rows)))
    if distinct == 1 and rows > 1:
        findings.append(("constant", constant(name)))
    if area >= TOO_GOOD:
        findings.append(("too_good", too_good(name, area)))
    return findings
