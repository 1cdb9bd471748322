"""One endpoint under load: changes of version, and several processes on one socket."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import psutil
import pytest
import requests

from core.platform.config import Settings
from core.predictions_log import log_search
from core.serving import api_keys, endpoint_status, server
from tests.integration.serving.endpoints import EndpointProcess, free_port, until

pytestmark = pytest.mark.long

CODE = """
import mlflow
import pandas as pd

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        count = len(model_input)
        return pd.DataFrame({"probability": [SHARE] * count, "label": [0] * count})

mlflow.models.set_model(Model())
"""
SHARES = {"1": 0.125, "2": 0.25}
BODY = {"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}
PATIENCE = 3.0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two versions of a model; each answers with a probability of its own."""
    folders = {}
    for version, share in SHARES.items():
        folder = tmp_path_factory.mktemp(f"version{version}")
        (folder / "code.py").write_text(CODE.replace("SHARE", str(share)), encoding="utf-8")
        folders[version] = folder / "model"
        mlflow.pyfunc.save_model(
            folders[version], python_model=str(folder / "code.py"), pip_requirements=[]
        )
    return folders


class Changing(EndpointProcess):
    """An endpoint that is changed between the two versions."""

    folders: dict[str, Path]
    processes = 1

    def describe(self, version: str) -> dict[str, object]:
        control = getattr(server.find(self.settings, self.port), "control", None)
        return {
            "inputs": {"a": "number"},
            "version": version,
            "folder": self.folders[version],
            "workers": self.processes,
            "control": control,
        }

    def change(self, version: str) -> None:
        """Load a version, and let it answer, as a change of the champion does."""
        described = self.describe(version)
        token = {"X-Courtside-Token": api_keys.internal_token(self.settings)}
        url = f"http://127.0.0.1:{described['control']}/.gateway/load"
        body = server.written(self.record(**described))
        loaded = requests.post(url, data=body, headers=token, timeout=120)
        assert loaded.json() == {}
        self.keep(**described)

    def children(self) -> list[psutil.Process]:
        assert self.child is not None
        return psutil.Process(self.child.pid).children()

    def are_all_up(self) -> bool:
        """Return whether each process has answered something since the start."""
        requests.post(f"{self.url}/invocations", json=BODY, timeout=60)
        return len(self.children()) == self.processes - 1


def started(folder: Path, models: dict[str, Path], processes: int) -> Changing:
    endpoint = Changing(
        Settings(home=folder / "home", hang_seconds=PATIENCE), free_port(), models["1"]
    )
    endpoint.folders, endpoint.processes = models, processes
    endpoint.keep(**endpoint.describe("1"))
    endpoint.start()
    return endpoint


@pytest.fixture
def single(tmp_path: Path, models: dict[str, Path]) -> Iterator[Changing]:
    endpoint = started(tmp_path, models, 1)
    yield endpoint
    endpoint.end()


@pytest.fixture
def several(tmp_path: Path, models: dict[str, Path]) -> Iterator[Changing]:
    """An endpoint of three processes."""
    endpoint = started(tmp_path, models, 3)
    until(endpoint.are_all_up)
    yield endpoint
    children = endpoint.children()
    endpoint.end()
    # they end with the first process
    until(lambda: not any(is_running(child) for child in children))


def is_running(child: psutil.Process) -> bool:
    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def version_of(answer: requests.Response) -> str:
    (row,) = answer.json()["predictions"]
    return next(version for version, share in SHARES.items() if share == row["probability"])


def is_settled(endpoint: Changing) -> bool:
    status = endpoint_status.status(endpoint.port)
    return status is not None and status.log.ok and not status.log.waiting


