"""Charts of a replay: log loss and actions of each policy over the windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from core.platform.messages import Message, _
from core.retraining.policy_comparison import titled
from core.stats.charts import style

if TYPE_CHECKING:
    import altair as alt

# code -> name in the legend, shape, column and size
MARKS = {
    "alarm": (Message("alarm"), "cross", "is_alarm", 70),
    "retrained": (Message("retrained"), "triangle-up", "is_retrained", 130),
}


def log_loss(windows: pd.DataFrame, *, drift_begin: float | None = None) -> alt.LayerChart:
    """Show the log loss of each window under each policy, with its alarms and retrainings.

    Overlapping lines stay visible: the first is the broadest.

    Parameters
    ----------
    windows : DataFrame
        A row per policy and window: policy (a code, as from `policy_code`), window, end
        (seconds since 1970), rows, log_loss, is_alarm, is_retrained.
    drift_begin : float, optional
        When drift was injected, seconds since 1970; drawn as a rule.

    Examples
    --------
    >>> windows = pd.DataFrame({"policy": ["a", "a"], "window": ["1", "2"], "end": [0.0, 86400.0],
    ...     "rows": 9, "log_loss": [0.6, 0.7], "is_alarm": [False, True],
    ...     "is_retrained": [False, True]})
    >>> log_loss(windows, drift_begin=86400.0).to_dict()["height"]
    260
    """
    policies = windows["policy"].unique().tolist()
    return _over_time(windows, policies, "log_loss", _("Log loss"), drift_begin)


def gain(
    windows: pd.DataFrame, *, baseline: str, drift_begin: float | None = None
) -> alt.LayerChart:
    """Show how much lower the log loss of each window was than under the baseline.

    Parameters
    ----------
    windows, drift_begin
        As for `log_loss`.
    baseline : str
        A policy.

    Examples
    --------
    >>> windows = pd.DataFrame({"policy": ["a", "b"], "window": "1", "end": 0.0, "rows": 9,
    ...     "log_loss": [0.7, 0.6], "is_alarm": False, "is_retrained": False})
    >>> tables = gain(windows, baseline="a").to_dict()["datasets"].values()
    >>> [row["gain"] for rows in tables for row in rows if "gain" in row]
    [0.1]
    """
    base = windows[windows["policy"] == baseline].set_index("end")["log_loss"]
    # a window is identified by its end
    table = windows.assign(gain=(windows["end"].map(base) - windows["log_loss"]).round(12))
    table = table[table["policy"] != baseline]
    name = _("Reduction of log loss against “{baseline}”", baseline=titled(baseline))
    policies = windows["policy"].unique().tolist()
    return _over_time(table, policies, "gain", name, drift_begin)


def _over_time(
    windows: pd.DataFrame, policies: list[str], column: str, name: str, drift_begin: float | None
) -> alt.LayerChart:
    import altair as alt

    titles = {policy: str(titled(policy)) for policy in policies}
    table = windows.assign(
        time=pd.to_datetime(windows["end"], unit="s"), policy=windows["policy"].map(titles)
    )
    scale = alt.Scale(
        domain=list(titles.values()), range=[style.CATEGORIES[i % 6] for i in range(len(policies))]
    )
    colour = alt.Color("policy:N", title=None, scale=scale, legend=style.legend(2))
    x = alt.X("time:T", title=None, axis=alt.Axis(format="%Y-%m", labelOverlap=True))
    y = alt.Y(f"{column}:Q", title=name, scale=alt.Scale(zero=column == "gain", nice=True))
    tooltip: list[Any] = [
        alt.Tooltip("policy:N", title=_("Policy")),
        alt.Tooltip("window:N", title=_("Window")),
        alt.Tooltip("time:T", title=_("To"), format="%x"),
        alt.Tooltip("rows:Q", title=_("Rows"), format=","),
        alt.Tooltip(f"{column}:Q", title=name, format=".4f"),
    ]
    layers = (
        [] if column == "log_loss" else [style.rule("y", 0.0, _("No difference"), in_legend=False)]
    )
    for place, policy in enumerate(titles.values()):
        base = alt.Chart(table[table["policy"] == policy]).encode(
            x=x, y=y, color=colour, tooltip=tooltip
        )
        layers.append(base.mark_line(strokeWidth=max(7 - 2 * place, 1.5), opacity=1))
    shapes = alt.Shape(
        "what:N",
        title=None,
        scale=alt.Scale(
            domain=[str(label) for label, *_rest in MARKS.values()],
            range=[shape for _label, shape, *_rest in MARKS.values()],
        ),
        legend=alt.Legend(orient="top", symbolFillColor=style.PALETTE["line"], symbolSize=90),
    )
    parts = [
        table[table[flag].astype(bool)].assign(what=str(label), size=size)
        for label, _shape, flag, size in MARKS.values()
    ]
    marked = pd.concat(parts, ignore_index=True)
    layers.append(
        alt.Chart(marked)
        .mark_point(filled=True, opacity=1, strokeWidth=0)
        .encode(
            x=x,
            y=y,
            color=colour,
            shape=shapes,
            size=alt.Size("size:Q", scale=None),
            tooltip=[*tooltip, alt.Tooltip("what:N", title=_("Meaning"))],
        )
    )
    if drift_begin is not None:
        begin = pd.DataFrame(
            {"time": [pd.Timestamp(drift_begin, unit="s")], "text": [_("injected drift")]}
        )
        key = alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=2, symbolSize=250)
        layers.append(
            alt.Chart(begin)
            .mark_rule(color=style.PALETTE["alert"], strokeWidth=2)
            .encode(
                x=alt.X("time:T"),
                tooltip=[alt.Tooltip("text:N"), alt.Tooltip("time:T", format="%x")],
                strokeDash=alt.StrokeDash(
                    "text:N", title=None, scale=alt.Scale(range=[[5, 4]]), legend=key
                ),
            )
        )
    return style.finish(layers, height=260)
