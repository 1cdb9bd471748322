"""Endpoints: they change their version, or come back to life, and lose no request."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
import pytest
import requests

from core.platform import process
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, NotReadyError, ServerError, StoreError
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.serving import endpoint, gateway, restarts, server
from tests.integration.serving.gateways import forget

pytestmark = pytest.mark.long

# Answers as its version after the seconds that the body says, keeps connections, and is gone at
# once when it is told to end. With a file named `broken-<version>` beside it, it does not start.
STAND_IN = """
import http.server, os, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 5
    def log_message(self, *args):
        pass
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(float(body.split()[0] if body else 0))
        self.send_response(200)
        self.send_header("X-Version", version)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer

port, version = int(sys.argv[1]), sys.argv[2]
while os.path.exists(f"deaf-{version}"):
    time.sleep(0.01)
if os.path.exists(f"broken-{version}"):
    sys.exit("OSError: no such model")
print(f"version {version} serves", flush=True)
http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def version(number):
    return ModelVersion("shots", str(number), f"run{number}", (), {}, 0.0)


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    monkeypatch.setattr(
        server,
        "_command",
        lambda described, port: [sys.executable, str(script), str(port), described.version],
    )
    monkeypatch.setattr(server, "POLL_SECONDS", 0.01)
    # there is no registry here
    files = version_files.Servable(tmp_path, {}, {}, True, 0.5, {})
    monkeypatch.setattr(version_files, "servable", lambda *_: files)
    first = process.free_port(20000 + os.getpid() % 8000)
    settings = Settings(home=tmp_path / "home", serve_port=first, upload_limit_mb=1)
    settings.state_dir.mkdir(parents=True)
    yield settings
    for left in server.servers(settings):
        server.stop(settings, left.port)
    assert ours(settings) == []


def ours(settings):
    """Return the living processes that were started in this home."""
    found = []
    for one in psutil.process_iter():
        try:
            started_here = one.cwd() == str(settings.state_dir)
            if started_here and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except psutil.Error:
            continue
    return found


def asked(front, **given):
    return requests.post(f"{front.url}/x", data=b"0", timeout=60, **given)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


# --- no request is lost -------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    sent: float
    got: float
    version: str
    kind: str


class Crowd:
    """Threads that ask without a pause, and what they were answered."""

    KINDS = frozenset({"keep-alive", "close", "anew", "slow"})

    def __init__(self, url):
        self.url = url
        self.stopping = threading.Event()
        self.answered = []
        self.failed = []

    def keep_asking(self, number, kind, seconds=0.0, size=0, **given):
        body = f"{seconds} {number} ".encode() + b"x" * size
        session = requests.Session()
        session.trust_env = False
        for count in itertools.count():
            if self.stopping.is_set():
                break
            if kind == "anew" and count % 2:
                session.close()
            sent = time.monotonic()
            try:
                answer = session.post(f"{self.url}/x", data=body, timeout=60, **given)
            except requests.RequestException as error:
                self.failed.append((kind, repr(error)))
                continue
            if answer.status_code != 200 or answer.content != body:
                self.failed.append((kind, answer.status_code, answer.content[:80]))
                continue
            self.answered.append(
                Answered(sent, time.monotonic(), answer.headers["X-Version"], kind)
            )

    def wait_for_each(self, since):
        """Wait until each kind was answered what it asked after this moment."""
        until(lambda: {one.kind for one in list(self.answered) if one.sent >= since} >= self.KINDS)

    @contextmanager
    def asking(self):
        kinds = [
            {"kind": "keep-alive"},
            {"kind": "keep-alive", "size": 200_000},
            {"kind": "close", "headers": {"Connection": "close"}},
            {"kind": "anew", "seconds": 0.01},
            {"kind": "slow", "seconds": 0.5},
            {"kind": "slow", "seconds": 0.5, "headers": {"Connection": "close"}},
        ]
        with ThreadPoolExecutor(len(kinds)) as pool:
            asking = [pool.submit(self.keep_asking, i, **one) for i, one in enumerate(kinds)]
            try:
                yield
            finally:
                self.stopping.set()
            for one in asking:
                one.result()


