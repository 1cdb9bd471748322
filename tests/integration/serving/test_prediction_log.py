"""What an endpoint logs, whom it admits, what it counts, and what it does when the log is down."""

import asyncio
import json
import os
import signal
import sqlite3
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
import pandas as pd
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response

from core.platform import state
from core.platform.config import Settings
from core.platform.errors import InputError
from core.predictions_log import labels, log_search, predictions
from core.serving import api_keys, endpoint_status
from core.serving import prediction_log as recording
from core.serving.metrics import Statistics
from core.serving.versions import Version
from tests.integration.serving.endpoints import EndpointProcess, ThreadEndpoint, free_port, until
from tests.integration.serving.test_answers import NUMBERS, ask, of_request, split
from tests.postgresql import PASSWORD

# the value of a row for which the model below answers two rows
ANSWERED_TWICE = 77.5


class Model:
    """The probability is the first value, in hundredths."""

    def predict(self, frame):
        if frame.iloc[0, 0] == ANSWERED_TWICE:
            frame = pd.concat([frame, frame])
        probability = frame.iloc[:, 0] / 100
        return pd.DataFrame(
            {"probability": probability, "label": (probability >= 0.5).astype("int64")}
        )


CODE = """
import mlflow
import pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        probability = model_input.iloc[:, 0] / 100
        label = (probability >= 0.5).astype("int64")
        return pd.DataFrame({"probability": probability, "label": label})

mlflow.models.set_model(Model())
"""


async def nothing(scope, receive, send):
    """Stand in for MLflow's application."""
    await Response("{}", 404)(scope, receive, send)


def load(described):
    return Version(described.version, nothing, Model(), 60.0)


@pytest.fixture
def running(tmp_path):
    """An endpoint of that model with a home of its own, in this process."""
    settings = Settings(home=tmp_path / "home", upload_limit_mb=1)
    endpoint = ThreadEndpoint(settings, free_port(), tmp_path, loader=load)
    endpoint.keep(inputs=NUMBERS, key="shot_id")
    endpoint.start()
    yield endpoint
    endpoint.end()


@pytest.fixture
def own_process(tmp_path):
    """The same in a process of its own, as MLflow loads it."""
    code = tmp_path / "code.py"
    code.write_text(CODE, encoding="utf-8")
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=str(code), pip_requirements=[])
    settings = Settings(home=tmp_path / "home", upload_limit_mb=1)
    endpoint = EndpointProcess(settings, free_port(), tmp_path / "model")
    endpoint.keep(inputs=NUMBERS, key="shot_id")
    endpoint.start()
    yield endpoint
    endpoint.end()


def test_an_answer_names_its_predictions_and_the_log_has_them(running):
    before = time.time()
    body = split([[30, 5, 17], [60, 2, None]], [*NUMBERS, "shot_id"])
    answer = ask(running.url, body)
    name = answer.headers["X-Request-Id"]
    assert answer.headers["X-Prediction-Ids"] == f"{name}-0/{name}-1"
    rows = of_request(running, answer)
    assert rows["courtside_prediction_id"].tolist() == [f"{name}-0", f"{name}-1"]
    assert rows["courtside_row_key"].tolist() == ["17", None]
    assert rows[["distance", "minutes"]].to_numpy().tolist() == [[30, 5], [60, 2]]
    assert rows["courtside_probability"].tolist() == [0.3, 0.6]
    assert rows["courtside_predicted"].tolist() == [0, 1]
    assert set(rows["courtside_source"]) == {"api"}
    assert set(rows["courtside_version"]) == {"3"}
    assert set(rows["courtside_alias"]) == {"champion"}
    assert rows["courtside_scored_at"].between(before, time.time()).all()
    assert rows["courtside_latency_ms"].between(0, 60_000).all()
    single = ask(running.url, split([[30, 5]]))
    assert single.headers["X-Prediction-Ids"] == single.headers["X-Request-Id"] + "-0"


