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
from core.serving import endpoint, endpoint_status, server, server_process
from tests.integration.serving.endpoints import forget

pytestmark = pytest.mark.long

# The process of an endpoint whose versions answer with their number after the seconds in the body.
# With a file named `broken-<version>` beside it, a version does not load; with `deaf-`, not yet.
STAND_IN = f"""
import os, sys, time
sys.path.insert(0, {str(CODE_ROOT)!r})
import asyncio
from starlette.requests import Request
from starlette.responses import Response
from core.serving import versions, worker

class Model:
    def __init__(self, name):
        self.name = name
    async def __call__(self, scope, receive, send):
        body = await Request(scope, receive).body()
        await asyncio.sleep(float(body.split()[0] if body else 0))
        await Response(body, headers={{"X-Version": self.name}})(scope, receive, send)

def load(described):
    name = described.version
    while os.path.exists("deaf-" + name):
        time.sleep(0.01)
    if os.path.exists("broken-" + name):
        raise OSError("no such model")
    print("version", name, "serves", flush=True)
    return versions.Version(name, Model(name), None, 60.0)

versions.load, versions.warm_up = load, lambda: None
sys.exit(worker.main())
"""
COMMAND = server_process._command


def version(number):
    return ModelVersion("shots", str(number), f"run{number}", (), {}, 0.0)


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    monkeypatch.setattr(
        server_process, "_command", lambda front: [sys.executable, str(script), str(front.port)]
    )
    monkeypatch.setattr(server_process, "POLL_SECONDS", 0.01)
    # there is no registry here
    files = version_files.Servable(tmp_path, {}, {}, True, 0.5, {})
    monkeypatch.setattr(version_files, "servable", lambda *_: files)
    first = process.free_port(20000 + os.getpid() % 8000)
    settings = Settings(home=tmp_path / "home", serve_port=first, upload_limit_mb=1)
    settings.state_dir.mkdir(parents=True)
    yield settings
    for left in server.servers(settings):
        server_process.stop(settings, left.port)
    assert own_processes(settings) == []


def own_processes(settings):
    """Return the living processes that were started in this home."""
    processes = []
    for candidate in psutil.process_iter():
        try:
            started_here = candidate.cwd() == str(settings.state_dir)
            if started_here and candidate.status() != psutil.STATUS_ZOMBIE:
                processes.append(candidate)
        except psutil.Error:
            continue
    return processes


def ask(front, **options):
    return requests.post(f"{front.url}/x", data=b"0", timeout=60, **options)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


# --- no request is lost -------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    sent: float
    received: float
    version: str
    kind: str


class Crowd:
    """Threads that send requests without a pause, and the answers they get."""

    KINDS = frozenset({"keep-alive", "close", "anew", "slow"})

    def __init__(self, url):
        self.url = url
        self.stopping = threading.Event()
        self.answered = []
        self.failed = []

    def keep_asking(self, number, kind, seconds=0.0, size=0, **options):
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
                answer = session.post(f"{self.url}/x", data=body, timeout=60, **options)
            except requests.RequestException as error:
                self.failed.append((kind, repr(error)))
                continue
            if answer.status_code != 200 or answer.content != body:
                self.failed.append((kind, answer.status_code, answer.content[:80]))
                continue
            self.answered.append(
                Exchange(sent, time.monotonic(), answer.headers["X-Version"], kind)
            )

    def wait_for_each(self, since):
        """Wait until a request of each kind sent after this moment was answered."""
        until(
            lambda: (
                {exchange.kind for exchange in list(self.answered) if exchange.sent >= since}
                >= self.KINDS
            )
        )

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
            futures = [
                pool.submit(self.keep_asking, i, **request_kind)
                for i, request_kind in enumerate(kinds)
            ]
            try:
                yield
            finally:
                self.stopping.set()
            for future in futures:
                future.result()


