"""Charts of an evaluation: curves, threshold trade-off, slices, learning curve, comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from core.platform.messages import Words, _, number
from core.stats import slices
from core.stats.charts import style
from core.stats.metrics import TITLES
from core.training.learning import SETS

if TYPE_CHECKING:
    import altair as alt

_DASHES = ([1, 0], [1, 0], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
_FIGURES = {code: TITLES[code] for code in ("precision", "recall", "f1")}
# colour of each finding
_FINDINGS = {"biased": "alert", "no_skill": "warning", "ok": "cool", "too_few": "neutral"}
# A log loss difference beyond this multiple of the smallest one, and above this many nats, is cut.
_FAR, _NEAR = 10.0, 0.05


def pr_curve(points: pd.DataFrame, *, base_rate: float | None = None) -> alt.LayerChart:
    """Show the precision-recall curve of each model, and the precision of random guessing.

    The curve is drawn in steps, so that the area under it is the average precision.

    Parameters
    ----------
    points : DataFrame
        Columns `model`, `recall`, `precision`, and `threshold` if known.
    base_rate : float, optional
        Share of label 1, drawn as a rule.

    Examples
    --------
    >>> points = pd.DataFrame({"model": "lr", "recall": [1, 0.7, 0], "precision": [0.4, 0.6, 1]})
    >>> len(pr_curve(points, base_rate=0.4).to_dict()["layer"])
    2
    """
    import altair as alt

    rule_name = None if base_rate is None else style.labelled(_("Base rate"), base_rate, ".1%")
    kinds = _by_model(points, rule_name)
    lines = (
        alt.Chart(_named(points))
        # steps: a straight line between two points would promise what no threshold reaches
        .mark_line(strokeWidth=2.5, interpolate="step-before")
        .encode(
            x=style.share_x("recall:Q", _("Recall"), domain=[0, 1]),
            y=style.share_y("precision:Q", _("Precision"), domain=[0, 1]),
            **kinds,
            # from low recall to high: the threshold decreases along the curve
            order=alt.Order("recall:Q"),
            tooltip=[
                alt.Tooltip("model:N", title=_("Model")),
                alt.Tooltip("recall:Q", title=_("Recall"), format=".1%"),
                alt.Tooltip("precision:Q", title=_("Precision"), format=".1%"),
                *_threshold(points),
            ],
        )
    )
    layers = [lines]
    if base_rate is not None:
        layers.insert(0, _rule("y", base_rate, "model", str(rule_name), kinds))
    return style.finish(layers, height=style.HEIGHT + 40)


def gain_curve(points: pd.DataFrame) -> alt.LayerChart:
    """Show which share of the positives each model captures in its most probable rows.

    The diagonal is a random order.

    Parameters
    ----------
    points : DataFrame
        Columns `model`, `share_rows`, `share_found`, and `threshold` if known.

    Examples
    --------
    >>> points = pd.DataFrame({"model": "lr", "share_rows": [0, 0.5, 1],
    ...                        "share_found": [0, 0.7, 1]})
    >>> gain_curve(points).to_dict()["layer"][1]["encoding"]["y"]["title"]
    'Recall'
    """
    import altair as alt

    tooltip = [
        alt.Tooltip("model:N", title=_("Model")),
        alt.Tooltip("share_rows:Q", title=_("Share of rows"), format=".1%"),
        alt.Tooltip("share_found:Q", title=_("Recall"), format=".1%"),
    ]
    lines = (
        alt.Chart(_named(points))
        .mark_line(strokeWidth=2.5)
        .encode(
            x=style.share_x("share_rows:Q", _("Share of rows, most probable first"), domain=[0, 1]),
            y=style.share_y("share_found:Q", _("Recall"), domain=[0, 1]),
            **_by_model(points),
            order=alt.Order("share_rows:Q"),
            tooltip=[*tooltip, *_threshold(points)],
        )
    )
    ends = pd.DataFrame({"share_rows": [0.0, 1.0], "share_found": [0.0, 1.0]})
    diagonal = (
        alt.Chart(ends)
        .mark_line(color=style.PALETTE["line"], strokeDash=[5, 4], tooltip=None)
        .encode(x=alt.X("share_rows:Q"), y=alt.Y("share_found:Q"))
    )
    return style.finish([diagonal, lines], height=style.HEIGHT + 40)


def threshold_trade_off(table: pd.DataFrame, threshold: float) -> alt.LayerChart:
    """Show precision, recall and F1 over the threshold, with a rule at the chosen one.

    Parameters
    ----------
    table : DataFrame
        As returned by `thresholds.trade_off`.

    Examples
    --------
    >>> table = pd.DataFrame({"threshold": [0, 0.5, 1], "precision": [0.4, 0.6, None],
    ...                       "recall": [1, 0.5, 0], "f1": [0.57, 0.55, 0]})
    >>> len(threshold_trade_off(table, 0.5).to_dict()["layer"])
    2
    """
    import altair as alt

    long = table.melt("threshold", list(_FIGURES), "figure", "value").dropna(subset=["value"])
    titles = {code: str(title) for code, title in _FIGURES.items()}
    long["figure"] = long["figure"].map(titles)
    names = list(titles.values())
    rule_name = style.labelled(_("Threshold"), threshold, ".3f")
    dashes = [[6, 3], [2, 2], [1, 0]]
    kinds = _kinds("figure", names, list(style.CATEGORIES[:3]), dashes, rule_name)
    lines = (
        alt.Chart(long)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X("threshold:Q", title=_("Threshold"), scale=alt.Scale(domain=[0, 1])),
            y=style.share_y("value:Q", _("Value"), domain=[0, 1]),
            **kinds,
            tooltip=[
                alt.Tooltip("figure:N", title=_("Metric")),
                alt.Tooltip("threshold:Q", title=_("Threshold"), format=".2f"),
                alt.Tooltip("value:Q", title=_("Value"), format=".1%"),
            ],
        )
    )
    rule = _rule("x", threshold, "figure", rule_name, kinds)
    return style.finish([lines, rule])


def learning_curve(table: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Show a metric over the number of training rows, for these rows and for held-out rows.

    Parameters
    ----------
    table : DataFrame
        Columns `rows`, `set` (a key of `learning.SETS`, or a name; up to six), `mean`, `low`,
        `high`.
    metric : str
        Display name of the metric, with its unit if it has one.

    Examples
    --------
    >>> table = pd.DataFrame({"rows": [100, 200], "set": "train", "mean": [0.60, 0.62],
    ...                       "low": [0.58, 0.61], "high": [0.62, 0.63]})
    >>> len(learning_curve(table, "Log loss").to_dict()["layer"])
    3
    """
    import altair as alt

    titles = {code: str(SETS.get(code, code)) for code in table["set"].unique()}
    table, sets = table.assign(set=table["set"].map(titles)), list(titles.values())
    scale = alt.Scale(domain=sets, range=list(style.CATEGORIES[: len(sets)]))
    base = alt.Chart(table).encode(
        x=alt.X(
            "rows:Q",
            title=_("Rows fitted on"),
            scale=alt.Scale(zero=False),
            axis=alt.Axis(format=",d", tickCount=6),
        ),
        color=alt.Color("set:N", title=_("Set"), scale=scale, legend=style.legend()),
        tooltip=[
            alt.Tooltip("set:N", title=_("Set")),
            alt.Tooltip("rows:Q", title=_("Rows fitted on"), format=","),
            alt.Tooltip("mean:Q", title=_("{metric}, mean", metric=metric), format=".4f"),
            alt.Tooltip("low:Q", title=_("From"), format=".4f"),
            alt.Tooltip("high:Q", title=_("To"), format=".4f"),
        ],
    )
    y: dict[str, Any] = {"scale": alt.Scale(zero=False), "title": metric}
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", **y), y2=alt.Y2("high:Q"))
    line = base.mark_line(strokeWidth=2.5).encode(y=alt.Y("mean:Q", **y))
    point = base.mark_point(filled=True, size=55, opacity=1).encode(
        y=alt.Y("mean:Q", **y),
        shape=alt.Shape(
            "set:N", title=_("Set"), scale=alt.Scale(domain=sets), legend=style.legend()
        ),
    )
    return style.finish([band, line, point])


