"""Take the screenshots of README and guide: a separate app, the built-in sample, Chromium.

    python docs/images/make.py                 all of them (some minutes)
    python docs/images/make.py monitor train   those

The home is a temporary folder. Needs Debian's `chromium`, or the one that
`playwright install chromium` puts there.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

import psutil
from PIL import Image

from core.jobs import chains, jobs
from core.platform import lifecycle, steps
from core.platform.config import Settings
from core.retraining import replay, retrain
from core.training import explain

PATIENCE = 900
# enough colours for the pages
COLOURS = 96


@dataclass(frozen=True)
class Shot:
    """A screenshot: its page, its place on the page, and its time in the life cycle.

    Parameters
    ----------
    choose : str
        What is chosen on it first.
    at : str
        The heading to begin at; the top of the page without one.
    after : str
        The step after which it is taken; "" before all of them, WHOLE after those of one press.
    """

    name: str
    page: str
    choose: str = ""
    at: str = ""
    after: str = "replay"
    theme: str = "light"
    width: int = 1440
    height: int = 900


# the button that a new user clicks
WHOLE = "whole"
SHOTS = (
    Shot("welcome", "", after=""),
    Shot("progress", "", after="prepare", height=760),
    Shot("verdict", "", after=WHOLE),
    Shot("acquire", "data?view=explore"),
    Shot("train", "train"),
    Shot("explain", "train?view=explain"),
    Shot("score", "score", choose="On the court"),
    Shot("monitor", "monitor"),
    Shot("monitor-dark", "monitor", theme="dark"),
    Shot("replay", "retrain?view=replay"),
    Shot("documents", "documents"),
    Shot("checklist", "documents?document=checklist"),
    Shot("overview-800", "", after="explain", width=800),
)
MORE: tuple[tuple[str, Any], ...] = (
    ("explain", explain.Options()),
    ("retrain", retrain.Options(trigger="person")),
    ("replay", replay.Options()),
)


def main() -> int:
    """Take the requested screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(s.name for s in SHOTS))
    names = parser.parse_args().names
    if unknown := sorted({*names} - {shot.name for shot in SHOTS}):
        print(f"There is no picture {unknown[0]}.")
        return 1
    wanted = [shot for shot in SHOTS if not names or shot.name in names]
    with tempfile.TemporaryDirectory(prefix="courtside-pictures-") as folder:
        settings = Settings(home=Path(folder) / "home", serve_port=free_port(5001))
        settings.home.mkdir()
        with app(settings) as base:
            # the worker starts with the first visit, so there is one in any case
            take(base, at(wanted, "") or [replace(SHOTS[0], name="")])
            steps = lifecycle.whole("sample")
            chains.start(settings, steps, "Run the whole life cycle on sample data")
            for step, _ in steps:
                until(lambda step=step: done(settings, step), step)
                if shots := at(wanted, step):
                    take(base, shots)
            until(lambda: not is_running(settings), "the whole life cycle")
            if shots := at(wanted, WHOLE):
                take(base, shots)
            chains.forget(settings)
            steps_left = list(MORE)
            while any(at(wanted, step) for step, _ in steps_left):
                step, options = steps_left.pop(0)
                jobs.submit(settings, step, options.model_dump(mode="json"))
                until(lambda step=step: done(settings, step), step)
                if shots := at(wanted, step):
                    take(base, shots)
    for path in sorted(FOLDER.glob("*.png")):
        print(f"{path.name:24} {path.stat().st_size / 1000:6.0f} kB")
    return 0


def at(shots: list[Shot], after: str) -> list[Shot]:
    """Return the screenshots that are taken at that time."""
    return [shot for shot in shots if shot.after == after]


def done(settings: Settings, step: str) -> bool:
    """Return whether a step's newest job is done; raise if it failed."""
    found = jobs.latest(settings, step, limit=1)
    if found and found[0].status in ("failed", "cancelled"):
        raise RuntimeError(f"{step} did not end well: {found[0].error}")
    if not found or found[0].status != "done":
        return False
    print(f"{steps.RUN_NAMES[step]:18} {found[0].ended - found[0].started:6.1f} s")
    return True


def is_running(settings: Settings) -> bool:
    """Return whether the chain of all steps is still running."""
    found = chains.current(settings)
    return found is not None and found.state == "running"


def free_port(wanted: int = 0) -> int:
    """Return a free port, the preferred one if it is free."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def app(settings: Settings) -> Iterator[str]:
    """Run the app, with its worker and servers, until the block ends."""
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COURTSIDE_", "MLFLOW_"))}
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
        "--server.fileWatcherType",
        "none",
    ]
    log = settings.home.parent / "app.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=kept | settings.environment(), stdout=out, stderr=out
        )
    base = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{base}/_stcore/health"), "the app answers")
        yield base
    finally:
        process.terminate()
        process.wait(20)
        # the app leaves these running on purpose: its worker and its servers, all of this home
        for one in psutil.process_iter():
            try:
                mine = one.environ().get("COURTSIDE_HOME") == str(settings.home)
                if mine or any(str(settings.home) in part for part in one.cmdline()):
                    one.kill()
            except psutil.Error:
                continue


def answers(url: str) -> bool:
    """Return whether a server responds there."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


def until(done: Any, what: str) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.2)


def take(base: str, shots: list[Shot]) -> None:
    """Take screenshots of the current pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        )
        for shot in shots:
            page = browser.new_page(
                viewport={"width": shot.width, "height": shot.height},
                color_scheme=shot.theme,
                reduced_motion="reduce",
            )
            page.set_default_timeout(120_000)
            page.goto(f"{base}/{shot.page}")
            page.get_by_role("heading", level=1).first.wait_for()
            # nothing runs any more, and the charts are drawn
            page.get_by_test_id("stStatusWidget").wait_for(state="detached")
            page.wait_for_timeout(4000)
            if shot.choose:
                main = page.get_by_test_id("stMain")
                main.get_by_text(shot.choose, exact=True).first.click()
                page.wait_for_timeout(4000)
            if shot.at:
                place = page.get_by_role("heading", name=shot.at).first
                place.evaluate("found => found.scrollIntoView({block: 'start'})")
                page.wait_for_timeout(1500)
            page.get_by_test_id("stStatusWidget").wait_for(state="detached")
            # a check of the worker's state may just start
            page.add_style_tag(content="[data-testid=stStatusWidget] { visibility: hidden }")
            if shot.name:
                keep(page.screenshot(), FOLDER / f"{shot.name}.png")
            page.close()
        browser.close()


def keep(shown: bytes, path: Path) -> None:
    """Write a picture with few colours, at a third of its size."""
    picture = Image.open(io.BytesIO(shown)).convert("RGB")
    small = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
