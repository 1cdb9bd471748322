"""The half court to scale: its lines and axes.

Lengths are in tenths of a foot from the centre of the hoop: x across the court, y up the court.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.stats.charts.style import PALETTE, layered

if TYPE_CHECKING:
    import altair as alt

# The NBA's dimensions as in its shot coordinates: 50 by 47 feet, backboard 4 ft from the
# baseline. The league's data puts the hoop 9 inches in front of the board; the rule book says 15.
SIDE = 250.0
BASELINE, HALF = -47.5, 422.5
THREE_RADIUS, THREE_CORNER = 237.5, 220.0
FREE_THROW = 142.5
# Pixels per tenth of a foot in both directions: 440 fit next to an open sidebar at 800.
SCALE = 0.88


def lines() -> pd.DataFrame:
    """Return the lines of an NBA half court as polylines.

    Returns
    -------
    DataFrame
        Columns `part` (one line each), `order`, `x`, `y`, `dashed`.

    Examples
    --------
    >>> court = lines()
    >>> three = court[court["part"] == "three-point line"]
    >>> three["x"].abs().max(), float(three["y"].max())
    (220.0, 237.5)
    """
    corner = math.acos(THREE_CORNER / THREE_RADIUS)
    three = _arc(0, 0, THREE_RADIUS, corner, math.pi - corner)
    lines: dict[str, list[tuple[float, float]]] = {
        "boundary": [
            (-SIDE, HALF),
            (-SIDE, BASELINE),
            (SIDE, BASELINE),
            (SIDE, HALF),
            (-SIDE, HALF),
        ],
        "three-point line": [(THREE_CORNER, BASELINE), *three, (-THREE_CORNER, BASELINE)],
        "key": [(80, BASELINE), (80, FREE_THROW), (-80, FREE_THROW), (-80, BASELINE)],
        "free throw circle": _arc(0, FREE_THROW, 60, 0, math.pi),
        "free throw circle, inside": _arc(0, FREE_THROW, 60, math.pi, 2 * math.pi),
        "restricted arc": [(40, -7.5), *_arc(0, 0, 40, 0, math.pi), (-40, -7.5)],
        "backboard": [(-30, -7.5), (30, -7.5)],
        "hoop": _arc(0, 0, 7.5, 0, 2 * math.pi),
        "centre circle": _arc(0, HALF, 60, math.pi, 2 * math.pi),
        "centre circle, inner": _arc(0, HALF, 20, math.pi, 2 * math.pi),
    }
    rows = [
        (part, order, float(x), float(y), part.endswith("inside"))
        for part, points in lines.items()
        for order, (x, y) in enumerate(points)
    ]
    return pd.DataFrame(rows, columns=["part", "order", "x", "y", "dashed"])


def axes(x: str = "x", y: str = "y") -> dict[str, Any]:
    """Return the encodings that position a mark on the half court by two fields."""
    import altair as alt

    wide, high = [-SIDE, SIDE], [BASELINE, HALF]
    return {
        "x": alt.X(f"{x}:Q", axis=None, scale=alt.Scale(domain=wide, nice=False, zero=False)),
        "y": alt.Y(f"{y}:Q", axis=None, scale=alt.Scale(domain=high, nice=False, zero=False)),
    }


def on_the_court(layers: list[alt.Chart], description: str) -> alt.LayerChart:
    """Draw layers under the lines of the half court, to scale and with a fixed size."""
    import altair as alt

    court = lines()
    drawn = [
        alt.Chart(court[court["dashed"] == dashed])
        .mark_line(
            color=PALETTE["line"],
            strokeWidth=1.5,
            strokeDash=[6, 5] if dashed else [1, 0],
            tooltip=None,
        )
        .encode(**axes(), detail=alt.Detail("part:N"), order=alt.Order("order:Q"))
        for dashed in (False, True)
    ]
    return layered(
        [*layers, *drawn],
        view=alt.ViewConfig(stroke=None),
        width=round(2 * SIDE * SCALE),
        height=round((HALF - BASELINE) * SCALE),
        # the court keeps its size next to other elements: a foot is as long up as across
        autosize=alt.AutoSizeParams(type="pad", contains="content"),
        description=description,
    )


def _arc(x: float, y: float, radius: float, start: float, end: float) -> list[tuple[float, float]]:
    angles = np.linspace(start, end, 61)
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
