"""One shot by a click on the court, in Debian's Chromium."""

from __future__ import annotations

import re

import pytest

from tests.browser.driving import PATIENCE_MS, figure, go, keep, press

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect


def test_a_click_on_the_court_is_scored_and_explained(page) -> None:
    go(page, "Acquire")
    press(page, "Acquire")
    figure(page, "Rows")
    go(page, "Prepare")
    press(page, "Prepare")
    figure(page, "Filtered")
    go(page, "Train")
    press(page, "Train")
    figure(page, "Best candidate")
    go(page, "Serve")
    press(page, "Start")
    expect(page.get_by_text(re.compile("answering$"))).to_be_visible(timeout=PATIENCE_MS)
    go(page, "Score")
    page.get_by_test_id("stMain").get_by_role("radio", name="On the court").click()
    distance = page.get_by_role("spinbutton", name="shot_distance")
    before = distance.input_value()
    court = page.get_by_test_id("stVegaLiteChart").first
    # the centre circle, where no row of a development set lies
    court.click(position={"x": 220, "y": 40})
    expect(distance).not_to_have_value(before)
    press(page, "Score")
    assert figure(page, "Probability").endswith("%")
    expect(page.get_by_text("From the usual to this row")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("the model only guesses").first).to_be_visible()
    keep(page, "score-court")
    press(page, "Missed")
    expect(page.get_by_text("It came out:")).to_be_visible()
    go(page, "Serve")
    press(page, "Stop")
