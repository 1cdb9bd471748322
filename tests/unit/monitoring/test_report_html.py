"""A report as a file: complete, in order, self-contained, and harmless whatever it contains."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from core.monitoring import report_html
from core.stats import checks
from core.stats.charts import drift as drift_charts
from core.stats.checks import Check
from tests.browser.driving import CHROMIUM

HOSTILE = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> **bold** [a](http://b) & co"
CONCLUSION = {
    "code": "does_not_fit",
    "title": "The model does not fit the new rows",
    "text": "In alert: F1.",
    "todo": "Train on labelled new rows.",
}
REPORT: dict[str, Any] = {
    "conclusion": CONCLUSION,
    "run_id": "a" * 32,
    "scoring_run": "b" * 32,
    "model": {"name": "made", "version": "3", "run_id": "c" * 32},
    "rows": {"reference": 4057, "current": 5412, "labelled": 5000},
    "window": "The last 5,412 rows",
    "created": 0.0,
    "false_alarms": {"target": 0.01, "rate": 0.006},
}
CHECKS = [
    Check(
        "f1",
        "F1 at the threshold",
        "performance",
        0.0,
        0.513,
        "",
        "alert",
        "No row reaches it.",
        0.0,
        0.002,
        "Do not act on its labels.",
        alert_low=0.25,
        warning_low=0.46,
    ),
    Check("skill", "Skill", "performance", 0.007, 0.02, "warning below half", "warning", "Less."),
    Check("psi.lat", "PSI of lat", "input", 2.44, None, "from 0.2", "alert", "Has moved far."),
    Check("ks.lat", "KS distance of lat", "input", 0.66, None, "", "alert", "Has moved far."),
    Check("psi.hour", "PSI of hour", "input", 0.01, None, "", "ok", "Stable."),
    Check(
        "estimated_f1",
        "F1, estimated",
        "output",
        None,
        0.52,
        "",
        "not_applicable",
        "Not available: 60% of the rows lie elsewhere.",
    ),
]


class Reader(HTMLParser):
    """Collect what a browser would read in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(" ".join(data.split()))


@pytest.fixture(scope="module")
def svg() -> str:
    import vl_convert

    moved = pd.DataFrame({"feature": ["lat", "hour"], "psi": [2.44, 0.01]})
    return vl_convert.vegalite_to_svg(json.dumps(drift_charts.psi_bars(moved).to_dict()))


@pytest.fixture(scope="module")
def page(svg: str) -> str:
    table = pd.DataFrame({"feature": ["lat"], "auc": [0.91], "kept": [True], "rows": [1234]})
    return report_html.render(
        REPORT, checks.as_table(CHECKS), {"psi": svg, "again": svg}, {"What differs": table}
    )


def test_the_verdict_comes_first_and_everything_follows_in_order(page: str) -> None:
    read = Reader(page)
    assert not read.open
    text = " ".join(read.texts)
    parts = [
        "Verdict: does not fit",
        CONCLUSION["title"],
        CONCLUSION["text"],
        "What changed",
        "Evidence",
        "What differs",
        "What to do",
        CONCLUSION["todo"],
        "Do not act on its labels.",
        "All checks",
        "About this report",
    ]
    body = text[text.index("Verdict:") :]
    places = [body.index(part) for part in parts]
    assert places == sorted(places)


def test_each_check_is_shown_with_value_interval_limits_and_words(page: str) -> None:
    text = " ".join(Reader(page).texts)
    for check in CHECKS:
        assert text.count(check.code) >= 1
        assert str(check.text) in text
    assert "0 to 0.0020" in text
    # no words for its limits: the numbers
    assert "warning: below 0.46, alert: below 0.25" in text
    assert "warning below half" in text
    assert "not applicable" in text
    # a text that two checks share appears once
    changed = text[text.index("What changed") : text.index("Evidence")]
    assert "PSI of lat 2.4400, KS distance of lat 0.6600 . Has moved far." in changed.replace(
        "0.6600.", "0.6600 ."
    )
    assert changed.index("F1 at") < changed.index("lat") < changed.index("Skill")
    assert "hour" not in changed


def test_the_runs_the_counts_and_the_promise_are_in_it(page: str) -> None:
    text = " ".join(Reader(page).texts)
    for part in (
        "a" * 32,
        "b" * 32,
        "c" * 32,
        "made, version 3",
        "The last 5,412 rows",
        "1970-01-01 00:00",
        "current: 5,412, Labels: 5,000, reference: 4,057",
        "1,234",
        "yes",
        "At most 0.60% of windows without a change raise an alert of performance or of a column.",
    ):
        assert part in text


