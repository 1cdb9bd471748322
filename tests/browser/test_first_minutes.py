"""The first minutes of a newcomer, in Chromium: one button, the verdict, and begin anew."""

from __future__ import annotations

import re

import pytest

from tests.browser.driving import PATIENCE_MS, keep, press

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
BUTTON = "Run the whole life cycle on sample data"


def test_one_button_leads_to_the_verdict_and_beginning_anew_to_the_button(page) -> None:
    button = page.get_by_role("button", name=BUTTON)
    button.wait_for(timeout=PATIENCE_MS)
    keep(page, "first-1-empty")
    button.click()
    expect(page.get_by_text(re.compile("^Stage [1-6] of 6"))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(re.compile("^Stage [3-6] of 6"))).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "first-2-running")
    report = page.get_by_role("link", name="See the whole report")
    report.wait_for(timeout=PATIENCE_MS)
    verdict = page.get_by_role("heading", name=re.compile("does not fit the 3-point shots"))
    expect(verdict).to_be_visible()
    keep(page, "first-3-verdict")
    report.click()
    expect(page.get_by_role("heading", name="Monitor", exact=True, level=1)).to_be_visible()
    expect(page).to_have_url(re.compile("report="))

    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Overview", exact=True).click()
    page.get_by_text("Begin anew, or put a backup back").click()
    name = page.get_by_label("Type kobe to confirm")
    name.fill("kobe")
    name.press("Enter")
    press(page, "Move everything into a backup")
    button.wait_for(timeout=PATIENCE_MS)
    page.get_by_text("Begin anew, or put a backup back").click()
    expect(page.get_by_role("button", name="Put it back")).to_be_disabled()
    keep(page, "first-4-anew")
