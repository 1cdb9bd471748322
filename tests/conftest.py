"""What tests share: a home of their own with an empty store, and rows to work on."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from core import project
from core.adapters import tracking
from core.config import Settings
from core.logic import sample
from core.steps import acquire, prepare, train
from tests.postgresql import Server, programs

_modules = itertools.count()
# of the processes that run tests beside each other: each has ports of its own
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# where the store names files by their full path
_PATHS = {
    "experiments": "artifact_location", "runs": "artifact_uri",
    "logged_models": "artifact_location", "model_versions": "storage_location",
}  # fmt: skip
REAL_FILES = ("dataset_kobe_dev.parquet", "dataset_kobe_prod.parquet")


@pytest.fixture(autouse=True, scope="session")
def _nothing_of_the_persons_own() -> None:
    """Keep the person's settings and store out of every test."""
    for name in list(os.environ):
        if name.startswith(("COURTSIDE_", "MLFLOW_")) and name != "COURTSIDE_RAW_DIR":
            del os.environ[name]


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without any experiment, made once: it takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowClient(f"sqlite:///{path.as_posix()}").search_experiments(max_results=1)
    return path


def new_home(folder: Path, template: Path, **values: object) -> Settings:
    """Return settings with a home of their own and an empty store in it."""
    home = folder / "home"
    home.mkdir(parents=True)
    shutil.copyfile(template, home / "mlflow.db")
    return Settings(home=home, **values)


def copy_home(made: Settings, home: Path) -> Settings:
    """Return settings with a copy of what a home holds: a store and files of its own, no jobs."""
    left = shutil.ignore_patterns("logs", "*.lock", "jobs.db*", "queue.db*")
    shutil.copytree(made.home, home, ignore=left)
    with sqlite3.connect(home / "mlflow.db") as store:
        for table, column in _PATHS.items():
            store.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608
                (str(made.home), str(home)),
            )
    store.close()
    return made.model_copy(update={"home": home})


@pytest.fixture
def settings(tmp_path: Path, store_template: Path) -> Settings:
    return new_home(tmp_path, store_template)


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory: pytest.TempPathFactory, store_template: Path) -> Settings:
    """The same for tests of one module that look at one state together."""
    # 20 ports for each module
    port = 6001 + 1000 * PROCESS + 20 * (next(_modules) % 10)
    return new_home(tmp_path_factory.mktemp("module"), store_template, serve_port=port)


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
def prepared_few(
    tmp_path_factory: pytest.TempPathFactory, store_template: Path, shots: pd.DataFrame
) -> Settings:
    """A home where these 800 rows were acquired and prepared, to be copied by `copy_home`."""
    folder = tmp_path_factory.mktemp("prepared")
    settings = new_home(folder, store_template)
    few_of(shots).to_csv(folder / "shots.csv", index=False)
    acquire.run(settings, acquire.Options(source="file", path=folder / "shots.csv"))
    prepare.run(settings, prepare.Options())
    return settings


@pytest.fixture(scope="session")
def trained_few(prepared_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same with a regression as first champion."""
    settings = copy_home(prepared_few, tmp_path_factory.mktemp("trained") / "home")
    train.run(settings, train.Options(candidates=("lr",), folds=2))
    return settings


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder with the real files; tests that need it skip without."""
    folder = Path(os.environ.get("COURTSIDE_RAW_DIR", "-"))
    if not all((folder / name).is_file() for name in REAL_FILES):
        pytest.skip("COURTSIDE_RAW_DIR does not name a folder with the real files")
    return folder.resolve()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; tests that need it skip where its programs are absent."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not on this machine")
    found = Server(folder)
    yield found
    found.remove()


@pytest.fixture
def last_error():
    """A function that returns the status and reason of a step's newest run."""

    def ask(settings: Settings, step: str) -> tuple[str, str]:
        run = tracking.last_run(settings, step, status=None)
        assert run is not None
        return run.status, run.error

    return ask
