"""The project of a visit: kept in the address and the session, chosen in the sidebar.

What a session keeps belongs to one project: it is dropped when another one is chosen, except the
drafts, which come back with their project.
"""

from __future__ import annotations

import os

import streamlit as st

from core.platform import project, projects
from core.platform.config import BUILT_IN, PREFIX, Settings, is_project_name
from core.platform.errors import CourtsideError
from core.platform.messages import _
from pages.shared import drafts

PARAMETER = "project"
PAGE = "pages/projects/page.py"
HOME_PAGE = "pages/overview/page.py"
# the browser draws an emoji; an icon of the font would be loaded from its vendor
NEUTRAL_ICON = "📈"
_CHOSEN, _DRAFTS = "project", "drafts-of-projects"
# what belongs to the person: the language, and the project itself
_STAYS = ("language", _CHOSEN)


def page_title() -> tuple[str, str]:
    """Return the title and the icon of the browser's tab, before anything is opened."""
    asked = st.query_params.get(PARAMETER) or st.session_state.get(_CHOSEN)
    name = asked or os.environ.get(f"{PREFIX}PROJECT") or BUILT_IN
    try:
        spec = project.of(Settings.load({**os.environ, f"{PREFIX}PROJECT": str(name)}))
    except CourtsideError:
        return "Courtside", NEUTRAL_ICON
    icon = spec.icon or NEUTRAL_ICON
    if spec.name == BUILT_IN:
        return "Courtside", icon
    return f"{project.words(spec.title)} · Courtside", icon


def of_visit(base: Settings) -> Settings:
    """Return the settings of the visit's project, by its address, or else as chosen before.

    Parameters
    ----------
    base : Settings
        Those that the app was started with.
    """
    known = projects.names(base)
    asked, before = st.query_params.get(PARAMETER), st.session_state.get(_CHOSEN)
    if asked is not None and asked not in known:
        # anybody can write an address: only what can be a name is shown
        name = asked if is_project_name(asked) else "…"
        st.warning(_("'{name}' does not exist.", name=name))
    chosen = next((name for name in (asked, before) if name in known), base.project)
    if before not in (None, chosen):
        _leave(before, chosen)
    st.session_state[_CHOSEN] = chosen
    # with a single project the address says nothing about it
    if len(known) > 1:
        if asked != chosen:
            st.query_params[PARAMETER] = chosen
    elif asked is not None:
        del st.query_params[PARAMETER]
    return base if chosen == base.project else base.of_project(chosen)


def choose(settings: Settings) -> bool:
    """Draw the selection of a project, and return whether there is more than one."""
    known = {each.name: str(each.title) for each in projects.listed(settings)}
    if len(known) > 1:
        picked = st.selectbox(
            _("Project"),
            list(known),
            index=list(known).index(settings.project),
            format_func=known.__getitem__,
            key=f"project-{settings.project}",
        )
        if picked != settings.project:
            switch(settings, picked)
    return len(known) > 1


def links(settings: Settings) -> None:
    """Link to the list of projects where there is more than one, and to a new project."""
    if len(projects.names(settings)) > 1:
        st.page_link(
            PAGE, label=_("Projects"), icon=":material/folder_open:", query_params={"view": "list"}
        )
    st.page_link(PAGE, label=_("New project"), icon=":material/add:", query_params={"view": "new"})


def switch(settings: Settings, name: str) -> None:
    """Open another project at its Overview; the page's script ends here.

    The previous page's widgets are not drawn there, so their values are lost.
    """
    _leave(settings.project, name)
    st.session_state[_CHOSEN] = name
    st.switch_page(HOME_PAGE, query_params={PARAMETER: name})


def _leave(before: str, after: str) -> None:
    """Drop the session state of a project, and restore the drafts of the other one."""
    state = st.session_state
    kept = {**state.get(_DRAFTS, {}), before: drafts.all_values()}
    for key in list(state):
        if isinstance(key, str) and key.partition("-")[0] not in _STAYS:
            del state[key]
    state[_DRAFTS] = kept
    drafts.put_back(kept.get(after, {}))
