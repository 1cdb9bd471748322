"""What keeps a served model up: killed processes come back, stopped ones do not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import psutil
import pytest
import requests
from sklearn.dummy import DummyClassifier

from core.platform import tracking
from core.platform.config import CODE_ROOT, Options, Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.run_record import SILENT, ModelRecord, Record
from core.platform.runs import ModelVersion
from core.predictions_log import log_search
from core.registry import registry
from core.runtime import supervisor
from core.serving import endpoint, restarts, server, server_process, versions

pytestmark = pytest.mark.long

BODY = {"dataframe_split": {"columns": ["distance"], "data": [[3.0], [22.0]]}}


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Supervised:
    """A live endpoint with a cheap model; every test but the last ones leaves it answering."""

    settings: Settings
    version: ModelVersion
    port: int

    @property
    def front(self) -> server.Server:
        front = server.find(self.settings, self.port)
        assert front is not None
        return front

    @property
    def state(self) -> str:
        (front,) = server.servers(self.settings)
        return front.state

    def ask(self) -> requests.Response:
        return requests.post(f"{self.front.url}/invocations", json=BODY, timeout=60)

    def answers(self) -> bool:
        try:
            return self.ask().status_code == 200
        except requests.ConnectionError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Return all living processes that were started for it."""
        running = []
        for candidate in psutil.process_iter():
            try:
                started_here = candidate.cwd() == str(self.settings.state_dir)
                if started_here and candidate.status() != psutil.STATUS_ZOMBIE:
                    running.append(candidate)
            except psutil.Error:
                continue
        return running


def kill(*victims: server.Server) -> None:
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not any(server.is_alive(victim) for victim in victims))


