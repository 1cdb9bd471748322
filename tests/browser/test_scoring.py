"""One shot by a click on the court, in Debian's Chromium."""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from core.platform import model_store, process
from core.platform.config import Settings
from core.predictions_log import log_search
from core.registry import version_files
from core.serving import server, server_process
from tests.browser.driving import PATIENCE_MS, SERVE_PORT, figure, go, keep, press, settle
from tests.conftest import copy_home

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect


@pytest.fixture
def trained(trained_sample: Settings, tmp_path: Path) -> Settings:
    """The home of the app that starts next."""
    return copy_home(trained_sample, tmp_path / "home", serve_port=SERVE_PORT)


def test_a_click_on_the_court_is_scored_and_explained(trained: Settings, page) -> None:
    go(page, "Serve")
    press(page, "Start")
    expect(page.get_by_text(re.compile("answering$")).first).to_be_visible(timeout=PATIENCE_MS)
    go(page, "Score")
    distance = page.get_by_role("spinbutton", name="shot_distance")
    court = page.get_by_test_id("stVegaLiteChart").first
    expect(court.locator("canvas, svg").first).to_be_visible(timeout=PATIENCE_MS)
    # a chart that is redrawn meanwhile takes the click elsewhere
    settle(page)
    before = distance.input_value()
    # the centre circle, where no row of a development set is
    court.click(position={"x": 220, "y": 40})
    expect(distance).not_to_have_value(before)
    # before anything is sent
    assert figure(page, "Probability of made").endswith("%")
    press(page, "Score")
    why = page.get_by_text("What drives this prediction?")
    why.click(timeout=PATIENCE_MS)
    # the switch, and the chart's title
    expect(why).to_have_count(2, timeout=PATIENCE_MS)
    expect(page.get_by_text("the prediction is extrapolated").first).to_be_visible()
    keep(page, "score-court")
    press(page, "Missed")
    expect(page.get_by_text("Actual:")).to_be_visible()
    assert_endpoint_outlives_the_app(trained)


def assert_endpoint_outlives_the_app(settings: Settings) -> None:
    """Kill the app and its supervisor: the endpoint still answers, and a stop leaves nothing."""
    home = str(settings.home)
    serving = {running.port: running for running in server.servers(settings)}[SERVE_PORT]
    url = f"{serving.url}/invocations"
    row = version_files.example(
        settings, model_store.require_version(settings, serving.model, serving.version)
    )
    killed = []
    for running in psutil.process_iter():
        with suppress(psutil.Error):
            command_line = " ".join(running.cmdline())
            apps = "streamlit run" in command_line or "core.runtime.supervisor" in command_line
            if apps and running.environ().get("COURTSIDE_HOME") == home:
                running.send_signal(signal.SIGKILL)
                killed.append(running)
    assert len(killed) >= 2
    psutil.wait_procs(killed, timeout=60)
    answer = requests.post(url, json={"dataframe_records": [row]}, timeout=60)
    assert answer.status_code == 200, answer.text
    filters = log_search.Filters(search=answer.headers["X-Request-Id"])
    assert log_search.count(settings, filters) == 1
    server_process.stop(settings, SERVE_PORT)
    assert not process.is_alive(serving.process)
    assert server.servers(settings) == []
