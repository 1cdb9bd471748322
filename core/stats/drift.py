"""Distances between current and reference rows, one column at a time, without labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.stats import distances, intervals
from core.stats.alignment import Known

# Single-value bins with a smaller expected count in the smaller set are merged ...
MIN_EXPECTED = 5
# ... unless it has this many rows, which chance does not produce if fewer than 5 are expected.
MANY = 20

_log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Column:
    """A column of the reference, binned for comparison with current rows.

    Text, and numbers with at most `bins` distinct values in the reference, have single-value bins;
    other numbers have quantile bins of the reference. Of single values, the most frequent in both
    sets together have a bin each; the rest share one, which also takes new values. A bin with an
    expected count below 5 in the smaller set is merged (Cochran, Some methods for strengthening the
    common chi-square tests, 1954) unless it has 20 rows, so a rare value that one set happens to
    lack makes no difference. Missing values have a bin from 5 such rows on, and are dropped below
    that.

    With sampling weights, every count is a sum of weights that are scaled to the effective number
    of rows (`intervals.effective`): shares are those of the population, and rows of very unequal
    weight count as fewer rows where a number of rows decides. Shares of new values and of values
    out of range are of the rows: what chance does to them is known exactly for rows only.

    Parameters
    ----------
    bins : int
        2 or more.
    weights : array of float, optional
        Of the rows, as `intervals.effective` returns them; by default each row counts once.

    Examples
    --------
    >>> [side.tolist() for side in Column(pd.Series(list("aaaaab" * 9))).counts(
    ...     pd.Series(list("abbbbb" * 9)))]
    [[45.0, 9.0], [9.0, 45.0]]
    """

    def __init__(
        self, values: pd.Series[Any], bins: int = 10, *, weights: Floats | None = None
    ) -> None:
        self.is_number = pd.api.types.is_numeric_dtype(values)
        # how much the rows count, and how many there are
        self.rows, self.rows_counted = _mass(len(values), weights), len(values)
        self.bins = bins
        if self.is_number:
            present, self.missing, by = _present_numbers(values, weights)
            self._known = Known(present)
            if not self._known.is_unchanged:
                present, by = _ordered(self._known.values, by)
            self.sorted = present
            is_first = np.ones(len(self.sorted), dtype=bool)
            np.not_equal(self.sorted[1:], self.sorted[:-1], out=is_first[1:])
            first = np.append(np.flatnonzero(is_first), len(self.sorted))
            self.names: npt.NDArray[Any] = self.sorted[first[:-1]]
            self.names_rows = np.diff(first)
            self._upto = _upto(len(self.sorted), by)
            self.names_counts = np.diff(self._upto[first])
            self._names_squares = np.diff(_upto(len(self.sorted), _squared(by))[first])
        else:
            texts, self.missing, by = _present_texts(values, weights)
            codes, names = pd.factorize(pd.Index(texts))
            self.names_rows = np.bincount(codes, minlength=len(names))
            self.names_counts = np.bincount(codes, by, minlength=len(names))
            self._names_squares = np.bincount(codes, _squared(by), minlength=len(names))
            self.names = np.asarray(names, dtype=object)
        self._weights = by
        self._missing_squares = _squares_of_missing(weights, by)
        self.is_few = len(self.names) <= intervals.DISCRETE
        self.is_binned = self.is_number and len(self.names) > bins
        if self.is_binned:
            shares = np.linspace(0, 1, bins + 1)
            cuts = (
                intervals.quantiles(self.sorted, shares)
                if by is None
                else _quantiles(self.sorted, self._upto, shares)
            )
            self.edges = np.unique(cuts)[1:-1]
            self.old = _between(self.edges, self.sorted, self._upto)

    def counts(self, current: pd.Series[Any]) -> tuple[Floats, Floats]:
        """Return the reference's and the current rows' counts per bin."""
        return self._counts(self._present(current, None))

    def expected(self, rows: float) -> tuple[Floats, Floats]:
        """Return the reference's counts per bin, and pseudo-counts, for windows of this many rows.

        The pseudo-counts (`limits`) equal the counts, with one more for the rest bin, since rows
        with a new value will be in it.
        """
        share = min(rows, self.rows) / max(self.rows, 1)
        if self.is_binned:
            old, more = self.old, np.zeros(len(self.old))
        else:
            place, size, has_rest = self._places(self.names, self.names_counts * share)
            old, more = np.bincount(place, self.names_counts, minlength=size), np.zeros(size)
            if has_rest:
                more[-1] = 1
        if self.missing * share >= MIN_EXPECTED:
            old, more = np.append(old, self.missing), np.append(more, 0.0)
        return old.astype(np.float64), old + more

    def compared(self, current: pd.Series[Any], *, weights: Floats | None = None) -> dict[str, Any]:
        """Return the distances of current rows from the reference; see `by_feature`."""
        return _with_distances([self.beside(current, weights=weights)])[0]

    def beside(self, current: pd.Series[Any], *, weights: Floats | None = None) -> Compared:
        """Return the same without what follows from the counts per bin."""
        side = self._present(current, weights)
        known, rows = side.values, max(len(current), 1)
        figures: dict[str, Any] = {
            "missing_reference": self.missing / max(self.rows, 1),
            "missing_current": side.missing / max(side.rows, 1),
        }
        if self.is_few or not self.is_number:
            figures["unseen"] = self._unseen(known) / rows
        old, new = self._counts(side)
        if self.missing == self.rows or not new.sum():
            return Compared(figures)
        if self.is_number and len(known):
            figures |= self._ks(side)
            figures |= {
                "mean_reference": _mean(self.sorted, self._weights),
                "mean_current": _mean(known, side.weights),
            }
            beyond = np.searchsorted(known, self.sorted[0]) + len(known)
            beyond -= np.searchsorted(known, self.sorted[-1], side="right")
            figures["out_of_range"] = float(beyond) / rows
        return Compared(figures, old, new, is_named=self.is_few or not self.is_number)

    def _present(self, current: pd.Series[Any], weights: Floats | None) -> _Present:
        """Return the non-missing values, in the reference's representation; numbers sorted."""
        rows = _mass(len(current), weights)
        if not self.is_number:
            texts, missing, by = _present_texts(current, weights)
            return _Present(texts, missing, by, rows, _squares_of_missing(weights, by))
        numbers, missing, by = _present_numbers(current, weights)
        numbers, by = _ordered(self._known.aligned(numbers), by)
        return _Present(numbers, missing, by, rows, _squares_of_missing(weights, by))

    def _unseen(self, known: npt.NDArray[Any]) -> float:
        """Return the number of values that the reference does not have."""
        if not self.is_number or not len(self.names):
            return float((~pd.Series(known).isin(self.names)).sum())
        place = np.minimum(np.searchsorted(self.names, known), len(self.names) - 1)
        return float(np.count_nonzero(self.names[place] != known))

    def _ks(self, side: _Present) -> dict[str, float]:
        """Return the Kolmogorov-Smirnov distance to sorted values, and its p-value.

        The p-value is asymptotic, corrected for small samples (Stephens, 1970); by weight, for the
        effective number of rows.
        """
        from scipy.special import kolmogorov

        known, upto = side.values, _upto(len(side.values), side.weights)
        before, after = float(self._upto[-1]), float(upto[-1])
        # at the values of the reference, and at the current ones
        distance = max(
            float(
                np.abs(
                    self._upto[np.searchsorted(self.sorted, values, side="right")] / before
                    - upto[np.searchsorted(known, values, side="right")] / after
                ).max()
            )
            for values in (self.names, known)
        )
        root = np.sqrt(before * after / (before + after))
        p_value = float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
        return {"ks": distance, "ks_p_value": p_value}

    def effective_rows(self, current: pd.Series[Any], weights: Floats) -> tuple[float, float]:
        """Return how many rows of equal weight say as much about the bins, of both sides.

        By the design effects of the bins, and not more than `intervals.effective` says. It is less
        where few rows with large weights fill a bin. A weight that one side happens to lack is
        taken from the other.
        """
        side = self._present(current, weights)
        masses, squares = self._counts(side), self._counts(side, squared=True)
        if self._weights is None or not all(mass.sum() > 0 for mass in masses):
            return self.rows, side.rows
        share = sum(masses) / sum(mass.sum() for mass in masses)
        old, new = (
            np.divide(square, mass, out=np.zeros_like(mass), where=mass > 0)
            for square, mass in zip(squares, masses, strict=True)
        )
        shared = (old > 0) & (new > 0)
        if not shared.any():
            return self.rows, side.rows
        scale = float(share[shared] @ new[shared]) / float(share[shared] @ old[shared])
        new = np.maximum(new, scale * old)
        old = np.where(old > 0, old, new / scale)
        totals = [float(mass.sum()) for mass in masses]
        return (
            min(self.rows, intervals.rows_of_shares(share, old, totals[0])),
            min(side.rows, intervals.rows_of_shares(share, new, totals[1])),
        )

    def _counts(self, side: _Present, *, squared: bool = False) -> tuple[Floats, Floats]:
        """Return how much the rows in each bin count, or the sums of their squared weights."""
        known, rows = side.values, side.rows
        share = min(rows, self.rows) / max(rows + self.rows, 1)
        by = _squared(side.weights) if squared else side.weights
        if self.is_binned:
            old, new = self.old, _between(self.edges, known, _upto(len(known), by))
            if squared:
                upto = _upto(len(self.sorted), _squared(self._weights))
                old = _between(self.edges, self.sorted, upto)
        else:
            names = pd.Index(np.concatenate([self.names, pd.unique(known)])).unique()
            now = np.bincount(names.get_indexer(known), side.weights, minlength=len(names))
            before = np.zeros(len(names))
            before[: len(self.names)] = self.names_counts
            usual, smaller = (before + now) * share, now if rows < self.rows else before
            usual = np.where(smaller >= MANY, np.maximum(usual, smaller), usual)
            bins, size, _ = self._places(names, usual)
            if squared:
                before[: len(self.names)] = self._names_squares
                now = np.bincount(names.get_indexer(known), by, minlength=len(names))
            old, new = (np.bincount(bins, values, minlength=size) for values in (before, now))
        if (side.missing + self.missing) * share >= MIN_EXPECTED:
            more = (
                (self._missing_squares, side.missing_squares)
                if squared
                else (self.missing, side.missing)
            )
            old, new = np.append(old, more[0]), np.append(new, more[1])
        return old.astype(np.float64), new.astype(np.float64)

    def _places(self, names: Any, expected: Floats) -> tuple[Ints, int, bool]:
        """Return each single value's bin, the number of bins, and whether the last is the rest.

        `expected` is the expected count of each value in the smaller set.
        """
        # alike counts by name, so that the choice does not depend on the order of rows
        keys = names if self.is_number else np.asarray(names).astype(str)
        order = np.lexsort((keys, -expected))
        size = len(order)
        most = size if size <= self.bins else self.bins - 1
        own = int(np.sum(expected[order[:most]] >= MIN_EXPECTED))
        has_rest = own == 0 or float(expected[order[own:]].sum()) >= MIN_EXPECTED
        place = np.empty(size, dtype=np.int64)
        place[order[:own]] = np.arange(own)
        place[order[own:]] = own if has_rest else own - 1
        return place, own + has_rest, has_rest