def test_five_changes_under_load_lose_no_request(settings):
    order = ["1", "2", "3", "2", "1", "3"]
    first = endpoint.follow(settings, version(order[0]))
    # for each version: when its start was requested, and since when only it answers
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
    for exchange in crowd.answered:
        # one of the versions that were live between the request and the answer
        possible = {
            number
            for number, start, end in zip(order, ordered, ends, strict=True)
            if start <= exchange.received and exchange.sent <= end
        }
        assert exchange.version in possible, exchange
    for number, start, end in zip(order, alone, last_asked, strict=True):
        within = [
            exchange
            for exchange in crowd.answered
            if start <= exchange.sent and exchange.received <= end
        ]
        assert {exchange.version for exchange in within} == {number}
        assert {exchange.kind for exchange in within} == Crowd.KINDS
    assert len(own_processes(settings)) == 1


def test_the_old_version_answers_what_it_was_asked(settings):
    first = endpoint.follow(settings, version(1))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.post, f"{first.url}/x", data=b"2.0", timeout=60)
        until(lambda: endpoint_status.status(first.port).in_flight == {"1": 1})
        assert endpoint.follow(settings, version(2)).version == "2"
        assert ask(first).headers["X-Version"] == "2"
        assert endpoint_status.status(first.port).in_flight == {"1": 1}
        assert slow.result().headers["X-Version"] == "1"
    assert endpoint_status.status(first.port).in_flight == {}


def test_concurrent_changes_run_one_after_the_other(settings):
    first = endpoint.follow(settings, version(1))
    waits = [[], [], []]
    with ThreadPoolExecutor(3) as pool:
        fronts = list(
            pool.map(lambda i: endpoint.follow(settings, version(i + 2), waits[i].append), range(3))
        )
    assert [front.version for front in fronts] == ["2", "3", "4"]
    assert endpoint.live(settings) in fronts
    assert ask(first).headers["X-Version"] == endpoint.live(settings).version
    assert all(wait == sorted(wait) for wait in waits)
    assert len(own_processes(settings)) == 1


def test_a_change_that_does_not_end_is_reported(settings, monkeypatch):
    monkeypatch.setattr(server, "TURN_SECONDS", 0.2)
    with (
        server.exclusive(settings, "live"),
        pytest.raises(NotReadyError, match="A job is under way"),
    ):
        endpoint.follow(settings, version(1))
    assert server.servers(settings) == []


# --- what is reported of it ---------------------------------------------------------------------


def test_an_endpoint_appears_as_one_server(settings):
    assert endpoint.live(settings) is None
    before = time.time()
    waited = []
    first = endpoint.follow(settings, version(1), waited.append, job_id="job1")
    assert (first.port, first.state, first.alias) == (settings.serve_port, "ready", "champion")
    assert str(first.name) == "shots, version 1, champion"
    assert first.run_id == "run1"
    assert first.url == f"http://127.0.0.1:{settings.serve_port}"
    assert before <= first.started <= time.time()
    assert waited == sorted(waited)
    assert waited
    assert endpoint.live(settings) == first
    assert server.servers(settings) == [first]
    assert "version 1 serves" in server_process.log_tail(settings, first.port)
    assert server_process.stop_unfinished(settings, "job1") == []

    challenger = endpoint.begin(settings, version(9), None, alias="challenger")
    assert challenger.port > settings.serve_port
    second = endpoint.follow(settings, version(2))
    assert second.started > first.started
    assert server.servers(settings) == [second, challenger]
    assert "version 2 serves" in server_process.log_tail(settings, second.port)
    assert requests.get(challenger.url, timeout=60).headers["X-Version"] == "9"


def test_following_the_live_version_starts_nothing(settings):
    first = endpoint.follow(settings, version(1))
    again = endpoint.follow(settings, version(1), alias="other")
    assert again == replace(first, alias="other")
    assert endpoint.live(settings) == again
    # the same number in another registry is another model
    other = endpoint.follow(settings, replace(version(1), run_id="elsewhere"))
    assert other.run_id == endpoint.live(settings).run_id == "elsewhere"


