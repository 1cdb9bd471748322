"""The language of a visit: chosen in the sidebar, kept in the address."""

from __future__ import annotations

from typing import Literal

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.platform import messages
from core.platform.messages import LANGUAGES, _

PARAMETER = "lang"
_CHOSEN = "language"
# how a field shows a day
_DAY_FORMATS: dict[str, Literal["YYYY-MM-DD", "DD/MM/YYYY"]] = {
    "en": "YYYY-MM-DD",
    "pt": "DD/MM/YYYY",
}


def chosen() -> str:
    """Return the language of this session: of its address, as selected, or of the browser."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en"
    asked = st.query_params.get(PARAMETER)
    if asked in LANGUAGES and st.session_state.get(_CHOSEN) is None:
        return asked
    return str(st.session_state.get(_CHOSEN) or _of_browser())


def _of_browser() -> str:
    """Return the language of the visitor's browser, or English."""
    spoken = str(st.context.locale or "").partition("-")[0].lower()
    return spoken if spoken in LANGUAGES else "en"


def day_format() -> Literal["YYYY-MM-DD", "DD/MM/YYYY"]:
    """Return how `st.date_input` shows a day in the current language."""
    return _DAY_FORMATS[messages.current()]


def choose() -> None:
    """Draw the selection; the address keeps it, so a link opens in the same language."""
    asked = st.query_params.get(PARAMETER)
    if _CHOSEN not in st.session_state and asked in LANGUAGES:
        st.session_state[_CHOSEN] = asked
    # a widget that is not drawn for a moment loses its value: a separate key keeps it
    kept = st.session_state.get(_CHOSEN) or _of_browser()
    picked = st.segmented_control(
        _("Language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        default=kept,
        required=True,
        key=f"language-{kept}",
        label_visibility="collapsed",
    )
    if picked != kept:
        st.session_state[_CHOSEN] = picked
        _write(picked)
        st.rerun()
    _write(kept)


def _write(picked: str) -> None:
    asked = st.query_params.get(PARAMETER)
    if picked == _of_browser() and asked is not None:
        del st.query_params[PARAMETER]
    elif picked not in (_of_browser(), asked):
        st.query_params[PARAMETER] = picked
