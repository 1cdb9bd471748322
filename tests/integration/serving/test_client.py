"""Requests to a served model, here a small server that answers as planned."""

import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from core.platform import process
from core.platform.errors import InputError, ServerError
from core.serving import client

INPUTS = {"a": "number", "b": "number"}
FRAME = pd.DataFrame({"b": [1.0, 2.0, 3.0], "extra": "x", "a": [0.1, 0.2, 0.3]})


def as_split(body, kind):
    """Return the body of a request in its JSON form, whatever its content type."""
    if kind == "application/json":
        return json.loads(body)
    csv = kind == "text/csv"
    frame = pd.read_csv(io.BytesIO(body)) if csv else pd.read_parquet(io.BytesIO(body))
    rows = frame.astype("object").where(frame.notna(), None)
    data = rows.to_numpy().tolist()
    return {"dataframe_split": {"columns": list(frame), "data": data}}


class Stub(ThreadingHTTPServer):
    """Answers each POST with the next entry of `plan`, the last one repeatedly, and records all."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = ["ok"]
        self.received = []
        self.headers = []
        self.extra = {}
        self.release = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in self.server.extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, "\n")

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        request = as_split(self.rfile.read(length), self.headers["Content-Type"])
        self.server.received.append(request)
        self.server.headers.append(dict(self.headers))
        plan = self.server.plan
        action = plan.pop(0) if len(plan) > 1 else plan[0]
        if action == "drop":
            self.close_connection = True
            self.connection.close()
        elif action == "hang":
            self.server.release.wait(10)
            self.close_connection = True
        elif action == "ok":
            rows = request["dataframe_split"]["data"]
            scores = [{"probability": row[0], "label": int(row[0] >= 0.2)} for row in rows]
            self.answer(200, json.dumps({"predictions": scores}))
        else:
            self.answer(*action)


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


def test_rows_are_sent_in_batches_and_come_back_in_order(stub):
    progress = []
    scored = client.score(
        stub.url, FRAME, INPUTS, batch_rows=2, on_batch=lambda *done: progress.append(done)
    )
    assert scored.probabilities.tolist() == [0.1, 0.2, 0.3]
    assert scored.labels.tolist() == [0, 1, 1]
    assert scored.probabilities.dtype == "float64"
    assert scored.labels.dtype == "int64"
    assert scored.batches == 2
    assert scored.sizes.tolist() == [2, 1]
    assert (scored.latencies > 0).all()
    assert progress == [(2, 3), (3, 3)]
    # two batches are in flight at once
    splits = sorted(
        (request["dataframe_split"] for request in stub.received), key=lambda split: split["data"]
    )
    assert splits == [
        {"columns": ["a", "b"], "data": [[0.1, 1.0], [0.2, 2.0]]},
        {"columns": ["a", "b"], "data": [[0.3, 3.0]]},
    ]


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_each_form_sends_the_same_rows(stub, form):
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.uniform(size=(50, 2)), columns=["a", "b"])
    scored = client.score(stub.url, rows, INPUTS, form=form, batch_rows=7)
    # in order though several batches are in flight; pandas reads CSV to the last bit but one
    np.testing.assert_allclose(
        scored.probabilities, rows["a"], rtol=0, atol=1e-15 if form == "csv" else 0
    )
    assert not scored.is_logged


def test_an_endpoint_gets_headers_and_keys_beside_the_rows(stub):
    stub.extra = {"X-Request-Id": "f" * 32}
    keys = pd.Series(["7", None, "9"], name="id")
    scored = client.score(
        stub.url, FRAME, INPUTS, headers={"X-Courtside-Run": "r"}, request_id="f" * 32, keys=keys
    )
    assert scored.is_logged
    (request,), (headers,) = stub.received, stub.headers
    assert request["dataframe_split"]["columns"] == ["a", "b", "id"]
    assert [row[2] for row in request["dataframe_split"]["data"]] == ["7", None, "9"]
    assert (headers["X-Courtside-Run"], headers["X-Request-Id"]) == ("r", "f" * 32)


@pytest.mark.parametrize("status", [502, 503])
def test_an_endpoint_without_a_model_is_reported(stub, status):
    stub.plan = [(status, json.dumps({"message": "it is started again"}))]
    with pytest.raises(client.UnreachableError, match="No model answers now"):
        client.score(stub.url, FRAME, INPUTS)


def test_no_rows_send_no_request(stub):
    scored = client.score(stub.url, FRAME.head(0), INPUTS)
    assert (len(scored.probabilities), len(scored.labels), scored.batches) == (0, 0, 0)
    assert stub.received == []


def test_a_lost_connection_is_tried_again(stub):
    stub.plan = ["drop", "drop", "ok"]
    assert client.score(stub.url, FRAME, INPUTS).labels.tolist() == [0, 1, 1]
    assert len(stub.received) == 3


def test_a_connection_that_is_always_lost_is_reported(stub):
    stub.plan = ["drop"]
    with pytest.raises(ServerError, match="closed the connection"):
        client.score(stub.url, FRAME, INPUTS)
    assert len(stub.received) == 3


def test_a_refusal_is_reported_in_the_servers_words_and_not_repeated(stub):
    message = (
        "Failed to predict data '   a\n0  1'. \nError: Missing or infinite values in a (1 row)"
    )
    body = json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": message})
    stub.plan = [(400, body)]
    with pytest.raises(ServerError) as caught:
        client.score(stub.url, FRAME, INPUTS)
    assert str(caught.value) == (
        f"The model at {stub.url} refused the rows: Missing or infinite values in a (1 row)."
    )
    assert len(stub.received) == 1


@pytest.mark.parametrize(
    ("body", "words"), [("boom " * 200, "boom boom"), ("", "–"), ("[1]", r"\[1\]\.")]
)
def test_a_failure_of_the_server_is_reported_briefly(stub, body, words):
    stub.plan = [(500, body)]
    with pytest.raises(ServerError, match=f"failed with 500: .*{words}") as caught:
        client.score(stub.url, FRAME, INPUTS)
    assert len(str(caught.value)) < 500
    assert len(stub.received) == 1


def test_a_timeout_is_reported_and_not_repeated(stub):
    stub.plan = ["hang"]
    with pytest.raises(ServerError, match=r"within 0\.1 seconds"):
        client.score(stub.url, FRAME, INPUTS, timeout=0.1)
    assert len(stub.received) == 1


@pytest.mark.parametrize(
    "body", ["<html>", "[]", '{"predictions": [1, 0, 1]}', '{"predictions": {}', '{"answer": []}']
)
def test_an_answer_of_the_wrong_shape_is_refused(stub, body):
    stub.plan = [(200, body)]
    with pytest.raises(ServerError, match="with probabilities and labels"):
        client.score(stub.url, FRAME, INPUTS)


@pytest.mark.parametrize(
    ("row", "times", "words"),
    [
        ({"probability": 0.5, "label": 1}, 1, "with probabilities and labels"),
        ({"probability": 1.5, "label": 1}, 3, "with probabilities and labels"),
        ({"probability": 0.5, "label": 2}, 3, "with probabilities and labels"),
        ({"probability": 0.5, "label": None}, 3, "with probabilities and labels"),
        ({"probability": 0.5}, 3, "with probabilities and labels"),
        ({"probability": float("nan"), "label": 1}, 3, "with probabilities and labels"),
    ],
)
def test_answers_that_are_not_scores_are_refused(stub, row, times, words):
    stub.plan = [(200, json.dumps({"predictions": [row] * times}))]
    with pytest.raises(ServerError, match=words):
        client.score(stub.url, FRAME, INPUTS)


def test_a_redirect_is_not_followed(stub):
    stub.plan = [(302, "elsewhere")]
    with pytest.raises(ServerError, match="failed with 302"):
        client.score(stub.url, FRAME, INPUTS)


def test_unusable_rows_are_not_sent(stub):
    holes = FRAME.assign(a=[0.1, np.nan, 0.3], b=[np.inf, np.nan, 1.0])
    with pytest.raises(InputError) as caught:
        client.score(stub.url, holes, INPUTS)
    assert str(caught.value) == (
        "Column 'a' must not be missing: it is empty in 1 row, row 2. Column 'b' must lie in "
        "-1e+38..1e+38: violated in 1 row (inf), row 1. Column 'b' must not be missing: it "
        "is empty in 1 row, row 2."
    )
    with pytest.raises(InputError, match="'a' must not be missing: it is empty in 1 row, row 2"):
        client.score(stub.url, FRAME.assign(a=pd.array([1, None, 2], "Int64")), INPUTS)
    with pytest.raises(InputError, match="Missing columns: a, c"):
        client.score(stub.url, FRAME.drop(columns="a"), {**INPUTS, "c": "number"})
    with pytest.raises(
        InputError, match=r"^Column 'a' must be a number: violated in 3 rows \('far'"
    ):
        client.score(stub.url, FRAME.assign(a="far"), INPUTS)
    assert stub.received == []


def test_a_proxy_of_the_environment_is_not_used(stub, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert client.ping(stub.url)
    assert client.score(stub.url, FRAME, INPUTS).batches == 1


def test_no_server_at_the_address(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.001)
    url = f"http://127.0.0.1:{process.free_port(20000 + time.time_ns() % 10000)}"
    assert not client.ping(url)
    with pytest.raises(ServerError) as caught:
        client.score(url, FRAME, INPUTS)
    assert str(caught.value).startswith(f"No model answers at {url} with probabilities")


def test_texts_and_missing_values_are_sent_as_json(stub):
    stub.plan = [(200, json.dumps({"predictions": [{"probability": 0.5, "label": 1}] * 3}))]
    frame = pd.DataFrame({"t": ["x", None, "z"], "a": [1, 2, 3], "b": [0.5, np.nan, 2.0]})
    kinds = {"a": "number", "t": "text", "b": "number"}
    client.score(stub.url, frame, kinds, is_complete=False)
    (request,) = stub.received
    assert request["dataframe_split"] == {
        "columns": ["a", "t", "b"],
        "data": [[1.0, "x", 0.5], [2.0, None, None], [3.0, "z", 2.0]],
    }
    with pytest.raises(InputError, match=r"'t' must not be missing.* 'b' must not be missing"):
        client.score(stub.url, frame, kinds)
    with pytest.raises(InputError, match=r"'b' must lie in .* in 1 row \(inf\), row 2"):
        client.score(stub.url, frame.assign(b=[1, np.inf, np.nan]), kinds, is_complete=False)
    assert len(stub.received) == 1
