"""MLflow runs: what steps write to them, and what is read from them.

Nothing else uses the API of runs; registered models are in `model_store`.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from core.platform import (
    message_tables,
    messages,
    mlflow_client,
    model_files,
    permissions,
    run_artifacts,
    run_datasets,
    run_index,
    set_aside,
    steps,
)
from core.platform.config import Options, Settings
from core.platform.errors import (
    CourtsideError,
    NotReadyError,
    StoreError,
    without_secrets,
    words_of,
)
from core.platform.git import git_commit as git_commit
from core.platform.messages import Message, Words
from core.platform.run_record import Progress, Record
from core.platform.run_tags import TAG_CHARACTERS, Condition
from core.platform.runs import EveryRun
from core.platform.runs import RunInfo as RunInfo
from core.platform.store_faults import DamagedError

RUN_ID = re.compile(r"[0-9a-f]{32}")
# runs that the store returns at a time
SEARCHED = 1_000


@dataclass(frozen=True)
class OpenRun:
    """The run of a step while it is open, and the way from there to the runs before it."""

    settings: Settings
    run_id: str

    def log(self, record: Record) -> str | None:
        """Write a record to this run, as the function `log` does."""
        return log(self.settings, self.run_id, record)

    def earlier(self, run_id: str) -> RunInfo | None:
        """Return another run, None when there is none of that id."""
        return run(self.settings, run_id)

    def table(self, run_id: str, name: str) -> pd.DataFrame:
        """Return a table of another run, as the function `table` does."""
        return table(self.settings, run_id, name)


@contextmanager
def open_step(
    settings: Settings, step: str, options: Options, progress: Progress
) -> Iterator[OpenRun]:
    """Open the run of a step as `step_run` does, and yield it with its ways to read and write."""
    with step_run(settings, step, options, progress) as run_id:
        yield OpenRun(settings, run_id)


@contextmanager
def step_run(settings: Settings, step: str, options: Options, progress: Progress) -> Iterator[str]:
    """Open the named run of a step, and end it FINISHED, FAILED or KILLED.

    The resolved options and settings, the git commit and the job are recorded at once. An error is
    recorded as the tag `courtside.error` and re-raised. Charts are drawn when the run has ended and
    can be read.

    Yields
    ------
    str
        The run's id.
    """
    permissions.require(step)
    mlflow = mlflow_client.library(settings)
    own = EveryRun(
        step=step, project=settings.project, git_commit=git_commit(), job_id=progress.job_id
    )
    source = steps.module_name(step).replace(".", "/") + ".py"
    tags = {**own.write(), "mlflow.source.name": source}
    # a retraining runs other steps within its own run
    is_inside = mlflow.active_run() is not None
    with mlflow_client.wrap_store_errors():
        mlflow.set_experiment(experiment_id=mlflow_client.experiment_id(settings))
    run = _run(settings, mlflow, steps.RUN_NAMES[step], tags, nested=is_inside)
    # twice: the run keeps the sentence too
    with (
        mlflow_client.wrap_store_errors(),
        nullcontext() if is_inside else run_artifacts.drawn_at_the_end(),
        run as run_id,
        mlflow_client.wrap_store_errors(),
    ):
        progress.run_started(run_id)
        resolved = options.model_dump(mode="json")
        if resolved:
            mlflow.log_params({name: _param(value) for name, value in resolved.items()})
        # secrets, addresses that may contain a password, and people's identities
        hidden = {
            "tracking_uri",
            "predictions_url",
            "state_url",
            "webhook_secret",
            "smtp_password",
            "allowed_emails",
            "roles",
        }
        settings_shown = settings.model_dump(mode="json", exclude=hidden)
        mlflow.log_dict({"options": resolved, "settings": settings_shown}, "settings.json")
        _index(settings, run_id)
        yield run_id


@contextmanager
def child_run(
    settings: Settings, name: str, progress: Progress, tags: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Open a run nested in the active one; ends as `step_run` does.

    Yields
    ------
    str
        The run's id.
    """
    mlflow = mlflow_client.library(settings)
    parent = mlflow.active_run()
    own = EveryRun(
        step=EveryRun.read(parent.data.tags).step if parent else None,
        project=settings.project,
        git_commit=git_commit(),
        job_id=progress.job_id,
    )
    run = _run(settings, mlflow, name, {**own.write(), **(tags or {})}, nested=True)
    with mlflow_client.wrap_store_errors(), run as run_id, mlflow_client.wrap_store_errors():
        yield run_id


