"""The field of one model input, for pages with a form for a row."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.platform import project
from core.platform.messages import Message, _
from core.platform.project import ProjectSpec

Value = float | str | None
WIDTH = 226
BOOLEAN = {1.0: Message("yes"), 0.0: Message("no")}


def field(
    place: DeltaGenerator,
    spec: ProjectSpec,
    name: str,
    usual: Value,
    known: Sequence[str],
    *,
    key: str,
) -> Value:
    """Draw the field of one input, and return its value; None when it was cleared.

    Parameters
    ----------
    usual : float, str or None
        Initial value.
    known : sequence of str
        Suggested texts if the project lists none; others may be typed then.
    key : str
        Of the widget: another key resets it.
    """
    column = spec.columns[name]
    kind = int if column.type == "integer" else float
    # set through the session state: a field with a default value could not be cleared
    if key not in st.session_state:
        st.session_state[key] = usual if usual is None or column.is_text else kind(usual)
    if column.is_text:
        offered = list(column.categories or known)
        return place.selectbox(
            name,
            offered,
            index=None,
            key=key,
            help=str(project.words(column.about)),
            width=WIDTH,
            accept_new_options=not column.categories,
            placeholder=_("Missing"),
        )
    if column.type == "boolean":
        return place.selectbox(
            name,
            list(BOOLEAN),
            index=None,
            format_func=lambda value: str(BOOLEAN[value]),
            key=key,
            help=str(project.words(column.about)),
            width=WIDTH,
            placeholder=_("Missing"),
        )
    value = place.number_input(
        name,
        None if column.min is None else kind(column.min),
        None if column.max is None else kind(column.max),
        None,
        kind(1) if kind is int else 0.001,
        key=key,
        format=None if kind is int else "%.8g",
        help=str(project.words(column.about)),
        placeholder=_("Missing"),
        width=WIDTH,
    )
    return None if value is None else float(value)
