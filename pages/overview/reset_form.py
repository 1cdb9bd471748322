"""Reset: everything is moved into a backup, after confirmation; a backup can be restored."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core.platform import process
from core.platform.config import Settings
from core.platform.messages import _, day
from core.runtime import backup
from pages.shared import elements


def draw(settings: Settings) -> None:
    """Draw the reset and the backups, collapsed."""
    with st.expander(_("Reset, or restore a backup")), elements.show_errors():
        _reset(settings)
        backups = backup.listed(settings)
        if backups:
            _restore(settings, backups)


def _reset(settings: Settings) -> None:
    megabytes = backup.size(settings) / 1e6
    st.markdown(
        _(
            "Everything this app wrote ({megabytes:,.1f} MB: data, runs, models, "
            "predictions, alerts, logs) is moved into the folder `{folder}`; nothing is "
            "deleted. Servers are stopped, and the app restarts empty.",
            megabytes=megabytes,
            folder=backup.FOLDER,
        )
    )
    for left in backup.untouched(settings):
        st.markdown(_("It does not touch {left}.", left=left))
    name = st.text_input(
        _("Type {project} to confirm", project=settings.project),
        key="confirm-reset",
        width=320,
        autocomplete="off",
    )
    st.button(
        _("Move everything into a backup"),
        icon=":material/inventory:",
        key="reset",
        disabled=name != settings.project,
        on_click=_ask,
        args=(settings, None),
    )


def _restore(settings: Settings, backups: tuple[backup.Backup, ...]) -> None:
    names = {
        saved.name: _(
            "{moment} UTC ({megabytes:,.1f} MB)",
            moment=day(datetime.fromtimestamp(saved.made, UTC)),
            megabytes=saved.size / 1e6,
        )
        for saved in backups
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            _("Backup"), list(names), format_func=names.__getitem__, key="backup", width=320
        )
        sure = st.checkbox(_("Back up the current state first"), key="sure-restore")
        st.button(
            _("Restore"),
            icon=":material/settings_backup_restore:",
            key="restore",
            disabled=not sure,
            on_click=_ask,
            args=(settings, chosen),
        )


@elements.show_errors()
def _ask(settings: Settings, restore: str | None) -> None:
    backup.ask(settings, restore)
    st.session_state["restarting"] = True
    process.re_exec(settings.environment())


def notice() -> None:
    """Show a message while the app is restarting."""
    if st.session_state.get("restarting"):
        st.info(_("The app is restarting. This page reloads by itself in some seconds."))
        st.stop()
