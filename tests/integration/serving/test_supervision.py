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

from core.platform import process, tracking
from core.platform.config import CODE_ROOT, Options, Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.run_record import SILENT, ModelRecord, Record
from core.platform.runs import ModelVersion
from core.registry import registry
from core.runtime import supervisor
from core.serving import endpoint, restarts, server, server_process

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
    def behind(self) -> server.Server:
        backend = server.behind(self.settings, self.front)
        assert backend is not None
        return backend

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


def test_a_killed_scoring_server_is_started_again_by_itself(supervised: Supervised) -> None:
    front, before = supervised.front, supervised.behind
    kill(before)
    statuses = {supervised.ask().status_code for _ in range(3)}
    # a request that was under way on it is the only one that may break
    assert statuses <= {200, 502, 503}
    until(lambda: supervised.state == "ready" and supervised.front.backend != before.port)
    assert supervised.answers()
    assert supervised.front.pid == front.pid
    assert (supervised.front.restarts, supervised.front.problem) == (front.restarts + 1, None)
    # while it starts, short-lived copies of it inspect the system
    until(lambda: len(supervised.processes()) == 2)


def test_a_killed_gateway_comes_back_and_takes_over_the_server_that_runs(
    supervised: Supervised,
) -> None:
    front, behind = supervised.front, supervised.behind
    kill(front)
    assert supervised.state == "died"
    tried: dict[int, tuple[int, float]] = {}
    restarts.tick(supervised.settings, tried)
    # a restart is under way: it is not started twice
    restarts.tick(supervised.settings, tried)
    until(supervised.answers)
    until(lambda: len(supervised.processes()) == 2)
    assert supervised.front.pid != front.pid
    assert supervised.behind.pid == behind.pid
    assert [count for count, _ in tried.values()] == [1]
    # a caller that needs it at once waits for it
    kill(supervised.front)
    assert endpoint.revive(supervised.settings, supervised.port).pid == supervised.front.pid
    assert supervised.answers()
    assert supervised.behind.pid == behind.pid
    # where all is up, nothing is done
    assert endpoint.revive(supervised.settings, supervised.port) == supervised.front


def test_both_killed_come_back_on_the_same_port(supervised: Supervised) -> None:
    before = supervised.processes()
    kill(supervised.front, supervised.behind)
    with socket.socket() as busy:
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # a killed process keeps its port until the last of its threads is gone
        until(lambda: is_bound(busy, supervised.port))
        busy.listen()
        with pytest.raises(InputError, match="is in use"):
            endpoint.revive(supervised.settings, supervised.port)
        assert f"Port {supervised.port} is in use" in (supervised.front.problem or "")
    endpoint.revive(supervised.settings, supervised.port)
    assert supervised.answers()
    assert supervised.front.problem is None
    assert not {running.pid for running in before} & {
        running.pid for running in supervised.processes()
    }
    # the watch was restarting it too, and sees that it is done
    until(lambda: len(supervised.processes()) == 2)


def test_a_version_changed_on_disk_is_not_restarted(supervised: Supervised) -> None:
    assert supervised.front.folder is not None
    code = supervised.front.folder / "served_model.py"
    content = code.read_bytes()
    code.write_bytes(content + b"\n# another line\n")
    try:
        restarts.check(replace(supervised.front, digests={}))
        with pytest.raises(StoreError, match=r"served_model\.py of version 1 of shots is not"):
            restarts.check(supervised.front)
    finally:
        code.write_bytes(content)
    restarts.check(supervised.front)


def test_stop_during_a_restart_leaves_nothing_and_nothing_restarts_it(
    supervised: Supervised,
) -> None:
    front = supervised.front
    kill(supervised.behind)
    # the restart has begun a new server, which does not answer yet
    until(
        lambda: any(
            server.is_alive(backend)
            for backend in server.behind_all(supervised.settings, supervised.port)
        )
    )
    server_process.stop(supervised.settings, supervised.port)
    assert supervised.processes() == []
    assert server.kept(supervised.settings) == []
    restarts.tick(supervised.settings, {})
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
    """Store an endpoint whose gateway is this process and whose server is gone."""
    front = server.Server(
        5001,
        os.getpid(),
        psutil.Process().create_time(),
        "shots",
        "1",
        "champion",
        "run",
        "ready",
        0.0,
        settings.logs_dir / "x.log",
        None,
        False,
        backend=5101,
        is_live=True,
    )
    server.keep(settings, front)
    return front


