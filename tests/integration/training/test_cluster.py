"""Candidates side by side on a Dask cluster: the same figures, and a sentence for each way to fail.

Every scheduler and worker here listens on 127.0.0.1 alone, on a port of the system's choice.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

distributed = pytest.importorskip("distributed")

from core.jobs import cluster as dask  # noqa: E402
from core.platform import tracking  # noqa: E402
from core.platform.config import CODE_ROOT, Settings  # noqa: E402
from core.platform.errors import CourtsideError, InputError, JobError  # noqa: E402
from core.platform.run_record import Progress  # noqa: E402
from core.training import automl, cluster, train  # noqa: E402
from core.training.preprocessing import preprocessor  # noqa: E402
from tests.conftest import copy_home  # noqa: E402
from tests.integration.training.toy_trainer import Trainer as Toy  # noqa: E402

pytestmark = pytest.mark.long

THREE = {"lr": {}, "dt": {}, "lightgbm": {"n_estimators": 20, "num_leaves": 4}}
# fitted for longer than any test waits for it
LONG = {"gbc": {"n_estimators": 4000}}
ENDLESS = {"gbc": {"folds": 6000}}
FEATURES = ["a", "b", "c"]
# a small web server is left, on a port of the system's choice
NO_PAGE = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 3))
    label = (x[:, 0] + 0.5 * x[:, 1] ** 2 + rng.normal(size=600) > 0.4).astype(int)
    return pd.DataFrame(x, columns=FEATURES).assign(y=label)


def maker(before: object = None) -> Callable[..., automl.Trainer]:
    return partial(
        automl.Trainer, rows(), "y", folds=3, seed=42, fit_share=1.0, preprocessor=before
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two workers in processes of their own."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as local:
        # a worker's first training imports PyCaret
        warm = {"nb": {}, "dummy": {}, "dt": {}}
        assert len(list(cluster.fit_all(local.scheduler_address, maker(), warm))) == len(warm)
        yield local.scheduler_address


@contextmanager
def program(
    folder: Path, *words: str, path: str = str(CODE_ROOT)
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of Dask's own commands in a folder, as a person would."""
    environ = {**os.environ, "PYTHONPATH": path}
    started = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@contextmanager
def scheduler(
    folder: Path, path: str = str(CODE_ROOT)
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ("scheduler", "--host", "127.0.0.1", "--port", str(port), *NO_PAGE)
    with program(folder, *words, path=path) as started:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 60)
        yield f"tcp://127.0.0.1:{port}", started


def worker_words(address: str) -> tuple[str, ...]:
    return (
        "worker",
        address,
        "--host",
        "127.0.0.1",
        "--nthreads",
        "1",
        "--no-nanny",
        *NO_PAGE,
        "--death-timeout",
        "60",
    )


def until(is_so: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.1)


def tasks(address: str) -> list[str]:
    """Return the states of all tasks of all workers, those that are given up too."""
    with distributed.Client(address, set_as_default=False) as client:
        found = client.run(lambda dask_worker: [t.state for t in dask_worker.state.tasks.values()])
    return [state for states in found.values() for state in states]


def processing(address: str) -> int:
    with distributed.Client(address, set_as_default=False) as client:
        found = client.run(lambda dask_worker: len(dask_worker.state.executing))
    return sum(found.values())


