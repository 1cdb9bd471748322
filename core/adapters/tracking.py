"""The only module that talks to MLflow: runs, their artifacts, and the model registry."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from core.adapters import model_files
from core.config import CODE_ROOT, Options, Settings
from core.errors import CourtsideError, NotReadyError, StoreError, without_secrets
from core.record import Dataset, Progress, Record

RUN_NAMES = {
    "acquire": "AquisicaoDados",
    "prepare": "PreparacaoDados",
    "train": "Treinamento",
    "serve": "Disponibilizacao",
    "score": "PipelineAplicacao",
    "label": "RecepcaoRotulos",
    "monitor": "Monitoramento",
    "promote": "Promocao",
    "explain": "Explicacao",
    "retrain": "Retreinamento",
    "replay": "Simulacao",
}
TAG = "courtside."
SAMPLE = TAG + "sample"
CHAMPION, CHALLENGER = "champion", "challenger"
# of a registered version that was fitted again: the model that the figures are of
EVALUATED, EVALUATED_SHA256 = TAG + "evaluated_model", TAG + "evaluated_sha256"
EVALUATED_DESCRIPTION = TAG + "evaluated_description_sha256"
STORE_VARIABLE = "MLFLOW_TRACKING_URI"
# what MLflow answers when there is none of that name, as against a store that does not work
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_first_use = threading.Lock()
_store_named = threading.Lock()


@contextmanager
def _faults_told() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, SQLAlchemyError, ImportError) as error:
        # the first line only: what follows is SQL
        reason = str(error).splitlines()[0]
        raise StoreError(f"The MLflow store cannot be used: {reason}") from error


def _find(ask: Callable[[], Any]) -> Any:
    """Return what MLflow finds, None where it says that there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


@dataclass(frozen=True)
class RunInfo:
    """A run as a page shows it; times are seconds since 1970."""

    run_id: str
    experiment_id: str
    name: str
    status: str
    started: float
    ended: float | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def step(self) -> str:
        """The step that made it, or an empty text for a run of somebody else's."""
        return self.tags.get(TAG + "step", "")

    @property
    def error(self) -> str:
        """Why it failed, or an empty text."""
        return self.tags.get(TAG + "error", "")

    @property
    def is_sample(self) -> bool:
        """Whether its figures come, in part or in whole, from the built-in sample."""
        return SAMPLE in self.tags


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, the run that made it, and the aliases that point at it."""

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created: float

    @property
    def is_sample(self) -> bool:
        """Whether it was trained on the built-in sample."""
        return SAMPLE in self.tags

    @property
    def threshold(self) -> float:
        """Probability, 0 to 1, from which it labels a row 1."""
        return float(self.tags[TAG + "threshold"])

    @property
    def inputs(self) -> tuple[str, ...]:
        """The raw columns that it takes, in order.

        Raises
        ------
        NotReadyError
            For a version that an older app registered, which did not keep them.
        """
        return tuple(self._told("inputs").split(","))

    @property
    def features(self) -> tuple[str, ...]:
        """What its classifier sees: inputs, or computed from them; raises as `inputs` does."""
        return tuple(self._told("features").split(","))

    @property
    def formulas(self) -> dict[str, tuple[str, str]]:
        """How it computes features, as `ProjectSpec.formulas_of` said; raises as `inputs` does."""
        return {name: (how[0], how[1]) for name, how in json.loads(self._told("formulas")).items()}

    def _told(self, name: str) -> str:
        if TAG + name not in self.tags:
            raise NotReadyError(
                f"Version {self.version} of {self.name} does not tell which columns it takes: an "
                "older app registered it. Train again."
            )
        return self.tags[TAG + name]

    @property
    def is_complete(self) -> bool:
        """Whether it refuses rows with a missing input; else it imputes them."""
        return self.tags.get(TAG + "missing") != "impute"


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


@contextmanager
def step_run(settings: Settings, step: str, options: Options, progress: Progress) -> Iterator[str]:
    """Open the named run of a step, and end it FINISHED, FAILED or KILLED whatever happens inside.

    The resolved options and settings, the git commit and the job are recorded at once. An error
    inside is kept as the tag `courtside.error` and raised on.

    Yields
    ------
    str
        The run's id.
    """
    mlflow = _mlflow(settings)
    tags = {
        TAG + "step": step,
        TAG + "project": settings.project,
        TAG + "git_commit": git_commit(),
        "mlflow.source.name": f"core/steps/{step}.py",
    }
    if progress.job_id:
        tags[TAG + "job_id"] = progress.job_id
    mlflow.set_experiment(experiment_id=experiment_id(settings))
    # a retraining runs other steps inside its own run
    is_inside = mlflow.active_run() is not None
    with _run(mlflow, RUN_NAMES[step], tags, nested=is_inside) as run_id:
        progress.run_started(run_id)
        resolved = options.model_dump(mode="json")
        if resolved:
            mlflow.log_params({name: _param(value) for name, value in resolved.items()})
        # secrets, addresses that may hold a password, and who people are
        hidden = {
            "tracking_uri", "predictions_url", "webhook_secret", "smtp_password", "allowed_emails",
        }  # fmt: skip
        settings_shown = settings.model_dump(mode="json", exclude=hidden)
        mlflow.log_dict({"options": resolved, "settings": settings_shown}, "settings.json")
        yield run_id


@contextmanager
def child_run(
    settings: Settings, name: str, progress: Progress, tags: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Open a run nested in the one that is open; ends as `step_run` does.

    Yields
    ------
    str
        The run's id.
    """
    mlflow = _mlflow(settings)
    parent = mlflow.active_run()
    own = {TAG + "project": settings.project, TAG + "git_commit": git_commit(), **(tags or {})}
    if parent:
        own[TAG + "step"] = parent.data.tags.get(TAG + "step", "")
    if progress.job_id:
        own[TAG + "job_id"] = progress.job_id
    with _run(mlflow, name, own, nested=True) as run_id:
        yield run_id


