"""The retraining policy, explained and set."""

from __future__ import annotations

from typing import Any

import streamlit as st
from pydantic import ValidationError

from core.platform import config, permissions
from core.platform.config import Settings
from core.platform.messages import Message, _
from core.retraining import policy_store
from core.retraining.policy_settings import STRATEGIES, Policy
from pages.shared import elements

SAVED = "policy-saved"
PROMOTES = {
    "person": Message("waits for a person"),
    "itself": Message("becomes the champion if it passes the gate"),
}


def section(settings: Settings, policy: Policy) -> None:
    """Draw the settings and save them on request."""
    strategy = st.radio(
        _("Policy"),
        list(STRATEGIES),
        index=list(STRATEGIES).index(policy.strategy),
        format_func=lambda name: str(STRATEGIES[name][0]),
        captions=[str(about) for _name, about in STRATEGIES.values()],
        key="strategy",
    )
    chosen: dict[str, Any] = policy.model_dump() | {"strategy": strategy}
    if strategy in ("reactive", "predictive"):
        with st.container(horizontal=True):
            about = _("A window is the rows of one report.")
            chosen["k"] = _number(_("Windows in alert"), "k", policy.k, 1, 20, about)
            chosen["n"] = _number(_("of the last windows"), "n", policy.n, 1, 50)
            chosen["min_labels"] = _number(
                _("Labels a window needs"), "min_labels", policy.min_labels, 100, 10**6
            )
    if strategy == "predictive":
        with st.container(horizontal=True):
            chosen["horizon_days"] = _days(_("Horizon, days"), "horizon_days", policy.horizon_days)
            chosen["min_windows"] = _number(
                _("Windows a trend needs"), "min_windows", policy.min_windows, 3, 100
            )
    if strategy == "calendar":
        chosen["every_days"] = _days(_("Days between trainings"), "every_days", policy.every_days)
    chosen["promotes"] = st.radio(
        _("A retrained challenger"),
        list(PROMOTES),
        index=list(PROMOTES).index(policy.promotes),
        format_func=lambda name: str(PROMOTES[name]),
        key="promotes",
    )
    if st.button(
        _("Save"),
        type="primary",
        icon=":material/save:",
        key="save-policy",
        disabled=not permissions.may("policy"),
    ):
        try:
            policy_store.save(settings, Policy(**chosen))
        except ValidationError as error:
            st.error(elements.plain(str(config.sentence(error))), icon=":material/error:")
        else:
            st.session_state[SAVED] = True
            st.rerun()
    if st.session_state.pop(SAVED, False):
        st.success(_("Saved."), icon=":material/check:")


def _number(label: str, name: str, value: int, low: int, high: int, about: str = "") -> int:
    key = f"policy-{name}"
    asked = st.number_input(label, low, high, value, step=1, width=190, key=key, help=about or None)
    return int(asked)


def _days(label: str, name: str, value: float) -> float:
    return float(st.number_input(label, 0.01, 3650.0, value, width=190, key=f"policy-{name}"))
