"""Charts of the rows: class balance, missing values, and the rate by a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.data.profile import MIN_ROWS
from core.platform.messages import _, day, number, unit
from core.stats import intervals
from core.stats.charts import densities as density_charts
from core.stats.charts import style
from core.stats.densities import OTHERS

if TYPE_CHECKING:
    import altair as alt

# height of one of several charts side by side
SMALL = 170


def class_balance(counts: pd.DataFrame, *, positive: str, negative: str) -> alt.LayerChart:
    """Show the share of each label in each set.

    Parameters
    ----------
    counts : DataFrame
        Columns `set` (a code of `style.SET_LABELS`), `label` (class names), `rows`.

    Examples
    --------
    >>> counts = pd.DataFrame({"set": "train", "label": ["made", "missed"], "rows": [48, 52]})
    >>> class_balance(counts, positive="made", negative="missed").to_dict()["height"]
    190
    """
    import altair as alt

    counts = counts.assign(set=counts["set"].map(style.set_name))
    sets = counts["set"].unique().tolist()
    table = counts.assign(
        share=counts["rows"] / counts.groupby("set")["rows"].transform("sum"),
        order=(counts["label"] != positive).astype(int),
    ).sort_values(["set", "order"])
    after = table.groupby("set")["share"].cumsum()
    table = table.assign(start=after - table["share"], end=after, middle=after - table["share"] / 2)
    base = alt.Chart(table).encode(
        y=alt.Y("set:N", title=_("Set"), sort=sets),
        tooltip=[
            alt.Tooltip("set:N", title=_("Set")),
            alt.Tooltip("label:N", title=_("Label")),
            alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            alt.Tooltip("share:Q", title=_("Share"), format=".1%"),
        ],
    )
    bars = base.mark_bar().encode(
        x=style.share_x("start:Q", _("Share of rows"), domain=[0, 1]),
        x2=alt.X2("end:Q"),
        color=style.pair("label:N", _("Label"), {positive: "made", negative: "missed"}),
    )
    # a narrow segment has no room for its text; the tooltip shows it
    words = base.transform_filter("datum.share > 0.15").mark_text(color=style.ON_DARK)
    return style.finish(
        [bars, words.encode(x=alt.X("middle:Q"), text=alt.Text("share:Q", format=".1%"))],
        _("{vertical} by {horizontal}", vertical=_("Share of rows"), horizontal=_("Set")),
        height=style.height_of(len(sets), band=48, legend=True),
    )


def rate_by(
    table: pd.DataFrame,
    by: str,
    *,
    rate_title: str,
    axis_title: str | None = None,
    average: float | None = None,
) -> alt.LayerChart:
    """Show a rate with its interval for each value of a column.

    Parameters
    ----------
    table : DataFrame
        As returned by `core.data.profile.rates`.
    by : str
        The x axis: `middle` for numbers, `label` for names.
    rate_title : str
        What the rate is of.
    axis_title : str, optional
        Meaning of the column, with its unit.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["1", "2"], "rows": [40, 60], "rate": [0.5, 0.6],
    ...                       "low": [0.4, 0.5], "high": [0.6, 0.7]})
    >>> len(rate_by(table, "label", rate_title="Made", average=0.7).to_dict()["layer"])
    3
    """
    import altair as alt

    numeric = pd.api.types.is_numeric_dtype(table[by]) and len(table) > 10
    name = axis_title or by
    table = table.assign(label=table["label"].replace(OTHERS, _("others")))
    if numeric:
        scale = alt.Scale(zero=False, nice=False, padding=12)
        x = alt.X(f"{by}:Q", title=name, sort=None, scale=scale)
    else:
        axis = alt.Axis(labelAngle=0 if len(table) <= 12 else -45)
        x = alt.X(f"{by}:O", title=name, sort=None, axis=axis)
    base = alt.Chart(table).encode(
        x=x,
        tooltip=[
            alt.Tooltip(f"{by}:{'Q' if numeric else 'N'}", title=name),
            alt.Tooltip("rate:Q", title=rate_title, format=".1%"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format=".1%"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format=".1%"),
            alt.Tooltip("rows:Q", title=_("With label"), format=","),
        ],
    )
    layers: list[alt.Chart] = []
    if average is not None:
        layers.append(style.rule("y", average, style.labelled(_("Base rate"), average, ".1%")))
    low, rate = (
        style.share_y(field, f"{rate_title} (%)", zero=False) for field in ("low:Q", "rate:Q")
    )
    accent = style.PALETTE["accent"]
    spread = base.mark_rule(color=accent, opacity=0.55, strokeWidth=2)
    points = base.mark_point(color=accent, filled=True, size=70, opacity=1)
    layers += [spread.encode(y=low, y2=alt.Y2("high:Q")), points.encode(y=rate)]
    return style.finish(
        layers, _("{vertical} by {horizontal}", vertical=rate_title, horizontal=name)
    )


def missing_bars(missing: pd.DataFrame, *, rows: int | None = None) -> alt.LayerChart:
    """Show the columns with missing values, most first; up to 12 columns if none has any.

    Parameters
    ----------
    missing : DataFrame
        Columns `column`, `missing` (a count).
    rows : int, optional
        Rows of the frame, for the share.

    Examples
    --------
    >>> missing = pd.DataFrame({"column": ["lat", "made"], "missing": [0, 5]})
    >>> missing_bars(missing, rows=20).to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['made  5 (25.0%)']
    """
    import altair as alt

    table = missing.sort_values("missing", ascending=False, kind="stable").head(12)
    if (table["missing"] > 0).any():
        table = table[table["missing"] > 0]
    share = table["missing"] / rows if rows else pd.Series(np.nan, index=table.index)
    shown = [
        f"{column}  {number(count)} ({number(part, '.1%')})"
        if rows
        else f"{column}  {number(count)}"
        for column, count, part in zip(table["column"], table["missing"], share, strict=True)
    ]
    table = table.assign(shown=shown, share=share)
    top = max(int(table["missing"].max()) if len(table) else 0, 1)
    tooltip = [
        alt.Tooltip("column:N", title=_("Column")),
        alt.Tooltip("missing:Q", title=_("Missing values"), format=","),
    ]
    if rows:
        tooltip.append(alt.Tooltip("share:Q", title=_("Share of rows"), format=".1%"))
    bars = (
        alt.Chart(table)
        .mark_bar(color=style.PALETTE["accent"])
        .encode(
            x=alt.X(
                "missing:Q",
                title=_("Missing values"),
                scale=alt.Scale(domain=[0, top]),
                axis=alt.Axis(format=",d", values=[0, 1] if top == 1 else alt.Undefined),
            ),
            y=style.names(shown, _("Column")),
            tooltip=tooltip,
        )
    )
    return style.finish([bars], height=style.height_of(len(table)))


def class_density(
    binned: pd.DataFrame, *, positive: str, negative: str, axis_title: str, is_small: bool = False
) -> alt.LayerChart:
    """Show the distribution of a column within each class, as shares of the class.

    Parameters
    ----------
    binned : DataFrame
        Rows of `core.data.profile.bins` for one column and kind.
    axis_title : str
        Meaning of the column, with its unit.
    is_small : bool
        One of several side by side: lower, and without its own legend.

    Examples
    --------
    >>> binned = pd.DataFrame({"place": [0, 1], "label": ["1", "2"], "start": [1.0, 2.0],
    ...                       "end": [1.0, 2.0], "negative": [3, 1], "positive": [2, 2]})
    >>> chart = class_density(binned, positive="made", negative="missed", axis_title="Period")
    >>> chart.to_dict()["layer"][0]["encoding"]["x"]["title"]
    'Period'
    """
    roles = {positive: "made", negative: "missed"}
    parts = [
        binned[["place", "label", "start", "end"]].assign(
            set=word, rows=binned[name], share=binned[name] / max(int(binned[name].sum()), 1)
        )
        for word, name in ((positive, "positive"), (negative, "negative"))
    ]
    table = pd.concat(parts, ignore_index=True).sort_values(["set", "place"], kind="stable")
    layers = density_charts.layers(table, axis_title, roles, of=_("each class"))
    about = _("{vertical} by {horizontal}", vertical=_("Share of rows"), horizontal=axis_title)
    if not is_small:
        return style.finish(layers, about)
    for layer in layers:
        layer.encoding.color.legend = None
        layer.encoding.y.title = None
        if "strokeDash" in layer.encoding.to_dict():
            layer.encoding.strokeDash.legend = None
    return style.finish(layers, about, height=SMALL)


def slice_bars(
    binned: pd.DataFrame, *, positive: str, negative: str, axis_title: str
) -> alt.LayerChart:
    """Show the row count of each value of a column: by class, and without a label.

    Takes the parameters of `class_density`; `binned` also has the column `unlabelled`.

    Examples
    --------
    >>> binned = pd.DataFrame({"place": [0], "label": ["1996-97"], "negative": [3], "positive": [2],
    ...                       "unlabelled": [1]})
    >>> chart = slice_bars(binned, positive="made", negative="missed", axis_title="Season")
    >>> chart.to_dict()["layer"][0]["encoding"]["y"]["title"]
    'Rows'
    """
    import altair as alt

    words = {positive: "made", negative: "missed", _("rows without a label"): "neutral"}
    binned = binned.assign(label=binned["label"].replace(OTHERS, _("others")))
    columns = ("positive", "negative", "unlabelled")
    parts = [
        binned[["place", "label"]].assign(result=word, rows=binned[name], order=order)
        for order, (word, name) in enumerate(zip(words, columns, strict=True))
    ]
    labels = binned.sort_values("place")["label"].tolist()
    bars = (
        alt.Chart(pd.concat(parts, ignore_index=True))
        .mark_bar()
        .encode(
            x=style.labels(labels, axis_title),
            y=alt.Y("rows:Q", title=_("Rows"), axis=alt.Axis(format=",d")),
            order=alt.Order("order:Q"),
            color=style.pair("result:N", _("Label"), words),
            tooltip=[
                alt.Tooltip("label:N", title=axis_title),
                alt.Tooltip("result:N", title=_("Label")),
                alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            ],
        )
    )
    return style.finish([bars])


def correlation_map(table: pd.DataFrame) -> alt.LayerChart:
    """Show the correlation of each pair of columns, in the order of the table.

    Parameters
    ----------
    table : DataFrame
        Columns `one`, `other`, `correlation` (-1 to 1).

    Examples
    --------
    >>> table = pd.DataFrame({"one": ["a", "a", "b", "b"], "other": ["a", "b", "a", "b"],
    ...                       "correlation": [1.0, -0.5, -0.5, 1.0]})
    >>> correlation_map(table).to_dict()["layer"][0]["mark"]["type"]
    'rect'
    """
    import altair as alt

    names = table["one"].unique().tolist()
    base = alt.Chart(table).encode(
        x=alt.X(
            "one:N",
            title=_("Column"),
            sort=names,
            axis=alt.Axis(labelAngle=-45, labelLimit=160, labelOverlap=False),
        ),
        y=alt.Y(
            "other:N",
            title=_("Other column"),
            sort=names,
            axis=alt.Axis(labelLimit=160, labelOverlap=False),
        ),
        tooltip=[
            alt.Tooltip("one:N", title=_("Column")),
            alt.Tooltip("other:N", title=_("Other column")),
            alt.Tooltip("correlation:Q", title=_("Correlation"), format=".3f"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "correlation:Q",
            title=_("Correlation"),
            scale=alt.Scale(
                domain=[-1, 0, 1],
                range=[style.PALETTE["below"], style.SHARES[0], style.PALETTE["above"]],
                interpolate="lab",
            ),
            legend=alt.Legend(orient="top", gradientLength=160, values=[-1, 0, 1], title=None),
        )
    )
    # values near zero need no text; dark cells need light text
    strong = base.transform_filter("abs(datum.correlation) >= 0.1").mark_text(fontSize=9)
    words = strong.encode(
        text=alt.Text("correlation:Q", format=".2f"),
        color=alt.condition(
            "abs(datum.correlation) > 0.6", alt.value(style.ON_DARK), alt.value(style.ON_LIGHT)
        ),
    )
    return style.finish(
        [cells, words], height=style.height_of(len(names), band=22, legend=True) + 60
    )


def rate_over_time(table: pd.DataFrame, *, rate_title: str) -> alt.LayerChart:
    """Show the share of the positive class in each period, with its interval.

    Parameters
    ----------
    table : DataFrame
        As returned by `core.data.over_time.counts`; periods with few labels are left out.
    rate_title : str
        What the share is of.

    Examples
    --------
    >>> table = pd.DataFrame({"set": "reference", "period": "day", "rows": 40, "labelled": 40,
    ...                       "start": ["2024-01-01", "2024-01-02"], "positive": [10, 12]})
    >>> len(rate_over_time(table, rate_title="Share of late").to_dict()["layer"])
    3
    """
    import altair as alt

    known = table[table["labelled"] >= MIN_ROWS]
    rate = known["positive"] / known["labelled"]
    low, high = intervals.share(rate, known["labelled"])
    base = alt.Chart(_dated(known.assign(rate=rate, low=low, high=high))).encode(
        x=_period_axis(table),
        color=style.pair("set:N", _("Rows"), _set_roles(known)),
        tooltip=[
            alt.Tooltip("first:N", title=_period(table)),
            alt.Tooltip("set:N", title=_("Rows")),
            alt.Tooltip("rate:Q", title=rate_title, format=".1%"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format=".1%"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format=".1%"),
            alt.Tooltip("labelled:Q", title=_("With label"), format=","),
        ],
    )
    y = style.share_y("rate:Q", f"{rate_title} (%)", zero=False)
    bounds = (style.share_y("low:Q", f"{rate_title} (%)", zero=False), alt.Y2("high:Q"))
    spread = base.mark_rule(opacity=0.4, strokeWidth=2).encode(y=bounds[0], y2=bounds[1])
    points = base.mark_point(filled=True, size=45, opacity=1).encode(y=y)
    return style.finish([spread, base.mark_line(strokeWidth=1.5).encode(y=y), points])


def rows_over_time(table: pd.DataFrame) -> alt.LayerChart:
    """Show how many rows each period has, of the reference and current.

    Takes the table of `rate_over_time`.
    """
    import altair as alt

    bars = alt.Chart(_dated(table)).mark_bar(size=max(min(300 / max(len(table), 1), 30.0), 2.0))
    drawn = bars.encode(
        x=_period_axis(table),
        y=alt.Y("rows:Q", title=_("Rows"), axis=alt.Axis(format=",d"), stack=True),
        color=style.pair("set:N", _("Rows"), _set_roles(table)),
        tooltip=[
            alt.Tooltip("first:N", title=_period(table)),
            alt.Tooltip("set:N", title=_("Rows")),
            alt.Tooltip("rows:Q", title=_("Rows"), format=","),
        ],
    )
    return style.finish([drawn])


def _dated(table: pd.DataFrame) -> pd.DataFrame:
    """Return the periods with their first day as a date for the axis, and as text."""
    starts = table["start"]
    is_date = _is_date(table)
    return table.assign(
        set=table["set"].map(style.set_name),
        start=pd.to_datetime(starts) if is_date else starts.astype("float64"),
        first=[day(start) if is_date else start for start in starts],
    )


def _is_date(table: pd.DataFrame) -> bool:
    return bool((table["period"] != "value").all())


def _set_roles(table: pd.DataFrame) -> dict[str, str]:
    return {style.set_name(code): code for code in table["set"].unique()}


def _period(table: pd.DataFrame) -> str:
    codes = table["period"].unique()
    # the names of units are Babel's
    return unit(f"duration-{codes[0]}") if len(codes) and _is_date(table) else _("Time")


def _period_axis(table: pd.DataFrame) -> alt.X:
    import altair as alt

    if _is_date(table):
        return alt.X("start:T", title=_period(table))
    return alt.X("start:Q", title=_period(table), scale=alt.Scale(zero=False))
