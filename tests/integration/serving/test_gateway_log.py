"""What a gateway keeps, whom it lets in, what it counts, and what it does when the log is down."""

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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from core.platform import state
from core.platform.config import Settings
from core.platform.errors import InputError
from core.predictions_log import labels, log_search, predictions
from core.serving import api_keys, gateway
from core.serving import gateway_log as recording
from core.serving.gateway_stats import Statistics
from tests.integration.serving.gateways import Standing, free_port, until
from tests.integration.serving.test_gateway import NUMBERS, ask, of_request, split
from tests.postgresql import PASSWORD

# the value of a row for which the backend below answers two
ANSWERED_TWICE = 77.5


class Model(BaseHTTPRequestHandler):
    """Answers as the scoring server does: the probability is the first value, in hundredths."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = asked["dataframe_split"]["data"]
        if data[0][0] == ANSWERED_TWICE:
            data = data * 2
        time.sleep(getattr(self.server, "pause", 0.0))
        self.server.headers_seen = dict(self.headers)
        rows = [{"probability": row[0] / 100, "label": int(row[0] >= 50)} for row in data]
        said = json.dumps({"predictions": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


@pytest.fixture(scope="module")
def model():
    """A backend that answers at once, so that the tests do not wait for MLflow's imports."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def kept(tmp_path, model):
    """A gateway before that backend, with a home of its own."""
    one = Standing(
        Settings(home=tmp_path / "home", upload_limit_mb=1), free_port(), model.server_port
    )
    one.keep(inputs=NUMBERS, key="shot_id")
    one.start()
    yield one
    one.end()


def test_an_answer_names_its_predictions_and_the_log_has_them(kept):
    before = time.time()
    asked = split([[30, 5, 17], [60, 2, None]], [*NUMBERS, "shot_id"])
    answer = ask(kept.url, asked)
    name = answer.headers["X-Request-Id"]
    assert answer.headers["X-Prediction-Ids"] == f"{name}-0/{name}-1"
    rows = of_request(kept, answer)
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
    one = ask(kept.url, split([[30, 5]]))
    assert one.headers["X-Prediction-Ids"] == one.headers["X-Request-Id"] + "-0"


def test_rows_that_the_model_counts_otherwise_are_refused_and_silence_no_log(kept):
    refused = ask(kept.url, split([[ANSWERED_TWICE, 5]]))
    assert refused.status_code == 400
    assert "2, not 1" in refused.json()["message"]
    after = ask(kept.url, split([[30, 5]]))
    assert len(of_request(kept, after)) == 1
    assert log_search.count(kept.settings) == 1
    headers = {"X-Api-Key": b"\xff", "Authorization": b"Bearer \xff", "X-Courtside-Token": b"\xff"}
    assert ask(kept.url, split([[30, 5]]), **headers).status_code == 200
    api_keys.create(kept.settings, "Ann")
    for name, value in headers.items():
        assert ask(kept.url, split([[30, 5]]), **{name: value}).status_code == 401
    assert ask(kept.url, split([[30, 5]]), Expect=b"\x80").status_code == 417


def test_a_request_that_comes_again_is_kept_once_and_other_rows_under_its_id_are_refused(kept):
    name = uuid.uuid4().hex
    for _ in range(2):
        answer = ask(kept.url, split([[30, 5]]), **{"X-Request-Id": name})
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, name)
    assert len(of_request(kept, answer)) == 1
    refused = ask(kept.url, split([[31, 5]]), **{"X-Request-Id": name})
    assert refused.status_code == 409
    assert name in refused.json()["message"]
    assert of_request(kept, answer)["distance"].tolist() == [30]
    other = ask(kept.url, split([[30, 5]]), **{"X-Request-Id": "mine"})
    assert other.status_code == 200
    assert len(other.headers["X-Request-Id"]) == 32


