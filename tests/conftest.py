"""What tests share: homes with an empty store, homes built once, and rows to work on."""

from __future__ import annotations

import functools
import gc
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock

from core.data import acquire, prepare
from core.monitoring import monitor
from core.platform import mlflow_client, project, tracking
from core.platform.config import Settings
from core.projects.kobe import sample
from core.scoring import score
from core.training import automl, train
from tests.postgresql import Server, programs

_modules = itertools.count()
# of the processes that run tests in parallel: each has its own ports
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# where the store names files by their full path
_PATHS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
REAL_FILES = ("dataset_kobe_dev.parquet", "dataset_kobe_prod.parquet")
# tests marked `long` run with this variable alone
WITH_LONG = "LONG_TESTS" in os.environ


# What is imported here is some 200,000 objects that stay. To look through them as often as Python
# does by itself took a seventh of the tests' time.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    # what was imported for the tests is no garbage; libraries collect all by themselves
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not WITH_LONG:
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: set LONG_TESTS=1"))


@pytest.fixture(autouse=True, scope="session")
def _no_personal_settings() -> None:
    """Keep the settings and the store of whoever runs the tests out of every test."""
    for name in list(os.environ):
        if name.startswith(("COURTSIDE_", "MLFLOW_")) and name != "COURTSIDE_RAW_DIR":
            del os.environ[name]


@pytest.fixture(autouse=True, scope="session")
def _pycaret_is_no_garbage() -> Iterator[None]:
    """Freeze what PyCaret imported: it collects garbage after each fit, which jobs do too."""
    with pytest.MonkeyPatch.context() as patch:
        started = automl._experiment
        freeze = functools.cache(gc.freeze)

        def experiment(*arguments: Any, **options: Any) -> Any:
            prepared = started(*arguments, **options)
            freeze()
            return prepared

        patch.setattr(automl, "_experiment", experiment)
        yield


@pytest.fixture(autouse=True)
def _no_setting_left_behind() -> Iterator[None]:
    """Fail a test that leaves a setting to the tests after it."""

    def ours() -> dict[str, str]:
        return {
            name: value
            for name, value in os.environ.items()
            if name.startswith("COURTSIDE_") or name == mlflow_client.STORE_VARIABLE
        }

    before = ours()
    yield
    after = ours()
    for name in after.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    assert after == before


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """Return a folder that one process of this session fills for all of them, to be copied."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "once" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.with_suffix(".done").exists():
            # left by a failed attempt
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            folder.with_suffix(".done").touch()
    return folder


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without any experiment, created once: it takes seconds."""

    def create(folder: Path) -> None:
        from mlflow import MlflowClient

        uri = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
        MlflowClient(uri).search_experiments(max_results=1)

    from mlflow.store.db import utils

    # read from 60 files of MLflow each time a store is opened; every test opens its own
    utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)
    return once(tmp_path_factory, "store", create) / "mlflow.db"


