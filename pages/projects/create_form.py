"""The last part of a new project: its texts, and the buttons that create it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core.data import acquire, guess_project
from core.data.guess import Guesses
from core.jobs import chains, jobs, supervision
from core.platform import lifecycle, permissions, project, projects, storage
from core.platform.config import Settings
from core.platform.messages import _
from core.platform.storage import Upload
from pages.projects import table_source
from pages.projects.draft import Draft
from pages.projects.table_source import Table
from pages.shared import drafts, elements, project_choice

PAGE = "projects"


def draw(
    settings: Settings,
    guesses: Guesses,
    draft: Draft,
    files: tuple[Table, ...],
    stated: Mapping[str, Any],
) -> None:
    """Draw title, question and name, and the buttons.

    Parameters
    ----------
    files : tuple of Table
        The table, and the file of current rows if there is one.
    stated : mapping
        What a person stated about the CSV format.
    """
    stem = Path(files[0].name).stem
    title = stem.replace("_", " ").strip()
    with st.container(horizontal=True):
        title = _text(_("Title"), "title", title[:1].upper() + title[1:], draft)
        question = _text(_("Question"), "question", guesses.question, draft)
        name = _text(_("Name"), "name", free_name(settings, files[0].name), draft)
    is_ready = bool(guesses.target.value and guesses.features and title and name)
    if guesses.target.value and not guesses.features:
        st.warning(_("No column is left as a feature. Allow one of those that are left out."))
    with st.container(horizontal=True, vertical_alignment="center"):
        runs = st.button(
            _("Create and run"),
            type="primary",
            icon=":material/play_arrow:",
            key="create-and-run",
            disabled=not permissions.may("project") or not is_ready,
        )
        creates = st.button(
            _("Create"),
            icon=":material/add:",
            key="create-only",
            disabled=not permissions.may("project") or not is_ready,
            help=_("Creates the project and acquires the table; nothing is trained yet."),
        )
    if not (runs or creates):
        return
    with elements.show_errors(), st.spinner(_("New project")):
        sure = table_source.require_unique(files[0], guesses)
        costs = tuple(float(draft.texts.get(f"cost_false_{of}", 1)) for of in _CLASSES)
        text = sure.project_file(name, title, question=question, costs=(costs[0], costs[1]))
        own = projects.create(settings, text)
        steps = lifecycle.of_table(
            {**_source(settings, own, files), **stated},
            has_current=sure.current.value.by != "none",
            rows=sure.rows,
        )
        if runs:
            chains.start(own, steps, title)
        else:
            jobs.submit(own, *steps[0])
        supervision.keep_supervisor(own)
        drafts.forget(PAGE)
        project_choice.switch(settings, own.project)


_CLASSES = ("positive", "negative")


def free_name(settings: Settings, file: str) -> str:
    """Return a name for the project of a file that no other project has."""
    taken = {*projects.names(settings), *project.built_in()}
    name = guess_project.name_of(file)
    numbered = (f"{name[:36]}_{count}" for count in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _text(label: str, name: str, usual: str, draft: Draft) -> str:
    key = f"new-{name}"
    st.session_state[key] = draft.texts.get(name, usual)

    def typed() -> None:
        draft.texts[name] = st.session_state[key]

    return st.text_input(label, key=key, on_change=typed, width=300, autocomplete="off").strip()


def _source(settings: Settings, own: Settings, files: tuple[Table, ...]) -> dict[str, Any]:
    """Return how the files are acquired; uploads are kept in the new project's home."""
    if files[0].upload is None:
        options = acquire.Options(source="folder", files=tuple(file.name for file in files))
    else:
        kept: list[Upload] = [
            storage.stage_upload(own, file.name, file.path.read_bytes()) for file in files
        ]
        options = acquire.Options(source="upload", uploads=tuple(kept))
    return options.model_dump(mode="json", exclude_defaults=True)