def test_a_wrong_number_of_answers_is_refused_and_does_not_stop_the_log(running):
    refused = ask(running.url, split([[ANSWERED_TWICE, 5]]))
    assert refused.status_code == 400
    assert "reads 2 rows in this request, which has 1" in refused.json()["message"]
    after = ask(running.url, split([[30, 5]]))
    assert len(of_request(running, after)) == 1
    assert log_search.count(running.settings) == 1
    headers = {"X-Api-Key": b"\xff", "Authorization": b"Bearer \xff", "X-Courtside-Token": b"\xff"}
    assert ask(running.url, split([[30, 5]]), **headers).status_code == 200
    api_keys.create(running.settings, "Ann")
    for name, value in headers.items():
        assert ask(running.url, split([[30, 5]]), **{name: value}).status_code == 401
    assert ask(running.url, split([[30, 5]]), Expect=b"\x80").status_code == 417


def test_a_repeated_request_is_logged_once_and_other_rows_under_its_id_are_refused(running):
    name = uuid.uuid4().hex
    for _ in range(2):
        answer = ask(running.url, split([[30, 5]]), **{"X-Request-Id": name})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, name)
    assert len(of_request(running, answer)) == 1
    refused = ask(running.url, split([[31, 5]]), **{"X-Request-Id": name})
    assert refused.status_code == 409
    assert name in refused.json()["message"]
    assert of_request(running, answer)["distance"].tolist() == [30]
    other = ask(running.url, split([[30, 5]]), **{"X-Request-Id": "mine"})
    assert other.status_code == 200
    assert len(other.headers["X-Request-Id"]) == 32


def test_only_own_processes_may_set_the_source_of_a_request(running):
    run = "a" * 32
    claims = {"X-Courtside-Source": "production", "X-Courtside-Run": run}
    for token, source, run_id in (
        (api_keys.internal_token(running.settings), "production", run),
        ("wrong", "api", None),
    ):
        answer = ask(running.url, split([[30, 5]]), **claims, **{"X-Courtside-Token": token})
        assert of_request(running, answer)["courtside_source"].tolist() == [source]
        rows = predictions.read(running.settings, run)
        assert (
            answer.headers["X-Request-Id"] + "-0" in rows["courtside_prediction_id"].tolist()
        ) == (run_id is not None)
    path = running.settings.state_dir / "gateway.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_answer_that_is_only_shown_is_neither_logged_nor_counted(running):
    token = {"X-Courtside-Token": api_keys.internal_token(running.settings)}
    shown = ask(running.url, split([[30, 5]]), **token, **{"X-Courtside-Unlogged": "1"})
    assert shown.json()["predictions"] == [{"probability": 0.3, "label": 0}]
    assert "X-Prediction-Ids" not in shown.headers
    assert endpoint_status.status(running.port).counts.requests == 0
    # nobody else may ask for that
    ask(running.url, split([[30, 5]]), **{"X-Courtside-Unlogged": "1"})
    assert log_search.count(running.settings) == 1
    assert endpoint_status.status(running.port).counts.requests == 1


def test_with_a_stored_key_calls_need_one_and_a_ping_does_not(running):
    key = api_keys.create(running.settings, "Ann's laptop")
    for path in running.settings.state_dir.glob("state.db*"):
        assert key.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    body = split([[30, 5]])
    refused = ask(running.url, body)
    assert refused.status_code == 401
    assert "valid API key" in refused.json()["message"]
    wrong = ask(running.url, body, **{"X-Api-Key": "guess"})
    assert (wrong.status_code, "valid API key" in wrong.text) == (401, True)
    for path in ("/labels", "/metrics", "/docs", "/openapi.json", "/version", "/anything"):
        assert requests.get(running.url + path, timeout=60).status_code == 401
    assert ask(running.url, body, **{"X-Api-Key": key}).status_code == 200
    assert ask(running.url, body, Authorization=f"Bearer {key}").status_code == 200
    token = api_keys.internal_token(running.settings)
    assert ask(running.url, body, **{"X-Courtside-Token": token}).status_code == 200
    # anyone may ask whether it is up
    assert requests.get(f"{running.url}/ping", timeout=60).status_code != 401
    assert endpoint_status.status(running.port).keys
    [stored_key] = api_keys.listed(running.settings)
    api_keys.revoke(running.settings, stored_key.key_id)
    assert ask(running.url, body).status_code == 200