def told(address: str, wanted: type[CourtsideError], seconds: float, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(wanted, match=words) as caught:
        list(cluster.fit_all(address, maker(), THREE))
    assert time.monotonic() - start < seconds
    assert "COURTSIDE_DASK" in str(caught.value)


@pytest.mark.parametrize(
    "given",
    ["http://h:1", "h:8786", "tcp://h", "tcp://h:0", "tcp://h:65536", "tcp://ann:s3cret@h:1"],
)
def test_what_is_no_address_is_refused_without_telling_a_password(given: str) -> None:
    with pytest.raises(InputError, match=r"COURTSIDE_DASK: .* tcp://host:port or tls://") as caught:
        Settings.load({"COURTSIDE_DASK": given})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("given", ["tcp://127.0.0.1:8786", "tls://dask.local:65535"])
def test_a_job_gets_the_address_too(given: str) -> None:
    settings = Settings.load({"COURTSIDE_DASK": given})
    assert settings.dask == given
    assert Settings.load(settings.environment()) == settings
    assert Settings.load({}).dask is None


def test_the_figures_are_those_of_one_by_one_and_so_is_what_is_made_of_them(address: str) -> None:
    make = maker(preprocessor(FEATURES, [], impute=True))
    waited: list[int] = []
    found = {
        name: how() for name, how in cluster.fit_all(address, make, THREE, on_wait=waited.append)
    }
    assert set(waited) <= {2}
    serial, adopting = make(), make()
    here = {name: serial.fit(name, params) for name, params in THREE.items()}
    for one in found.values():
        adopting.adopt(one)
    here["blend"] = serial.blend("blend", ["lr", "lightgbm"])
    found["blend"] = adopting.blend("blend", ["lr", "lightgbm"])
    here["dt.sigmoid"] = serial.calibrate("dt", "sigmoid")
    found["dt.sigmoid"] = adopting.calibrate("dt", "sigmoid")
    here["lightgbm.tuned"] = serial.tune("lightgbm", trials=2, seconds=60)
    found["lightgbm.tuned"] = adopting.tune("lightgbm", trials=2, seconds=60)
    fresh = pd.DataFrame(np.random.default_rng(5).normal(size=(200, 3)), columns=FEATURES)
    for name, one in here.items():
        other = found[name]
        pd.testing.assert_frame_equal(one.folds, other.folds, check_exact=True)
        pd.testing.assert_frame_equal(one.validation, other.validation, rtol=0, atol=1e-12)
        assert (one.params, one.libraries, one.rows_fit) == (
            other.params,
            other.libraries,
            other.rows_fit,
        )
        np.testing.assert_allclose(
            one.estimator.predict_proba(fresh),
            other.estimator.predict_proba(fresh),
            rtol=0,
            atol=1e-12,
        )


def test_a_candidate_that_cannot_be_fitted_does_not_take_the_others_with_it(address: str) -> None:
    wanted = {"lr": {"solver": "magic"}, "nb": {}, "unheard": {}}
    found = dict(cluster.fit_all(address, maker(), wanted))
    assert found["nb"]().id == "nb"
    with pytest.raises(InputError, match="'lr' cannot be fitted on these rows"):
        found["lr"]()
    with pytest.raises(InputError, match="'unheard' cannot be fitted on these rows"):
        found["unheard"]()


def test_the_deadline_cancels_what_is_not_done_and_frees_the_workers(address: str) -> None:
    start = time.monotonic()
    wanted = {"nb": {}, **LONG, "lr": {}}
    found = dict(cluster.fit_all(address, maker(), wanted, deadline=start + 8))
    assert time.monotonic() - start < 30
    assert found["nb"]().id == "nb"
    assert found["lr"]().id == "lr"
    with pytest.raises(automl.OutOfTime):
        found["gbc"]()
    until(lambda: not tasks(address), 60)
    # a worker that ended a candidate so goes on with the next one
    assert dict(cluster.fit_all(address, maker(), {"lr": {}}))["lr"]().id == "lr"


def test_who_looks_away_cancels_what_is_not_done(address: str) -> None:
    arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, **ENDLESS})
    name, how = next(arriving)
    assert how().id == name == "lr"
    assert "executing" in tasks(address)
    arriving.close()
    until(lambda: not tasks(address), 60)


def test_a_job_that_is_killed_leaves_no_work_behind(address: str, tmp_path: Path) -> None:
    code = (
        "from tests.integration.training.test_cluster import *\n"
        f"list(cluster.fit_all({address!r}, partial(Toy), ENDLESS))"
    )
    environ = {**os.environ, "PYTHONPATH": str(CODE_ROOT)}
    job = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environ)
    try:
        until(lambda: processing(address) == 1, 60)
    finally:
        job.kill()
        job.wait()
    until(lambda: not tasks(address), 60)


def test_a_task_whose_worker_dies_is_begun_anew_by_another(address: str) -> None:
    arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, "gbc": {"folds": 100}})
    name, _ = next(arriving)
    assert name == "lr"
    with distributed.Client(address, set_as_default=False) as client:
        pids = client.run(lambda dask_worker: os.getpid() if dask_worker.state.executing else None)
    [busy] = [pid for pid in pids.values() if pid]
    # more than once what both work on is left with one of them alone (every 2 s)
    time.sleep(3)
    os.kill(busy, signal.SIGKILL)
    name, how = next(arriving)
    assert how().id == name == "gbc"
    arriving.close()


def test_a_candidate_that_ends_every_worker_is_told_and_not_tried_for_ever() -> None:
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as local:
        # as a system does that has no memory left
        arriving = cluster.fit_all(local.scheduler_address, lambda on_fold: os._exit(1), {"lr": {}})
        name, how = next(arriving)
        assert name == "lr"
        with pytest.raises(InputError, match=r"given to \d Dask workers, and each of them ended"):
            how()
        assert list(arriving) == []


