"""The few style rules that Streamlit's settings lack, with their reasons in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import streamlit

RULES = Path(__file__).with_name("style.css")


def apply(groups: Mapping[int, str]) -> None:
    """Add the rules to the page, and the names of the sidebar's groups.

    Streamlit's own groups put headings into the list of pages, which is then no list for screen
    readers.

    Parameters
    ----------
    groups : mapping
        Place of a page in the sidebar, from 1 -> name of the group that begins there.
    """
    streamlit.html(RULES)
    item = '[data-testid="stSidebarNavItems"] > li'
    names = "".join(
        f"{item}:nth-child({place})::before {{ content: {json.dumps(name, ensure_ascii=False)} }}"
        for place, name in groups.items()
    )
    streamlit.html(f"<style>{names}</style>")