def test_a_server_that_keeps_ending_is_given_up_with_a_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = stored_endpoint(settings)
    server.keep(settings, replace(front, port=5002, is_live=False, backend=5102, shadow=5001))
    begun: list[float] = []
    gone = process.Process(0, 0.0)
    now = 1000.0

    def begin(*_: object, **__: object) -> process.Process:
        begun.append(now)
        server.change(settings, front, problem="It could not be served: out of memory.")
        return gone

    monkeypatch.setattr(restarts, "begin", begin)
    keeper = restarts._Keeper(settings, 5001)
    problems = set()
    while (served := server.find(settings, 5001)) and served.state == "ready":
        keeper.tend(now)
        problems.add((server.find(settings, 5001) or front).problem)
        now += 0.25
    waits = np.diff([1000.0, *begun]).round().tolist()
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60]
    assert served is not None
    assert served.state == "died"
    assert served.problem is not None
    assert served.problem.startswith("It was started 8 times in a row and ended each time")
    assert "out of memory." in served.problem
    assert (
        "It could not be served: out of memory. It is started again in 4 s, try 4 of 8." in problems
    )
    # it no longer gets copies of requests
    other = server.find(settings, 5002)
    assert other is not None
    assert other.shadow is None
    # nobody starts it until a person does
    now += 3600
    keeper.tend(now)
    assert len(begun) == 8
    endpoint.restart(settings, 5001)
    keeper.tend(now)
    assert len(begun) == 10


def test_five_minutes_without_a_fault_make_the_next_one_the_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = stored_endpoint(settings)
    monkeypatch.setattr(restarts, "begin", lambda *_, **__: process.Process(0, 0.0))
    up = [False]
    monkeypatch.setattr(server, "behind", lambda *_: front if up[0] else None)
    keeper = restarts._Keeper(settings, 5001)
    for now in (0.0, 1.0, 2.0):
        keeper.tend(now)
    assert keeper.failures == 2
    up[0] = True
    keeper.tend(290.0)
    assert keeper.failures == 2
    keeper.tend(303.0)
    assert keeper.failures == 0


def test_starting_stopped_and_given_up_endpoints_are_not_restarted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr(restarts, "begin", lambda _, port, **__: begun.append(port))
    front = replace(stored_endpoint(settings), create_time=1.0)
    for state in ("starting", "stopped", "died"):
        server.keep(settings, replace(front, state=state))
        restarts.tick(settings, {})
        restarts._Keeper(settings, 5001).tend(0.0)
    assert begun == []
    server.keep(settings, front)
    tried: dict[int, tuple[int, float]] = {}
    restarts.tick(settings, tried)
    restarts.tick(settings, tried)
    assert begun == [5001]


def test_a_shadow_is_another_version_and_ends_with_its_endpoint(settings: Settings) -> None:
    front = stored_endpoint(settings)
    second = replace(front, port=5002, pid=0, backend=5102, is_live=False, version="2")
    server.keep(settings, second)
    server.keep(settings, replace(second, port=5003, backend=5103, version="1"))
    assert endpoint.set_shadow(settings, 5002, on=True).shadow == 5002
    with pytest.raises(InputError, match="answers by version 1 itself"):
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


def test_the_supervisor_checks_the_served_models_at_each_sweep(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps: list[dict[int, tuple[int, float]]] = []

    def tick(_: Settings, tried: dict[int, tuple[int, float]]) -> None:
        tried[5001] = (len(sweeps) + 1, 0.0)
        sweeps.append(dict(tried))
        raise OSError("No space left on device")

    monkeypatch.setattr(restarts, "tick", tick)
    settings.state_dir.mkdir(parents=True)
    watcher = supervisor.Supervisor(settings, target="x:y", clean_up="x:y", preload=(), idle=1.0)
    watcher._sweep()
    watcher._sweep()
    # a full disk does not end it, and it remembers what was tried
    assert sweeps == [{5001: (1, 0.0)}, {5001: (2, 0.0)}]