def test_its_ports_are_reserved(settings):
    first = endpoint.follow(settings, version(1))
    with pytest.raises(InputError, match="is in use"):
        endpoint.begin(settings, version(2), first.port, alias=None)
    with pytest.raises(InputError, match="runs on port"):
        server_process.dismiss(settings, first.port)
    assert server_process.free_port(settings) > first.port


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
    assert len(own_processes(settings)) == 1
    assert endpoint.stop(settings).state == "stopped"
    assert own_processes(settings) == []
    assert process.port_is_free(first.port)
    assert not server.is_kept(settings, first.port)
    with pytest.raises(NotReadyError, match="No model is served"):
        endpoint.stop(settings)
    # by its port as well, as a page does
    first = endpoint.follow(settings, version(1))
    server_process.stop(settings, first.port)
    assert own_processes(settings) == []


@pytest.mark.parametrize("number", [1, 2])
def test_a_killed_endpoint_is_started_again_on_its_port(settings, number):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    assert endpoint.live(settings).state == "restarting"

    again = endpoint.follow(settings, version(number))

    assert again.port == first.port
    assert again.pid != first.pid
    assert (again.state, again.version) == ("ready", str(number))
    assert ask(again).headers["X-Version"] == str(number)
    assert server.servers(settings) == [again]
    assert len(own_processes(settings)) == 1


def test_a_killed_endpoint_whose_next_version_does_not_load_keeps_the_old_one(settings):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    (settings.state_dir / "broken-2").touch()
    with pytest.raises(ServerError, match="OSError: no such model"):
        endpoint.follow(settings, version(2))
    assert endpoint.live(settings).version == "1"
    assert endpoint.revive(settings, first.port).version == "1"
    assert ask(first).headers["X-Version"] == "1"


def test_a_dead_endpoint_can_be_dismissed_completely(settings):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    server_process.dismiss(settings, first.port)
    assert own_processes(settings) == []
    assert server.servers(settings) == []


def test_a_port_that_another_program_took_meanwhile_is_reported(settings):
    first = endpoint.follow(settings, version(1))
    kill(first.pid)
    until(lambda: process.port_is_free(first.port))
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        busy.bind(("127.0.0.1", first.port))
        busy.listen()
        with pytest.raises(InputError, match="is in use"):
            endpoint.follow(settings, version(2))
        assert endpoint.live(settings).version == "1"
    assert endpoint.follow(settings, version(2)).port == first.port


def test_a_version_that_does_not_start_leaves_the_old_one(settings):
    first = endpoint.follow(settings, version(1))
    (settings.state_dir / "broken-2").touch()
    with pytest.raises(ServerError) as caught:
        endpoint.follow(settings, version(2))
    assert str(caught.value).startswith("shots, version 2, champion did not start on port ")
    assert ": OSError: no such model. Its log is " in str(caught.value)
    assert str(caught.value).endswith(" The live endpoint serves version 1.")
    assert server.servers(settings) == [first]
    assert ask(first).headers["X-Version"] == "1"
    assert len(own_processes(settings)) == 1


def test_a_version_that_does_not_load_in_time_leaves_the_old_one(settings):
    first = endpoint.follow(settings, version(1))
    (settings.state_dir / "deaf-2").touch()
    with pytest.raises(ServerError, match=r"no answer within 0\.5 seconds"):
        endpoint.follow(settings, version(2), timeout=0.5)
    assert server.servers(settings) == [first]
    assert ask(first).headers["X-Version"] == "1"


def test_a_first_version_that_does_not_start_leaves_nothing(settings):
    (settings.state_dir / "broken-1").touch()
    with pytest.raises(ServerError, match="OSError: no such model"):
        endpoint.follow(settings, version(1))
    (settings.state_dir / "broken-1").rename(settings.state_dir / "deaf-1")
    with pytest.raises(ServerError, match=r"no answer within 0\.5 seconds"):
        endpoint.follow(settings, version(1), timeout=0.5)
    assert server.servers(settings) == []
    assert own_processes(settings) == []


