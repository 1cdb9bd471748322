"""Makes values equal that differ only by floating-point representation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

# Relative error of arithmetic in double precision: 0.1 + 0.2 is off by 2e-16.
ROUNDING = 1e-11
# The same if one side has been rounded to single precision (half a unit in the last place).
SINGLE = 2.0**-24
_FEW = 16

Floats = npt.NDArray[np.float64]


def aligned(reference: npt.ArrayLike, current: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides, with values that differ only by representation made equal.

    A value is replaced by the nearest reference value within a relative tolerance of 1e-11, or of
    6e-8 (rounding to single precision) if exactly one side holds only single-precision numbers.
    Near 0 the tolerance is relative to the reference's median. Whole numbers are compared exactly.

    Parameters
    ----------
    reference, current : array of float
        NaN and infinity are allowed and unchanged.

    Examples
    --------
    >>> old, new = aligned([0.1, 0.3], [0.1 + 0.2, np.float32(0.1), 0.2])
    >>> new.tolist() == [0.3, float(np.float32(0.1)), 0.2]
    True
    >>> aligned([0.1, 0.3], np.array([0.1, 0.3], dtype=np.float32))[1].tolist()
    [0.1, 0.3]
    """
    known = Known(np.asarray(reference, dtype=np.float64))
    return known.values, known.aligned(np.asarray(current, dtype=np.float64))


class Known:
    """The values of a reference, prepared for aligning others to them.

    Attributes
    ----------
    values : array of float
        The given values, made equal where they differ only by representation.
    is_unchanged : bool
        Whether none of them had to be made equal.
    """

    def __init__(self, values: Floats) -> None:
        known = np.sort(values[np.isfinite(values)])
        if known.size:
            known = known[np.r_[True, known[1:] != known[:-1]]]
        self._is_whole, self._is_single = _are_whole(known), _are_single(known)
        sizes = np.abs(known)
        self._scale = _median(sizes) if known.size else 0.0
        apart = known[1:] - known[:-1] > ROUNDING * np.maximum(sizes[1:], self._scale)
        self._known = known[np.r_[True, apart]] if known.size else known
        self.is_unchanged = self._is_whole or len(self._known) == len(known)
        self.values = values if self.is_unchanged else self._snapped(values, ROUNDING)

    def aligned(self, current: Floats) -> Floats:
        """Align other values to these, as `aligned` does."""
        if not self._known.size or (self._is_whole and _are_whole(current)):
            return current
        width = SINGLE if self._is_single != _are_single(current) else ROUNDING
        return self._snapped(current, width)

    def _snapped(self, values: Floats, width: float) -> Floats:
        known = self._known
        above = np.minimum(np.searchsorted(known, values), len(known) - 1)
        high, low = known[above], known[np.maximum(above - 1, 0)]
        with np.errstate(invalid="ignore", over="ignore"):
            gap_high, gap_low = np.abs(values - high), np.abs(values - low)
            near = width * np.maximum(np.abs(values), self._scale)
            is_near = (np.minimum(gap_high, gap_low) <= near) & np.isfinite(values)
        return np.where(is_near, np.where(gap_high <= gap_low, high, low), values)


def aligned_frame(
    reference: pd.DataFrame, current: pd.DataFrame, columns: list[str]
) -> pd.DataFrame:
    """Return current rows with their numbers aligned to the reference; text columns are unchanged.

    Examples
    --------
    >>> old, new = (pd.DataFrame({"x": [value], "t": ["a"]}) for value in (0.3, 0.1 + 0.2))
    >>> aligned_frame(old, new, ["x", "t"])["x"].tolist()
    [0.3]
    """
    changed = {}
    for name in columns:
        if all(pd.api.types.is_numeric_dtype(side[name]) for side in (reference, current)):
            pair = [
                side[name].to_numpy(np.float64, na_value=np.nan) for side in (reference, current)
            ]
            changed[name] = aligned(*pair)[1]
    return current[columns].assign(**changed)


def _median(values: Floats) -> float:
    """Return the median as NumPy does, which takes longer to find it."""
    ordered = np.sort(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return float(ordered[middle])
    return float((ordered[middle - 1] + ordered[middle]) / 2)


def _are_whole(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    # the first ones mostly say it
    return all(np.all(some == np.trunc(some)) for some in (finite[:_FEW], finite))


def _are_single(values: Floats) -> bool:
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        return all(
            np.all(some.astype(np.float32).astype(np.float64) == some)
            for some in (finite[:_FEW], finite)
        )
