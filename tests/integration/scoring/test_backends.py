"""A served model that scores the rows of a scoring: when a response counts as logged."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from core.platform.config import Settings
from core.scoring import backends
from core.serving.endpoint_status import Status
from core.serving.metrics import Recent
from core.serving.prediction_log import LogState
from core.serving.server import Server

ROWS = pd.DataFrame({"lat": [1.0, 2.0]})


class Endpoint(BaseHTTPRequestHandler):
    """Answers as an endpoint whose log is behind.

    The first answer that the log has is the one numbered `behind`; `waiting` says how many rows
    each question about its state finds in memory, the last one for all that follow.
    """

    behind = 1
    waiting: list[int]
    uptime = 3600.0
    request_ids: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = type(self)
        kind.request_ids.append(self.headers["X-Request-Id"])
        body = {"predictions": [{"probability": 0.5, "label": 1}] * 2}
        is_delayed = len(kind.request_ids) <= kind.behind
        log = {"X-Prediction-Log": "delayed"} if is_delayed else {}
        self._send(body, {"X-Request-Id": self.headers["X-Request-Id"], **log})

    def do_GET(self) -> None:
        kind = type(self)
        rows = kind.waiting.pop(0) if len(kind.waiting) > 1 else kind.waiting[0]
        counts = Recent(0, {}, 0, 0, 0, 0, [], None, None, None)
        log = LogState(waiting=rows)
        self._send(asdict(Status("1", {}, kind.uptime, 1, counts, log, None, False)), {})

    def _send(self, body: object, headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[type[Endpoint]]:
    kind = type("Behind", (Endpoint,), {"request_ids": [], "waiting": [0]})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as http_server:
        kind.port = http_server.server_address[1]
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield kind
        http_server.shutdown()


def endpoint(home: Path, port: int) -> backends.Endpoint:
    served = Server(
        port,
        1,
        0.0,
        "shots",
        "1",
        "champion",
        "run",
        "ready",
        time.time(),
        home / "x.log",
        None,
        False,
    )
    settings = Settings(home=home)
    return backends.Endpoint(
        settings, served, "file", "0" * 32, {"lat": "number"}, True, None, False, lambda: None
    )


def test_rows_are_answered_once_the_log_has_them(tmp_path: Path, served: type[Endpoint]) -> None:
    served.waiting = [2, 2, 0]
    answered = endpoint(tmp_path, served.port)(ROWS, None, "a-1")
    assert answered.is_logged
    assert answered.probabilities.tolist() == [0.5, 0.5]
    # the model did not score them again
    assert served.request_ids == ["a-1"]
    assert served.waiting == [0]


def test_a_restarted_endpoint_is_asked_again_under_the_same_id(
    tmp_path: Path, served: type[Endpoint]
) -> None:
    """What the previous one had in memory is lost, although nothing waits in this one."""
    served.uptime = 0.0
    assert endpoint(tmp_path, served.port)(ROWS, None, "a-1").is_logged
    assert served.request_ids == ["a-1", "a-1"]


def test_a_log_that_stays_down_is_waited_for_once(
    tmp_path: Path, served: type[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows stay in the endpoint's memory then, each of them once."""
    monkeypatch.setattr(backends, "LOG_SECONDS", 0.0)
    served.behind, served.waiting = 100, [4]
    ask = endpoint(tmp_path, served.port)
    ask(ROWS, None, "a-1")
    monkeypatch.setattr(backends, "LOG_SECONDS", 3600.0)
    ask(ROWS, None, "a-2")
    assert served.request_ids == ["a-1", "a-2"]
    # once it has caught up, it is waited for again
    served.waiting = [0, 4, 0]
    ask(ROWS, None, "a-3")
    ask(ROWS, None, "a-4")
    assert served.request_ids == ["a-1", "a-2", "a-3", "a-4"]
    assert served.waiting == [0]
