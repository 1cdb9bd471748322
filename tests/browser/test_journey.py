"""The whole life cycle by clicking, in Debian's Chromium; screenshots go to test-results/."""

from __future__ import annotations

import os
import re

import pytest

from tests.browser.driving import PATIENCE_MS, figure, go, keep, press, settle, view

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
RAW = os.environ.get("COURTSIDE_RAW_DIR", "")


def journey(page) -> dict[str, str]:
    """Click from the first data to a monitored model, and return the figures of the pages."""
    shown = {}
    expect(page.get_by_role("link", name="Use your own data")).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "1-overview-empty")

    go(page, "Data")
    expect(page.get_by_text("No raw data yet")).to_be_visible()
    press(page, "Acquire")
    shown["rows"] = figure(page, "Rows")
    expect(page.get_by_text("Warnings: 0")).to_be_visible()
    keep(page, "2-data-source")
    view(page, "Explore")
    expect(page.get_by_test_id("stVegaLiteChart").last).to_be_visible()
    keep(page, "2-data-explore")

    view(page, "Prepare")
    press(page, "Prepare")
    shown["filtered"] = figure(page, "Filtered")
    shown["train"], shown["test"] = figure(page, "Training set"), figure(page, "Test set")
    expect(page.get_by_test_id("stVegaLiteChart").last).to_be_visible()
    keep(page, "3-prepare")

    go(page, "Train")
    expect(page.get_by_text("There is no model yet")).to_be_visible(timeout=PATIENCE_MS)
    press(page, "Train")
    best = page.get_by_role("heading", name=re.compile("^Best: "))
    shown["best"] = best.inner_text(timeout=PATIENCE_MS).splitlines()[0].removeprefix("Best: ")
    shown["log_loss"] = figure(page, "Log loss, test")
    keep(page, "4-train")

    go(page, "Serve")
    press(page, "Start")
    expect(page.get_by_text(re.compile("answering$")).first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "5-serve")

    go(page, "Score")
    page.get_by_test_id("stMain").get_by_role("radio", name="Many rows").click()
    settle(page)
    press(page, "Score")
    shown["scored"] = figure(page, "Rows scored")
    shown["log_loss_production"] = figure(page, "Log loss")
    shown["f1_production"] = figure(page, "F1")
    keep(page, "6-score")

    go(page, "Monitor")
    press(page, "New report")
    page.get_by_role("dialog").get_by_role("button", name="Monitor", exact=True).click()
    verdict = page.get_by_text(re.compile("The model does not fit the 3-point shots"))
    expect(verdict.first).to_be_visible(timeout=PATIENCE_MS)
    # it fails on the sample, and is within its limits on the real files
    view(page, "Performance")
    skill = page.get_by_role("row", name=re.compile("^Skill over base rate"))
    shown["skill"] = skill.get_by_role("cell").nth(1).inner_text().split(" ")[0]
    keep(page, "7-monitor")

    page.get_by_role("button", name="Details", exact=True).click()
    page.get_by_role("link", name=re.compile("Monitoramento")).first.click()
    expect(page.get_by_role("heading", name=re.compile("Monitoramento"))).to_be_visible()
    expect(page.get_by_text("done", exact=True).first).to_be_visible()
    keep(page, "8-run")
    go(page, "Overview")
    expect(page.get_by_role("button", name="Go to Monitor")).to_be_visible()
    keep(page, "9-overview-full")

    go(page, "Serve")
    press(page, "Stop")
    expect(page.get_by_text("No model is served")).to_be_visible()
    return shown


# the same clicks on the same pages; the tests of the steps run the sample through all of them
def test_the_sample_is_taken_from_acquiring_to_the_verdict_by_clicking(page) -> None:
    shown = journey(page)
    assert shown["rows"] == "30,697"
    assert shown["filtered"] == "20,285 rows"
    assert (shown["train"], shown["test"]) == ("16,228 rows", "4,057 rows")
    assert 0.66 < float(shown["log_loss"]) < 0.70
    assert shown["scored"] == "6,426"
    assert float(shown["f1_production"]) < 0.01
    go(page, "Data")
    expect(page.get_by_text("built-in sample, not real data").first).to_be_visible()


@pytest.mark.real
@pytest.mark.skipif(not RAW, reason="COURTSIDE_RAW_DIR does not name the real files")
@pytest.mark.parametrize("app", [{"COURTSIDE_RAW_DIR": RAW}], indirect=True)
def test_the_real_shots_give_the_known_figures_by_clicking(page) -> None:
    shown = journey(page)
    assert shown["rows"] == "30,697"
    assert shown["filtered"] == "20,285 rows"
    assert (shown["train"], shown["test"]) == ("16,228 rows", "4,057 rows")
    assert shown["best"] == "Logistic regression"
    assert 0.678 <= float(shown["log_loss"]) <= 0.679
    assert shown["log_loss_production"] == "0.6289"
    assert shown["f1_production"] == "0.000"
    expect(page.get_by_text("built-in sample, not real data")).to_have_count(0)
