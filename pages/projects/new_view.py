"""A new project: from a project file, or one of the built-in examples."""

from __future__ import annotations

import streamlit as st

from core.platform import project, projects
from core.platform.config import Settings
from core.platform.messages import _
from pages.shared import elements, project_choice

# a project file is written by hand
LARGEST_MB = 1


def draw(settings: Settings) -> None:
    """Draw the ways to a new project."""
    from_file(settings)
    examples(settings)


def from_file(settings: Settings) -> None:
    """Draw the import of a project file: it is checked first, then created."""
    st.subheader(_("From a project file"), anchor=False)
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
            _("Create the project"), icon=":material/add:", key="new-create", type="primary"
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
            if st.button(_("Add"), icon=":material/add:", key=f"example-{name}"):
                added = projects.add_example(settings, name)
                project_choice.switch(settings, added.project)
