"""Distributions of one column in several sets of rows, overlaid or side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from core.platform.messages import Words, _
from core.stats.charts import style
from core.stats.densities import OTHERS

if TYPE_CHECKING:
    import altair as alt


def layers(
    table: pd.DataFrame, axis_title: str, roles: dict[str, str], *, of: Words = ""
) -> list[alt.Chart]:
    """Return the layers that show a column's distribution in each set.

    Parameters
    ----------
    table : DataFrame
        Columns `set`, `label`, `start`, `end` (of a bin; equal for a single value, NaN for a
        category), `rows`, `share`.
    roles : dict of str to str
        The role of each set, a key of `style.PALETTE`.
    of : Message or str
        What the shares are of, for the axis title; by default rows.

    Examples
    --------
    >>> table = pd.DataFrame({"set": ["train"] * 2, "label": ["a", "b"], "start": float("nan"),
    ...                       "end": float("nan"), "rows": [3, 1], "share": [0.75, 0.25]})
    >>> len(layers(table, "Zone", {"train": "current"}))
    1
    """
    is_binned = bool((table["end"] > table["start"]).any())
    draw = _histogram if is_binned else _value_bars
    y_title = _("Share of {positive}", positive=of) if of else _("Share of rows")
    return draw(table, axis_title, roles, y_title)


def _histogram(
    table: pd.DataFrame, axis_title: str, roles: dict[str, str], y_title: str
) -> list[alt.Chart]:
    """Return the outline of each set's shares, with a light fill so that overlaps stay visible."""
    import altair as alt

    # a step line needs the end of its last step
    closing = table.groupby("set", sort=False).tail(1)
    outline = pd.concat([table, closing.assign(start=closing["end"])], ignore_index=True)
    domain = [float(table["start"].min()), float(table["end"].max())]
    x = alt.X(
        "start:Q",
        title=axis_title,
        bin="binned",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(tickCount=10),
    )
    y = style.share_y("share:Q", y_title, stack=None)
    color = style.pair("set:N", _("Set"), roles)
    dashes = style.dashes("set:N", _("Set"), list(roles))
    # a single set needs no legend: the title of the chart names it
    names = [alt.Tooltip("set:N", title=_("Set"))]
    if len(roles) == 1:
        color, dashes, names = color.legend(None), dashes.legend(None), []
    bars = (
        alt.Chart(table)
        .mark_bar(opacity=0.25, binSpacing=0)
        .encode(
            x=x,
            x2=alt.X2("end:Q"),
            y=y,
            color=color,
            tooltip=[
                *names,
                alt.Tooltip("start:Q", title=_("From"), format=".5~g"),
                alt.Tooltip("end:Q", title=_("To"), format=".5~g"),
                alt.Tooltip("share:Q", title=_("Share of rows"), format=".1%"),
                alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            ],
        )
    )
    line = alt.Chart(outline).mark_line(interpolate="step-after", strokeWidth=2, tooltip=None)
    unbinned = alt.X("start:Q", title=axis_title)
    return [bars, line.encode(x=unbinned, y=y, color=color, strokeDash=dashes)]


def _value_bars(
    table: pd.DataFrame, axis_title: str, roles: dict[str, str], y_title: str
) -> list[alt.Chart]:
    """Return grouped bars: for each value, one bar per set."""
    import altair as alt

    table = table.assign(label=table["label"].replace(OTHERS, _("others")))
    bars = (
        alt.Chart(table)
        .mark_bar()
        .encode(
            x=style.labels(table["label"].unique().tolist(), axis_title),
            xOffset=alt.XOffset("set:N", sort=list(roles)),
            y=style.share_y("share:Q", y_title),
            color=style.pair("set:N", _("Set"), roles),
            tooltip=[
                alt.Tooltip("set:N", title=_("Set")),
                alt.Tooltip("label:N", title=axis_title),
                alt.Tooltip("share:Q", title=_("Share of rows"), format=".1%"),
                alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            ],
        )
    )
    return [bars]
