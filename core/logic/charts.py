"""Charts of the life cycle, built from small tables; a page shows them, a run keeps them as SVG.

Text, axes and background are left to the theme, light or dark. Only marks have colours of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    import altair as alt

# Warm is what is hot or new, cool is what is cold or stands. Every mark has a contrast of 3:1 or
# more on both backgrounds in .streamlit/config.toml, each pair differs for readers with deutan,
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
# For models side by side. From the fourth on, lines also differ in their dashes.
CATEGORIES = ("#5666CE", "#C2511A", "#12897F", "#C860A8", "#B07F10", "#7C8797")
# Shares from 0 to 1 in cells: fixed in both themes, so that the text inside stays legible.
SHARES = ("#EEF0FB", "#3F4DB0")
_ON_LIGHT, _ON_DARK = "#000000", "#FFFFFF"
_DASHES = ([1, 0], [1, 0], [1, 0], [6, 3], [2, 2], [8, 3, 2, 3])

HEIGHT = 280
_WIDTH = 640
# Two-sided 95 % of the normal distribution.
_Z = 1.959964
# Up to this many distinct values a column is drawn value by value.
_DISCRETE = 20

Floats = npt.NDArray[np.float64]


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

    sets = list(dict.fromkeys(counts["set"]))
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
        x=_share("start:Q", "Share of rows (%)", domain=[0, 1]),
        x2="end:Q",
        color=_pair("label:N", "Label", {positive: "made", negative: "missed"}),
    )
    # a narrow part cannot hold its text; the tooltip has it
    words = base.transform_filter("datum.share > 0.15").mark_text(color=_ON_DARK)
    return _finish(
        [bars, words.encode(x="middle:Q", text=alt.Text("share:Q", format=".1%"))],
        title,
        "Share of each label in each set",
        rows=len(sets),
        band=48,
        legend=True,
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
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _DISCRETE:
        numbers = values.to_numpy(dtype=float)
        edges = _edges(numbers, bins)
        place = np.searchsorted(edges[1:-1], numbers, side="right")
        # the middle of the whole numbers 3, 4, 5 is 4, though their bin ends before 6
        middles = (edges[:-1] + edges[1:] - (1 if _whole(numbers) else 0)) / 2
        values = pd.Series(middles[place], index=known.index)
    grouped = known[label].groupby(values.rename(by))
    table = pd.DataFrame({"rows": grouped.size(), "rate": grouped.mean()}).reset_index()
    table = table[table["rows"] >= min_rows].reset_index(drop=True)
    low, high = _wilson(table["rate"].to_numpy(dtype=float), table["rows"].to_numpy(dtype=float))
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
    x = alt.X(
        f"{by}:{'Q' if numeric else 'O'}",
        title=name,
        sort=None,
        scale=alt.Scale(zero=False, nice=False, padding=12) if numeric else alt.Undefined,
        axis=alt.Undefined if numeric else alt.Axis(labelAngle=0 if len(table) <= 12 else -45),
    )
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
        layers.append(_rule("y", average, f"Average of all rows: {average:.1%}"))
    spread = base.mark_rule(color=PALETTE["accent"], opacity=0.55, strokeWidth=2)
    layers.append(spread.encode(y=_share_y("low:Q", f"{rate_title} (%)", zero=False), y2="high:Q"))
    points = base.mark_point(color=PALETTE["accent"], filled=True, size=70, opacity=1)
    layers.append(points.encode(y=_share_y("rate:Q", f"{rate_title} (%)", zero=False)))
    return _finish(layers, title, f"{rate_title} by {name}")


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
    table = table[table["missing"] > 0] if (table["missing"] > 0).any() else table
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
        .mark_bar(color=PALETTE["accent"])
        .encode(
            x=alt.X(
                "missing:Q",
                title="Missing values (rows)",
                scale=alt.Scale(domain=[0, top]),
                axis=alt.Axis(format=",d", values=[0, 1] if top == 1 else alt.Undefined),
            ),
            y=_names(shown, "Column"),
            tooltip=tooltip,
        )
    )
    return _finish([bars], title, "Missing values by column", rows=len(table))


def roc_curve(points: pd.DataFrame, *, title: str | None = None) -> alt.LayerChart:
    """Show the ROC curve of each model, and the diagonal that guessing draws.

    Parameters
    ----------
    points : DataFrame
        Columns `model`, `fpr`, `tpr`, and `threshold` if known.

    Examples
    --------
    >>> points = pd.DataFrame({"model": "lr", "fpr": [0, 0.2, 1], "tpr": [0, 0.7, 1]})
    >>> roc_curve(points).to_dict()["layer"][1]["encoding"]["x"]["title"]
    'False positive rate (%)'
    """
    import altair as alt

    models = list(dict.fromkeys(points["model"]))
    tooltip = [
        alt.Tooltip("model:N", title="Model"),
        alt.Tooltip("fpr:Q", title="False positive rate", format=".1%"),
        alt.Tooltip("tpr:Q", title="True positive rate", format=".1%"),
    ]
    if "threshold" in points:
        tooltip.append(alt.Tooltip("threshold:Q", title="Threshold", format=".3f"))
    lines = (
        alt.Chart(points)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=_share("fpr:Q", "False positive rate (%)", domain=[0, 1]),
            y=_share_y("tpr:Q", "True positive rate (%)", domain=[0, 1]),
            color=_models(models),
            strokeDash=_dashes(models),
            order=alt.Order("fpr:Q"),
            tooltip=tooltip,
        )
    )
    return _finish(
        [_diagonal(0.0, 1.0), lines], title, "ROC curve of each model", height=HEIGHT + 40
    )


def calibration_curve(bins: pd.DataFrame, *, title: str | None = None) -> alt.LayerChart:
    """Show, for each model, how often what it forecasts comes true; the diagonal is perfect.

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

    models = list(dict.fromkeys(bins["model"]))
    low, high = _wilson(bins["observed"].to_numpy(dtype=float), bins["rows"].to_numpy(dtype=float))
    table = bins.assign(low=low, high=high)
    reach = table[["mean_predicted", "observed", "low", "high"]].to_numpy()
    first = max(float(np.floor(np.nanmin(reach) * 20) / 20), 0.0)
    last = min(float(np.ceil(np.nanmax(reach) * 20) / 20), 1.0)
    domain = [first, max(last, first + 0.05)]
    base = alt.Chart(table).encode(
        x=_share("mean_predicted:Q", "Mean predicted probability (%)", domain=domain),
        color=_models(models),
        tooltip=[
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("mean_predicted:Q", title="Mean predicted", format=".1%"),
            alt.Tooltip("observed:Q", title="Observed", format=".1%"),
            alt.Tooltip("low:Q", title="95 % from", format=".1%"),
            alt.Tooltip("high:Q", title="95 % to", format=".1%"),
            alt.Tooltip("rows:Q", title="Rows", format=","),
        ],
    )
    low_end, observed = (
        _share_y(field, "Observed share (%)", domain=domain) for field in ("low:Q", "observed:Q")
    )
    spread = base.mark_rule(opacity=0.5, strokeWidth=1.5).encode(y=low_end, y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=observed, strokeDash=_dashes(models))
    point = base.mark_point(filled=True, size=55, opacity=1).encode(y=observed)
    return _finish(
        [_diagonal(*domain), spread, line, point],
        title,
        "Observed share against predicted probability",
        height=HEIGHT + 40,
    )


