"""Every page for people who read, steer or see otherwise: axe-core, keyboard, a narrow window."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs import jobs
from core.platform.config import Settings
from core.training import candidates, train
from pages.shared import elements
from tests.browser.conftest import chromium, running
from tests.browser.driving import PATIENCE_MS, go, settle
from tests.conftest import copy_home

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = playwright.expect
PAGES = tuple(title for title, _ in elements.PAGES.values())
GRAVE = ("serious", "critical")
# (rule, part of the selector) -> why it is left: Streamlit's own, without a setting for it.
# Nothing is at present: what Streamlit's widgets lacked is in pages/shared/style.css.
LEFT: dict[tuple[str, str], str] = {}
# half a pixel is a rounding, more is a bar to scroll by
OVERFLOW = """() => {
  const main = document.querySelector('[data-testid="stMain"]');
  return Math.max(main.scrollWidth - main.clientWidth,
                  document.documentElement.scrollWidth - window.innerWidth);
}"""
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
    """One page of Chromium for all these tests, which go by turns to two apps."""
    with chromium() as found:
        yield found


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
    """The app as a newcomer finds it."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "home").mkdir()
    shutil.copyfile(store_template, folder / "home" / "mlflow.db")
    with running(folder) as base:
        yield base


def there(window, base: str) -> object:
    if not window.url.startswith(base):
        window.goto(base)
    return window


@pytest.fixture
def full(window, full_app: str) -> object:
    return there(window, full_app)


@pytest.fixture
def empty(window, empty_app: str) -> object:
    return there(window, empty_app)


def grave(page, *rules: str) -> list[str]:
    """Return what axe-core finds that is serious or critical, a line for each element."""
    # a part of the page that is drawn again while axe looks is pale for a moment
    page.add_style_tag(content='[data-stale="true"] { opacity: 1 !important; transition: none; }')
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = axe.Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']} at {node['target']}: {node['html'][:400]} {node.get('failureSummary', '')}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
        if not any(one["id"] == rule and part in str(node["target"]) for rule, part in LEFT)
    ]


def grave_in_both_themes(page) -> list[str]:
    """The same for light, and the contrast, which alone depends on the theme, for dark too."""
    found = [f"light: {one}" for one in grave(page)]
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('[data-testid=\"stApp\"]'))"
        ".backgroundColor === 'rgb(20, 23, 28)'"
    )
    settle(page)
    found += [f"dark: {one}" for one in grave(page, "color-contrast")]
    page.emulate_media(color_scheme="light")
    return found


def visit(page, name: str) -> None:
    go(page, name)
    # what is drawn while a page waits for its facts is gone once the script has ended
    settle(page)
    page.wait_for_timeout(300)
    settle(page)


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_an_empty_page_has_no_grave_fault(empty, name: str) -> None:
    visit(empty, name)
    assert grave(empty) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_full_page_has_no_grave_fault_and_fits_a_narrow_window(full, name: str) -> None:
    visit(full, name)
    assert grave_in_both_themes(full) == []
    full.set_viewport_size({"width": 800, "height": 1000})
    settle(full)
    wide = full.evaluate(OVERFLOW)
    full.set_viewport_size({"width": 1440, "height": 1000})
    assert wide <= 1


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_the_other_views_of_a_full_page_have_no_grave_fault(full, name: str) -> None:
    visit(full, name)
    views = full.get_by_role("radiogroup", name="View").get_by_role("radio")
    faults = []
    for place in range(1, views.count()):
        views.nth(place).click()
        full.wait_for_timeout(300)
        settle(full)
        faults += grave(full)
    assert faults == []


def test_a_table_can_be_searched_and_downloaded(full) -> None:
    visit(full, "Runs")
    table = full.get_by_test_id("stDataFrame").first
    table.hover()
    for name in ("Search", "Download as CSV"):
        expect(full.get_by_role("button", name=name).first).to_be_visible()
    # else Chromium asks where to, in a window of the system's that nobody sees here
    full.evaluate("() => { window.showSaveFilePicker = undefined; }")
    with full.expect_download() as kept:
        full.get_by_role("button", name="Download as CSV").first.click()
    assert "Treinamento" in Path(kept.value.path()).read_text(encoding="utf-8")
    # by the keyboard, on the table alone
    table.locator("canvas").first.focus()
    full.keyboard.press("Control+f")
    found = full.get_by_role("textbox", name=re.compile("Search|Type to search"))
    expect(found).to_be_visible()
    found.fill("Monitoramento")
    expect(full.get_by_text(re.compile(r"1 of \d+ results|1 results?|of \d+"))).to_be_visible()


def shift_while(page, looks: int) -> list[object]:
    """Return what moved on its own while a page looked so many times at how a job stands."""
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
    found = page.evaluate("() => window.shifted")
    page.evaluate("() => window.watching.disconnect()")
    return found


@pytest.mark.long
def test_nothing_moves_while_a_page_looks_how_a_job_stands(full, full_home: Settings) -> None:
    # it goes on for longer than anybody looks at it here
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
    shares = {name: sum(value for value, _ in found) for name, found in moved.items()}
    assert max(shares.values()) < 0.02, moved
