"""Begin anew: everything is moved into a backup, after asking; a backup can be put back."""

from __future__ import annotations

from datetime import UTC, datetime

from core.adapters import backup, process
from core.config import Settings
from pages import _parts
from pages._bilingual import st


def draw(settings: Settings) -> None:
    """Draw the reset and the backups, folded away."""
    with st.expander("Begin anew, or put a backup back"), _parts.told():
        _reset(settings)
        found = backup.listed(settings)
        if found:
            _restore(settings, found)


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
        "Move everything into a backup", icon=":material/inventory:", key="reset",
        disabled=name != settings.project, on_click=_ask, args=(settings, None),
    )  # fmt: skip


def _restore(settings: Settings, found: tuple[backup.Backup, ...]) -> None:
    names = {
        one.name: f"{datetime.fromtimestamp(one.made, UTC):%Y-%m-%d %H:%M} UTC "
        f"({one.size / 1e6:,.1f} MB)"
        for one in found
    }
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Backup", list(names), format_func=names.__getitem__, key="backup", width=320
        )
        sure = st.checkbox("What stands now becomes a backup itself", key="sure-restore")
        st.button(
            "Put it back", icon=":material/settings_backup_restore:", key="restore",
            disabled=not sure, on_click=_ask, args=(settings, chosen),
        )  # fmt: skip


@_parts.told()
def _ask(settings: Settings, restore: str | None) -> None:
    backup.ask(settings, restore)
    st.session_state["restarting"] = True
    process.start_anew(settings.environment())


def notice() -> None:
    """Tell that the app is starting again, as long as it is."""
    if st.session_state.get("restarting"):
        st.info("The app starts again. This page comes back by itself in some seconds.")
        st.stop()
