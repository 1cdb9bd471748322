"""Charts of the rows: labels, missing values, and the rate by a column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.logic import intervals, style

if TYPE_CHECKING:
    import altair as alt


def class_balance(
    counts: pd.DataFrame, *, positive: str, negative: str, title: str | None = None
) -> alt.LayerChart:
    """Show the share of each label in each set.

    Parameters
    ----------
    counts : DataFrame
        Columns `set`, `label` (the names of the classes), `rows`.
    positive, negative : str
        Names of the classes.

    Examples
    --------
    >>> counts = pd.DataFrame({"set": "train", "label": ["made", "missed"], "rows": [48, 52]})
    >>> class_balance(counts, positive="made", negative="missed").to_dict()["height"]
    190
    """
    import altair as alt

    sets = counts["set"].unique().tolist()
    table = counts.assign(
        share=counts["rows"] / counts.groupby("set")["rows"].transform("sum"),
        order=(counts["label"] != positive).astype(int),
    ).sort_values(["set", "order"])
    after = table.groupby("set")["share"].cumsum()
    table = table.assign(start=after - table["share"], end=after, middle=after - table["share"] / 2)
    base = alt.Chart(table).encode(
        y=alt.Y("set:N", title="Set", sort=sets),
        tooltip=[
            alt.Tooltip("set:N", title="Set"),
            alt.Tooltip("label:N", title="Label"),
            alt.Tooltip("rows:Q", title="Rows", format=","),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
        ],
    )
    bars = base.mark_bar().encode(
        x=style.share_x("start:Q", "Share of rows (%)", domain=[0, 1]),
        x2="end:Q",
        color=style.pair("label:N", "Label", {positive: "made", negative: "missed"}),
    )
    # a narrow part cannot hold its text; the tooltip has it
    words = base.transform_filter("datum.share > 0.15").mark_text(color=style.ON_DARK)
    return style.finish(
        [bars, words.encode(x="middle:Q", text=alt.Text("share:Q", format=".1%"))],
        title,
        "Share of each label in each set",
        height=style.height_of(len(sets), band=48, legend=True),
    )


def rate_table(
    frame: pd.DataFrame, by: str, label: str, *, bins: int = 30, min_rows: int = 20
) -> pd.DataFrame:
    """Return the make rate, with its 95 % interval (Wilson), for each value of a column.

    A numeric column of more than 20 values is cut into at most `bins` bins of equal width. Rows
    without a label or a value are left out, and so are values with fewer than `min_rows` rows.

    Returns
    -------
    DataFrame
        Columns: the column `by` (its value, or the middle of a bin), `rows`, `rate`, `low`,
        `high`.

    Examples
    --------
    >>> shots = pd.DataFrame({"period": [1, 1, 2, 2], "made": [1, 0, 1, 1]})
    >>> rate_table(shots, "period", "made", min_rows=1).round(2)
       period  rows  rate   low  high
    0       1     2   0.5  0.09  0.91
    1       2     2   1.0  0.34  1.00
    """
    known = frame[[by, label]].dropna()
    values = known[by]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > intervals.DISCRETE:
        numbers = values.to_numpy(dtype=float)
        edges = intervals.edges(numbers, bins)
        place = np.searchsorted(edges[1:-1], numbers, side="right")
        # the middle of the whole numbers 3, 4, 5 is 4, though their bin ends before 6
        middles = (edges[:-1] + edges[1:] - (1 if intervals.are_whole(numbers) else 0)) / 2
        values = pd.Series(middles[place], index=known.index)
    grouped = known[label].groupby(values.rename(by))
    table = pd.DataFrame({"rows": grouped.size(), "rate": grouped.mean()}).reset_index()
    table = table[table["rows"] >= min_rows].reset_index(drop=True)
    low, high = intervals.wilson(table["rate"], table["rows"])
    return table.assign(low=low, high=high)


def make_rate_by(
    table: pd.DataFrame,
    by: str,
    *,
    axis_title: str | None = None,
    average: float | None = None,
    rate_title: str = "Make rate",
    title: str | None = None,
) -> alt.LayerChart:
    """Show a rate with its interval for each value of a column.

    Parameters
    ----------
    table : DataFrame
        As `rate_table` returns it.
    by : str
        Its first column.
    axis_title : str, optional
        What `by` means, with its unit.
    average : float, optional
        Drawn as a rule.

    Examples
    --------
    >>> shots = pd.DataFrame({"period": [1, 1, 2, 2], "made": [1, 0, 1, 1]})
    >>> chart = make_rate_by(rate_table(shots, "period", "made", min_rows=1), "period", average=0.7)
    >>> len(chart.to_dict()["layer"])
    3
    """
    import altair as alt

    numeric = pd.api.types.is_numeric_dtype(table[by]) and len(table) > 10
    name = axis_title or by
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
            alt.Tooltip("low:Q", title="95 % from", format=".1%"),
            alt.Tooltip("high:Q", title="95 % to", format=".1%"),
            alt.Tooltip("rows:Q", title="Rows with a label", format=","),
        ],
    )
    layers: list[alt.Chart] = []
    if average is not None:
        layers.append(style.rule("y", average, f"Average of all rows: {average:.1%}"))
    low, rate = (
        style.share_y(field, f"{rate_title} (%)", zero=False) for field in ("low:Q", "rate:Q")
    )
    accent = style.PALETTE["accent"]
    spread = base.mark_rule(color=accent, opacity=0.55, strokeWidth=2)
    points = base.mark_point(color=accent, filled=True, size=70, opacity=1)
    layers += [spread.encode(y=low, y2="high:Q"), points.encode(y=rate)]
    return style.finish(layers, title, f"{rate_title} by {name}")


def missing_bars(
    missing: pd.DataFrame, *, rows: int | None = None, limit: int = 12, title: str | None = None
) -> alt.LayerChart:
    """Show the columns with missing values, most first; all columns up to `limit` when none has.

    Parameters
    ----------
    missing : DataFrame
        Columns `column`, `missing` (a count).
    rows : int, optional
        Rows of the frame, to tell the share.

    Examples
    --------
    >>> missing = pd.DataFrame({"column": ["lat", "made"], "missing": [0, 5]})
    >>> missing_bars(missing, rows=20).to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['made  5 (25.0%)']
    """
    import altair as alt

    table = missing.sort_values("missing", ascending=False, kind="stable").head(limit)
    if (table["missing"] > 0).any():
        table = table[table["missing"] > 0]
    share = table["missing"] / rows if rows else pd.Series(np.nan, index=table.index)
    shown = [
        f"{column}  {count:,} ({part:.1%})" if rows else f"{column}  {count:,}"
        for column, count, part in zip(table["column"], table["missing"], share, strict=True)
    ]
    table = table.assign(shown=shown, share=share)
    top = max(int(table["missing"].max()) if len(table) else 0, 1)
    tooltip = [
        alt.Tooltip("column:N", title="Column"),
        alt.Tooltip("missing:Q", title="Missing values", format=","),
    ]
    if rows:
        tooltip.append(alt.Tooltip("share:Q", title="Share of rows", format=".1%"))
    bars = (
        alt.Chart(table)
        .mark_bar(color=style.PALETTE["accent"])
        .encode(
            x=alt.X(
                "missing:Q",
                title="Missing values (rows)",
                scale=alt.Scale(domain=[0, top]),
                axis=alt.Axis(format=",d", values=[0, 1] if top == 1 else alt.Undefined),
            ),
            y=style.names(shown, "Column"),
            tooltip=tooltip,
        )
    )
    return style.finish(
        [bars], title, "Missing values by column", height=style.height_of(len(table))
    )
