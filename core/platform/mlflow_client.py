"""The MLflow client: opens or creates the store once, and turns MLflow's errors into sentences.

Only `tracking` (runs) and `model_store` (registered models) need it. A StoreError says
that the store cannot be opened.
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

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from core.platform import store_faults
from core.platform.config import Settings

STORE_VARIABLE = "MLFLOW_TRACKING_URI"
# MLflow's code for a missing name, as opposed to a broken store
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_first_use = threading.Lock()
_store_named = threading.Lock()


@contextmanager
def wrap_store_errors(*, only_store: bool = False) -> Iterator[None]:
    """Turn errors of MLflow, its database and the disk into a StoreError.

    Parameters
    ----------
    only_store : bool
        Whether the block uses nothing but the store, so that every system error belongs to it;
        otherwise only a full or read-only disk is converted.
    """
    try:
        yield
    except Exception as error:
        # not before: its import takes seconds, and the block may not need it
        import mlflow
        from mlflow.exceptions import MlflowException

        is_store = isinstance(error, MlflowException | SQLAlchemyError | ImportError)
        if is_store or (only_store and isinstance(error, OSError)):
            raise store_faults.of_mlflow(mlflow.get_tracking_uri(), error) from error
        if isinstance(error, OSError) and (known := store_faults.of_disk(error)):
            raise known from error
        raise


def find(ask: Callable[[], Any]) -> Any:
    """Return the result of an MLflow query; None if MLflow says that there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def warm(settings: Settings) -> None:
    """Import MLflow and open the store, so that the first query is fast."""
    experiment_id(settings)


def experiment_id(settings: Settings) -> str:
    """Return the id of the project's experiment; create store and experiment if missing."""
    # the lock is in the home of the app: its projects share the store
    return _experiment_id(settings.mlflow_uri, settings.project, settings.home, settings.outer_home)


@wrap_store_errors(only_store=True)
def archive_experiment(settings: Settings, experiment: str, archived_as: str) -> None:
    """Rename an experiment of an open store, and delete it as MLflow does.

    Its runs stay in the store, and another project can take the name.
    """
    known = client_of(settings.mlflow_uri)
    known.rename_experiment(experiment, archived_as)
    known.delete_experiment(experiment)
    _experiment_id.cache_clear()


@wrap_store_errors(only_store=True)
def restore_experiment(settings: Settings, experiment: str) -> bool:
    """Undo `archive_experiment`, and return whether the store still had the experiment."""
    known = client_of(settings.mlflow_uri)
    kept = find(lambda: known.get_experiment(experiment))
    if kept is None:
        return False
    if kept.lifecycle_stage == "deleted":
        known.restore_experiment(experiment)
    known.rename_experiment(experiment, settings.project)
    _experiment_id.cache_clear()
    return True


def has_store(settings: Settings) -> bool:
    """Return whether there is a store; one in a file is created by the first that writes."""
    local = _sqlite_file(settings.mlflow_uri)
    return local is None or local.exists()


def client(settings: Settings) -> Any:
    """Return the store's only client; opens or creates the store first."""
    experiment_id(settings)
    return client_of(settings.mlflow_uri)


@lru_cache
def client_of(uri: str) -> Any:
    """Return the only client of a store that is already open."""
    from mlflow import MlflowClient

    return MlflowClient(uri)


def library(settings: Settings) -> Any:
    """Return MLflow, configured for the store and quiet, for calls that need an active run."""
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
    # MLflow sets its own variable too, which the next reader of the settings would take for ours;
    # one thread at a time, or the second would restore what the first was about to remove
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
def _experiment_id(uri: str, project: str, home: Path, outer: Path) -> str:
    library(Settings(home=outer, tracking_uri=uri))
    with _one_maker(outer, uri):
        local = _sqlite_file(uri)
        if local is not None and not local.exists():
            _make_store(local)
        mlflow_client = client_of(uri)
        experiment = mlflow_client.get_experiment_by_name(project)
        if experiment is not None:
            if experiment.lifecycle_stage == "deleted":
                # deleted in MLflow's UI; its runs still exist
                mlflow_client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)
        # a server has its own artifact location
        served = uri.startswith(("http://", "https://"))
        place = None if served else (home / "mlruns").as_uri()
        return str(mlflow_client.create_experiment(project, artifact_location=place))


@contextmanager
def _one_maker(home: Path, uri: str) -> Iterator[None]:
    """Let one process at a time create the tables: two in parallel break each other."""
    lock = FileLock(home / "state" / "store.lock", timeout=120)
    try:
        (home / "state").mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError:
        local = _sqlite_file(uri)
        if local is None or not local.exists():
            raise
        # nothing is created in a read-only home
    try:
        yield
    finally:
        lock.release()


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _make_store(path: Path) -> None:
    """Create the database elsewhere and move it to its path, so no partial store is left."""
    from mlflow import MlflowClient

    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    MlflowClient(f"sqlite:///{temporary.as_posix()}").search_experiments(max_results=1)
    os.replace(temporary, path)
