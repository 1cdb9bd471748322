"""Columns that leak the target: suspected from labels and values. Computes only.

A strong feature is not a leak: one is suspected if it alone nearly decides the label and no other
column comes near, or if its missing values or some of its values occur in a single class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from core.data import leakage
from core.data.guess_columns import Bools, Floats, Ints, Profile
from core.data.guess_words import AFTERWARDS, FORECASTS, PLANNED, has, tokens
from core.data.leakage import FOLDS, MIN_ROWS, separation
from core.platform.messages import Message, Words

# From this area under the ROC curve on, a column alone is the target itself ...
CERTAIN = 0.995
# ... and from this one on it is suspected, if the rest of the columns err this much more often.
SUSPECT = 0.95
FAR_BELOW = 3.0
# With a name of something known afterwards, this separation suffices.
NAMED = 0.7
# The difference of two columns must separate this much better than either.
GAIN = 0.1
# A chance this small that values of one class are that by accident, and the smallest share of the
# class that they cover: of the negative one more, as some rows can never be positive.
CHANCE = 1e-6
COVERED = {True: 0.1, False: 0.5}
# All but this share of rows with (or without) a value are of one class.
IMPURE = 0.005
MOST_COMMON = 0.6
FEWEST = 20
BINS = 40
PAIR_ROWS = 4000
MOST_PAIRS = 400
FEW_NUMBERS = 20
MOST_VALUES = 50
FEW_VALUES = 10


@dataclass(frozen=True)
class Leak:
    """A suspected column: the code of the reason, the reason, and the numbers in it."""

    column: str
    code: str
    reason: Message
    numbers: Mapping[str, Any]

    def with_labels(self, names: Mapping[int, str]) -> Leak:
        """Return the same with the names of the labels in its reason, where they are known."""
        given = self.reason.params
        if given.get("label") not in names:
            return self
        named = Message(self.reason.msgid, **{**given, "label": f"'{names[given['label']]}'"})
        return replace(self, reason=named)


def leaks(columns: Sequence[Profile], label: Floats) -> tuple[dict[str, Leak], dict[str, float]]:
    """Return the suspected columns, and how well each column separates the classes alone.

    Parameters
    ----------
    label : array
        1, 0 or NaN for each row; rows without a label are ignored.

    Examples
    --------
    >>> from core.data.guess_columns import profile
    >>> import pandas as pd
    >>> label = np.arange(400.0) % 2
    >>> table = pd.DataFrame({"paid": np.where(label == 1, 5.0, np.nan), "age": np.arange(400) // 9,
    ...                       "copy": np.where(label == 1, "a", "b")})
    >>> suspected, alone = leaks([profile(table[name]) for name in table], label)
    >>> {name: leak.code for name, leak in suspected.items()}
    {'paid': 'holes', 'copy': 'too_good'}
    """
    is_labelled = ~np.isnan(label)
    target = label[is_labelled]
    if len(target) < MIN_ROWS or not 0 < target.mean() < 1:
        return {}, {}
    codes = {column.name: _bins(column)[is_labelled] for column in columns}
    fold = np.random.default_rng(0).permutation(len(target)) % FOLDS
    alone = {name: separation(places, target, fold) for name, places in codes.items()}
    suspected: dict[str, Leak] = {}
    for column in columns:
        name = column.name
        leak = (
            _holes(name, codes[name] > 0, target)
            or _one_class(column, codes[name], target)
            or _certain(name, alone[name])
            or _named(name, alone[name])
        )
        if leak is not None:
            suspected[name] = leak
    honest = {name: auc for name, auc in alone.items() if name not in suspected}
    for name, auc in honest.items():
        rest = max((other for each, other in honest.items() if each != name), default=0.5)
        if auc >= SUSPECT and 1 - rest > FAR_BELOW * (1 - auc):
            suspected[name] = _too_good(name, auc, rest)
    unsuspected = [column for column in columns if column.name not in suspected]
    for leak in _pairs(unsuspected, label, alone):
        suspected.setdefault(leak.column, leak)
    order = [column.name for column in columns if column.name in suspected]
    return {name: suspected[name] for name in order}, alone


def _bins(column: Profile) -> Ints:
    """Return the bin of each row: a quantile of numbers, a value of texts, 0 for missing."""
    if column.numbers is None or column.distinct <= BINS:
        return column.codes
    return _quantiles(column.codes)


def _quantiles(codes: Ints) -> Ints:
    counts = np.bincount(codes)
    counts[0] = 0
    middle = np.cumsum(counts) - counts / 2
    bins = np.floor(middle / max(counts.sum(), 1) * BINS).astype(np.int64) + 1
    bins[0] = 0
    placed: Ints = bins[codes]
    return placed


def _holes(name: str, has_value: Bools, target: Floats) -> Leak | None:
    """Return the suspicion that a column is filled, or empty, for a single class."""
    for filled in (True, False):
        part = target[has_value == filled]
        if not FEWEST <= len(part) <= len(target) - FEWEST:
            continue
        rate = float(part.mean())
        for is_positive, share, base in (
            (True, rate, target.mean()),
            (False, 1 - rate, 1 - target.mean()),
        ):
            if base > MOST_COMMON or share < 1 - IMPURE:
                continue
            covered = len(part) * share / (base * len(target))
            if len(part) * np.log(base) < np.log(CHANCE) and covered >= COVERED[is_positive]:
                return _of_holes(name, filled, is_positive, share, covered, len(part))
    return None


def _of_holes(
    name: str, filled: bool, is_positive: bool, share: float, covered: float, rows: int
) -> Leak:
    numbers = {
        "filled": filled,
        "positive": is_positive,
        "share": round(share, 4),
        "covered": round(covered, 4),
        "rows": rows,
    }
    values = [Message("not missing") if filled else Message("missing")]
    return Leak(name, "holes", _only_with(name, values, is_positive, rows, covered), numbers)


def _only_with(
    name: str, values: Sequence[Words], is_positive: bool, rows: int, covered: float
) -> Message:
    return Message(
        "'{column}' is {values} only for label {label} ({rows:,} rows, {covered:.0%} of the "
        "class).",
        column=name,
        values=list(values),
        label=int(is_positive),
        rows=rows,
        covered=covered,
    )


def _one_class(column: Profile, codes: Ints, target: Floats) -> Leak | None:
    """Return the suspicion that values occur for a single class, which is not the usual one."""
    # a range of numbers may well occur for a single class
    most = MOST_VALUES if column.numbers is None else FEW_VALUES
    if not 2 < column.distinct <= most or (column.numbers is not None and not column.is_whole):
        return None
    texts = _texts(column)
    counts = np.bincount(codes, minlength=len(texts))
    positives = np.bincount(codes, weights=target, minlength=len(texts))
    for is_positive, own, base in (
        (True, positives, float(target.mean())),
        (False, counts - positives, 1 - float(target.mean())),
    ):
        if base > MOST_COMMON:
            continue
        pure = (counts >= FEWEST) & (own >= (1 - IMPURE) * counts)
        pure &= counts * np.log(base) < np.log(CHANCE)
        pure[0] = False
        covered = float(own[pure].sum() / own.sum())
        if covered < COVERED[is_positive]:
            continue
        values = [texts[place] for place in np.flatnonzero(pure)[:5]]
        rows = int(counts[pure].sum())
        numbers = {"values": values, "rows": rows, "covered": round(covered, 4)}
        numbers["positive"] = is_positive
        words = [f"'{value}'" for value in values]
        text = _only_with(column.name, words, is_positive, rows, covered)
        return Leak(column.name, "one_class", text, numbers)
    return None


def _texts(column: Profile) -> list[str]:
    """Return the value of each code."""
    texts = [""] * (int(column.codes.max(initial=0)) + 1)
    for code, (value, _) in zip(column.value_codes, column.values, strict=True):
        texts[code] = value
    return texts


def _certain(name: str, auc: float) -> Leak | None:
    if auc < CERTAIN:
        return None
    return Leak(name, "too_good", leakage.too_good(name, auc), {"auc": round(auc, 4)})


def _too_good(name: str, auc: float, rest: float) -> Leak:
    text = leakage.too_good(name, auc)
    return Leak(name, "too_good", text, {"auc": round(auc, 4), "next_auc": round(rest, 4)})


def _named(name: str, auc: float) -> Leak | None:
    """Return the suspicion by a name of something known afterwards."""
    if auc < NAMED:
        return None
    if not has(name, FORECASTS) and (not has(name, AFTERWARDS) or has(name, PLANNED)):
        return None
    text = Message(
        "'{column}' is named like a prediction, or something known afterwards (ROC AUC alone: "
        "{auc:.2f}).",
        column=name,
        auc=auc,
    )
    return Leak(name, "afterwards", text, {"auc": round(auc, 4)})


def _pairs(columns: Sequence[Profile], label: Floats, alone: Mapping[str, float]) -> list[Leak]:
    """Return the columns whose difference from another one decides the label."""
    labelled = np.flatnonzero(~np.isnan(label))
    rng = np.random.default_rng(0)
    some = labelled[rng.permutation(len(labelled))[:PAIR_ROWS]]
    target = label[some]
    if not 0 < target.mean() < 1:
        return []
    fold = np.arange(len(some)) % FOLDS
    able = [column for column in columns if column.numbers is not None and column.distinct > BINS]
    values = {column.name: column.numbers[some] for column in able if column.numbers is not None}
    pairs = [
        (first, second)
        for first, second in combinations(able, 2)
        if len(able) <= FEW_NUMBERS or not {*tokens(first.name)}.isdisjoint(tokens(second.name))
    ]
    suspected = []
    for first, second in pairs[:MOST_PAIRS]:
        best = max(alone[first.name], alone[second.name])
        if best + GAIN > 1:
            continue
        auc = separation(_places(values[first.name] - values[second.name]), target, fold)
        if auc >= max(SUSPECT, best + GAIN):
            late, other = _later(first, second)
            text = leakage.too_good(f"{late.name} - {other.name}", auc)
            numbers = {"auc": round(auc, 4), "other": other.name}
            suspected.append(Leak(late.name, "too_good", text, numbers))
    return suspected


def _places(values: Floats) -> Ints:
    """Return the quantile of each value, 0 for a missing one."""
    known = values[~np.isnan(values)]
    places = np.zeros(len(values), np.int64)
    if len(known):
        edges = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
        places = np.searchsorted(edges, values, side="right") + 1
        places[np.isnan(values)] = 0
    return places


def _later(first: Profile, second: Profile) -> tuple[Profile, Profile]:
    """Return a pair, first the column that is known later: the actual one, or with gaps."""
    if has(first.name, PLANNED) != has(second.name, PLANNED):
        return (second, first) if has(first.name, PLANNED) else (first, second)
    return (first, second) if first.missing > second.missing else (second, first)
