"""Delete a project: into a backup, after its name has been typed."""

from __future__ import annotations

import streamlit as st

from core.platform import permissions
from core.platform.config import Settings
from core.platform.messages import _
from core.runtime import project_homes
from pages.shared import elements, project_choice, visit

_OPEN = "deleting"


def button(name: str) -> None:
    """Draw the button that opens the dialog for a project."""
    st.button(
        _("Delete"),
        icon=":material/delete:",
        key=f"delete-{name}",
        on_click=st.session_state.__setitem__,
        args=(_OPEN, name),
        disabled=not permissions.may("project"),
    )


def draw(settings: Settings) -> None:
    """Draw the dialog if it is open."""
    if name := st.session_state.get(_OPEN):
        title = elements.named(_("Delete"), name)
        st.dialog(title, on_dismiss=_close)(_form)(settings, name)


def _close() -> None:
    st.session_state.pop(_OPEN, None)


@elements.show_errors()
def _form(settings: Settings, name: str) -> None:
    if name == visit.started_with().project:
        st.info(
            _("The app was started with this project. Start it without COURTSIDE_PROJECT first.")
        )
        return
    st.markdown(
        _(
            "Its servers and its worker are stopped, and all its files are moved into a zip in "
            "`{folder}`. Its runs and models stay in the MLflow store under other names. *Restore* "
            "brings everything back.",
            folder=project_homes.FOLDER,
        )
    )
    typed = st.text_input(
        _("Type {project} to confirm", project=name), key="confirm-delete", autocomplete="off"
    )
    if st.button(
        _("Delete"),
        icon=":material/delete:",
        key="delete-project",
        type="primary",
        disabled=not permissions.may("project") or typed != name,
    ):
        with st.spinner(_("Delete")):
            project_homes.delete(settings.of_project(name), typed)
        _close()
        if name == settings.project:
            project_choice.switch(settings, visit.started_with().project)
        st.rerun()
