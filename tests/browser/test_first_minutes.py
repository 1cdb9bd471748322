"""The first minutes of a newcomer, in Chromium: one button, the verdict, and a new start."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.platform.config import CODE_ROOT
from pages.shared import navigation
from tests.browser.conftest import chromium, running
from tests.browser.driving import OVERFLOW, PATIENCE_MS, figure, grave, keep, press, settle, visit

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
BUTTON = "Run the whole life cycle on sample data"
# what Streamlit itself says at its start
BANNER = re.compile(r"You can now view your Streamlit app|URL: http://127\.0\.0\.1:\d+$")
PAGES = tuple(str(title) for title, _ in navigation.PAGES.values())
LINKS = """
new MutationObserver(() => {
  window.linked = window.linked || new Set();
  for (const one of document.querySelectorAll('[data-testid="stSidebarNavLink"]'))
    window.linked.add(one.innerText.trim());
}).observe(document, {subtree: true, childList: true, characterData: true});
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the app's log, with a checkout that is its own home, as a clone is."""
    folder = tmp_path_factory.mktemp("first")
    left = shutil.ignore_patterns(
        ".*cache*", ".git", "tests", "docs", "mlruns", "mlflow.db*", "state", "test-results", "0*_*"
    )
    shutil.copytree(CODE_ROOT, folder / "checkout", ignore=left)
    return folder


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[str]:
    """The app of one newcomer, through all these tests in their order."""
    checkout = folder / "checkout"
    with running(folder, {"COURTSIDE_HOME": str(checkout)}, checkout) as base:
        yield base


@pytest.fixture(scope="module")
def window() -> Iterator[object]:
    """One Chromium for all these tests, with a page for those of each page of the app."""
    with chromium() as page:
        yield page


@pytest.fixture
def page(window, app: str) -> Iterator[object]:
    """A new page of it, at the app's start."""
    page = window.context.new_page()
    page.goto(app)
    yield page
    page.close()


def terminal(folder: Path) -> list[str]:
    """Return the lines that the terminal would show, without the address."""
    lines = (folder / "app.log").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not BANNER.search(line.strip())]


def test_a_link_to_a_page_shows_no_names_of_files_before_the_app_has_run(
    window, app: str, folder: Path
) -> None:
    """In every frame from the first on, in the first session since the start."""
    page = window.context.new_page()
    page.add_init_script(LINKS)
    page.goto(f"{app}/score?view=log")
    heading = page.get_by_role("heading", name="Score", exact=True, level=1)
    heading.wait_for(timeout=PATIENCE_MS)
    # the name of an icon precedes that of its page
    titles = {link.split("\n")[-1] for link in page.evaluate("() => [...window.linked]")}
    assert titles == set(PAGES)
    # nor that the page does not exist
    assert page.get_by_role("dialog").count() == 0
    page.close()
    assert terminal(folder) == []


def test_one_button_leads_to_the_verdict(page) -> None:
    button = page.get_by_role("button", name=BUTTON)
    button.wait_for(timeout=PATIENCE_MS)
    keep(page, "first-1-empty")
    button.click()
    expect(page.get_by_text(re.compile("^[1-6] / 6 ·"))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text(re.compile("^[3-6] / 6 ·"))).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "first-2-running")
    report = page.get_by_role("button", name="Go to Monitor")
    # the rest of the life cycle: with other tests it takes several times as long as alone
    report.wait_for(timeout=3 * PATIENCE_MS)
    verdict = page.get_by_role("heading", name=re.compile("does not fit the 3-point shots"))
    expect(verdict).to_be_visible()
    keep(page, "first-3-verdict")
    report.click()
    expect(page.get_by_role("heading", name="Monitor", exact=True, level=1)).to_be_visible()
    expect(page).to_have_url(re.compile("report="))


@pytest.mark.parametrize("name", PAGES)
def test_a_full_page_has_no_grave_fault_and_fits_a_narrow_window(
    window, app: str, name: str
) -> None:
    if not window.url.startswith(app):
        window.goto(app)
    # the sidebar that folded in a narrow window is open again in this one
    visit(window, name)
    assert grave(window) == []
    window.set_viewport_size({"width": 800, "height": 1000})
    try:
        # tables and charts are drawn again after the window has changed
        window.wait_for_function(f"() => ({OVERFLOW})() <= 1")
    finally:
        window.set_viewport_size({"width": 1440, "height": 1000})


def arrive(page, address: str) -> None:
    """Go to an address, and wait until it is drawn."""
    page.goto(address)
    page.get_by_role("heading", level=1).first.wait_for()
    settle(page)


