"""Maps of rows by their place: a circle for each cell of a grid, by how many rows it has."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.platform.messages import _
from core.stats.charts import style
from core.stats.charts.style import PALETTE

if TYPE_CHECKING:
    import altair as alt

# differences above these have the strongest colour, unless the cells differ less
MOST_RATE, MOST_ERROR, LEAST = 0.25, 0.2, 0.05
# pixels of a map in a column of the page: its width, and the least and greatest height
WIDTH, LOWEST, HIGHEST = 420, 200, 420
_LATITUDES = ("lat", "latitude")


def span(values: pd.Series[float], middle: float, most: float) -> float:
    """Return the difference from the middle that has the strongest colour.

    Examples
    --------
    >>> round(span(pd.Series([0.2, 0.3, 0.31]), 0.25, 0.25), 2)
    0.06
    """
    far = (values.dropna() - middle).abs()
    return min(max(float(far.quantile(0.95)) if len(far) else LEAST, LEAST), most)


def rates(
    cells: pd.DataFrame,
    *,
    average: float | None,
    reach: float,
    axes: tuple[str, str],
    ends: pd.DataFrame,
    rate_title: str,
) -> alt.LayerChart:
    """Show the share of the positive class by place: grey is the average.

    Parameters
    ----------
    cells : DataFrame
        As returned by `core.stats.places.with_rates`.
    average : float or None
        The middle of the colours; None without any label, where only the rows are shown.
    reach : float
        As `span` returns it: the same for maps that are compared.
    axes : (str, str)
        The columns of the place.
    ends : DataFrame
        `x` and `y` of all maps that are compared, for axes in common.
    rate_title : str
        What the share is of.

    Examples
    --------
    >>> cells = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 2.0], "rows": [50, 3],
    ...                       "labelled": [50, 3], "positive": [20, 1], "rate": [0.4, None]})
    >>> chart = rates(cells, average=0.3, reach=0.2, axes=("lon", "lat"), ends=cells,
    ...               rate_title="Share of late")
    >>> len(chart.to_dict()["layer"])
    2
    """
    import altair as alt

    tooltip = [*_where(axes), alt.Tooltip("rows:Q", title=_("Rows"), format=",")]
    if average is None:
        base = alt.Chart(cells).mark_point(filled=True, opacity=0.85, color=PALETTE["accent"])
        drawn = base.encode(**_axes(axes, ends), size=_sizes(cells), tooltip=tooltip)
        return _finish([drawn], axes, ends, rate_title)
    tooltip += [
        alt.Tooltip("labelled:Q", title=_("With label"), format=","),
        alt.Tooltip("rate:Q", title=rate_title, format=".1%"),
    ]
    title = _("{rate} (grey: {average:.0%})", rate=rate_title, average=average)
    low, high = max(average - reach, 0.0), min(average + reach, 1.0)
    colour = style.diverging("rate:Q", title, (low, average, high), ".0%")
    return _finish(_layers(cells, "rate", colour, tooltip, axes, ends), axes, ends, title)


def errors(cells: pd.DataFrame, *, axes: tuple[str, str]) -> alt.LayerChart:
    """Show predicted minus observed by place: grey where they agree.

    Parameters
    ----------
    cells : DataFrame
        As returned by `core.stats.places.errors`.

    Examples
    --------
    >>> cells = pd.DataFrame({"x": [0.0], "y": [1.0], "rows": [50], "observed": [0.4],
    ...                       "predicted": [0.3], "difference": [-0.1]})
    >>> errors(cells, axes=("lon", "lat")).to_dict()["description"]
    'Predicted minus observed'
    """
    import altair as alt

    title = _("Predicted minus observed")
    tooltip = [
        *_where(axes),
        alt.Tooltip("rows:Q", title=_("With label"), format=","),
        alt.Tooltip("predicted:Q", title=_("Mean predicted probability"), format=".1%"),
        alt.Tooltip("observed:Q", title=_("Observed"), format=".1%"),
        alt.Tooltip("difference:Q", title=title, format="+.1%"),
    ]
    reach = span(cells["difference"], 0.0, MOST_ERROR)
    colour = style.diverging("difference:Q", title, (-reach, 0.0, reach), "+.0%")
    return _finish(_layers(cells, "difference", colour, tooltip, axes, cells), axes, cells, title)


def _where(axes: tuple[str, str]) -> list[alt.Tooltip]:
    import altair as alt

    return [
        alt.Tooltip(f"{field}:Q", title=name, format=",.5~g")
        for field, name in zip("xy", axes, strict=True)
    ]


def _axes(axes: tuple[str, str], ends: pd.DataFrame) -> dict[str, Any]:
    """Return the axes, whose names are those of columns."""
    import altair as alt

    encoded: dict[str, Any] = {}
    for field, name, channel in zip("xy", axes, (alt.X, alt.Y), strict=True):
        low, high = float(ends[field].min()), float(ends[field].max())
        room = (high - low) * 0.06 or 1.0
        scale = alt.Scale(domain=[low - room, high + room], nice=False, zero=False)
        encoded[field] = channel(
            f"{field}:Q", title=name, scale=scale, axis=alt.Axis(grid=False, tickCount=5)
        )
    return encoded


def _sizes(cells: pd.DataFrame) -> alt.Size:
    """Return circles whose area grows with the rows, so that neighbours hardly overlap."""
    import altair as alt

    cap = max(float(cells["rows"].quantile(0.95)) if len(cells) else 1.0, 2.0)
    largest = min(max(45_000 / max(len(cells), 1), 110.0), 500.0)
    steps = sorted({max(1, round(cap / 4)), max(1, round(cap))})
    capped = _("{rows:,} or more", rows=steps[-1])
    return alt.Size(
        "rows:Q",
        title=_("Rows"),
        scale=alt.Scale(domain=[0, cap], range=[largest * 0.06, largest], clamp=True),
        legend=alt.Legend(
            values=steps,
            orient="bottom",
            symbolFillColor=PALETTE["neutral"],
            symbolStrokeColor="transparent",
            labelExpr=f"datum.value >= {steps[-1]} ? {json.dumps(capped)} : datum.label",
        ),
    )


def _layers(
    cells: pd.DataFrame,
    field: str,
    colour: alt.Color,
    tooltip: list[alt.Tooltip],
    axes: tuple[str, str],
    ends: pd.DataFrame,
) -> list[alt.Chart]:
    """Draw cells with a value in its colour, and those with few labels hollow."""
    import altair as alt

    place, sizes = _axes(axes, ends), _sizes(cells)
    # a small circle is drawn over a large one
    cells = cells.sort_values("rows", ascending=False)
    known, few = cells[cells[field].notna()], cells[cells[field].isna()]
    # screen readers cannot name a layer without marks
    named: Any = alt.Undefined if len(known) else False
    rated = alt.Chart(known).mark_point(filled=True, opacity=1, strokeWidth=0, aria=named)
    layers = [rated.encode(**place, size=sizes, color=colour, tooltip=tooltip)]
    if len(few):
        hollow = alt.Chart(few.assign(note=_("few labels"))).mark_point(
            filled=False, opacity=1, strokeWidth=1
        )
        note = alt.Stroke(
            "note:N",
            title=None,
            scale=alt.Scale(range=[PALETTE["neutral"]]),
            legend=alt.Legend(orient="bottom", symbolFillColor="transparent", symbolSize=90),
        )
        layers.append(hollow.encode(**place, size=sizes, stroke=note, tooltip=tooltip))
    return layers


def _finish(
    layers: list[alt.Chart], axes: tuple[str, str], ends: pd.DataFrame, description: str
) -> alt.LayerChart:
    return style.finish(layers, description, height=height(axes, ends))


def height(axes: tuple[str, str], ends: pd.DataFrame) -> int:
    """Return the height of a map: to scale for degrees, as far as it fits on the page.

    Examples
    --------
    >>> ends = pd.DataFrame({"x": [-120.0, -70.0], "y": [25.0, 47.0]})
    >>> height(("lon", "lat"), ends) < height(("x", "y"), ends)
    True
    """
    legends = 110
    across = float(ends["x"].max() - ends["x"].min())
    along = float(ends["y"].max() - ends["y"].min())
    words = axes[1].casefold().replace("-", "_").split("_")
    if not any(word in _LATITUDES for word in words) or not across or not along:
        return style.HEIGHT + legends
    across *= math.cos(math.radians(float(ends["y"].mean())))
    return round(min(max(WIDTH * along / max(across, 1e-9), LOWEST), HIGHEST)) + legends
