"""How the browser tests click and read."""

from __future__ import annotations

import shutil

import pytest

from core.platform.config import CODE_ROOT
from tests.conftest import PROCESS

SERVE_PORT = 5601 + 40 * PROCESS
SCREENSHOTS = CODE_ROOT / "test-results" / "screenshots"
CHROMIUM = shutil.which("chromium")
# the worker's imports, ten folds of four candidates and a server's start, on a slow machine
PATIENCE_MS = 180_000
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


def keep(page, name: str, *, width: int = 1440) -> None:
    """Keep a screenshot of the whole page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # Streamlit scrolls inside the page, so the window has to be as tall as what it holds
    tall = page.get_by_test_id("stMain").evaluate("found => found.scrollHeight")
    page.set_viewport_size({"width": width, "height": max(1000, min(tall, 5000))})
    settle(page)
    page.wait_for_timeout(300)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size({"width": width, "height": 1000})


def settle(page) -> None:
    """Wait until the page's script has run to its end, and what it drew is painted."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    # elements that are about to be replaced are pale
    page.wait_for_function("() => !document.querySelector('[data-stale=\"true\"]')")
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def go(page, name: str) -> None:
    """Open a page by its name in the sidebar."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()


def visit(page, name: str) -> None:
    go(page, name)
    # placeholders disappear once the page's script has ended
    settle(page)
    page.wait_for_timeout(300)
    settle(page)


def view(page, name: str) -> None:
    """Choose a view of the page."""
    page.get_by_test_id("stMain").get_by_role("radio", name=name, exact=True).click()
    settle(page)


def press(page, name: str) -> None:
    """Press the last button of that name."""
    page.get_by_test_id("stMain").get_by_role("button", name=name).last.click()


def figure(page, label: str) -> str:
    """Return the figure under that label, once it is there."""
    # exactly: while the page is redrawn, "Rows shown" may come before "Rows"
    metric = page.get_by_test_id("stMetric").filter(has=page.get_by_text(label, exact=True))
    return metric.first.get_by_test_id("stMetricValue").inner_text(timeout=PATIENCE_MS)


def grave(page, *rules: str) -> list[str]:
    """Return what axe-core finds that is serious or critical, a line for each element.

    A part that the page draws again while axe reads it is pale for a moment: a fault is one that is
    there at a second reading too.
    """
    faults = _grave(page, *rules)
    if not faults:
        return []
    settle(page)
    again = _grave(page, *rules)
    return [fault for fault in faults if fault in again]


def _grave(page, *rules: str) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # a part of the page that is redrawn while axe runs is pale for a moment
    page.add_style_tag(content='[data-stale="true"] { opacity: 1 !important; transition: none; }')
    # behind a dialog the page cannot be scrolled, for which axe takes all of the dialog as cut off
    page.add_style_tag(content="html { overflow: visible !important; }")
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    violations = axe.Axe().run(page, options=options).response["violations"]
    return [
        f"{violation['id']} at {node['target']}: {node['html'][:400]} "
        f"{node.get('failureSummary', '')}"
        for violation in violations
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
        if not any(violation["id"] == rule and part in str(node["target"]) for rule, part in LEFT)
    ]
