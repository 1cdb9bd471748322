"""Charts of monitoring over time: one check across all reports, with its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from core.platform.messages import Words, _
from core.stats.charts import style
from core.stats.check import VERDICT_LABELS

if TYPE_CHECKING:
    import altair as alt

# colour and shape of each verdict
_VERDICTS = {
    "ok": ("ok", "circle"),
    "warning": ("warning", "triangle-up"),
    "alert": ("alert", "diamond"),
    "not_applicable": ("neutral", "cross"),
}
_BANDS = {kind: VERDICT_LABELS[kind] for kind in ("warning", "alert")}
_ENDS = ("value", "low", "high", "warning_low", "warning_high", "alert_low", "alert_high")


def check_over_time(table: pd.DataFrame, *, by: Words = "") -> alt.LayerChart:
    """Show a check across all reports: value, 95% interval, and the warning and alert zones.

    Limits depend on the size of the window, so each report has its own: the zones have steps.

    Parameters
    ----------
    table : DataFrame
        A row per report, the oldest first: `at` (seconds since 1970), `report` (its name), `title`,
        `value`, `low`, `high`, `warning_low`, `warning_high`, `alert_low`, `alert_high`, `verdict`;
        NaN where there is none. Reports without a value are left out.
    by : Message or str
        Title of the time axis; by default the time of the report.

    Examples
    --------
    >>> table = pd.DataFrame({"at": [0.0, 86400.0], "report": ["1", "2"], "title": "F1",
    ...     "value": [0.5, 0.2], "low": [0.45, 0.15], "high": [0.55, 0.25], "warning_low": 0.45,
    ...     "warning_high": float("nan"), "alert_low": 0.3, "alert_high": float("nan"),
    ...     "verdict": ["ok", "alert"]})
    >>> len(check_over_time(table).to_dict()["layer"])
    5
    """
    import altair as alt

    drawn = table[table["value"].notna()].sort_values("at", kind="stable")
    axis_title = str(by or _("Time of the report"))
    name = str(drawn["title"].iloc[-1]) if len(drawn) else _("Value")
    drawn = drawn[["at", "report", "verdict", *_ENDS]].assign(
        time=pd.to_datetime(drawn["at"], unit="s"),
        word=[_word(verdict) for verdict in drawn["verdict"]],
    )
    domain = _domain(drawn)
    span = _span(drawn)
    x: dict[str, Any] = {
        "title": axis_title,
        "scale": alt.Scale(domain=[_moment(end) for end in span]),
        "axis": alt.Axis(labelOverlap=True, tickCount=6),
    }
    scale = alt.Scale(domain=domain, nice=False, zero=False)
    y = alt.Y("value:Q", title=name, scale=scale)
    layers: list[Any] = []
    bands = _bands(drawn, domain, span)
    if len(bands):
        layers.append(
            alt.Chart(bands)
            .mark_rect(opacity=0.16)
            .encode(
                x=alt.X("start:T", **x),
                x2=alt.X2("end:T"),
                y=alt.Y("bottom:Q", scale=scale, title=name),
                y2=alt.Y2("top:Q"),
                color=_colour("band:N", bands["band"].unique().tolist()),
                tooltip=[
                    alt.Tooltip("band:N", title=_("Meaning")),
                    alt.Tooltip("report:N", title=_("Report")),
                    alt.Tooltip("limit:Q", title=_("From"), format=".4f"),
                ],
            )
        )
        layers.append(
            alt.Chart(bands)
            .mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
            .encode(
                x=alt.X("start:T", **x),
                x2=alt.X2("end:T"),
                y=alt.Y("limit:Q", scale=scale, title=name),
                color=_colour("band:N", bands["band"].unique().tolist()),
            )
        )
    base = alt.Chart(drawn).encode(
        x=alt.X("time:T", **x),
        tooltip=[
            alt.Tooltip("report:N", title=_("Report")),
            alt.Tooltip("time:T", title=axis_title, format="%x %H:%M"),
            alt.Tooltip("value:Q", title=name, format=".4f"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format=".4f"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format=".4f"),
            alt.Tooltip("word:N", title=_("Verdict")),
        ],
    )
    line = base.mark_line(strokeWidth=1.5, color=style.PALETTE["line"]).encode(y=y)
    whisker = (
        base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        .mark_rule(strokeWidth=2.5, color=style.PALETTE["line"])
        .encode(y=alt.Y("low:Q", scale=scale, title=name), y2=alt.Y2("high:Q"))
    )
    seen = [kind for kind in _VERDICTS if kind in set(drawn["verdict"])]
    words = [_word(kind) for kind in seen]
    point = base.mark_point(filled=True, size=110, opacity=1).encode(
        y=y,
        fill=alt.Fill(
            "word:N",
            title=_("Verdict"),
            legend=style.legend(4),
            scale=alt.Scale(
                domain=words, range=[style.PALETTE[_VERDICTS[kind][0]] for kind in seen]
            ),
        ),
        shape=alt.Shape(
            "word:N",
            title=_("Verdict"),
            legend=style.legend(4),
            scale=alt.Scale(domain=words, range=[_VERDICTS[kind][1] for kind in seen]),
        ),
    )
    return style.finish([*layers, line, whisker, point], height=300)


def _word(verdict: str) -> str:
    return str(VERDICT_LABELS.get(verdict, VERDICT_LABELS["not_applicable"]))


def _colour(field: str, bands: list[str]) -> alt.Color:
    import altair as alt

    roles = {str(words): kind for kind, words in _BANDS.items()}
    known = [name for name in roles if name in bands]
    return alt.Color(
        field,
        title=None,
        legend=style.legend(2),
        scale=alt.Scale(domain=known, range=[style.PALETTE[roles[name]] for name in known]),
    )


def _domain(table: pd.DataFrame) -> list[float]:
    """Return the range of the value axis: all values, intervals and limits, with a margin."""
    ends = pd.Series(table[list(_ENDS)].to_numpy(dtype=float).ravel()).dropna()
    if ends.empty:
        return [0.0, 1.0]
    low, high = float(ends.min()), float(ends.max())
    margin = 0.12 * (high - low) or max(0.1 * abs(high), 0.05)
    # a value that is never negative gets no negative axis
    return [low - margin if low < 0 or low > margin else 0.0, high + margin]


def _span(table: pd.DataFrame) -> tuple[float, float]:
    """Return the range of the time axis, with a margin so that every band has a width."""
    if table.empty:
        return 0.0, 1.0
    first, last = float(table["at"].min()), float(table["at"].max())
    margin = 0.06 * (last - first) or 1800.0
    return first - margin, last + margin


def _moment(seconds: float) -> int:
    return round(seconds * 1000)


def _bands(table: pd.DataFrame, domain: list[float], span: tuple[float, float]) -> pd.DataFrame:
    """Return a rectangle per report and limited side, reaching halfway to its neighbours."""
    at = table["at"].to_numpy(dtype=float)
    middle = (at[1:] + at[:-1]) / 2
    edges = [span[0], *middle, span[1]] if len(at) else []
    bands = []
    for row, start, end in zip(table.itertuples(), edges[:-1], edges[1:], strict=True):
        for side, edge in (("high", domain[1]), ("low", domain[0])):
            warning, alert = getattr(row, f"warning_{side}"), getattr(row, f"alert_{side}")
            # without an alert limit on that side the warning zone reaches the edge
            beyond = edge if alert != alert else alert
            for kind, limit, other in (("warning", warning, beyond), ("alert", alert, edge)):
                if limit == limit and limit is not None:
                    bands.append(
                        {
                            "band": str(_BANDS[kind]),
                            "kind": f"{kind}_{side}",
                            "limit": limit,
                            "bottom": min(limit, other),
                            "top": max(limit, other),
                            "start": pd.Timestamp(start, unit="s"),
                            "end": pd.Timestamp(end, unit="s"),
                            "report": row.report,
                        }
                    )
    names = ["band", "kind", "limit", "bottom", "top", "start", "end", "report"]
    return pd.DataFrame(bands, columns=names)
