"""What the browser tests share: an app with a home of its own, and a page of Chromium on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.platform.config import CODE_ROOT
from tests.browser.driving import CHROMIUM, PATIENCE_MS, SERVE_PORT

LOCAL = ("http://127.0.0.1:", "data:", "blob:", "about:")


@contextmanager
def running(
    folder: Path, environ: Mapping[str, str] | None = None, code: Path = CODE_ROOT
) -> Iterator[str]:
    """Start the app on the home in a folder, yield its address, and stop all that it started.

    `code` is the checkout that is started. What the terminal would show goes to app.log.
    """
    import psutil

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("COURTSIDE_", "MLFLOW_"))}
    variables |= {"COURTSIDE_HOME": str(folder / "home"), "COURTSIDE_SERVE_PORT": str(SERVE_PORT)}
    variables |= environ or {}
    log = (folder / "app.log").open("wb")
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    process = subprocess.Popen(command, cwd=code, env=variables, stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{base}/_stcore/health", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "app.log").read_text()
                time.sleep(0.1)
        yield base
    finally:
        # no test is about how Streamlit ends, which takes its time
        process.kill()
        process.wait(20)
        # what the app leaves running on purpose: its worker and its servers, all under this home
        for process_left in psutil.process_iter():
            try:
                if process_left.environ().get("COURTSIDE_HOME") == variables[
                    "COURTSIDE_HOME"
                ] or any(str(folder) in part for part in process_left.cmdline()):
                    process_left.kill()
            except psutil.Error:
                continue
        log.close()


@contextmanager
def chromium() -> Iterator[object]:
    """Yield an empty page of Chromium that fetches nothing from another machine."""
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    # its own 5 s are too few while other tests run on a small machine
    playwright.expect.set_options(timeout=PATIENCE_MS)
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
        # spinners that turn without a graphics card take as much time as the app does
        context = browser.new_context(
            viewport={"width": 1440, "height": 1000}, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        foreign: list[str] = []
        context.on(
            "request",
            lambda request: (
                foreign.append(request.url) if not request.url.startswith(LOCAL) else None
            ),
        )
        yield context.new_page()
        browser.close()
    # nothing is fetched from anywhere: no font, no icon, no picture that a file names
    assert foreign == []


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Start the app with a home of its own and return its address."""
    with running(tmp_path, getattr(request, "param", None)) as base:
        yield base


@pytest.fixture
def page(app: str) -> Iterator[object]:
    with chromium() as opened:
        opened.goto(app)
        yield opened
