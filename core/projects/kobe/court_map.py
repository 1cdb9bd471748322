"""Positions on the court: columns derived from a position, and a model's probability everywhere.

Positions are in tenths of a foot from the hoop, as in `court`. Which columns derive from a position
is stated by the project file (`court`, `identities`) and the league's zones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Words, _
from core.platform.project import ProjectSpec
from core.projects.kobe import half_court
from core.projects.kobe.zones import beyond, zone_columns
from core.stats.charts.style import PALETTE

if TYPE_CHECKING:
    import altair as alt

# Side of a cell of the map: a foot, the resolution of distances.
CELL = 10.0
# A position has support if the model's own rows have one within three feet.
NEAR = 30.0
# Probabilities further from the threshold than this share the strongest colour.
SPAN = 0.2
# Name of the chart's selection by click.
CLICKED = "place"

Floats = npt.NDArray[np.float64]
# Predicts the probability of label 1 from raw columns.
Predict = Callable[[pd.DataFrame], Floats]


def place_columns(spec: ProjectSpec, inputs: Sequence[str]) -> tuple[str, ...]:
    """Return the inputs that derive from the position; none for a project without a court.

    Examples
    --------
    >>> from core.platform.project import load
    >>> place_columns(load("kobe"), ["lat", "lon", "period", "shot_distance", "shot_zone_area"])
    ('lat', 'lon', 'shot_distance', 'shot_zone_area')
    """
    if spec.court is None:
        return ()
    known = set(columns_at(spec, np.zeros(1), np.zeros(1)).columns)
    return tuple(name for name in inputs if name in known)


def columns_at(spec: ProjectSpec, x: Floats, y: Floats) -> pd.DataFrame:
    """Return all columns that derive from positions, one row per position.

    Parameters
    ----------
    x, y : array of float, shape (n,)
        Rounded to tenths of a foot if the position columns are whole numbers.

    Examples
    --------
    >>> from core.platform.project import load
    >>> columns = columns_at(load("kobe"), np.array([-157.0]), np.array([0.0]))
    >>> columns[["lon", "shot_distance", "shot_zone_basic"]].values.tolist()
    [[-118.4268, 15.0, 'Mid-Range']]
    """
    if spec.court is None:
        return pd.DataFrame(index=range(len(x)))
    places = pd.DataFrame({spec.court.x: x, spec.court.y: y}).astype("float64")
    whole = [name for name in (spec.court.x, spec.court.y) if spec.columns[name].type == "integer"]
    places[whole] = places[whole].round()
    columns = places.copy()
    for identity in spec.identities:
        if set(identity.columns) <= set(places):
            # rounded like the data, so that a position gives exactly the rows' number
            columns[identity.column] = places.eval(identity.formula, engine="python").round(6)
    zones = zone_columns(
        places[spec.court.x].to_numpy(dtype=np.float64),
        places[spec.court.y].to_numpy(dtype=np.float64),
    )
    return columns.join(zones[[name for name in zones if name in spec.columns]])


def place_of(spec: ProjectSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the position of each row: `x` and `y`, NaN if it cannot be derived.

    The position columns come first, then columns that are linear in one of them, such as a
    latitude.

    Examples
    --------
    >>> from core.platform.project import load
    >>> place_of(load("kobe"), pd.DataFrame({"lat": [33.9443], "lon": [-118.2698]})).values.tolist()
    [[0.0, 100.0]]
    """
    places = pd.DataFrame({"x": np.nan, "y": np.nan}, index=rows.index)
    if spec.court is None:
        return places
    for axis, name in (("x", spec.court.x), ("y", spec.court.y)):
        if name in rows:
            places[axis] = rows[name].astype("float64")
            continue
        for identity in spec.identities:
            if identity.columns != (name,) or identity.column not in rows:
                continue
            at = pd.DataFrame({name: [0.0, 50.0, 100.0]}).eval(identity.formula, engine="python")
            rise = float(at[2] - at[0]) / 100
            if rise and np.isclose(at[1], (at[0] + at[2]) / 2, rtol=0, atol=1e-9):
                places[axis] = ((rows[identity.column].astype("float64") - at[0]) / rise).round(
                    1
                ) + 0.0
                break
    return places


