"""The registry by clicking: a card, two versions compared, the gate, and a live rollback."""

from __future__ import annotations

import itertools
import re
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
import requests
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from core.platform import project
from core.platform.config import Settings
from tests.browser.driving import PATIENCE_MS, SERVE_PORT, go, keep, press, settle
from tests.conftest import new_home
from tests.integration.pages.test_registry_page import register

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
SPEC = project.load("kobe")
URL = f"http://127.0.0.1:{SERVE_PORT}/invocations"
BODY = {"dataframe_split": {"columns": ["shot_distance", "period"], "data": [[3.0, 1.0]]}}


@pytest.fixture
def two(tmp_path: Path, store_template: Path, shots: pd.DataFrame) -> Settings:
    """The home of the app that starts next: 1 knows the base rate alone, 2 is a regression."""
    settings = new_home(tmp_path, store_template)
    rows = shots[shots[SPEC.target].notna()].head(6000).reset_index(drop=True)
    register(settings, DummyClassifier(strategy="prior"), rows, "dummy")
    register(settings, LogisticRegression(), rows, "lr")
    return settings


def open_view(page, view: str) -> None:
    page.get_by_test_id("stMain").get_by_role("radio", name=view, exact=True).click()
    page.wait_for_timeout(300)
    settle(page)


def section(page, title: str) -> None:
    """Open a closed section of the page."""
    page.get_by_test_id("stExpander").locator("summary").filter(has_text=title).last.click()


class Caller(threading.Thread):
    """Send requests to the live endpoint until stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.answers: list[float] = []
        self.failed: list[str] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                response = requests.post(URL, json=BODY, timeout=60)
                response.raise_for_status()
                self.answers.append(response.json()["predictions"][0]["probability"])
            except (requests.RequestException, KeyError, ValueError) as error:
                self.failed.append(str(error))
            time.sleep(0.02)


def test_a_card_a_comparison_a_promotion_and_the_way_back(two: Settings, page) -> None:
    go(page, "Serve")
    press(page, "Start")
    expect(page.get_by_text("answering").first).to_be_visible(timeout=PATIENCE_MS)

    go(page, "Registry")
    expect(page.get_by_role("heading", name="Champion: version 1")).to_be_visible()
    expect(page.get_by_role("heading", name="Challenger: version 2")).to_be_visible()
    expect(page.get_by_text("answering · Port")).to_be_visible()
    open_view(page, "Versions")
    # the box before the first line, which is the newest version
    table = page.get_by_test_id("stDataFrame").first
    table.click(position={"x": 18, "y": 52})
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("Model card: version 2")).to_be_visible()
    with page.expect_download() as card:
        drawer.get_by_role("button", name="Markdown").click()
    assert card.value.suggested_filename == "kobe-shots-version-2.md"
    text = Path(card.value.path()).read_text(encoding="utf-8")
    assert text.startswith("# kobe-shots, version 2\n")
    keep(page, "registry-versions")
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)

    open_view(page, "Compare")
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("button", name=re.compile("Compare$")).last.click()
    notice = page.get_by_text("3,000 rows are new to both models")
    expect(notice).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    keep(page, "registry-compare")

    open_view(page, "Decide")
    section(page, "Roll back")
    expect(page.get_by_text("There is nothing to roll back to")).to_be_visible()
    section(page, "More")
    chosen = page.get_by_test_id("stCheckbox").get_by_text("Threshold", exact=True)
    chosen.click()
    expect(page.get_by_test_id("stSlider")).to_be_visible()
    keep(page, "registry-threshold")
    chosen.click()
    page.wait_for_timeout(1000)

    # the regression is better, but its probabilities are not calibrated
    caller = Caller()
    caller.start()
    promote = page.get_by_test_id("stMain").get_by_role("button", name=re.compile("Promote$"))
    promote.click()
    expect(page.get_by_text("Train it with calibration.").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("on hold", exact=True).first).to_be_visible()
    keep(page, "registry-held")
    section(page, "Promote anyway")
    buttons = page.get_by_test_id("stMain").get_by_role(
        "button", name=re.compile("Promote anyway$")
    )
    anyway = buttons.last
    page.get_by_role("textbox", name=re.compile("Reason")).fill("too short")
    anyway.click()
    expect(page.get_by_text("Required: Reason, at least ")).to_be_visible()
    page.get_by_role("textbox", name=re.compile("Reason")).fill("The coach wants it today.")
    anyway.click()
    champion = page.get_by_role("heading", name=re.compile("Champion: version"))
    expect(champion).to_have_text("Champion: version 2", timeout=PATIENCE_MS)
    expect(page.get_by_text("answering · Port")).to_be_visible()
    expect(page.get_by_text("· Promoted anyway ·")).to_be_visible()
    section(page, "Decision")
    expect(page.get_by_text(re.compile(": The coach wants it today."))).to_be_visible()
    keep(page, "registry-promoted")

    back = page.get_by_test_id("stBaseButton-secondary").filter(has_text="Roll back")
    if not back.is_visible():  # the section may have stayed open
        section(page, "Roll back")
    back.click()
    expect(page.get_by_text("Waiting for version 1 to answer")).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "registry-rolling-back")
    expect(champion).to_have_text("Champion: version 1", timeout=PATIENCE_MS)
    expect(page.get_by_text("answering · Port")).to_be_visible()
    expect(page.get_by_text("· Rollback ·")).to_be_visible()
    caller.stopping.set()
    caller.join()
    assert caller.failed == []
    probabilities = [round(value, 9) for value in caller.answers]
    assert len(set(probabilities)) == 2
    assert probabilities[0] == probabilities[-1]
    # one change to the other version, and one back
    assert sum(value != other for value, other in itertools.pairwise(probabilities)) == 2

    open_view(page, "Champion history")
    expect(page.get_by_role("button", name="Champion history (CSV)")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Champion history (CSV)").click()
    ledger = pd.read_csv(download.value.path())
    assert ledger["version"].tolist() == [1, 2, 1]
    assert ledger["decision"].tolist() == ["rollback", "override", "first"]
    keep(page, "registry-ledger")
    page.set_viewport_size({"width": 800, "height": 1000})
    open_view(page, "Compare")
    keep(page, "registry-narrow", width=800)
    # a narrow window folds the sidebar
    page.set_viewport_size({"width": 1440, "height": 1000})

    go(page, "Serve")
    press(page, "Stop")
    expect(page.get_by_text("No model is served.")).to_be_visible(timeout=PATIENCE_MS)