def test_five_changes_under_load_lose_no_request(settings):
    order = ["1", "2", "3", "2", "1", "3"]
    first = endpoint.follow(settings, version(order[0]))
    # of each version in turn: when its start was ordered, and since when it alone answers
    ordered, alone = [0.0], [time.monotonic()]
    crowd = Crowd(first.url)
    with crowd.asking():
        for number in order[1:]:
            crowd.wait_for_each(alone[-1])
            ordered.append(time.monotonic())
            now = endpoint.follow(settings, version(number))
            alone.append(time.monotonic())
            assert (now.version, now.url, now.pid) == (number, first.url, first.pid)
        crowd.wait_for_each(alone[-1])
    ends = [*alone[1:], time.monotonic()]
    last_asked = [*ordered[1:], time.monotonic()]

    assert crowd.failed == []
    for one in crowd.answered:
        # one of those that answered at some time between the question and the answer
        could = {
            number
            for number, start, end in zip(order, ordered, ends, strict=True)
            if start <= one.got and one.sent <= end
        }
        assert one.version in could, one
    for number, start, end in zip(order, alone, last_asked, strict=True):
        within = [one for one in crowd.answered if start <= one.sent and one.got <= end]
        assert {one.version for one in within} == {number}
        assert {one.kind for one in within} == Crowd.KINDS
    # the gateway and one server: the five others are gone
    assert len(ours(settings)) == 2


def test_the_old_one_is_stopped_when_it_has_answered_all(settings):
    first = endpoint.follow(settings, version(1))
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(requests.post, f"{first.url}/x", data=b"2.0", timeout=60)
        until(lambda: gateway.status(first.port).in_flight == {first.backend: 1})
        following = pool.submit(endpoint.follow, settings, version(2))
        until(lambda: gateway.status(first.port).backend != first.backend)
        assert asked(first).headers["X-Version"] == "2"
        assert gateway.status(first.port).in_flight == {first.backend: 1}
        assert not following.done()
        assert slow.result().headers["X-Version"] == "1"
        assert following.result().version == "2"
    assert process.port_is_free(first.backend)


def test_one_that_never_answers_holds_up_a_change_only_so_long(settings, monkeypatch):
    monkeypatch.setattr(endpoint, "DRAIN_SECONDS", 0.3)
    first = endpoint.follow(settings, version(1))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.post, f"{first.url}/x", data=b"15", timeout=60)
        until(lambda: gateway.status(first.port).in_flight == {first.backend: 1})
        assert endpoint.follow(settings, version(2)).version == "2"
        assert slow.result().status_code == 502
    assert asked(first).headers["X-Version"] == "2"


def test_changes_at_the_same_time_come_one_after_the_other(settings):
    first = endpoint.follow(settings, version(1))
    waits = [[], [], []]
    with ThreadPoolExecutor(3) as pool:
        made = list(
            pool.map(lambda i: endpoint.follow(settings, version(i + 2), waits[i].append), range(3))
        )
    assert [one.version for one in made] == ["2", "3", "4"]
    assert endpoint.live(settings) in made
    assert asked(first).headers["X-Version"] == endpoint.live(settings).version
    assert all(wait == sorted(wait) for wait in waits)
    assert len(ours(settings)) == 2


def test_a_change_that_does_not_end_is_told(settings, monkeypatch):
    monkeypatch.setattr(server, "TURN_SECONDS", 0.2)
    with (
        server.exclusive(settings, "live"),
        pytest.raises(NotReadyError, match="has been under way"),
    ):
        endpoint.follow(settings, version(1))
    assert server.servers(settings) == []


# --- what is told of it -------------------------------------------------------------------------


