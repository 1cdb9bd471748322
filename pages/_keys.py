"""API keys on the Serve page: made and shown once, listed by name and age, revoked."""

from __future__ import annotations

from core.adapters import api_keys
from core.config import Settings
from pages import _parts
from pages._bilingual import st

SHOWN = "api-key-made"


@_parts.told()
def section(settings: Settings) -> None:
    """Draw the keys that programs need to call an endpoint, if there are any."""
    st.subheader("API keys", anchor=False)
    found = api_keys.listed(settings)
    st.markdown(
        f"{len(found)} key{'s'[: len(found) != 1]}: a call needs one of them, in the header "
        "`X-Api-Key`. `/ping`, `/health` and `/version` answer without."
        if found
        else "There is none: every program on this machine may ask for predictions. As soon as "
        "there is one, a call without a key is refused (401)."
    )
    form = st.form("api-key", border=False, clear_on_submit=True)
    with form.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Name of a new key", max_chars=api_keys.NAME_LENGTH,
            placeholder="who or what will use it",
        )  # fmt: skip
        sent = st.form_submit_button("Make a key", icon=":material/key:")
    if sent:
        with _parts.told():
            st.session_state[SHOWN] = (name, api_keys.create(settings, name))
            st.rerun()
    made = st.session_state.pop(SHOWN, None)
    if made is not None:
        st.success(
            f"The key **{_parts.plain(made[0])}**. Copy it now: only its SHA-256 is kept, it "
            "cannot be shown again."
        )
        st.code(made[1], language=None)
    for key in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{_parts.plain(key.name)}** · made {_parts.ago(key.created)}", width="content"
            )
            with st.popover("Revoke", icon=":material/key_off:"):
                st.markdown("Programs that use it are refused from then on.")
                st.button(
                    "Revoke it for good", key=f"revoke-{key.key_id}", type="primary",
                    on_click=_revoke, args=(settings, key.key_id),
                )  # fmt: skip


@_parts.told()
def _revoke(settings: Settings, key_id: str) -> None:
    api_keys.revoke(settings, key_id)
