"""Operation by clicking, with a clock that runs ahead: schedule, report, alert, retraining."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.jobs import jobs, schedules
from core.monitoring import alerts, deliver
from core.platform import tracking
from core.platform.config import Settings
from core.platform.run_tags import TAG
from core.retraining import policy_store
from core.retraining.policy_settings import Policy
from core.scoring import score
from tests.browser.driving import PATIENCE_MS, SERVE_PORT, go, keep, press, settle
from tests.conftest import copy_home

pytestmark = [pytest.mark.browser, pytest.mark.long]
playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
SECRET = "a secret of this test"
# an hour in 15 seconds
SPEED = 240
DECISION = f"{TAG}decision"
NOTE = "Seen: these are other shots than it was trained on."


@dataclass
class Receiver:
    """A program that receives messages and keeps them."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def events(self) -> set[str]:
        """Return the events of the messages; assert that each is signed and was sent once."""
        ids = [headers["X-Courtside-Delivery"] for headers, _ in self.got]
        assert len(ids) == len(set(ids))
        names = set()
        for headers, body in self.got:
            signed = f"{headers['X-Courtside-Timestamp']}.".encode() + body
            mine = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
            assert headers["X-Courtside-Signature"] == f"sha256={mine}"
            names |= {alert["event"] for alert in json.loads(body)["alerts"]}
        return names


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collected.got.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collected = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collected
        server.shutdown()
        thread.join()


@pytest.fixture
def scored(trained_sample: Settings, tmp_path: Path) -> Settings:
    """The home of the app that starts next: the 3-point shots are scored by the champion."""
    home = copy_home(
        trained_sample, tmp_path / "home", serve_port=SERVE_PORT, clock_speed=float(SPEED)
    )
    score.run(home, score.Options(way="in_process"))
    return home


def open_drawer(page, name: str):
    """Open a drawer of Monitor's menu, and return it."""
    page.get_by_test_id("stMain").get_by_role("button", name="More").click()
    page.get_by_role("button", name=name, exact=True).click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text(name, exact=True).first).to_be_visible()
    return drawer


def until(is_so, seconds: float = PATIENCE_MS / 1000) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.parametrize(
    "app",
    [{"COURTSIDE_CLOCK_SPEED": str(SPEED), "COURTSIDE_WEBHOOK_SECRET": SECRET}],
    indirect=True,
)
def test_a_schedule_reports_an_alert_is_sent_and_a_challenger_is_promoted(
    scored: Settings, receiver: Receiver, page
) -> None:
    main = page.get_by_test_id("stMain")

    go(page, "Retrain")
    main.get_by_role("radio", name="Policy", exact=True).click(timeout=PATIENCE_MS)
    main.get_by_text("Reactive", exact=True).click(timeout=PATIENCE_MS)
    main.get_by_role("spinbutton", name="Windows in alert").wait_for()
    settle(page)
    for label in ("Windows in alert", "of the last windows"):
        main.get_by_role("spinbutton", name=label).fill("1")
        main.get_by_role("spinbutton", name=label).press("Enter")
        page.wait_for_timeout(300)
        settle(page)
    press(page, "Save")
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    assert policy_store.load(scored) == Policy(strategy="reactive", k=1, n=1, promotes="person")

    go(page, "Monitor")
    drawer = open_drawer(page, "Channels")
    drawer.get_by_role("textbox", name="Address", exact=True).fill(receiver.url)
    drawer.locator(".st-key-save-webhook button").click()
    expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    drawer = open_drawer(page, "Schedule")
    expect(page.get_by_text("COURTSIDE_CLOCK_SPEED: 240")).to_be_visible(timeout=PATIENCE_MS)
    drawer.get_by_role("radio", name="At times of the day", exact=True).click()
    drawer.get_by_role("textbox", name=re.compile("^Minute, hour")).fill("0 * * * *")
    drawer.get_by_role("textbox", name="Name", exact=True).fill("Hourly")
    drawer.get_by_role("button", name="Save").click()
    expect(page.get_by_text("at the times 0 * * * * (cron, UTC), Scoring")).to_be_visible()

    # the first report is automatic; the schedule is stopped before many more
    expect(drawer.get_by_role("link", name="Report").first).to_be_visible(timeout=PATIENCE_MS)
    drawer.get_by_test_id("stCheckbox").get_by_text("On", exact=True).first.click()
    expect(page.get_by_text(re.compile("^Off · Reports so far"))).to_be_visible()
    until(lambda: "raised" in receiver.events())
    page.keyboard.press("Escape")
    expect(main.get_by_role("radio", name=re.compile(r"Alerts \(\d+\)"))).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(page.get_by_text(re.compile("does not fit")).first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "operation-report")

    main.get_by_role("radio", name=re.compile("^Alerts")).click()
    keep(page, "operation-alerts")
    main.get_by_role("button", name=re.compile(r"Acknowledge \(\d+\)")).click()
    page.get_by_role("textbox", name="Name").fill("Ann")
    page.get_by_role("textbox", name="Note").fill(NOTE)
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.get_by_text("Acknowledged: quiet until it clears.")).to_be_visible()
    assert {(item.person, item.note) for item in alerts.open_alerts(scored)} == {("Ann", NOTE)}
    keep(page, "operation-acknowledged")

    # a performance check is in alert: a challenger is trained, passes the gate and waits
    until(lambda: tracking.last_run(scored, "retrain") is not None)
    until(lambda: all(item.status == jobs.DONE for item in jobs.latest(scored, "retrain")))
    decided = [item.tags[DECISION] for item in tracking.runs(scored, step="retrain")]
    assert decided.count("retrain") == 1
    go(page, "Retrain")
    expect(page.get_by_text(re.compile("^Champion: 1 "))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Gate: passed", exact=True)).to_be_visible()
    keep(page, "operation-retrain")
    press(page, "Promote")
    champion = page.get_by_text(re.compile("^Champion: 2 "))
    expect(champion).to_be_visible(timeout=PATIENCE_MS)
    keep(page, "operation-promoted")
    go(page, "Registry")
    expect(page.get_by_role("heading", name="Champion: version 2")).to_be_visible()

    # nothing ran twice: a job for each due time, a decision for each report
    scheduled = [item for item in jobs.latest(scored, limit=100) if item.options.get("scheduled")]
    (hourly,) = schedules.schedules(scored)
    assert len(scheduled) == hourly.runs == len({item.run_id for item in scheduled})
    retrainings = jobs.latest(scored, "retrain", limit=100)
    assert sorted(item.options["report"] for item in retrainings) == sorted(
        item.run_id for item in scheduled
    )
    assert all(item.state == deliver.SENT for item in deliver.deliveries(scored))
