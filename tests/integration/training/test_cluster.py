"""Candidates side by side on a Dask cluster: the same figures, and a message for each failure.

Every scheduler and worker here listens on 127.0.0.1 alone, on a port that the system chooses.
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
# a small web server remains, on a port that the system chooses
NO_PAGE = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 3))
    label = (x[:, 0] + 0.5 * x[:, 1] ** 2 + rng.normal(size=600) > 0.4).astype(int)
    return pd.DataFrame(x, columns=FEATURES).assign(y=label)


def trainer_factory(
    before: object = None, weights: np.ndarray | None = None
) -> Callable[..., automl.Trainer]:
    return partial(
        automl.Trainer,
        rows(),
        "y",
        folds=3,
        seed=42,
        fit_share=1.0,
        preprocessor=before,
        weights=weights,
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two workers in their own processes."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as local:
        # a worker's first training imports PyCaret
        warm = {"nb": {}, "dummy": {}, "dt": {}}
        assert len(list(cluster.fit_all(local.scheduler_address, trainer_factory(), warm))) == len(
            warm
        )
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


def until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.1)


def tasks(address: str) -> list[str]:
    """Return the states of all tasks of all workers, including those that were given up."""
    with distributed.Client(address, set_as_default=False) as client:
        states_by_worker = client.run(
            lambda dask_worker: [t.state for t in dask_worker.state.tasks.values()]
        )
    return [state for states in states_by_worker.values() for state in states]


def processing(address: str) -> int:
    with distributed.Client(address, set_as_default=False) as client:
        counts = client.run(lambda dask_worker: len(dask_worker.state.executing))
    return sum(counts.values())


def assert_fails(address: str, error: type[CourtsideError], seconds: float, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(error, match=words) as caught:
        list(cluster.fit_all(address, trainer_factory(), THREE))
    assert time.monotonic() - start < seconds
    assert "COURTSIDE_DASK" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["http://h:1", "h:8786", "tcp://h", "tcp://h:0", "tcp://h:65536", "tcp://ann:s3cret@h:1"],
)
def test_an_invalid_address_is_refused_without_showing_a_password(value: str) -> None:
    with pytest.raises(InputError, match=r"COURTSIDE_DASK: .* tcp://host:port or tls://") as caught:
        Settings.load({"COURTSIDE_DASK": value})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("value", ["tcp://127.0.0.1:8786", "tls://dask.local:65535"])
def test_a_job_gets_the_address_too(value: str) -> None:
    settings = Settings.load({"COURTSIDE_DASK": value})
    assert settings.dask == value
    assert Settings.load(settings.environment()) == settings
    assert Settings.load({}).dask is None


def test_a_worker_fits_by_weight(address: str) -> None:
    weights = np.where(rows()["y"] == 1, 9.0, 1.0)
    new_trainer = trainer_factory(weights=weights)
    models: dict[str, dict[str, object]] = {"lr": {}, "knn": {}}
    parallel = {name: done() for name, done in cluster.fit_all(address, new_trainer, models)}
    serial = new_trainer()
    for name, fitted in parallel.items():
        expected = serial.fit(name)
        pd.testing.assert_frame_equal(fitted.validation, expected.validation)
        pd.testing.assert_frame_equal(fitted.folds, expected.folds)
        assert fitted.unweighted == expected.unweighted == (("knn",) if name == "knn" else ())
    plain = trainer_factory()().fit("lr")
    first, second = (
        each.estimator.predict_proba(rows()[FEATURES])[:, 1].mean()
        for each in (parallel["lr"], plain)
    )
    assert first > second + 0.2


def test_parallel_and_serial_fits_and_combinations_give_the_same_figures(address: str) -> None:
    new_trainer = trainer_factory(preprocessor(FEATURES, [], impute=True))
    waited: list[int] = []
    parallel = {
        name: outcome()
        for name, outcome in cluster.fit_all(address, new_trainer, THREE, on_wait=waited.append)
    }
    assert set(waited) <= {2}
    serial, adopting = new_trainer(), new_trainer()
    expected = {name: serial.fit(name, params) for name, params in THREE.items()}
    for fitted in parallel.values():
        adopting.adopt(fitted)
    expected["blend"] = serial.blend("blend", ["lr", "lightgbm"])
    parallel["blend"] = adopting.blend("blend", ["lr", "lightgbm"])
    expected["dt.sigmoid"] = serial.calibrate("dt", "sigmoid")
    parallel["dt.sigmoid"] = adopting.calibrate("dt", "sigmoid")
    expected["lightgbm.tuned"] = serial.tune("lightgbm", trials=2, seconds=60)
    parallel["lightgbm.tuned"] = adopting.tune("lightgbm", trials=2, seconds=60)
    fresh = pd.DataFrame(np.random.default_rng(5).normal(size=(200, 3)), columns=FEATURES)
    for name, serial_fit in expected.items():
        parallel_fit = parallel[name]
        pd.testing.assert_frame_equal(serial_fit.folds, parallel_fit.folds, check_exact=True)
        pd.testing.assert_frame_equal(
            serial_fit.validation, parallel_fit.validation, rtol=0, atol=1e-12
        )
        assert (serial_fit.params, serial_fit.libraries, serial_fit.rows_fit) == (
            parallel_fit.params,
            parallel_fit.libraries,
            parallel_fit.rows_fit,
        )
        np.testing.assert_allclose(
            serial_fit.estimator.predict_proba(fresh),
            parallel_fit.estimator.predict_proba(fresh),
            rtol=0,
            atol=1e-12,
        )


def test_a_candidate_that_cannot_be_fitted_does_not_stop_the_others(address: str) -> None:
    params = {"lr": {"solver": "magic"}, "nb": {}, "unheard": {}}
    outcomes = dict(cluster.fit_all(address, trainer_factory(), params))
    assert outcomes["nb"]().id == "nb"
    with pytest.raises(InputError, match="'lr' cannot be fitted"):
        outcomes["lr"]()
    with pytest.raises(InputError, match="'unheard' cannot be fitted"):
        outcomes["unheard"]()


def test_the_deadline_cancels_unfinished_candidates_and_frees_the_workers(address: str) -> None:
    start = time.monotonic()
    params = {"nb": {}, **LONG, "lr": {}}
    outcomes = dict(cluster.fit_all(address, trainer_factory(), params, deadline=start + 8))
    assert time.monotonic() - start < 30
    assert outcomes["nb"]().id == "nb"
    assert outcomes["lr"]().id == "lr"
    with pytest.raises(automl.OutOfTime):
        outcomes["gbc"]()
    until(lambda: not tasks(address), 60)
    # a worker that gave up a candidate continues with the next one
    assert dict(cluster.fit_all(address, trainer_factory(), {"lr": {}}))["lr"]().id == "lr"


def test_closing_the_iterator_cancels_unfinished_candidates(address: str) -> None:
    arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, **ENDLESS})
    name, outcome = next(arriving)
    assert outcome().id == name == "lr"
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


def test_a_task_whose_worker_dies_is_restarted_by_another(address: str) -> None:
    arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, "gbc": {"folds": 100}})
    name, _ = next(arriving)
    assert name == "lr"
    with distributed.Client(address, set_as_default=False) as client:
        pids = client.run(lambda dask_worker: os.getpid() if dask_worker.state.executing else None)
    [busy] = [pid for pid in pids.values() if pid]
    # long enough for Dask to drop duplicates of shared data more than once (every 2 s)
    time.sleep(3)
    os.kill(busy, signal.SIGKILL)
    name, outcome = next(arriving)
    assert outcome().id == name == "gbc"
    arriving.close()


def test_a_candidate_that_kills_every_worker_is_reported_and_not_retried_forever() -> None:
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as local:
        # as a system does when it runs out of memory
        arriving = cluster.fit_all(local.scheduler_address, lambda on_fold: os._exit(1), {"lr": {}})
        name, outcome = next(arriving)
        assert name == "lr"
        with pytest.raises(InputError, match=r"ended \d Dask workers"):
            outcome()
        assert list(arriving) == []


def test_an_address_without_an_answer_is_reported_within_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert dask.ANSWER_SECONDS == 5
    monkeypatch.setattr(dask, "ANSWER_SECONDS", 1.5)
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{occupied.getsockname()[1]}"
        assert_fails(
            host, InputError, 30, "No Dask scheduler with workers answers at tcp://127.0.0.1"
        )
        # a program that listens and says nothing
        occupied.listen()
        assert_fails(
            host, InputError, 30, "No Dask scheduler with workers answers at tcp://127.0.0.1"
        )


def test_workers_with_other_packages_are_reported(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask._about.cache_clear()
    real = dask.importlib.metadata.version
    monkeypatch.setattr(
        dask.importlib.metadata, "version", lambda name: "9.9" if name == "pandas" else real(name)
    )
    try:
        assert_fails(
            address,
            InputError,
            30,
            r"The Dask worker at \S+ has pandas 2\.\S+ instead of 9\.9; its figures could",
        )
    finally:
        dask._about.cache_clear()


def test_missing_and_lost_parts_of_a_cluster_are_reported(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, started):
        assert_fails(address, InputError, 30, "No Dask scheduler with workers answers")
        with program(tmp_path, *worker_words(address), path=""):
            until(lambda: workers(address) == 1, 60)
            assert_fails(
                address,
                InputError,
                30,
                r"lacks this app's code or packages .*No module named .core",
            )
        until(lambda: workers(address) == 0, 60)

        with program(tmp_path, *worker_words(address)) as worker:
            until(lambda: workers(address) == 1, 60)
            arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, **ENDLESS})
            name, outcome = next(arriving)
            assert outcome().id == name == "lr"
            worker.kill()
            lost(arriving)

        with program(tmp_path, *worker_words(address)):
            until(lambda: workers(address) == 1, 60)
            arriving = cluster.fit_all(address, partial(Toy), {"lr": {}, **ENDLESS})
            assert next(arriving)[0] == "lr"
            started.kill()
            lost(arriving)


def test_a_scheduler_that_cannot_read_the_tasks_is_reported(tmp_path: Path) -> None:
    with scheduler(tmp_path, path="") as (address, _), program(tmp_path, *worker_words(address)):
        until(lambda: workers(address) == 1, 60)
        assert_fails(address, InputError, 30, r"The Dask process at \S+ lacks this app's code")


def workers(address: str) -> int:
    with distributed.Client(address, set_as_default=False) as client:
        return len(client.nthreads())


def lost(arriving: Iterator[cluster.Outcome]) -> None:
    start = time.monotonic()
    with pytest.raises(JobError, match=r"train again, or unset COURTSIDE"):
        list(arriving)
    assert time.monotonic() - start < 60


class RecordedProgress(Progress):
    """Records all progress of a step."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, str]] = []

    def update(self, fraction: float, text: str) -> None:
        self.updates.append((fraction, text))


