"""The gateway as a relay: it passes everything on to the backend on record at that moment."""

import asyncio
import gzip
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from aiohttp import test_utils

from core.platform import process
from core.platform.config import Settings
from core.serving import gateway
from tests.integration.serving.gateways import GatewayProcess, damage, forget, free_port, until

pytestmark = pytest.mark.long

SQUEEZED = gzip.compress(b'{"predictions": []}', mtime=0)


class Backend(ThreadingHTTPServer):
    """Answers with what it received; `/hang` waits for a release, `/drop` closes the connection."""

    daemon_threads = True

    def __init__(self, name, port=0):
        self.name = name
        self.release = threading.Event()
        self.asked = 0
        self.drops = 0
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def port(self):
        return self.server_port


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self):
        body = self.body()
        self.server.asked += 1
        if self.path == "/drop" or self.server.drops:
            self.server.drops = max(0, self.server.drops - 1)
            self.close_connection = True
            return
        if self.path == "/hang":
            self.server.release.wait(60)
        # without the date and the name that the library would add
        if self.path == "/teapot":
            self.send_response_only(418, "I am a teapot")
        elif self.path == "/empty":
            self.send_response_only(204)
        elif self.path == "/away":
            self.send_response_only(302)
            self.send_header("Location", "/elsewhere")
        else:
            self.send_response_only(200)
        self.send_header("Date", "Mon, 05 Jan 2026 10:00:00 GMT")
        self.send_header("Server", "backend")
        self.send_header("X-Name", self.server.name)
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        echo = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "body": body.hex(),
        }
        data = json.dumps(echo).encode()
        if self.path == "/squeezed":
            data = SQUEEZED
            self.send_header("Content-Encoding", "gzip")
        if self.path == "/empty":
            data = b""
        else:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
    setattr(Handler, f"do_{method}", Handler.answer)


