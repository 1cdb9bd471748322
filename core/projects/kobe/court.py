"""Shot charts: the half court to scale, with shots binned in hexagons.

Lengths are in tenths of a foot from the centre of the hoop: x across the court, y up the court.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.messages import Words, _
from core.projects.kobe.half_court import BASELINE, HALF, SCALE, SIDE, axes, on_the_court
from core.stats.charts.style import PALETTE, diverging

if TYPE_CHECKING:
    import altair as alt

# Distance between the centres of neighbouring bins.
SIZE = 20.0
# With fewer labels a bin shows no rate: its standard error is above 12 points.
MIN_LABELS = 15
# Rates further from the average than this share the strongest colour.
RATE_SPAN = 0.2
# Errors are smaller than differences of rates, so their bins are twice as wide, with at least this
# many labels (standard error 9 points), and the strongest colour from here on.
RESIDUAL_SIZE, RESIDUAL_LABELS, RESIDUAL_SPAN = 40.0, 30, 0.15
_HEXAGON = "M0,-1L0.866,-0.5L0.866,0.5L0,1L-0.866,0.5L-0.866,-0.5Z"
_MARK: dict[str, Any] = {"shape": _HEXAGON, "filled": True, "opacity": 1, "strokeWidth": 0}

Floats = npt.NDArray[np.float64]


def cells(
    frame: pd.DataFrame,
    x: str,
    y: str,
    label: str | None = None,
    *,
    by: Sequence[str] = (),
    size: float = SIZE,
) -> pd.DataFrame:
    """Count the shots of the half court in hexagons, for each value of the columns `by`.

    The result is small for any number of shots, and `gather` filters it quickly.

    Parameters
    ----------
    frame : DataFrame
        A row per shot; not modified.
    x, y : str
        Columns of the position.
    label : str, optional
        Column with 1 made, 0 missed; may have missing values.
    by : sequence of str
        Columns to filter by later; rows with a missing value there are left out.
    size : float
        Distance between neighbouring centres, tenths of a foot.

    Returns
    -------
    DataFrame
        `x`, `y` of the centre, the columns `by`, `shots`, `labelled`, `made`. Shots beyond the half
        court or without a position are left out.

    Examples
    --------
    >>> shots = pd.DataFrame({"x": [0, 1, 0], "y": [60, 60, 61], "period": [1, 1, 2]})
    >>> cells(shots, "x", "y", by=["period"], size=40)[["period", "shots"]].values.tolist()
    [[1, 2], [2, 1]]
    """
    inside = _inside(frame, x, y)
    kept = frame.loc[inside]
    labels = np.full(len(kept), np.nan) if label is None else kept[label].to_numpy(dtype=float)
    centre_x, centre_y = _hexagons(
        kept[x].to_numpy(dtype=float), kept[y].to_numpy(dtype=float), size
    )
    shots = pd.DataFrame({"x": centre_x, "y": centre_y, "label": labels})
    for name in by:
        shots[name] = kept[name].to_numpy()
    grouped = shots.groupby(["x", "y", *by])["label"]
    grid = pd.DataFrame(
        {"shots": grouped.size(), "labelled": grouped.count(), "made": grouped.sum()}
    )
    grid = grid.astype("int64").reset_index()
    grid.attrs["size"] = size
    return grid


def gather(
    counted: pd.DataFrame,
    only: Mapping[str, Sequence[Any]] | None = None,
    *,
    min_labels: int = MIN_LABELS,
) -> pd.DataFrame:
    """Merge the cells whose values are allowed by `only`.

    Parameters
    ----------
    counted : DataFrame
        From `cells`.
    only : mapping of str to sequence, optional
        Allowed values by column.
    min_labels : int
        Bins with fewer labels have no rate.

    Returns
    -------
    DataFrame
        A row per bin with shots: `x`, `y` of its centre, `shots`, `labelled`, `made`, `make_rate`
        (NaN if labels are few), `distance` of its centre from the hoop in feet.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shots = pd.DataFrame({"x": rng.normal(0, 3, 50), "y": 60.0, "made": [1, 0] * 25})
    >>> grid = gather(cells(shots, "x", "y", "made", size=40))
    >>> grid[["shots", "make_rate"]].values.tolist()
    [[50.0, 0.5]]
    """
    kept = counted
    for name, values in (only or {}).items():
        kept = kept[kept[name].isin(list(values))]
    grid = kept.groupby(["x", "y"], as_index=False)[["shots", "labelled", "made"]].sum()
    enough = grid["labelled"] >= max(min_labels, 1)
    grid["make_rate"] = (grid["made"] / grid["labelled"]).where(enough)
    grid["distance"] = np.hypot(grid["x"], grid["y"]) / 10
    grid.attrs["size"] = counted.attrs.get("size", SIZE)
    return grid


def totals(bins: pd.DataFrame) -> tuple[int, int, float | None]:
    """Return the number of shots, of labelled shots, and the make rate over all bins.

    Examples
    --------
    >>> totals(pd.DataFrame({"shots": [5, 1], "labelled": [3, 1], "made": [1, 1]}))
    (6, 4, 0.5)
    """
    shots, labelled, made = (int(bins[name].sum()) for name in ("shots", "labelled", "made"))
    return shots, labelled, made / labelled if labelled else None


def residual_cells(
    frame: pd.DataFrame, x: str, y: str, label: str, probability: str
) -> pd.DataFrame:
    """Compare the mean predicted probability with the make rate in hexagons of the half court.

    Parameters
    ----------
    frame : DataFrame
        A row per shot; not modified. Rows without a label are ignored.
    x, y, label, probability : str
        Columns of the position, the label (1 made, 0 missed) and the predicted probability.

    Returns
    -------
    DataFrame
        A row per bin: `x`, `y` of its centre, `shots` (with a label), `made_rate`,
        `mean_probability`, `residual` (mean probability minus made rate; NaN if labels are few),
        `distance` of its centre from the hoop in feet.

    Examples
    --------
    >>> shots = pd.DataFrame({"x": 0.0, "y": 60.0, "made": [1, 0] * 25, "p": 0.75})
    >>> grid = residual_cells(shots, "x", "y", "made", "p")
    >>> grid[["shots", "residual"]].to_numpy().tolist()
    [[50.0, 0.25]]
    """
    kept = frame.loc[_inside(frame, x, y) & frame[label].notna().to_numpy()]
    places = _hexagons(kept[x].to_numpy(dtype=float), kept[y].to_numpy(dtype=float), RESIDUAL_SIZE)
    shots = pd.DataFrame(
        {
            "x": places[0],
            "y": places[1],
            "label": kept[label].to_numpy(dtype=float),
            "probability": kept[probability].to_numpy(dtype=float),
        }
    )
    grid = shots.groupby(["x", "y"], as_index=False).agg(
        shots=("label", "size"),
        made_rate=("label", "mean"),
        mean_probability=("probability", "mean"),
    )
    residual = grid["mean_probability"] - grid["made_rate"]
    grid["residual"] = residual.where(grid["shots"] >= RESIDUAL_LABELS)
    grid["distance"] = np.hypot(grid["x"], grid["y"]) / 10
    return grid


def residual_sentence(bins: pd.DataFrame) -> str:
    """Return a sentence on where prediction and result differ most; empty with too few labels.

    Parameters
    ----------
    bins : DataFrame
        From `residual_cells`.

    Examples
    --------
    >>> shots = pd.DataFrame({"x": 0.0, "y": 60.0, "made": [1, 0] * 25, "p": 0.75})
    >>> residual_sentence(residual_cells(shots, "x", "y", "made", "p"))
    'The largest difference is +25.0 points, about 7 feet from the hoop: 75.0% predicted, 50.0% made
     of 50 shots.'
    """
    judged = bins.dropna(subset=["residual"])
    if judged.empty:
        return ""
    worst = judged.loc[judged["residual"].abs().idxmax()]
    return _(
        "The largest difference is {difference:+.1f} points, about {distance:.0f} feet from the "
        "hoop: {predicted:.1%} predicted, {made:.1%} made of {shots:,.0f} shots.",
        difference=100 * worst["residual"],
        distance=worst["distance"],
        predicted=worst["mean_probability"],
        made=worst["made_rate"],
        shots=worst["shots"],
    )


def points(
    frame: pd.DataFrame, x: str, y: str, label: str, *, by: Sequence[str] = (), most: int, seed: int
) -> pd.DataFrame:
    """Return a random sample of at most `most` labelled shots of the half court.

    Returns
    -------
    DataFrame
        `x`, `y`, `made` (0 or 1), the columns `by`.

    Examples
    --------
    >>> shots = pd.DataFrame({"x": range(9), "y": 60, "made": [1, 0, None] * 3})
    >>> len(points(shots, "x", "y", "made", most=4, seed=1))
    4
    """
    known = frame.loc[_inside(frame, x, y) & frame[label].notna().to_numpy(), [x, y, label, *by]]
    if len(known) > most:
        known = known.sample(most, random_state=seed)
    named = known.rename(columns={x: "x", y: "y", label: "made"}).reset_index(drop=True)
    return named.astype({"made": "int64"})


def shot_chart(bins: pd.DataFrame, average: float | None) -> alt.LayerChart:
    """Draw bins on the half court, coloured by make rate relative to the average, sized by shots.

    The chart is to scale and has a fixed size (about 450 by 500 pixels with its legend). The court
    replaces the axes; the tooltip shows lengths in feet.

    Parameters
    ----------
    bins : DataFrame
        From `gather`.
    average : float or None
        Make rate of the middle colour, 0 to 1. With None or NaN only the number of shots is shown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shots = pd.DataFrame({"x": rng.normal(0, 90, 500), "y": rng.normal(90, 60, 500)})
    >>> shots["made"] = rng.integers(0, 2, 500)
    >>> chart = shot_chart(gather(cells(shots, "x", "y", "made")), 0.5)
    >>> chart.to_dict()["width"], chart.to_dict()["height"]
    (440, 414)
    """
    if average is not None and math.isnan(average):
        average = None
    spacing = float(bins.attrs.get("size", SIZE))
    layers = _bin_layers(bins, average, spacing * SCALE, axes())
    return on_the_court(layers, _("The half court, with the hoop at the bottom"))


def point_chart(shots: pd.DataFrame, *, positive: Words, negative: Words) -> alt.LayerChart:
    """Draw single shots on the half court: dots for made ones, crosses for missed ones.

    Parameters
    ----------
    shots : DataFrame
        From `points`.

    Examples
    --------
    >>> shots = pd.DataFrame({"x": [0, 30], "y": [60, 90], "made": [1, 0]})
    >>> chart = point_chart(shots, positive="made", negative="missed")
    >>> chart.to_dict()["layer"][0]["mark"]["type"]
    'point'
    """
    import altair as alt

    roles = {str(positive): "made", str(negative): "missed"}
    drawn = alt.Chart(
        shots[["x", "y"]].assign(
            result=np.where(shots["made"] == 1, str(positive), str(negative)),
            distance=np.hypot(shots["x"], shots["y"]) / 10,
        )
    )
    key = alt.Legend(orient="bottom", title=None, symbolOpacity=1, symbolSize=80)
    marks = drawn.mark_point(size=16, opacity=0.55, strokeWidth=1.2).encode(
        **axes(),
        color=alt.Color(
            "result:N",
            scale=alt.Scale(domain=list(roles), range=[PALETTE[role] for role in roles.values()]),
            legend=key,
        ),
        # distinguishable without colour too
        shape=alt.Shape(
            "result:N",
            scale=alt.Scale(domain=list(roles), range=["circle", "M-1,-1L1,1M-1,1L1,-1"]),
            legend=key,
        ),
        tooltip=[
            alt.Tooltip("result:N", title=_("Result")),
            alt.Tooltip("distance:Q", title=_("Distance from the hoop (ft)"), format=".1f"),
        ],
    )
    return on_the_court([marks], _("The half court, with the hoop at the bottom"))


def residual_chart(bins: pd.DataFrame) -> alt.LayerChart:
    """Draw the half court coloured by mean prediction minus make rate: grey where they agree.

    Bins are sized by their shots; those with few labels are hollow. The size is fixed, as in
    `shot_chart`.

    Parameters
    ----------
    bins : DataFrame
        From `residual_cells`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shots = pd.DataFrame({"x": rng.normal(0, 90, 500), "y": rng.normal(90, 60, 500), "p": 0.5})
    >>> shots["made"] = rng.integers(0, 2, 500)
    >>> chart = residual_chart(residual_cells(shots, "x", "y", "made", "p"))
    >>> chart.to_dict()["width"]
    440
    """
    import altair as alt

    tooltip = [
        alt.Tooltip("distance:Q", title=_("Distance from the hoop (ft)"), format=".0f"),
        alt.Tooltip("shots:Q", title=_("With label"), format=","),
        alt.Tooltip("mean_probability:Q", title=_("Mean predicted probability"), format=".1%"),
        alt.Tooltip("made_rate:Q", title=_("Observed"), format=".1%"),
        alt.Tooltip("residual:Q", title=_("Predicted minus observed"), format="+.1%"),
    ]
    span = (-RESIDUAL_SPAN, 0.0, RESIDUAL_SPAN)
    colour = diverging("residual:Q", _("Predicted minus observed"), span, "+.0%")
    layers = _coloured(
        bins, "residual", colour, _sizes(bins, RESIDUAL_SIZE * SCALE), axes(), tooltip
    )
    return on_the_court(layers, _("Predicted minus observed"))


def _bin_layers(
    bins: pd.DataFrame, average: float | None, spacing: float, place: dict[str, Any]
) -> list[alt.Chart]:
    import altair as alt

    sizes = _sizes(bins, spacing)
    tooltip = [
        alt.Tooltip("distance:Q", title=_("Distance from the hoop (ft)"), format=".0f"),
        alt.Tooltip("shots:Q", title=_("Rows"), format=","),
    ]
    if average is None:
        drawn = alt.Chart(bins).mark_point(**_MARK, color=PALETTE["accent"])
        return [drawn.encode(**place, size=sizes, tooltip=tooltip)]
    tooltip += [
        alt.Tooltip("labelled:Q", title=_("With label"), format=","),
        alt.Tooltip("make_rate:Q", title=_("Make rate"), format=".1%"),
    ]
    low, high = max(average - RATE_SPAN, 0.0), min(average + RATE_SPAN, 1.0)
    title = _("{rate} (grey: {average:.0%})", rate=_("Make rate"), average=average)
    colour = diverging("make_rate:Q", title, (low, average, high), ".0%")
    return _coloured(bins, "make_rate", colour, sizes, place, tooltip)


def _sizes(bins: pd.DataFrame, spacing: float) -> alt.Size:
    import altair as alt

    # area is proportional to the count up to a cap: at the hoop a bin has a hundred times more
    cap = max(float(bins["shots"].quantile(0.95)) if len(bins) else 1.0, 2.0)
    largest = 4 / 3 * (0.94 * spacing) ** 2
    steps = sorted({1, max(1, round(cap / 4)), max(1, round(cap))})
    capped = _("{rows:,} or more", rows=steps[-1])
    return alt.Size(
        "shots:Q",
        title=_("Rows"),
        scale=alt.Scale(domain=[0, cap], range=[largest * 0.06, largest], clamp=True),
        legend=alt.Legend(
            values=steps,
            orient="bottom",
            symbolType=_HEXAGON,
            symbolFillColor=PALETTE["neutral"],
            symbolStrokeColor="transparent",
            labelExpr=f"datum.value >= {steps[-1]} ? {json.dumps(capped)} : datum.label",
        ),
    )


def _coloured(
    bins: pd.DataFrame,
    field: str,
    colour: alt.Color,
    sizes: alt.Size,
    place: dict[str, Any],
    tooltip: list[alt.Tooltip],
) -> list[alt.Chart]:
    """Draw bins with a value in its colour, and those without one hollow."""
    import altair as alt

    known, few = bins[bins[field].notna()], bins[bins[field].isna()]
    # screen readers cannot name a layer without marks
    named: Any = alt.Undefined if len(known) else False
    rated = alt.Chart(known).mark_point(aria=named, **_MARK)
    layers = [rated.encode(**place, size=sizes, color=colour, tooltip=tooltip)]
    if len(few):
        # hollow, so that they do not appear as average bins
        hollow = alt.Chart(few.assign(note=_("few labels"))).mark_point(
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


def _inside(frame: pd.DataFrame, x: str, y: str) -> npt.NDArray[np.bool_]:
    across, along = frame[x].to_numpy(dtype=float), frame[y].to_numpy(dtype=float)
    inside: npt.NDArray[np.bool_] = (np.abs(across) <= SIDE) & (along >= BASELINE) & (along <= HALF)
    return inside


def _hexagons(x: Floats, y: Floats, size: float) -> tuple[Floats, Floats]:
    """Return the centre of each point's hexagon.

    The centres are two rectangular lattices, one shifted by half a cell; the nearer centre wins.
    One centre is on the hoop.
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
