"""A shot chart: the half court to scale, and shots gathered in hexagons on it.

Lengths are in tenths of a foot from the centre of the hoop: x across the court, y up the court.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.logic.style import PALETTE, legible

if TYPE_CHECKING:
    import altair as alt

# The NBA's measures as its own shot coordinates have them: 50 by 47 feet, backboard 4 ft from the
# baseline. The league's data puts the hoop 9 inches in front of the board; the rule book says 15.
SIDE = 250.0
BASELINE, HALF = -47.5, 422.5
THREE_RADIUS, THREE_CORNER = 237.5, 220.0
FREE_THROW = 142.5
# Pixels per tenth of a foot, the same in both directions: 440 fit beside an open sidebar at 800.
SCALE = 0.88
# Distance between the centres of neighbouring bins.
SIZE = 20.0
# A bin with fewer labels than this shows no rate: its standard error is above 12 points.
MIN_LABELS = 15
# Rates further from the average than this (points of share) share the strongest colour.
RATE_SPAN = 0.2
_HEXAGON = "M0,-1L0.866,-0.5L0.866,0.5L0,1L-0.866,0.5L-0.866,-0.5Z"

Floats = npt.NDArray[np.float64]


def half_court() -> pd.DataFrame:
    """Return the lines of an NBA half court as points to be joined.

    Returns
    -------
    DataFrame
        Columns `part` (points of one part make one line), `order`, `x`, `y`, `dashed`.

    Examples
    --------
    >>> court = half_court()
    >>> three = court[court["part"] == "three-point line"]
    >>> three["x"].abs().max(), float(three["y"].max())
    (220.0, 237.5)
    """
    corner = math.acos(THREE_CORNER / THREE_RADIUS)
    three = _arc(0, 0, THREE_RADIUS, corner, math.pi - corner)
    lines: dict[str, list[tuple[float, float]]] = {
        "boundary": [
            (-SIDE, HALF), (-SIDE, BASELINE), (SIDE, BASELINE), (SIDE, HALF), (-SIDE, HALF),
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
    }  # fmt: skip
    rows = [
        (part, order, float(x), float(y), part.endswith("inside"))
        for part, points in lines.items()
        for order, (x, y) in enumerate(points)
    ]
    return pd.DataFrame(rows, columns=["part", "order", "x", "y", "dashed"])


def bin_shots(
    frame: pd.DataFrame,
    x: str,
    y: str,
    label: str | None = None,
    *,
    size: float = SIZE,
    min_labels: int = MIN_LABELS,
) -> pd.DataFrame:
    """Gather the shots of the half court in hexagons.

    Parameters
    ----------
    frame : DataFrame
        A row per shot; it is not changed.
    x, y : str
        Columns of the place.
    label : str, optional
        Column of 1 made, 0 missed; may have missing values.
    size : float
        Distance between the centres of two neighbours, tenths of a foot.
    min_labels : int
        A bin with fewer labels has no rate.

    Returns
    -------
    DataFrame
        A row per bin with shots: `x`, `y` of its centre, `shots`, `labelled`, `made`, `make_rate`
        (NaN where labels are few), `distance` of its centre from the hoop in feet. Shots beyond
        the half court or without a place are in no bin.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shots = pd.DataFrame({"x": rng.normal(0, 3, 50), "y": 60.0, "made": [1, 0] * 25})
    >>> bin_shots(shots, "x", "y", "made", size=40)[["shots", "make_rate"]].values.tolist()
    [[50.0, 0.5]]
    """
    across = frame[x].to_numpy(dtype=float)
    along = frame[y].to_numpy(dtype=float)
    labels = np.full(len(frame), np.nan) if label is None else frame[label].to_numpy(dtype=float)
    inside = (np.abs(across) <= SIDE) & (along >= BASELINE) & (along <= HALF)
    centre_x, centre_y = _hexagons(across[inside], along[inside], size)
    shots = pd.DataFrame({"x": centre_x, "y": centre_y, "label": labels[inside]})
    grouped = shots.groupby(["x", "y"], as_index=False)
    bins = grouped.agg(shots=("label", "size"), labelled=("label", "count"), made=("label", "sum"))
    enough = bins["labelled"] >= max(min_labels, 1)
    bins["make_rate"] = (bins["made"] / bins["labelled"]).where(enough)
    bins["made"] = bins["made"].astype("int64")
    bins["distance"] = np.hypot(bins["x"], bins["y"]) / 10
    bins.attrs["size"] = size
    return bins


def shot_chart(
    bins: pd.DataFrame,
    average: float | None,
    *,
    size: float | None = None,
    title: str | None = None,
) -> alt.LayerChart:
    """Draw bins on the half court: coloured by make rate against the average, sized by shots.

    The drawing is to scale and has a fixed size (about 450 by 500 pixels with its legend); show it
    at its own width. The court is its axis: lengths stand in the tooltip, in feet.

    Parameters
    ----------
    bins : DataFrame
        As `bin_shots` returns them.
    average : float or None
        Make rate, 0 to 1, that the middle colour stands for. None, or NaN as the mean of no
        labels is, shows only where shots fall.
    size : float, optional
        The size `bin_shots` was given, when `bins` no longer carries it.
    title : str, optional

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shots = pd.DataFrame({"x": rng.normal(0, 90, 500), "y": rng.normal(90, 60, 500)})
    >>> shots["made"] = rng.integers(0, 2, 500)
    >>> chart = shot_chart(bin_shots(shots, "x", "y", "made"), 0.5)
    >>> chart.to_dict()["width"], chart.to_dict()["height"]
    (440, 414)
    """
    import altair as alt

    if average is not None and math.isnan(average):
        average = None
    wide, high = [-SIDE, SIDE], [BASELINE, HALF]
    place: dict[str, Any] = {
        "x": alt.X("x:Q", axis=None, scale=alt.Scale(domain=wide, nice=False, zero=False)),
        "y": alt.Y("y:Q", axis=None, scale=alt.Scale(domain=high, nice=False, zero=False)),
    }
    lines = half_court()
    court = [
        alt.Chart(lines[lines["dashed"] == dashed])
        .mark_line(
            color=PALETTE["line"], strokeWidth=1.5, strokeDash=[6, 5] if dashed else [1, 0],
            tooltip=None,
        )
        .encode(**place, detail="part:N", order="order:Q")
        for dashed in (False, True)
    ]  # fmt: skip
    spacing = float(bins.attrs.get("size", SIZE)) if size is None else size
    layers = _bin_layers(bins, average, spacing * SCALE, place)
    chart = alt.LayerChart(layer=[*layers, *court]).properties(
        width=round(2 * SIDE * SCALE),
        height=round((HALF - BASELINE) * SCALE),
        # the court keeps its size whatever stands beside it: a foot is as long up as across
        autosize=alt.AutoSizeParams(type="pad", contains="content"),
        description=title or "Shots on the half court, seen from above; the hoop is at the bottom",
    )
    if title:
        chart = chart.properties(title=alt.TitleParams(title, anchor="start"))
    return legible(chart, stroke=None)


def _bin_layers(
    bins: pd.DataFrame, average: float | None, spacing: float, place: dict[str, Any]
) -> list[alt.Chart]:
    import altair as alt

    # area goes with the count up to a cap: at the hoop one bin holds a hundred times the others
    cap = max(float(bins["shots"].quantile(0.95)) if len(bins) else 1.0, 2.0)
    largest = 4 / 3 * (0.94 * spacing) ** 2
    steps = sorted({1, max(1, round(cap / 4)), max(1, round(cap))})
    sizes = alt.Size(
        "shots:Q",
        title="Shots in bin",
        scale=alt.Scale(domain=[0, cap], range=[largest * 0.06, largest], clamp=True),
        legend=alt.Legend(
            values=steps,
            orient="bottom",
            symbolType=_HEXAGON,
            symbolFillColor=PALETTE["neutral"],
            symbolStrokeColor="transparent",
            labelExpr=f"datum.value >= {steps[-1]} ? '{steps[-1]:,} or more' : datum.label",
        ),
    )
    tooltip = [
        alt.Tooltip("distance:Q", title="Distance from the hoop (ft)", format=".0f"),
        alt.Tooltip("shots:Q", title="Shots", format=","),
    ]
    if average is not None:
        tooltip += [
            alt.Tooltip("made:Q", title="Made", format=","),
            alt.Tooltip("labelled:Q", title="Shots with a label", format=","),
            alt.Tooltip("make_rate:Q", title="Make rate", format=".1%"),
        ]
    mark: dict[str, Any] = {"shape": _HEXAGON, "filled": True, "opacity": 1, "strokeWidth": 0}
    if average is None:
        drawn = alt.Chart(bins).mark_point(**mark, color=PALETTE["accent"])
        return [drawn.encode(**place, size=sizes, tooltip=tooltip)]
    low, high = max(average - RATE_SPAN, 0.0), min(average + RATE_SPAN, 1.0)
    colour = alt.Color(
        "make_rate:Q",
        title=f"Make rate (grey: {average:.0%})",
        scale=alt.Scale(
            domain=[low, average, high],
            range=[PALETTE["below"], PALETTE["average"], PALETTE["above"]],
            clamp=True,
            interpolate="lab",
        ),
        legend=alt.Legend(
            format=".0%",
            values=[low, high],
            orient="bottom",
            gradientLength=130,
            labelExpr=f"(datum.value < {average:.6f} ? '≤ ' : '≥ ') + datum.label",
        ),
    )
    known, few = bins[bins["make_rate"].notna()], bins[bins["make_rate"].isna()]
    rated = alt.Chart(known).mark_point(**mark)
    layers = [rated.encode(**place, size=sizes, color=colour, tooltip=tooltip)]
    if len(few):
        # hollow, so that they are not taken for bins at the average
        hollow = alt.Chart(few.assign(note="few labels")).mark_point(
            shape=_HEXAGON, filled=False, opacity=1, strokeWidth=1
        )
        note = alt.Stroke(
            "note:N",
            title=None,
            scale=alt.Scale(range=[PALETTE["neutral"]]),
            legend=alt.Legend(
                orient="bottom",
                symbolType=_HEXAGON,
                symbolFillColor="transparent",
                symbolStrokeWidth=1,
                symbolSize=150,
            ),
        )
        layers.append(hollow.encode(**place, size=sizes, stroke=note, tooltip=tooltip))
    return layers


def _arc(x: float, y: float, radius: float, start: float, end: float) -> list[tuple[float, float]]:
    angles = np.linspace(start, end, 61)
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _hexagons(x: Floats, y: Floats, size: float) -> tuple[Floats, Floats]:
    """Return the centre of the hexagon that holds each point.

    The centres are two rectangular lattices, one shifted by half a cell: the nearer one wins. A
    centre lies on the hoop.
    """
    tall = size * math.sqrt(3)
    first_x, first_y = np.round(x / size) * size, np.round(y / tall) * tall
    second_x = (np.floor(x / size) + 0.5) * size
    second_y = (np.floor(y / tall) + 0.5) * tall
    first = np.hypot(x - first_x, y - first_y) <= np.hypot(x - second_x, y - second_y)
    # rounded, so that equal centres are equal numbers
    return (
        np.round(np.where(first, first_x, second_x), 6),
        np.round(np.where(first, first_y, second_y), 6),
    )
