"""Uploaded files that survive a visit to another page."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.platform.config import Settings
from core.platform.messages import Words, _
from core.platform.storage import Upload
from pages.shared import csv_format, elements

_KEPT = "uploads"


def ask(
    settings: Settings, label: Words, key: str, *, types: list[str], several: bool = False
) -> list[Upload]:
    """Draw an uploader, and return its files, even after a visit to another page.

    Raises
    ------
    InputError
        For a file that is not accepted.
    """
    stored: dict[str, list[Upload]] = st.session_state.setdefault(_KEPT, {})

    def changed() -> None:
        # removed from the uploader by the user, not by a visit to another page
        if not st.session_state[key]:
            stored.pop(key, None)

    uploaded: Any = st.file_uploader(
        str(label),
        type=types,
        accept_multiple_files=several,
        key=key,
        on_change=changed,
        max_upload_size=settings.upload_limit_mb,
    )
    files = uploaded if isinstance(uploaded, list) else [uploaded] if uploaded else []
    if files:
        stored[key] = [
            csv_format.stage(settings, file.file_id, file.name, _content=file.getvalue())
            for file in files
        ]
    elif key in stored:
        names = ", ".join(elements.plain(upload.name) for upload in stored[key])
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/draft: **{names}**", width="content")
            st.button(
                _("Remove"),
                icon=":material/close:",
                key=f"remove-{key}",
                on_click=stored.pop,
                args=(key, None),
            )
    return stored.get(key, [])


def kept(key: str) -> list[Upload]:
    """Return the files of an uploader, also before it is drawn."""
    stored: dict[str, list[Upload]] = st.session_state.get(_KEPT, {})
    return stored.get(key, [])