def test_a_process_that_does_not_start_is_reported_with_its_reason(settings, monkeypatch):
    monkeypatch.setattr(server_process, "_command", COMMAND)
    monkeypatch.setattr(server_process, "CODE_ROOT", settings.home)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(ServerError, match="No module named 'core'"):
        endpoint.follow(settings, version(1))
    assert server.servers(settings) == []
    assert own_processes(settings) == []


def interrupted(settings, when, **options):
    """Follow version 2 and raise once `when` holds, as where a job is killed."""

    class KilledError(BaseException):
        pass

    def on_wait(_):
        if when():
            raise KilledError

    # a killed process cleans up nothing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_process, "stop", lambda *_: None)
        patch.setattr(process, "stop", lambda *_: None)
        with pytest.raises(KilledError):
            endpoint.follow(settings, version(2), on_wait, **options)


def test_a_job_killed_while_the_new_version_loads_leaves_the_old(settings):
    first = endpoint.follow(settings, version(1), job_id="job1")
    (settings.state_dir / "deaf-2").touch()
    begun = time.monotonic()
    interrupted(settings, lambda: time.monotonic() > begun + 0.5, job_id="job2")
    assert server_process.stop_unfinished(settings, "job2") == []
    assert server.servers(settings) == [first]
    assert ask(first).headers["X-Version"] == "1"
    (settings.state_dir / "deaf-2").unlink()
    assert endpoint.follow(settings, version(2)).pid == first.pid
    assert ask(first).headers["X-Version"] == "2"
    assert len(own_processes(settings)) == 1


@pytest.mark.parametrize("by_job", [True, False])
def test_a_job_killed_while_the_endpoint_starts_leaves_nothing_permanent(settings, by_job):
    (settings.state_dir / "deaf-2").touch()
    interrupted(settings, lambda: len(own_processes(settings)) == 1, job_id="job2")
    (starting,) = server.servers(settings)
    assert (starting.port, starting.state) == (settings.serve_port, "starting")
    assert len(own_processes(settings)) == 1

    if by_job:
        assert server_process.stop_unfinished(settings, "job2")
        assert server.servers(settings) == []
        assert own_processes(settings) == []
    (settings.state_dir / "deaf-2").unlink()
    again = endpoint.follow(settings, version(2))
    assert again.port == settings.serve_port
    assert ask(again).headers["X-Version"] == "2"
    assert len(own_processes(settings)) == 1


def test_it_survives_a_kill_of_the_app_and_is_rediscovered(settings, tmp_path):
    app = f"""
import os, signal, sys
from core.serving import endpoint, server_process
from core.registry import version_files
from core.platform.runs import ModelVersion
from core.platform.config import Settings
files = version_files.Servable(Settings.load().home, {{}}, {{}}, True, 0.5, {{}})
version_files.servable = lambda *_: files
server_process._command = lambda front: [
    sys.executable, {str(tmp_path / "stand_in.py")!r}, str(front.port)
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

    live = endpoint.live(settings)

    assert (live.state, live.version) == ("ready", "1")
    assert ask(live).headers["X-Version"] == "1"
    now = endpoint.follow(settings, version(2))
    assert (now.port, now.pid) == (live.port, live.pid)
    assert ask(now).headers["X-Version"] == "2"
    assert len(own_processes(settings)) == 1


def test_an_endpoint_without_a_record_ends_by_itself(settings):
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
    assert own_processes(settings) == []
    front = endpoint.follow(settings, version(1))
    before = {running.pid for running in own_processes(settings)}
    with pytest.raises(StoreError, match=r"\. The live endpoint serves version 1\.$"):
        endpoint.follow(settings, version(2))
    assert {running.pid for running in own_processes(settings)} == before
    assert ask(front).headers["X-Version"] == "1"
