"""Checks in a row: a chip each, with its verdict by colour and symbol."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from core.platform.messages import Words
from pages.shared import elements

LOOKS = {
    "ok": ("green", ":material/check:"),
    "warning": ("orange", ":material/warning:"),
    "alert": ("red", ":material/error:"),
    "not_applicable": ("gray", ":material/remove:"),
}


def draw(checks: Iterable[tuple[Words, str, Words]]) -> None:
    """Draw a chip for each check: its title, its verdict, and what it means as its tooltip."""
    with st.container(horizontal=True, gap="small"):
        for title, verdict, text in checks:
            colour, icon = LOOKS[verdict]
            st.badge(str(title), icon=icon, color=colour, help=elements.plain(str(text)) or None)