@_faults_told()
def log(settings: Settings, run_id: str, record: Record) -> str | None:
    """Write all that a step reports to its run, which must be the one that is open.

    Returns
    -------
    str or None
        The id of the logged model, if the record holds one.
    """
    mlflow = _mlflow(settings)
    client = _client(settings)
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    tags = {**record.tags, **({SAMPLE: "true"} if record.is_sample else {})}
    client.log_batch(
        run_id,
        metrics=[
            Metric(name, float(value), now, 0)
            for name, value in record.metrics.items()
            if math.isfinite(value)
        ],
        params=[Param(name, _param(value)) for name, value in record.params.items()],
        tags=[RunTag(name, value[:5000]) for name, value in tags.items()],
    )
    with tempfile.TemporaryDirectory() as temporary:
        _write_artifacts(Path(temporary), record)
        if any(Path(temporary).iterdir()):
            client.log_artifacts(run_id, temporary)
    for path in record.files:
        client.log_artifact(run_id, str(path), "files")
    for dataset in record.datasets:
        mlflow.log_input(_data_set(mlflow, dataset), context=dataset.context)
    return model_files.log(mlflow, record.model) if record.model else None


@_faults_told()
def register(
    settings: Settings,
    model: str,
    model_id: str,
    run_id: str,
    tags: Mapping[str, str],
    *,
    evaluated: str | None = None,
    alias: str | None = CHALLENGER,
) -> ModelVersion:
    """Register a logged model as a new version with the alias `challenger`.

    With no champion yet it becomes `champion` too; and where the champion was trained on the
    built-in sample and this version was not: nobody would operate on made-up rows by choice. The
    run of the tag `courtside.train_run`, else `run_id`, is tagged with that, see `champion_tags`.

    Parameters
    ----------
    evaluated : str, optional
        The logged model that the test figures are of, where `model_id`, which is served, was
        fitted again on more rows.
    alias : str or None
        None only registers it.
    """
    client = _client(settings)
    if _find(lambda: client.get_registered_model(model)) is None:
        client.create_registered_model(model)
    kept = {**tags, **_digests(client, model_id)}
    if evaluated is not None and evaluated != model_id:
        found = _digests(client, evaluated)
        kept |= {
            EVALUATED: evaluated,
            EVALUATED_SHA256: found.get(model_files.MODEL_SHA256, ""),
            EVALUATED_DESCRIPTION: found.get(model_files.DESCRIPTION_SHA256, ""),
        }
    made = client.create_model_version(
        model, f"models:/{model_id}", run_id=run_id, tags=kept, model_id=model_id
    )
    number = str(made.version)
    if alias is not None:
        client.set_registered_model_alias(model, alias, number)
        champion = find_version(settings, model, CHAMPION)
        if champion is None or (champion.is_sample and SAMPLE not in tags):
            old, why = (
                (champion.version, "The champion was trained on the built-in sample.")
                if champion
                else ("", "There was no champion yet.")
            )
            told = champion_tags(model, old, number, "the app", "first", why)
            _set_tags(client, tags.get(TAG + "train_run", run_id), told)
            client.set_registered_model_alias(model, CHAMPION, number)
    return require_version(settings, model, number)