@mlflow_client.wrap_store_errors()
def log(settings: Settings, run_id: str, record: Record) -> str | None:
    """Write a step's record to its run; one with a model or data sets only to the active run.

    Returns
    -------
    str or None
        The id of the logged model, if any.
    """
    mlflow = mlflow_client.library(settings)
    client = mlflow_client.client(settings)
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    params = [Param(name, _param(value)) for name, value in record.params.items()]
    tags = {**record.tags, **(EveryRun(sample=True).write() if record.is_sample else {})}
    entries = [RunTag(name, value[:TAG_CHARACTERS]) for name, value in tags.items()]
    model_id = None
    if record.model:
        # MLflow adds parameters of the same names, and reads metrics back from the run one by one
        client.log_batch(run_id, params=params, tags=entries)
        params, entries = [], []
        model_id = model_files.log(mlflow, record.model)
    metrics = [
        Metric(_metric_name(name), float(value), now, 0, model_id)
        for name, value in record.metrics.items()
        if math.isfinite(value)
    ]
    client.log_batch(run_id, metrics, params, entries)
    run_artifacts.write(client, run_id, record)
    run_artifacts.draw(client, run_id, record.figures)
    for path in record.files:
        client.log_artifact(run_id, str(path), "files")
    for dataset in record.datasets:
        mlflow.log_input(run_datasets.as_input(mlflow, dataset), context=dataset.context)
    _index(settings, run_id)
    return model_id


@mlflow_client.wrap_store_errors()
def set_tags(settings: Settings, run_id: str, tags: Mapping[str, str]) -> None:
    """Write tags to a run, active or not, all or none."""
    from mlflow.entities import RunTag

    mlflow_client.client(settings).log_batch(
        run_id, tags=[RunTag(name, value[:TAG_CHARACTERS]) for name, value in tags.items()]
    )
    _index(settings, run_id)


@mlflow_client.wrap_store_errors(only_store=True)
def delete_tag(settings: Settings, run_id: str, name: str) -> None:
    """Delete a tag of a run.

    Raises
    ------
    StoreError
        If it has no such tag, or the store fails.
    """
    mlflow_client.client(settings).delete_tag(run_id, name)
    _index(settings, run_id)


def last_run(settings: Settings, step: str, status: str | None = "FINISHED") -> RunInfo | None:
    """Return the newest run of a step; None if there is none.

    Parameters
    ----------
    status : str or None
        FINISHED, FAILED, KILLED, RUNNING; None for any.
    """
    newest = runs(settings, step=step, status=status, limit=1)
    return newest[0] if newest else None


def runs(
    settings: Settings,
    *,
    step: str | None = None,
    status: str | None = None,
    parent: str | None = None,
    ids: Sequence[str] | None = None,
    matching: Sequence[Condition] = (),
    limit: int = 100,
    with_deleted: bool = False,
) -> list[RunInfo]:
    """Return runs of the project, newest first, from the index of runs.

    Parameters
    ----------
    step : str, optional
        Only this step's own runs, without nested ones.
    parent : str, optional
        Only the runs nested in this one.
    ids : sequence of str, optional
        Only these runs.
    matching : sequence of Condition
        Only runs that meet all of these; see `RunTags.where`.
    """
    if not mlflow_client.has_store(settings):
        return []
    wanted = run_index.Wanted(
        step, steps.RUN_NAMES[step] if step else None, status, parent, ids, tuple(matching)
    )
    search = partial(_search, settings)
    with suppress(DamagedError):
        if run_index.refresh(settings, search):
            return run_index.select(settings, wanted, limit=limit, with_deleted=with_deleted)
    # a home that cannot be written and has no index, or whose state is damaged
    kept = [*search(wanted.for_mlflow(), "active")]
    kept += search(wanted.for_mlflow(), "deleted") if with_deleted else []
    return sorted(kept, key=lambda run: -run.started)[:limit]


