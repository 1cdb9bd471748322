"""The few style rules that Streamlit's settings lack, with their reasons in the file."""

from __future__ import annotations

from pathlib import Path

import streamlit

RULES = Path(__file__).with_name("style.css")


def apply() -> None:
    """Add the rules to the page, without taking up space."""
    streamlit.html(RULES)