def champion_tags(
    model: str, old: str, new: str, decided_by: str, decision: str, reason: str
) -> dict[str, str]:
    """Return what the run that moves the champion now is tagged with, for `registry.ledger`."""
    return {
        TAG + "champion_of": model,
        TAG + "champion_from": old,
        TAG + "champion_to": new,
        TAG + "champion_at": f"{time.time():.3f}",
        TAG + "decided_by": decided_by,
        TAG + "decision": decision,
        TAG + "reason": reason,
    }


def _set_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value[:5000]) for name, value in tags.items()])


def _digests(client: Any, model_id: str) -> dict[str, str]:
    """Return what `model_files.log` noted of a model; nothing for a model of another maker."""
    found = _find(lambda: client.get_logged_model(model_id))
    tags = dict(found.tags or {}) if found else {}
    return {name: tags[name] for name in model_files.DIGESTS.values() if name in tags}


@_faults_told()
def versions(settings: Settings, model: str) -> list[ModelVersion]:
    """Return the registered versions of a model, newest first."""
    found = _client(settings).search_model_versions(f"name = '{model}'", max_results=200)
    aliases = _aliases(settings, model)
    listed = [_version(item, aliases) for item in found]
    return sorted(listed, key=lambda item: -int(item.version))


@_faults_told()
def find_version(settings: Settings, model: str, alias_or_version: str) -> ModelVersion | None:
    """Return the version behind an alias or number, None when there is none."""
    client = _client(settings)
    by_number = alias_or_version.isdigit()
    ask = client.get_model_version if by_number else client.get_model_version_by_alias
    found = _find(lambda: ask(model, alias_or_version))
    return _version(found, _aliases(settings, model)) if found else None


def require_version(settings: Settings, model: str, alias_or_version: str) -> ModelVersion:
    """Return the version behind an alias or number.

    Raises
    ------
    NotReadyError
        When there is none.
    """
    found = find_version(settings, model, alias_or_version)
    if found is None:
        what = f"version {alias_or_version}" if alias_or_version.isdigit() else alias_or_version
        raise NotReadyError(f"There is no {what} of {model} yet. Train a model first.")
    return found


def last_run(settings: Settings, step: str, status: str | None = "FINISHED") -> RunInfo | None:
    """Return the newest run of a step, None when there is none.

    Parameters
    ----------
    status : str or None
        FINISHED, FAILED, KILLED, RUNNING; None takes any.
    """
    found = runs(settings, step=step, status=status, limit=1)
    return found[0] if found else None