def run(settings: Settings, run_id: str) -> RunInfo | None:
    """Return a run, also a deleted one or one of another project; None if there is none."""
    kept = runs(settings, ids=[run_id], limit=1, with_deleted=True)
    return kept[0] if kept else _stored(settings, run_id)


def finished_run(settings: Settings, run_id: str) -> RunInfo | None:
    """Return a run that is finished and so complete; None otherwise.

    A step writes its files, and its rows in the log, before the metrics of its run, so an id from
    these may belong to a run that is active or has failed. A run's end is written last, so a
    finished one is complete.
    """
    info = run(settings, run_id)
    return info if info is not None and info.status == "FINISHED" else None


def table(settings: Settings, run_id: str, name: str) -> pd.DataFrame:
    """Return a table of a run.

    Raises
    ------
    NotReadyError
        If the run has no such table.
    """
    path = artifact(settings, run_id, f"tables/{name}.parquet")
    return message_tables.to_messages(pd.read_parquet(path))


def document(settings: Settings, run_id: str, name: str) -> dict[str, Any]:
    """Return a JSON document of a run.

    Raises
    ------
    NotReadyError
        If the run has no such document.
    """
    path = artifact(settings, run_id, f"documents/{name}.json")
    content: dict[str, Any] = messages.from_data(json.loads(path.read_text(encoding="utf-8")))
    return content


def artifact(settings: Settings, run_id: str, path: str) -> Path:
    """Return a local copy of a run's artifact.

    Raises
    ------
    NotReadyError
        If the run has no such artifact.
    """
    from mlflow.exceptions import MlflowException

    local = _local_artifacts(settings, run_id)
    if local is not None and (local / path).is_file():
        return local / path
    try:
        return Path(mlflow_client.client(settings).download_artifacts(run_id, path))
    except (MlflowException, OSError) as error:
        raise NotReadyError(
            Message("The run {run} kept no {path}. Run its step again.", run=run_id[:8], path=path)
        ) from error


@mlflow_client.wrap_store_errors()
def artifacts(settings: Settings, run_id: str) -> list[str]:
    """Return the paths of a run's artifacts, recursively."""
    client = mlflow_client.client(settings)

    def walk(path: str | None) -> Iterator[str]:
        for item in client.list_artifacts(run_id, path):
            if item.is_dir:
                yield from walk(item.path)
            else:
                yield str(item.path)

    return sorted(walk(None))


@mlflow_client.wrap_store_errors()
def end_runs(settings: Settings, job_id: str, outcome: str, reason: Words) -> list[str]:
    """End the runs that a dead job left active.

    Parameters
    ----------
    outcome : str
        `cancelled` ends them KILLED, anything else FAILED.
    reason : Words
        Recorded as the tag `courtside.error`.

    Returns
    -------
    list of str
        The ids of the ended runs.
    """
    client = mlflow_client.client(settings)
    of_job = [condition.for_mlflow() for condition in EveryRun.where(job_id=job_id)]
    wanted = " and ".join([*of_job, "attributes.status = 'RUNNING'"])
    # not from the index: a run may have been killed before it was there
    still_open = client.search_runs([mlflow_client.experiment_id(settings)], wanted)
    for item in still_open:
        with set_aside.guarded(settings, "jobs", f"run:{item.info.run_id}"):
            set_tags(settings, item.info.run_id, EveryRun(error=reason).write())
            status = "KILLED" if outcome == "cancelled" else "FAILED"
            client.set_terminated(item.info.run_id, status)
            _index(settings, item.info.run_id)
    return [item.info.run_id for item in still_open]


