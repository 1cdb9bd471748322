"""API keys on the Serve page: created and shown once, listed by name and age, revoked."""

from __future__ import annotations

import streamlit as st

from core.platform import permissions
from core.platform.config import Settings
from core.platform.messages import _
from core.serving import api_keys
from pages.shared import elements

SHOWN = "api-key-made"


@elements.show_errors()
def section(settings: Settings) -> None:
    """Draw the keys that programs need to call an endpoint, if there are any."""
    keys = api_keys.listed(settings)
    made = st.session_state.pop(SHOWN, None)
    with st.expander(
        elements.counted(_("API keys"), len(keys)), icon=":material/key:", expanded=made is not None
    ):
        _keys(settings, keys, made)


def _keys(settings: Settings, keys: list[api_keys.ApiKey], made: tuple[str, str] | None) -> None:
    st.markdown(
        _("A call needs a key in the header `X-Api-Key`, except `/ping`, `/health` and `/version`.")
        if keys
        else _(
            "Any program on this machine can call the endpoint. Once a key exists, calls "
            "without one are refused (401)."
        )
    )
    form = st.form("api-key", border=False, clear_on_submit=True)
    with form.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(_("Name"), max_chars=api_keys.NAME_LENGTH)
        sent = st.form_submit_button(
            _("Create"), icon=":material/key:", disabled=not permissions.may("api_key")
        )
    if sent:
        with elements.show_errors():
            st.session_state[SHOWN] = (name, api_keys.create(settings, name))
            st.rerun()
    if made is not None:
        st.success(
            _(
                "The key **{name}**. Copy it now: it cannot be shown again.",
                name=elements.plain(made[0]),
            )
        )
        st.code(made[1], language=None)
    for key in keys:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{elements.plain(key.name)}** · {elements.ago(key.created)}", width="content"
            )
            with st.popover(_("Revoke"), icon=":material/key_off:"):
                st.markdown(_("Programs that use it lose access immediately."))
                st.button(
                    _("Revoke"),
                    key=f"revoke-{key.key_id}",
                    type="primary",
                    on_click=_revoke,
                    args=(settings, key.key_id),
                    disabled=not permissions.may("api_key"),
                )


@elements.show_errors()
def _revoke(settings: Settings, key_id: str) -> None:
    api_keys.revoke(settings, key_id)