def test_an_address_without_an_answer_is_told_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dask.ANSWER_SECONDS == 5
    monkeypatch.setattr(dask, "ANSWER_SECONDS", 1.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        told(host, InputError, 30, "No Dask scheduler answers at tcp://127.0.0.1")
        # a program that listens and says nothing
        taken.listen()
        told(host, InputError, 30, "No Dask scheduler answers at tcp://127.0.0.1")


def test_workers_with_other_packages_are_told(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask._about.cache_clear()
    real = dask.importlib.metadata.version
    monkeypatch.setattr(
        dask.importlib.metadata, "version", lambda name: "9.9" if name == "pandas" else real(name)
    )
    try:
        told(
            address,
            InputError,
            30,
            r"The Dask worker at \S+ has pandas 2\.\S+ instead of 9\.9; its figures could",
        )
    finally:
        dask._about.cache_clear()


def test_what_a_cluster_lacks_or_loses_is_told(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, started):
        told(address, InputError, 30, "has no workers. Start some in the app's folder")
        with program(tmp_path, *worker_words(address), path=""):
            until(lambda: workers(address) == 1, 60)
            told(
                address,
                InputError,
                30,
                r"find this app's code, or what it needs .*No module named .core",
            )
        until(lambda: workers(address) == 0, 60)

        with program(tmp_path, *worker_words(address)) as worker:
            until(lambda: workers(address) == 1, 60)
            arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, **ENDLESS})
            name, how = next(arriving)
            assert how().id == name == "lr"
            worker.kill()
            lost(arriving)

        with program(tmp_path, *worker_words(address)):
            until(lambda: workers(address) == 1, 60)
            arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, **ENDLESS})
            assert next(arriving)[0] == "lr"
            started.kill()
            lost(arriving)


def test_a_scheduler_that_cannot_read_the_tasks_is_told(tmp_path: Path) -> None:
    with scheduler(tmp_path, path="") as (address, _), program(tmp_path, *worker_words(address)):
        until(lambda: workers(address) == 1, 60)
        told(address, InputError, 30, r"The Dask scheduler at \S+ does not find this app's code")


def workers(address: str) -> int:
    with distributed.Client(address, set_as_default=False) as client:
        return len(client.nthreads())


def lost(arriving: Iterator[cluster.Outcome]) -> None:
    start = time.monotonic()
    with pytest.raises(JobError, match=r"What is done is kept .* train again, or take COURTSIDE"):
        list(arriving)
    assert time.monotonic() - start < 60


class Told(Progress):
    """Keeps all that a step says."""

    def __init__(self) -> None:
        self.said: list[tuple[float, str]] = []

    def update(self, fraction: float, text: str) -> None:
        self.said.append((fraction, text))


@pytest.fixture(scope="module")
def home(prepared_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with prepared sets of a few rows."""
    return copy_home(prepared_few, tmp_path_factory.mktemp("cluster") / "home")


def test_side_by_side_on_a_cluster_the_figures_are_the_same(home: Settings, address: str) -> None:
    two = {name: THREE[name] for name in ("lr", "lightgbm")}
    options = train.Options(
        candidates=(*two, "nb"),
        params={**two, "nb": {"magic": 1}},
        folds=2,
        blend=True,
        learning_seconds=0,
    )
    told = Told()
    found = train.run(home.model_copy(update={"dask": address}), options, told)
    serial = train.run(home, options)
    assert (found.best, found.left_out) == (serial.best, serial.left_out) == (serial.best, ("nb",))
    assert found.log_loss_test == pytest.approx(serial.log_loss_test, abs=1e-12)
    for name in ("comparison", "folds", "left_out"):
        one, other = (
            tracking.table(home, run.run_id, name).drop(
                columns=["run_id", "seconds_fit"], errors="ignore"
            )
            for run in (serial, found)
        )
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-12)
    children = {
        run.run_id: {one.name: one for one in tracking.runs(home, parent=run.run_id)}
        for run in (serial, found)
    }
    for name, one in children[serial.run_id].items():
        other = children[found.run_id][name]
        assert one.status == other.status == ("FAILED" if name == "Naive Bayes" else "FINISHED")
        if one.status == "FINISHED":
            forecast, again = (
                tracking.table(home, child.run_id, "test_predictions")["courtside_probability"]
                for child in (one, other)
            )
            np.testing.assert_allclose(forecast, again, rtol=0, atol=1e-12)
    texts = [text for _, text in told.said]
    assert any(text.startswith("0 of 3 candidates done, side by side on 2 Dask") for text in texts)
    assert any(text.startswith("2 of 3") and "best so far" in text for text in texts)
    assert any(text.startswith("Blend of the best: fold 2 of 2") for text in texts)
    shares = [share for share, _ in told.said]
    assert shares == sorted(shares)