@contextmanager
def damaged(settings: Settings) -> Iterator[None]:
    """Replace the database by something else, and restore it afterwards."""
    paths = list(settings.state_dir.glob("state.db*"))
    for path in paths:
        path.rename(path.with_name(f"aside.{path.name}"))
    state.path(settings).parent.mkdir(parents=True, exist_ok=True)
    state.path(settings).write_bytes(b"no database at all")
    yield
    state.path(settings).unlink()
    for path in paths:
        path.with_name(f"aside.{path.name}").rename(path)


@pytest.mark.long
def test_unread_keys_let_nobody_in_and_known_keys_stay_valid(own_process):
    body = split([[30, 5]])
    key = api_keys.create(own_process.settings, "Ann")
    assert ask(own_process.url, body, **{"X-Api-Key": key}).status_code == 200
    with damaged(own_process.settings):
        assert ask(own_process.url, body, **{"X-Api-Key": key}).status_code == 200
        assert ask(own_process.url, body, **{"X-Api-Key": "any"}).status_code == 401
        own_process.end()
        own_process.start()
        answer = ask(own_process.url, body, **{"X-Api-Key": key})
        assert answer.status_code == 503
        assert "API keys cannot be read" in answer.json()["message"]
        assert str(own_process.settings.home) not in answer.text
        assert endpoint_status.status(own_process.port).keys
    [stored_key] = api_keys.listed(own_process.settings)
    api_keys.revoke(own_process.settings, stored_key.key_id)
    assert ask(own_process.url, body).status_code == 200


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x07"])
def test_a_key_needs_a_name(tmp_path, name):
    with pytest.raises(InputError, match="name of 1 to 60 characters"):
        api_keys.create(Settings(home=tmp_path), name)


def test_key_names_are_unique_and_a_revoked_key_is_not_accepted(tmp_path):
    settings = Settings(home=tmp_path)
    revoked_key, valid_key = (api_keys.create(settings, name) for name in ("one", "two"))
    with pytest.raises(InputError, match="'one' exists"):
        api_keys.create(settings, " one ")
    first = api_keys.listed(settings)[0]
    api_keys.revoke(settings, first.key_id)
    assert [api_keys.accepts(settings, key) for key in (revoked_key, valid_key, "")] == [
        False,
        True,
        False,
    ]


def test_labels_are_accepted_by_id_and_by_key_and_unusable_ones_are_named(running):
    answer = ask(running.url, split([[30, 5, 17], [60, 2, 18]], [*NUMBERS, "shot_id"]))
    name = answer.headers["X-Request-Id"]
    sent = [
        {"prediction_id": f"{name}-0", "label": 1, "labelled_at": "2026-01-31T12:00:00Z"},
        {"shot_id": 18, "label": 0},
        {"shot_id": 99, "label": 0},
        {"prediction_id": f"{name}-1", "label": 2},
        {"label": 1},
        {"made": 1},
        {"prediction_id": f"{name}-1", "label": 1, "labelled_at": "soon"},
    ]
    report = ask(running.url, {"labels": sent}, path="/labels").json()
    assert (report["new"], report["unmatched"], report["rejected"]) == (3, 1, 4)
    assert [refusal["index"] for refusal in report["refused"]] == [3, 4, 5, 6]
    assert of_request(running, answer)["courtside_label"].tolist() == [1, 0]
    again = ask(running.url, {"labels": sent[:1]}, path="/labels").json()
    assert (again["new"], again["repeated"]) == (0, 1)
    [change] = labels.history(running.settings, prediction_id=f"{name}-0")
    assert change.source == "api"
    many = json.dumps({"labels": [{"shot_id": 1, "label": 1}] * 10_001}).encode()
    for body, code in (
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"labels": []}', 400),
        (b'{"labels": 3}', 400),
        (many, 413),
    ):
        unread = ask(running.url, body, path="/labels")
        assert unread.status_code == code
        assert unread.json()["message"]
    assert requests.get(f"{running.url}/labels", timeout=60).status_code == 405


