"""A hung process (`kill -STOP`) is noticed, shown, killed and replaced; a busy one is spared."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import psutil
import pytest
import requests
from sklearn.dummy import DummyClassifier

from core.platform import process, tracking
from core.platform.config import Options, Settings
from core.platform.liveness import Pulse
from core.platform.run_record import SILENT, ModelRecord, Record
from core.predictions_log import log_search
from core.registry import registry
from core.serving import endpoint, restarts, server, server_process

pytestmark = pytest.mark.long

BODY = {"dataframe_split": {"columns": ["distance"], "data": [[3.0], [22.0]]}}
PATIENCE = 3.0


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def served(module_settings: Settings) -> Iterator[Settings]:
    """A live endpoint with a cheap model, and little patience."""
    settings = module_settings.model_copy(update={"hang_seconds": PATIENCE})
    rows = pd.DataFrame({"distance": np.arange(20.0)})
    estimator = DummyClassifier(strategy="prior").fit(rows, np.arange(20) % 2)
    model = ModelRecord(estimator, ("distance",), {"distance": "number"}, 0.5, rows.head(2))
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        model_id = str(tracking.log(settings, run_id, Record(model=model)))
    endpoint.follow(settings, registry.register(settings, "shots", model_id, run_id, {}))
    try:
        yield settings
    finally:
        for left in server.servers(settings):
            server_process.stop(settings, left.port)


def front(settings: Settings) -> server.Server:
    (live,) = server.servers(settings)
    return live


def ask(settings: Settings, request_id: str | None = None) -> int:
    headers = {"X-Request-Id": request_id} if request_id else {}
    try:
        return requests.post(
            f"{front(settings).url}/invocations", json=BODY, headers=headers, timeout=120
        ).status_code
    except requests.ConnectionError:
        return 0


def insist(settings: Settings, request_id: str) -> None:
    """Send a request until it is answered, as a client does, always under one id."""
    until(lambda: ask(settings, request_id) == 200)


def kept_rows(settings: Settings) -> int:
    return log_search.count(settings)


def test_a_hung_endpoint_is_shown_killed_and_replaced(served: Settings) -> None:
    hung = front(served)
    before = kept_rows(served)
    os.kill(hung.pid, signal.SIGSTOP)
    # at once, before any deadline
    until(lambda: front(served).state == "silent")
    ids = [uuid.uuid4().hex for _ in range(3)]
    senders = [threading.Thread(target=insist, args=(served, request_id)) for request_id in ids]
    for sender in senders:
        sender.start()
    endpoints = restarts.Endpoints()

    def replaced() -> bool:
        endpoints.tend(served)
        return not process.is_alive(hung.process) and front(served).pid != hung.pid

    until(replaced)

    def ready() -> bool:
        endpoints.tend(served)
        return front(served).state == "ready"

    until(ready)
    for sender in senders:
        sender.join()
    assert front(served).restarts == 1
    assert front(served).problem is None
    # no signal brings it back beside its successor
    assert not psutil.pid_exists(hung.pid) or not process.is_alive(hung.process)
    # no row lost, none duplicated
    assert kept_rows(served) == before + 2 * len(ids)
    assert ask(served) == 200


def test_an_endpoint_that_was_replaced_neither_answers_nor_writes(served: Settings) -> None:
    """Even one that nobody could kill: its file names another process."""
    current = front(served)
    before = kept_rows(served)
    assert ask(served) == 200
    server.keep(served, replace(current, pid=os.getpid(), state="ready"))
    assert ask(served) in (0, 503)
    until(lambda: not process.is_alive(current.process))
    assert kept_rows(served) == before + 2
    server.change(served, current, pid=current.pid)
    endpoint.revive(served, current.port)
    until(lambda: ask(served) == 200)


# --- the judgement, without a process -----------------------------------------------------------


def hung_seconds(
    pulse: Pulse, seconds: range, sign: Callable[[int], object], cpu: Callable[[int], float]
) -> list[int]:
    """Return the seconds at which the process counts as hung."""
    return [at for at in seconds if pulse.is_hung(sign(at), cpu(at), float(at))]


def test_a_process_that_answers_now_and_then_is_never_hung() -> None:
    assert hung_seconds(Pulse(60), range(0, 5000, 2), lambda at: at // 58, lambda _: 0.0) == []


def test_a_silent_idle_process_is_hung_after_the_patience() -> None:
    assert hung_seconds(Pulse(60), range(0, 100, 2), lambda _: 0, lambda _: 7.0)[0] == 60


def test_a_working_process_gets_ten_times_as_long() -> None:
    seconds = hung_seconds(Pulse(60), range(0, 700, 2), lambda _: 0, lambda at: at * 0.5)
    assert seconds[0] == 600


def test_a_watcher_that_slept_does_not_blame_the_process() -> None:
    pulse = Pulse(60)
    assert not pulse.is_hung(1, 0.0, 0.0)
    # the machine slept for a day, or was too loaded to check
    assert not pulse.is_hung(1, 0.0, 86_400.0)
    assert hung_seconds(pulse, range(86_402, 86_440, 2), lambda _: 1, lambda _: 0.0) == []