def slice_gaps(table: pd.DataFrame, *, most: int = 25) -> alt.LayerChart:
    """Show the observed rate of each slice with its interval, and the mean predicted probability.

    The interval is that of the gap: a mean outside it differs by more than chance, adjusted for
    the number of slices.

    Parameters
    ----------
    table : DataFrame
        As returned by `slices.by_slice`, the worst first.
    most : int
        Only this many slices are drawn.

    Examples
    --------
    >>> table = pd.DataFrame({"column": "period", "value": ["1", "2"], "rows": [900, 800],
    ...     "base_rate": [0.5, 0.3], "mean_probability": [0.5, 0.4], "gap": [0.0, 0.1],
    ...     "low": [-0.05, 0.06], "high": [0.05, 0.14], "finding": ["ok", "biased"]})
    >>> len(slice_gaps(table).to_dict()["layer"])
    3
    """
    import altair as alt

    drawn = table[table["rows"] > 0].drop(columns="text", errors="ignore").head(most)
    values = [str(slices.shown(value)) for value in drawn["value"]]
    parts = zip(drawn["column"], values, drawn["rows"], strict=True)
    shown = [f"{column}: {value}  ({number(rows)})" for column, value, rows in parts]
    drawn = drawn.assign(
        shown=shown,
        value=values,
        observed_low=(drawn["mean_probability"] - drawn["high"]).clip(0, 1),
        observed_high=(drawn["mean_probability"] - drawn["low"]).clip(0, 1),
        meaning=[str(slices.FINDING_LABELS[finding]) for finding in drawn["finding"]],
    )
    roles = {
        str(slices.FINDING_LABELS[code]): role
        for code, role in _FINDINGS.items()
        if code in {*drawn["finding"]}
    }
    base = alt.Chart(drawn).encode(
        y=style.names(shown, _("Slices")),
        color=style.pair("meaning:N", _("Finding"), roles),
        tooltip=[
            alt.Tooltip("column:N", title=_("Column")),
            alt.Tooltip("value:N", title=_("Value")),
            alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            alt.Tooltip("base_rate:Q", title=_("Observed"), format=".1%"),
            alt.Tooltip("mean_probability:Q", title=_("Mean predicted probability"), format=".1%"),
            alt.Tooltip("gap:Q", title=_("Predicted minus observed"), format="+.1%"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format="+.1%"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format="+.1%"),
            alt.Tooltip("meaning:N", title=_("Finding")),
        ],
    )
    x_title = _("Observed (dot), mean predicted probability (bar)")
    spread = base.mark_rule(strokeWidth=2).encode(
        x=style.share_x("observed_low:Q", x_title), x2=alt.X2("observed_high:Q")
    )
    observed = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=style.share_x("base_rate:Q", x_title),
        shape=style.shapes("meaning:N", _("Finding"), list(roles)),
    )
    # in the text colour: distinct from the intervals, whatever their finding
    forecast = base.mark_tick(thickness=3, size=18, opacity=1).encode(
        x=style.share_x("mean_probability:Q", x_title), color=alt.value(style.PALETTE["line"])
    )
    height = style.height_of(len(drawn), band=24, legend=True)
    return style.finish([spread, observed, forecast], height=height)


