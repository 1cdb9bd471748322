"""The serve step with two real models: the live endpoint follows the champion."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from mlflow import MlflowClient

from core.platform import model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, StoreError
from core.platform.runs import ModelVersion
from core.scoring import score
from core.serving import endpoint, endpoint_status, serve, server, server_process
from core.training import train
from tests.conftest import copy_home
from tests.integration.serving.endpoints import serving

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
ROWS = 20


@dataclass
class Two:
    """Version 1, a logistic regression, is champion; version 2, a tree, is challenger."""

    settings: Settings
    served: serve.Result
    body: dict[str, object]
    expected: dict[str, np.ndarray]


def set_champion(settings: Settings, version: str) -> None:
    client = MlflowClient(settings.mlflow_uri)
    client.set_registered_model_alias(SPEC.model, model_store.CHAMPION, version)


@pytest.fixture(scope="module")
def two(
    prepared_sample: Settings, module_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Two]:
    home = tmp_path_factory.mktemp("two") / "home"
    settings = copy_home(prepared_sample, home, serve_port=module_port)
    for candidate in ("lr", "dt"):
        train.run(
            settings,
            train.Options(candidates=(candidate,), folds=2, fit_share=0.3, learning_seconds=0),
        )
    tested = {
        number: tracking.table(
            settings,
            model_store.require_version(settings, SPEC.model, number).run_id,
            "test_predictions",
        ).head(ROWS)
        for number in ("1", "2")
    }
    columns = list(SPEC.features)
    body = {"columns": columns, "data": tested["1"][columns].astype(float).to_numpy().tolist()}
    served = serve.run(settings, serve.Options())
    try:
        yield Two(
            settings,
            served,
            {"dataframe_split": body},
            {number: rows["courtside_probability"].to_numpy() for number, rows in tested.items()},
        )
    finally:
        for left in server.servers(settings):
            server_process.stop(settings, left.port)


def who_answered(two: Two, answer: requests.Response) -> str:
    """Return the version whose probabilities these are."""
    assert answer.status_code == 200
    probabilities = np.array([row["probability"] for row in answer.json()["predictions"]])
    matches = [
        number
        for number, expected in two.expected.items()
        if np.abs(probabilities - expected).max() < 1e-12
    ]
    assert len(matches) == 1
    return matches[0]


def ask(two: Two) -> str:
    url = f"{two.served.url}/invocations"
    return who_answered(two, requests.post(url, json=two.body, timeout=60))


def test_the_champion_is_served_on_the_live_port_and_scored_there(two: Two) -> None:
    assert two.served.port == two.settings.serve_port
    assert np.abs(two.expected["1"] - two.expected["2"]).max() > 0.01
    assert ask(two) == "1"
    (served,) = server.servers(two.settings)
    assert (served.url, served.version, served.alias) == (two.served.url, "1", "champion")
    run = tracking.run(two.settings, two.served.run_id)
    assert run is not None
    assert run.params["served_port"] == str(two.served.port)
    scored = score.run(two.settings, score.Options(source="production", port=two.served.port))
    assert scored.rows > 0


@pytest.fixture(scope="module")
def bare(two: Two) -> Iterator[int]:
    """The port of MLflow's own server of version 1."""
    live = endpoint.live(two.settings)
    assert live is not None
    assert live.folder is not None
    with serving(live.folder) as (port, _):
        yield port


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/ping", {}, None),
        ("GET", "/health", {}, None),
        ("GET", "/version", {}, None),
        ("HEAD", "/ping", {}, None),
        ("GET", "/nothing", {}, None),
        ("GET", "/invocations", {}, None),
        ("POST", "/invocations", {"Content-Type": "application/json"}, "good"),
        ("POST", "/invocations", {"Content-Type": "application/json"}, "{"),
        ("POST", "/invocations", {"Content-Type": "application/json"}, '{"inputs": [[1]]}'),
        ("POST", "/invocations", {"Content-Type": "application/json"}, ""),
        ("POST", "/invocations", {"Content-Type": "text/csv"}, "a,b\n1,2\n"),
        ("POST", "/invocations", {"Content-Type": "text/odd"}, "x"),
        ("POST", "/invocations", {}, "x"),
    ],
)
def test_the_endpoint_answers_as_the_bare_server_does(
    two: Two, bare: int, method: str, path: str, headers: dict[str, str], body: str | None
) -> None:
    live = endpoint.live(two.settings)
    assert live is not None
    body_options = {"json": two.body} if body == "good" else {"data": body}
    answers = [
        requests.request(
            method, f"http://127.0.0.1:{port}{path}", headers=headers, timeout=60, **body_options
        )
        for port in (live.port, bare)
    ]
    own = {"date", "x-request-id", "x-prediction-ids", "x-prediction-log"}
    contents = [
        (
            answer.status_code,
            answer.reason,
            answer.content,
            {name: text for name, text in answer.headers.items() if name.lower() not in own},
        )
        for answer in answers
    ]
    if headers.get("Content-Type") == "text/csv":
        # rows that the endpoint can read and that do not fit: refused by it, in MLflow's shape
        assert [answer.status_code for answer in answers] == [400, 400]
        assert answers[0].json()["error_code"] == "BAD_REQUEST"
        assert "Missing columns: lat, lon" in answers[0].json()["message"]
        return
    if answers[1].status_code >= 500:
        # an unreadable body is the caller's error, not the server's
        assert answers[0].status_code == 400
        assert "be read" in answers[0].json()["message"]
        return
    assert contents[0] == contents[1]