def grid() -> pd.DataFrame:
    """Return the centres of the square cells that cover the half court: `x`, `y`.

    One of them is the hoop.

    Examples
    --------
    >>> cells = grid()
    >>> len(cells), bool(((cells["x"] == 0) & (cells["y"] == 0)).any())
    (2303, True)
    """
    across = np.arange(-(half_court.SIDE // CELL) + 1, half_court.SIDE // CELL) * CELL
    low, high = np.ceil(half_court.BASELINE / CELL), np.floor(half_court.HALF / CELL)
    along = np.arange(low, high + 1) * CELL
    x, y = np.meshgrid(across, along)
    return pd.DataFrame({"x": x.ravel() + 0.0, "y": y.ravel() + 0.0})


def support(places: pd.DataFrame, known: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the number of known positions near each position.

    Parameters
    ----------
    places, known : DataFrame
        Columns `x`, `y`; known ones with a missing value are ignored.

    Examples
    --------
    >>> known = pd.DataFrame({"x": [0.0, 20.0, np.nan], "y": [0.0, 0.0, 0.0]})
    >>> support(pd.DataFrame({"x": [0.0, 45.0, 200.0], "y": 0.0}), known).tolist()
    [2, 1, 0]
    """
    from scipy.spatial import cKDTree

    points = known[["x", "y"]].dropna().to_numpy(dtype=np.float64)
    if not len(points):
        return np.zeros(len(places), dtype=np.int64)
    centres = places[["x", "y"]].to_numpy(dtype=np.float64)
    counts = cKDTree(points).query_ball_point(centres, NEAR, return_length=True)
    return np.asarray(counts, dtype=np.int64)


def probability_map(
    predict: Predict, spec: ProjectSpec, row: pd.DataFrame, known: pd.DataFrame
) -> pd.DataFrame:
    """Return the predicted probability at every position, with all else as in one row.

    Parameters
    ----------
    row : DataFrame
        One row of the model's inputs.
    known : DataFrame
        Rows of the model's own data, with the same columns.

    Returns
    -------
    DataFrame
        `x`, `y`, `probability`, `rows` (known rows within three feet, on the same side of the
        three-point line), `is_beyond` (beyond that line). Empty if no input derives from the
        position.

    Examples
    --------
    >>> from core.platform.project import load
    >>> row = pd.DataFrame({"shot_distance": [10.0], "period": [1.0]})
    >>> cells = probability_map(
    ...     lambda rows: 1 / (1 + rows["shot_distance"].to_numpy()), load("kobe"), row,
    ...     pd.DataFrame({"loc_x": [0], "loc_y": [0]}))
    >>> at_hoop = cells[(cells["x"] == 0) & (cells["y"] == 0)]
    >>> at_hoop[["probability", "rows"]].values.tolist(), int((cells["rows"] > 0).sum())
    ([[1.0, 1.0]], 29)
    """
    followers = list(place_columns(spec, [str(name) for name in row.columns]))
    cells = grid()
    if not followers:
        return cells.head(0).assign(
            probability=np.empty(0), rows=np.empty(0, dtype=np.int64), is_beyond=np.empty(0, bool)
        )
    at = columns_at(spec, cells["x"].to_numpy(), cells["y"].to_numpy())
    inputs = row.iloc[np.zeros(len(cells), dtype=np.int64)].reset_index(drop=True)
    inputs[followers] = at[followers]
    places = place_of(spec, known)
    cells_beyond, places_beyond = (
        beyond(frame["x"].to_numpy(), frame["y"].to_numpy()) for frame in (cells, places)
    )
    # shots across the line count differently: rows on the other side say nothing about this one
    rows = np.where(
        cells_beyond, support(cells, places[places_beyond]), support(cells, places[~places_beyond])
    )
    return cells.assign(probability=predict(inputs), rows=rows, is_beyond=cells_beyond)


def distance_sentence(place: tuple[float, float]) -> str:
    """Return a sentence on the distance to the hoop.

    Examples
    --------
    >>> distance_sentence((30.0, 40.0))
    '5.0 ft from the hoop.'
    """
    return _("{distance:.1f} ft from the hoop.", distance=np.hypot(*place) / 10)


def support_sentences(
    cells: pd.DataFrame, place: tuple[float, float], rows_name: Words
) -> list[str]:
    """Return sentences on where the map, and the chosen position, lack rows of the model's data.

    Parameters
    ----------
    cells : DataFrame
        From `probability_map`, with at least one row.

    Examples
    --------
    >>> cells = pd.DataFrame({"x": [0.0, 230.0], "y": 0.0, "probability": 0.5, "rows": [3, 0]})
    >>> for sentence in support_sentences(cells, (230.0, 0.0), "2-point shots"):
    ...     print(sentence)
    None of the model's 2-point shots lies within 3 feet of this position: the prediction is
     extrapolated.
    50% of the court, faded, has none of the model's rows nearby: the map is extrapolated
     there.
    """
    distance = np.hypot(cells["x"].to_numpy() - place[0], cells["y"].to_numpy() - place[1])
    nearest = int(distance.argmin())
    sentences = []
    if distance[nearest] > CELL or cells["rows"].iloc[nearest] == 0:
        sentences.append(
            _(
                "None of the model's {rows} lies within {feet:.0f} feet of this position: the "
                "prediction is extrapolated.",
                rows=rows_name,
                feet=NEAR / 10,
            )
        )
    if (share := float((cells["rows"] == 0).mean())) > 0:
        sentences.append(
            _(
                "{share:.0%} of the court, faded, has none of the model's rows nearby: the "
                "map is extrapolated there.",
                share=share,
            )
        )
    return sentences


def court_chart(
    cells: pd.DataFrame | None,
    place: tuple[float, float] | None,
    *,
    threshold: float = 0.5,
    positive: Words = "made",
    clickable: bool = True,
) -> alt.LayerChart:
    """Draw a clickable half court, coloured by probability if a map is given.

    Cells without support are pale. A click selects a cell, returned as `x` and `y` under the name
    `CLICKED`.

    Parameters
    ----------
    cells : DataFrame or None
        From `probability_map`.
    place : tuple of float or None
        Marked with a ring and a cross.
    threshold : float
        Probability of the middle colour, at which the label changes.

    Examples
    --------
    >>> drawn = court_chart(None, (0.0, 100.0)).to_dict()
    >>> drawn["width"], drawn["params"][0]["name"]
    (440, 'place')
    """
    import altair as alt

    base = grid() if cells is None else cells[["x", "y", "probability", "rows"]].round(4)
    half = CELL / 2
    drawn = base.assign(
        left=base["x"] - half,
        right=base["x"] + half,
        low=base["y"] - half,
        high=base["y"] + half,
        distance=np.hypot(base["x"], base["y"]).round() / 10,
    )
    tooltip = [alt.Tooltip("distance:Q", title=_("Distance from the hoop (ft)"), format=".1f")]
    corners = {**half_court.axes("left", "low"), "x2": alt.X2("right:Q"), "y2": alt.Y2("high:Q")}
    marks = alt.Chart(drawn).mark_rect(clip=True, cursor="pointer" if clickable else "default")
    if cells is None:
        # not fully transparent: some browsers do not hover over invisible marks
        squares = marks.encode(**corners, tooltip=tooltip, opacity=alt.value(0.04))
    else:
        title = _("Probability of {positive}", positive=positive)
        tooltip += [
            alt.Tooltip("probability:Q", title=title, format=".1%"),
            alt.Tooltip("rows:Q", title=_("The model's rows within 3 ft"), format=","),
        ]
        low, high = max(threshold - SPAN, 0.0), min(threshold + SPAN, 1.0)
        squares = marks.encode(
            **corners,
            tooltip=tooltip,
            color=alt.Color(
                "probability:Q",
                title=_("{rate} (grey: {average:.0%})", rate=title, average=threshold),
                scale=alt.Scale(
                    domain=[low, threshold, high],
                    range=[PALETTE["below"], PALETTE["average"], PALETTE["above"]],
                    clamp=True,
                    interpolate="lab",
                ),
                legend=alt.Legend(
                    orient="bottom",
                    format=".0%",
                    values=[low, threshold, high],
                    gradientLength=200,
                    titleLimit=400,
                ),
            ),
            opacity=alt.condition("datum.rows > 0", alt.value(0.9), alt.value(0.3)),
        )
    if clickable:
        squares = squares.add_params(
            alt.selection_point(name=CLICKED, fields=["x", "y"], on="click", clear=False)
        )
    # this many marks would be drawn on a canvas, which ignores the theme's text colour
    chart = half_court.on_the_court([squares], _("The half court, with the hoop at the bottom"))
    if place is not None:
        chart.layer = [*chart.layer, *_marks(place)]
    chart.usermeta = {"embedOptions": {"renderer": "svg"}}
    return chart


def _marks(place: tuple[float, float]) -> list[alt.Chart]:
    """Return the ring and the cross at a place."""
    import altair as alt

    at = alt.Chart(pd.DataFrame({"x": [place[0]], "y": [place[1]]}))
    # the surrounding text colour, on any cell and in either theme
    return [
        at.mark_point(
            shape=shape,
            size=size,
            strokeWidth=2.5,
            stroke="currentColor",
            filled=False,
            tooltip=None,
            opacity=1,
        ).encode(**half_court.axes())
        for shape, size in (("circle", 260), ("cross", 30))
    ]
