"""Reading a monitoring report, and the appearance of its verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from core.monitoring import report_tables
from core.platform import messages, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, sentences
from core.platform.messages import number as number_text
from pages.shared import elements

LOOKS = {
    "fits": (st.success, ":material/check_circle:"),
    "watch": (st.warning, ":material/visibility:"),
    "investigate": (st.warning, ":material/search:"),
    "does_not_fit": (st.error, ":material/error:"),
    "no_skill": (st.error, ":material/trending_flat:"),
    "cannot_tell": (st.info, ":material/help:"),
    "unknown": (st.info, ":material/help:"),
}


@st.cache_data(show_spinner=False, max_entries=256)
def stored_table(_settings: Settings, store: str, run_id: str, name: str) -> pd.DataFrame | None:
    """Return a table of a report, None without it."""
    try:
        return tracking.table(_settings, run_id, name)
    except NotReadyError:
        return None


@st.cache_data(show_spinner=False, max_entries=64)
def document(_settings: Settings, store: str, run_id: str) -> dict[str, Any]:
    """Return the report as the step wrote it; empty without one."""
    try:
        return tracking.document(_settings, run_id, "report")
    except NotReadyError:
        return {}


@st.cache_data(show_spinner=False, max_entries=64)
def checks_of(_settings: Settings, store: str, run_id: str) -> pd.DataFrame | None:
    """Return the checks of a report with all fields, None without them."""
    checks = stored_table(_settings, store, run_id, "checks")
    return None if checks is None else report_tables.complete(checks)


def is_judged(settings: Settings, run_id: str) -> bool:
    """Return whether a report compares probabilities with outcomes: it has labels."""
    bins = stored_table(settings, settings.mlflow_uri, run_id, "reliability")
    return bins is not None and len(of_current(bins)) > 0


def of_current(table: pd.DataFrame) -> pd.DataFrame:
    """Return the current side of a table with both."""
    if "set" not in table:
        return table
    return table[table["set"] == "current"].drop(columns="set").reset_index(drop=True)


def lead(fact: Words | None) -> Words:
    """Return the first sentence of a fact of several; an older text as it is."""
    return messages.parted(messages.loads(fact or ""))[0]


def after_lead(fact: Words | None) -> Message:
    """Return all sentences of a fact but the first."""
    return sentences(*messages.parted(messages.loads(fact or ""))[1])


def draw(build: Callable[[], Any], *key: str) -> None:
    """Draw an immutable chart, cached by the language and its key, which includes its run."""
    drawn = _drawn((messages.current(), *key), build)
    st.vega_lite_chart(elements.localized(drawn), width="stretch")


@st.cache_data(show_spinner=False, max_entries=128)
def _drawn(key: tuple[str, ...], _build: Callable[[], Any]) -> dict[str, Any]:
    drawing: dict[str, Any] = _build().to_dict()
    return drawing


def number(value: float, sign: str = "") -> str:
    """Return a value as text, a dash for none."""
    return "–" if pd.isna(value) else number_text(value, f"{sign}.4f")