def test_it_is_one_server_to_all_who_ask(settings):
    assert endpoint.live(settings) is None
    before = time.time()
    waited = []
    first = endpoint.follow(settings, version(1), waited.append, job_id="job1")
    assert (first.port, first.state, first.alias) == (settings.serve_port, "ready", "champion")
    assert first.name == "shots version 1 (champion)"
    assert first.run_id == "run1"
    assert first.url == f"http://127.0.0.1:{settings.serve_port}"
    assert before <= first.started <= time.time()
    assert first.backend >= settings.serve_port + 100
    assert waited == sorted(waited)
    assert waited
    assert endpoint.live(settings) == first
    assert server.servers(settings) == [first]
    assert server.log_tail(settings, first.port) == "version 1 serves"
    assert server.stop_unfinished(settings, "job1") == []

    beside = endpoint.begin(settings, version(9), None, alias="challenger")
    assert beside.port > settings.serve_port
    second = endpoint.follow(settings, version(2))
    assert second.started > first.started
    assert server.servers(settings) == [second, beside]
    assert server.log_tail(settings, second.port) == "version 2 serves"
    assert requests.get(beside.url, timeout=60).headers["X-Version"] == "9"


def test_following_what_is_live_starts_nothing(settings):
    first = endpoint.follow(settings, version(1))
    again = endpoint.follow(settings, version(1), alias="other")
    assert again == replace(first, alias="other")
    assert endpoint.live(settings) == again
    # the same number in another registry is another model
    other = endpoint.follow(settings, replace(version(1), run_id="elsewhere"))
    assert other.backend != first.backend


def test_its_ports_are_taken(settings):
    first = endpoint.follow(settings, version(1))
    with pytest.raises(InputError, match=r"shots version 1 \(champion\) is served there"):
        endpoint.begin(settings, version(2), first.port, alias=None)
    with pytest.raises(InputError, match="belongs to an endpoint"):
        endpoint.begin(settings, version(2), first.backend, alias=None)
    with pytest.raises(InputError, match="runs on port"):
        server.dismiss(settings, first.port)
    assert server.free_port(settings) > first.port


def test_it_takes_the_next_port_where_another_program_has_the_first(settings):
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        busy.bind(("127.0.0.1", settings.serve_port))
        busy.listen()
        first = endpoint.follow(settings, version(1))
    assert first.port > settings.serve_port
    # and keeps it
    assert endpoint.follow(settings, version(2)).port == first.port


def test_its_body_limit_is_that_of_uploads(settings):
    first = endpoint.follow(settings, version(1))
    answer = requests.post(f"{first.url}/x", data=b"0 " + b"x" * 1_000_000, timeout=60)
    assert answer.status_code == 413
    assert "larger than 1 MB" in answer.json()["message"]


# --- what ends too early ------------------------------------------------------------------------


def test_stop_leaves_no_process(settings):
    first = endpoint.follow(settings, version(1))
    assert len(ours(settings)) == 2
    assert endpoint.stop(settings).state == "stopped"
    assert ours(settings) == []
    assert process.port_is_free(first.port)
    assert not server.is_kept(settings, first.port)
    with pytest.raises(NotReadyError, match="no live endpoint"):
        endpoint.stop(settings)
    # by its port as well, as a page does
    first = endpoint.follow(settings, version(1))
    server.stop(settings, first.port)
    assert ours(settings) == []


def test_a_killed_server_is_answered_for_with_503_until_it_is_started_again(settings):
    first = endpoint.follow(settings, version(1))
    kill(server.find(settings, first.backend).pid)
    (died,) = server.servers(settings)
    assert (died.port, died.state) == (first.port, "restarting")
    answer = asked(first)
    assert answer.status_code == 503
    assert answer.json()["message"].startswith("No model answers now")
    with pytest.raises(InputError, match="is served there"):
        server.check_port(settings, first.port)

    again = endpoint.follow(settings, version(1))

    assert (again.port, again.pid, again.state) == (first.port, first.pid, "ready")
    assert asked(first).headers["X-Version"] == "1"
    assert server.servers(settings) == [again]
    # the gateway's own try at it sees that all is up, and ends
    until(lambda: len(ours(settings)) == 2)