def confusion(
    table: pd.DataFrame, *, positive: str, negative: str, title: str | None = None
) -> alt.LayerChart:
    """Show counts by actual and predicted label, coloured by the share of the actual label.

    Parameters
    ----------
    table : DataFrame
        Columns `actual`, `predicted` (0 or 1), `rows`.
    positive, negative : str
        What 1 and 0 are called.

    Examples
    --------
    >>> table = pd.DataFrame({"actual": [0, 0, 1, 1], "predicted": [0, 1] * 2,
    ...                       "rows": [8, 2, 5, 5]})
    >>> chart = confusion(table, positive="made", negative="missed")
    >>> len(chart.to_dict()["layer"])
    3
    """
    import altair as alt

    names = {1: positive, 0: negative}
    total = table.groupby("actual")["rows"].transform("sum")
    shown = table.assign(
        actual=table["actual"].map(names),
        predicted=table["predicted"].map(names),
        share=(table["rows"] / total.where(total > 0)).fillna(0.0),
    )
    shown["count"] = [f"{rows:,}" for rows in shown["rows"]]
    pairs = zip(shown["share"], shown["actual"], strict=True)
    shown["part"] = [f"{share:.1%} of {actual}" for share, actual in pairs]
    order = [positive, negative]
    base = alt.Chart(shown).encode(
        x=alt.X(
            "predicted:N",
            title="Predicted label",
            sort=order,
            axis=alt.Axis(labelAngle=0),
            scale=alt.Scale(paddingInner=0.01),
        ),
        y=alt.Y("actual:N", title="Actual label", sort=order, scale=alt.Scale(paddingInner=0.02)),
        tooltip=[
            alt.Tooltip("actual:N", title="Actual"),
            alt.Tooltip("predicted:N", title="Predicted"),
            alt.Tooltip("rows:Q", title="Rows", format=","),
            alt.Tooltip("share:Q", title="Share of the actual label", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="Share of the actual label (%)",
            scale=alt.Scale(domain=[0, 1], range=list(SHARES)),
            legend=None,
        )
    )
    # where black and white text both have a contrast of 4.5:1 with the cell
    ink = alt.condition("datum.share > 0.79", alt.value(_ON_DARK), alt.value(_ON_LIGHT))
    count = base.mark_text(dy=-9, fontSize=18, fontWeight="bold").encode(text="count:N", color=ink)
    part = base.mark_text(dy=13, fontSize=12).encode(text="part:N", color=ink)
    return _finish([cells, count, part], title, "Rows by actual and predicted label")


def metric_bars(
    table: pd.DataFrame,
    metric: str,
    *,
    higher_is_better: bool,
    baseline: float | None = None,
    baseline_title: str = "Base rate",
    title: str | None = None,
) -> alt.LayerChart:
    """Show one metric of each model from zero, best first and in the accent colour.

    Parameters
    ----------
    table : DataFrame
        Columns `model`, `value`.
    metric : str
        What the value is called, with its unit if it has one.
    baseline : float, optional
        Value to compare with, drawn as a rule.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["knn", "lr"], "value": [0.70, 0.68]})
    >>> chart = metric_bars(table, "Log loss (nats)", higher_is_better=False)
    >>> chart.to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['lr  0.680', 'knn  0.700']
    """
    import altair as alt

    ranked = table.dropna(subset=["value"]).sort_values(
        "value", ascending=not higher_is_better, kind="stable"
    )
    pairs = zip(ranked["model"], ranked["value"], strict=True)
    shown = [f"{model}  {value:.3f}" for model, value in pairs]
    ranked = ranked.assign(shown=shown, best=np.arange(len(ranked)) == 0)
    bars = (
        alt.Chart(ranked)
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=metric, axis=alt.Axis(tickCount=8)),
            y=_names(shown, "Model"),
            color=alt.condition(
                "datum.best", alt.value(PALETTE["accent"]), alt.value(PALETTE["neutral"])
            ),
            tooltip=[
                alt.Tooltip("model:N", title="Model"),
                alt.Tooltip("value:Q", title=metric, format=".4f"),
            ],
        )
    )
    layers = [bars]
    if baseline is not None:
        layers.append(_rule("x", baseline, f"{baseline_title}: {baseline:.4f}"))
    return _finish(
        layers, title, f"{metric} of each model", rows=len(ranked), legend=baseline is not None
    )


