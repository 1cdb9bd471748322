"""Charts of requests to a served model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from core.platform.messages import _
from core.stats.charts import style

if TYPE_CHECKING:
    import altair as alt


def per_minute(counts: Sequence[int]) -> alt.LayerChart:
    """Show the number of requests in each of the last minutes.

    Parameters
    ----------
    counts : sequence of int
        Oldest first; the last is the current, incomplete minute.

    Examples
    --------
    >>> per_minute([3, 0, 5]).to_dict()["height"]
    120
    """
    import altair as alt

    shown = [str(minute - len(counts) + 1) for minute in range(len(counts))]
    shown[-1] = "now"
    table = pd.DataFrame({"label": shown, "requests": list(counts)})
    bars = (
        alt.Chart(table)
        .mark_bar(color=style.PALETTE["cool"])
        .encode(
            x=style.labels(shown, _("Minutes")),
            y=alt.Y("requests:Q", title=_("Requests"), axis=alt.Axis(tickMinStep=1, tickCount=3)),
            tooltip=[
                alt.Tooltip("label", title=_("Minutes")),
                alt.Tooltip("requests", title=_("Requests"), format=","),
            ],
        )
    )
    return style.finish([bars], height=120)
