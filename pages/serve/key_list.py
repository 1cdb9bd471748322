"""API keys on the Serve page: created and shown once, listed by name and age, revoked."""

from __future__ import annotations

import streamlit as st

from core.platform.config import Settings
from core.platform.messages import _, n_
from core.serving import api_keys
from pages.shared import elements

SHOWN = "api-key-made"


@elements.show_errors()
def section(settings: Settings) -> None:
    """Draw the keys that programs need to call an endpoint, if there are any."""
    keys = api_keys.listed(settings)
    made = st.session_state.pop(SHOWN, None)
    title = n_("API keys: {count:,} key", "API keys: {count:,} keys", len(keys))
    with st.expander(
        title if keys else _("API keys: none; any program on this machine may call"),
        icon=":material/key:",
        expanded=made is not None,
    ):
        _keys(settings, keys, made)


def _keys(settings: Settings, keys: list[api_keys.ApiKey], made: tuple[str, str] | None) -> None:
    st.markdown(
        _(
            "A call needs a key in the header `X-Api-Key`. `/ping`, `/health` and `/version` "
            "need none."
        )
        if keys
        else _("Once there is a key, calls without one are refused (401).")
    )
    form = st.form("api-key", border=False, clear_on_submit=True)
    with form.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            _("Name of a new key"),
            max_chars=api_keys.NAME_LENGTH,
            placeholder=_("who or what will use it"),
        )
        sent = st.form_submit_button(_("Create a key"), icon=":material/key:")
    if sent:
        with elements.show_errors():
            st.session_state[SHOWN] = (name, api_keys.create(settings, name))
            st.rerun()
    if made is not None:
        st.success(
            _(
                "The key **{name}**. Copy it now: only its SHA-256 is kept, so it cannot be shown "
                "again.",
                name=elements.plain(made[0]),
            )
        )
        st.code(made[1], language=None)
    for key in keys:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                _(
                    "**{name}** · created {when}",
                    name=elements.plain(key.name),
                    when=elements.ago(key.created),
                ),
                width="content",
            )
            with st.popover(_("Revoke"), icon=":material/key_off:"):
                st.markdown(_("Programs that use it are refused from then on."))
                st.button(
                    _("Revoke permanently"),
                    key=f"revoke-{key.key_id}",
                    type="primary",
                    on_click=_revoke,
                    args=(settings, key.key_id),
                )


@elements.show_errors()
def _revoke(settings: Settings, key_id: str) -> None:
    api_keys.revoke(settings, key_id)
