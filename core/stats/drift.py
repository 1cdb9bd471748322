"""Distances between current and reference rows, one column at a time, without labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.stats import intervals
from core.stats.alignment import Known

# Added to every share, so that an empty bin counts much but not infinitely.
SHARE_FLOOR = 1e-4
# Single-value bins with a smaller expected count in the smaller set are merged ...
MIN_EXPECTED = 5
# ... unless it has this many rows, which chance does not produce if fewer than 5 are expected.
MANY = 20
# what the rarer values of a text column are counted as
OTHERS = "others"

_log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def psi_of(old: npt.ArrayLike, new: npt.ArrayLike) -> Floats:
    """Return the population stability index (PSI) of counts in the same bins, along the last axis.

    PSI = sum over bins of (c - r) * ln(c / r), r and c the shares of reference and current rows in
    a bin (Siddiqi, Credit Risk Scorecards, 2006). Usual reading: below 0.1 stable, from 0.2
    shifted.

    Examples
    --------
    >>> psi_of([50, 50], [[50, 50], [80, 20]]).round(3).tolist()
    [0.0, 0.416]
    """
    share_old, share_new = (_shares(side) + SHARE_FLOOR for side in (old, new))
    moved = (share_new - share_old) * np.log(share_new / share_old)
    return np.asarray(moved.sum(axis=-1), dtype=np.float64)


def js_of(old: npt.ArrayLike, new: npt.ArrayLike) -> Floats:
    """Return the Jensen-Shannon distance of counts in the same bins, along the last axis.

    The square root of the divergence in bits (Lin, 1991): 0 for equal shares, 1 if no bin is
    shared.

    Examples
    --------
    >>> js_of([50, 50], [[50, 50], [80, 20]]).round(3).tolist(), float(js_of([9, 0], [0, 9]))
    ([0.0, 0.27], 1.0)
    """
    first, second = _shares(old), _shares(new)
    middle = (first + second) / 2
    parts = [
        np.where(
            side > 0,
            side * np.log2(np.where(side > 0, side / np.where(middle > 0, middle, 1), 1)),
            0.0,
        )
        for side in (first, second)
    ]
    divergence = (parts[0].sum(axis=-1) + parts[1].sum(axis=-1)) / 2
    return np.asarray(np.sqrt(np.clip(divergence, 0.0, 1.0)), dtype=np.float64)


def cramers_v_of(old: npt.ArrayLike, new: npt.ArrayLike) -> Floats:
    """Return Cramer's V between set and bin, from counts in the same bins.

    sqrt(chi-square / rows), as there are two sets (Cramer, Mathematical Methods of Statistics,
    1946): 0 to 1 for any number of rows.

    Examples
    --------
    >>> cramers_v_of([50, 50], [[50, 50], [80, 20]]).round(3).tolist()
    [0.0, 0.314]
    """
    first, second = np.broadcast_arrays(
        *(np.asarray(side, dtype=np.float64) for side in (old, new))
    )
    sizes = [side.sum(axis=-1, keepdims=True) for side in (first, second)]
    whole = sizes[0] + sizes[1]
    both = first + second
    chi2 = np.zeros(both.shape[:-1])
    for side, size in zip((first, second), sizes, strict=True):
        expected = both * size / whole
        chi2 = chi2 + np.divide(
            (side - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0
        ).sum(axis=-1)
    return np.asarray(np.sqrt(chi2 / whole[..., 0]), dtype=np.float64)


def _shares(counts: npt.ArrayLike) -> Floats:
    numbers = np.asarray(counts, dtype=np.float64)
    return np.asarray(numbers / numbers.sum(axis=-1, keepdims=True), dtype=np.float64)


class Column:
    """A column of the reference, binned for comparison with current rows.

    Text, and numbers with at most `bins` distinct values in the reference, have single-value bins;
    other numbers have quantile bins of the reference. Of single values, the most frequent in both
    sets together have a bin each; the rest share one, which also takes new values. A bin with an
    expected count below 5 in the smaller set is merged (Cochran, Some methods for strengthening the
    common chi-square tests, 1954) unless it has 20 rows, so a rare value that one set happens to
    lack makes no difference. Missing values have a bin from 5 such rows on, and are dropped below
    that.

    Parameters
    ----------
    bins : int
        2 or more.

    Examples
    --------
    >>> [side.tolist() for side in Column(pd.Series(list("aaaaab" * 9))).counts(
    ...     pd.Series(list("abbbbb" * 9)))]
    [[45.0, 9.0], [9.0, 45.0]]
    """

    def __init__(self, values: pd.Series[Any], bins: int = 10) -> None:
        self.is_number = pd.api.types.is_numeric_dtype(values)
        self.rows, self.bins = len(values), bins
        if self.is_number:
            numbers = np.sort(_numbers(values))
            numbers = numbers[: np.searchsorted(numbers, np.nan)]
            self.missing = self.rows - len(numbers)
            self._known = Known(numbers)
            self.sorted = numbers if self._known.is_unchanged else np.sort(self._known.values)
            is_first = np.ones(len(self.sorted), dtype=bool)
            np.not_equal(self.sorted[1:], self.sorted[:-1], out=is_first[1:])
            first = np.flatnonzero(is_first)
            counts = np.diff(np.append(first, len(self.sorted)))
            self.names: npt.NDArray[Any] = self.sorted[first]
        else:
            codes, texts = pd.factorize(values.dropna().astype("object"))
            self.missing = self.rows - len(codes)
            counts = np.bincount(codes, minlength=len(texts))
            self.names = np.asarray(texts, dtype=object)
        names = self.names
        self.names_counts = counts
        self.is_few = len(names) <= intervals.DISCRETE
        self.is_binned = self.is_number and len(names) > bins
        if self.is_binned:
            shares = np.linspace(0, 1, bins + 1)
            self.edges = np.unique(intervals.quantiles(self.sorted, shares))[1:-1]
            self.old = _between(self.edges, self.sorted)

    def counts(self, current: pd.Series[Any]) -> tuple[Floats, Floats]:
        """Return the reference's and the current rows' counts per bin."""
        return self._counts(self._present(current), len(current))

    def expected(self, rows: int) -> tuple[Floats, Floats]:
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

    def compared(self, current: pd.Series[Any]) -> dict[str, Any]:
        """Return the distances of current rows from the reference; see `by_feature`."""
        return _with_distances([self.beside(current)])[0]

    def beside(self, current: pd.Series[Any]) -> Compared:
        """Return the same without what follows from the counts per bin."""
        known, rows = self._present(current), max(len(current), 1)
        figures: dict[str, Any] = {
            "missing_reference": self.missing / max(self.rows, 1),
            "missing_current": (len(current) - len(known)) / rows,
        }
        if self.is_few or not self.is_number:
            figures["unseen"] = self._unseen(known) / rows
        old, new = self._counts(known, len(current))
        if self.missing == self.rows or not new.sum():
            return Compared(figures)
        if self.is_number and len(known):
            figures |= self._ks(known)
            figures |= {"mean_reference": self.sorted.mean(), "mean_current": known.mean()}
            beyond = np.searchsorted(known, self.sorted[0]) + len(known)
            beyond -= np.searchsorted(known, self.sorted[-1], side="right")
            figures["out_of_range"] = float(beyond) / rows
        return Compared(figures, old, new, is_named=self.is_few or not self.is_number)

    def _present(self, current: pd.Series[Any]) -> npt.NDArray[Any]:
        """Return the non-missing values, in the reference's representation; numbers sorted."""
        if not self.is_number:
            return current.dropna().to_numpy(dtype=object)
        numbers = np.sort(_numbers(current))
        return np.sort(self._known.aligned(numbers[: np.searchsorted(numbers, np.nan)]))

    def _unseen(self, known: npt.NDArray[Any]) -> float:
        """Return the number of values that the reference does not have."""
        if not self.is_number or not len(self.names):
            return float((~pd.Series(known).isin(self.names)).sum())
        place = np.minimum(np.searchsorted(self.names, known), len(self.names) - 1)
        return float(np.count_nonzero(self.names[place] != known))

    def _ks(self, known: Floats) -> dict[str, float]:
        """Return the Kolmogorov-Smirnov distance to sorted values, and its p-value.

        The p-value is asymptotic, corrected for small samples (Stephens, 1970).
        """
        from scipy.special import kolmogorov

        # at the values of the reference, and at the current ones
        ranks = (
            (np.cumsum(self.names_counts), np.searchsorted(known, self.names, side="right")),
            tuple(np.searchsorted(side, known, side="right") for side in (self.sorted, known)),
        )
        before, after = len(self.sorted), len(known)
        distance = max(float(np.abs(old / before - new / after).max()) for old, new in ranks)
        root = np.sqrt(before * after / (before + after))
        p_value = float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
        return {"ks": distance, "ks_p_value": p_value}

    def _counts(self, known: npt.NDArray[Any], rows: int) -> tuple[Floats, Floats]:
        share = min(rows, self.rows) / max(rows + self.rows, 1)
        if self.is_binned:
            old, new = self.old, _between(self.edges, known)
        else:
            names = pd.Index(np.concatenate([self.names, pd.unique(known)])).unique()
            now = np.bincount(names.get_indexer(known), minlength=len(names))
            before = np.zeros(len(names))
            before[: len(self.names)] = self.names_counts
            usual, smaller = (before + now) * share, now if rows < self.rows else before
            usual = np.where(smaller >= MANY, np.maximum(usual, smaller), usual)
            bins, size, _ = self._places(names, usual)
            old, new = (np.bincount(bins, side, minlength=size) for side in (before, now))
        missing = rows - len(known)
        if (missing + self.missing) * share >= MIN_EXPECTED:
            old, new = np.append(old, self.missing), np.append(new, missing)
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