@_faults_told()
def runs(
    settings: Settings,
    *,
    step: str | None = None,
    status: str | None = None,
    parent: str | None = None,
    matching: Sequence[str] = (),
    limit: int = 100,
) -> list[RunInfo]:
    """Return runs of the project, newest first.

    Parameters
    ----------
    step : str, optional
        Only this step's own runs, without the nested ones.
    parent : str, optional
        Only the runs nested in this one.
    matching : sequence of str
        Only runs that all of these hold for, in MLflow's words.
    """
    wanted = list(matching)
    if step:
        wanted += [f"tags.`{TAG}step` = '{step}'", f"attributes.run_name = '{RUN_NAMES[step]}'"]
    if status:
        wanted.append(f"attributes.status = '{status}'")
    if parent:
        wanted.append(f"tags.`mlflow.parentRunId` = '{parent}'")
    found = _client(settings).search_runs(
        [experiment_id(settings)],
        " and ".join(wanted),
        max_results=limit,
        order_by=["attributes.start_time DESC"],
    )
    return [_info(run) for run in found]


@_faults_told()
def run(settings: Settings, run_id: str) -> RunInfo | None:
    """Return one run, None when there is none of that id."""
    client = _client(settings)
    found = _find(lambda: client.get_run(run_id))
    return _info(found) if found else None


def table(settings: Settings, run_id: str, name: str) -> pd.DataFrame:
    """Return a table that a run kept.

    Raises
    ------
    NotReadyError
        When the run has no such table.
    """
    return pd.read_parquet(artifact(settings, run_id, f"tables/{name}.parquet"))


def artifact(settings: Settings, run_id: str, path: str) -> Path:
    """Return a local copy of a run's artifact.

    Raises
    ------
    NotReadyError
        When the run has none of that path.
    """
    from mlflow.exceptions import MlflowException

    local = _local_artifacts(settings, run_id)
    if local is not None and (local / path).is_file():
        return local / path
    try:
        return Path(_client(settings).download_artifacts(run_id, path))
    except (MlflowException, OSError) as error:
        raise NotReadyError(f"The run {run_id[:8]} kept no {path}. Run its step again.") from error


@_faults_told()
def artifacts(settings: Settings, run_id: str) -> list[str]:
    """Return the paths of a run's artifacts, folders walked."""
    client = _client(settings)

    def walk(path: str | None) -> Iterator[str]:
        for item in client.list_artifacts(run_id, path):
            if item.is_dir:
                yield from walk(item.path)
            else:
                yield str(item.path)

    return sorted(walk(None))


@_faults_told()
def end_runs(settings: Settings, job_id: str, outcome: str, reason: str) -> list[str]:
    """End the runs that a dead job left open.

    Parameters
    ----------
    outcome : str
        `cancelled` ends them KILLED, anything else FAILED.
    reason : str
        Kept as the tag `courtside.error`.

    Returns
    -------
    list of str
        The ids of the runs that were open.
    """
    client = _client(settings)
    found = client.search_runs(
        [experiment_id(settings)],
        f"tags.`{TAG}job_id` = '{job_id}' and attributes.status = 'RUNNING'",
    )
    for item in found:
        client.set_tag(item.info.run_id, TAG + "error", reason[:5000])
        status = "KILLED" if outcome == "cancelled" else "FAILED"
        client.set_terminated(item.info.run_id, status)
    return [item.info.run_id for item in found]


@lru_cache
def git_commit() -> str:
    """Return the commit of the running code, with `+` when files differ from it; or `unknown`."""
    git = ["git", "-C", str(CODE_ROOT)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        status = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if status.stdout.strip() else "")


