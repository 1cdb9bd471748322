"""The trend of a metric over the reports, and when it would cross its limit."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import clock
from core.platform.config import Settings
from core.platform.messages import _
from core.retraining import decision_basis, policy_evidence, retrain_charts
from core.retraining.policy_settings import Policy
from core.stats.forecast import DAY
from pages.shared import elements

CONFIDENCE = 1 - policy_evidence.ERROR_RATE / len(policy_evidence.FORECAST)


def draw(settings: Settings, state: decision_basis.State, by: Policy) -> None:
    """Draw the windows of the champion, and their trend once there are enough."""
    st.subheader(
        _("When would a limit be crossed?"),
        anchor=False,
        help=_(
            "Dashed: the linear trend with its {confidence:g}% band. Red: the alert limit, and "
            "when the trend may cross it.",
            confidence=100 * CONFIDENCE,
        ),
    )
    windows = [window for window in state.windows if window.labels >= by.min_labels]
    codes = [
        code
        for code in policy_evidence.FORECAST
        if any(code in window.values for window in windows)
    ]
    if not codes:
        st.caption(_windows(0, by))
        return
    code = st.segmented_control(
        _("Metric"),
        codes,
        default=codes[0],
        required=True,
        format_func=lambda code: str(policy_evidence.titled(code)),
        key="forecast",
        label_visibility="collapsed",
    )
    own = [window for window in windows if code in window.values]
    start = min(clock.now(settings), own[-1].end)
    trends = {trend.code: trend for trend in policy_evidence.forecasts(by, windows, now=start)}
    mine = trends.get(str(code))
    if mine:
        st.markdown(elements.plain(str(policy_evidence.sentence(mine))))
    else:
        st.caption(_windows(len(own), by))
    if len({window.end for window in windows}) < 2:
        return
    low, high = own[-1].limits.get(str(code), (None, None))
    table = pd.DataFrame(
        {
            "time": [policy_evidence.middle(window) for window in own],
            "value": [window.values[str(code)] for window in own],
            "run": [window.run_id[:8] for window in own],
        }
    )
    elements.chart(
        retrain_charts.trend(
            table,
            mine.trend if mine else None,
            name=str(policy_evidence.titled(str(code))),
            low=low,
            high=high,
            until=start + by.horizon_days * DAY,
            confidence=CONFIDENCE,
        )
    )


def _windows(count: int, by: Policy) -> str:
    return _("{count} of {needed} windows that a trend needs", count=count, needed=by.min_windows)