@pytest.fixture(scope="module")
def home(prepared_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with prepared sets of a few rows."""
    return copy_home(prepared_few, tmp_path_factory.mktemp("cluster") / "home")


def test_a_training_on_a_cluster_gives_the_same_figures(home: Settings, address: str) -> None:
    two_candidates = {name: THREE[name] for name in ("lr", "lightgbm")}
    options = train.Options(
        candidates=(*two_candidates, "nb"),
        params={**two_candidates, "nb": {"magic": 1}},
        folds=2,
        blend=True,
        learning_seconds=0,
    )
    progress = RecordedProgress()
    parallel = train.run(home.model_copy(update={"dask": address}), options, progress)
    serial = train.run(home, options)
    assert (
        (parallel.best, parallel.left_out)
        == (serial.best, serial.left_out)
        == (serial.best, ("nb",))
    )
    assert parallel.log_loss_test == pytest.approx(serial.log_loss_test, abs=1e-12)
    for name in ("comparison", "folds", "left_out"):
        serial_table, parallel_table = (
            tracking.table(home, run.run_id, name).drop(
                columns=["run_id", "seconds_fit"], errors="ignore"
            )
            for run in (serial, parallel)
        )
        pd.testing.assert_frame_equal(serial_table, parallel_table, rtol=0, atol=1e-12)
    children = {
        run.run_id: {child.name: child for child in tracking.runs(home, parent=run.run_id)}
        for run in (serial, parallel)
    }
    for name, serial_child in children[serial.run_id].items():
        parallel_child = children[parallel.run_id][name]
        assert (
            serial_child.status
            == parallel_child.status
            == ("FAILED" if name == "Naive Bayes" else "FINISHED")
        )
        if serial_child.status == "FINISHED":
            forecast, again = (
                tracking.table(home, child.run_id, "test_predictions")["courtside_probability"]
                for child in (serial_child, parallel_child)
            )
            np.testing.assert_allclose(forecast, again, rtol=0, atol=1e-12)
    texts = [str(text) for _, text in progress.updates]
    assert any(text.startswith("Train: 0 of 3") for text in texts)
    assert any(text.startswith("Train: 2 of 3") and "best so far" in text for text in texts)
    assert any(text.startswith("Blend of the best: fold 2 of 2") for text in texts)
    shares = [share for share, _ in progress.updates]
    assert shares == sorted(shares)