def test_halves_fill_a_narrow_window(page, app: str) -> None:
    # before the next test, which opens the sidebar that this one leaves folded
    page.set_viewport_size({"width": 800, "height": 1000})
    halves = page.locator(
        '[data-testid="stMain"] [data-testid="stHorizontalBlock"]'
        ' > [data-testid="stLayoutWrapper"]:has(> [data-testid="stVerticalBlock"])'
    )
    whole = page.get_by_test_id("stMainBlockContainer")
    for address, are_beside in (("registry?view=decide", True), ("data?view=prepare", False)):
        arrive(page, f"{app}/{address}")
        row = halves.nth(0).locator("xpath=..").bounding_box()
        left, right = (halves.nth(place).bounding_box() for place in (0, 1))
        assert (left["y"] == right["y"]) == are_beside
        assert right["x"] + right["width"] == pytest.approx(row["x"] + row["width"], abs=1)
        assert row["width"] > 0.9 * whole.bounding_box()["width"] - 40


def test_a_narrow_window_folds_the_sidebar_and_keys_open_it(window, app: str) -> None:
    window.set_viewport_size({"width": 800, "height": 1000})
    arrive(window, f"{app}/score?view=log&lang=pt")
    button = window.get_by_test_id("stExpandSidebarButton")
    button.wait_for()
    tops = [metric.bounding_box() for metric in window.get_by_test_id("stMetric").all()]
    assert [place["y"] == tops[0]["y"] for place in tops[:3]] == [True, True, False]
    button.focus()
    window.keyboard.press("Enter")
    link = window.get_by_test_id("stSidebarNav").get_by_role("link", name="Execuções")
    link.click()
    window.get_by_role("heading", name="Execuções", level=1).wait_for()
    assert window.get_by_role("button", name="Recolher a barra lateral").count() == 1
    window.set_viewport_size({"width": 1440, "height": 1000})


def test_what_was_asked_for_is_marked_at_once_until_it_ends(window, app: str) -> None:
    arrive(window, f"{app}/train?view=candidates&lang=pt")
    window.evaluate("""() => {
      const app = document.querySelector('[data-testid="stApp"]');
      window.marks = [];
      new MutationObserver(() => window.marks.push(getComputedStyle(app, '::before').content))
        .observe(app, {attributeFilter: ['data-test-script-state']});
    }""")
    window.get_by_test_id("stMain").get_by_role("radio", name="Explicar").click()
    window.wait_for_function("() => window.marks.length > 1")
    settle(window)
    assert window.evaluate("() => window.marks[0]") == '""'
    assert window.evaluate("() => window.marks.at(-1)") == "none"


def open_reset(page) -> None:
    """Open the dialog from the page's menu."""
    press(page, "More")
    page.get_by_role("button", name="Reset, or restore a backup").click()


@pytest.mark.long
def test_a_reset_leads_back_to_the_button(page, folder: Path) -> None:
    button = page.get_by_role("button", name=BUTTON)
    open_reset(page)
    name = page.get_by_label("Type kobe to confirm")
    name.fill("kobe")
    name.press("Enter")
    page.get_by_role("button", name="Move everything into a backup").click()
    button.wait_for(timeout=PATIENCE_MS)
    open_reset(page)
    expect(page.get_by_role("button", name="Restore")).to_be_disabled()
    keep(page, "first-4-anew")
    # all the while the terminal has shown the address, and nothing else
    assert terminal(folder) == []


PLACE = """() => {
  let one = document.activeElement;
  while (one.getBoundingClientRect().width * one.getBoundingClientRect().height < 30)
    one = one.parentElement;
  const {x, y, width, height} = one.getBoundingClientRect();
  return {x: Math.max(x - 6, 0), y: Math.max(y - 6, 0), width: width + 12, height: height + 12};
}"""


def test_the_main_button_is_reached_and_pressed_by_keys_alone(page, app: str) -> None:
    page.goto(f"{app}/data?view=source")
    page.get_by_role("heading", name="Data", exact=True, level=1).wait_for()
    settle(page)
    reached, unseen = [], []
    page.evaluate("() => document.activeElement.blur()")
    for _ in range(60):
        page.keyboard.press("Tab")
        tag, text = page.evaluate(
            "() => [document.activeElement.tagName, document.activeElement.innerText]"
        )
        reached.append(text)
        place = page.evaluate(PLACE)
        with_focus = page.screenshot(clip=place, caret="initial")
        held = page.evaluate_handle("() => document.activeElement")
        held.evaluate("one => one.blur()")
        if with_focus == page.screenshot(clip=place, caret="initial"):
            unseen.append(text)
        # as the key did it, so that the focus ring is there again and Tab continues from here
        held.evaluate("one => one.focus({focusVisible: true})")
        if tag == "BUTTON" and text.endswith("Acquire"):
            break
    else:
        raise AssertionError(f"only these were reached: {reached}")
    assert unseen == []
    page.keyboard.press("Enter")
    assert figure(page, "Rows") == "30,697"