def paired_differences(
    table: pd.DataFrame, *, by: Literal["metric", "model"], first: str, second: str
) -> alt.LayerChart:
    """Show differences with their intervals; a rule at 0 is "no difference".

    By model, an outlier is drawn at the edge, so that it does not squeeze the others.

    Parameters
    ----------
    table : DataFrame
        As returned by `comparison.paired` (by metric) or `comparison.against_best` (by model).
    by : {"metric", "model"}
        What a line of the chart is.
    first, second : str
        Names of the compared: the differences are first minus second. By model, `first` is
        all of them ("model") and `second` is the best.

    Examples
    --------
    >>> table = pd.DataFrame({"metric": ["log_loss"], "difference": [-0.01], "low": [-0.02],
    ...                       "high": [-0.002], "better": ["one"]})
    >>> chart = paired_differences(table, by="metric", first="challenger", second="champion")
    >>> chart.to_dict()["layer"][1]["encoding"]["x"]["title"]
    'challenger minus champion'
    """
    import altair as alt

    titles: list[Words] = (
        [TITLES[metric] for metric in table["metric"]] if by == "metric" else [*table["model"]]
    )
    known = [str(title) for title in titles]
    first_better, second_better = (_("{name} is better", name=name) for name in (first, second))
    chance = _("may be chance")
    names = {
        "one": first_better,
        "model": first_better,
        "other": second_better,
        "best": second_better,
        "alike": chance,
    }
    pairs = zip(known, table["difference"], strict=True)
    shown = [f"{name}  {number(difference, '+.4f')}" for name, difference in pairs]
    drawn = table.drop(columns="text", errors="ignore").assign(
        name=known, shown=shown, meaning=[names[better] for better in table["better"]]
    )
    roles = {first_better: "accent", second_better: "cool", chance: "neutral"}
    roles = {name: role for name, role in roles.items() if name in {*drawn["meaning"]}}
    x_title = _("{first} minus {second}", first=first, second=second)
    scale: Any = alt.Undefined
    if by == "model":
        x_title = _("{name}: {value}", name=TITLES["log_loss"], value=x_title)
    if by == "model" and (cut := _cut(table)) is not None:
        scale = alt.Scale(domain=cut, nice=False, clamp=True)
        x_title = style.cut_title(x_title, cut[1])
    what = _("Metric") if by == "metric" else _("Model")
    base = alt.Chart(drawn).encode(
        y=style.names(shown, what),
        color=style.pair("meaning:N", _("Meaning"), roles),
        tooltip=[
            alt.Tooltip("name:N", title=what),
            alt.Tooltip("difference:Q", title=_("Difference"), format="+.4f"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format="+.4f"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format="+.4f"),
            alt.Tooltip("meaning:N", title=_("Meaning")),
        ],
    )
    spread = base.mark_rule(strokeWidth=3).encode(
        # a long title would leave the picture at its right
        x=alt.X("low:Q", title=x_title, scale=scale, axis=alt.Axis(titleAnchor="end")),
        x2=alt.X2("high:Q"),
    )
    point = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X("difference:Q", title=x_title, scale=scale, axis=alt.Axis(titleAnchor="end")),
        shape=style.shapes("meaning:N", _("Meaning"), list(roles)),
    )
    rule = style.rule("x", 0.0, _("No difference"), in_legend=False)
    height = style.height_of(len(drawn), legend=True)
    return style.finish([rule, spread, point], height=height)