def is_bound(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def supervised(module_settings: Settings) -> Iterator[Supervised]:
    settings = module_settings
    rows = pd.DataFrame({"distance": np.arange(20.0)})
    estimator = DummyClassifier(strategy="prior").fit(rows, np.arange(20) % 2)
    model = ModelRecord(estimator, ("distance",), {"distance": "number"}, 0.5, rows.head(2))
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        model_id = str(tracking.log(settings, run_id, Record(model=model)))
    version = registry.register(settings, "shots", model_id, run_id, {})
    front = endpoint.follow(settings, version)
    live = Supervised(settings, version, front.port)
    try:
        yield live
    finally:
        for left in server.servers(settings):
            server_process.stop(settings, left.port)
        assert live.processes() == []


def supervise(supervised: Supervised, condition: Callable[[], object]) -> None:
    """Look after the endpoint, as the app's supervisor does, until a condition holds."""
    endpoints = restarts.Endpoints()

    def tended() -> object:
        endpoints.tend(supervised.settings)
        return condition()

    until(tended)


def test_a_killed_endpoint_is_started_again(supervised: Supervised) -> None:
    front = supervised.front
    kill(front)
    assert supervised.state == "restarting"
    supervise(supervised, lambda: supervised.front.pid != front.pid)
    assert supervised.state == "restarting"
    # a request waits for it
    until(supervised.answers)
    supervise(supervised, lambda: supervised.state == "ready")
    assert (supervised.front.restarts, supervised.front.problem) == (front.restarts + 1, None)
    until(lambda: len(supervised.processes()) == 1)
    # a caller that needs it at once waits for it
    kill(supervised.front)
    assert endpoint.revive(supervised.settings, supervised.port).pid == supervised.front.pid
    assert supervised.answers()
    # where all is up, nothing is done
    assert endpoint.revive(supervised.settings, supervised.port) == supervised.front


def test_a_killed_endpoint_comes_back_on_its_port_once_that_is_free(supervised: Supervised) -> None:
    before = supervised.processes()
    kill(supervised.front)
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # a killed process keeps its port until the last of its threads is gone
        until(lambda: is_bound(busy, supervised.port))
        busy.listen()
        with pytest.raises(InputError, match="is in use"):
            endpoint.revive(supervised.settings, supervised.port)
        assert f"Port {supervised.port} is in use" in str(supervised.front.problem)
    endpoint.revive(supervised.settings, supervised.port)
    assert supervised.answers()
    assert supervised.front.problem is None
    assert not {running.pid for running in before} & {
        running.pid for running in supervised.processes()
    }
    assert len(supervised.processes()) == 1


def test_a_model_that_ends_its_process_loses_no_logged_answer(supervised: Supervised) -> None:
    answered = [supervised.ask().headers["X-Request-Id"] for _ in range(3)]
    kill(supervised.front)
    endpoint.revive(supervised.settings, supervised.port)
    for name in answered:
        filters = log_search.Filters(search=name)
        assert log_search.count(supervised.settings, filters) == 2


def test_a_version_changed_on_disk_is_not_restarted(supervised: Supervised) -> None:
    assert supervised.front.folder is not None
    code = supervised.front.folder / "served_model.py"
    content = code.read_bytes()
    code.write_bytes(content + b"\n# another line\n")
    try:
        versions.check(replace(supervised.front, digests={}))
        with pytest.raises(
            StoreError, match=r"'served_model\.py' of version 1 of shots is missing, or was changed"
        ):
            versions.check(supervised.front)
    finally:
        code.write_bytes(content)
    versions.check(supervised.front)


def test_stop_during_a_restart_leaves_nothing_and_nothing_restarts_it(
    supervised: Supervised,
) -> None:
    front = supervised.front
    kill(front)
    # the restart has begun a new process, which does not answer yet
    supervise(supervised, lambda: supervised.front.pid != front.pid)
    server_process.stop(supervised.settings, supervised.port)
    assert supervised.processes() == []
    assert server.kept(supervised.settings) == []
    restarts.Endpoints().tend(supervised.settings)
    with pytest.raises(NotReadyError, match="stopped already"):
        endpoint.revive(supervised.settings, front.port)
    assert supervised.processes() == []


def test_endpoints_outlive_the_app_and_its_supervisor(supervised: Supervised) -> None:
    """Started by a process that is killed with all of its group, as the app's jobs are."""
    for left in server.servers(supervised.settings):
        server_process.stop(supervised.settings, left.port)
    job = (
        "import os, signal\n"
        "from core.serving import endpoint\nfrom core.platform import model_store\n"
        "from core.platform.config import Settings\n"
        "settings = Settings.load()\n"
        "endpoint.follow(settings, model_store.require_version(settings, 'shots', '1'))\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", job],
        cwd=CODE_ROOT,
        env=os.environ | supervised.settings.environment(),
        start_new_session=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    # it takes the next port where another program has the first by now
    (front,) = server.servers(supervised.settings)
    supervised.port = front.port
    assert supervised.state == "ready"
    assert supervised.answers()
    server_process.stop(supervised.settings, supervised.port)
    assert supervised.processes() == []


# --- without a server ---------------------------------------------------------------------------


def stored_endpoint(settings: Settings) -> server.Server:
    """Store an endpoint whose process has ended."""
    front = server.Server(
        5001,
        os.getpid(),
        1.0,
        "shots",
        "1",
        "champion",
        "run",
        "ready",
        0.0,
        settings.logs_dir / "x.log",
        None,
        False,
        is_live=True,
    )
    server.keep(settings, front)
    return front


def kept(settings: Settings, port: int = 5001) -> server.Server:
    front = server.find(settings, port)
    assert front is not None
    return front


def test_an_endpoint_that_keeps_ending_is_given_up_with_a_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = stored_endpoint(settings)
    server.keep(settings, replace(front, port=5002, is_live=False, shadow=5001))
    begun: list[float] = []
    now = 1000.0

    def begin(*_: object) -> None:
        begun.append(now)
        server.change(settings, front, problem="It could not be served: out of memory.")

    monkeypatch.setattr(restarts, "begin", begin)
    keeper = restarts.Keeper(settings, 5001)
    problems = set()
    while kept(settings).state == "ready":
        keeper.tend(kept(settings), now)
        problems.add(kept(settings).problem)
        now += 0.25
    waits = np.diff([1000.0, *begun]).round().tolist()
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60]
    served = kept(settings)
    assert served.state == "died"
    assert str(served.problem) == (
        "It could not be served: out of memory. It ended 8 times in a row and is not started "
        "again. See its log, then restart it or serve another version."
    )
    assert "It could not be served: out of memory. It is started again in 4 s, try 4 of 8." in (
        [str(problem) for problem in problems]
    )
    # it no longer gets copies of requests
    assert kept(settings, 5002).shadow is None
    # nobody starts it until a person does
    now += 3600
    keeper.tend(kept(settings), now)
    assert len(begun) == 8
    endpoint.restart(settings, 5001)
    keeper.tend(kept(settings), now)
    assert len(begun) == 10


