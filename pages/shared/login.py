"""Log-in: not needed on a personal machine, required where others can reach the app.

Streamlit talks to the provider (OpenID Connect) and stores the user in a signed cookie. Its
settings are in `.streamlit/secrets.toml`, which belongs to the machine and not to the project;
nothing of it is ever drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.platform import permissions
from core.platform.config import Role, Settings
from core.platform.messages import _
from core.registry import promote
from pages.shared import access, language

CALLBACK = "/oauth2callback"
# anyone who guesses the cookie's secret can impersonate any user
SECRET_LENGTH = 32
SHARED = ("redirect_uri", "cookie_secret")
OF_A_PROVIDER = ("client_id", "client_secret", "server_metadata_url")
EXAMPLE = """[auth]
redirect_uri = "https://courtside.example.org/oauth2callback"
cookie_secret = "32 random characters or more"
client_id = "from the provider"
client_secret = "from the provider"
server_metadata_url = "https://provider.example.org/.well-known/openid-configuration"
"""
NAME_LENGTH = 80
ROLE = "role"


def gate(settings: Settings) -> None:
    """End the page here unless this user may see it; show the user in the sidebar."""
    permissions.ask(_role)
    st.session_state[ROLE] = "viewer" if settings.login else "admin"
    if not settings.login:
        return
    providers, fault = _providers()
    if fault:
        st.error(fault, icon=":material/lock:")
        st.code(EXAMPLE, language="toml")
        _end()
    if not st.user.get("is_logged_in"):
        st.title("Courtside")

        for name in providers:
            label = f"{_('Log in')}: {name}" if name else _("Log in")
            st.button(
                label,
                key=f"log-in-{name}",
                icon=":material/login:",
                type="primary",
                on_click=st.login,
                args=(name,) if name else (),
            )
        _end()
    if reason := _refusal(settings):
        st.title("Courtside")
        st.error(reason, icon=":material/block:")
        _log_out()
        _end()
    access.admit(True)
    role = st.session_state[ROLE] = _granted(settings)
    with st.sidebar:
        st.caption(f":material/person: `{_quoted(who())}`")
        if role != "admin":
            st.caption(
                _("Your role is {role}; actions that need a higher role are disabled.", role=role)
            )
        _log_out()


def _granted(settings: Settings) -> Role:
    """Return the role of the logged-in user; some providers let users put any address there."""
    is_confirmed = st.user.get("email_verified") is not False
    email = str(st.user.get("email") or "") if is_confirmed else ""
    groups = st.user.get("groups")
    return settings.role_of(email, [str(group) for group in groups] if groups else [])


def _role() -> Role:
    """Return the role of the visit; what the app does outside of visits is its own."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return "admin"
    known: Role = "viewer" if Settings.load().login else "admin"
    return st.session_state.get(ROLE, known)


def who() -> str:
    """Return the acting user: who is logged in, else the operating system's user."""
    return logged_in() or promote.user()


def logged_in() -> str:
    """Return the e-mail address, or another name, of the logged-in user; else empty."""
    if not st.user.get("is_logged_in"):
        return ""
    names = (st.user.get(key) for key in ("email", "preferred_username", "name", "sub"))
    return next((str(name) for name in names if name), "")[:NAME_LENGTH]


def _end() -> None:
    """End the page, with only the language selection in the sidebar."""
    with st.sidebar:
        language.choose()
    access.admit(False)
    st.stop()


def _refusal(settings: Settings) -> str:
    email = str(st.user.get("email") or "")
    if settings.allowed_emails is None:
        return ""
    if not email:
        return _(
            "Your provider did not send your e-mail address. Ask the administrator of this app "
            "to request it."
        )
    # some providers let users put any address into their profile
    if st.user.get("email_verified") is False:
        return _(
            "Your provider has not confirmed `{email}`. Confirm the address there, and log in "
            "again.",
            email=_quoted(email),
        )
    if not settings.admits(email):
        return _(
            "`{email}` has no access to this app. Ask its administrator, or log in with "
            "another account.",
            email=_quoted(email),
        )
    return ""


def _log_out() -> None:
    st.button(_("Log out"), key="log-out", icon=":material/logout:", on_click=st.logout)


def _quoted(text: str) -> str:
    return text.replace("`", "")


def _providers() -> tuple[list[str], str]:
    """Return the names of the providers ("" for the only one), or what is wrong with them."""
    # an unreadable file counts as none
    has_secrets = st.secrets.load_if_toml_exists()
    auth: Mapping[str, Any] = st.secrets.get("auth", {}) if has_secrets else {}
    named = {key: section for key, section in auth.items() if isinstance(section, Mapping)}
    named = {
        key: section
        for key, section in named.items()
        if any(part in section for part in OF_A_PROVIDER)
    }
    if odd := [key for key in named if "_" in key]:
        return [], (
            _(
                "Nobody can log in: a provider's name must not contain `_`. Rename "
                "`auth.{provider}` in `.streamlit/secrets.toml`.",
                provider=odd[0],
            )
        )
    places = named or {"": auth}
    missing = [f"auth.{key}" for key in SHARED if not auth.get(key)] if auth else ["auth"]
    missing += [
        f"auth.{key}.{part}" if key else f"auth.{part}"
        for key, section in (places.items() if auth else ())
        for part in OF_A_PROVIDER
        if not section.get(part)
    ]
    if missing:
        return [], (
            _(
                "Nobody can log in: `.streamlit/secrets.toml` lacks `{missing}`. Add it as "
                "below, and restart the app.",
                missing=", ".join(missing),
            )
        )
    unusable = ""
    if len(str(auth["cookie_secret"])) < SECRET_LENGTH:
        unusable = "auth.cookie_secret"
    elif not str(auth["redirect_uri"]).endswith(CALLBACK):
        unusable = "auth.redirect_uri"
    if unusable:
        return [], (
            _(
                "Nobody can log in: `{setting}` in `.streamlit/secrets.toml` is too short or has "
                "another form than below. Correct it, and restart the app.",
                setting=unusable,
            )
        )
    return list(places), ""
