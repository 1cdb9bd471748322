"""A scoring of 100,000 rows while a process it needs is killed: each row once, none lost.

The model is cheap and the requests are large: the tests check the rows, not the speed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import prepare
from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.run_record import Progress
from core.predictions_log import predictions
from core.scoring import score
from core.serving import serve, server, server_process
from core.training import train
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
ROWS = 100_000
BATCH = 10_000
WORKER = """
import os, sys
from core.platform.config import Settings
from core.platform.run_record import Progress
from core.scoring import score

class Killed(Progress):
    def update(self, fraction, text):
        if "50,000 of" in str(text):
            os.kill(os.getpid(), 9)

options = score.Options(source="path", path=sys.argv[1], batch_rows=10_000)
score.run(Settings.load(), options, Killed())
"""


@pytest.fixture(scope="module")
def served(
    acquired_sample: Settings, module_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    home = tmp_path_factory.mktemp("faults") / "home"
    settings = copy_home(acquired_sample, home, serve_port=module_port)
    prepare.run(settings, prepare.Options(features=("lat", "lon")))
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    endpoint = serve.run(settings, serve.Options())
    yield settings
    server_process.stop(settings, endpoint.port)


@pytest.fixture(scope="module")
def file(served: Settings, shots: pd.DataFrame, tmp_path_factory) -> Path:
    rows = pd.concat([shots[["lat", "lon"]]] * 4, ignore_index=True).head(ROWS)
    rows[SPEC.id] = np.arange(ROWS)
    path = tmp_path_factory.mktemp("many") / "rows.parquet"
    rows.to_parquet(path, index=False, row_group_size=25_000)
    return path


class At(Progress):
    """Runs an action once, in a thread, when that many rows are scored."""

    def __init__(self, rows: int, act: Callable[[], None]) -> None:
        self.start, self.thread = f"{rows:,} of", threading.Thread(target=act)

    def update(self, fraction: float, text: object) -> None:
        if self.start in str(text) and not self.thread.ident:
            self.thread.start()


def assert_each_row_once(settings: Settings, result: score.Result) -> None:
    assert result.rows == ROWS
    written = pd.read_parquet(result.output)
    assert written["courtside_row"].tolist() == list(range(ROWS))
    # the endpoint may still be writing what it answered while its log was behind
    until = time.monotonic() + 120
    while len(logged := predictions.read(settings, result.scoring)) < ROWS:
        assert time.monotonic() < until, f"{len(logged)} of {ROWS} rows are in the log"
        time.sleep(0.2)
    assert len(logged) == ROWS
    assert Counter(logged["courtside_row_key"].astype(int)).most_common(1)[0][1] == 1
    assert set(logged["courtside_prediction_id"]) == set(written["courtside_prediction_id"])


def test_each_row_is_answered_and_logged_once_when_it_is_killed(
    served: Settings, file: Path
) -> None:
    fallen = server.servers(served)[0]
    hit = At(30_000, lambda: os.kill(fallen.pid, signal.SIGKILL))
    options = score.Options(source="path", path=str(file), batch_rows=BATCH)
    result = score.run(served, options, hit)
    hit.thread.join()
    assert_each_row_once(served, result)
    now = server.find(served, fallen.port)
    assert now is not None
    assert now.pid != fallen.pid


def test_each_row_is_answered_and_logged_once_when_the_worker_is_killed(
    served: Settings, file: Path
) -> None:
    environ = {**os.environ, **served.environment()}
    worker = [sys.executable, "-c", WORKER, str(file)]
    ended = subprocess.run(worker, env=environ, capture_output=True, check=False, timeout=240)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-1000:]
    run = tracking.last_run(served, "score", status="RUNNING")
    assert run is not None
    result = score.run(served, score.Options(resume=run.run_id))
    assert result.scoring == run.run_id
    assert_each_row_once(served, result)
