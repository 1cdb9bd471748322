"""Bins of a column, and the interval of a share: the numbers behind several charts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

# Up to this many distinct values a column is drawn value by value.
DISCRETE = 20
# Two-sided 95 % of the normal distribution.
_Z = 1.959964

Floats = npt.NDArray[np.float64]


def edges(values: Floats, bins: int) -> Floats:
    """Return the edges of at most `bins` equal bins; whole numbers get bins of whole width.

    Examples
    --------
    >>> edges(np.arange(9.0), bins=4)
    array([0., 3., 6., 9.])
    """
    low, high = float(values.min()), float(values.max())
    if not are_whole(values):
        return np.linspace(low, high, bins + 1)
    # else some bins would hold one number more than their neighbours, and stand out for nothing
    width = np.ceil((high - low + 1) / bins)
    found: Floats = low + width * np.arange(np.ceil((high - low + 1) / width) + 1)
    return found


def are_whole(values: Floats) -> bool:
    """Tell whether no value has a fraction.

    Examples
    --------
    >>> are_whole(np.array([1.0, 2.0])), are_whole(np.array([1.0, 2.5]))
    (True, False)
    """
    return bool(np.all(values % 1 == 0))


def wilson(rate: pd.Series[float], rows: pd.Series[int]) -> tuple[Floats, Floats]:
    """Return both ends of the 95 % interval of a share (Wilson, 1927): they stay within 0 and 1.

    Parameters
    ----------
    rate : Series
        Shares, from 0 to 1.
    rows : Series
        How many rows each share is of, 1 or more.

    Examples
    --------
    >>> low, high = wilson(pd.Series([0.25]), pd.Series([20]))
    >>> low.round(3), high.round(3)
    (array([0.112]), array([0.469]))
    """
    share, count = rate.to_numpy(dtype=float), rows.to_numpy(dtype=float)
    scale = 1 + _Z**2 / count
    centre = (share + _Z**2 / (2 * count)) / scale
    half = _Z / scale * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
