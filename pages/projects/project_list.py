"""The projects of the home: each with its state and what can be done with it."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core.data import snapshots
from core.jobs import jobs
from core.monitoring.records import ReportRun
from core.platform import model_store, permissions, project, projects, storage, tracking
from core.platform.config import PROJECT_FILE, Settings
from core.platform.errors import CourtsideError
from core.platform.messages import _, day, number, p_
from core.platform.projects import Listed
from core.runtime import project_homes
from pages.projects import delete_form, editor
from pages.shared import elements, navigation, project_choice
from pages.shared.statuses import STATUSES


def draw(settings: Settings) -> None:
    """Draw a card for each project, and the deleted ones."""
    for each in projects.listed(settings):
        with st.container(border=True):
            _card(settings, each)
    editor.draw(settings)
    delete_form.draw(settings)
    _deleted(settings)


def _card(settings: Settings, listed: Listed) -> None:
    name, own = listed.name, listed.settings
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{elements.plain(str(listed.title))}**", width="content")
        if name == settings.project:
            st.badge(_("in use"), color="green")
        if not own.is_nested:
            st.badge(_("built in"), color="gray")
    if listed.spec is None:
        st.error(elements.plain(str(listed.fault)), icon=":material/error:")
    else:
        st.caption(elements.plain(str(project.words(listed.spec.question))))
        st.markdown(_state(listed))
    with st.container(horizontal=True):
        if name != settings.project and st.button(
            elements.capital(p_("link", "open")),
            icon=":material/arrow_forward:",
            key=f"open-{name}",
            type="primary",
        ):
            project_choice.switch(settings, name)
        st.download_button(
            _("Download"),
            projects.text_of(own),
            f"{name}.toml" if own.is_nested else f"{name}_{PROJECT_FILE}",
            mime="application/toml",
            key=f"export-{name}",
        )
        if own.is_nested:
            editor.button(name)
            delete_form.button(name)


def _state(listed: Listed) -> str:
    """Return how far a project is, in a line."""
    own = listed.settings
    assert listed.spec is not None
    try:
        running = len(jobs.active(own))
        champion = model_store.find_version(own, listed.spec.model, model_store.CHAMPION)
        report = tracking.last_run(own, "monitor")
        parts = []
        if report is not None and (verdict := ReportRun.of(report).verdict_title):
            parts.append(elements.words(verdict))
        if champion is not None:
            parts.append(
                elements.named(
                    elements.capital(model_store.ALIAS_LABELS[model_store.CHAMPION]),
                    champion.version,
                )
            )
        elif storage.current_prepared(own) is not None:
            parts.append(elements.named(navigation.STEPS["prepare"][1], STATUSES["done"]))
        elif snapshots.current(own) is not None:
            parts.append(elements.named(navigation.STEPS["acquire"][1], STATUSES["done"]))
        else:
            parts.append(_("Nothing here yet."))
        if running:
            parts.append(elements.named(_("Background jobs"), number(running)))
    except CourtsideError as error:
        return f":red[{elements.plain(str(error))}]"
    return " · ".join(parts)


def _deleted(settings: Settings) -> None:
    """Draw the backups of deleted projects, each with a button that brings it back."""
    backups = project_homes.deleted(settings)
    if not backups:
        return
    with st.expander(_("Restore"), icon=":material/inventory_2:"):
        for backup in backups:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f"`{backup.project}` · {day(datetime.fromtimestamp(backup.made, UTC))} UTC "
                    f"({number(backup.size / 1e6, ',.1f')} MB)",
                    width="content",
                )
                if st.button(
                    _("Restore"),
                    icon=":material/settings_backup_restore:",
                    key=f"restore-{backup.name}",
                    disabled=not permissions.may("project"),
                ):
                    with elements.show_errors():
                        restored = project_homes.restore(settings, backup.name)
                        project_choice.switch(settings, restored.project)