@pytest.mark.parametrize("number", [1, 2])
def test_a_killed_gateway_is_started_again_on_its_port(settings, number):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    assert endpoint.live(settings).state == "died"

    again = endpoint.follow(settings, version(number))

    assert again.port == first.port
    assert again.pid != first.pid
    assert (again.backend == first.backend) == (number == 1)
    assert asked(again).headers["X-Version"] == str(number)
    assert server.servers(settings) == [again]
    assert len(ours(settings)) == 2


def test_what_died_can_be_dismissed_whole(settings):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    server.dismiss(settings, first.port)
    assert ours(settings) == []
    assert server.servers(settings) == []


def test_all_of_it_killed_is_started_again(settings):
    first = endpoint.follow(settings, version(1))
    for one in ours(settings):
        kill(one.pid)
    again = endpoint.follow(settings, version(1))
    assert again.port == first.port
    assert asked(again).status_code == 200
    assert server.servers(settings) == [again]


def test_a_port_that_another_program_took_meanwhile_is_told(settings):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    until(lambda: process.port_is_free(first.port))
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        busy.bind(("127.0.0.1", first.port))
        busy.listen()
        with pytest.raises(InputError, match="in use by another program"):
            endpoint.follow(settings, version(2))
        assert endpoint.live(settings).version == "1"
    assert endpoint.follow(settings, version(2)).port == first.port


def test_a_version_that_does_not_start_leaves_the_old_one(settings):
    first = endpoint.follow(settings, version(1))
    (settings.state_dir / "broken-2").touch()
    with pytest.raises(ServerError) as caught:
        endpoint.follow(settings, version(2))
    assert caught.value.message == (
        "shots version 2 (champion) could not be served: OSError: no such model. Version 1 goes on "
        f"answering on port {first.port}."
    )
    assert server.servers(settings) == [first]
    assert asked(first).headers["X-Version"] == "1"
    assert len(ours(settings)) == 2


def test_a_first_version_that_does_not_start_leaves_nothing(settings):
    (settings.state_dir / "broken-1").touch()
    with pytest.raises(ServerError, match="OSError: no such model"):
        endpoint.follow(settings, version(1))
    (settings.state_dir / "broken-1").rename(settings.state_dir / "deaf-1")
    with pytest.raises(ServerError, match=r"did not answer on port \d+ within 0\.5 seconds"):
        endpoint.follow(settings, version(1), timeout=0.5)
    assert server.servers(settings) == []
    assert ours(settings) == []


def test_a_gateway_that_does_not_start_is_told_with_its_reason(settings, monkeypatch):
    monkeypatch.setattr(restarts, "CODE_ROOT", settings.home)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(ServerError, match="No module named 'core'"):
        endpoint.follow(settings, version(1))
    assert server.servers(settings) == []
    assert ours(settings) == []


def interrupted(settings, when, **given):
    """Follow version 2 in a thread that never comes back from this moment, as a killed job's."""

    class KilledError(BaseException):
        pass

    def on_wait(_):
        if when():
            raise KilledError

    # what an interrupt would clean up is not cleaned up when a process is killed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "stop", lambda *_: None)
        patch.setattr(process, "stop", lambda *_: None)
        with pytest.raises(KilledError):
            endpoint.follow(settings, version(2), on_wait, **given)


@pytest.mark.parametrize("by_job", [True, False])
def test_a_job_killed_while_the_new_one_starts_leaves_the_old(settings, by_job):
    first = endpoint.follow(settings, version(1), job_id="job1")
    (settings.state_dir / "deaf-2").touch()
    interrupted(settings, lambda: len(ours(settings)) == 3, job_id="job2")
    assert [one.state for one in server.servers(settings)] == ["ready"]

    if by_job:
        (stopped,) = server.stop_unfinished(settings, "job2")
        assert stopped.version == "2"
    else:
        endpoint.follow(settings, version(1))

    assert server.servers(settings) == [first]
    assert asked(first).headers["X-Version"] == "1"
    assert len(ours(settings)) == 2


