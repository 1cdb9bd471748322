"""Reset: everything is moved into a backup, after confirmation; a backup can be restored."""

from __future__ import annotations

from datetime import UTC, datetime

from core.platform import process
from core.platform.config import Settings
from core.runtime import backup
from pages.shared import elements
from pages.shared.bilingual import st


def draw(settings: Settings) -> None:
    """Draw the reset and the backups, collapsed."""
    with st.expander("Begin anew, or put a backup back"), elements.show_errors():
        _reset(settings)
        backups = backup.listed(settings)
        if backups:
            _restore(settings, backups)


def _reset(settings: Settings) -> None:
    megabytes = backup.size(settings) / 1e6
    st.markdown(
        f"Everything this app wrote ({megabytes:,.1f} MB: data, runs, models, predictions, "
        f"alerts, logs) is moved into the folder `{backup.FOLDER}`; nothing is deleted. Servers "
        "are stopped, and the app starts again, empty."
    )
    for left in backup.untouched(settings):
        st.markdown(f"It does not touch {left}.")
    name = st.text_input(
        f"Type {settings.project} to confirm", key="confirm-reset", width=320, autocomplete="off"
    )
    st.button(
        "Move everything into a backup",
        icon=":material/inventory:",
        key="reset",
        disabled=name != settings.project,
        on_click=_ask,
        args=(settings, None),
    )


def _restore(settings: Settings, backups: tuple[backup.Backup, ...]) -> None:
    names = {
        saved.name: f"{datetime.fromtimestamp(saved.made, UTC):%Y-%m-%d %H:%M} UTC "
        f"({saved.size / 1e6:,.1f} MB)"
        for saved in backups
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Backup", list(names), format_func=names.__getitem__, key="backup", width=320
        )
        sure = st.checkbox("What stands now becomes a backup itself", key="sure-restore")
        st.button(
            "Put it back",
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
        st.info("The app starts again. This page comes back by itself in some seconds.")
        st.stop()