def test_only_our_own_processes_say_where_a_request_comes_from(kept, model):
    run = "a" * 32
    claims = {"X-Courtside-Source": "production", "X-Courtside-Run": run}
    for token, source, run_id in (
        (api_keys.internal_token(kept.settings), "production", run),
        ("wrong", "api", None),
    ):
        answer = ask(kept.url, split([[30, 5]]), **claims, **{"X-Courtside-Token": token})
        assert of_request(kept, answer)["courtside_source"].tolist() == [source]
        rows = predictions.read(kept.settings, run)
        assert (
            answer.headers["X-Request-Id"] + "-0" in rows["courtside_prediction_id"].tolist()
        ) == (run_id is not None)
        # the model's server is told nothing of it
        assert not [name for name in model.headers_seen if name.startswith("X-Courtside")]
    path = kept.settings.state_dir / "gateway.token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_with_a_key_kept_calls_need_one_and_what_only_looks_does_not(kept):
    key = api_keys.create(kept.settings, "Ann's laptop")
    for path in kept.settings.state_dir.glob("state.db*"):
        assert key.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    asked = split([[30, 5]])
    refused = ask(kept.url, asked)
    assert refused.status_code == 401
    assert "needs an API key" in refused.json()["message"]
    wrong = ask(kept.url, asked, **{"X-Api-Key": "guess"})
    assert (wrong.status_code, "not accepted" in wrong.text) == (401, True)
    for path in ("/labels", "/metrics", "/docs", "/openapi.json", "/version", "/anything"):
        assert requests.get(kept.url + path, timeout=60).status_code == 401
    assert ask(kept.url, asked, **{"X-Api-Key": key}).status_code == 200
    assert ask(kept.url, asked, Authorization=f"Bearer {key}").status_code == 200
    token = api_keys.internal_token(kept.settings)
    assert ask(kept.url, asked, **{"X-Courtside-Token": token}).status_code == 200
    # that it is up is told to everybody
    assert requests.get(f"{kept.url}/ping", timeout=60).status_code != 401
    assert gateway.status(kept.port).keys
    [made] = api_keys.listed(kept.settings)
    api_keys.revoke(kept.settings, made.key_id)
    assert ask(kept.url, asked).status_code == 200


@contextmanager
def damaged(settings: Settings) -> Iterator[None]:
    """Put something else in the place of the database, and put that back."""
    found = list(settings.state_dir.glob("state.db*"))
    for path in found:
        path.rename(path.with_name(f"aside.{path.name}"))
    state.path(settings).parent.mkdir(parents=True, exist_ok=True)
    state.path(settings).write_bytes(b"no database at all")
    yield
    state.path(settings).unlink()
    for path in found:
        path.with_name(f"aside.{path.name}").rename(path)


@pytest.mark.long
def test_keys_that_were_never_read_let_nobody_in_and_known_ones_stay(kept):
    asked = split([[30, 5]])
    key = api_keys.create(kept.settings, "Ann")
    assert ask(kept.url, asked, **{"X-Api-Key": key}).status_code == 200
    with damaged(kept.settings):
        assert ask(kept.url, asked, **{"X-Api-Key": key}).status_code == 200
        assert ask(kept.url, asked, **{"X-Api-Key": "any"}).status_code == 401
        kept.end()
        kept.start()
        answer = ask(kept.url, asked, **{"X-Api-Key": key})
        assert answer.status_code == 503
        assert "API keys cannot be read" in answer.json()["message"]
        assert str(kept.settings.home) not in answer.text
        assert gateway.status(kept.port).keys
    [made] = api_keys.listed(kept.settings)
    api_keys.revoke(kept.settings, made.key_id)
    assert ask(kept.url, asked).status_code == 200


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x07"])
def test_a_key_needs_a_name(tmp_path, name):
    with pytest.raises(InputError, match="name of 1 to 60"):
        api_keys.create(Settings(home=tmp_path), name)