@pytest.fixture(autouse=True, scope="session")
def _new_stores_are_copies(request: pytest.FixtureRequest) -> Iterator[None]:
    """Copy a store where one is created: it takes seconds. Programs of their own create theirs."""

    def copied(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(request.getfixturevalue("store_template"), path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_client, "_make_store", copied)
        yield


def new_home(folder: Path, template: Path, **values: object) -> Settings:
    """Return settings with a home of their own and an empty store in it."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copyfile(template, home / "mlflow.db")
    return Settings(home=home, **values)


def copy_home(source: Settings, home: Path, **values: object) -> Settings:
    """Return settings with a copy of what a home holds: a store and files of its own, no jobs."""
    left = shutil.ignore_patterns("logs", "*.lock", "state.db*")
    shutil.copytree(source.home, home, ignore=left)
    _copy_state(source.state_dir, home / "state")
    with sqlite3.connect(home / "mlflow.db") as store:
        for table, column in _PATHS.items():
            store.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608
                (str(source.home), str(home)),
            )
    store.close()
    return source.model_copy(update={"home": home, **values})


def _copy_state(source: Path, folder: Path) -> None:
    if not (source / "state.db").exists():
        return
    with (
        closing(sqlite3.connect(source / "state.db")) as before,
        closing(sqlite3.connect(folder / "state.db")) as copy,
        copy,
    ):
        before.backup(copy)
        tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master")}
        for table in tables & {"jobs", "owner"}:
            copy.execute(f"DELETE FROM {table}")  # noqa: S608
        if "servers" in tables:
            # a copied home passes over the other's servers; this one shares them
            copy.execute("UPDATE servers SET body = json_set(body, '$.home', null)")


@pytest.fixture
def settings(tmp_path: Path, store_template: Path) -> Settings:
    return new_home(tmp_path, store_template)


@pytest.fixture(scope="module")
def module_port() -> int:
    """The first of 20 ports for the tests of one module."""
    return 6001 + 1000 * PROCESS + 20 * (next(_modules) % 10)


@pytest.fixture(scope="module")
def module_settings(
    tmp_path_factory: pytest.TempPathFactory, store_template: Path, module_port: int
) -> Settings:
    """The same for tests of one module that share one state."""
    return new_home(tmp_path_factory.mktemp("module"), store_template, serve_port=module_port)


@pytest.fixture(scope="session")
def shots() -> pd.DataFrame:
    """The built-in sample; a test that changes it takes a copy."""
    return sample.generate(project.sample_tables("kobe"))


def few_of(shots: pd.DataFrame) -> pd.DataFrame:
    return shots.iloc[::38].head(800).reset_index(drop=True)


@pytest.fixture
def few_shots(shots: pd.DataFrame) -> pd.DataFrame:
    """800 rows of the sample with both kinds of shots, a copy."""
    return few_of(shots)


@pytest.fixture
def few_file(few_shots: pd.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "shots.csv"
    few_shots.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder with the real files; tests that need it skip without."""
    folder = Path(os.environ.get("COURTSIDE_RAW_DIR", "-"))
    if not all((folder / name).is_file() for name in REAL_FILES):
        pytest.skip("COURTSIDE_RAW_DIR does not name a folder with the real files")
    return folder.resolve()


# --- homes that are built once, to be copied by `copy_home` -------------------------------------


@pytest.fixture(scope="session")
def shared_home(
    tmp_path_factory: pytest.TempPathFactory, store_template: Path
) -> Callable[..., Settings]:
    """Return a function that returns a home by its name, built by one process for all of them.

    It starts as a copy of another one, or with an empty store.
    """

    def get(
        name: str, build: Callable[[Settings], object], start: Settings | None = None
    ) -> Settings:
        def create(folder: Path) -> None:
            home = folder / "home"
            build(copy_home(start, home) if start else new_home(folder, store_template))

        folder = once(tmp_path_factory, name, create)
        return Settings(home=folder / "home")

    return get


@pytest.fixture(scope="session")
def acquired_few(shared_home: Callable[..., Settings], shots: pd.DataFrame) -> Settings:
    """800 rows of the sample, acquired from a file."""

    def build(settings: Settings) -> None:
        path = settings.home.parent / "shots.csv"
        few_of(shots).to_csv(path, index=False)
        acquire.run(settings, acquire.Options(source="file", path=path))

    return shared_home("acquired-few", build)


@pytest.fixture(scope="session")
def prepared_few(shared_home: Callable[..., Settings], acquired_few: Settings) -> Settings:
    """The same, prepared as the brief wants it."""
    return shared_home(
        "prepared-few", lambda home: prepare.run(home, prepare.Options()), acquired_few
    )


@pytest.fixture(scope="session")
def trained_few(shared_home: Callable[..., Settings], prepared_few: Settings) -> Settings:
    """The same with a regression as first champion."""
    options = train.Options(candidates=("lr",), folds=2)
    return shared_home("trained-few", lambda home: train.run(home, options), prepared_few)


@pytest.fixture(scope="session")
def scored_few(shared_home: Callable[..., Settings], trained_few: Settings) -> Settings:
    """The same with all rows of the other kind scored, and a report on them."""

    def build(settings: Settings) -> None:
        score.run(settings, score.Options(way="in_process"))
        monitor.run(settings, monitor.Options())

    return shared_home("scored-few", build, trained_few)


@pytest.fixture(scope="session")
def acquired_sample(shared_home: Callable[..., Settings]) -> Settings:
    """The whole sample, acquired."""
    return shared_home("acquired-sample", lambda home: acquire.run(home, acquire.Options()))


@pytest.fixture(scope="session")
def prepared_sample(shared_home: Callable[..., Settings], acquired_sample: Settings) -> Settings:
    """The whole sample, prepared as the brief wants it."""
    return shared_home(
        "prepared-sample", lambda home: prepare.run(home, prepare.Options()), acquired_sample
    )


@pytest.fixture(scope="session")
def trained_sample(shared_home: Callable[..., Settings], prepared_sample: Settings) -> Settings:
    """The same with a regression as first champion, and a candidate that disagrees with it."""
    options = train.Options(candidates=("lr", "nb"), folds=3)
    return shared_home("trained-sample", lambda home: train.run(home, options), prepared_sample)


@pytest.fixture(scope="session")
def operated_sample(shared_home: Callable[..., Settings], trained_sample: Settings) -> Settings:
    """The same with all rows of the other kind scored, and a report on them."""

    def build(settings: Settings) -> None:
        score.run(settings, score.Options(way="in_process"))
        monitor.run(settings, monitor.Options())

    return shared_home("operated-sample", build, trained_sample)


@pytest.fixture(scope="session")
def prepared_seasons(shared_home: Callable[..., Settings], acquired_sample: Settings) -> Settings:
    """Three seasons of the sample, prepared, where many candidates are fitted."""
    options = prepare.Options(rows={"season": ("2000-01", "2001-02", "2002-03")})
    return shared_home("prepared-seasons", lambda home: prepare.run(home, options), acquired_sample)


@pytest.fixture(scope="session")
def acquired_real(shared_home: Callable[..., Settings], real_dir: Path) -> Settings:
    """The real files, acquired."""
    options = acquire.Options(source="folder", path=real_dir)
    home = shared_home("acquired-real", lambda home: acquire.run(home, options))
    return home.model_copy(update={"raw_dir": real_dir})


@pytest.fixture(scope="session")
def prepared_real(shared_home: Callable[..., Settings], acquired_real: Settings) -> Settings:
    """The real rows, prepared as the brief wants it."""
    home = shared_home(
        "prepared-real", lambda home: prepare.run(home, prepare.Options()), acquired_real
    )
    return home.model_copy(update={"raw_dir": acquired_real.raw_dir})


@pytest.fixture(scope="session")
def operated_real(shared_home: Callable[..., Settings], prepared_real: Settings) -> Settings:
    """The same with the default candidates, the best as champion; then scored and monitored."""

    def build(settings: Settings) -> None:
        train.run(settings, train.Options(learning_seconds=0))
        score.run(settings, score.Options(way="in_process"))
        monitor.run(settings, monitor.Options())

    home = shared_home("operated-real", build, prepared_real)
    return home.model_copy(update={"raw_dir": prepared_real.raw_dir})


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; tests that need it skip where its programs are absent."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not on this machine")
    server = Server(folder)
    yield server
    server.remove()


@pytest.fixture
def last_error():
    """A function that returns the status and reason of a step's newest run."""

    def ask(settings: Settings, step: str) -> tuple[str, str]:
        run = tracking.last_run(settings, step, status=None)
        assert run is not None
        return run.status, str(run.error)

    return ask
