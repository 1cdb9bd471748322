"""The style of all charts: colours, axes, legends, lines and the final layout.

Text, axes and background follow the theme, light or dark; only marks have colours defined here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from core.platform.messages import Message, Words, _, number

if TYPE_CHECKING:
    import altair as alt

# Warm for positive or new, cool for negative or current. Every mark has a contrast of 3:1 or more
# on both backgrounds in .streamlit/config.toml, each pair differs for readers with deutan,
# protan or tritan vision, and white text on accent, made, missed and cool keeps 4.5:1.
PALETTE = {
    "accent": "#C2511A",
    "cool": "#5666CE",
    "made": "#C2511A",
    "missed": "#5666CE",
    "current": "#C2511A",
    "reference": "#5666CE",
    "challenger": "#C2511A",
    "champion": "#5666CE",
    "above": "#D4561B",
    "average": "#A9ABB2",
    "below": "#4757CE",
    "neutral": "#7C8797",
    "line": "#7C8797",
    "ok": "#12897F",
    "warning": "#B07F10",
    "alert": "#CC3F56",
}
# For several models. From the fourth on, lines also differ in their dashes.
CATEGORIES = ("#5666CE", "#C2511A", "#12897F", "#C860A8", "#B07F10", "#7C8797")
# Shares in cells: the same in both themes, so that the text inside stays legible.
SHARES = ("#EEF0FB", "#3F4DB0")
ON_LIGHT, ON_DARK = "#000000", "#FFFFFF"

# sets of rows and roles of models, by their code; other names are shown as they are
SET_LABELS: dict[str, Message] = {
    "reference": Message("reference"),
    "current": Message("current"),
    "train": Message("train"),
    "test": Message("test"),
    "scored": Message("scored"),
    "champion": Message("champion"),
    "challenger": Message("challenger"),
}
HEIGHT = 280
_WIDTH = 640
# A group this many times further than those below it is left out of an axis.
_FAR = 5.0
# Extreme values that stretch an axis this many times are left out of it.
_SQUASHED = 2.0


def set_name(code: object) -> str:
    """Return the name of a set of rows, or of a model by its role, in words.

    Examples
    --------
    >>> set_name("reference"), set_name("lr")
    ('reference', 'lr')
    """
    return str(SET_LABELS.get(str(code), code))


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for a chart, with words for the messages in it.

    Examples
    --------
    >>> in_words(pd.DataFrame({"text": [Message("{n} rows", n=2)]}))["text"].tolist()
    ['2 rows']
    """
    texts = {
        str(name): [str(cell) if isinstance(cell, Message) else cell for cell in table[name]]
        for name, kind in table.dtypes.items()
        if kind.kind == "O" and any(isinstance(cell, Message) for cell in table[name])
    }
    return table.assign(**texts) if texts else table


def finish(
    layers: list[alt.Chart], description: str | None = None, *, height: int = HEIGHT
) -> alt.LayerChart:
    """Combine the layers into a chart of the common size and style.

    Parameters
    ----------
    description : str, optional
        Read by screen readers; by default the titles of the axes.

    Examples
    --------
    >>> chart = finish([rule("x", 0.5, "Half")], "About", height=100)
    >>> chart.to_dict()["height"], chart.to_dict()["description"]
    (100, 'About')
    """
    import altair as alt

    tables = {id(layer.data): layer.data for layer in layers}
    worded = {
        key: in_words(table) if isinstance(table, pd.DataFrame) else table
        for key, table in tables.items()
    }
    for layer in layers:
        layer.data = worded[id(layer.data)]
    return layered(
        layers,
        # the width without a container, in a file
        view=alt.ViewConfig(continuousWidth=_WIDTH, discreteWidth=_WIDTH),
        width="container",
        height=height,
        # the height of the whole picture, on a page and in a file
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        description=description or _axes(layers),
    )


def _axes(layers: list[alt.Chart]) -> str:
    """Return the titles of the vertical and the horizontal axis, as a description of the chart."""
    titles = []
    for name in ("y", "x"):
        channels: list[Any] = [getattr(layer.encoding, name, None) for layer in layers]
        known = [channel._kwds.get("title") for channel in channels if hasattr(channel, "_kwds")]
        titles += [title for title in known if title and isinstance(title, str)][:1]
    if len(titles) < 2:
        return "".join(titles)
    return _("{vertical} by {horizontal}", vertical=titles[0], horizontal=titles[1])


def labelled(name: Words, value: float, spec: str) -> str:
    """Return a name with its value, for a line of a chart.

    Examples
    --------
    >>> labelled("Threshold", 0.5, ".2f")
    'Threshold: 0.50'
    """
    return _("{name}: {value}", name=name, value=number(value, spec))


def cut_title(axis: str, *ends: float) -> str:
    """Return the title of an axis that is cut at these values.

    Examples
    --------
    >>> cut_title("Log loss", 0.9)
    'Log loss (truncated at 0.9)'
    """
    return _("{axis} (truncated at {ends})", axis=axis, ends=[number(end, ".3g") for end in ends])