def test_prometheus_and_the_status_count_what_was_answered(running):
    for body in (split([[30, 5]]), split([[30, 5]] * 3), split([[None, 5]])):
        ask(running.url, body)
    text = requests.get(f"{running.url}/metrics", timeout=60).text
    samples = {
        (sample.name, sample.labels.get("code")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("path") in (None, "/invocations")
    }
    assert samples["courtside_requests_total", "200"] == 2
    assert samples["courtside_requests_total", "400"] == 1
    assert samples["courtside_rows_total", None] == 4
    assert samples["courtside_request_seconds_count", None] == 3
    assert samples["courtside_log_up", None] == 1
    assert samples["courtside_log_lost_rows", None] == 0
    status = endpoint_status.status(running.port)
    counts = status.counts
    assert (counts.requests, counts.errors, counts.recent, counts.recent_errors) == (
        3,
        {"400": 1},
        3,
        0,
    )
    assert (counts.refused, counts.faults) == (1, 0)
    assert counts.per_minute[-1] + counts.per_minute[-2] == 3
    assert 0 < counts.p50 <= counts.p95 <= counts.p99
    assert status.log == recording.LogState()


@pytest.mark.long
def test_while_the_log_is_locked_answers_go_out_and_their_rows_are_written_later(running):
    ask(running.url, split([[30, 5]]))
    path = running.settings.state_dir / "predictions.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = [ask(running.url, split([[distance, 5]])) for distance in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["X-Prediction-Log"] for answer in answers} == {"delayed"}
        until(lambda: not endpoint_status.status(running.port).log.ok)
        log = endpoint_status.status(running.port).log
        assert (log.waiting, log.lost) == (5, 0)
        assert log.reason
        other.execute("ROLLBACK")
    other.close()
    until(
        lambda: (
            endpoint_status.status(running.port).log.ok
            and not endpoint_status.status(running.port).log.waiting
        )
    )
    for answer in answers:
        assert len(of_request(running, answer)) == 1
    until(lambda: "X-Prediction-Log" not in ask(running.url, split([[30, 5]])).headers)
    assert predictions.gaps(running.settings) == []


def test_while_postgresql_is_down_answers_go_out_and_their_rows_are_written_later(
    postgresql, tmp_path
):
    url = postgresql.new_database("gateway")
    settings = Settings(home=tmp_path / "home", predictions_url=url)
    endpoint = ThreadEndpoint(settings, free_port(), tmp_path, loader=load)
    endpoint.keep(inputs=NUMBERS)
    endpoint.start()
    # the first answers may go out while the log is still opened
    until(lambda: "X-Prediction-Log" not in ask(endpoint.url, split([[30, 5]])).headers)
    postgresql.stop()
    try:
        answers = [ask(endpoint.url, split([[distance, 5]])) for distance in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["X-Prediction-Log"] for answer in answers} == {"delayed"}
        until(lambda: not endpoint_status.status(endpoint.port).log.ok)
        reason = endpoint_status.status(endpoint.port).log.reason
        assert "Start it again" in str(reason)
        assert PASSWORD not in str(reason)
    finally:
        postgresql.start()
    until(lambda: endpoint_status.status(endpoint.port).log == recording.LogState())
    assert [len(of_request(endpoint, answer)) for answer in answers] == [1, 1, 1]
    endpoint.end()


def test_rows_that_do_not_fit_in_memory_are_counted_and_recorded_as_a_gap(tmp_path):
    settings = Settings(home=tmp_path)
    answer = {
        "model": "toy",
        "version": "3",
        "alias": None,
        "source": "api",
        "scored_at": time.time(),
        "latency_ms": 1.0,
        "features": [{"a": 1.0}] * 4,
        "probabilities": [0.5] * 4,
        "predicted": [1] * 4,
    }

    def new_answer():
        return predictions.Answer(request_id=uuid.uuid4().hex, **answer)

    async def scenario():
        predictions.write(settings, [new_answer()])
        recorder = recording.Recorder(settings, limit=10)
        recorder.start()
        with sqlite3.connect(settings.state_dir / "predictions.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = [await recorder.keep(new_answer()) for _ in range(5)]
            assert outcomes == ["delayed"] * 5
            state = recorder.state()
            assert (state.waiting, state.lost) == (8, 12)
            other.execute("ROLLBACK")
        other.close()
        end = time.monotonic() + 20
        while not predictions.gaps(settings) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        recorder.close()

    asyncio.run(scenario())
    [gap] = predictions.gaps(settings)
    assert gap.rows == 12
    assert gap.begun <= gap.ended
    assert log_search.count(settings) == 12


@pytest.mark.long
def test_a_shadow_challenger_gets_a_copy_and_its_answer_is_logged_separately(running):
    shadow = ThreadEndpoint(running.settings, free_port(), running.model, loader=load)
    shadow.keep(inputs=NUMBERS, version="4", alias="challenger", is_live=False)
    shadow.start()
    running.keep(inputs=NUMBERS, key="shot_id", shadow=shadow.port)
    answers = [ask(running.url, split([[distance, 5]])) for distance in range(3)]
    until(lambda: log_search.count(running.settings, log_search.Filters(is_shadow=True)) == 3)
    for answer in answers:
        rows = of_request(running, answer)
        assert sorted(zip(rows["courtside_version"], rows["courtside_is_shadow"], strict=True)) == [
            ("3", False),
            ("4", True),
        ]
        assert rows["courtside_probability"].nunique() == 1
    until(
        lambda: (
            endpoint_status.status(running.port).shadow
            == endpoint_status.Shadow(shadow.port, sent=3)
        )
    )
    shadow.end()
    assert ask(running.url, split([[1, 5]])).status_code == 200
    until(lambda: endpoint_status.status(running.port).shadow.failed == 1)


@pytest.mark.long
def test_after_a_kill_during_a_stream_of_requests_each_row_is_logged_once(own_process):
    """A client with its own ids repeats requests that were not answered."""
    names = [uuid.uuid4().hex for _ in range(200)]
    killed = threading.Event()

    def send(share):
        with requests.Session() as session:
            for i, name in share:
                body = split([[i % 100, 5]])
                while True:
                    try:
                        headers = {"X-Request-Id": name}
                        answer = session.post(
                            f"{own_process.url}/invocations", json=body, headers=headers, timeout=60
                        )
                    except requests.RequestException:
                        time.sleep(0.05)
                        continue
                    assert answer.status_code == 200
                    break
                if i > 60 and not killed.is_set():
                    killed.set()

    items = list(enumerate(names))
    threads = [threading.Thread(target=send, args=(items[k::4],)) for k in range(4)]
    for thread in threads:
        thread.start()
    assert killed.wait(60)
    os.kill(own_process.child.pid, signal.SIGKILL)
    own_process.child.wait(60)
    own_process.start()
    for thread in threads:
        thread.join(60)
    logged = log_search.browse(own_process.settings, limit=1000)["courtside_prediction_id"]
    assert sorted(logged) == sorted(f"{name}-0" for name in names)


def test_bad_calls_count_neither_as_model_errors_nor_as_latency() -> None:
    counted = Statistics()
    for _ in range(3):
        counted.answered("/invocations", 200, 0.030, rows=1)
    counted.answered("/invocations", 400, 0.0001)
    recent = counted.recent()
    assert (recent.refused, recent.faults, recent.recent_errors) == (1, 0, 0)
    assert recent.p50 == pytest.approx(30, rel=0.05)
    counted.answered("/invocations", 503, 3.0)
    recent = counted.recent()
    assert (recent.refused, recent.faults, recent.recent_errors) == (1, 1, 1)
    assert recent.p99 == pytest.approx(30, rel=0.05)
    assert recent.errors == {"400": 1, "503": 1}
