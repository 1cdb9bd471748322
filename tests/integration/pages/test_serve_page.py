"""The Serve page: what it shows of an endpoint, its example calls, and the keys."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests
from streamlit.testing.v1 import AppTest

from core.platform.config import Settings
from core.serving import api_keys, endpoint, endpoint_status, external_servers, server
from core.serving.metrics import Recent
from core.serving.prediction_log import LogState
from pages.serve import call_examples

OpenPage = Callable[..., AppTest]


def shown(app: AppTest, begins: str) -> list[str]:
    return [block.value for block in app.code if block.value.startswith(begins)]


def labels(app: AppTest) -> list[str]:
    return [section.label for section in app.expander]


def run(text: str) -> str:
    """Run a call as a person would paste it, and return its output."""
    command = [sys.executable, "-c", text]
    if text.startswith("curl "):
        if shutil.which("curl") is None:
            pytest.skip("there is no curl here")
        command = ["bash", "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


# --- the calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["curl", "import requests"])
def test_the_example_calls_work_unchanged(lived, open_page: OpenPage, language: str) -> None:
    app = open_page(lived.settings, "serve")
    predict, label = shown(app, language)
    output = run(predict)
    assert re.search(r"['\"]probability['\"]: ?0\.\d+", output)
    (prediction_id,) = re.findall(r"\b[0-9a-f]{32}-0\b", output)
    counts = run(label.replace(call_examples.PREDICTION_ID, prediction_id))
    assert re.search(r"['\"]new['\"]: ?1\b", counts)


def test_the_example_calls_send_the_same_in_every_language(lived, open_page: OpenPage) -> None:
    app = open_page(lived.settings, "serve")
    for curl, python, script in zip(
        shown(app, "curl"), shown(app, "import requests"), shown(app, "const answer"), strict=True
    ):
        body = json.loads(re.search(r"-d '(.*)'$", curl, re.S)[1])
        assert f"json={body!r}" in python
        assert json.loads(re.search(r"JSON\.stringify\((.*)\),\n", script)[1]) == body
        for text in (curl, python, script):
            assert "Content-Type" in text
            assert "X-Api-Key" not in text


def test_with_api_keys_a_call_needs_one_at_the_shown_place(lived, open_page: OpenPage) -> None:
    key = api_keys.create(lived.settings, "the test")
    try:
        app = open_page(lived.settings, "serve")
        predict = shown(app, "curl")[0]
        assert run(predict).startswith("HTTP/1.1 401 ")
        assert run(predict.replace(call_examples.KEY, key)).startswith("HTTP/1.1 200 ")
        labelled = shown(app, "curl")[1]
        assert run(labelled).startswith("HTTP/1.1 401 ")
    finally:
        (stored,) = api_keys.listed(lived.settings)
        api_keys.revoke(lived.settings, stored.key_id)
    assert requests.get(f"http://127.0.0.1:{lived.port}/ping", timeout=10).status_code == 200
    assert run(shown(open_page(lived.settings, "serve"), "curl")[0]).startswith("HTTP/1.1 200 ")


def test_a_text_with_quotes_stays_one_argument() -> None:
    row = {"action": 'Jump O\'Neal "x" $HOME', "distance": None}
    texts = call_examples.predict("http://127.0.0.1:1", row, with_key=True)
    arguments = shlex.split(texts["curl"].replace("\\\n", ""))
    assert json.loads(arguments[-1])["dataframe_split"]["data"] == [list(row.values())]
    compile(texts["Python"], "call", "exec")


# --- state of an endpoint ------------------------------------------------------------------------


def status(**values: Any) -> endpoint_status.Status:
    """Return the status of an endpoint after 200 requests."""
    answered = endpoint_status.Status(
        version="1",
        in_flight={},
        uptime=900.0,
        workers=1,
        counts=Recent(
            requests=200,
            errors={"400": 3, "503": 1},
            refused=3,
            faults=1,
            recent=40,
            recent_errors=0,
            per_minute=[0] * 9 + [40],
            p50=8.4,
            p95=20.6,
            p99=41.0,
        ),
        log=LogState(),
        shadow=None,
        keys=False,
    )
    return replace(answered, **values)


def test_an_endpoint_shows_its_statistics(
    copied, open_page: OpenPage, text_of: Callable[[AppTest], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = endpoint_status.Shadow(5002, sent=1234, failed=1, dropped=2)
    monkeypatch.setattr(endpoint_status, "status", lambda *_, **__: status(shadow=shadow))
    app = open_page(copied.settings, "serve")
    assert not app.exception
    text = text_of(app)
    assert "Requests: 200 (40 in 10 minutes)" in text
    assert "Server errors (5xx): 0.5% (1 × 503)" in text
    assert "Refused (4xx): 3 (3 × 400)" in text
    assert "Median latency: 8 ms (95%: 21 ms · 99%: 41 ms)" in text
    memory = next(metric for metric in app.metric if metric.label == "Memory")
    assert 100 < int(memory.value.split(" ")[0].replace(",", "")) < 2000
    assert "to port 5002: 1,234 answered, 1 failed, 2 dropped" in text
    assert "mlflow models serve --model-uri models:/kobe-shots/1 --host 127.0.0.1 --port " in text
    assert "this command serves the same model" in text
    app.run()
    memory = next(metric for metric in app.metric if metric.label == "Memory")
    assert memory.delta.startswith("CPU ")


@pytest.mark.parametrize("problem", ["nothing answers", "noted"])
def test_a_server_that_does_not_answer_is_never_called_ready(
    copied,
    open_page: OpenPage,
    text_of: Callable[[AppTest], str],
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
) -> None:
    if problem == "noted":
        # the supervisor noted it; by now it answers the page
        noted = server.find(copied.settings, copied.port)
        server.keep(copied.settings, replace(noted, silent_since=time.time() - 130))
        monkeypatch.setattr(endpoint_status, "status", lambda *_, **__: status())
    else:
        monkeypatch.setattr(endpoint_status, "status", lambda *_, **__: None)
    app = open_page(copied.settings, "serve")
    assert not app.exception
    text = text_of(app)
    assert "not answering" in text
    assert not any(element.value == "answering" for element in app.markdown)
    (error,) = app.error
    assert "It is restarted after" in error.value
    if problem == "noted":
        assert "has not answered for 2 minutes" in error.value
        assert server.servers(copied.settings)[0].state == "silent"


def test_a_log_that_is_down_is_reported(
    copied, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogState(ok=False, waiting=1200, lost=30, reason="The disk is full.")
    monkeypatch.setattr(endpoint_status, "status", lambda *_, **__: status(log=log))
    (warning,) = open_page(copied.settings, "serve").warning
    assert "The disk is full." in warning.value
    assert "1,200 rows wait to be written. 30 rows did not fit and are lost." in warning.value


def test_an_endpoint_that_was_given_up_shows_its_reason_and_can_be_restarted(
    copied, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = server.find(copied.settings, copied.port)
    server.keep(
        copied.settings,
        replace(served, state="died", restarts=8, problem="It was started 8 times in a row."),
    )
    app = open_page(copied.settings, "serve")
    assert "It was started 8 times in a row." in app.error[0].value
    assert any("restarts after a fault: 8" in caption.value for caption in app.caption)
    restarted: list[int] = []
    monkeypatch.setattr(endpoint, "restart", lambda _, port: restarted.append(port))
    app.button(key=f"restart-{copied.port}").click().run()
    assert restarted == [copied.port]


def test_a_challenger_beside_the_champion_can_become_its_shadow(
    copied, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_status, "status", lambda *_, **__: status())
    served = server.find(copied.settings, copied.port)
    second = replace(served, port=copied.port + 1, version="2", is_live=False)
    server.keep(copied.settings, second)
    app = open_page(copied.settings, "serve")
    assert not app.exception
    # the state of the live endpoint comes first; the other is a closed section
    assert app.subheader[0].value == "kobe-shots, version 1 (champion)"
    (section,) = [each for each in app.expander if "version 2 · Port" in each.label]
    assert section.label == f"kobe-shots, version 2 · Port: {second.port} · answering"
    assert not section.proto.expanded
    (toggle,) = app.toggle
    assert not toggle.value
    for port in (second.port, None):
        app.toggle[0].set_value(port is not None).run()
        assert not app.exception
        assert server.find(copied.settings, copied.port).shadow == port
        assert app.toggle[0].value == (port is not None)


def test_foreign_servers_are_shown_without_a_button(
    copied, open_page: OpenPage, text_of: Callable[[AppTest], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_servers, "listed", lambda settings: [])
    app = open_page(copied.settings, "serve")
    assert not [each for each in app.expander if each.label.startswith("Not started by this app")]
    foreign = [
        external_servers.Foreign(
            5009, 4711, "python -m mlflow models serve -m x", 0.0, is_model=True
        ),
        external_servers.Foreign(5010, None, "", None, is_model=False),
    ]
    monkeypatch.setattr(external_servers, "listed", lambda settings: foreign)
    app = open_page(copied.settings, "serve")
    text = text_of(app)
    assert "MLflow, Port: 5009, PID: 4711" in text
    assert "Port: 5010, PID: –" in text
    assert foreign[0].command in text
    (section,) = [each for each in app.expander if each.label == "Not started by this app (2)"]
    assert not section.proto.expanded
    assert not [
        button for button in app.button if button.key and button.key.endswith(("5009", "5010"))
    ]


# --- keys ---------------------------------------------------------------------------------------


def test_a_key_is_shown_once_listed_by_its_name_and_revoked(
    copied,
    open_page: OpenPage,
    press: Callable[[AppTest, str], AppTest],
    text_of: Callable[[AppTest], str],
) -> None:
    settings: Settings = copied.settings
    app = open_page(settings, "serve")
    assert "Any program on this machine can call the endpoint." in text_of(app)
    app.text_input[0].input("Ann's [nightly](http://x) job")
    press(app, "Create")
    assert not app.exception
    (key,) = [block.value for block in app.code if api_keys.accepts(settings, block.value)]
    assert "API keys (1)" in labels(app)
    assert "A call needs a key in the header" in text_of(app)
    app.run()
    assert key not in text_of(app)
    assert "**Ann's \\[nightly\\](http\\://x) job** · " in text_of(app)
    press(app, "Revoke")
    assert api_keys.listed(settings) == []
    # an empty name is refused
    press(app, "Create")
    assert "Enter a name" in app.error[0].value
