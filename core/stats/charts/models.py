"""Charts of models: ROC and calibration curves, metrics, confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.platform.messages import Words, _, number
from core.stats import intervals
from core.stats.charts import style

if TYPE_CHECKING:
    import altair as alt

# a class of a project may be called "complaint: yes": a line for each part
_LINES: dict[str, Any] = {"labelExpr": "split(datum.label, ': ')", "labelLimit": 150}
_DASHES = ([1, 0], [1, 0], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3])


def roc_curve(points: pd.DataFrame) -> alt.LayerChart:
    """Plot the ROC curve of each model, with the diagonal of random guessing.

    Parameters
    ----------
    points : DataFrame
        Columns `model`, `fpr`, `tpr`, and optionally `threshold`.

    Examples
    --------
    >>> points = pd.DataFrame({"model": "lr", "fpr": [0, 0.2, 1], "tpr": [0, 0.7, 1]})
    >>> roc_curve(points).to_dict()["layer"][1]["encoding"]["x"]["title"]
    'False positive rate'
    """
    import altair as alt

    models = points["model"].unique().tolist()
    points = points.assign(model=points["model"].map(style.set_name))
    tooltip = [
        alt.Tooltip("model:N", title=_("Model")),
        alt.Tooltip("fpr:Q", title=_("False positive rate"), format=".1%"),
        alt.Tooltip("tpr:Q", title=_("True positive rate"), format=".1%"),
    ]
    if "threshold" in points:
        tooltip.append(alt.Tooltip("threshold:Q", title=_("Threshold"), format=".3f"))
    lines = (
        alt.Chart(points)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=style.share_x("fpr:Q", _("False positive rate"), domain=[0, 1]),
            y=style.share_y("tpr:Q", _("True positive rate"), domain=[0, 1]),
            color=_models(models),
            strokeDash=_dashes(models),
            order=alt.Order("fpr:Q"),
            tooltip=tooltip,
        )
    )
    return style.finish([_diagonal(0.0, 1.0), lines], height=style.HEIGHT + 40)


def calibration_curve(bins: pd.DataFrame) -> alt.LayerChart:
    """Plot observed share against mean predicted probability; the diagonal is perfect calibration.

    Parameters
    ----------
    bins : DataFrame
        Columns `model`, `mean_predicted`, `observed`, `rows`.

    Examples
    --------
    >>> bins = pd.DataFrame({"model": "lr", "mean_predicted": [0.3, 0.6],
    ...                      "observed": [0.35, 0.55], "rows": [100, 100]})
    >>> len(calibration_curve(bins).to_dict()["layer"])
    4
    """
    import altair as alt

    models = bins["model"].unique().tolist()
    low, high = intervals.share(bins["observed"], bins["rows"])
    table = bins.assign(low=low, high=high, model=bins["model"].map(style.set_name))
    reach = table[["mean_predicted", "observed", "low", "high"]].to_numpy()
    first = max(float(np.floor(np.nanmin(reach) * 20) / 20), 0.0)
    last = min(float(np.ceil(np.nanmax(reach) * 20) / 20), 1.0)
    domain = [first, max(last, first + 0.05)]
    base = alt.Chart(table).encode(
        x=style.share_x("mean_predicted:Q", _("Mean predicted probability"), domain=domain),
        color=_models(models),
        tooltip=[
            alt.Tooltip("model:N", title=_("Model")),
            alt.Tooltip("mean_predicted:Q", title=_("Mean predicted probability"), format=".1%"),
            alt.Tooltip("observed:Q", title=_("Observed"), format=".1%"),
            alt.Tooltip("low:Q", title=_("95% lower bound"), format=".1%"),
            alt.Tooltip("high:Q", title=_("95% upper bound"), format=".1%"),
            alt.Tooltip("rows:Q", title=_("Rows"), format=","),
        ],
    )
    from_low, observed = (
        style.share_y(field, _("Observed"), domain=domain) for field in ("low:Q", "observed:Q")
    )
    spread = base.mark_rule(opacity=0.5, strokeWidth=1.5).encode(y=from_low, y2=alt.Y2("high:Q"))
    line = base.mark_line(strokeWidth=2).encode(y=observed, strokeDash=_dashes(models))
    point = base.mark_point(filled=True, size=55, opacity=1).encode(y=observed)
    return style.finish([_diagonal(*domain), spread, line, point], height=style.HEIGHT + 40)


def confusion(table: pd.DataFrame, *, positive: Words, negative: Words) -> alt.LayerChart:
    """Plot the confusion matrix, coloured by the share of the actual label.

    Parameters
    ----------
    table : DataFrame
        Columns `actual`, `predicted` (0 or 1), `rows`.
    positive, negative : str
        Names of the labels 1 and 0.

    Examples
    --------
    >>> table = pd.DataFrame({"actual": [0, 0, 1, 1], "predicted": [0, 1] * 2,
    ...                       "rows": [8, 2, 5, 5]})
    >>> chart = confusion(table, positive="made", negative="missed")
    >>> len(chart.to_dict()["layer"])
    3
    """
    import altair as alt

    names = {1: str(positive), 0: str(negative)}
    total = table.groupby("actual")["rows"].transform("sum")
    shown = table.assign(
        actual=table["actual"].map(names),
        predicted=table["predicted"].map(names),
        share=(table["rows"] / total.where(total > 0)).fillna(0.0),
    )
    shown["count"] = [number(int(rows)) for rows in shown["rows"]]
    pairs = zip(shown["share"], shown["actual"], strict=True)
    shown["part"] = [
        _("{share:.1%} of {actual}", share=share, actual=actual) for share, actual in pairs
    ]
    order = list(names.values())
    base = alt.Chart(shown).encode(
        x=alt.X(
            "predicted:N",
            title=_("Predicted class"),
            sort=order,
            axis=alt.Axis(labelAngle=0, **_LINES),
            scale=alt.Scale(paddingInner=0.01),
        ),
        y=alt.Y(
            "actual:N",
            title=_("Actual"),
            sort=order,
            axis=alt.Axis(**_LINES),
            scale=alt.Scale(paddingInner=0.02),
        ),
        tooltip=[
            alt.Tooltip("actual:N", title=_("Actual")),
            alt.Tooltip("predicted:N", title=_("Predicted class")),
            alt.Tooltip("rows:Q", title=_("Rows"), format=","),
            alt.Tooltip("part:N", title=_("Share")),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title=None,
            scale=alt.Scale(domain=[0, 1], range=list(style.SHARES)),
            legend=None,
        )
    )
    # where black and white text both reach a contrast of 4.5:1 with the cell
    ink = alt.condition("datum.share > 0.79", alt.value(style.ON_DARK), alt.value(style.ON_LIGHT))
    count = base.mark_text(dy=-9, fontSize=18, fontWeight="bold").encode(
        text=alt.Text("count:N"), color=ink
    )
    part = base.mark_text(dy=13, fontSize=12).encode(text=alt.Text("part:N"), color=ink)
    return style.finish([cells, count, part])


def metric_bars(
    table: pd.DataFrame, metric: Words, *, higher_is_better: bool, baseline: float | None = None
) -> alt.LayerChart:
    """Plot one metric of each model as bars from zero, best first and in the accent colour.

    Parameters
    ----------
    table : DataFrame
        Columns `model`, `value`.
    metric : Message or str
        Title of the value axis, with the unit.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["knn", "lr"], "value": [0.70, 0.68]})
    >>> chart = metric_bars(table, "Log loss", higher_is_better=False)
    >>> chart.to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['lr  0.680', 'knn  0.700']
    """
    import altair as alt

    ranked = table.dropna(subset=["value"]).sort_values(
        "value", ascending=not higher_is_better, kind="stable"
    )
    pairs = zip(ranked["model"], ranked["value"], strict=True)
    shown = [f"{model}  {number(value, '.3f')}" for model, value in pairs]
    ranked = ranked.assign(shown=shown, best=np.arange(len(ranked)) == 0)
    bars = (
        alt.Chart(ranked)
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=str(metric), axis=alt.Axis(tickCount=8)),
            y=style.names(shown, _("Model")),
            color=alt.condition(
                "datum.best",
                alt.value(style.PALETTE["accent"]),
                alt.value(style.PALETTE["neutral"]),
            ),
            tooltip=[
                alt.Tooltip("model:N", title=_("Model")),
                alt.Tooltip("value:Q", title=str(metric), format=".4f"),
            ],
        )
    )
    layers = [bars]
    if baseline is not None:
        layers.append(style.rule("x", baseline, style.labelled(_("Base rate"), baseline, ".4f")))
    height = style.height_of(len(ranked), legend=baseline is not None)
    return style.finish(layers, height=height)


def cv_spread(folds: pd.DataFrame, metric: Words) -> alt.LayerChart:
    """Plot one metric in every fold of each model, with mean and one standard deviation.

    Models much worse than the others are drawn at the edge, so that they do not squeeze these.

    Parameters
    ----------
    folds : DataFrame
        Columns `model`, `fold`, `value`.
    metric : Message or str
        Title of the value axis, with the unit.

    Examples
    --------
    >>> folds = pd.DataFrame({"model": "lr", "fold": [1, 2], "value": [0.68, 0.70]})
    >>> len(cv_spread(folds, "Log loss").to_dict()["layer"])
    3
    """
    import altair as alt

    models = folds["model"].unique().tolist()
    y = alt.Y("model:N", title=_("Model"), sort=models, axis=alt.Axis(labelLimit=260))
    x_title = str(metric)
    scale = alt.Scale(zero=False)
    if (domain := style.cut(folds["value"], folds["model"])) is not None:
        scale = alt.Scale(domain=list(domain), nice=False, clamp=True)
        x_title = style.cut_title(x_title, domain[1])
    means = folds.groupby("model", sort=False)["value"].agg(["mean", "std"]).reset_index()
    means["std"] = means["std"].fillna(0.0)
    means = means.assign(low=means["mean"] - means["std"], high=means["mean"] + means["std"])
    points = (
        alt.Chart(folds)
        .mark_point(filled=True, color=style.PALETTE["cool"], size=40, opacity=0.7)
        .encode(
            x=alt.X("value:Q", title=x_title, scale=scale, axis=alt.Axis(tickCount=8)),
            y=y,
            tooltip=[
                alt.Tooltip("model:N", title=_("Model")),
                alt.Tooltip("fold:Q", title=_("Fold")),
                alt.Tooltip("value:Q", title=str(metric), format=".4f"),
            ],
        )
    )
    base = alt.Chart(means).encode(
        y=y,
        tooltip=[
            alt.Tooltip("model:N", title=_("Model")),
            alt.Tooltip("mean:Q", title=_("{metric}, mean", metric=metric), format=".4f"),
            alt.Tooltip("std:Q", title=_("Standard deviation"), format=".4f"),
        ],
    )
    accent = style.PALETTE["accent"]
    # of each layer, as one without would let the axis begin at zero
    spread = base.mark_rule(color=accent, strokeWidth=3).encode(
        x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q")
    )
    mean = base.mark_tick(color=accent, thickness=3, size=22).encode(x=alt.X("mean:Q", scale=scale))
    height = style.height_of(len(means))
    return style.finish([spread, points, mean], height=height)


def _models(models: list[str]) -> alt.Color:
    """Return the colour scale of models; champion and challenger keep their own."""
    import altair as alt

    if set(models) <= {"champion", "challenger"}:
        colours = [style.PALETTE[model] for model in models]
    else:
        colours = [style.CATEGORIES[place % len(style.CATEGORIES)] for place in range(len(models))]
    scale = alt.Scale(domain=[style.set_name(model) for model in models], range=colours)
    return alt.Color("model:N", title=_("Model"), scale=scale, legend=style.legend(2))


def _dashes(models: list[str]) -> alt.StrokeDash:
    """Return the dash pattern of each model."""
    import altair as alt

    dashes = [_DASHES[place % len(_DASHES)] for place in range(len(models))]
    scale = alt.Scale(domain=[style.set_name(model) for model in models], range=dashes)
    return alt.StrokeDash("model:N", title=_("Model"), scale=scale, legend=style.legend(2))


def _diagonal(start: float, end: float) -> alt.Chart:
    """Return the line where both axes have the same value."""
    import altair as alt

    ends = pd.DataFrame({"along": [start, end]})
    line = alt.Chart(ends).mark_line(color=style.PALETTE["line"], strokeDash=[5, 4], tooltip=None)
    # its own scale: the inferred one starts at zero and would widen the chart's
    scale = alt.Scale(domain=[start, end], nice=False)
    drawn: alt.Chart = line.encode(x=alt.X("along:Q", scale=scale), y=alt.Y("along:Q", scale=scale))
    return drawn
