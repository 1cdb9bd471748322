"""A new project: from a table, a project file, or one of the built-in examples."""

from __future__ import annotations

import streamlit as st

from core.platform import permissions, project, projects
from core.platform.config import Settings
from core.platform.messages import _
from pages.projects import columns_table, confirmation, create_form, draft, table_source
from pages.projects.table_source import Table
from pages.shared import drafts, elements, project_choice

# a project file is written by hand
LARGEST_MB = 1


def draw(settings: Settings) -> None:
    """Draw the ways to create a project; a selected table fills the page."""
    drafts.hold(
        create_form.PAGE,
        draft.KEY,
        "new-source",
        "new-folder-table",
        "new-folder-second",
        f"csv-*-{table_source.KEY}",
    )
    table = None
    with elements.show_errors():
        table = table_source.ask(settings)
        if table is not None:
            from_table(settings, table)
    if table is None:
        examples(settings)
        with st.expander(_("Project file")):
            from_file(settings)


def from_table(settings: Settings, table: Table) -> None:
    """Draw the confirmation of what is guessed about a table, and the buttons that create it."""
    answer = table_source.read(table)
    if answer is None:
        return
    base, first = answer
    chosen = draft.of(table.content)
    summary = st.container()
    guesses = confirmation.draw(base, chosen)
    second = None
    # the buttons come before settings that are seldom changed
    creation = st.container()
    if guesses.target.value:
        with creation, st.container(horizontal=True):
            with st.container(width=elements.HALF_WIDTH, gap="xsmall"):
                guesses, second = confirmation.current_rows(guesses, chosen, settings, table)
            with st.container(width=elements.HALF_WIDTH, gap="xsmall"):
                confirmation.threshold(guesses, chosen)
        with creation:
            if guesses.is_rare:
                confirmation.rare_class(guesses, chosen)
            columns_table.leaks(guesses, chosen)
        st.subheader(columns_table.counts(guesses), anchor=False)
        columns_table.draw(guesses, chosen)
        confirmation.roles(guesses, chosen)
    table_source.first_rows(first)
    stated = table_source.csv_options(table)
    with summary:
        table_source.describe(guesses)
    with creation:
        if chosen.way == confirmation.FILE and second is None:
            st.info(_("Required: {field}.", field=_("File of the current rows")))
            return
        files = (table,) if second is None else (table, second)
        create_form.draw(settings, guesses, chosen, files, stated)


def from_file(settings: Settings) -> None:
    """Draw the import of a project file: it is checked first, then created."""
    uploaded = st.file_uploader(
        _("Project file"), type=["toml"], key="new-file", max_upload_size=LARGEST_MB
    )
    if uploaded is None:
        return
    content = uploaded.getvalue()
    with elements.show_errors():
        spec = project.parse(content, uploaded.name)
        st.markdown(f"**{elements.plain(spec.title)}**  \n:gray[{elements.plain(spec.question)}]")
        if st.button(
            _("Create"),
            icon=":material/add:",
            key="new-create",
            type="primary",
            disabled=not permissions.may("project"),
        ):
            created = projects.create(settings, content.decode())
            project_choice.switch(settings, created.project)


def examples(settings: Settings) -> None:
    """Draw the built-in projects that this home does not have."""
    offered = projects.examples(settings)
    if not offered:
        return
    st.subheader(_("Built-in examples"), anchor=False)
    for name in offered:
        spec = project.load(name)
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{project.words(spec.title)}**  \n:gray[{project.words(spec.question)}]")
            if st.button(
                _("Add"),
                icon=":material/add:",
                key=f"example-{name}",
                disabled=not permissions.may("project"),
            ):
                added = projects.add_example(settings, name)
                project_choice.switch(settings, added.project)