def _between(edges: Floats, ordered: Floats) -> Ints:
    """Return the number of sorted values in each bin."""
    ends = np.searchsorted(ordered, edges)
    return np.diff(np.concatenate([[0], ends, [len(ordered)]]))


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
        measured = {"psi": psi_of(old, new), "js": js_of(old, new)}
        if is_named:
            measured["cramers_v"] = cramers_v_of(old, new)
            measured["chi2"] = measured["cramers_v"] ** 2 * (old.sum(axis=1) + new.sum(axis=1))
            measured["chi2_p_value"] = special.chdtrc(max(bins - 1, 1), measured["chi2"])
        for name, values in measured.items():
            for place, value in zip(places, values.tolist(), strict=True):
                figures[place][name] = value
    return figures


def _numbers(values: pd.Series[Any]) -> Floats:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def usual_names(reference: pd.Series[Any], current: pd.Series[Any], most: int) -> list[str]:
    """Return the most frequent names, which are shown separately; all others are grouped.

    Examples
    --------
    >>> usual_names(pd.Series(list("aaabbc")), pd.Series(["d"]), 2), usual_names(
    ...     pd.Series(["a"]), pd.Series(["d"]), 2)
    (['a'], ['a', 'd'])
    """
    counts = reference.value_counts()
    if len(counts) <= most:
        return sorted({*counts.index, *current.dropna().unique()})
    # alike counts by name, so that the choice does not depend on the order of rows
    ranked = counts.rename_axis("name").reset_index(name="rows")
    ranked = ranked.sort_values(["rows", "name"], ascending=[False, True])
    return sorted(ranked["name"].head(most - 1))