def test_the_endpoint_follows_a_champion_that_was_moved_elsewhere(two: Two) -> None:
    """Tests of the endpoint and of the rollback check that no request fails meanwhile."""
    before = server.servers(two.settings)[0]
    set_champion(two.settings, "2")
    served = serve.run(two.settings, serve.Options())
    assert (served.version, served.url) == ("2", two.served.url)
    assert {ask(two) for _ in range(20)} == {"2"}
    (now,) = server.servers(two.settings)
    assert (now.port, now.pid, now.version) == (before.port, before.pid, "2")


def test_serving_the_live_version_starts_nothing_and_another_target_runs_beside_it(
    two: Two,
) -> None:
    (before,) = server.servers(two.settings)
    again = serve.run(two.settings, serve.Options())
    assert again.port == before.port
    assert server.servers(two.settings) == [before]

    second = serve.run(two.settings, serve.Options(target="1", shadow=True))
    try:
        assert second.port > before.port
        answer = requests.post(f"{second.url}/invocations", json=two.body, timeout=60)
        assert who_answered(two, answer) == "1"
        # the live endpoint answers its callers, and the other one gets a copy
        assert ask(two) == "2"
        assert [served.shadow for served in endpoint.endpoints(two.settings)] == [second.port, None]
        assert copies(before.port) == 1
        # once both answer by one version, there is nothing to compare
        set_champion(two.settings, "1")
        serve.run(two.settings, serve.Options())
        assert ask(two) == "1"
        assert [served.shadow for served in endpoint.endpoints(two.settings)] == [None, None]
    finally:
        server_process.stop(two.settings, second.port)
    (now,) = server.servers(two.settings)
    assert (now.port, now.pid, now.version) == (before.port, before.pid, "1")


def copies(port: int) -> int:
    """Return how many copies were answered, once there are any."""
    end = time.monotonic() + 60
    while True:
        status = endpoint_status.status(port)
        if (status and status.shadow and status.shadow.sent) or time.monotonic() > end:
            return status.shadow.sent if status and status.shadow else 0
        time.sleep(0.05)


def test_a_shadow_is_another_version_than_the_live_one(two: Two) -> None:
    with pytest.raises(ValueError, match="cannot shadow itself"):
        serve.Options(shadow=True)
    with pytest.raises(InputError, match="cannot shadow itself"):
        serve.run(two.settings, serve.Options(target="1", shadow=True))
    assert len(server.servers(two.settings)) == 1


def test_a_change_that_cannot_be_recorded_leaves_the_endpoint_answering(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("MLflow cannot be used: disk full")

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "log", full)
        with pytest.raises(StoreError, match="disk full"):
            serve.run(two.settings, serve.Options())
    assert ask(two) == "1"


def test_stop_leaves_no_process(two: Two) -> None:
    (live,) = server.servers(two.settings)
    server_process.stop(two.settings, live.port)
    assert server.servers(two.settings) == []
    folder = str(two.settings.state_dir)
    left = []
    for running in psutil.process_iter():
        try:
            if running.cwd() == folder and running.status() != psutil.STATUS_ZOMBIE:
                left.append(running)
        except psutil.Error:
            continue
    assert left == []


def test_a_first_start_that_cannot_be_recorded_leaves_no_server(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = server.Server(
        5271, 1, 0.0, SPEC.model, "1", "champion", "run", "ready", 0.0, tmp_path, None, False
    )
    stopped: list[int] = []
    version = ModelVersion(SPEC.model, "1", "run", ("champion",), {}, 0.0)
    monkeypatch.setattr(model_store, "require_version", lambda *_: version)
    monkeypatch.setattr(endpoint, "follow", lambda *_, **__: live)
    monkeypatch.setattr(server_process, "stop", lambda _, port: stopped.append(port))

    def full(*_: object) -> None:
        raise StoreError("MLflow cannot be used: disk full")

    monkeypatch.setattr(tracking, "log", full)
    with pytest.raises(StoreError, match="disk full"):
        serve.run(settings, serve.Options())
    assert stopped == [5271]
