"""The few rules of style that Streamlit's settings cannot give, with their reasons in the file."""

from __future__ import annotations

from pathlib import Path

import streamlit

RULES = Path(__file__).with_name("style.css")


def apply() -> None:
    """Send the rules with the page; they take no place on it."""
    streamlit.html(RULES)
