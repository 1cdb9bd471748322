"""Logging in through a provider that speaks OpenID Connect, in Debian's Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.provider import CLIENT_SECRET, Provider

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
LOGIN_REQUIRED = {"COURTSIDE_LOGIN": "true", "COURTSIDE_ALLOWED_EMAILS": "ana@example.org"}


# before the app, which reads its secrets at the start
@pytest.fixture(autouse=True)
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    running = Provider()
    (tmp_path / "secrets.toml").write_text(running.secrets())
    monkeypatch.setenv("STREAMLIT_SECRETS_FILES", str(tmp_path / "secrets.toml"))
    yield running
    running.close()


@pytest.mark.parametrize("app", [LOGIN_REQUIRED], indirect=True)
def test_only_allowed_people_see_the_app(app: str, page, provider: Provider) -> None:
    def log_in(person: str) -> None:
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("link", name=person).click()

    def log_out(among) -> None:
        # the session forgets at once, the browser with this response
        with page.expect_response(lambda response: "/auth/logout" in response.url):
            among.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()

    # a link into the app needs a log-in too
    page.goto(f"{app}/runs")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    expect(page.get_by_role("heading", name="Runs")).to_have_count(0)
    assert CLIENT_SECRET not in page.content()

    log_in("eve")
    expect(page.get_by_text("eve@example.org has no access to this app")).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_text("Worker")).to_have_count(0)
    log_out(page)

    log_in("ana")
    side = page.get_by_test_id("stSidebar")
    expect(side.get_by_text("ana@example.org")).to_be_visible()
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    # people who are logged in can upload; others cannot: tests/integration/pages/test_access.py
    page.goto(f"{app}/data")
    page.get_by_role("radio", name="Files", exact=True).click()
    content = b"shot_id;lat\n1;33,97\n2;34,1\n"
    files = {"name": "shots.csv", "mimeType": "text/csv", "buffer": content}
    page.locator("input[type=file]").set_input_files(files)
    dialect = "shots.csv: separator ;, numbers like 1234,5, UTF-8"
    expect(page.get_by_role("paragraph").filter(has_text=dialect)).to_be_visible()
    # a page that is opened later knows the person, also as the one who decides
    page.goto(f"{app}/registry")
    expect(side.get_by_text("ana@example.org")).to_be_visible()
    log_out(side)
    page.goto(f"{app}/registry")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert provider.failures == []
