"""Charts of what moves: distributions of two sets of rows, and the shift of each feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.logic import intervals, style
from core.logic.intervals import Floats

if TYPE_CHECKING:
    import altair as alt


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
    sets = {
        str(name): part["probability"].to_numpy(dtype=float)
        for name, part in frame.groupby("set", sort=False)
    }
    layers = _histogram(sets, np.linspace(0.0, 1.0, bins + 1), "Predicted probability")
    if threshold is not None:
        layers.append(style.rule("x", threshold, f"Threshold: {threshold:.2f}"))
    return style.finish(layers, title, "Distribution of the predicted probability")


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
    if len(both) <= intervals.DISCRETE:
        layers = _value_bars(sets, both, name)
    else:
        layers = _histogram(sets, intervals.edges(both, bins), name)
    return style.finish(layers, title, f"Distribution of {name} in {names[0]} and {names[1]}")


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
            y=style.names(shown, "Feature"),
            color=alt.Color(
                "level:N",
                title="Reading",
                sort=levels,
                scale=alt.Scale(
                    domain=levels,
                    range=[style.PALETTE["ok"], style.PALETTE["warning"], style.PALETTE["alert"]],
                ),
                legend=style.legend(),
            ),
            tooltip=tooltip,
        )
    )
    return style.finish(
        [
            bars,
            style.rule("x", warn, f"Watch from {warn:g}", told=False),
            style.rule("x", alert, f"Shifted from {alert:g}", told=False),
        ],
        title,
        "Population stability index of each feature",
        height=style.height_of(len(ranked), legend=True),
    )


def _histogram(sets: dict[str, Floats], edges: Floats, axis_title: str) -> list[alt.Chart]:
    """Return the outline of each set's shares, filled lightly so that both are seen."""
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
    y = style.share_y("share:Q", "Share of rows (%)", stack=None)
    color = style.pair("set:N", "Set", _set_roles(list(sets)))
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
    return [bars, line.encode(x=unbinned, y=y, color=color)]


def _value_bars(sets: dict[str, Floats], values: Floats, axis_title: str) -> list[alt.Chart]:
    """Return bars for each value, those of both sets side by side."""
    import altair as alt

    parts = []
    for name, found in sets.items():
        counts = (found[:, None] == values).sum(axis=0)
        share = counts / max(len(found), 1)
        parts.append(pd.DataFrame({"set": name, "value": values, "rows": counts, "share": share}))
    bars = (
        alt.Chart(pd.concat(parts, ignore_index=True))
        .mark_bar()
        .encode(
            x=alt.X("value:O", title=axis_title, axis=alt.Axis(labelAngle=0, format="~g")),
            xOffset=alt.XOffset("set:N", sort=list(sets)),
            y=style.share_y("share:Q", "Share of rows (%)"),
            color=style.pair("set:N", "Set", _set_roles(list(sets))),
            tooltip=[
                alt.Tooltip("set:N", title="Set"),
                alt.Tooltip("value:Q", title=axis_title),
                alt.Tooltip("share:Q", title="Share of rows", format=".1%"),
                alt.Tooltip("rows:Q", title="Rows", format=","),
            ],
        )
    )
    return [bars]


def _set_roles(names: list[str]) -> dict[str, str]:
    """Return which role, and with it which colour, each set has: the first is the reference."""
    if len(names) == 1 and names != ["reference"]:
        return {names[0]: "current"}
    return dict(zip(names, ("reference", "current"), strict=False))
