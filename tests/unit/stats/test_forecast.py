"""Trends and crossings: exact where they can be, and covered as often as the intervals promise."""

from __future__ import annotations

import numpy as np
import pytest

from core.platform.errors import InputError
from core.stats import forecast
from core.stats.forecast import DAY

TIMES = np.arange(8) * 30 * DAY


def is_more_than_chance(trend: forecast.Trend) -> bool:
    return trend.slope_low > 0 or trend.slope_high < 0


def test_an_exact_line_crosses_exactly() -> None:
    trend = forecast.trend(TIMES, 0.60 + 0.0001 * TIMES / DAY, low=0.5, high=0.65, now=0.0)
    assert is_more_than_chance(trend)
    for moment in (trend.crossing, trend.crossing_low, trend.crossing_high):
        assert moment == pytest.approx(500 * DAY)
    falling = forecast.trend(TIMES, 0.60 - 0.0001 * TIMES / DAY, low=0.5, high=0.65, now=0.0)
    assert falling.crossing == pytest.approx(1000 * DAY)
    assert falling.limit == 0.5


def test_without_a_trend_or_a_limit_there_is_no_crossing() -> None:
    flat = forecast.trend(TIMES, np.full(8, 0.6), low=0.5, high=0.65, now=0.0)
    assert (flat.crossing, flat.slope_low, flat.slope_high) == (None, 0.0, 0.0)
    free = forecast.trend(TIMES, 0.6 + 0.001 * TIMES / DAY, low=0.5, high=None, now=0.0)
    assert is_more_than_chance(free)
    assert free.crossing is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    slope, limit, rounds = 0.0004, 0.75, 1500
    truth = (limit - 0.6) / slope * DAY
    in_slope = in_range = with_range = 0
    for _ in range(rounds):
        values = 0.6 + slope * TIMES / DAY + rng.normal(0, 0.008, len(TIMES))
        trend = forecast.trend(TIMES, values, low=None, high=limit, now=0.0)
        in_slope += trend.slope_low <= slope <= trend.slope_high
        if trend.crossing_low is not None and trend.crossing_high is not None:
            with_range += 1
            in_range += trend.crossing_low <= truth <= trend.crossing_high
    # four standard errors of a share of 0.95
    reach = 4 * np.sqrt(0.95 * 0.05 / rounds)
    assert abs(in_slope / rounds - 0.95) < reach
    assert with_range > 0.99 * rounds
    assert abs(in_range / with_range - 0.95) < reach


def test_a_flat_course_rarely_shows_a_trend() -> None:
    rng = np.random.default_rng(6)
    trends = [
        forecast.trend(TIMES, rng.normal(0.6, 0.01, 8), low=0.5, high=0.7, now=0.0)
        for _ in range(1500)
    ]
    share = np.mean([is_more_than_chance(trend) for trend in trends])
    assert abs(share - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 1500)


def test_the_band_meets_the_limit_where_the_range_ends() -> None:
    values = 0.6 + 0.0004 * TIMES / DAY + np.array([1, -1, 2, -2, 1, 0, -1, 1]) * 0.004
    trend = forecast.trend(TIMES, values, low=None, high=0.75, now=0.0)
    ends = forecast.band(TIMES, values, [trend.crossing_low, trend.crossing_high])
    assert ends["high"].iloc[0] == pytest.approx(0.75)
    assert ends["low"].iloc[1] == pytest.approx(0.75)


@pytest.mark.parametrize("times", [[0.0, DAY], [DAY, DAY, DAY]])
def test_too_few_moments_are_refused(times: list[float]) -> None:
    with pytest.raises(InputError, match="different moments"):
        forecast.trend(times, [0.6] * len(times), low=None, high=1.0, now=0.0)