def cv_spread(folds: pd.DataFrame, metric: str, *, title: str | None = None) -> alt.LayerChart:
    """Show one metric in every fold of each model, with mean and one standard deviation.

    Parameters
    ----------
    folds : DataFrame
        Columns `model`, `fold`, `value`.
    metric : str
        What the value is called, with its unit if it has one.

    Examples
    --------
    >>> folds = pd.DataFrame({"model": "lr", "fold": [1, 2], "value": [0.68, 0.70]})
    >>> len(cv_spread(folds, "Log loss (nats)").to_dict()["layer"])
    3
    """
    import altair as alt

    models = list(dict.fromkeys(folds["model"]))
    y = alt.Y("model:N", title="Model", sort=models, axis=alt.Axis(labelLimit=260))
    x = alt.X(
        "value:Q",
        title=f"{metric}, by fold",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=8),
    )
    means = folds.groupby("model", sort=False)["value"].agg(["mean", "std"]).reset_index()
    means["std"] = means["std"].fillna(0.0)
    means = means.assign(low=means["mean"] - means["std"], high=means["mean"] + means["std"])
    points = (
        alt.Chart(folds)
        .mark_point(filled=True, color=PALETTE["cool"], size=40, opacity=0.7)
        .encode(
            x=x,
            y=y,
            tooltip=[
                alt.Tooltip("model:N", title="Model"),
                alt.Tooltip("fold:Q", title="Fold"),
                alt.Tooltip("value:Q", title=metric, format=".4f"),
            ],
        )
    )
    base = alt.Chart(means).encode(
        y=y,
        tooltip=[
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("mean:Q", title=f"{metric}, mean", format=".4f"),
            alt.Tooltip("std:Q", title="Standard deviation", format=".4f"),
        ],
    )
    spread = base.mark_rule(color=PALETTE["accent"], strokeWidth=3).encode(x="low:Q", x2="high:Q")
    mean = base.mark_tick(color=PALETTE["accent"], thickness=3, size=22).encode(x="mean:Q")
    return _finish([spread, points, mean], title, f"{metric} by fold", rows=len(means))