@dataclass(frozen=True)
class _Present:
    """The values of a column's rows that have one, and how much all its rows count."""

    values: npt.NDArray[Any]
    missing: float
    weights: Floats | None
    rows: float
    missing_squares: float


def _present_numbers(
    values: pd.Series[Any], weights: Floats | None
) -> tuple[Floats, float, Floats | None]:
    """Return the non-missing numbers in order, how much the missing ones count, and weights."""
    numbers, by = _ordered(_numbers(values), weights)
    end = int(np.searchsorted(numbers, np.nan))
    if by is None:
        return numbers[:end], len(numbers) - end, None
    return numbers[:end], _sum(by[end:], len(numbers), weights), by[:end]


def _present_texts(
    values: pd.Series[Any], weights: Floats | None
) -> tuple[npt.NDArray[Any], float, Floats | None]:
    texts = values.dropna().to_numpy(dtype=object)
    if weights is None:
        return texts, len(values) - len(texts), None
    has_value = values.notna().to_numpy()
    return texts, _sum(weights[~has_value], len(values), weights), weights[has_value]


def _squared(weights: Floats | None) -> Floats | None:
    return None if weights is None else weights**2


def _squares_of_missing(whole: Floats | None, present: Floats | None) -> float:
    """Return the sum of squared weights of the rows without a value."""
    if whole is None or present is None:
        return 0.0
    return max(float(whole @ whole - present @ present), 0.0)