def by_feature(
    reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]
) -> pd.DataFrame:
    """Measure the drift of every feature between two sets.

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
    compared = [_compared(reference[name], current[name]) for name in features]
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


def _compared(before: pd.Series[Any], after: pd.Series[Any]) -> Compared:
    """Compare one column; an error in it does not affect the others."""
    try:
        compared = Column(before).beside(after)
    except Exception:  # noqa: BLE001  a fault of one column is that column alone
        _log.exception("The column %s could not be compared", before.name)
        return Compared({"reason": "failed"})
    reason = ""
    if not len(before) or compared.figures["missing_reference"] == 1:
        reason = "reference_empty"
    elif not len(after) or compared.figures["missing_current"] == 1:
        reason = "current_empty"
    return replace(compared, figures={**compared.figures, "reason": reason})


def densities(
    reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]
) -> pd.DataFrame:
    """Count the values of each feature in two sets, for charts that need no rows.

    Up to 20 distinct values are counted one by one; text with more by its most frequent values,
    numbers in bins of equal width. Missing values are left out.

    Returns
    -------
    DataFrame
        `feature`, `set` (reference or current), `label`, `start`, `end` (of a bin; equal for a
        single value, NaN for text), `rows`, `share` (of the set's rows that have a value).

    Examples
    --------
    >>> frame = pd.DataFrame({"period": [1, 1, 2, 4]})
    >>> densities(frame, frame.head(2), ["period"])[["set", "label", "share"]].values.tolist()
    [['reference', '1', 0.5], ['reference', '2', 0.25], ['reference', '4', 0.25],
     ['current', '1', 1.0], ['current', '2', 0.0], ['current', '4', 0.0]]
    """
    parts = []
    for feature in features:
        old, new = reference[feature].dropna(), current[feature].dropna()
        counted = (
            _count_numbers(old.to_numpy(dtype=float), new.to_numpy(dtype=float), 40)
            if pd.api.types.is_numeric_dtype(reference[feature])
            else _count_names(old, new)
        )
        for name, rows in zip(("reference", "current"), counted.pop("rows"), strict=True):
            part = pd.DataFrame({"feature": feature, "set": name, **counted, "rows": rows})
            parts.append(part.assign(share=part["rows"] / max(int(part["rows"].sum()), 1)))
    return pd.concat(parts, ignore_index=True)


def _count_numbers(old: Any, new: Any, bins: int) -> dict[str, Any]:
    both = np.unique(np.concatenate([old, new]))
    if len(both) <= intervals.DISCRETE:
        rows = [(side[:, None] == both).sum(axis=0) for side in (old, new)]
        labels = [f"{value:.10g}" for value in both]
        return {"label": labels, "start": both, "end": both, "rows": rows}
    edges = intervals.edges(both, bins)
    labels = [f"{value:.5g}" for value in edges[:-1]]
    rows = [np.histogram(side, edges)[0] for side in (old, new)]
    return {"label": labels, "start": edges[:-1], "end": edges[1:], "rows": rows}


def _count_names(old: pd.Series[Any], new: pd.Series[Any]) -> dict[str, Any]:
    names = usual_names(old, new, intervals.DISCRETE)
    labels = [*names, OTHERS]
    rows = [
        side.where(side.isin(names), OTHERS).value_counts().reindex(labels, fill_value=0).to_numpy()
        for side in (old, new)
    ]
    if not rows[0][-1] and not rows[1][-1]:
        labels, rows = labels[:-1], [side[:-1] for side in rows]
    return {"label": labels, "start": np.nan, "end": np.nan, "rows": rows}