def probability_density(
    frame: pd.DataFrame, *, threshold: float | None = None, bins: int = 40, title: str | None = None
) -> alt.LayerChart:
    """Show how predicted probabilities lie in each set, as shares of the set's rows.

    Parameters
    ----------
    frame : DataFrame
        Columns `set` (at most two names; the first is the reference) and `probability`.
    threshold : float, optional
        From where a row is labelled positive; drawn as a rule.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"set": ["reference"] * 50, "probability": rng.random(50)})
    >>> probability_density(frame).to_dict()["height"]
    280
    """
    sets = {str(name): part["probability"] for name, part in frame.groupby("set", sort=False)}
    return _finish(
        _histogram(
            {name: values.to_numpy(dtype=float) for name, values in sets.items()},
            np.linspace(0.0, 1.0, bins + 1),
            "Predicted probability",
            None if threshold is None else (threshold, f"Threshold: {threshold:.2f}"),
        ),
        title,
        "Distribution of the predicted probability",
    )


def feature_density(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    feature: str,
    *,
    names: tuple[str, str] = ("reference", "current"),
    axis_title: str | None = None,
    bins: int = 40,
    title: str | None = None,
) -> alt.LayerChart:
    """Show how a feature lies in two sets, as shares of each set's rows.

    Columns of up to 20 distinct values are shown value by value, others in bins of equal width.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = pd.DataFrame({"lat": rng.normal(size=500)})
    >>> chart = feature_density(old, old + 1, "lat", axis_title="Latitude (degrees)")
    >>> chart.to_dict()["layer"][0]["encoding"]["x"]["title"]
    'Latitude (degrees)'
    """
    old = reference[feature].dropna().to_numpy(dtype=float)
    new = current[feature].dropna().to_numpy(dtype=float)
    sets = {names[0]: old, names[1]: new}
    both = np.unique(np.concatenate([old, new]))
    name = axis_title or feature
    if len(both) <= _DISCRETE:
        layers = _value_bars(sets, both, name)
    else:
        layers = _histogram(sets, _edges(both, bins), name, None)
    return _finish(layers, title, f"Distribution of {name} in {names[0]} and {names[1]}")