def test_ten_thousand_requests_during_changes_and_rollbacks_all_succeed(single: Changing) -> None:
    threads, each = 8, 1250
    stopping = threading.Event()
    faults: list[str] = []

    def send(is_kept_alive: bool) -> Counter[str]:
        answered: Counter[str] = Counter()
        session = requests.Session()
        session.trust_env = False
        for _ in range(each):
            if not is_kept_alive:
                session.close()
            try:
                answer = session.post(f"{single.url}/invocations", json=BODY, timeout=60)
                answered[version_of(answer)] += 1
            except (requests.RequestException, ValueError, KeyError) as error:
                faults.append(f"{type(error).__name__}: {error}")
        session.close()
        return answered

    def change() -> int:
        changes = 0
        while not stopping.is_set():
            single.change("21"[changes % 2])
            changes += 1
            time.sleep(0.2)
        return changes

    with ThreadPoolExecutor(threads + 1) as pool:
        changing = pool.submit(change)
        sending = [pool.submit(send, number % 2 == 0) for number in range(threads)]
        answered = sum((future.result() for future in sending), Counter())
        stopping.set()
        assert changing.result() >= 5
    assert faults == []
    assert answered.total() == threads * each
    assert min(answered[version] for version in SHARES) > 100
    until(lambda: is_settled(single))
    logged = {
        version: log_search.count(single.settings, log_search.Filters(version=version))
        for version in SHARES
    }
    assert logged == dict(answered)


def test_all_processes_answer_count_and_log_as_one(several: Changing) -> None:
    before = endpoint_status.status(several.port)
    assert before is not None
    assert before.workers == 3
    for _ in range(60):
        assert requests.post(f"{several.url}/invocations", json=BODY, timeout=60).status_code == 200

    def counted() -> bool:
        now = endpoint_status.status(several.port)
        return now is not None and now.counts.requests == before.counts.requests + 60

    until(counted)
    text = requests.get(f"{several.url}/metrics", timeout=60).text
    now = endpoint_status.status(several.port)
    assert now is not None
    assert f"courtside_rows_total {float(now.counts.requests)}" in text
    until(lambda: is_settled(several))
    assert log_search.count(several.settings) == now.counts.requests


def test_all_processes_change_their_version_together(several: Changing) -> None:
    faults: list[object] = []
    stopping = threading.Event()

    def send() -> None:
        while not stopping.is_set():
            answer = requests.post(f"{several.url}/invocations", json=BODY, timeout=60)
            if answer.status_code != 200:
                faults.append(answer.text)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(send)
        for version in "2121":
            several.change(version)
            answers = [
                requests.post(f"{several.url}/invocations", json=BODY, timeout=60)
                for _ in range(30)
            ]
            assert {version_of(answer) for answer in answers} == {version}
        stopping.set()
    assert faults == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_further_process_that_ends_or_hangs_is_replaced_and_no_row_is_lost(
    several: Changing, number: signal.Signals
) -> None:
    before = {child.pid for child in several.children()}
    victim = min(before)
    names = [uuid.uuid4().hex for _ in range(120)]
    begun = log_search.count(several.settings)

    def send(name: str) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                headers = {"X-Request-Id": name}
                answer = requests.post(
                    f"{several.url}/invocations", json=BODY, headers=headers, timeout=60
                )
            except requests.RequestException:
                time.sleep(0.05)
                continue
            assert answer.status_code == 200
            return
        raise AssertionError("it was never answered")

    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send, name) for name in names[:60]]
        os.kill(victim, number)
        sending += [pool.submit(send, name) for name in names[60:]]
        for future in sending:
            future.result()

    def replaced() -> bool:
        now = {child.pid for child in several.children() if is_running(child)}
        return victim not in now and len(now) == 2

    until(replaced)
    until(lambda: is_settled(several))
    until(lambda: log_search.count(several.settings) == begun + len(names), 30)


def test_the_number_of_processes_can_be_changed(single: Changing) -> None:
    for count in (3, 1):
        single.processes = count
        single.keep(**single.describe("1"))
        until(lambda count=count: len(single.children()) == count - 1)  # type: ignore[misc]
        assert requests.post(f"{single.url}/invocations", json=BODY, timeout=60).status_code == 200
