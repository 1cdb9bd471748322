"""The columns of a new project's table: suspected leaks, and which are features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.data.guess import Guesses
from core.data.guess_lines import TYPES, type_fault
from core.platform.messages import Message, _, number
from core.platform.project_parts import TYPE_LABELS
from pages.projects.draft import Draft
from pages.shared import elements

# a row, and the most rows that are shown without scrolling
ROW_HEIGHT, MOST_ROWS = 35, 14


def leaks(guesses: Guesses, draft: Draft) -> None:
    """Draw the columns that may leak the target, each with a button that allows it."""
    suspected = [out for out in guesses.left_out.values() if out.is_leak]
    if suspected:
        elements.question(_("Excluded: probably known only after the outcome"))
    for out in suspected:
        _leak(out.column, elements.plain(str(out.reason)), _("Use"), draft, is_used=True)
    for column in guesses.allowed:
        text = elements.plain(str(allowed(column)))
        _leak(column, text, _("Remove"), draft, is_used=False)


def allowed(column: str) -> Message:
    """Return that a column is used although it may leak the target."""
    return Message("'{column}' is used as a feature despite a warning.", column=column)


def counts(guesses: Guesses) -> str:
    """Return how many columns are features, excluded, and have another role, by their names."""
    rest = {column.name for column in guesses.columns}
    rest -= {*guesses.features, *guesses.left_out}
    rows = guesses.current.value
    roles = {
        _("Target"): guesses.target.value,
        _("Id"): guesses.id.value,
        _("Time"): guesses.time.value,
        _("Group"): guesses.group.value,
        _("Sampling weight"): guesses.weights.value,
        _("Current rows"): rows.column if rows.by == "value" else None,
    }
    named = ", ".join(role for role, column in roles.items() if column in rest)
    parts = {
        _("Features"): len(guesses.features),
        _("Excluded"): len(guesses.left_out),
        elements.capital(named.lower()): len(rest),
    }
    return " · ".join(elements.named(name, number(count)) for name, count in parts.items())


def _leak(column: str, text: str, label: str, draft: Draft, *, is_used: bool) -> None:
    def press() -> None:
        if is_used:
            draft.set_use(column, is_used=True)
        else:
            draft.withdraw(column)

    with st.container(horizontal=True, vertical_alignment="center"):
        icon = ":orange[:material/warning:]" if is_used else ":material/info:"
        st.markdown(f"{icon} {text}", width="stretch")
        st.button(label, key=f"new-allow-{column}", on_click=press)


def draw(guesses: Guesses, draft: Draft) -> None:
    """Draw a row for each column that has no other role."""
    frame = rows(guesses)
    key = f"new-columns-{draft.edits}"

    def edited() -> None:
        edits = st.session_state[key]["edited_rows"]
        apply(draft, guesses, {str(frame["column"][int(at)]): row for at, row in edits.items()})

    if draft.refused is not None:
        st.warning(elements.plain(str(draft.refused)), icon=":material/warning:")
    st.caption(_("Tick the features."))
    config = st.column_config
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        height=(min(len(frame), MOST_ROWS) + 1) * ROW_HEIGHT + 3,
        disabled=["column", "about"],
        on_change=edited,
        column_config={
            "use": config.CheckboxColumn(_("Feature"), width=70),
            "column": config.TextColumn(_("Column"), width=150),
            "type": config.SelectboxColumn(
                _("Type"),
                options=_possible(guesses, frame["column"]),
                format_func=lambda code: str(TYPE_LABELS[code]),
                required=True,
                width=90,
            ),
            # wide enough for a reason at 1440 px
            "about": config.TextColumn(_("Details"), width=640),
        },
    )


def _possible(guesses: Guesses, columns: Sequence[str]) -> list[str]:
    """Return the types that at least one of these columns can have."""
    lines = [guesses.types[column] for column in columns]
    able = {kind for line in lines for kind in (line.value, *line.alternatives)}
    return [kind for kind in TYPES if kind in able]


def rows(guesses: Guesses) -> pd.DataFrame:
    """Return the table of columns, excluded ones first, without the suspected leaks."""
    taken = {guesses.target.value, guesses.id.value, guesses.time.value, guesses.weights.value}
    taken |= {guesses.current.value.column} if guesses.current.value.by == "value" else set()
    listed = []
    for column in guesses.columns:
        out = guesses.left_out.get(column.name)
        # columns that may leak the target are listed separately
        if column.name in taken or (out is not None and out.is_leak):
            continue
        line = guesses.types[column.name]
        about = allowed(column.name) if column.name in guesses.allowed else line.reason
        listed.append(
            {
                "use": out is None,
                "column": column.name,
                "type": line.value,
                "about": str(about if out is None else out.reason),
            }
        )
    frame = pd.DataFrame(listed, columns=["use", "column", "type", "about"])
    return frame.sort_values("use", kind="stable", ignore_index=True)


def apply(draft: Draft, guesses: Guesses, edits: Mapping[str, Mapping[str, Any]]) -> None:
    """Store the changes in the table of columns."""
    types = dict(draft.choices.get("types", {}))
    profiles = {column.name: column for column in guesses.columns}
    draft.refused = None
    for column, row in edits.items():
        if "use" in row:
            empty = guesses.left_out.get(column)
            if not (row["use"] and empty is not None and empty.code == "empty"):
                draft.set_use(column, is_used=row["use"])
        if "type" in row:
            fault = type_fault(profiles[column], row["type"])
            if fault is None:
                types[column] = row["type"]
            draft.refused = fault or draft.refused
    draft.choices["types"] = types
    draft.edits += 1
