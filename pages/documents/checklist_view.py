"""The checklist: a line for each requirement, and the evidence of the selected one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.documents.dossier import Facts
from core.documents.texts.requirement import Requirement
from core.platform.messages import Message, _, number
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from pages.shared import elements, navigation

STATES = {
    "met": (Message("met"), "green", ":material/check_circle:", "✓"),
    "partly": (Message("partly met"), "orange", ":material/incomplete_circle:", "◐"),
    "missing": (Message("open"), "red", ":material/radio_button_unchecked:", "○"),
}
SHOWN = {"all": Message("All"), "open": STATES["missing"][0], "met": STATES["met"][0]}
ROWS_BEFORE_SCROLLING = 11
ROW_HEIGHT = 35


def draw(spec: ProjectSpec, facts: Facts) -> None:
    """Draw how much is met, the requirements, and what is known about the selected one."""
    checklist = part(spec.name, "checklist")
    requirements: tuple[Requirement, ...] = checklist.inspect(facts)
    met, partly, still = (
        sum(requirement.state == state for requirement in requirements) for state in STATES
    )
    counts = zip(STATES.values(), (met, partly, still), strict=True)
    text = " · ".join(
        elements.named(elements.capital(word), number(count)) for (word, *_look), count in counts
    )
    st.progress(met / len(requirements), text=text)
    chosen, graded = _filtered(requirements, first="open" if partly + still else "all")
    if not chosen:
        st.success(_("All requirements are met."), icon=":material/check_circle:")
        return
    _details(_selected(chosen, graded=graded))


def _filtered(
    requirements: tuple[Requirement, ...], *, first: str
) -> tuple[list[Requirement], bool]:
    """Return the lines that match the filters, and whether they are those of the grader."""
    with st.container(horizontal=True, vertical_alignment="center"):
        shown = st.segmented_control(
            _("State"),
            list(SHOWN),
            default=first,
            required=True,
            format_func=lambda name: elements.capital(SHOWN[name]),
            key="shown",
            label_visibility="collapsed",
        )
        graded = st.toggle(_("What a grader checks"), key="graded")
    states = {"open": ("partly", "missing"), "met": ("met",)}.get(str(shown), tuple(STATES))
    chosen = [line for line in requirements if line.state in states]
    return [line for line in chosen if line.graded or not graded], graded


def _selected(chosen: list[Requirement], *, graded: bool) -> Requirement:
    """Draw the table, and return the selected line: at first the one of a link, or an open one."""
    rows = [
        {
            "number": line.number,
            "state": f"{STATES[line.state][3]} {STATES[line.state][0]}",
            "text": str(line.text).replace("`", ""),
        }
        for line in chosen
    ]
    numbers = [line.number for line in chosen]
    asked = st.query_params.get("line", "")
    still = next((line.number for line in chosen if line.state != "met"), numbers[0])
    first = numbers.index(asked if asked in numbers else still)
    config = st.column_config
    columns: dict[str, Any] = {
        "number": config.TextColumn("#", width=50),
        "state": config.TextColumn(_("State"), width=150),
        "text": config.TextColumn(_("Requirement"), width="large"),
    }
    picked = st.dataframe(
        pd.DataFrame(rows)[list(columns)],
        hide_index=True,
        height=ROW_HEIGHT * (min(len(rows), ROWS_BEFORE_SCROLLING) + 1) + 3,
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [first], "columns": [], "cells": []}},
        # filtered lines need their own selection
        key=f"requirements-{numbers[0]}-{len(numbers)}-{graded}",
        column_config=columns,
    )
    at = picked["selection"]["rows"]
    return chosen[at[0] if at else first]


def _details(requirement: Requirement) -> None:
    """Draw a requirement: its state, the evidence, where that is, and what to do."""
    word, colour, icon, _sign = STATES[requirement.state]
    with st.container(border=True, gap="xsmall", key=f"line-{requirement.number}"):
        st.markdown(f":{colour}-badge[{icon} {word}] **`{requirement.number}`** {requirement.text}")
        st.markdown(str(requirement.evidence))
        if requirement.todo:
            todo = _("**To do:** {todo}", todo=requirement.todo)
            st.markdown(f":material/arrow_forward: {todo}")
        if requirement.path:
            st.caption(f":material/draft: {elements.plain(requirement.path)}")

        with st.container(horizontal=True, gap="small"):
            name, page_icon = navigation.PAGES[requirement.page]
            st.page_link(
                f"pages/{requirement.page}/page.py",
                label=_("Go to {page}", page=name),
                icon=f":material/{page_icon}:",
            )
            if requirement.run_id:
                navigation.run_link(requirement.run_id, _("Run"))