def test_two_keys_have_two_names_and_one_that_is_revoked_is_not_accepted(tmp_path):
    settings = Settings(home=tmp_path)
    one, two = (api_keys.create(settings, name) for name in ("one", "two"))
    with pytest.raises(InputError, match="a key named 'one'"):
        api_keys.create(settings, " one ")
    first = api_keys.listed(settings)[0]
    api_keys.revoke(settings, first.key_id)
    assert [api_keys.accepts(settings, key) for key in (one, two, "")] == [False, True, False]


def test_labels_are_taken_by_id_and_by_key_and_what_cannot_be_used_is_named(kept):
    answer = ask(kept.url, split([[30, 5, 17], [60, 2, 18]], [*NUMBERS, "shot_id"]))
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
    told = ask(kept.url, {"labels": sent}, path="/labels").json()
    assert (told["new"], told["unmatched"], told["rejected"]) == (3, 1, 4)
    assert [one["index"] for one in told["refused"]] == [3, 4, 5, 6]
    assert of_request(kept, answer)["courtside_label"].tolist() == [1, 0]
    again = ask(kept.url, {"labels": sent[:1]}, path="/labels").json()
    assert (again["new"], again["repeated"]) == (0, 1)
    [change] = labels.history(kept.settings, prediction_id=f"{name}-0")
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
        unread = ask(kept.url, body, path="/labels")
        assert unread.status_code == code
        assert unread.json()["message"]
    assert requests.get(f"{kept.url}/labels", timeout=60).status_code == 405