@pytest.mark.parametrize("by_job", [True, False])
def test_a_job_killed_while_the_old_one_drains_leaves_the_new(settings, by_job):
    first = endpoint.follow(settings, version(1), job_id="job1")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.post, f"{first.url}/x", data=b"1", timeout=60)
        until(lambda: gateway.status(first.port).in_flight == {first.backend: 1})
        interrupted(
            settings, lambda: endpoint.live(settings).backend != first.backend, job_id="job2"
        )
        assert slow.result().status_code == 200
    now = endpoint.live(settings)
    assert now.version == "2"
    assert len(ours(settings)) == 3

    if by_job:
        (stopped,) = server.stop_unfinished(settings, "job2")
        assert stopped.port == first.backend
    else:
        endpoint.follow(settings, version(2))

    assert server.servers(settings) == [now]
    assert asked(now).headers["X-Version"] == "2"
    assert len(ours(settings)) == 2


@pytest.mark.parametrize("by_job", [True, False])
def test_a_job_killed_while_the_endpoint_begins_leaves_nothing_that_stays(settings, by_job):
    (settings.state_dir / "deaf-2").touch()
    interrupted(settings, lambda: len(ours(settings)) == 2, job_id="job2")
    (found,) = server.servers(settings)
    assert (found.port, found.state) == (settings.serve_port, "starting")
    assert len(ours(settings)) == 2

    if by_job:
        assert server.stop_unfinished(settings, "job2")
        assert server.servers(settings) == []
        assert ours(settings) == []
    (settings.state_dir / "deaf-2").unlink()
    again = endpoint.follow(settings, version(2))
    assert again.port == settings.serve_port
    assert asked(again).headers["X-Version"] == "2"
    assert len(ours(settings)) == 2


def test_it_goes_on_when_the_app_is_killed_and_is_found_again(settings, tmp_path):
    app = f"""
import os, signal, sys
from core.serving import endpoint, server
from core.registry import version_files
from core.platform.runs import ModelVersion
from core.platform.config import Settings
files = version_files.Servable(Settings.load().home, {{}}, {{}}, True, 0.5, {{}})
version_files.servable = lambda *_: files
server._command = lambda described, port: [
    sys.executable, {str(tmp_path / "stand_in.py")!r}, str(port), described.version
]
endpoint.follow(Settings.load(), ModelVersion("shots", "1", "run1", (), {{}}, 0.0))
os.killpg(0, signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", app],
        cwd=CODE_ROOT,
        env=os.environ | settings.environment(),
        start_new_session=True,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL

    found = endpoint.live(settings)

    assert (found.state, found.version) == ("ready", "1")
    assert asked(found).headers["X-Version"] == "1"
    now = endpoint.follow(settings, version(2))
    assert (now.port, now.pid) == (found.port, found.pid)
    assert asked(now).headers["X-Version"] == "2"
    assert len(ours(settings)) == 2


def test_a_gateway_that_is_kept_no_longer_ends_by_itself(settings):
    first = endpoint.follow(settings, version(1))
    forget(settings, first.port)
    until(lambda: not server.is_alive(first), 30)
    server.keep(settings, first)


def test_a_version_whose_files_were_changed_starts_no_server(settings, monkeypatch):
    def refuse(_, refused):
        if refused.version == "2":
            raise StoreError("The code of version 2 of shots is not what was registered.")
        return version_files.Servable(settings.home, {}, {}, True, 0.5, {})

    monkeypatch.setattr(version_files, "servable", refuse)
    with pytest.raises(StoreError, match=r"not what was registered\.$"):
        endpoint.follow(settings, version(2))
    assert ours(settings) == []
    front = endpoint.follow(settings, version(1))
    before = {one.pid for one in ours(settings)}
    with pytest.raises(StoreError, match=r"\. Version 1 goes on answering on port \d+\.$"):
        endpoint.follow(settings, version(2))
    assert {one.pid for one in ours(settings)} == before
    assert asked(front).headers["X-Version"] == "1"
