"""The way to MLflow: its store, made if missing and opened once, and sentences for its errors.

`tracking` asks for runs and `model_store` for registered models; nothing else needs a client.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from core.platform import store_faults
from core.platform.config import Settings

STORE_VARIABLE = "MLFLOW_TRACKING_URI"
# what MLflow answers when there is none of that name, as against a store that does not work
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_first_use = threading.Lock()
_store_named = threading.Lock()


@contextmanager
def wrap_store_errors(*, only_store: bool = False) -> Iterator[None]:
    """Turn what MLflow, its database and the disk refuse into a StoreError.

    Parameters
    ----------
    only_store : bool
        Whether nothing but the store is asked inside, so that every error of the system is its
        own; else only a disk that is full or may not be written becomes one.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        raise store_faults.of_mlflow(mlflow.get_tracking_uri(), error) from error
    except (OSError, Timeout) as error:
        if only_store:
            raise store_faults.of_mlflow(mlflow.get_tracking_uri(), error) from error
        if known := store_faults.of_disk(error):
            raise known from error
        raise


def find(ask: Callable[[], Any]) -> Any:
    """Return what MLflow finds, None where it says that there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def warm(settings: Settings) -> None:
    """Import MLflow and open the store, so that the first question is answered at once.

    Raises
    ------
    StoreError
        When the store cannot be opened.
    """
    experiment_id(settings)


def experiment_id(settings: Settings) -> str:
    """Return the id of the project's experiment; store and experiment are made if missing.

    Raises
    ------
    StoreError
        When the store cannot be opened.
    """
    return _experiment_id(settings.mlflow_uri, settings.project, settings.home)


def client(settings: Settings) -> Any:
    """Return the one client of the store, which is opened, or made, before."""
    experiment_id(settings)
    return client_of(settings.mlflow_uri)


@lru_cache
def client_of(uri: str) -> Any:
    """Return the one client of a store that is open."""
    from mlflow import MlflowClient

    return MlflowClient(uri)


def library(settings: Settings) -> Any:
    """Return MLflow itself, set to the store and quiet; for what goes by the run that is open."""
    # before the import: it reads them once
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with _first_use:
        import mlflow
        import mlflow.data
        import mlflow.pyfunc

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow")
    # it writes its own variable too, which whoever reads the settings next would take for ours;
    # one thread at a time, or the second would put back what the first was about to remove
    with _store_named:
        given = os.environ.get(STORE_VARIABLE)
        mlflow.set_tracking_uri(settings.mlflow_uri)
        if given is None:
            os.environ.pop(STORE_VARIABLE, None)
        else:
            os.environ[STORE_VARIABLE] = given
    return mlflow


@lru_cache
@wrap_store_errors()
def _experiment_id(uri: str, project: str, home: Path) -> str:
    library(Settings(home=home, tracking_uri=uri))
    with _one_maker(home, uri):
        local = _sqlite_file(uri)
        if local is not None and not local.exists():
            _make_store(local)
        mlflow_client = client_of(uri)
        experiment = mlflow_client.get_experiment_by_name(project)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                # by somebody in MLflow's pages; its runs are still there
                mlflow_client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)
        # a server has its own place for artifacts
        served = uri.startswith(("http://", "https://"))
        place = None if served else (home / "mlruns").as_uri()
        return str(mlflow_client.create_experiment(project, artifact_location=place))


@contextmanager
def _one_maker(home: Path, uri: str) -> Iterator[None]:
    """Let one process after the other make the tables: two at once break each other."""
    lock = FileLock(home / "state" / "store.lock", timeout=120)
    try:
        (home / "state").mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError:
        local = _sqlite_file(uri)
        if local is None or not local.exists():
            raise
        # nothing is made in a home that is only read
    try:
        yield
    finally:
        lock.release()


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _make_store(path: Path) -> None:
    """Make the database beside its place and move it there whole: no half-made store is left."""
    from mlflow import MlflowClient

    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    MlflowClient(f"sqlite:///{temporary.as_posix()}").search_experiments(max_results=1)
    os.replace(temporary, path)
