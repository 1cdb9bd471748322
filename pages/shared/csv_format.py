"""CSV formats: the detected dialect, a preview, and questions about ambiguities."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.platform import csv_dialect, storage, tables
from core.platform.config import Settings
from core.platform.csv_dialect import Dialect, DialectError, Given
from core.platform.errors import InputError
from core.platform.messages import Message, Words, _
from core.platform.storage import Upload
from pages.shared import elements, table_texts

FIRST_ROWS = 5
# further files are imported without a preview
SHOWN_FILES = 3
CHECKED_ROWS = 1000
AS_DETECTED = Message("As detected")
CHOICES: dict[str, tuple[Message, dict[str, Words]]] = {
    "delimiter": (
        Message("Delimiter"),
        {name: csv_dialect.SHOWN[name].strip("`") for name in csv_dialect.SIGNS},
    ),
    "decimal": (Message("Decimal separator"), dict(csv_dialect.POINTS)),
    "encoding": (Message("Encoding"), {"utf-8": "UTF-8", "windows-1252": "Windows-1252"}),
}


@st.cache_data(show_spinner=False, max_entries=8)
def stage(_settings: Settings, file_id: str, name: str, *, _content: bytes) -> Upload:
    """Store the bytes of an upload once, however often the page runs."""
    return storage.stage_upload(_settings, name, _content)


@st.cache_data(show_spinner=False, max_entries=8)
def inspect(
    _settings: Settings, stored: str, name: str, given: Given
) -> tuple[tables.Head, pd.DataFrame]:
    """Return a file's detected format, and its first rows."""
    path = storage.uploaded(_settings, Upload(name=name, stored=stored))
    return tables.preview(path, name, CHECKED_ROWS, given)


@st.cache_data(show_spinner=False, max_entries=8)
def inspect_in_folder(
    path: str, name: str, given: Given, changed: float
) -> tuple[tables.Head, pd.DataFrame]:
    """Return the same for a local file."""
    return tables.preview(Path(path), name, CHECKED_ROWS, given)


def chosen(key: str) -> Given:
    """Return the user's CSV settings on this page so far."""
    return Given(**{name: st.session_state.get(f"csv-{name}-{key}") for name in CHOICES})


def ask(key: str, fault: DialectError | None) -> dict[str, Any]:
    """Draw the CSV settings; expanded if a file is ambiguous.

    Returns
    -------
    dict
        Options of a step: only those that the user set.
    """
    if fault is not None:
        # ambiguous values in the form of code
        text = re.sub(r"\\`([\d.,+-]+)\\`", r"`\1`", elements.plain(str(fault)))
        st.warning(text, icon=":material/help:")
    with st.expander(_("CSV format"), expanded=fault is not None), st.container(horizontal=True):
        for name, (label, options) in CHOICES.items():
            st.selectbox(
                str(label),
                [None, *options],
                key=f"csv-{name}-{key}",
                width=190,
                format_func=lambda choice, options=options: str(options.get(choice, AS_DETECTED)),
            )
    given = chosen(key)
    return {name: getattr(given, name) for name in CHOICES if getattr(given, name) is not None}


def describe(name: str, dialect: Dialect | None) -> None:
    """Describe how a CSV file is read."""
    if dialect is not None:
        st.caption(f"`{name.replace('`', '')}`: {dialect.describe()}")


def preview(
    key: str, files: Sequence[tuple[str, Callable[[Given], tuple[tables.Head, pd.DataFrame]]]]
) -> dict[str, Any] | None:
    """Show the formats of files and their first rows; ask about ambiguities.

    Parameters
    ----------
    files : sequence of (str, callable)
        The name of each, and a function that returns its head and first rows.

    Returns
    -------
    dict or None
        Options of a step; None while a question is open.
    """
    given, fault, has_csv = chosen(key), None, False
    for name, read in files[:SHOWN_FILES]:
        try:
            head, first = read(given)
        except DialectError as error:
            has_csv = True
            if error.asks is None:
                st.error(elements.plain(str(error)), icon=":material/error:")
            else:
                fault = fault or error
            continue
        except InputError as error:
            st.error(elements.plain(str(error)), icon=":material/error:")
            continue
        has_csv = has_csv or head.dialect is not None
        describe(name, head.dialect)
        st.dataframe(table_texts.localized(first.head(FIRST_ROWS)), hide_index=True)
    if len(files) > SHOWN_FILES:
        st.caption(f"{SHOWN_FILES} / {len(files)}")
    values = ask(key, fault) if has_csv else {}
    return None if fault is not None else values
