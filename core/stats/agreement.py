"""How far champion and challenger disagree on the same requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.platform.messages import _
from core.stats.charts import style

if TYPE_CHECKING:
    import altair as alt

BINS = 20


@dataclass(frozen=True)
class Agreement:
    """How two models differ on the same rows.

    Parameters
    ----------
    difference : float
        Mean of challenger minus champion, in probability.
    distance : float
        Mean of the difference in absolute value.
    labels_differ : float
        Share of rows that the two label differently, each at its own threshold.
    """

    rows: int
    difference: float
    distance: float
    labels_differ: float


def agreement(pairs: pd.DataFrame) -> Agreement:
    """Return how far the challenger's predictions differ from the champion's.

    Parameters
    ----------
    pairs : DataFrame
        Columns `champion`, `challenger` (probabilities), `champion_label`, `challenger_label`.

    Examples
    --------
    >>> pairs = pd.DataFrame({"champion": [0.4, 0.6], "challenger": [0.5, 0.4],
    ...                       "champion_label": [0, 1], "challenger_label": [0, 0]})
    >>> apart = agreement(pairs)
    >>> round(apart.difference, 3), round(apart.distance, 3), apart.labels_differ
    (-0.05, 0.15, 0.5)
    """
    apart = pairs["challenger"] - pairs["champion"]
    other = pairs["challenger_label"] != pairs["champion_label"]
    return Agreement(
        len(pairs), float(apart.mean()), float(apart.abs().mean()), float(other.mean())
    )


def agreement_chart(pairs: pd.DataFrame) -> alt.LayerChart:
    """Plot the challenger's probability against the champion's, as counts of rows.

    Parameters
    ----------
    pairs : DataFrame
        Columns `champion`, `challenger`.

    Examples
    --------
    >>> pairs = pd.DataFrame({"champion": [0.41, 0.42, 0.9], "challenger": [0.46, 0.47, 0.1]})
    >>> chart = agreement_chart(pairs).to_dict()
    >>> sorted(row["rows"] for row in chart["datasets"][chart["layer"][0]["data"]["name"]])
    [1, 2]
    """
    import altair as alt

    places = {
        name: np.minimum((pairs[name].to_numpy() * BINS).astype(int), BINS - 1)
        for name in ("champion", "challenger")
    }
    cells = pd.DataFrame(places).value_counts().rename("rows").reset_index()
    for name in places:
        cells[f"{name}_to"] = (cells[name] + 1) / BINS
        cells[name] = cells[name] / BINS
    # the area that is used, the same on both axes
    low = float(cells[["champion", "challenger"]].min().min())
    high = float(cells[["champion_to", "challenger_to"]].max().max())
    scale = alt.Scale(domain=[low, high], nice=False)
    axis = alt.Axis(format="~%")
    names = {
        name: _("{name}: {value}", name=_("Probability"), value=style.set_name(name))
        for name in places
    }
    drawn = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("champion:Q", title=names["champion"], scale=scale, axis=axis),
            x2=alt.X2("champion_to:Q"),
            y=alt.Y("challenger:Q", title=names["challenger"], scale=scale, axis=axis),
            y2=alt.Y2("challenger_to:Q"),
            color=alt.Color(
                "rows:Q",
                title=_("Rows"),
                legend=alt.Legend(orient="top", titleOrient="left"),
                scale=alt.Scale(type="sqrt", range=["#C9CEF0", "#3F4DB0"]),
            ),
            tooltip=[
                alt.Tooltip("champion:Q", title=names["champion"], format=".0%"),
                alt.Tooltip("challenger:Q", title=names["challenger"], format=".0%"),
                alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            ],
        )
    )
    ends = pd.DataFrame({"along": [low, high]})
    same = (
        alt.Chart(ends)
        .mark_line(color=style.PALETTE["challenger"], strokeDash=[5, 4], tooltip=None)
        .encode(x=alt.X("along:Q", scale=scale), y=alt.Y("along:Q", scale=scale))
    )
    return style.finish([drawn, same])
