"""Charts of retraining: the trend of a metric, and when it would cross its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from core.platform.messages import _
from core.stats import forecast
from core.stats.charts import style
from core.stats.forecast import Trend

if TYPE_CHECKING:
    import altair as alt

# points of a line and its band
STEPS = 60


def trend(
    windows: pd.DataFrame,
    fitted: Trend | None,
    *,
    name: str,
    low: float | None,
    high: float | None,
    until: float,
    confidence: float,
) -> alt.LayerChart:
    """Show a metric of the windows, its trend with a band, its alert limits and the crossing.

    Parameters
    ----------
    windows : DataFrame
        A row per window: time (seconds since 1970), value, run (a short name).
    fitted : Trend or None
        None with too few windows.
    low, high : float or None
        The alert limits.
    until : float
        End of the time axis, seconds since 1970.
    confidence : float
        Of the band.

    Examples
    --------
    >>> day = forecast.DAY
    >>> times = [0.0, day, 2 * day]
    >>> fitted = forecast.trend(times, [1.0, 2.1, 3.0], low=None, high=4.0, now=0.0)
    >>> rows = pd.DataFrame({"time": times, "value": [1.0, 2.1, 3.0], "run": ["a", "b", "c"]})
    >>> drawn = trend(rows, fitted, name="Log loss", low=None, high=4.0, until=9 * day,
    ...     confidence=0.95).to_dict()
    >>> [layer["mark"]["type"] for layer in drawn["layer"]]
    ['rect', 'area', 'line', 'point', 'rule']
    """
    import altair as alt

    x = alt.X("time:T", title=None, axis=alt.Axis(labelOverlap=True))
    y = alt.Y("value:Q", title=name, scale=alt.Scale(zero=False, nice=True))
    layers: list[Any] = []
    if fitted is not None:
        begin = float(windows["time"].min())
        end = max(until, float(windows["time"].max()))
        grid = [begin + (end - begin) * step / STEPS for step in range(STEPS + 1)]
        times, values = windows["time"].tolist(), windows["value"].tolist()
        band = forecast.band(times, values, grid, confidence=confidence)
        if fitted.crossing_low is not None and fitted.crossing_high is not None:
            first, last = max(fitted.crossing_low, begin), min(fitted.crossing_high, end)
            if first < last:
                range_ = _moments(pd.DataFrame({"time": [first], "last": [last]}))
                layers.append(
                    alt.Chart(range_)
                    .mark_rect(color=style.PALETTE["alert"], opacity=0.12)
                    .encode(x=x, x2=alt.X2("last:T"))
                )
        drawn = alt.Chart(_moments(band))
        colour = style.PALETTE["line"]
        layers.append(
            drawn.mark_area(color=colour, opacity=0.18).encode(
                x=x, y=alt.Y("low:Q", title=name, scale=alt.Scale(zero=False)), y2=alt.Y2("high:Q")
            )
        )
        layers.append(drawn.mark_line(color=colour, strokeDash=[5, 4]).encode(x=x, y=y))
    layers.append(
        alt.Chart(_moments(windows))
        .mark_point(filled=True, size=70, opacity=1, color=style.CATEGORIES[0])
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("time:T", title=_("Window"), format="%x %H:%M"),
                alt.Tooltip("value:Q", title=name, format=".4f"),
                alt.Tooltip("run:N", title=_("Report")),
            ],
        )
    )
    layers += [
        alt.Chart(
            pd.DataFrame({"value": [limit], "text": [style.labelled(_("alert"), limit, ".4g")]})
        )
        .mark_rule(color=style.PALETTE["alert"], strokeWidth=2)
        .encode(y=y, tooltip=alt.Tooltip("text:N"))
        for limit in (low, high)
        if limit is not None
    ]
    return style.finish(layers)


def _moments(table: pd.DataFrame) -> pd.DataFrame:
    """Return seconds since 1970 as timestamps."""
    names = [name for name in ("time", "last") if name in table]
    return table.assign(**{name: pd.to_datetime(table[name], unit="s") for name in names})