def psi_bars(
    table: pd.DataFrame, *, warn: float = 0.1, alert: float = 0.2, title: str | None = None
) -> alt.LayerChart:
    """Show how far each feature has moved, most first, against both thresholds.

    The axis is logarithmic: a PSI of 0.001 and one of 8 are both to be read.

    Parameters
    ----------
    table : DataFrame
        Columns `feature` and `psi`, as `core.logic.drift.by_feature` gives them; `ks` is told in
        the tooltip if it is there.
    warn, alert : float
        From where a feature is watched, and from where it has shifted.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": ["period", "lat"], "psi": [0.02, 7.9]})
    >>> psi_bars(table).to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['lat  7.900', 'period  0.020']
    """
    import altair as alt

    levels = [f"stable < {warn:g}", f"watch ≥ {warn:g}", f"shifted ≥ {alert:g}"]
    ranked = table.sort_values("psi", ascending=False, kind="stable")
    pairs = zip(ranked["feature"], ranked["psi"], strict=True)
    shown = [f"{feature}  {psi:.3f}" for feature, psi in pairs]
    level = np.digitize(ranked["psi"].to_numpy(dtype=float), [warn, alert])
    floor = 0.001
    ranked = ranked.assign(
        shown=shown,
        level=[levels[place] for place in level],
        start=floor,
        # a bar that ends at the floor would not be seen
        end=ranked["psi"].clip(lower=floor * 1.15),
    )
    top = max(float(ranked["psi"].max()) * 1.2 if len(ranked) else 1.0, 1.0)
    tooltip = [
        alt.Tooltip("feature:N", title="Feature"),
        alt.Tooltip("psi:Q", title="PSI", format=".4f"),
        alt.Tooltip("level:N", title="Reading"),
    ]
    if "ks" in ranked:
        tooltip.append(alt.Tooltip("ks:Q", title="KS distance", format=".3f"))
    bars = (
        alt.Chart(ranked)
        .mark_bar()
        .encode(
            x=alt.X(
                "start:Q",
                title="PSI, current against reference (log scale)",
                scale=alt.Scale(type="log", domain=[floor, top], nice=False),
                axis=alt.Axis(values=[0.001, 0.01, warn, alert, 1, 10], format="~g"),
            ),
            x2="end:Q",
            y=_names(shown, "Feature"),
            color=alt.Color(
                "level:N",
                title="Reading",
                sort=levels,
                scale=alt.Scale(
                    domain=levels, range=[PALETTE["ok"], PALETTE["warning"], PALETTE["alert"]]
                ),
                legend=_legend(),
            ),
            tooltip=tooltip,
        )
    )
    return _finish(
        [
            bars,
            _rule("x", warn, f"Watch from {warn:g}", told=False),
            _rule("x", alert, f"Shifted from {alert:g}", told=False),
        ],
        title,
        "Population stability index of each feature",
        rows=len(ranked),
        legend=True,
    )


def _histogram(
    sets: dict[str, Floats], edges: Floats, axis_title: str, mark: tuple[float, str] | None
) -> list[alt.Chart]:
    import altair as alt

    parts = []
    for name, values in sets.items():
        counts = np.histogram(values[np.isfinite(values)], edges)[0]
        share = counts / max(int(counts.sum()), 1)
        parts.append(
            pd.DataFrame(
                {"set": name, "start": edges[:-1], "end": edges[1:], "rows": counts, "share": share}
            )
        )
    table = pd.concat(parts, ignore_index=True)
    # a step line needs the end of its last step
    closing = table.groupby("set", sort=False).tail(1)
    outline = pd.concat([table, closing.assign(start=closing["end"])], ignore_index=True)
    domain = [float(edges[0]), float(edges[-1])]
    x = alt.X(
        "start:Q",
        title=axis_title,
        bin="binned",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(tickCount=10),
    )
    y = _share_y("share:Q", "Share of rows (%)", stack=None)
    color = _pair("set:N", "Set", _set_roles(list(sets)))
    bars = (
        alt.Chart(table)
        .mark_bar(opacity=0.25, binSpacing=0)
        .encode(
            x=x,
            x2="end:Q",
            y=y,
            color=color,
            tooltip=[
                alt.Tooltip("set:N", title="Set"),
                alt.Tooltip("start:Q", title="From", format=".5~g"),
                alt.Tooltip("end:Q", title="To below", format=".5~g"),
                alt.Tooltip("share:Q", title="Share of rows", format=".1%"),
                alt.Tooltip("rows:Q", title="Rows", format=","),
            ],
        )
    )
    line = alt.Chart(outline).mark_line(interpolate="step-after", strokeWidth=2, tooltip=None)
    unbinned = alt.X("start:Q", title=axis_title)
    layers = [bars, line.encode(x=unbinned, y=y, color=color)]
    if mark is not None:
        layers.append(_rule("x", *mark))
    return layers