def test_a_restarted_endpoint_that_ends_says_why(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = stored_endpoint(settings)
    log = server_process.log_path(settings, 5001)
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\nStoreError: 'MLmodel' was changed.\n", encoding="utf-8")
    monkeypatch.setattr(restarts, "begin", lambda *_: None)
    keeper = restarts.Keeper(settings, 5001)
    keeper.tend(front, 0.0)
    server.keep(settings, replace(front, state="restarting"))
    keeper.tend(kept(settings), 1.0)
    assert str(kept(settings).problem) == (
        "StoreError: 'MLmodel' was changed. It is started again in 1 s, try 2 of 8."
    )


def test_five_minutes_without_a_fault_make_the_next_one_the_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = stored_endpoint(settings)
    monkeypatch.setattr(restarts, "begin", lambda *_: None)
    up = [False]
    monkeypatch.setattr(server, "is_alive", lambda _: up[0])
    monkeypatch.setattr(restarts.Watched, "is_gone", lambda *_: False)
    keeper = restarts.Keeper(settings, 5001)
    for now in (0.0, 1.0, 2.0):
        keeper.tend(front, now)
    assert keeper.failures == 2
    up[0] = True
    keeper.tend(front, 290.0)
    assert keeper.failures == 2
    keeper.tend(front, 303.0)
    assert keeper.failures == 0


def test_starting_stopped_and_given_up_endpoints_are_not_restarted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr(restarts, "begin", lambda _, port: begun.append(port))
    front = stored_endpoint(settings)
    endpoints = restarts.Endpoints()
    for state in ("starting", "stopped", "died"):
        server.keep(settings, replace(front, state=state))
        endpoints.tend(settings)
    assert begun == []
    server.keep(settings, front)
    endpoints.tend(settings)
    assert begun == [5001]


def test_while_another_change_is_under_way_nothing_is_started(settings: Settings) -> None:
    front = stored_endpoint(settings)
    with server.exclusive(settings, "5001"):
        restarts.begin(settings, 5001)
    assert kept(settings) == replace(front, home=kept(settings).home)


def test_a_shadow_is_another_version_and_ends_with_its_endpoint(settings: Settings) -> None:
    front = stored_endpoint(settings)
    second = replace(front, port=5002, pid=0, is_live=False, version="2")
    server.keep(settings, second)
    server.keep(settings, replace(second, port=5003, version="1"))
    assert endpoint.set_shadow(settings, 5002, on=True).shadow == 5002
    with pytest.raises(InputError, match="cannot shadow itself"):
        endpoint.set_shadow(settings, 5003, on=True)
    with pytest.raises(NotReadyError, match="no endpoint on port 5004"):
        endpoint.set_shadow(settings, 5004, on=True)
    # of another one, nothing is ended
    assert endpoint.set_shadow(settings, 5003, on=False).shadow == 5002
    assert endpoint.set_shadow(settings, 5002, on=False).shadow is None
    endpoint.set_shadow(settings, 5002, on=True)
    server_process.stop(settings, 5002)
    remaining = server.find(settings, 5001)
    assert remaining is not None
    assert remaining.shadow is None


def test_without_a_live_endpoint_nothing_is_shadowed(settings: Settings) -> None:
    with pytest.raises(NotReadyError, match="Start one on the Serve page first"):
        endpoint.set_shadow(settings, 5002, on=True)


def test_the_supervisor_looks_after_the_endpoints(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def tend(_: object, front: server.Server, now: float) -> None:
        looks.append(now)
        raise OSError("No space left on device")

    monkeypatch.setattr(restarts.Keeper, "tend", tend)
    stored_endpoint(settings)
    watcher = supervisor.Supervisor(settings, target="x:y", clean_up="x:y", preload=(), idle=1.0)
    watcher._tend()
    watcher._tend()
    # a full disk does not end it
    assert len(looks) == 2