def test_prometheus_and_the_status_count_what_was_answered(kept):
    for body in (split([[30, 5]]), split([[30, 5]] * 3), split([[None, 5]])):
        ask(kept.url, body)
    text = requests.get(f"{kept.url}/metrics", timeout=60).text
    found = {
        (sample.name, sample.labels.get("code")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("path") in (None, "/invocations")
    }
    assert found["courtside_requests_total", "200"] == 2
    assert found["courtside_requests_total", "400"] == 1
    assert found["courtside_rows_total", None] == 4
    assert found["courtside_request_seconds_count", None] == 3
    assert found["courtside_log_up", None] == 1
    assert found["courtside_log_lost_rows", None] == 0
    told = gateway.status(kept.port)
    of = told.counts
    assert (of.requests, of.errors, of.recent, of.recent_errors) == (3, {"400": 1}, 3, 0)
    assert (of.refused, of.faults) == (1, 0)
    assert of.per_minute[-1] + of.per_minute[-2] == 3
    assert 0 < of.p50 <= of.p95 <= of.p99
    assert told.log == recording.LogState()


@pytest.mark.long
def test_while_the_log_is_locked_answers_go_out_and_their_rows_are_written_later(kept):
    ask(kept.url, split([[30, 5]]))
    path = kept.settings.state_dir / "predictions.db"
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = [ask(kept.url, split([[place, 5]])) for place in range(5)]
        assert {one.status_code for one in answers} == {200}
        assert {one.headers["X-Prediction-Log"] for one in answers} == {"delayed"}
        until(lambda: not gateway.status(kept.port).log.ok)
        log = gateway.status(kept.port).log
        assert (log.waiting, log.lost) == (5, 0)
        assert log.reason
        other.execute("ROLLBACK")
    other.close()
    until(lambda: gateway.status(kept.port).log.ok and not gateway.status(kept.port).log.waiting)
    for one in answers:
        assert len(of_request(kept, one)) == 1
    until(lambda: "X-Prediction-Log" not in ask(kept.url, split([[30, 5]])).headers)
    assert predictions.gaps(kept.settings) == []


def test_while_postgresql_is_away_answers_go_out_and_their_rows_are_written_later(
    postgresql, tmp_path, model
):
    url = postgresql.new_database("gateway")
    settings = Settings(home=tmp_path / "home", predictions_url=url)
    one = Standing(settings, free_port(), model.server_port)
    one.keep(inputs=NUMBERS)
    one.start()
    # the first answers may go out while the log is still opened
    until(lambda: "X-Prediction-Log" not in ask(one.url, split([[30, 5]])).headers)
    postgresql.stop()
    try:
        answers = [ask(one.url, split([[place, 5]])) for place in range(3)]
        assert {found.status_code for found in answers} == {200}
        assert {found.headers["X-Prediction-Log"] for found in answers} == {"delayed"}
        until(lambda: not gateway.status(one.port).log.ok)
        reason = gateway.status(one.port).log.reason
        assert "Start it again" in reason
        assert PASSWORD not in reason
    finally:
        postgresql.start()
    until(lambda: gateway.status(one.port).log == recording.LogState())
    assert [len(of_request(one, found)) for found in answers] == [1, 1, 1]
    one.end()


def test_what_does_not_fit_into_memory_is_counted_and_noted_as_a_gap(tmp_path):
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

    def made():
        return predictions.Answer(request_id=uuid.uuid4().hex, **answer)

    async def scenario():
        predictions.write(settings, [made()])
        recorder = recording.Recorder(settings, limit=10)
        recorder.start()
        with sqlite3.connect(settings.state_dir / "predictions.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            how = [await recorder.keep(made()) for _ in range(5)]
            assert how == ["delayed"] * 5
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
def test_a_challenger_in_the_shadow_gets_a_copy_and_its_answer_is_kept_apart(kept, model):
    beside = Standing(kept.settings, free_port(), model.server_port)
    beside.keep(inputs=NUMBERS, version="4", alias="challenger", is_live=False)
    beside.start()
    kept.keep(inputs=NUMBERS, key="shot_id", shadow=beside.port)
    answers = [ask(kept.url, split([[place, 5]])) for place in range(3)]
    until(lambda: log_search.count(kept.settings, log_search.Filters(is_shadow=True)) == 3)
    for one in answers:
        rows = of_request(kept, one)
        assert sorted(zip(rows["courtside_version"], rows["courtside_is_shadow"], strict=True)) == [
            ("3", False),
            ("4", True),
        ]
        assert rows["courtside_probability"].nunique() == 1
    until(lambda: gateway.status(kept.port).shadow == gateway.Shadow(beside.port, sent=3))
    beside.end()
    assert ask(kept.url, split([[1, 5]])).status_code == 200
    until(lambda: gateway.status(kept.port).shadow.failed == 1)


@pytest.mark.long
def test_after_a_kill_in_a_stream_of_requests_each_row_is_kept_once(kept):
    """A client with ids of its own sends what was not answered again."""
    names = [uuid.uuid4().hex for _ in range(200)]
    killed = threading.Event()

    def send(mine):
        with requests.Session() as session:
            for i, name in mine:
                body = split([[i % 100, 5]])
                while True:
                    try:
                        headers = {"X-Request-Id": name}
                        answer = session.post(
                            f"{kept.url}/invocations", json=body, headers=headers, timeout=60
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
    for one in threads:
        one.start()
    assert killed.wait(60)
    os.kill(kept.child.pid, signal.SIGKILL)
    kept.child.wait(60)
    kept.start()
    for one in threads:
        one.join(60)
    found = log_search.browse(kept.settings, limit=1000)["courtside_prediction_id"]
    assert sorted(found) == sorted(f"{name}-0" for name in names)


def test_a_clients_bad_calls_are_no_errors_of_the_model_and_no_latency() -> None:
    counted = Statistics()
    for _ in range(3):
        counted.answered("/invocations", 200, 0.030, rows=1)
    counted.answered("/invocations", 400, 0.0001)
    told = counted.recent()
    assert (told.refused, told.faults, told.recent_errors) == (1, 0, 0)
    assert told.p50 == pytest.approx(30, rel=0.05)
    counted.answered("/invocations", 503, 3.0)
    told = counted.recent()
    assert (told.refused, told.faults, told.recent_errors) == (1, 1, 1)
    assert told.p99 == pytest.approx(30, rel=0.05)
    assert told.errors == {"400": 1, "503": 1}
