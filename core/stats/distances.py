"""Distances between two distributions, from counts in the same bins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Added to every share, so that an empty bin counts much but not infinitely.
SHARE_FLOOR = 1e-4

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
