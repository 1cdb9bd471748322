"""Log-in: not needed on a personal machine, required where others can reach the app.

Streamlit talks to the provider (OpenID Connect) and stores the user in a signed cookie. Its
settings are in `.streamlit/secrets.toml`, which belongs to the machine and not to the project;
nothing of it is ever drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.platform.config import Settings
from core.registry import promote
from pages.shared import access, bilingual
from pages.shared.bilingual import st

CALLBACK = "/oauth2callback"
# whoever guesses the cookie's secret can impersonate anybody
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


def gate(settings: Settings) -> None:
    """End the page here unless this user may see it; show the user in the sidebar."""
    if not settings.login:
        return
    providers, fault = _providers()
    if fault:
        st.error(fault, icon=":material/lock:")
        st.code(EXAMPLE, language="toml")
        _end()
    if not st.user.get("is_logged_in"):
        st.title("Courtside")
        st.write("This app is for people who are known here: please log in.")
        for name in providers:
            label = f"Log in with {name}" if name else "Log in"
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
    with st.sidebar:
        st.caption(f":material/person: `{_quoted(who())}`")
        _log_out()


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
        bilingual.choose()
    access.admit(False)
    st.stop()


def _refusal(settings: Settings) -> str:
    email = str(st.user.get("email") or "")
    if settings.allowed_emails is None:
        return ""
    if not email:
        return (
            "The provider does not tell your e-mail address, so nobody can say whether you may "
            "come in. Ask who runs this app to let the provider tell it."
        )
    # some providers let users put any address into their profile
    if st.user.get("email_verified") is False:
        return (
            f"Your provider has not confirmed that `{_quoted(email)}` is yours. Confirm the "
            "address there, and log in again."
        )
    if not settings.admits(email):
        return (
            f"`{_quoted(email)}` may not open this app. Ask who runs it to let you in, or log out "
            "and come in as somebody else."
        )
    return ""


def _log_out() -> None:
    st.button("Log out", key="log-out", icon=":material/logout:", on_click=st.logout)


def _quoted(text: str) -> str:
    return text.replace("`", "")


def _providers() -> tuple[list[str], str]:
    """Return the names of the providers ("" for the only one), or what is wrong with them."""
    # an unreadable file counts as none
    has_secrets = st.secrets.load_if_toml_exists()
    auth: Mapping[str, Any] = st.secrets.get("auth", {}) if has_secrets else {}
    if not auth:
        return [], (
            "People must log in to this app (COURTSIDE_LOGIN=true), but `.streamlit/secrets.toml` "
            "does not say where. Write this into it, with what your provider gives you, and start "
            "the app again."
        )
    named = {key: section for key, section in auth.items() if isinstance(section, Mapping)}
    named = {
        key: section
        for key, section in named.items()
        if any(part in section for part in OF_A_PROVIDER)
    }
    if odd := [key for key in named if "_" in key]:
        return [], (
            f"Nobody can log in: Streamlit takes no `_` in the name of a provider. Call "
            f"`auth.{odd[0]}` in `.streamlit/secrets.toml` otherwise."
        )
    places = named or {"": auth}
    missing = [f"auth.{key}" for key in SHARED if not auth.get(key)]
    missing += [
        f"auth.{key}.{part}" if key else f"auth.{part}"
        for key, section in places.items()
        for part in OF_A_PROVIDER
        if not section.get(part)
    ]
    if missing:
        return [], (
            f"Nobody can log in: `{', '.join(missing)}` is missing in `.streamlit/secrets.toml`. "
            "Write it there as below, and start the app again."
        )
    if len(str(auth["cookie_secret"])) < SECRET_LENGTH:
        return [], (
            f"Nobody can log in: the `cookie_secret` in `.streamlit/secrets.toml` has fewer than "
            f"{SECRET_LENGTH} characters, and whoever guesses it can be anybody. Take what "
            '`python -c "import secrets; print(secrets.token_hex(32))"` prints.'
        )
    if not str(auth["redirect_uri"]).endswith(CALLBACK):
        return [], (
            "Nobody can log in: the `redirect_uri` in `.streamlit/secrets.toml` must be the app's "
            f"own address with `{CALLBACK}` at its end."
        )
    return list(places), ""
