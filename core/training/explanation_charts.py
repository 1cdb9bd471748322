"""Charts of what a model's probabilities depend on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.platform.messages import Message, _, n_, number
from core.stats.charts import style
from core.training.explanation import worded

if TYPE_CHECKING:
    import altair as alt

# More names do not fit one picture.
MOST_FEATURES = 20
MOST_STEPS = 12
NAME_LENGTH = 34
# Altair refuses more than 5,000, and a larger file is slow to open.
MOST_POINTS = 4000
COMPARED = Message("Background mean")
# How much taller a legend of colours is than one of names.
GRADIENT = 70
# Bins along the axis, within which points are spread out.
PLACES = 80
# Colour of a value by its rank within the feature: low, middle, high.
RANKS = (style.PALETTE["below"], style.PALETTE["average"], style.PALETTE["above"])


def importance_bars(table: pd.DataFrame) -> alt.LayerChart:
    """Show how much log loss grows when each feature is shuffled, with the 95% interval.

    Parameters
    ----------
    table : DataFrame
        As returned by `core.training.explanation.importance`; the first 20 rows are drawn.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": ["x", "y"], "mean": [0.2, 0.0], "sd": [0.01, 0.01],
    ...                       "low": [0.1, -0.1], "high": [0.3, 0.1]})
    >>> importance_bars(table).to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['x  0.2000', 'y  0.0000']
    """
    import altair as alt

    drawn = table.head(MOST_FEATURES)
    pairs = zip(drawn["feature"], drawn["mean"], strict=True)
    # adding 0 removes the sign of a rounded zero
    figures = [
        (feature, number(round(mean, 4) + 0.0, ".4f").replace("-", "−")) for feature, mean in pairs
    ]
    names = [f"{feature}  {figure}" for feature, figure in figures]
    axis = _("Increase of log loss")
    base = alt.Chart(drawn.assign(shown=names)).encode(
        y=style.names(names, _("Feature")),
        tooltip=[
            alt.Tooltip("feature:N", title=_("Feature")),
            alt.Tooltip("mean:Q", title=_("Increase of log loss"), format=".4f"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format=".4f"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format=".4f"),
            alt.Tooltip("sd:Q", title=_("Standard deviation"), format=".4f"),
        ],
    )
    bars = base.mark_bar(color=style.PALETTE["cool"]).encode(
        x=alt.X("mean:Q", title=axis, axis=alt.Axis(tickCount=8))
    )
    reach = base.mark_rule(color=style.PALETTE["accent"], strokeWidth=2.5).encode(
        x=alt.X("low:Q", title=axis), x2=alt.X2("high:Q")
    )
    return style.finish([bars, reach], height=style.height_of(len(drawn), band=24))


def contribution_strip(table: pd.DataFrame) -> alt.LayerChart:
    """Show the contributions of each feature, a point per row, coloured by the feature's value.

    Parameters
    ----------
    table : DataFrame
        As returned by `core.training.shap_values.long`. The 20 features with the largest mean
        absolute contribution are drawn, for as many rows as fit 4,000 points. Texts have no rank:
        their points are grey.

    Examples
    --------
    >>> table = pd.DataFrame({"row": [0, 1], "feature": "x", "value": [1.0, 2.0],
    ...                       "value_shown": ["1", "2"], "contribution": [-0.1, 0.2]})
    >>> contribution_strip(table).to_dict()["layer"][1]["encoding"]["y"]["sort"]
    ['x  15.0']
    """
    import altair as alt

    size = table["contribution"].abs().groupby(table["feature"], sort=False).mean()
    size = size.sort_values(ascending=False, kind="stable").head(MOST_FEATURES)
    shown = {name: f"{name}  {number(100 * mean, '.1f')}" for name, mean in size.items()}
    rows = table["row"].unique()
    sampled = rows[:: -(-len(rows) * len(size) // MOST_POINTS) or 1]
    drawn = table[table["feature"].isin(size.index) & table["row"].isin(sampled)]
    drawn = drawn.reset_index(drop=True)
    rank = drawn.groupby("feature")["value"].rank(method="average")
    count = drawn.groupby("feature")["value"].transform("count")
    points = pd.DataFrame(
        {
            "shown": drawn["feature"].map(shown),
            "feature": drawn["feature"],
            "value": [str(worded(label)) for label in drawn["value_shown"]],
            # a single value is in the middle
            "rank": ((rank - 0.5) / count).round(3),
            "points": (100 * drawn["contribution"]).round(3),
            "beside": _beside(drawn),
        }
    )
    points["known"] = points["rank"].notna()
    # Vega draws no point without a colour value
    points["rank"] = points["rank"].fillna(0.5)
    names = list(shown.values())
    axis = _("Contribution (points)")
    scale: Any = alt.Undefined
    if (domain := style.without_outliers(points["points"])) is not None:
        scale = alt.Scale(domain=list(domain), nice=False, clamp=True)
        axis = style.cut_title(axis, *domain)
    ends = [json.dumps(word, ensure_ascii=False) for word in (_("low"), _("high"))]
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=style.PALETTE["line"])
    marks = (
        alt.Chart(points)
        .mark_circle(size=16, opacity=0.75)
        .encode(
            x=alt.X("points:Q", title=axis, axis=alt.Axis(tickCount=8), scale=scale),
            y=alt.Y(
                "shown:N",
                title=_("Feature"),
                sort=names,
                axis=alt.Axis(labelLimit=260, labelOverlap=False),
                scale=alt.Scale(paddingInner=0.25),
            ),
            yOffset=alt.YOffset("beside:Q", scale=alt.Scale(domain=[-1, 1])),
            color=alt.condition(
                "datum.known",
                alt.Color(
                    "rank:Q",
                    title=_("Value of the feature (grey: text or missing)"),
                    scale=alt.Scale(domain=[0, 0.5, 1], range=list(RANKS), interpolate="lab"),
                    legend=alt.Legend(
                        orient="top",
                        direction="horizontal",
                        values=[0, 1],
                        labelExpr=f"datum.value < 0.5 ? {ends[0]} : {ends[1]}",
                        gradientLength=160,
                        titleLimit=400,
                    ),
                ),
                alt.value(style.PALETTE["neutral"]),
            ),
            tooltip=[
                alt.Tooltip("feature:N", title=_("Feature")),
                alt.Tooltip("value:N", title=_("Value")),
                alt.Tooltip("points:Q", title=_("Contribution (points)"), format="+.1f"),
            ],
        )
    )
    chart = style.finish(
        [zero.encode(x=alt.X("x:Q", title=axis)), marks],
        height=style.height_of(len(names), band=28, legend=True) + GRADIENT,
    )
    # from 2,000 points on, a page would use a canvas, which ignores the theme's text colour
    chart.usermeta = {"embedOptions": {"renderer": "svg"}}
    return chart


def waterfall(table: pd.DataFrame, base: float, probability: float) -> alt.LayerChart:
    """Show how the features of one row lead from the base to its probability, largest step first.

    Parameters
    ----------
    table : DataFrame
        Columns `feature`, `value_shown`, `contribution` of one row. Beyond 12 features, the
        smallest contributions form one step.
    base, probability : float
        Where the steps start and end, 0 to 1.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": ["x", "y"], "value_shown": ["1", "a"],
    ...                       "contribution": [-0.1, 0.2]})
    >>> chart = waterfall(table, 0.4, 0.5)
    >>> chart.to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['Background mean  40.0%', '+20.0  y = a', '−10.0  x = 1', 'This row  50.0%']
    """
    import altair as alt

    steps = _steps(table, base, probability)
    names = steps["shown"].tolist()
    kinds = {_("raises"): "above", _("lowers"): "below"}
    reach = [*steps["start"], *steps["end"]]
    first, last = min(reach), max(reach)
    room = 0.05 * (last - first) or 0.01
    # intermediate sums may leave the range 0 to 1
    domain = [max(first - room, min(first, 0.0)), min(last + room, max(last, 1.0))]
    encoded = alt.Chart(steps).encode(
        x=style.share_x("start:Q", _("Probability"), domain=domain),
        y=alt.Y(
            "shown:N",
            title=_("Contribution (points)"),
            sort=names,
            # Vega measures long labels with another font, and the title would overlap them
            axis=alt.Axis(labelLimit=260, titlePadding=22),
        ),
        tooltip=[
            alt.Tooltip("name:N", title=_("Step")),
            alt.Tooltip("points:Q", title=_("Contribution (points)"), format="+.2f"),
            alt.Tooltip("end:Q", title=_("Probability"), format=".1%"),
        ],
    )
    bars = (
        encoded.transform_filter("datum.kind != 'end'")
        .mark_bar()
        .encode(x2=alt.X2("end:Q"), color=style.pair("change:N", _("Step"), kinds))
    )
    ends = encoded.transform_filter("datum.kind == 'end'").mark_tick(
        color=style.PALETTE["neutral"], thickness=4, size=18
    )
    return style.finish([bars, ends], height=style.height_of(len(steps), band=26, legend=True))


def partial_dependence(table: pd.DataFrame, *, axis_title: str | None = None) -> alt.LayerChart:
    """Show the mean probability by the value of one feature, and the middle 80% of the rows.

    Numbers are a line with a band, texts are points with ranges, the most probable first.

    Parameters
    ----------
    table : DataFrame
        As returned by `core.training.explanation.partial_dependence`, at least one row.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": "lat", "value": [33.0, 34.0], "label": ["33", "34"],
    ...                       "mean": [0.4, 0.5], "low": [0.3, 0.4], "high": [0.5, 0.6]})
    >>> partial_dependence(table).to_dict()["layer"][0]["encoding"]["x"]["title"]
    'lat'
    """
    name = axis_title or str(table["feature"].iloc[0])
    draw = _points if table["value"].isna().any() else _line
    layers, height = draw(table, name)
    return style.finish(layers, height=height)


def reach_bars(table: pd.DataFrame, probability: float, *, threshold: float) -> alt.LayerChart:
    """Show the range of probabilities each input alone can give one row, the widest first.

    Parameters
    ----------
    table : DataFrame
        As returned by `core.training.explanation.reaches`; the first 20 rows are drawn.
    probability : float
        The row's own.
    threshold : float
        Where the predicted label changes.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": ["x"], "own": ["1"], "low": [0.3], "low_at": ["0"],
    ...                       "high": [0.6], "high_at": ["4"]})
    >>> chart = reach_bars(table, 0.4, threshold=0.5)
    >>> chart.to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['x = 1']
    """
    import altair as alt

    drawn = table.head(MOST_FEATURES)
    pairs = zip(drawn["feature"], drawn["own"], strict=True)
    names = [_short(f"{feature} = {worded(own)}") for feature, own in pairs]
    labels = {end: [str(worded(label)) for label in drawn[end]] for end in ("low_at", "high_at")}
    base = alt.Chart(drawn.assign(shown=names, now=probability, **labels)).encode(
        y=style.names(names, _("Input")),
        tooltip=[
            alt.Tooltip("feature:N", title=_("Input")),
            alt.Tooltip("low:Q", title=_("From"), format=".1%"),
            alt.Tooltip("low_at:N", title=_("at")),
            alt.Tooltip("high:Q", title=_("To"), format=".1%"),
            alt.Tooltip("high_at:N", title=_("at")),
        ],
    )
    low, now = _probability("low"), _probability("now")
    bars = base.mark_bar(
        color=style.PALETTE["cool"], stroke=style.PALETTE["cool"], strokeWidth=1
    ).encode(x=low, x2=alt.X2("high:Q"))
    ticks = base.mark_tick(color=style.PALETTE["accent"], thickness=4, size=20).encode(x=now)
    layers = [bars, ticks]
    if drawn["low"].min() <= threshold <= drawn["high"].max():
        layers.append(style.rule("x", threshold, style.labelled(_("Threshold"), threshold, "g")))
    return style.finish(layers, height=style.height_of(len(drawn), band=26, legend=len(layers) > 2))


def along(table: pd.DataFrame, *, axis_title: str | None = None) -> alt.LayerChart:
    """Show one row's probability over the values of one input, and the row's own value.

    Parameters
    ----------
    table : DataFrame
        The rows of one feature, as returned by `core.training.explanation.along`.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": "x", "value": [0.0, 1.0], "label": ["0", "1"],
    ...                       "probability": [0.4, 0.5], "is_own": [True, False]})
    >>> len(along(table).to_dict()["layer"])
    2
    """
    import altair as alt

    name = axis_title or str(table["feature"].iloc[0])
    is_text = bool(table["value"].isna().any())
    tooltip = [
        alt.Tooltip("label:N", title=name),
        alt.Tooltip("probability:Q", title=_("Probability"), format=".1%"),
    ]
    y = style.share_y("probability:Q", _("Probability"), zero=False)
    x: alt.X
    if is_text:
        table = table.sort_values("probability", ascending=False, kind="stable")
        x = style.labels(table["label"].tolist(), name)
    else:
        x = alt.X("value:Q", title=name, scale=alt.Scale(zero=False, nice=False, padding=10))
    base = alt.Chart(table).encode(x=x, y=y, tooltip=tooltip)
    others = (
        base.mark_circle(color=style.PALETTE["cool"], size=60, opacity=1)
        if is_text
        else base.mark_line(color=style.PALETTE["cool"], strokeWidth=2.5, point=True)
    )
    own = base.transform_filter("datum.is_own").mark_point(
        color=style.PALETTE["accent"], filled=True, size=160, shape="diamond", opacity=1
    )
    return style.finish([others, own])


def _line(table: pd.DataFrame, name: str) -> tuple[list[alt.Chart], int]:
    import altair as alt

    x_title, scale = name, alt.Scale(zero=False, nice=False)
    if (domain := style.without_outliers(table["value"])) is not None:
        low, high = domain
        scale = alt.Scale(domain=[low, high], nice=False)
        x_title = style.cut_title(name, low, high)
        table = table[table["value"].between(low, high)]
    base = alt.Chart(table).encode(
        x=alt.X("value:Q", title=x_title, scale=scale), tooltip=_partial_tooltip(name)
    )
    least, mean = (
        style.share_y(f"{end}:Q", _("Probability"), zero=False) for end in ("low", "mean")
    )
    band = base.mark_area(color=style.PALETTE["cool"], opacity=0.2).encode(
        y=least, y2=alt.Y2("high:Q")
    )
    line = base.mark_line(color=style.PALETTE["accent"], strokeWidth=2.5).encode(y=mean)
    dots = base.mark_circle(color=style.PALETTE["accent"], size=45, opacity=1).encode(y=mean)
    return [band, line, dots], style.HEIGHT


def _points(table: pd.DataFrame, name: str) -> tuple[list[alt.Chart], int]:
    import altair as alt

    ranked = table.sort_values("mean", ascending=False, kind="stable")
    names = [
        f"{label}  {number(mean, '.1%')}"
        for label, mean in zip(ranked["label"], ranked["mean"], strict=True)
    ]
    base = alt.Chart(ranked.assign(shown=names)).encode(
        y=style.names(names, name), tooltip=_partial_tooltip(name)
    )
    low, mean = _probability("low"), _probability("mean")
    reach = base.mark_rule(color=style.PALETTE["cool"], strokeWidth=3, opacity=0.45).encode(
        x=low, x2=alt.X2("high:Q")
    )
    dots = base.mark_circle(color=style.PALETTE["accent"], size=80, opacity=1).encode(x=mean)
    return [reach, dots], style.height_of(len(ranked), band=24)


def _probability(field: str) -> alt.X:
    """Return an axis of probabilities that need not start at zero."""
    import altair as alt

    return alt.X(
        f"{field}:Q",
        title=_("Probability"),
        axis=alt.Axis(format="~%"),
        scale=alt.Scale(zero=False),
    )


def _partial_tooltip(name: str) -> list[alt.Tooltip]:
    import altair as alt

    return [
        alt.Tooltip("label:N", title=name),
        alt.Tooltip("mean:Q", title=_("Mean predicted probability"), format=".1%"),
        alt.Tooltip("low:Q", title=_("From"), format=".1%"),
        alt.Tooltip("high:Q", title=_("To"), format=".1%"),
    ]


def _steps(table: pd.DataFrame, base: float, probability: float) -> pd.DataFrame:
    """Return start and end of each step: `shown`, `name`, `kind` and so on."""
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    ranked = table.loc[order]
    pairs = zip(ranked["feature"], ranked["value_shown"], strict=True)
    names = [_short(f"{feature} = {worded(value)}") for feature, value in pairs]
    changes = ranked["contribution"].tolist()
    if len(names) > MOST_STEPS:
        rest = sum(changes[MOST_STEPS - 1 :])
        names = [
            *names[: MOST_STEPS - 1],
            n_("{count} other feature", "{count} other features", len(names) - MOST_STEPS + 1),
        ]
        changes = [*changes[: MOST_STEPS - 1], rest]
    ends = base + np.cumsum(changes)
    steps = pd.DataFrame(
        {
            "shown": [f"{_signed(c)}  {name}" for c, name in zip(changes, names, strict=True)],
            "name": names,
            "kind": ["raises" if change >= 0 else "lowers" for change in changes],
            "change": [_("raises") if change >= 0 else _("lowers") for change in changes],
            "points": [100 * change for change in changes],
            "start": [base, *ends[:-1]] if changes else [],
            "end": ends,
        }
    )
    first, last = (
        pd.DataFrame(
            {
                "shown": [f"{text}  {number(at, '.1%')}"],
                "name": [text],
                "kind": ["end"],
                "change": [""],
                "points": [0.0],
                "start": [at],
                "end": [at],
            }
        )
        for text, at in ((str(COMPARED), base), (_("This row"), probability))
    )
    return pd.concat([first, steps, last], ignore_index=True)


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"


def _signed(change: float) -> str:
    return number(100 * change, "+.1f").replace("-", "−")


def _beside(table: pd.DataFrame) -> pd.Series[float]:
    """Return each point's offset from the middle of its band, -1 to 1, to spread points out."""
    contribution = table["contribution"]
    width = float(contribution.max() - contribution.min()) / PLACES or 1.0
    bins = table.assign(place=np.floor(contribution / width)).groupby(["feature", "place"])
    nth = bins.cumcount()
    most = bins["contribution"].transform("size").groupby(table["feature"]).transform("max")
    # 0, 1, -1, 2, -2 ...; the fullest bin fills the band
    side = np.where(nth % 2 == 1, 1, -1) * np.ceil(nth / 2)
    beside: pd.Series[float] = (side / (most / 2).clip(lower=6)).round(3)
    return beside