def _mass(rows: int, weights: Floats | None) -> float:
    """Return how much rows count: their number, or the sum of their weights."""
    return rows if weights is None else float(weights.sum())


def _sum(some: Floats, rows: int, weights: Floats | None) -> float:
    # in another order the sum of all weights could be another in its last digits
    return _mass(rows, weights) if len(some) == rows else float(some.sum())


def _ordered(values: Floats, weights: Floats | None) -> tuple[Floats, Floats | None]:
    if weights is None:
        return np.sort(values), None
    order = np.argsort(values, kind="stable")
    return values[order], weights[order]


def _upto(rows: int, weights: Floats | None) -> npt.NDArray[Any]:
    """Return how much the first k of sorted values count, for each k from 0 on."""
    return np.arange(rows + 1) if weights is None else np.append(0.0, np.cumsum(weights))


def _mean(values: Floats, weights: Floats | None) -> float:
    return float(values.mean()) if weights is None else float(np.average(values, weights=weights))


def _quantiles(ordered: Floats, upto: Floats, shares: Floats) -> Floats:
    """Return quantiles of sorted values by weight.

    Those of as many equal values as a weight says, interpolated like the usual ones (type 7 of
    Hyndman and Fan, Sample quantiles in statistical packages, 1996; Harrell's Hmisc, wtd.quantile).
    """
    at = shares * max(float(upto[-1]) - 1, 0)
    below = np.floor(at)
    places = [
        np.minimum(np.searchsorted(upto[1:], place, side="right"), len(ordered) - 1)
        for place in (below, below + 1)
    ]
    return intervals.between(ordered[places[0]], ordered[places[1]], at - below)


