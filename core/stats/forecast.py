"""Linear trend of a metric, and when it will cross its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.platform.errors import InputError
from core.platform.messages import Message, sentences
from core.stats.metrics import Floats

DAY = 86_400.0
# two points leave no residual to estimate chance from
MIN_POINTS = 3
# too far ahead for a straight line, and for a date
FAR_DAYS = 3_650.0
# relative to the values: anything smaller is rounding
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Trend:
    """A linear trend, and when it crosses the limit that it approaches.

    Parameters
    ----------
    slope_per_day, slope_low, slope_high : float
        Slope with its interval.
    crossing, crossing_low, crossing_high : float or None
        When the line crosses the limit, with its range, in seconds since 1970; None if the slope
        may be chance, or no limit is ahead. In the past if the line is already beyond its limit.
    text : Message
        The result in a sentence or two.
    limit : float or None
        The limit that the line approaches.
    """

    slope_per_day: float
    slope_low: float
    slope_high: float
    crossing: float | None
    crossing_low: float | None
    crossing_high: float | None
    text: Message
    limit: float | None = None


@dataclass(frozen=True)
class _Line:
    """A least-squares line: mean time (days), mean value, slope, and residual spread."""

    start: float
    centre: float
    mean: float
    slope: float
    spread: float  # sum of squared deviations of the times from their mean
    noise: float  # standard deviation of a value around the line
    points: int
    reach: float  # Student's t


def trend(
    times: Sequence[float] | Floats,
    values: Sequence[float] | Floats,
    *,
    low: float | None,
    high: float | None,
    now: float,
    confidence: float = 0.95,
) -> Trend:
    """Fit a least-squares line and return when it will cross its limit.

    The interval of the slope is Student's t with n - 2 degrees of freedom; the range of the
    crossing is Fieller's (1954; Draper and Smith, Applied Regression Analysis, 3rd ed., 3.2): all
    times at which a line consistent with the values may cross the limit. It is finite exactly if
    the slope is significant. Residuals are assumed independent with equal variance.

    Parameters
    ----------
    times : sequence of float
        Seconds since 1970; three or more, not all the same.
    values : sequence of float
        One per time.
    low, high : float or None
        The value is beyond its limit below `low` and above `high`.
    now : float
        Seconds since 1970; only for the text.
    confidence : float
        Of both intervals, above 0 and below 1.

    Raises
    ------
    InputError
        If there are fewer than three points, or all have the same time.

    Examples
    --------
    >>> days = [0, 1, 2, 3]
    >>> line = trend([d * DAY for d in days], [0.60, 0.61, 0.62, 0.63], low=None, high=0.66, now=0)
    >>> round(line.slope_per_day, 4), round(line.crossing / DAY, 4)
    (0.01, 6.0)
    >>> flat = trend([d * DAY for d in days], [0.60, 0.62, 0.59, 0.61], low=None, high=0.66, now=0)
    >>> str(flat.text)
    'No trend beyond chance: +0 a day (95% interval -0.03 to +0.03).'
    """
    line = _fit(times, values, confidence)
    error = line.noise / np.sqrt(line.spread)
    slope, reach = line.slope, line.reach * error
    slope_low, slope_high = slope - reach, slope + reach
    rate: dict[str, Any] = {
        "slope": slope,
        "percent": 100 * confidence,
        "low": slope_low,
        "high": slope_high,
    }
    if not (slope_low > 0 or slope_high < 0):
        text = Message(
            "No trend beyond chance: {slope:+.2g} a day ({percent:.3g}% interval {low:+.2g} to "
            "{high:+.2g}).",
            **rate,
        )
        return Trend(slope, slope_low, slope_high, None, None, None, text)
    change = Message(
        "It changes by {slope:+.2g} a day ({percent:.3g}% interval {low:+.2g} to {high:+.2g}).",
        **rate,
    )
    limit = high if slope > 0 else low
    if limit is None:
        return Trend(slope, slope_low, slope_high, None, None, None, change)
    at, first, last = _crossing(line, limit)
    text = sentences(change, _when(at, first, last, now, limit))
    return Trend(slope, slope_low, slope_high, at, first, last, text, limit)


def band(
    times: Sequence[float] | Floats,
    values: Sequence[float] | Floats,
    at: Sequence[float] | Floats,
    *,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return the line and its confidence band at other times: `time`, `value`, `low`, `high`.

    The band crosses a limit where Fieller's range of `trend` ends.

    Raises
    ------
    InputError
        As `trend` does.

    Examples
    --------
    >>> band([0, DAY, 2 * DAY], [1, 2, 3], [4 * DAY])[["value", "low"]].round(6).to_numpy().tolist()
    [[5.0, 5.0]]
    """
    line = _fit(times, values, confidence)
    moments = np.asarray(at, dtype=np.float64)
    away = (moments - line.start) / DAY - line.centre
    middle = line.mean + line.slope * away
    reach = line.reach * line.noise * np.sqrt(1 / line.points + away**2 / line.spread)
    return pd.DataFrame(
        {"time": moments, "value": middle, "low": middle - reach, "high": middle + reach}
    )