@mlflow_client.wrap_store_errors()
def _search(settings: Settings, matching: str, view: Literal["active", "deleted"]) -> list[RunInfo]:
    """Return the runs of the project in the store that meet a filter in MLflow's syntax."""
    from mlflow.entities import ViewType

    kinds = {"active": ViewType.ACTIVE_ONLY, "deleted": ViewType.DELETED_ONLY}
    ask = partial(
        mlflow_client.client(settings).search_runs,
        [mlflow_client.experiment_id(settings)],
        matching,
        kinds[view],
        max_results=SEARCHED,
    )
    page = ask()
    matched = [_info(item) for item in page]
    while page.token:
        page = ask(page_token=page.token)
        matched += [_info(item) for item in page]
    return matched


@mlflow_client.wrap_store_errors()
def _stored(settings: Settings, run_id: str) -> RunInfo | None:
    """Return a run as it is in the store."""
    if not mlflow_client.has_store(settings):
        return None
    client = mlflow_client.client(settings)
    kept = mlflow_client.find(lambda: client.get_run(run_id))
    return _info(kept) if kept else None


def _index(settings: Settings, run_id: str) -> None:
    """Write a run to the index as it is in the store."""
    kept = _stored(settings, run_id)
    if kept is not None:
        with suppress(DamagedError):
            run_index.write(settings, kept)


@contextmanager
def _run(
    settings: Settings, mlflow: Any, name: str, tags: dict[str, str], nested: bool
) -> Iterator[str]:
    run_id = mlflow.start_run(run_name=name, tags=tags, nested=nested).info.run_id
    try:
        yield run_id
    except BaseException as error:
        reason = (
            words_of(error)
            if isinstance(error, CourtsideError)
            else without_secrets(f"{type(error).__name__}: {error}")
        )
        mlflow.set_tags(EveryRun(error=reason).write())
        mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
        # the next reader of the index would add it
        with suppress(StoreError):
            _index(settings, run_id)
        raise
    mlflow.end_run("FINISHED")
    _index(settings, run_id)


def _metric_name(name: str) -> str:
    """Return a metric name that MLflow accepts; names of columns may contain any character.

    Examples
    --------
    >>> _metric_name("psi_income"), _metric_name("psi_income (\u20ac)")
    ('psi_income', 'psi_income ____c1577e')
    """
    plain = re.sub(r"[^\w.\- /]", "_", name)
    if plain == name and posixpath.normpath(name) == name and not name.startswith((".", "/")):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{plain.replace('/', '_')}_{digest}"


def _param(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))[:6000]
    return str(value)[:6000]


@lru_cache(maxsize=512)
def _artifact_uri(uri: str, run_id: str) -> str:
    return str(mlflow_client.client_of(uri).get_run(run_id).info.artifact_uri)


def _local_artifacts(settings: Settings, run_id: str) -> Path | None:
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    own = settings.home / "mlruns" / run_id / "artifacts"
    if RUN_ID.fullmatch(run_id) and own.is_dir():
        # where the experiment keeps them: MLflow takes milliseconds to say so
        return own
    mlflow_client.client(settings)
    uri = mlflow_client.find(lambda: _artifact_uri(settings.mlflow_uri, run_id))
    if uri is None:
        return None
    address = urlparse(uri)
    return Path(url2pathname(address.path)) if address.scheme in ("file", "") else None


def _info(item: Any) -> RunInfo:
    return RunInfo(
        item.info.run_id,
        item.info.experiment_id,
        item.info.run_name,
        item.info.status,
        item.info.start_time / 1000,
        item.info.end_time / 1000 if item.info.end_time else None,
        dict(item.data.params),
        dict(item.data.metrics),
        dict(item.data.tags),
    )