def _between(edges: Floats, ordered: Floats, upto: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return how much the sorted values in each bin count."""
    ends = np.searchsorted(ordered, edges)
    return np.diff(upto[np.concatenate([[0], ends, [len(ordered)]])])


@dataclass(frozen=True)
class Compared:
    """What is known of a column in two sets of rows: figures, and its counts per bin.

    Parameters
    ----------
    old, new : array or None
        None where a set has no value.
    is_named : bool
        Whether the bins are single values.
    """

    figures: dict[str, Any]
    old: Floats | None = None
    new: Floats | None = None
    is_named: bool = False


def _with_distances(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return the figures with those that follow from the bins, of all columns at once."""
    from scipy import special

    figures = [dict(column.figures) for column in compared]
    alike: dict[tuple[int, bool], list[int]] = {}
    for place, column in enumerate(compared):
        if column.old is not None:
            alike.setdefault((len(column.old), column.is_named), []).append(place)
    for (bins, is_named), places in alike.items():
        old, new = (
            np.stack([getattr(compared[place], side) for place in places])
            for side in ("old", "new")
        )
        measured = {"psi": distances.psi_of(old, new), "js": distances.js_of(old, new)}
        if is_named:
            measured["cramers_v"] = distances.cramers_v_of(old, new)
            measured["chi2"] = measured["cramers_v"] ** 2 * (old.sum(axis=1) + new.sum(axis=1))
            measured["chi2_p_value"] = special.chdtrc(max(bins - 1, 1), measured["chi2"])
        for name, values in measured.items():
            for place, value in zip(places, values.tolist(), strict=True):
                figures[place][name] = value
    return figures


def _numbers(values: pd.Series[Any]) -> Floats:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def by_feature(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    *,
    weights: tuple[Floats, Floats] | None = None,
) -> pd.DataFrame:
    """Measure the drift of every feature between two sets.

    Parameters
    ----------
    weights : (array of float, array of float), optional
        Sampling weights of the rows of both sets, 0 or more; see `Column`.

    Returns
    -------
    DataFrame
        A row per feature: `feature`, `psi`, `ks` (Kolmogorov-Smirnov distance of the non-missing
        values, 0 to 1), `ks_p_value`, `js` (Jensen-Shannon distance over the bins of the PSI, 0 to
        1), `chi2`, `chi2_p_value` and `cramers_v` (of the same bins, if they are single values),
        `missing_reference`, `missing_current`, `unseen` (share of rows with a value that the
        reference does not have, if it has at most 20), `out_of_range` (share of rows outside the
        reference's minimum and maximum), `mean_reference`, `mean_current`, `reason` (why a feature
        could not be compared:
        `reference_empty`, `current_empty`, `failed`; empty otherwise). Measures that do not apply
        are NaN: text has no KS and no range. Numbers that differ only by representation count as
        equal (`alignment.aligned`).

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(100)})
    >>> by_feature(frame, frame + 50, ["x"]).loc[0, ["ks", "out_of_range"]].tolist()
    [0.5, 0.5]
    """
    sides = (
        [(reference, None), (current, None)]
        if weights is None
        else [
            _of_population(side, by) for side, by in zip((reference, current), weights, strict=True)
        ]
    )
    (old, of_old), (new, of_new) = sides
    compared = [_compared((old[name], of_old), (new[name], of_new)) for name in features]
    return pd.DataFrame(
        [
            {"feature": name, **figures}
            for name, figures in zip(features, _with_distances(compared), strict=True)
        ],
        columns=["feature", *_COMPARED],
    )


_COMPARED = (
    "psi",
    "ks",
    "ks_p_value",
    "js",
    "chi2",
    "chi2_p_value",
    "cramers_v",
    "missing_reference",
    "missing_current",
    "unseen",
    "out_of_range",
    "mean_reference",
    "mean_current",
    "reason",
)


def effective_rows(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    weights: tuple[Floats, Floats],
) -> dict[str, tuple[float, float]]:
    """Return `Column.effective_rows` of each feature that can be compared.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": list("aabb") * 100})
    >>> equal, uneven = np.ones(400), np.tile([1.0, 3.0, 1.0, 3.0], 100)
    >>> rows = effective_rows(frame, frame, ["x"], (equal, uneven))["x"]
    >>> [round(side) for side in rows]
    [400, 320]
    """
    (old, of_old), (new, of_new) = (
        _of_population(side, by) for side, by in zip((reference, current), weights, strict=True)
    )
    rows: dict[str, tuple[float, float]] = {}
    for name in features:
        try:
            if of_old is not None and of_new is not None:
                rows[name] = Column(old[name], weights=of_old).effective_rows(new[name], of_new)
        except Exception:  # noqa: BLE001  `by_feature` reports it
            _log.exception("The column %s could not be compared", name)
    return rows


_Weighted = tuple["pd.Series[Any]", Floats | None]


def _of_population(rows: pd.DataFrame, weights: Floats) -> tuple[pd.DataFrame, Floats | None]:
    """Return the rows of positive weight, and their weights scaled to the effective number."""
    counts = weights > 0
    if not counts.any():
        return rows.head(0), None
    return rows[counts], intervals.effective(weights[counts])


def _compared(old: _Weighted, new: _Weighted) -> Compared:
    """Compare one column; an error in it does not affect the others."""
    (before, of_before), (after, of_after) = old, new
    try:
        compared = Column(before, weights=of_before).beside(after, weights=of_after)
    except Exception:  # noqa: BLE001  a fault of one column is that column alone
        _log.exception("The column %s could not be compared", before.name)
        return Compared({"reason": "failed"})
    reason = ""
    if not len(before) or compared.figures["missing_reference"] == 1:
        reason = "reference_empty"
    elif not len(after) or compared.figures["missing_current"] == 1:
        reason = "current_empty"
    return replace(compared, figures={**compared.figures, "reason": reason})