def _value_bars(sets: dict[str, Floats], values: Floats, axis_title: str) -> list[alt.Chart]:
    import altair as alt

    parts = []
    for name, found in sets.items():
        counts = np.array([int((found == value).sum()) for value in values])
        share = counts / max(len(found), 1)
        parts.append(pd.DataFrame({"set": name, "value": values, "rows": counts, "share": share}))
    bars = (
        alt.Chart(pd.concat(parts, ignore_index=True))
        .mark_bar()
        .encode(
            x=alt.X("value:O", title=axis_title, axis=alt.Axis(labelAngle=0, format="~g")),
            xOffset=alt.XOffset("set:N", sort=list(sets)),
            y=_share_y("share:Q", "Share of rows (%)"),
            color=_pair("set:N", "Set", _set_roles(list(sets))),
            tooltip=[
                alt.Tooltip("set:N", title="Set"),
                alt.Tooltip("value:Q", title=axis_title),
                alt.Tooltip("share:Q", title="Share of rows", format=".1%"),
                alt.Tooltip("rows:Q", title="Rows", format=","),
            ],
        )
    )
    return [bars]


def _edges(values: Floats, bins: int) -> Floats:
    """Return the edges of at most `bins` equal bins; whole numbers get bins of whole width."""
    low, high = float(values.min()), float(values.max())
    if not _whole(values):
        return np.linspace(low, high, bins + 1)
    # else some bins would hold one number more than their neighbours, and stand out for nothing
    width = np.ceil((high - low + 1) / bins)
    edges: Floats = low + width * np.arange(np.ceil((high - low + 1) / width) + 1)
    return edges


def _whole(values: Floats) -> bool:
    return bool(np.all(values % 1 == 0))