@contextmanager
def _run(mlflow: Any, name: str, tags: dict[str, str], nested: bool) -> Iterator[str]:
    started = mlflow.start_run(run_name=name, tags=tags, nested=nested)
    try:
        yield started.info.run_id
    except BaseException as error:
        reason = (
            error.message
            if isinstance(error, CourtsideError)
            else without_secrets(f"{type(error).__name__}: {error}")
        )
        mlflow.set_tag(TAG + "error", reason[:5000])
        mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    mlflow.end_run("FINISHED")


def _data_set(mlflow: Any, dataset: Dataset) -> Any:
    def made(frame: pd.DataFrame) -> Any:
        return mlflow.data.from_pandas(
            frame, source=dataset.source, name=dataset.name, targets=dataset.target,
            # MLflow takes 36 characters at most
            digest=dataset.digest[:32] if dataset.digest else None,
        )  # fmt: skip

    whole = made(dataset.frame)
    # MLflow would look at every cell to tell the types: 22 s for a million rows
    whole.__dict__["schema"] = made(dataset.frame.head(1000)).schema
    return whole


def _write_artifacts(place: Path, record: Record) -> None:
    for name, frame in record.tables.items():
        (place / "tables").mkdir(exist_ok=True)
        frame.to_parquet(place / "tables" / f"{name}.parquet")
    for name, document in record.documents.items():
        (place / "documents").mkdir(exist_ok=True)
        text = json.dumps(document, indent=2, default=str)
        (place / "documents" / f"{name}.json").write_text(text, encoding="utf-8")
    if record.figures:
        import vl_convert

        (place / "figures").mkdir()
        for name, spec in record.figures.items():
            text = json.dumps(spec)
            (place / "figures" / f"{name}.json").write_text(text, encoding="utf-8")
            svg = vl_convert.vegalite_to_svg(text)
            (place / "figures" / f"{name}.svg").write_text(svg, encoding="utf-8")


def _param(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value)[:6000]


def _mlflow(settings: Settings) -> Any:
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


def _client(settings: Settings) -> Any:
    experiment_id(settings)
    return _cached_client(settings.mlflow_uri)


@lru_cache
def _cached_client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


@lru_cache
@_faults_told()
def _experiment_id(uri: str, project: str, home: Path) -> str:
    _mlflow(Settings(home=home, tracking_uri=uri))
    (home / "state").mkdir(parents=True, exist_ok=True)
    # one maker: two processes that make the tables at once break each other
    with FileLock(home / "state" / "store.lock", timeout=120):
        local = _sqlite_file(uri)
        if local is not None and not local.exists():
            _make_store(local)
        client = _cached_client(uri)
        found = client.get_experiment_by_name(project)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                # by somebody in MLflow's pages; its runs are still there
                client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        # a server has its own place for artifacts
        served = uri.startswith(("http://", "https://"))
        place = None if served else (home / "mlruns").as_uri()
        return str(client.create_experiment(project, artifact_location=place))


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


@lru_cache(maxsize=512)
def _artifact_uri(uri: str, run_id: str) -> str:
    return str(_cached_client(uri).get_run(run_id).info.artifact_uri)


def _local_artifacts(settings: Settings, run_id: str) -> Path | None:
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    _client(settings)
    uri = _find(lambda: _artifact_uri(settings.mlflow_uri, run_id))
    if uri is None:
        return None
    found = urlparse(uri)
    return Path(url2pathname(found.path)) if found.scheme in ("file", "") else None


def _aliases(settings: Settings, model: str) -> dict[str, list[str]]:
    client = _client(settings)
    found = _find(lambda: client.get_registered_model(model))
    by_version: dict[str, list[str]] = {}
    for alias, number in (found.aliases if found else {}).items():
        by_version.setdefault(str(number), []).append(alias)
    return by_version


def _version(item: Any, aliases: Mapping[str, list[str]]) -> ModelVersion:
    number = str(item.version)
    return ModelVersion(
        item.name,
        number,
        item.run_id or "",
        tuple(sorted(aliases.get(number, []))),
        dict(item.tags),
        item.creation_timestamp / 1000,
    )


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
