"""Leakage checks: features that reveal the label or identify the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

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
# values that are sorted together
_CELLS = 100000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Kind = TypeVar("Kind", bound=str)
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
    mask = np.ones(len(labels), dtype=bool) if rows is None else rows
    return alone_in(features, labels, {"": mask})[""]


def alone_in(
    features: Features, labels: pd.Series[Any], masks: Mapping[Kind, Bools]
) -> dict[Kind, pd.Series[float]]:
    """Return the same for several sets of rows, given as masks; each column is sorted once."""
    target = labels.to_numpy(dtype=float)
    groups = {kind: _groups(target, mask) for kind, mask in masks.items()}
    known = {kind: group for kind, group in groups.items() if group is not None}
    nothing = pd.Series(np.nan, index=list(features), dtype="float64")
    if not known:
        return dict.fromkeys(masks, nothing)
    places = np.flatnonzero(np.any([group >= 0 for group in known.values()], axis=0))
    # all rows are not copied
    some = slice(None) if len(places) == len(target) else places
    known = {kind: group[some] for kind, group in known.items()}
    numbers: dict[str, npt.NDArray[Any]] = {}
    counted: dict[Kind, dict[str, Ints]] = {kind: {} for kind in known}
    for name in map(str, features):
        values = features[name].to_numpy()
        if pd.api.types.is_numeric_dtype(values):
            numbers[name] = values
            continue
        codes = np.asarray(pd.factorize(pd.Series(values[some]))[0] + 1, dtype=np.int64)
        for kind, group in known.items():
            is_in = group >= 0
            counted[kind][name] = _counts(codes[is_in], group[is_in])
    names, size = list(numbers), max(_CELLS // len(places), 1)
    for start in range(0, len(names), size):
        block = names[start : start + size]
        columns = np.stack([numbers[name][some].astype(float, copy=False) for name in block])
        for kind, counts in _counts_of_numbers(columns, known).items():
            counted[kind] |= dict(zip(block, counts, strict=True))
    return {
        kind: pd.Series(_separations(counted[kind]), index=nothing.index, dtype="float64")
        if kind in counted
        else nothing
        for kind in masks
    }


def _groups(target: Floats, mask: Bools) -> Ints | None:
    """Return each row's group, twice the fold plus the label; -1 for those that do not count.

    None with fewer than 100 rows or a single class.
    """
    places = np.flatnonzero(mask)
    of_rows = target[places]
    if len(places) < MIN_ROWS or len(np.unique(of_rows)) < 2:
        return None
    some = np.random.default_rng(0).permutation(len(places))[:ROWS]
    groups = np.full(len(target), -1, dtype=np.int64)
    groups[places[some]] = 2 * (np.arange(len(some)) % FOLDS) + of_rows[some].astype(np.int64)
    return groups


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
            number = _distinct(values)
        else:
            number = distinct[name]
        area = float(measured[name])
        lines += [
            (name, finding, area, text)
            for finding, text in _findings(name, number, count, area, spec)
        ]
    return pd.DataFrame(lines, columns=["feature", "finding", "auc_alone", "text"])


def _distinct(values: pd.Series[Any]) -> int:
    """Return the number of different values, of floats in a fraction of pandas' time."""
    plain = values.to_numpy()
    if plain.dtype.kind != "f":
        return int(values.nunique())
    ordered = np.sort(plain)
    known = ordered[: np.searchsorted(ordered, np.nan)]
    return int(np.count_nonzero(known[1:] != known[:-1])) + min(len(known), 1)


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


def _counts_of_numbers(columns: Floats, groups: Mapping[Kind, Ints]) -> dict[Kind, Ints]:
    """Return the number of rows by column, group and bin, for each kind of row.

    The bins are quantiles; the last one is for missing values.
    """
    # missing values are last; infinite ones are sorted four times as fast as NaN
    holes = np.isnan(columns)
    filled = columns if np.isinf(columns).any() else np.where(holes, np.inf, columns)
    order = np.argsort(filled, axis=1)
    ordered = np.take_along_axis(columns, order, axis=1)
    counts: dict[Kind, Ints] = {}
    for kind, group in groups.items():
        of_rows, values = group[order], ordered
        if group.min() < 0:
            is_in = of_rows >= 0
            of_rows = of_rows[is_in].reshape(len(columns), -1)
            values = ordered[is_in].reshape(len(columns), -1)
        counts[kind] = _counts_of_sorted(values, of_rows)
    return counts


def _counts_of_sorted(values: Floats, group: Ints) -> Ints:
    """Return the number of rows by column, group and bin, of sorted columns."""
    columns, rows = values.shape
    sizes = rows - np.isnan(values).sum(axis=1)
    last = np.maximum(sizes - 1, 0)[:, np.newaxis]
    at = _SHARES * last
    below = np.floor(at).astype(np.int64)
    low, high = (
        np.take_along_axis(values, place, axis=1) for place in (below, np.minimum(below + 1, last))
    )
    edges = np.sort(intervals.between(low, high, at - below), axis=1)
    # equal edges have nothing between them
    ends = np.empty((columns, len(_SHARES) + 2), dtype=np.int64)
    ends[:, 0], ends[:, -2], ends[:, -1] = 0, sizes, rows
    for own, column, size, cuts in zip(ends, values, sizes.tolist(), edges, strict=True):
        own[1:-2] = np.searchsorted(column[:size], cuts[1:])
    widths = np.diff(ends, axis=1)
    bins = widths.shape[1]
    cells = np.arange(columns * bins).reshape(columns, bins)
    # of a column, the groups one after the other, each with its bins
    cells = cells + (np.arange(columns) * (2 * FOLDS - 1) * bins)[:, np.newaxis]
    keys = np.repeat(cells.ravel(), widths.ravel()) + group.ravel() * bins
    return np.bincount(keys, minlength=columns * 2 * FOLDS * bins).reshape(columns, -1, bins)


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
