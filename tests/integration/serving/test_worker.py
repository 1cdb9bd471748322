"""The process of an endpoint: what it leaves to MLflow's application, and which version answers."""

import asyncio
import gzip
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pandas as pd
import pytest
import requests
from starlette.requests import Request
from starlette.responses import Response

from core.platform import process
from core.platform.config import Settings
from core.serving import api_keys, endpoint_status, server, versions
from core.serving import app as application
from tests.integration.serving.endpoints import (
    EndpointProcess,
    ThreadEndpoint,
    bare,
    damage,
    forget,
    free_port,
    until,
)

SQUEEZED = gzip.compress(b'{"predictions": []}', mtime=0)


class Model:
    """Stands in for a version: its application answers with what it received.

    `/hang` waits for a release. A row of a request is scored by the version's number.
    """

    def __init__(self, described):
        self.name = described.version
        self.release = threading.Event()

    async def __call__(self, scope, receive, send):
        request = Request(scope, receive)
        body = await request.body()
        path = scope["raw_path"].decode()
        if path == "/hang":
            await asyncio.to_thread(self.release.wait, 60)
        echo = {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode(),
            "headers": sorted(
                [name.decode(), value.decode()]
                for name, value in scope["headers"]
                if name != b"content-length"
            ),
            "body": body.hex(),
        }
        content = b"" if path == "/empty" else json.dumps(echo).encode()
        status = {"/teapot": 418, "/empty": 204, "/away": 302}.get(path, 200)
        headers = {"X-Name": self.name}
        if path == "/squeezed":
            content, headers["Content-Encoding"] = SQUEEZED, "gzip"
        answer = Response(content, status, headers)
        answer.set_cookie("a", "1")
        answer.set_cookie("b", "2")
        await answer(scope, receive, send)

    def predict(self, frame):
        self.release.wait(60)
        share = [int(self.name) / 10] * len(frame)
        return pd.DataFrame({"probability": share, "label": [0] * len(frame)})


class Loader(dict):
    """Loads stand-ins, and keeps them by their number."""

    def __init__(self, timeout=60.0, delay=0.0):
        super().__init__()
        self.timeout, self.delay = timeout, delay

    def __call__(self, described):
        time.sleep(self.delay)
        if described.version == "13":
            raise ValueError("no good")
        model = self[described.version] = Model(described)
        return versions.Version(described.version, model, model, self.timeout)


def endpoint_in(folder, loader):
    settings = Settings(home=folder / "home", upload_limit_mb=1, allowed_hosts="models.example")
    return ThreadEndpoint(settings, free_port(), folder, loader=loader)


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def front(tmp_path, loader):
    """An endpoint that serves version 1 of a model that needs the input `a`."""
    endpoint = endpoint_in(tmp_path, loader)
    endpoint.keep(inputs={"a": "number"}, version="1")
    endpoint.start()
    yield endpoint
    for model in loader.values():
        model.release.set()
    endpoint.end()


def serve_version(front, version):
    """Store this version as the one to serve."""
    front.keep(inputs={"a": "number"}, version=version)


