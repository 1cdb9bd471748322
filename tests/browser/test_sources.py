"""Every source by clicking, in Debian's Chromium: real, synthetic and hostile files."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from tests.browser.driving import PATIENCE_MS, figure, go, keep, press, view
from tests.conftest import PROCESS
from tests.zips import zipped

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
RAW = os.environ.get("COURTSIDE_RAW_DIR", "")
MIRROR_PORT = 18_431 + PROCESS


def choose(page, source: str) -> None:
    # a choice that is being replaced is disabled for a moment
    main = page.get_by_test_id("stMain")
    main.get_by_role("radio", name=source, exact=True, disabled=False).click()
    page.wait_for_timeout(500)


def upload(page, *paths: Path) -> None:
    choose(page, "Files")
    # while the page is redrawn, a chosen file is lost with the old field
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    chooser = page.get_by_test_id("stFileUploader")
    remove_buttons = chooser.get_by_role("button", name=re.compile("^Remove"))
    while count := remove_buttons.count():
        remove_buttons.first.click()
        expect(remove_buttons).to_have_count(count - 1)
        page.wait_for_timeout(500)
    chooser.locator("input").set_input_files([str(path) for path in paths])
    expect(remove_buttons).to_have_count(len(paths))
    page.wait_for_timeout(500)


def acquired(page) -> tuple[str, str]:
    """Press Acquire, wait for a new run, and return the rows and the digest shown."""
    press(page, "Acquire")
    # its panel is there while it runs, and the form cannot be used
    expect(page.get_by_test_id("stProgress").first).to_be_visible()
    expect(page.get_by_test_id("stProgress")).to_have_count(0, timeout=PATIENCE_MS)
    return figure(page, "Rows"), digest(page)


def digest(page) -> str:
    """Return the digest of the raw data in use, from its details, which are folded."""
    details = page.get_by_test_id("stExpander").filter(has_text="Details").first
    row = details.locator("tr").filter(has_text=re.compile("^Snapshot"))
    return (row.locator("td").last.text_content(timeout=PATIENCE_MS) or "").strip()


def refused(page, words: str) -> None:
    """Press Acquire and expect the message."""
    press(page, "Acquire")
    expect(page.get_by_text(re.compile(words)).first).to_be_visible(timeout=PATIENCE_MS)


@pytest.fixture
def mirror() -> Iterator[ThreadingHTTPServer]:
    """A server of the real files, which the app uses as its mirror."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=RAW)
    with ThreadingHTTPServer(("127.0.0.1", MIRROR_PORT), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.real
@pytest.mark.skipif(not RAW, reason="COURTSIDE_RAW_DIR does not name the real files")
@pytest.mark.parametrize(
    "app",
    [{"COURTSIDE_RAW_DIR": RAW, "COURTSIDE_DOWNLOAD_MIRROR": f"http://127.0.0.1:{MIRROR_PORT}"}],
    indirect=True,
)
def test_the_real_files_come_in_by_every_source(mirror, page, tmp_path: Path) -> None:
    go(page, "Data")
    view(page, "Source")
    choose(page, "Download")
    expect(page.get_by_text("https://github.com/tciodaro/eng_ml").first).to_be_visible()
    assert acquired(page) == ("30,697", "75df905efe29")
    expect(page.get_by_text("Warnings: 0")).to_be_visible()
    expect(page.get_by_text("History (1)")).to_be_visible()

    # the same bytes by other ways are the same snapshot
    choose(page, "Folder")
    assert acquired(page) == ("30,697", "75df905efe29")
    paths = sorted(Path(RAW).glob("*.parquet"))
    upload(page, *paths)
    assert acquired(page) == ("30,697", "75df905efe29")
    expect(page.get_by_text("History (1)")).to_be_visible()

    # Kaggle's zip of zips
    table = pd.concat(pd.read_parquet(path) for path in paths)
    inner = zipped({"data.csv": table.to_csv(index=False).encode()})
    kaggle = tmp_path / "kobe-bryant-shot-selection.zip"
    kaggle.write_bytes(zipped({"data.csv.zip": inner}))
    upload(page, kaggle)
    rows, other = acquired(page)
    assert rows == "30,697"
    assert other != "75df905efe29"
    expect(page.get_by_text("History (2)")).to_be_visible()
    keep(page, "acquire-two-snapshots")

    # an older snapshot can be made current again
    page.get_by_text("History (2)").click()
    press(page, "Use")
    details = page.get_by_test_id("stExpander").filter(has_text="Details").first
    expect(details).to_contain_text("75df905efe29", timeout=PATIENCE_MS)

    # a file with faults gets a report, and nothing changes
    faulty_file = tmp_path / "bad.csv"
    faulty = table.astype({"period": "object"}).rename(columns={"lon": "lng"})
    faulty.iloc[0, faulty.columns.get_loc("period")] = "first"
    faulty.to_csv(faulty_file, index=False)
    upload(page, faulty_file)
    refused(page, "'period' must be a whole number: violated in 1 row")
    expect(page.get_by_text("the column 'lng' is taken as 'lon'").first).to_be_visible()
    with page.expect_download() as report:
        page.get_by_role("button", name="Finding (CSV)").first.click()
    assert "period,1,'first'" in Path(report.value.path()).read_text().replace('"', "")
    assert digest(page) == "75df905efe29"
    keep(page, "acquire-refused")

    # the charts, and one of them in a narrow window
    view(page, "Explore")
    for picture in ("Slices", "Columns", "Correlation", "Leakage", "Overview"):
        choose(page, picture)
        expect(page.get_by_test_id("stMain").get_by_text("Traceback")).to_have_count(0)
        keep(page, f"explore-{picture.lower().replace(' ', '-')}")
    page.set_viewport_size({"width": 800, "height": 1000})
    choose(page, "Overview")
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    keep(page, "acquire-narrow", width=800)


HOSTILE = {
    "bomb.zip": (zipped({"data.csv": b"0" * 60_000_000}), "MB of data; the limit is 50.0"),
    "paths.zip": (zipped({"../data.csv": b"x"}), "has paths that lead out of it"),
    "latin.csv": ("nome,\xe9\n".encode("latin-1"), "25 of 25 columns are missing.*Found: nome, é"),
    "brazil.csv": (b"lat;lon\n34,0;-118,2\n", "of 25 columns are missing.*Found: lat, lon"),
    "twice.csv": (b"lat,lat\n1,2\n", "has repeated columns"),
    "text.parquet": (b"lat,lon\n1,2\n", "do not match its extension"),
}


@pytest.mark.parametrize(
    "app",
    [
        {
            "COURTSIDE_UPLOAD_LIMIT_MB": "10",
            "COURTSIDE_DOWNLOAD_MIRROR": f"http://127.0.0.1:{MIRROR_PORT}",
        }
    ],
    indirect=True,
)
def test_the_sample_comes_in_and_what_is_hostile_or_offline_gets_a_sentence(
    page, tmp_path: Path
) -> None:
    go(page, "Data")
    view(page, "Source")
    current = acquired(page)
    assert current[0] == "30,697"
    expect(page.get_by_text("built-in sample, not real data").first).to_be_visible()
    choose(page, "Download")
    refused(page, "127.0.0.1 cannot be reached")
    for name, (content, words) in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        refused(page, words)
        assert (figure(page, "Rows"), digest(page)) == current
    keep(page, "acquire-hostile")

    view(page, "Prepare")
    for choice in ("All, with the kind of shot", "Impute in the model", "By group"):
        page.get_by_test_id("stMain").get_by_role("radio", name=choice, exact=True).click()
        page.wait_for_timeout(500)
    press(page, "Prepare")
    assert figure(page, "Filtered") == "20,285 rows"
    expect(page.get_by_text("is recorded only after the predicted event").first).to_be_visible()
    in_one_set = re.compile("Each of the .* values of game_id is in only one set")
    expect(page.get_by_text(in_one_set).first).to_be_visible()
    keep(page, "prepare-choices")