def height_of(rows: int, *, band: int = 34, legend: bool = False) -> int:
    """Return the height in pixels of a chart with one band per row.

    Examples
    --------
    >>> height_of(5), height_of(5, legend=True)
    (230, 264)
    """
    # neither a single bar as tall as the chart nor twenty that overlap
    return 60 + 34 * legend + band * max(rows, 2)


def layered(layers: list[alt.Chart], *, view: alt.ViewConfig, **properties: Any) -> alt.LayerChart:
    """Return a chart whose text has the theme's colour, or black in a file.

    Streamlit's own grey for axes has a contrast below 4.5:1 on white. All is given at once: each
    property that is added later copies every layer four times. Rows that all layers share are
    given once too, else Altair prints them to compare them.
    """
    import altair as alt

    from core.stats.charts.layered import Layered

    words: dict[str, Any] = {"labelColor": "currentColor", "titleColor": "currentColor"}
    if len({id(layer.data) for layer in layers}) == 1:
        properties["data"] = layers[0].data
        for layer in layers:
            layer.data = alt.Undefined
    config = alt.Config(view=view, axis=alt.AxisConfig(**words), legend=alt.LegendConfig(**words))
    return Layered(layer=layers, config=config, **properties)


def cut(values: pd.Series[float], groups: pd.Series[str]) -> tuple[float, float] | None:
    """Return the ends of an axis that leaves out groups far above the others; None without such.

    Parameters
    ----------
    groups : Series
        The group of each value; at least half of them stay within the axis.

    Examples
    --------
    >>> values = pd.Series([0.6, 0.7, 0.65, 0.7, 13.0, 14.0])
    >>> ends = cut(values, pd.Series(["a", "a", "b", "b", "c", "c"]))
    >>> [round(end, 3) for end in ends]
    [0.59, 0.71]
    >>> cut(values.head(4), pd.Series(["a", "a", "b", "b"])) is None
    True
    """
    highest = values.groupby(groups).max().sort_values(kind="stable")
    low = float(values.min())
    usual = highest.iloc[: max((len(highest) + 1) // 2, 2)]
    # the largest group that is close to those below it
    last = float(usual.iloc[-1]) if len(usual) else low
    for high in highest.iloc[len(usual) :]:
        if high - low > _FAR * (last - low):
            break
        last = float(high)
    if not len(highest) or float(highest.iloc[-1]) == last or last == low:
        return None
    room = 0.1 * (last - low)
    return low - room, last + room


def without_outliers(values: pd.Series[float]) -> tuple[float, float] | None:
    """Return the ends of an axis that leaves out a few extreme values; None without such.

    At most 1% of the values is left out at each end, but two where there are enough.

    Examples
    --------
    >>> values = pd.Series([0.0] * 20 + [1.0] * 20 + [50.0, 60.0])
    >>> [round(end, 2) for end in without_outliers(values)]
    [-0.05, 1.05]
    >>> without_outliers(pd.Series(range(40))) is None
    True
    """
    ordered = values.dropna().sort_values(ignore_index=True)
    count = max(int(0.01 * len(ordered)), 2)
    if len(ordered) < 5 * count:
        return None
    low, high = float(ordered.iloc[count]), float(ordered.iloc[-1 - count])
    reach = high - low
    ends = [float(ordered.iloc[0]), float(ordered.iloc[-1])]
    if reach == 0 or ends[1] - ends[0] <= _SQUASHED * reach:
        return None
    # an end that is near stays as it is
    low = max(low, ends[0]) if low - ends[0] > reach else ends[0]
    high = min(high, ends[1]) if ends[1] - high > reach else ends[1]
    room = 0.05 * (high - low)
    return low - room, high + room


def pair(field: str, title: str, roles: dict[str, str]) -> alt.Color:
    """Return a colour scale for the names in `roles`, whose values are keys of PALETTE."""
    import altair as alt

    colours = [PALETTE[role] for role in roles.values()]
    scale = alt.Scale(domain=list(roles), range=colours)
    # three long names do not fit side by side in half a page
    columns = 2 if sum(map(len, roles)) > 45 else 3
    return alt.Color(field, title=title, scale=scale, legend=legend(columns))


def dashes(field: str, title: str, names: list[str]) -> alt.StrokeDash:
    """Return a dash pattern per name, the first solid, so that lines differ without colour."""
    import altair as alt

    kinds = [[1, 0], [6, 3], [2, 2]]
    scale = alt.Scale(domain=names, range=[kinds[place % 3] for place in range(len(names))])
    columns = 2 if sum(map(len, names)) > 45 else 3
    return alt.StrokeDash(field, title=title, scale=scale, legend=legend(columns))


def shapes(field: str, title: str, names: list[str]) -> alt.Shape:
    """Return a shape per name, so that points differ without colour."""
    import altair as alt

    kinds = ["circle", "diamond", "triangle-up", "square"]
    scale = alt.Scale(domain=names, range=[kinds[place % 4] for place in range(len(names))])
    columns = 2 if sum(map(len, names)) > 45 else 3
    return alt.Shape(field, title=title, scale=scale, legend=legend(columns))


def legend(columns: int = 3) -> alt.Legend:
    """Return a legend above the chart, with this many columns."""
    import altair as alt

    return alt.Legend(
        orient="top", title=None, columns=columns, labelLimit=260, symbolOpacity=1, symbolSize=90
    )


def share_x(field: str, title: str, *, domain: list[float] | None = None) -> alt.X:
    """Return a horizontal axis of shares, in percent."""
    import altair as alt

    scale = alt.Undefined if domain is None else alt.Scale(domain=domain, nice=False)
    return alt.X(field, title=title, scale=scale, axis=alt.Axis(format="~%"))


def share_y(
    field: str,
    title: str,
    *,
    domain: list[float] | None = None,
    zero: bool = True,
    stack: Literal[False] | None = False,
) -> alt.Y:
    """Return a vertical axis of shares, in percent; `zero` applies only without a domain."""
    import altair as alt

    scale = alt.Scale(zero=zero) if domain is None else alt.Scale(domain=domain, nice=False)
    return alt.Y(field, title=title, scale=scale, axis=alt.Axis(format="~%"), stack=stack)


def names(shown: list[str], title: str) -> alt.Y:
    """Return a vertical axis of names with their values."""
    import altair as alt

    return alt.Y("shown:N", title=title, sort=shown, axis=alt.Axis(labelLimit=260))


def labels(shown: list[str], title: str) -> alt.X:
    """Return a horizontal axis of values in their order; many or long ones are slanted."""
    import altair as alt

    angle = 0 if max(map(len, shown), default=0) * len(shown) <= 60 else -45
    axis = alt.Axis(labelAngle=angle, labelLimit=110, labelOverlap=True)
    return alt.X("label:N", title=title, sort=shown, axis=axis)


def diverging(field: str, title: str, domain: tuple[float, float, float], form: str) -> alt.Color:
    """Return a colour from below the middle of a domain to above it, grey at the middle.

    Parameters
    ----------
    domain : tuple of float
        The low end, the middle and the high end; values beyond an end have its colour.
    form : str
        How the ends are written, as d3 formats a number.

    Examples
    --------
    >>> diverging("rate:Q", "Rate", (0.2, 0.5, 0.8), ".0%").to_dict()["scale"]["domain"]
    [0.2, 0.5, 0.8]
    """
    import altair as alt

    low, middle, high = domain
    return alt.Color(
        field,
        title=title,
        scale=alt.Scale(
            domain=list(domain),
            range=[PALETTE["below"], PALETTE["average"], PALETTE["above"]],
            clamp=True,
            interpolate="lab",
        ),
        legend=alt.Legend(
            format=form,
            values=[low, high],
            orient="bottom",
            gradientLength=130,
            titleLimit=320,
            labelExpr=f"(datum.value < {middle:.6f} ? '≤ ' : '≥ ') + datum.label",
        ),
    )


def rule(axis: str, value: float, text: str, *, in_legend: bool = True) -> alt.Chart:
    """Return a dashed line across the chart at a value of `axis`, "x" or "y".

    `text` says what the line means; `in_legend` adds it to the legend.
    """
    import altair as alt

    base = alt.Chart(pd.DataFrame({"value": [value], "text": [text]}))
    rule = base.mark_rule(color=PALETTE["line"], strokeDash=[5, 4], strokeWidth=2)
    tooltip = alt.Tooltip("text:N", title=_("Meaning"))
    dash: Any = alt.Undefined
    if in_legend:
        key = alt.Legend(
            orient="top",
            symbolType="stroke",
            symbolStrokeColor=PALETTE["line"],
            symbolStrokeWidth=2,
            symbolSize=250,
            labelLimit=260,
        )
        dash = alt.StrokeDash("text:N", title=None, scale=alt.Scale(range=[[5, 4]]), legend=key)
    place = alt.X("value:Q") if axis == "x" else alt.Y("value:Q")
    drawn: alt.Chart = rule.encode(**{axis: place}, strokeDash=dash, tooltip=tooltip)
    return drawn


def rule_label(value: float, text: str, *, line: int = 0) -> alt.Chart:
    """Return the name of a rule across the horizontal axis, above the chart.

    Parameters
    ----------
    line : int
        Lines below it that are taken by the names of other rules.

    Examples
    --------
    >>> rule_label(0.5, "Half").to_dict()["mark"]["align"]
    'left'
    """
    import altair as alt

    base = alt.Chart(pd.DataFrame({"value": [value], "text": [text]}))
    mark = base.mark_text(
        align="left" if value <= 0.6 else "right",
        baseline="bottom",
        fontSize=12,
        tooltip=None,
        color="currentColor",
    )
    drawn: alt.Chart = mark.encode(
        x=alt.X("value:Q"), y=alt.value(-3 - 15 * line), text=alt.Text("text:N")
    )
    return drawn
