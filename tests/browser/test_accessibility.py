"""Every page for people with other needs: axe-core on empty pages, in the dark, in each view."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs import jobs
from core.platform.config import Settings
from core.training import candidates, train
from pages.shared import navigation
from tests.browser.conftest import chromium, running
from tests.browser.driving import PATIENCE_MS, grave, settle, visit
from tests.conftest import copy_home

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PAGES = tuple(str(title) for title, _ in navigation.PAGES.values())
WATCH = """() => {
  window.shifted = [];
  window.watching = new PerformanceObserver(list => {
    for (const one of list.getEntries())
      window.shifted.push([one.value, one.sources.map(
        part => (part.node && part.node.textContent || '').slice(0, 60))]);
  });
  window.watching.observe({type: 'layout-shift', buffered: false});
}"""


@pytest.fixture(scope="module")
def window() -> Iterator[object]:
    """One page of Chromium for all these tests, which use two apps in turn."""
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def full_home(scored_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a champion, scored rows and a report on them."""
    return copy_home(scored_few, tmp_path_factory.mktemp("full") / "home")


@pytest.fixture(scope="module")
def full_app(full_home: Settings) -> Iterator[str]:
    with running(full_home.home.parent) as base:
        yield base


@pytest.fixture(scope="module")
def empty_app(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on its first start."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "home").mkdir()
    shutil.copyfile(store_template, folder / "home" / "mlflow.db")
    with running(folder) as base:
        yield base


def at_app(window, base: str) -> object:
    if not window.url.startswith(base):
        window.goto(base)
    return window


@pytest.fixture
def full(window, full_app: str) -> object:
    return at_app(window, full_app)


@pytest.fixture
def empty(window, empty_app: str) -> object:
    return at_app(window, empty_app)


def grave_in_the_dark(page) -> list[str]:
    """The same for the contrast in the dark theme; nothing else depends on the theme."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('[data-testid=\"stApp\"]'))"
        ".backgroundColor === 'rgb(20, 23, 28)'"
    )
    settle(page)
    faults = grave(page, "color-contrast")
    page.emulate_media(color_scheme="light")
    return faults


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_page_has_no_grave_fault(empty, name: str) -> None:
    visit(empty, name)
    assert grave(empty) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_full_page_in_the_dark_and_its_other_views_have_no_grave_fault(full, name: str) -> None:
    visit(full, name)
    # a view may have such a choice within it
    views = full.get_by_role("radiogroup", name="View").first.get_by_role("radio")
    faults = grave_in_the_dark(full)
    for place in range(1, views.count()):
        views.nth(place).click()
        full.wait_for_timeout(300)
        settle(full)
        faults += grave(full)
    assert faults == []


def test_the_code_of_a_page_can_be_read_in_both_themes(full) -> None:
    visit(full, "Monitor")
    full.get_by_role("button", name="More").click()
    full.get_by_role("button", name="Code").click()
    drawer = full.get_by_role("dialog")
    drawer.get_by_test_id("stCode").first.wait_for()
    settle(full)
    faults = grave(full) + grave_in_the_dark(full)
    full.keyboard.press("Escape")
    drawer.wait_for(state="detached")
    assert faults == []


def test_a_table_can_be_searched_and_downloaded(full) -> None:
    visit(full, "Runs")
    table = full.get_by_test_id("stDataFrame").first
    table.hover()
    for name in ("Search", "Download as CSV"):
        expect(full.get_by_role("button", name=name).first).to_be_visible()
    # else Chromium opens a file dialog of the system
    full.evaluate("() => { window.showSaveFilePicker = undefined; }")
    with full.expect_download() as download:
        full.get_by_role("button", name="Download as CSV").first.click()
    assert "Treinamento" in Path(download.value.path()).read_text(encoding="utf-8")
    # by the keyboard, with the focus on the table
    table.locator("canvas").first.focus()
    full.keyboard.press("Control+f")
    search_box = full.get_by_role("textbox", name=re.compile("Search|Type to search"))
    expect(search_box).to_be_visible()
    search_box.fill("Monitoramento")
    expect(full.get_by_text(re.compile(r"1 of \d+ results|1 results?|of \d+"))).to_be_visible()


def shift_while(page, looks: int) -> list[object]:
    """Return what moved on its own while a page refreshed a job's state so many times."""
    page.evaluate(WATCH)
    page.evaluate(
        """looks => new Promise(done => {
          let seen = 0;
          const app = document.querySelector('[data-testid="stApp"]');
          new MutationObserver((list, watcher) => {
            seen += list.filter(one => app.dataset.testScriptState === 'running').length;
            if (seen >= looks) { watcher.disconnect(); done(seen); }
          }).observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
        })""",
        looks,
    )
    shifts = page.evaluate("() => window.shifted")
    page.evaluate("() => window.watching.disconnect()")
    return shifts


def test_nothing_moves_while_a_page_follows_a_job(full, full_home: Settings) -> None:
    # it runs for longer than this test observes it
    options = train.Options(candidates=tuple(candidates.KINDS), folds=20)
    job = jobs.submit(full_home, "train", options.model_dump(mode="json"))
    visit(full, "Train")
    fold = full.get_by_test_id("stMain").get_by_text(re.compile(r"fold \d+ of 20"))
    expect(fold.first).to_be_visible(timeout=PATIENCE_MS)
    settle(full)
    moved = {"Train": shift_while(full, 6)}
    visit(full, "Overview")
    moved["Overview"] = shift_while(full, 2)
    jobs.cancel(full_home, job.job_id)
    # a tenth is what counts as good for a whole visit
    shares = {name: sum(value for value, _ in shifts) for name, shifts in moved.items()}
    assert max(shares.values()) < 0.02, moved
