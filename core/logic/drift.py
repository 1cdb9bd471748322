"""How far current rows lie from reference rows, one column at a time, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.logic import intervals

# Added to every share, so that a bin that one side leaves empty counts much but not infinitely.
SHARE_FLOOR = 1e-4

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def psi(reference: npt.ArrayLike, current: npt.ArrayLike, bins: int = 10) -> float:
    """Return the population stability index of current against reference.

    PSI = sum over bins of (c - r) * ln(c / r), r and c the shares of reference and current rows in
    a bin (Siddiqi, Credit Risk Scorecards, 2006). Bins are single values where the reference has
    no more of them than bins; else reference quantiles or, for texts, the most frequent names, one
    bin for the rare ones and one for new ones. Missing values are a bin of their own. Usual
    reading: below 0.1 stable, from 0.2 shifted.

    Parameters
    ----------
    reference, current : array of float or of text
        Values, at least one each.
    bins : int
        Quantile bins, 2 or more.

    Returns
    -------
    float
        0 or more.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> same, shifted = rng.normal(size=5000), rng.normal(loc=1, size=5000)
    >>> psi(same, rng.normal(size=5000)) < 0.02, psi(same, shifted) > 0.5
    (True, True)
    """
    place_old, place_new, size = places(np.asarray(reference), np.asarray(current), bins)
    old, new = (np.bincount(place, minlength=size) for place in (place_old, place_new))
    return float(psi_of(old, new))


def psi_of(old: npt.ArrayLike, new: npt.ArrayLike) -> Floats:
    """Return the PSI of counts in the same bins, along the last axis.

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

    The square root of the divergence in bits (Lin, 1991): 0 for equal shares, 1 for no bin in
    common.

    Examples
    --------
    >>> js_of([50, 50], [[50, 50], [80, 20]]).round(3).tolist(), float(js_of([9, 0], [0, 9]))
    ([0.0, 0.27], 1.0)
    """
    one, other = _shares(old), _shares(new)
    middle = (one + other) / 2
    parts = [
        np.where(
            side > 0,
            side * np.log2(np.where(side > 0, side / np.where(middle > 0, middle, 1), 1)),
            0.0,
        )
        for side in (one, other)
    ]
    divergence = (parts[0].sum(axis=-1) + parts[1].sum(axis=-1)) / 2
    return np.asarray(np.sqrt(np.clip(divergence, 0.0, 1.0)), dtype=np.float64)


def cramers_v_of(old: npt.ArrayLike, new: npt.ArrayLike) -> Floats:
    """Return Cramer's V of counts in the same bins: of which side a row is and its bin.

    sqrt(chi-square / rows), as one of the two has two values (Cramer, Mathematical Methods of
    Statistics, 1946): 0 to 1, whatever the number of rows.

    Examples
    --------
    >>> cramers_v_of([50, 50], [[50, 50], [80, 20]]).round(3).tolist()
    [0.0, 0.314]
    """
    one, other = np.broadcast_arrays(*(np.asarray(side, dtype=np.float64) for side in (old, new)))
    sizes = [side.sum(axis=-1, keepdims=True) for side in (one, other)]
    whole = sizes[0] + sizes[1]
    both = one + other
    chi2 = np.zeros(both.shape[:-1])
    for side, size in zip((one, other), sizes, strict=True):
        expected = both * size / whole
        chi2 = chi2 + np.divide(
            (side - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0
        ).sum(axis=-1)
    return np.asarray(np.sqrt(chi2 / whole[..., 0]), dtype=np.float64)


def _shares(counts: npt.ArrayLike) -> Floats:
    found = np.asarray(counts, dtype=np.float64)
    return np.asarray(found / found.sum(axis=-1, keepdims=True), dtype=np.float64)


def places(old: Any, new: Any, bins: int = 10) -> tuple[Ints, Ints, int]:
    """Return the bin of each value on both sides, and how many bins there are; see `psi`.

    Examples
    --------
    >>> places(np.array([1.0, 2.0, 2.0]), np.array([2.0, np.nan]))
    (array([0, 1, 1]), array([1, 2]), 3)
    """
    if old.dtype.kind not in "biuf":
        return _places_of_names(
            pd.Series(old, dtype="object"), pd.Series(new, dtype="object"), bins
        )
    before, after = old.astype(float), new.astype(float)
    known = before[~np.isnan(before)]
    # quantile bins of a 0/1 column would be one bin, which never shows a change
    if len(np.unique(known)) <= bins:
        values = np.union1d(known, after[~np.isnan(after)])
        found = [np.searchsorted(values, side) for side in (before, after)]
        size = len(values)
    else:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)))
        found = [np.searchsorted(edges[1:-1], side, side="right") for side in (before, after)]
        size = len(edges) - 1
    missing = [np.isnan(side) for side in (before, after)]
    if not missing[0].any() and not missing[1].any():
        return found[0], found[1], size
    first, second = (
        np.where(gone, size, place) for gone, place in zip(missing, found, strict=True)
    )
    return first, second, size + 1


def _places_of_names(old: pd.Series[Any], new: pd.Series[Any], bins: int) -> tuple[Ints, Ints, int]:
    names = usual_names(old, new, bins)
    known = {name: place for place, name in enumerate(names)}
    # a name that the reference does not have is no rare one of it
    known |= {name: len(names) for name in old.dropna().unique() if name not in known}
    new_name, missing = len(names) + 1, len(names) + 2
    first, second = (
        side.map(known).fillna(new_name).mask(side.isna(), missing).to_numpy(dtype=np.int64)
        for side in (old, new)
    )
    return first, second, len(names) + 3


def usual_names(reference: pd.Series[Any], current: pd.Series[Any], most: int) -> list[str]:
    """Return the names that stand for themselves when sets are compared; others count as one.

    Examples
    --------
    >>> usual_names(pd.Series(list("aaabbc")), pd.Series(["d"]), 2), usual_names(
    ...     pd.Series(["a"]), pd.Series(["d"]), 2)
    (['a'], ['a', 'd'])
    """
    counts = reference.value_counts()
    if len(counts) <= most:
        return sorted({*counts.index, *current.dropna().unique()})
    # alike counts by name, so that the choice does not hang on the order of rows
    ranked = counts.rename_axis("name").reset_index(name="rows")
    ranked = ranked.sort_values(["rows", "name"], ascending=[False, True])
    return sorted(ranked["name"].head(most - 1))


def by_feature(
    reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]
) -> pd.DataFrame:
    """Compare every feature of two sets.

    Returns
    -------
    DataFrame
        A row per feature: `feature`, `psi`, `ks` (largest distance between the two distribution
        functions of the values that are there, 0 to 1), `ks_p_value`, `js` (Jensen-Shannon
        distance over the bins of the PSI, 0 to 1), `chi2`, `chi2_p_value` and `cramers_v` (of the
        same bins, where they are single values), `missing_reference`, `missing_current`, `unseen`
        (share of rows with a value that the reference does not have, where it has no more than
        20), `out_of_range` (share of rows below the reference's least number or above its
        largest), `mean_reference`, `mean_current`. What a feature cannot have is NaN: a text has
        no KS and no range.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(100)})
    >>> by_feature(frame, frame + 50, ["x"]).loc[0, ["ks", "out_of_range"]].tolist()
    [0.5, 0.5]
    """
    return pd.DataFrame(
        [{"feature": name, **_compared(reference[name], current[name])} for name in features],
        columns=["feature", *_COMPARED],
    )


_COMPARED = (
    "psi", "ks", "ks_p_value", "js", "chi2", "chi2_p_value", "cramers_v", "missing_reference",
    "missing_current", "unseen", "out_of_range", "mean_reference", "mean_current",
)  # fmt: skip


def _compared(before: pd.Series[Any], after: pd.Series[Any]) -> dict[str, float]:
    from scipy import stats

    old, new = before.to_numpy(), after.to_numpy()
    first, second, size = places(np.asarray(old), np.asarray(new))
    counts = [np.bincount(place, minlength=size) for place in (first, second)]
    found = {
        "psi": float(psi_of(*counts)),
        "js": float(js_of(*counts)),
        "missing_reference": float(before.isna().mean()),
        "missing_current": float(after.isna().mean()),
    }
    values = before.dropna().unique()
    is_few = len(values) <= intervals.DISCRETE
    if is_few or not pd.api.types.is_numeric_dtype(before):
        used = [side[counts[0] + counts[1] > 0] for side in counts]
        found["cramers_v"] = float(cramers_v_of(*used))
        found["chi2"] = found["cramers_v"] ** 2 * (len(old) + len(new))
        found["chi2_p_value"] = float(stats.chi2.sf(found["chi2"], max(len(used[0]) - 1, 1)))
        known = after.dropna()
        found["unseen"] = float((~known.isin(values)).sum() / max(len(after), 1))
    if pd.api.types.is_numeric_dtype(before):
        there = [side[~np.isnan(side)] for side in (old.astype(float), new.astype(float))]
        if len(there[0]) and len(there[1]):
            ks = stats.ks_2samp(*there, method="asymp")
            found |= {"ks": float(ks.statistic), "ks_p_value": float(ks.pvalue)}
            found |= {"mean_reference": there[0].mean(), "mean_current": there[1].mean()}
            beyond = (there[1] < there[0].min()) | (there[1] > there[0].max())
            found["out_of_range"] = float(beyond.sum() / len(new))
    return found


def densities(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    *,
    names: tuple[str, str] = ("reference", "current"),
    bins: int = 40,
) -> pd.DataFrame:
    """Count how each feature lies in two sets, for charts that need no rows.

    Columns of up to 20 distinct values are counted value by value, texts of more by their most
    frequent names, other numbers in bins of equal width. Missing values are left out.

    Returns
    -------
    DataFrame
        `feature`, `set` (one of `names`), `label`, `start`, `end` (of a bin; equal for a single
        value, NaN for a text), `rows`, `share` (of the set's rows that have a value).

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
            _count_numbers(old.to_numpy(dtype=float), new.to_numpy(dtype=float), bins)
            if pd.api.types.is_numeric_dtype(reference[feature])
            else _count_names(old, new)
        )
        for name, rows in zip(names, counted.pop("rows"), strict=True):
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
    labels = [*names, "others"]
    rows = [
        side.where(side.isin(names), "others")
        .value_counts()
        .reindex(labels, fill_value=0)
        .to_numpy()
        for side in (old, new)
    ]
    if not rows[0][-1] and not rows[1][-1]:
        labels, rows = labels[:-1], [side[:-1] for side in rows]
    return {"label": labels, "start": np.nan, "end": np.nan, "rows": rows}