@pytest.fixture
def backend():
    """A function that starts a backend of that name."""
    started = []

    def start(name="one", port=0):
        server = Backend(name, port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def new_gateway(folder):
    """A gateway with a limit of 1 MB that is neither started nor on record."""
    settings = Settings(home=folder / "home", upload_limit_mb=1, allowed_hosts="models.example")
    return GatewayProcess(settings, free_port(), 0)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A gateway as a process of its own."""
    gateway_process = new_gateway(tmp_path_factory.mktemp("gateway"))
    gateway_process.start()
    yield gateway_process
    gateway_process.end()


@pytest.fixture
def front(running):
    # so that the last test's backend is no longer used
    forget(running.settings, running.port)
    return running


@pytest.fixture
def port(running):
    return running.port


@pytest.fixture
def own(tmp_path):
    """A gateway of this test only, not started."""
    return new_gateway(tmp_path)


def use_backend(front, port):
    """Store this backend as the current one."""
    replace(front, backend=port).keep()


def routing(port):
    """Return where requests go now, and how many are in flight."""
    status = gateway.status(port)
    return status.backend, status.in_flight


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
    result = answer.status, answer.reason, answer.getheaders(), answer.read()
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
        ("POST", "/invocations", b'{"dataframe_split": {}}', [HOST, JSON]),
        ("POST", "/invocations", bytes(range(256)) * 100, [HOST, ("Content-Type", "x/y")]),
        ("POST", "/invocations", SQUEEZED, [HOST, JSON, ("Content-Encoding", "gzip")]),
        ("POST", "/invocations", b"", [HOST]),
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
def test_request_and_answer_pass_unchanged(backend, front, port, method, path, body, headers):
    target = backend()
    use_backend(front, target.port)
    status, reason, answer_headers, answer = raw(port, method, path, body, headers)
    answer_headers = [(key, value) for key, value in answer_headers if key != "X-Request-Id"]
    assert (status, reason, answer_headers, answer) == raw(target.port, method, path, body, headers)


def test_hop_by_hop_headers_are_not_passed_on(backend, front, port):
    use_backend(front, backend().port)
    sent = [
        HOST,
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "1"),
        ("X-Other", "2"),
        ("Keep-Alive", "timeout=9"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
    ]
    status, _, _, answer = raw(port, "POST", "/x", b"abc", sent)
    echo = json.loads(answer)
    assert status == 200
    assert sorted(echo["headers"]) == [["Content-Length", "3"], list(HOST), ["X-Other", "2"]]
    assert bytes.fromhex(echo["body"]) == b"abc"


def test_a_body_in_chunks_arrives_whole(backend, front, port):
    use_backend(front, backend().port)
    status, _, _, answer = raw(port, "POST", "/x", b"0123456789" * 10, [HOST], chunked=True)
    assert status == 200
    assert bytes.fromhex(json.loads(answer)["body"]) == b"0123456789" * 10


def test_a_body_up_to_the_limit_passes_and_a_larger_one_is_refused(backend, front, port):
    target = backend()
    use_backend(front, target.port)
    url = f"http://127.0.0.1:{port}/invocations"
    assert requests.post(url, data=b"x" * 1_000_000, timeout=60).status_code == 200
    for body in (b"x" * 1_000_001, iter([b"x" * 600_000] * 2)):
        answer = requests.post(url, data=body, timeout=60)
        assert answer.status_code == 413
        assert answer.json() == {
            "error_code": "REQUEST_LIMIT_EXCEEDED",
            "message": "The request is larger than 1 MB. Send fewer rows at a time.",
        }
    assert target.asked == 1


def test_the_next_request_goes_to_the_next_backend_on_the_same_connection_too(backend, front, port):
    backends = [backend(text) for text in "abc"]
    with requests.Session() as session:
        for _ in range(3):
            for target in backends:
                use_backend(front, target.port)
                for _ in range(3):
                    answer = session.get(f"http://127.0.0.1:{port}/ping", timeout=60)
                    assert answer.headers["X-Name"] == target.name
        session.close()


def test_requests_in_flight_are_counted_and_answered_by_the_old_backend(backend, front, port):
    old_backend, new_backend = backend("old"), backend("new")
    use_backend(front, old_backend.port)
    url = f"http://127.0.0.1:{port}"
    with ThreadPoolExecutor(3) as pool:
        slow = [pool.submit(requests.get, f"{url}/hang", timeout=60) for _ in range(3)]
        until(lambda: routing(port) == (old_backend.port, {old_backend.port: 3}))
        use_backend(front, new_backend.port)
        assert routing(port) == (new_backend.port, {old_backend.port: 3})
        assert requests.get(f"{url}/ping", timeout=60).headers["X-Name"] == "new"
        old_backend.release.set()
        assert {future.result().headers["X-Name"] for future in slow} == {"old"}
    assert routing(port) == (new_backend.port, {})


def test_without_a_backend_it_waits_a_little_and_then_says_so(front, port):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = probe.getsockname()[1]
    for named in (None, gone):
        if named:
            use_backend(front, named)
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", data=b"{}", timeout=60)
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert answer.json()["message"].startswith("No model answers now")
    assert routing(port) == (gone, {})


def test_a_record_without_a_backend_changes_nothing(backend, front, port):
    target = backend()
    use_backend(front, target.port)
    assert gateway.status(port).backend == target.port
    for text in ("{", "{}", "[]", '{"backend": null}'):
        damage(front.settings, port, text)
        assert gateway.status(port).backend == target.port
    forget(front.settings, port)
    assert gateway.status(port).backend is None


def test_a_request_that_was_not_sent_yet_goes_to_the_next_backend(backend, front, port):
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(requests.get, f"http://127.0.0.1:{port}/ping", timeout=60)
        time.sleep(0.3)
        assert not pending.done()
        use_backend(front, backend("late").port)
        assert pending.result().headers["X-Name"] == "late"


def test_a_request_that_was_sent_is_repeated_once_and_only_for_scoring(backend, front, port):
    target = backend()
    use_backend(front, target.port)
    answer = requests.post(f"http://127.0.0.1:{port}/drop", data=b"{}", timeout=60)
    assert answer.status_code == 502
    assert "closed the connection" in answer.json()["message"]
    assert target.asked == 1
    target.drops = 2
    answers = [
        requests.post(f"http://127.0.0.1:{port}/invocations", data=b"{}", timeout=60)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [502, 200]
    assert target.asked == 4
    target.drops = 1
    retried = requests.post(f"http://127.0.0.1:{port}/invocations", data=b"{}", timeout=60)
    assert (retried.status_code, target.asked) == (200, 6)


def test_a_connection_that_the_backend_closed_while_idle_is_not_used(
    backend, front, port, monkeypatch
):
    monkeypatch.setattr(Handler, "timeout", 0.2)
    use_backend(front, backend().port)
    with requests.Session() as session:
        for pause in (0.0, 0.15, 0.3, 0.25, 0.4):
            time.sleep(pause)
            assert session.get(f"http://127.0.0.1:{port}/ping", timeout=60).status_code == 200


def test_the_status_of_another_program_is_none(backend):
    assert gateway.status(backend().port) is None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert gateway.status(probe.getsockname()[1]) is None


def test_a_terminated_gateway_answers_requests_in_flight(backend, own):
    target = backend()
    use_backend(own, target.port)
    own.start()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, f"{own.url}/hang", timeout=60)
        until(lambda: gateway.status(own.port).in_flight)
        own.child.terminate()
        until(lambda: process.port_is_free(own.port))
        target.release.set()
        assert slow.result().status_code == 200
    assert own.child.wait(60) == 0


# --- in this process ----------------------------------------------------------------------------


def served(own):
    return test_utils.TestServer(gateway.application(own.settings, own.port))


def test_a_backend_that_does_not_answer_in_time_is_reported(backend, own, monkeypatch):
    monkeypatch.setattr(gateway, "ANSWER_SECONDS", 0.2)
    use_backend(own, backend().port)

    async def ask():
        async with test_utils.TestClient(served(own)) as client:
            answer = await client.post("/hang", data=b"{}")
            return answer.status, await answer.json()

    status, body = asyncio.run(ask())
    assert (status, body["error_code"]) == (504, "DEADLINE_EXCEEDED")
    assert body["message"].startswith("The model did not answer within 0.2 seconds.")


def test_it_ends_when_its_record_is_gone(own, monkeypatch):
    ended = []
    monkeypatch.setattr(gateway, "ORPHAN_SECONDS", 1)
    monkeypatch.setattr(gateway.signal, "raise_signal", ended.append)

    async def live(seconds):
        async with served(own):
            await asyncio.sleep(seconds)

    use_backend(own, 5101)
    asyncio.run(live(1.9))
    assert ended == []
    forget(own.settings, own.port)
    asyncio.run(live(1.9))
    assert ended == [gateway.signal.SIGTERM]
