"""Reset: everything is moved into a backup, after confirmation; a backup can be restored."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core.platform import permissions, process, projects
from core.platform.config import Settings
from core.platform.messages import _, day, listed, number
from core.runtime import backup
from pages.shared import elements


def button() -> None:
    """Draw the button that opens the dialog, for the page's menu."""
    st.button(
        _("Reset, or restore a backup"),
        icon=":material/settings_backup_restore:",
        key="open-reset",
        type="tertiary",
        on_click=_open,
    )


def draw(settings: Settings) -> None:
    """Draw the dialog if it is open, or a message while the app is restarting."""
    if st.session_state.get("restarting"):
        st.info(_("The app is restarting; this page reloads by itself."))
        st.stop()
    if st.session_state.get("reset-open"):
        st.dialog(_("Reset, or restore a backup"), on_dismiss=_close)(_forms)(settings)


def _open() -> None:
    elements.close_menu()
    st.session_state["reset-open"] = True


def _close() -> None:
    st.session_state["reset-open"] = False


@elements.show_errors()
def _forms(settings: Settings) -> None:
    _reset(settings)
    backups = backup.listed(settings)
    if backups:
        st.divider()
        _restore(settings, backups)


def _reset(settings: Settings) -> None:
    megabytes = backup.size(settings) / 1e6
    st.markdown(
        _(
            "Everything this app wrote ({megabytes:,.1f} MB) is moved into the folder "
            "`{folder}`; nothing is deleted. Servers are stopped, and the app restarts empty.",
            megabytes=megabytes,
            folder=backup.FOLDER,
        )
    )
    if len(names := projects.names(settings)) > 1:
        st.markdown(elements.named(_("Projects"), listed(names)))
    for left in backup.untouched(settings):
        st.markdown(_("It does not touch {left}.", left=left))
    name = st.text_input(
        _("Type {project} to confirm", project=settings.project),
        key="confirm-reset",
        width=320,
        autocomplete="off",
    )
    if st.button(
        _("Move everything into a backup"),
        icon=":material/inventory:",
        key="reset",
        disabled=not permissions.may("reset") or name != settings.project,
    ):
        _ask(settings, None)


def _restore(settings: Settings, backups: tuple[backup.Backup, ...]) -> None:
    names = {
        saved.name: f"{day(datetime.fromtimestamp(saved.made, UTC))} UTC "
        f"({number(saved.size / 1e6, ',.1f')} MB)"
        for saved in backups
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            _("Backup"), list(names), format_func=names.__getitem__, key="backup", width=320
        )
        sure = st.checkbox(_("Back up the current state first"), key="sure-restore")
        if st.button(
            _("Restore"),
            icon=":material/settings_backup_restore:",
            key="restore",
            disabled=not permissions.may("reset") or not sure,
        ):
            _ask(settings, chosen)


def _ask(settings: Settings, restore: str | None) -> None:
    backup.ask(settings, restore)
    _close()
    st.session_state["restarting"] = True
    process.re_exec(settings.environment())
    # the dialog is closed, and the page says why
    st.rerun()
