"""Drift charts: distributions of two sets of rows, and the PSI of each feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.platform import own_columns
from core.platform.messages import Words, _, number
from core.stats.charts import densities as density_charts
from core.stats.charts import style
from core.stats.check import CHANGE_LABELS

if TYPE_CHECKING:
    import altair as alt


def probability_density(
    frame: pd.DataFrame,
    *,
    threshold: float | None = None,
    base_rate: float | None = None,
    weight: str | None = None,
) -> alt.LayerChart:
    """Plot the distribution of the predicted probability in each set, as shares of its rows.

    Parameters
    ----------
    frame : DataFrame
        Columns `set` (at most two names; the first is the reference) and `own_columns.PROBABILITY`.
    threshold, base_rate : float, optional
        Each drawn as a rule; labelled directly if there is one set.
    weight : str, optional
        Column of sampling weights, for the shares.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"set": ["reference"] * 50,
    ...                       own_columns.PROBABILITY: rng.random(50)})
    >>> probability_density(frame).to_dict()["height"]
    280
    """
    edges = np.linspace(0.0, 1.0, 41)
    parts = []
    for name, part in frame.groupby("set", sort=False):
        values = part[own_columns.PROBABILITY].to_numpy(dtype=float)
        rows = np.histogram(values, edges)[0]
        by = rows if weight is None else np.histogram(values, edges, weights=part[weight])[0]
        share = by / (by.sum() or 1)
        parts.append(
            pd.DataFrame(
                {"set": name, "start": edges[:-1], "end": edges[1:], "rows": rows, "share": share}
            )
        )
    table = pd.concat(parts, ignore_index=True)
    roles = _set_roles(table["set"].unique().tolist())
    table = table.assign(set=table["set"].map(style.set_name))
    layers = density_charts.layers(table, _("Predicted probability"), roles)
    rules = []
    if threshold is not None:
        rules.append((threshold, style.labelled(_("Threshold"), threshold, ".2f")))
    if base_rate is not None:
        rules.append((base_rate, style.labelled(_("Base rate"), base_rate, ".1%")))
    for place, (value, text) in enumerate(rules):
        is_alone = len(roles) == 1
        layers.append(style.rule("x", value, text, in_legend=not is_alone))
        if is_alone:
            layers.append(style.rule_label(value, text, line=place))
    return style.finish(layers)


def feature_density(
    table: pd.DataFrame, feature: str, *, axis_title: Words | None = None
) -> alt.LayerChart:
    """Plot the distribution of a feature in two sets, as shares of each set's rows.

    Parameters
    ----------
    table : DataFrame
        As `core.stats.densities.densities` returns it.

    Examples
    --------
    >>> from core.stats.densities import densities
    >>> rng = np.random.default_rng(0)
    >>> old = pd.DataFrame({"lat": rng.normal(size=500)})
    >>> table = densities(old, old + 1, ["lat"])
    >>> chart = feature_density(table, "lat", axis_title="Latitude (degrees)")
    >>> chart.to_dict()["layer"][0]["encoding"]["x"]["title"]
    'Latitude (degrees)'
    """
    rows = table[table["feature"] == feature]
    name = str(axis_title or own_columns.shown(feature))
    roles = _set_roles(rows["set"].unique().tolist())
    rows = rows.assign(set=rows["set"].map(style.set_name))
    layers = density_charts.layers(rows, name, roles)
    return style.finish(layers)


def psi_bars(
    table: pd.DataFrame,
    *,
    warn: float = 0.1,
    alert: float = 0.2,
    sets: tuple[str, str] = ("reference", "current"),
) -> alt.LayerChart:
    """Plot the PSI of each feature, largest first, with both thresholds.

    The axis is logarithmic, so that 0.001 and 8 are both legible.

    Parameters
    ----------
    table : DataFrame
        Columns `feature` and `psi`, as `core.stats.drift.by_feature` returns them; an optional `ks`
        is shown in the tooltip.
    warn, alert : float
        Thresholds of the PSI.

    Examples
    --------
    >>> table = pd.DataFrame({"feature": ["period", "lat"], "psi": [0.02, 7.9]})
    >>> psi_bars(table).to_dict()["layer"][0]["encoding"]["y"]["sort"]
    ['lat  7.900', 'period  0.020']
    """
    import altair as alt

    levels = [
        f"{CHANGE_LABELS['ok']} < {number(warn, 'g')}",
        f"{CHANGE_LABELS['warning']} ≥ {number(warn, 'g')}",
        f"{CHANGE_LABELS['alert']} ≥ {number(alert, 'g')}",
    ]
    # a column that could not be compared has no bar
    ranked = table.dropna(subset=["psi"]).sort_values("psi", ascending=False, kind="stable")
    pairs = zip(ranked["feature"], ranked["psi"], strict=True)
    shown = [f"{own_columns.shown(feature)}  {number(psi, '.3f')}" for feature, psi in pairs]
    level = np.digitize(ranked["psi"].to_numpy(dtype=float), [warn, alert])
    floor = 0.001
    ranked = ranked.assign(
        shown=shown,
        level=[levels[place] for place in level],
        start=floor,
        # a bar that ends at the floor would be invisible
        end=ranked["psi"].clip(lower=floor * 1.15),
    )
    top = max(float(ranked["psi"].max()) * 1.2 if len(ranked) else 1.0, 1.0)
    tooltip = [
        alt.Tooltip("feature:N", title=_("Feature")),
        alt.Tooltip("psi:Q", title="PSI", format=".4f"),
        alt.Tooltip("level:N", title=_("Finding")),
    ]
    if "ks" in ranked:
        tooltip.append(alt.Tooltip("ks:Q", title=_("KS distance"), format=".3f"))
    bars = (
        alt.Chart(ranked)
        .mark_bar()
        .encode(
            x=alt.X(
                "start:Q",
                title=_(
                    "PSI, {current} against {reference} (log scale)",
                    current=style.set_name(sets[1]),
                    reference=style.set_name(sets[0]),
                ),
                scale=alt.Scale(type="log", domain=[floor, top], nice=False),
                axis=alt.Axis(values=[0.001, 0.01, warn, alert, 1, 10], format="~g"),
            ),
            x2=alt.X2("end:Q"),
            y=style.names(shown, _("Feature")),
            color=alt.Color(
                "level:N",
                title=_("Finding"),
                sort=levels,
                scale=alt.Scale(
                    domain=levels,
                    range=[style.PALETTE["ok"], style.PALETTE["warning"], style.PALETTE["alert"]],
                ),
                legend=style.legend(2 if sum(map(len, levels)) > 40 else 3),
            ),
            tooltip=tooltip,
        )
    )
    return style.finish(
        [
            bars,
            style.rule("x", warn, levels[1], in_legend=False),
            style.rule("x", alert, levels[2], in_legend=False),
        ],
        height=style.height_of(len(ranked), legend=True),
    )


def _set_roles(names: list[str]) -> dict[str, str]:
    """Return the role, and so the colour, of each set by its shown name.

    The first is the reference.
    """
    shown = [style.set_name(name) for name in names]
    if len(names) == 1 and names != ["reference"]:
        return {shown[0]: "current"}
    return dict(zip(shown, ("reference", "current"), strict=False))
