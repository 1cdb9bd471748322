"""The league's zones of the half court, from positions in tenths of a foot from the hoop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Places = Ints | Floats
BASICS = (
    "Restricted Area",
    "In The Paint (Non-RA)",
    "Backcourt",
    "Left Corner 3",
    "Right Corner 3",
    "Above the Break 3",
    "Mid-Range",
)
AREAS = (
    "Back Court(BC)",
    "Center(C)",
    "Left Side Center(LC)",
    "Right Side Center(RC)",
    "Left Side(L)",
    "Right Side(R)",
)
RANGES = ("Back Court Shot", "24+ ft.", "Less Than 8 ft.", "8-16 ft.", "16-24 ft.")
SHOT_TYPES = ("2PT Field Goal", "3PT Field Goal")


def zone_columns(x: Places, y: Places) -> pd.DataFrame:
    """Return the columns that derive from a position by the league's zones.

    Parameters
    ----------
    x, y : array, shape (n,)
        Tenths of a foot from the hoop.

    Returns
    -------
    DataFrame
        `shot_zone_basic`, `shot_zone_area`, `shot_zone_range`, `shot_type`.

    Examples
    --------
    >>> zone_columns(np.array([0, 230]), np.array([0, 0]))["shot_zone_basic"].tolist()
    ['Restricted Area', 'Right Corner 3']
    """
    basic, area, reach = _zone_numbers(x, y)
    return pd.DataFrame(
        {
            "shot_zone_basic": np.array(BASICS, dtype=object)[basic],
            "shot_zone_area": np.array(AREAS, dtype=object)[area],
            "shot_zone_range": np.array(RANGES, dtype=object)[reach],
            "shot_type": np.array(SHOT_TYPES, dtype=object)[beyond(x, y).astype(int)],
        }
    )


def beyond(x: Places, y: Places) -> npt.NDArray[np.bool_]:
    """Return which positions, in tenths of a foot from the hoop, are three-point shots."""
    return ((np.abs(x) >= 220) & (y <= 87)) | (np.hypot(x, y) >= 237.5)


def _zone_numbers(x: Places, y: Places) -> tuple[Ints, Ints, Ints]:
    """Return the indices of each position's zone in BASICS, AREAS and RANGES."""
    far, angle = np.hypot(x, y), np.degrees(np.arctan2(x, y))
    side = np.abs(angle)
    corner = (np.abs(x) >= 220) & (y <= 87)
    three, back = beyond(x, y), y >= 397
    basic = np.select(
        [far < 40, (np.abs(x) <= 80) & (y <= 138), y >= 418, corner & (x < 0), corner, three],
        [0, 1, 2, 3, 4, 5],
        6,
    )
    reach = np.select([back, three, far < 80, far < 160], [0, 1, 2, 3], 4)
    centre = np.where(reach == 3, 30, np.where(reach == 2, 181, 18))
    wing = np.where(three, np.where(corner, 0, 181), np.where(reach == 4, 54, 0))
    area = np.select(
        [back, side <= centre, (side <= wing) & (x < 0), side <= wing, x < 0], [0, 1, 2, 3, 4], 5
    )
    return basic, area, reach


def zone_of(x: Ints, y: Ints, zones: Sequence[Sequence[Any]]) -> Ints:
    """Return the index of the zone (basic, area, range) of each position.

    Positions are in tenths of a foot from the hoop.

    Examples
    --------
    >>> from core.platform.project import sample_tables
    >>> zones = sample_tables("kobe")["zones"]
    >>> place = zone_of(np.array([0, -100]), np.array([0, 150]), zones)
    >>> [zones[number][1] for number in place]
    ['Center(C)', 'Left Side Center(LC)']
    """
    number = np.full((len(BASICS), len(AREAS), len(RANGES)), -1)
    for place, (a, b, c, *_) in enumerate(zones):
        number[BASICS.index(a), AREAS.index(b), RANGES.index(c)] = place
    placed: Ints = number[_zone_numbers(x, y)]
    return placed