def _wilson(rate: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a share (Wilson, 1927): it stays within 0 and 1."""
    centre = (rate + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    half = _Z / (1 + _Z**2 / rows) * np.sqrt(rate * (1 - rate) / rows + _Z**2 / (4 * rows**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def _set_roles(names: list[str]) -> dict[str, str]:
    if len(names) == 1 and names != ["reference"]:
        return {names[0]: "current"}
    return dict(zip(names, ("reference", "current"), strict=False))


def _pair(field: str, title: str, roles: dict[str, str]) -> alt.Color:
    import altair as alt

    colours = [PALETTE[role] for role in roles.values()]
    scale = alt.Scale(domain=list(roles), range=colours)
    return alt.Color(field, title=title, scale=scale, legend=_legend())


def _models(models: Sequence[str]) -> alt.Color:
    import altair as alt

    if set(models) <= {"champion", "challenger"}:
        colours = [PALETTE[model] for model in models]
    else:
        colours = [CATEGORIES[place % len(CATEGORIES)] for place in range(len(models))]
    scale = alt.Scale(domain=list(models), range=colours)
    return alt.Color("model:N", title="Model", scale=scale, legend=_legend(2))


def _dashes(models: Sequence[str]) -> alt.StrokeDash:
    import altair as alt

    dashes = [_DASHES[place % len(_DASHES)] for place in range(len(models))]
    scale = alt.Scale(domain=list(models), range=dashes)
    return alt.StrokeDash("model:N", title="Model", scale=scale, legend=_legend(2))


def _legend(columns: int = 3) -> alt.Legend:
    import altair as alt

    return alt.Legend(
        orient="top", title=None, columns=columns, labelLimit=260, symbolOpacity=1, symbolSize=90
    )


def _share(field: str, title: str, *, domain: list[float] | None = None) -> alt.X:
    import altair as alt

    scale = alt.Undefined if domain is None else alt.Scale(domain=domain, nice=False)
    return alt.X(field, title=title, scale=scale, axis=alt.Axis(format="~%"))


def _share_y(
    field: str,
    title: str,
    *,
    domain: list[float] | None = None,
    zero: bool = True,
    stack: Literal[False] | None = False,
) -> alt.Y:
    import altair as alt

    scale = alt.Scale(zero=zero) if domain is None else alt.Scale(domain=domain, nice=False)
    return alt.Y(field, title=title, scale=scale, axis=alt.Axis(format="~%"), stack=stack)


def _names(shown: list[str], title: str) -> alt.Y:
    """Return an axis of names with their values, which the theme keeps legible."""
    import altair as alt

    return alt.Y("shown:N", title=title, sort=shown, axis=alt.Axis(labelLimit=260))


def _diagonal(start: float, end: float) -> alt.Chart:
    import altair as alt

    ends = pd.DataFrame({"along": [start, end]})
    line = alt.Chart(ends).mark_line(color=PALETTE["line"], strokeDash=[5, 4], tooltip=None)
    # its own scale: the inferred one begins at zero and would widen that of the chart
    scale = alt.Scale(domain=[start, end], nice=False)
    drawn: alt.Chart = line.encode(x=alt.X("along:Q", scale=scale), y=alt.Y("along:Q", scale=scale))
    return drawn


def _rule(axis: str, value: float, text: str, *, told: bool = True) -> alt.Chart:
    """Return a dashed line across the chart; `told` puts its meaning in the legend."""
    import altair as alt

    base = alt.Chart(pd.DataFrame({"value": [value], "text": [text]}))
    rule = base.mark_rule(color=PALETTE["line"], strokeDash=[5, 4], strokeWidth=2)
    tooltip = alt.Tooltip("text:N", title="Line")
    dash: Any = alt.Undefined
    if told:
        legend = alt.Legend(
            orient="top",
            symbolType="stroke",
            symbolStrokeColor=PALETTE["line"],
            symbolStrokeWidth=2,
            symbolSize=250,
            labelLimit=260,
        )
        dash = alt.StrokeDash("text:N", title=None, scale=alt.Scale(range=[[5, 4]]), legend=legend)
    drawn: alt.Chart = rule.encode(**{axis: "value:Q"}, strokeDash=dash, tooltip=tooltip)
    return drawn


def _finish(
    layers: list[alt.Chart],
    title: str | None,
    description: str,
    *,
    height: int = HEIGHT,
    rows: int | None = None,
    band: int = 34,
    legend: bool = False,
) -> alt.LayerChart:
    """Give the chart its size, title and the description that screen readers tell."""
    import altair as alt

    if rows is not None:
        # neither one bar as tall as the chart, nor twenty on top of each other
        height = 60 + 34 * legend + band * max(rows, 2)
    chart = alt.LayerChart(layer=layers).properties(
        width="container",
        height=height + 34 * bool(title),
        # the height is that of the whole picture, in a page and in a file alike
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        description=title or description,
    )
    if title:
        chart = chart.properties(title=alt.TitleParams(title, anchor="start"))
    # the width where there is no container: a file
    return legible(chart, continuousWidth=_WIDTH, discreteWidth=_WIDTH)


def legible(chart: alt.LayerChart, **view: Any) -> alt.LayerChart:
    """Give a chart's words the colour of the text around it: the theme's, or black in a file.

    Streamlit's own grey for axes has a contrast below 4.5:1 on white.

    Parameters
    ----------
    view : settings of the view's configuration
    """
    words = {"labelColor": "currentColor", "titleColor": "currentColor"}
    configured: alt.LayerChart = (
        chart.configure_view(**view).configure_axis(**words).configure_legend(**words)
    )
    return configured