def raw(port, method, path, body=None, headers=(), chunked=False):
    """Send exactly these headers; return status, reason, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for key, value in headers:
        connection.putheader(key, value)
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for first in range(0, len(body), 7):
            part = body[first : first + 7]
            connection.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        connection.send(b"0\r\n\r\n")
    else:
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
    answer = connection.getresponse()
    headers = [pair for pair in answer.getheaders() if pair[0] != "date"]
    result = answer.status, answer.reason, headers, answer.read()
    connection.close()
    return result


HOST = ("Host", "models.example")
JSON = ("Content-Type", "application/json")


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("GET", "/ping", None, [HOST]),
        ("GET", "/version?a=1&b=%2F%20x&a=2", None, [HOST, ("Accept", "*/*")]),
        ("GET", "/a%2Fb/%C3%A9//c/../d", None, [HOST]),
        ("POST", "/x", bytes(range(256)) * 100, [HOST, ("Content-Type", "x/y")]),
        ("POST", "/x", SQUEEZED, [HOST, JSON, ("Content-Encoding", "gzip")]),
        ("POST", "/squeezed", b"{}", [HOST, JSON, ("Accept-Encoding", "gzip")]),
        ("PUT", "/x", b"abc", [HOST, ("X-Many", "1"), ("X-Many", "2"), ("User-Agent", "me")]),
        ("DELETE", "/x", b"", [HOST, ("Cookie", "a=1; b=2")]),
        ("PATCH", "/teapot", b"1", [HOST]),
        ("OPTIONS", "/x", None, [HOST, ("Origin", "http://models.example")]),
        ("GET", "/empty", None, [HOST]),
        ("GET", "/away", None, [HOST]),
        ("HEAD", "/ping", None, [HOST]),
    ],
)
def test_other_requests_are_answered_as_if_the_application_stood_alone(
    front, method, path, body, headers
):
    with bare(Model(front.record(version="1"))) as port:
        assert raw(front.port, method, path, body, headers) == raw(
            port, method, path, body, headers
        )


def test_a_body_in_chunks_arrives_whole(front):
    status, _, _, answer = raw(front.port, "POST", "/x", b"0123456789" * 10, [HOST], chunked=True)
    assert status == 200
    assert bytes.fromhex(json.loads(answer)["body"]) == b"0123456789" * 10


def test_a_body_up_to_the_limit_passes_and_a_larger_one_is_refused(front):
    url = f"{front.url}/x"
    assert requests.post(url, data=b"x" * 1_000_000, timeout=60).status_code == 200
    for body in (b"x" * 1_000_001, iter([b"x" * 600_000] * 2)):
        answer = requests.post(url, data=body, timeout=60)
        assert answer.status_code == 413
        assert answer.json() == {
            "error_code": "REQUEST_LIMIT_EXCEEDED",
            "message": "The request is larger than 1 MB. Send fewer rows at a time.",
        }


# --- which version answers ----------------------------------------------------------------------


def name_of(answer):
    return answer.headers["X-Name"]


def test_the_next_request_is_answered_by_the_next_version_on_the_same_connection_too(front):
    with requests.Session() as session:
        for _ in range(3):
            for version in "123":
                serve_version(front, version)
                for _ in range(3):
                    assert name_of(session.get(f"{front.url}/ping", timeout=60)) == version


def test_requests_in_flight_are_counted_and_answered_by_the_old_version(front, loader):
    assert requests.get(f"{front.url}/ping", timeout=60).status_code == 200
    with ThreadPoolExecutor(3) as pool:
        slow = [pool.submit(requests.get, f"{front.url}/hang", timeout=60) for _ in range(3)]
        until(lambda: endpoint_status.status(front.port).in_flight == {"1": 3})
        serve_version(front, "2")
        assert name_of(requests.get(f"{front.url}/ping", timeout=60)) == "2"
        status = endpoint_status.status(front.port)
        assert (status.version, status.in_flight) == ("2", {"1": 3})
        loader["1"].release.set()
        assert {name_of(future.result()) for future in slow} == {"1"}
    assert endpoint_status.status(front.port).in_flight == {}


def load(front, version, token=None):
    described = front.record(inputs={"a": "number"}, version=version)
    headers = {"X-Courtside-Token": token or api_keys.internal_token(front.settings)}
    body = server.written(described)
    return requests.post(f"{front.url}/.gateway/load", data=body, headers=headers, timeout=60)


def test_a_version_is_loaded_beside_the_live_one_and_answers_once_it_is_on_record(front, loader):
    assert load(front, "2").json() == {}
    assert name_of(requests.get(f"{front.url}/ping", timeout=60)) == "1"
    serve_version(front, "2")
    assert name_of(requests.get(f"{front.url}/ping", timeout=60)) == "2"
    # not a second time
    first = loader["2"]
    load(front, "2")
    assert loader["2"] is first


def test_a_version_that_does_not_load_is_reported_and_the_live_one_stays(front):
    refused = load(front, "13")
    assert refused.status_code == 409
    assert refused.json() == {"is_changed": False, "problem": "ValueError: no good"}
    assert name_of(requests.get(f"{front.url}/ping", timeout=60)) == "1"


def test_only_own_processes_may_load_a_version(front, loader):
    assert load(front, "2", token="guess").headers["X-Name"] == "1"
    assert "2" not in loader


def test_without_a_model_it_waits_a_little_and_then_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(application, "WAIT_SECONDS", 0.3)
    endpoint = endpoint_in(tmp_path, Loader())
    endpoint.start()
    for version in (None, "13"):
        if version:
            endpoint.keep(version=version)
        answer = requests.post(f"{endpoint.url}/invocations", data=b"{}", timeout=60)
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert answer.json()["message"].startswith("No model answers now")
    assert endpoint_status.status(endpoint.port).version is None
    endpoint.end()


def test_an_unreadable_record_changes_nothing(front):
    assert name_of(requests.get(f"{front.url}/ping", timeout=60)) == "1"
    for text in ("{", "{}", "[]", '{"version": null}'):
        damage(front.settings, front.port, text)
        assert endpoint_status.status(front.port).version == "1"
    forget(front.settings, front.port)
    assert endpoint_status.status(front.port).version is None


def test_a_request_waits_for_a_version_that_is_being_loaded(tmp_path):
    endpoint = endpoint_in(tmp_path, Loader(delay=0.5))
    endpoint.start()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(requests.get, f"{endpoint.url}/ping", timeout=60)
        time.sleep(0.3)
        assert not pending.done()
        serve_version(endpoint, "2")
        assert name_of(pending.result()) == "2"
    endpoint.end()


def test_a_model_that_does_not_answer_in_time_is_answered_as_mlflow_does(tmp_path):
    loader = Loader(timeout=2.0)
    endpoint = endpoint_in(tmp_path, loader)
    endpoint.keep(inputs={"a": "number"}, version="1")
    endpoint.start()
    body = {"dataframe_split": {"columns": ["a"], "data": [[1]]}}
    answer = requests.post(f"{endpoint.url}/invocations", json=body, timeout=60)
    assert (answer.status_code, answer.text) == (504, "Request processing time exceeded limit")
    loader["1"].release.set()
    assert requests.post(f"{endpoint.url}/invocations", json=body, timeout=60).json() == {
        "predictions": [{"probability": 0.1, "label": 0}]
    }
    endpoint.end()


def test_versions_that_nobody_serves_are_released(loader, tmp_path, monkeypatch):
    held = versions.Versions(loader)
    one, two, three = (endpoint_in(tmp_path, loader).record(version=version) for version in "123")
    for described in (one, two, three):
        held.load(described)
    held.release(one)
    # the one on record, and the one that may be next
    assert [bool(held.get(described)) for described in (one, two, three)] == [True, False, True]
    monkeypatch.setattr(versions, "PENDING_SECONDS", 0.0)
    held.release(one)
    assert held.get(three) is None


def test_the_status_of_another_program_is_none():
    async def other(scope, receive, send):
        await Response("[]")(scope, receive, send)

    with bare(other) as port:
        assert endpoint_status.status(port) is None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert endpoint_status.status(probe.getsockname()[1]) is None


SLOW = """
import time
import mlflow
import pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(2)
        return pd.DataFrame({"probability": [0.5], "label": [1]})

mlflow.models.set_model(Model())
"""


def test_an_endpoint_that_is_asked_to_end_answers_requests_in_flight(tmp_path):
    code = tmp_path / "code.py"
    code.write_text(SLOW, encoding="utf-8")
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=str(code), pip_requirements=[])
    own = EndpointProcess(Settings(home=tmp_path / "home"), free_port(), tmp_path / "model")
    own.keep(inputs={"a": "number"})
    own.start()
    body = {"dataframe_split": {"columns": ["a"], "data": [[1]]}}
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.post, f"{own.url}/invocations", json=body, timeout=60)
        until(lambda: endpoint_status.status(own.port).in_flight)
        own.child.terminate()
        until(lambda: process.port_is_free(own.port))
        assert slow.result().status_code == 200
    assert own.child.wait(60) == 0