def test_hostile_texts_stay_texts_wherever_they_stand() -> None:
    check = Check(
        HOSTILE, HOSTILE, "performance", 1.0, 2.0, HOSTILE, "alert", HOSTILE, todo=HOSTILE
    )
    strange = checks.as_table([check]).assign(verdict=HOSTILE, group=HOSTILE)
    report = {
        "conclusion": dict.fromkeys(CONCLUSION, HOSTILE),
        "model": {"name": HOSTILE, "version": HOSTILE, "run_id": HOSTILE},
        "run_id": HOSTILE,
        "scoring_run": HOSTILE,
        "window": HOSTILE,
        "source": HOSTILE,
        "sample": True,
    }
    table = pd.DataFrame({HOSTILE: [HOSTILE, None]})
    for frame in (checks.as_table([check]), strange):
        page = report_html.render(report, frame, {HOSTILE: HOSTILE}, {HOSTILE: table})
        read = Reader(page)
        assert not read.open
        assert not {tag for tag, _ in read.tags} & {"script", "img", "a", "iframe", "b"}
        assert not [name for _, attrs in read.tags for name in attrs if name.startswith("on")]
        assert " ".join(read.texts).count("<script>alert(1)</script>") > 10
        assert "This was not recorded." in page


def test_a_drawing_keeps_only_what_draws() -> None:
    hostile = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'onload="alert(1)" width="10" height="10"><rect width="10" height="10" fill="white"/>'
        "<script>alert(1)</script><foreignObject><p>x</p></foreignObject><style>*{}</style>"
        '<image href="http://x/y.png"/><a xlink:href="javascript:alert(1)"><text>in</text></a>'
        '<use xlink:href="#c"/><animate attributeName="href"/>'
        '<defs><clipPath id="c"><path d="M0,0h1"/></clipPath></defs>'
        '<g clip-path="url(#c)" fill="url(http://x/#y)" style="background:url(//x)" '
        'ONCLICK="1"><text>&lt;b&gt;</text></g></svg>'
    )
    drawn = report_html.drawing(hostile, "f1-")
    assert drawn is not None
    tags = [tag for tag, _ in Reader(drawn).tags]
    assert tags == ["svg", "defs", "clippath", "path", "g", "text"]
    assert 'id="f1-c"' in drawn
    assert 'clip-path="url(#f1-c)"' in drawn
    assert "&lt;b&gt;" in drawn
    rest = drawn.replace("http://www.w3.org/2000/svg", "").lower()
    assert not re.search(r"script|onclick|onload|style|//x|xlink", rest)
    for broken in ("<svg", "", "<html/>", '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>'):
        assert report_html.drawing(broken, "f") is None


def test_an_empty_report_and_one_of_an_older_app_are_pages_too() -> None:
    bare = {"conclusion": {"code": "fits", "title": "It fits"}}
    page = report_html.render(bare, checks.as_table([]))
    text = " ".join(Reader(page).texts)
    for part in (
        "It fits",
        "No check is beyond its limits.",
        "Nothing to do.",
        "This was not recorded.",
    ):
        assert part in text
    older = checks.as_table(CHECKS)[
        ["code", "title", "group", "value", "reference", "threshold", "verdict", "text"]
    ]
    assert "F1 at the threshold" in report_html.render(bare, older)
    long = pd.DataFrame({"x": range(report_html.MOST_ROWS + 5)})
    page = report_html.render(bare, older, tables={"many": long})
    assert "many (200 of 205 rows)".capitalize() in page


@pytest.mark.browser
def test_a_browser_opens_it_without_a_request_in_light_dark_and_print(
    page: str, tmp_path: Path
) -> None:
    if CHROMIUM is None:
        pytest.skip("Debian's chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
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
        shown = browser.new_page(viewport={"width": 800, "height": 900}, color_scheme="dark")
        shown.set_default_timeout(60_000)
        requests: list[str] = []
        messages: list[str] = []
        shown.on("request", lambda request: requests.append(request.url))
        shown.on("console", lambda message: messages.append(message.text))
        shown.goto(path.as_uri())
        colour = "getComputedStyle(document.body).backgroundColor"
        assert shown.evaluate(colour) == "rgb(20, 23, 28)"
        # the words of a chart are as light as the page's
        word = "getComputedStyle(document.querySelector('figure .role-axis text')).fill"
        assert shown.evaluate(word) == "rgb(230, 232, 236)"
        assert shown.locator("figure svg").count() == 2
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shown.emulate_media(color_scheme="light")
        assert shown.evaluate(colour) == "rgb(255, 255, 255)"
        shown.emulate_media(media="print", color_scheme="dark")
        assert shown.evaluate(colour) == "rgb(255, 255, 255)"
        browser.close()
    assert requests == [path.as_uri()]
    assert messages == []
