"""The whole life cycle by clicking, in Debian's Chromium; screenshots go to test-results/."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "test-results" / "screenshots"
CHROMIUM = shutil.which("chromium")
# the worker's imports, ten folds of four candidates and a server's start, on a slow machine
PATIENCE_MS = 180_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Start the app with a home of its own and return its address."""
    import psutil

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURTSIDE_", "MLFLOW_"))}
    kept |= {"COURTSIDE_HOME": str(tmp_path / "home"), "COURTSIDE_SERVE_PORT": "5301"}
    kept |= getattr(request, "param", {})
    log = (tmp_path / "app.log").open("wb")
    command = [
        sys.executable, "-m", "streamlit", "run", "app.py",
        "--server.port", str(port), "--server.headless", "true",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, env=kept, stdout=log, stderr=log)
    base = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{base}/_stcore/health", timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, (tmp_path / "app.log").read_text()
            time.sleep(0.1)
    yield base
    process.terminate()
    process.wait(20)
    # what the app leaves running on purpose: its worker and its servers, all under this home
    for found in psutil.process_iter():
        try:
            if found.environ().get("COURTSIDE_HOME") == kept["COURTSIDE_HOME"] or any(
                str(tmp_path) in part for part in found.cmdline()
            ):
                found.kill()
        except psutil.Error:
            continue
    log.close()


@pytest.fixture
def page(app: str) -> Iterator[object]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-background-networking",
            ],
        )
        found = browser.new_page(viewport={"width": 1440, "height": 1000})
        found.set_default_timeout(60_000)
        found.goto(app)
        yield found
        browser.close()


def keep(page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # Streamlit scrolls inside the page, so the window has to be as tall as what it holds
    tall = page.get_by_test_id("stMain").evaluate("found => found.scrollHeight")
    page.set_viewport_size({"width": 1440, "height": max(1000, min(tall, 5000))})
    page.wait_for_timeout(1500)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size({"width": 1440, "height": 1000})


def go(page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()


def press(page, name: str) -> None:
    page.get_by_test_id("stMain").get_by_role("button", name=name).last.click()


def figure(page, label: str) -> str:
    found = page.get_by_test_id("stMetric").filter(has_text=label)
    return found.first.get_by_test_id("stMetricValue").inner_text(timeout=PATIENCE_MS)


def journey(page) -> dict[str, str]:
    """Take the data that is offered first to a monitored model, and return what the pages say."""
    said = {}
    expect(page.get_by_text("Next: acquire.")).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "1-overview-empty")

    go(page, "Prepare")
    expect(page.get_by_text("No raw data yet")).to_be_visible()
    press(page, "Acquire")
    said["rows"] = figure(page, "Rows")
    press(page, "Prepare")
    said["filtered"] = figure(page, "Filtered")
    said["train"], said["test"] = figure(page, "Train"), figure(page, "Test")
    expect(page.get_by_test_id("stVegaLiteChart").last).to_be_visible()
    keep(page, "2-prepare")

    go(page, "Train")
    expect(page.get_by_text("Nothing trained yet")).to_be_visible(timeout=PATIENCE_MS)
    press(page, "Train")
    said["best"] = figure(page, "Best candidate")
    said["log_loss"] = figure(page, "Log loss, test set")
    keep(page, "3-train")

    go(page, "Serve")
    press(page, "Start")
    expect(page.get_by_text(re.compile("answering$"))).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "4-serve")

    go(page, "Score")
    press(page, "Score")
    said["scored"] = figure(page, "Rows scored")
    said["log_loss_production"] = figure(page, "Log loss")
    said["f1_production"] = figure(page, "F1")
    keep(page, "5-score")

    go(page, "Monitor")
    press(page, "Monitor")
    verdict = page.get_by_text(re.compile("The model does not fit the 3-point shots"))
    expect(verdict.first).to_be_visible(timeout=PATIENCE_MS)
    said["skill"] = figure(page, "Skill over base rate")
    keep(page, "6-monitor")

    page.get_by_role("link", name=re.compile("Monitoramento")).first.click()
    expect(page.get_by_role("heading", name=re.compile("Monitoramento"))).to_be_visible()
    expect(page.get_by_text("finished", exact=False).first).to_be_visible()
    keep(page, "7-run")
    go(page, "Overview")
    expect(page.get_by_text("See the report")).to_be_visible()
    keep(page, "8-overview-full")

    go(page, "Serve")
    press(page, "Stop")
    expect(page.get_by_text("No server is running")).to_be_visible()
    return said


def test_the_sample_is_taken_from_acquiring_to_the_verdict_by_clicking(page) -> None:
    said = journey(page)
    assert said["rows"] == "30,697"
    assert said["filtered"] == "(20285, 7)"
    assert (said["train"], said["test"]) == ("16,228 rows", "4,057 rows")
    assert 0.66 < float(said["log_loss"]) < 0.70
    assert said["scored"] == "6,426"
    assert float(said["f1_production"]) < 0.01
    go(page, "Prepare")
    expect(page.get_by_text("built-in sample, not real data").first).to_be_visible()


RAW = os.environ.get("COURTSIDE_RAW_DIR", "")


@pytest.mark.real
@pytest.mark.skipif(not RAW, reason="COURTSIDE_RAW_DIR does not name the real files")
@pytest.mark.parametrize("app", [{"COURTSIDE_RAW_DIR": RAW}], indirect=True)
def test_the_real_shots_give_the_known_figures_by_clicking(page) -> None:
    said = journey(page)
    assert said["rows"] == "30,697"
    assert said["filtered"] == "(20285, 7)"
    assert (said["train"], said["test"]) == ("16,228 rows", "4,057 rows")
    assert said["best"] == "Logistic regression"
    assert 0.678 <= float(said["log_loss"]) <= 0.679
    assert said["log_loss_production"] == "0.6289"
    assert said["f1_production"] == "0.000"
    expect(page.get_by_text("built-in sample, not real data")).to_have_count(0)
