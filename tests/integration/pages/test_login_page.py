"""What a person sees who is not logged in, is not admitted, or cannot log in at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from streamlit.testing.v1 import AppTest

from core.jobs import jobs
from core.platform.config import Settings
from core.platform.errors import InputError
from core.registry import promote
from pages.shared import login

AUTH = {
    "redirect_uri": "https://courtside.example.org/oauth2callback",
    "cookie_secret": "0123456789abcdef" * 2,
    "client_id": "courtside",
    "client_secret": "a-secret-that-nobody-sees",
    "server_metadata_url": "https://provider.example.org/.well-known/openid-configuration",
}


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """A function that opens a page that begins with the login gate."""

    def script() -> None:
        import streamlit as st

        from core.platform import permissions
        from core.platform.config import Settings
        from pages.shared import login

        login.gate(Settings.load())
        st.title("Inside")
        st.write(f"acts: {login.who()}")
        st.write(f"role: {permissions.role()}")

    def show(
        auth: dict[str, Any] | None, user: dict[str, Any] | None = None, **values: Any
    ) -> AppTest:
        settings = Settings(login=True, **values)
        for name, value in settings.environment().items():
            monkeypatch.setenv(name, value)
        app = AppTest.from_function(script, default_timeout=30)
        if auth is not None:
            app.secrets["auth"] = auth
        app.user = {"is_logged_in": bool(user), **(user or {})}
        app.run()
        assert not app.exception
        return app

    return show


def texts(app: AppTest) -> str:
    parts = [*app.title, *app.markdown, *app.error, *app.code, *app.caption]
    return "\n".join(str(part.value) for part in parts)


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (None, "lacks `auth`"),
        ({**AUTH, "client_secret": ""}, "lacks `auth.client_secret`"),
        ({**AUTH, "cookie_secret": "short"}, "`auth.cookie_secret` in"),
        ({**AUTH, "redirect_uri": "https://courtside.example.org/"}, "`auth.redirect_uri` in"),
        (
            {
                **{key: AUTH[key] for key in login.SHARED},
                "house": {"client_id": "x", "server_metadata_url": "https://x"},
            },
            "lacks `auth.house.client_secret`",
        ),
        ({**AUTH, "my_house": {"client_id": "x"}}, "Rename `auth.my_house`"),
    ],
    ids=["no file", "no secret", "short secret", "no callback", "named provider", "odd name"],
)
def test_a_login_that_cannot_work_shows_what_to_configure(
    auth: dict[str, Any] | None, words: str, visit: Callable[..., AppTest]
) -> None:
    shown = texts(visit(auth))
    assert words in shown
    assert login.EXAMPLE.strip() in shown
    assert "Inside" not in shown
    assert AUTH["client_secret"] not in shown


def test_a_visitor_who_is_not_logged_in_sees_one_button(visit: Callable[..., AppTest]) -> None:
    app = visit(AUTH)
    assert texts(app) == "Courtside"
    assert [button.label for button in app.button] == ["Log in"]


def test_each_provider_has_a_button(visit: Callable[..., AppTest]) -> None:
    provider = {key: AUTH[key] for key in login.OF_A_PROVIDER}
    shared = {key: AUTH[key] for key in login.SHARED}
    app = visit({**shared, "house": provider, "school": provider})
    assert [button.label for button in app.button] == ["Log in: house", "Log in: school"]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"email": "eve@example.org"}, "`eve@example.org` has no access to this app"),
        ({"email": "ana@example.org", "email_verified": False}, "has not confirmed"),
        ({"name": "ana@example.org"}, "did not send your e-mail address"),
        # a name that anyone can choose is not an address
        ({"preferred_username": "ana@example.org"}, "did not send your e-mail address"),
    ],
)
def test_a_refused_user_sees_the_reason(
    user: dict[str, Any], words: str, visit: Callable[..., AppTest]
) -> None:
    app = visit(AUTH, user, allowed_emails="ana@example.org")
    assert words in texts(app)
    assert "Inside" not in texts(app)
    assert [button.label for button in app.button] == ["Log out"]


@pytest.mark.parametrize(
    ("user", "allowed", "known_as"),
    [
        ({"email": "Ana@Example.org"}, "ana@example.org", "Ana@Example.org"),
        ({"email": "bo@example.com"}, "ana@example.org,@example.com", "bo@example.com"),
        ({"preferred_username": "bo"}, None, "bo"),
    ],
)
def test_an_admitted_user_acts_under_their_name(
    user: dict[str, Any], allowed: str | None, known_as: str, visit: Callable[..., AppTest]
) -> None:
    app = visit(AUTH, user, allowed_emails=allowed)
    assert "Inside" in texts(app)
    assert f"acts: {known_as}" in texts(app)
    assert [button.label for button in app.sidebar.button] == ["Log out"]


ROLES = "ana@example.org=admin,@example.org=operator,team=operator"


@pytest.mark.parametrize(
    ("user", "roles", "role"),
    [
        ({"email": "Ana@Example.org"}, ROLES, "admin"),
        ({"email": "bo@example.org"}, ROLES, "operator"),
        ({"email": "eve@example.com"}, ROLES, "viewer"),
        ({"email": "eve@example.com", "groups": ["team"]}, ROLES, "operator"),
        # an address that the provider has not confirmed gives no role
        ({"email": "ana@example.org", "email_verified": False}, ROLES, "viewer"),
        ({"preferred_username": "ana@example.org"}, ROLES, "viewer"),
        ({"email": "eve@example.com"}, None, "admin"),
    ],
)
def test_the_log_in_gives_the_role(
    user: dict[str, Any], roles: str | None, role: str, visit: Callable[..., AppTest]
) -> None:
    app = visit(AUTH, user, roles=roles)
    assert f"role: {role}" in texts(app)
    assert (f"Your role is {role}" in texts(app)) == (role != "admin")


def test_a_decision_carries_the_name_of_the_logged_in_user(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.shared import step_jobs

    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(jobs, "submit", lambda _, __, options: sent.append(options))
    for person, wanted in (("ana@example.org", "ana@example.org"), ("", "somebody")):
        monkeypatch.setattr(login, "logged_in", lambda person=person: person)
        step_jobs.submit(settings, "promote", promote.Options, decided_by="somebody")
        assert sent[-1]["decided_by"] == wanted


def test_an_allow_list_without_login_is_refused() -> None:
    with pytest.raises(InputError, match="needs `COURTSIDE_LOGIN=true`"):
        Settings.load({"COURTSIDE_ALLOWED_EMAILS": "ana@example.org"})
    with pytest.raises(InputError, match=r"use a form like ana@example\.org,@example\.com"):
        Settings.load({"COURTSIDE_LOGIN": "true", "COURTSIDE_ALLOWED_EMAILS": "ana"})
    with pytest.raises(ValidationError):
        Settings(login=True, allowed_emails=" , ")
