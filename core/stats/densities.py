"""Counts of the values of each column in two sets, for charts that need no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.stats import intervals

# what the rarer values of a text column are counted as
OTHERS = "others"
SETS = ("reference", "current")

Floats = npt.NDArray[np.float64]


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


def densities(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    *,
    weights: tuple[Floats, Floats] | None = None,
) -> pd.DataFrame:
    """Count the values of each feature in two sets, for charts that need no rows.

    Up to 20 distinct values are counted one by one; text with more by its most frequent values,
    numbers in bins of equal width. Missing values are left out.

    Parameters
    ----------
    weights : (array of float, array of float), optional
        Sampling weights of the rows of both sets, 0 or more, for the shares.

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
        known = [side[feature].notna().to_numpy() for side in (reference, current)]
        old, new = reference[feature][known[0]], current[feature][known[1]]
        by = (
            None
            if weights is None
            else [side[has_value] for side, has_value in zip(weights, known, strict=True)]
        )
        counted = (
            _count_numbers(old.to_numpy(dtype=float), new.to_numpy(dtype=float), 40, by)
            if pd.api.types.is_numeric_dtype(reference[feature])
            else _count_names(old, new, by)
        )
        for name, rows, mass in zip(SETS, counted.pop("rows"), counted.pop("mass"), strict=True):
            part = pd.DataFrame({"feature": feature, "set": name, **counted, "rows": rows})
            parts.append(part.assign(share=_shares_of(mass)))
    return pd.concat(parts, ignore_index=True)


def _shares_of(mass: npt.NDArray[Any]) -> Floats:
    """Return the share of each bin; 0 if nothing counts."""
    return np.asarray(mass / (mass.sum() or 1), dtype=np.float64)


_Pair = Sequence[Floats] | None


def _count_numbers(old: Any, new: Any, bins: int, weights: _Pair) -> dict[str, Any]:
    both = np.unique(np.concatenate([old, new]))
    if len(both) <= intervals.DISCRETE:
        labels = [f"{value:.10g}" for value in both]
        places = [np.searchsorted(both, side) for side in (old, new)]
        counts = _counts_of(places, len(both), weights)
        return {"label": labels, "start": both, "end": both, **counts}
    edges = intervals.edges(both, bins)
    labels = [f"{value:.5g}" for value in edges[:-1]]
    rows = [np.histogram(side, edges)[0] for side in (old, new)]
    mass = (
        rows
        if weights is None
        else [
            np.histogram(side, edges, weights=by)[0]
            for side, by in zip((old, new), weights, strict=True)
        ]
    )
    return {"label": labels, "start": edges[:-1], "end": edges[1:], "rows": rows, "mass": mass}


def _count_names(old: pd.Series[Any], new: pd.Series[Any], weights: _Pair) -> dict[str, Any]:
    names = usual_names(old, new, intervals.DISCRETE)
    labels = [*names, OTHERS]
    order = {name: place for place, name in enumerate(names)}
    places = [side.map(order).fillna(len(names)).to_numpy(dtype=np.int64) for side in (old, new)]
    counts = _counts_of(places, len(labels), weights)
    if not any(side[-1] for side in counts["rows"]):
        labels = labels[:-1]
        counts = {name: [side[:-1] for side in sides] for name, sides in counts.items()}
    return {"label": labels, "start": np.nan, "end": np.nan, **counts}


def _counts_of(places: Sequence[Any], size: int, weights: _Pair) -> dict[str, list[Any]]:
    """Return how many rows are at each place, and how much they count."""
    rows = [np.bincount(side, minlength=size) for side in places]
    mass = (
        rows
        if weights is None
        else [
            np.bincount(side, by, minlength=size) for side, by in zip(places, weights, strict=True)
        ]
    )
    return {"rows": rows, "mass": mass}