def _fit(
    times: Sequence[float] | Floats, values: Sequence[float] | Floats, confidence: float
) -> _Line:
    from scipy import stats

    moments = np.asarray(times, dtype=np.float64)
    numbers = np.asarray(values, dtype=np.float64)
    if len(moments) < MIN_POINTS or moments.min() == moments.max():
        raise InputError(
            Message(
                "A trend needs {min_points} windows or more, of different moments.",
                min_points=MIN_POINTS,
            )
        )
    start = float(moments.min())
    days = (moments - start) / DAY
    centre, mean = float(days.mean()), float(numbers.mean())
    spread = float(((days - centre) ** 2).sum())
    slope = float(((days - centre) * (numbers - mean)).sum() / spread)
    rest = numbers - mean - slope * (days - centre)
    freedom = len(numbers) - 2
    noise = float(np.sqrt((rest**2).sum() / freedom))
    size = max(float(np.abs(numbers).max()), 1e-300)
    if noise < _ROUNDING * size:
        noise = 0.0
    if abs(slope) * float(np.ptp(days)) < _ROUNDING * size:
        slope = 0.0
    reach = float(stats.t.ppf(0.5 + confidence / 2, freedom))
    return _Line(start, centre, mean, slope, spread, noise, len(numbers), reach)


def _crossing(line: _Line, limit: float) -> tuple[float, float, float]:
    """Return the crossing with Fieller's range; the slope must be significant."""
    away = limit - line.mean
    wide = (line.reach * line.noise) ** 2
    a = line.slope**2 - wide / line.spread
    b = line.slope * away
    root = np.sqrt(max(b**2 - a * (away**2 - wide / line.points), 0.0))
    ends = sorted(((b - root) / a, (b + root) / a))
    at = away / line.slope

    def moment(days: float) -> float:
        return line.start + (line.centre + float(days)) * DAY

    return moment(at), moment(ends[0]), moment(ends[1])


def _when(at: float, first: float, last: float, now: float, limit: float) -> Message:
    """Return when a limit is crossed, relative to now."""
    days, earliest, latest = ((moment - now) / DAY for moment in (at, first, last))
    if days <= 0:
        return Message("The trend is already beyond the limit {limit:.4g}.", limit=limit)
    if latest >= FAR_DAYS:
        return Message(
            "It reaches the limit {limit:.4g} in {low:,.0f} days at the earliest, perhaps in more "
            "than ten years.",
            limit=limit,
            low=max(earliest, 0.0),
        )
    return Message(
        "It reaches the limit {limit:.4g} in {days:,.0f} days ({low:,.0f} to {high:,.0f}).",
        limit=limit,
        days=days,
        low=max(earliest, 0.0),
        high=latest,
    )
