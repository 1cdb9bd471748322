"""The table of a new project: uploaded or from the allowed folder, with the guesses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.data import guess_sample
from core.data.guess import Guesses, guess
from core.data.snapshots import SOURCE_LABELS
from core.platform import storage, tables
from core.platform.config import Settings
from core.platform.csv_dialect import DialectError, Given
from core.platform.errors import InputError
from core.platform.messages import Message, _, n_, number
from core.platform.storage import Upload
from pages.shared import csv_format, elements, table_texts, uploads

KEY = "new-table"
SECOND = "new-second"
SOURCES = ("upload", "folder")
TYPES = ["csv", "parquet", "zip"]
FIRST_ROWS = 5


@dataclass(frozen=True)
class Table:
    """A table that a project begins with.

    Parameters
    ----------
    name : str
        The person's name for the file.
    path : Path
        Where it is now.
    content : str
        Names its content.
    upload : Upload or None
        None for a file of the allowed folder.
    """

    name: str
    path: Path
    content: str
    upload: Upload | None = None


def ask(settings: Settings) -> Table | None:
    """Draw the choice of a table, and return it; None while there is none."""
    folder = settings.raw_dir
    label = _("A table with one row per case: CSV, parquet or zip")
    source = "upload"
    if folder is not None:
        source = st.segmented_control(
            _("Source"),
            SOURCES,
            format_func=lambda code: elements.capital(SOURCE_LABELS[code]),
            default="upload",
            required=True,
            key="new-source",
            label_visibility="collapsed",
        )
    if folder is not None and source == "folder":
        return _of_folder(folder, label, "new-folder-table")
    return _uploaded(settings, KEY, label)


def ask_second(settings: Settings, first: Table) -> Table | None:
    """Draw the choice of a second file, of the same source."""
    label = _("File of the current rows")
    if first.upload is not None:
        return _uploaded(settings, SECOND, label)
    assert settings.raw_dir is not None
    return _of_folder(settings.raw_dir, label, "new-folder-second", other_than=first.name)


def _uploaded(settings: Settings, key: str, label: str) -> Table | None:
    # in the home itself: the project that will read it does not exist yet
    outer = settings.outer
    files = uploads.ask(outer, label, key, types=TYPES)
    if not files:
        return None
    (upload,) = files
    return Table(upload.name, storage.uploaded(outer, upload), upload.stored, upload)


def _of_folder(folder: Path, label: str, key: str, *, other_than: str = "") -> Table | None:
    listed = {path.name: path for path in tables.list_sources(folder) if path.name != other_than}
    name = st.selectbox(label, list(listed), index=None, help=f"`{folder}`", key=key)
    if name is None:
        return None
    about = listed[name].stat()
    return Table(name, listed[name], f"{name}-{about.st_size}-{about.st_mtime_ns}")


def read(table: Table) -> tuple[Guesses, pd.DataFrame] | None:
    """Return the guesses about a table, and its first rows.

    None while a question about its format, which is drawn, is open.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with st.spinner(_("Reading the rows")):
            return guessed(table.path, table.name, table.content, csv_format.chosen(KEY))
    except DialectError as error:
        if error.asks is None:
            raise
        csv_format.ask(KEY, error)
        return None


def csv_options(table: Table) -> dict[str, Any]:
    """Draw how a CSV is read, and return what a person stated about it."""
    return {} if table.path.suffix.lower() == ".parquet" else csv_format.ask(KEY, None)


@st.cache_resource(show_spinner=False, max_entries=4)
def guessed(_path: Path, name: str, content: str, given: Given) -> tuple[Guesses, pd.DataFrame]:
    """Return the guesses about a file and its first rows, once for the same content."""
    frame = guess_sample.read_some(_path, given=given, name=name)
    return guess(frame), frame.head(FIRST_ROWS).copy()


def require_fit(first: Guesses, second: Table) -> None:
    """Refuse a second file that lacks columns of the first; a label may be missing.

    Raises
    ------
    InputError
        If it cannot be read, or lacks columns.
    """
    head = tables.read_head(second.path, second.name, csv_format.chosen(KEY))
    missing = [
        column.name
        for column in first.columns
        if column.name not in (*head.columns, first.target.value, *first.left_out)
    ]
    if missing:
        raise InputError(
            Message(
                "'{name}' lacks columns of the table: {columns}.",
                name=second.name,
                columns=missing[:10],
            )
        )


def require_unique(table: Table, guesses: Guesses) -> Guesses:
    """Return the guesses without an id that repeats in the rows that were not read for them.

    Raises
    ------
    InputError
        If a person chose that id.
    """
    return guess_sample.with_proved_id(guesses, table.path, csv_format.chosen(KEY))


def describe(guesses: Guesses) -> None:
    """Draw what was read: name, size, labels."""
    unlabelled = guesses.sampled - guesses.labelled if guesses.target.value else 0
    parts = [
        f"**{elements.plain(guesses.file)}**",
        n_("{count:,} row", "{count:,} rows", guesses.rows),
        n_("{count:,} column", "{count:,} columns", len(guesses.columns)),
    ]
    if guesses.labelled:
        parts.append(elements.named(_("Positive class"), number(guesses.share, ".1%")))
    if unlabelled:
        share = number(unlabelled / guesses.sampled, ".1%")
        parts.append(elements.named(_("Without label"), share))
    st.markdown(" · ".join(parts))
    if guesses.sampled < guesses.rows:
        st.caption(_("The guesses are based on {rows:,} of its rows.", rows=guesses.sampled))


def first_rows(first: pd.DataFrame) -> None:
    """Draw the first rows, on request."""
    with st.expander(_("First rows")):
        st.dataframe(table_texts.localized(first), hide_index=True)
