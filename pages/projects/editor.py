"""Edit a project file: checked before it is kept, an error with its line."""

from __future__ import annotations

import streamlit as st

from core.platform import permissions, projects
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _
from core.runtime import project_homes
from pages.shared import elements, navigation

_OPEN, _SAVED = "editing", "edited"
HEIGHT = 460
# lines shown before and after a faulty one
AROUND = 2


def button(name: str) -> None:
    """Draw the button that opens the editor for a project."""
    st.button(
        _("Edit"),
        icon=":material/edit:",
        key=f"edit-{name}",
        on_click=st.session_state.__setitem__,
        args=(_OPEN, name),
        disabled=not permissions.may("project"),
    )


def draw(settings: Settings) -> None:
    """Draw the editor if it is open, or what the last change made outdated."""
    if (outdated := st.session_state.pop(_SAVED, None)) is not None:
        _say(outdated)
    if name := st.session_state.get(_OPEN):
        title = elements.named(_("Project file"), name)
        own = settings.of_project(name)
        st.dialog(title, width="large", on_dismiss=_close)(_form)(own)


def _close() -> None:
    st.session_state.pop(_OPEN, None)


def _say(outdated: tuple[str, ...]) -> None:
    if not outdated:
        st.success(_("Saved."), icon=":material/check_circle:")
        return
    names = [str(navigation.STEPS[step][1]) for step in outdated]
    text = _("{what} changed. Run {step} again.", what=_("Project file"), step=names)
    st.warning(text, icon=":material/update:")


def _form(own: Settings) -> None:
    with elements.show_errors():
        text = st.text_area(
            _("Project file"),
            projects.text_of(own),
            height=HEIGHT,
            key=f"edited-text-{own.project}",
            label_visibility="collapsed",
        )
        try:
            if st.button(
                _("Save"),
                icon=":material/save:",
                key="save",
                type="primary",
                disabled=not permissions.may("project"),
            ):
                st.session_state[_SAVED] = project_homes.edit(own, text)
                _close()
                st.rerun()
        except CourtsideError as error:
            st.error(elements.plain(str(error)), icon=":material/error:")
            _excerpt(text, error)


def _excerpt(text: str, error: CourtsideError) -> None:
    """Show the lines around the faulty one, with their numbers."""
    number = line_of(error)
    if number is None:
        return
    lines = text.splitlines()
    first = max(number - 1 - AROUND, 0)
    shown = enumerate(lines[first : number + AROUND], first + 1)
    st.code("\n".join(f"{'>' if at == number else ' '} {at:4d}  {line}" for at, line in shown))


def line_of(error: CourtsideError) -> int | None:
    """Return the line that an error of a project file names; None if it names none."""
    line = error.message.params.get("line") if isinstance(error.message, Message) else None
    return line if isinstance(line, int) else None