def _cut(table: pd.DataFrame) -> list[float] | None:
    """Return where to cut the axis of log losses, None where all differences fit one scale."""
    ends = table[["low", "high"]].abs().max(axis=1)
    reach = max(_FAR * float(ends.min()), _NEAR)
    if ends.empty or ends.max() <= reach:
        return None
    return [max(float(table["low"].min()), -reach) - 0.05 * reach, reach]


def _named(points: pd.DataFrame) -> pd.DataFrame:
    """Return points with the names of champion and challenger in words."""
    return points.assign(model=[style.set_name(model) for model in points["model"]])


def _by_model(points: pd.DataFrame, rule_name: str | None = None) -> dict[str, Any]:
    """Return a colour and a dash pattern per model; champion and challenger have fixed ones."""
    models = points["model"].unique().tolist()
    places = range(len(models))
    if set(models) <= {"champion", "challenger"}:
        colours = [style.PALETTE[model] for model in models]
    else:
        colours = [style.CATEGORIES[place % len(style.CATEGORIES)] for place in places]
    dashes = [_DASHES[place % len(_DASHES)] for place in places]
    return _kinds("model", [style.set_name(model) for model in models], colours, dashes, rule_name)


def _kinds(
    field: str, names: list[str], colours: list[str], dashes: list[list[int]], rule_name: str | None
) -> dict[str, Any]:
    """Return colours and dash patterns of the lines; the legend includes the rule `rule_name`."""
    import altair as alt

    if rule_name is not None:
        names, dashes = [*names, rule_name], [*dashes, [5, 4]]
        colours = [*colours, style.PALETTE["line"]]
    title = _("Model") if field == "model" else _("Metric")
    key: dict[str, Any] = {"title": title, "legend": style.legend(2)}
    return {
        "color": alt.Color(f"{field}:N", scale=alt.Scale(domain=names, range=colours), **key),
        "strokeDash": alt.StrokeDash(
            f"{field}:N", scale=alt.Scale(domain=names, range=dashes), **key
        ),
    }


def _rule(axis: str, value: float, field: str, rule_name: str, kinds: dict[str, Any]) -> alt.Chart:
    """Return a rule that shares the legend of the lines: `style.rule` would take their dashes."""
    import altair as alt

    place = alt.X("value:Q") if axis == "x" else alt.Y("value:Q")
    drawn: alt.Chart = (
        alt.Chart(pd.DataFrame({"value": [value], field: [rule_name]}))
        .mark_rule(strokeWidth=2)
        .encode(**{axis: place}, **kinds, tooltip=alt.Tooltip(f"{field}:N", title=_("Meaning")))
    )
    return drawn


def _threshold(points: pd.DataFrame) -> list[alt.Tooltip]:
    import altair as alt

    known = "threshold" in points
    return [alt.Tooltip("threshold:Q", title=_("Threshold"), format=".3f")] if known else []
