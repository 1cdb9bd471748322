"""What is done with registered versions: load them in process, move the champion, tell who did.

A version is kept as three files: the classifier, in the format of skops; the code that answers by
it, a copy of `core.adapters.served_model`; and MLflow's description, which names that code, the
inputs, the features and the threshold. Pickle, and cloudpickle and joblib with it, runs
whatever code a file holds as soon as it is read. A skops file names the types it is made of and
holds their data; a type that is not on a closed list, `served_model.TRUSTED_TYPES`, is refused
before anything of it is made. The SHA-256 of all three are noted when they are made, as tags of the
version. What differs from them now, or was registered by somebody who noted none, is neither loaded
nor served. That finds a file that was changed or exchanged; it is no defence against somebody who
may write to the MLflow store itself.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError

from core.adapters import model_files, tracking
from core.adapters.tracking import CHALLENGER, CHAMPION, TAG, ModelVersion
from core.config import Settings
from core.errors import CourtsideError, InputError, NotReadyError, StoreError
from core.record import ModelRecord, Record

PREVIOUS = "previous"
COPIED_FROM = TAG + "copied_from"
# of a run that decided about a version: its number, and that of the one it was compared with
JUDGED, AGAINST = TAG + "version", TAG + "against"
DRY_RUN = TAG + "dry_run"
# of a version: how its threshold was chosen, and the rows that the served classifier was fitted on
THRESHOLD_AIM, ROWS_SERVED = TAG + "threshold_aim", TAG + "rows_served"
# of a candidate: the model that its run logged
LOGGED_MODEL = TAG + "logged_model"
# what each file is, as a sentence begins
FILES = {
    "artifacts/pipeline.skops": "The classifier's file",
    "served_model.py": "The code",
    "MLmodel": "The configuration",
}
LEDGER = ("version", "from", "to", "decided_by", "decision", "reason", "run_id")
UNKNOWN = "unknown"
POLL_SECONDS, TURN_SECONDS = 0.1, 300.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Loaded:
    """A registered version, ready to answer in this process as its server would.

    Parameters
    ----------
    estimator : object
        Fitted scikit-learn classifier or pipeline.
    inputs : mapping of str to {"number", "text"}
        Raw columns that it takes, in order.
    engineered : mapping of str to (formula, {"number", "text"})
        Features that are computed from them.
    feature_names : tuple of str
        What the estimator sees, in order.
    is_complete : bool
        Whether rows with a missing value are refused.
    threshold : float
        Probability, 0 to 1, from which a row is labelled 1.
    size : int
        Bytes of the classifier's file.
    example : DataFrame
        A few rows of the inputs.
    libraries : tuple of str
        Distributions, beside those of the app, that it needs.
    """

    version: ModelVersion
    estimator: Any
    inputs: Mapping[str, str]
    engineered: Mapping[str, tuple[str, str]]
    feature_names: tuple[str, ...]
    is_complete: bool
    threshold: float
    size: int
    example: pd.DataFrame
    libraries: tuple[str, ...]

    def answers(self, rows: pd.DataFrame) -> pd.Series[bool]:
        """Tell of each row whether it is answered; else a value is missing that it needs."""
        inputs, features = self._seen(rows)
        if not self.is_complete:
            return pd.Series(True, index=rows.index)
        return inputs.notna().all(axis=1) & features.notna().all(axis=1)

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return what the estimator sees of raw rows.

        Raises
        ------
        InputError
            When the server would refuse them: a column is missing, holds no number where it must,
            or misses a value that is needed.
        """
        from core.adapters import served_model

        inputs, features = self._seen(rows)
        if self.is_complete:
            with _refusal_told():
                served_model.checked(inputs, self.inputs)
            if empty := features.columns[features.isna().any()].tolist():
                raise InputError(f"No value for {', '.join(empty)}.")
        return features

    def probabilities(self, features: pd.DataFrame) -> Floats:
        """Return the probability of label 1 for rows as `features` returns them."""
        return np.asarray(self.estimator.predict_proba(features)[:, 1], dtype=np.float64)

    def predict(self, rows: pd.DataFrame) -> Floats:
        """Return the probability of label 1 for raw rows; raises as `features` does."""
        return self.probabilities(self.features(rows))

    def _seen(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        from core.adapters import served_model

        with _refusal_told():
            inputs = served_model.checked(rows, self.inputs, is_complete=False)
            return inputs, served_model.with_features(inputs, self.feature_names, self.engineered)


def load(settings: Settings, version: ModelVersion, *, evaluated: bool = False) -> Loaded:
    """Return a registered version's classifier, without a server; no code of its files is run.

    Parameters
    ----------
    evaluated : bool
        Whether to return the classifier that the test figures are of, where another one is served:
        one that was fitted again on all labelled rows.

    Raises
    ------
    StoreError
        When its files are not those that were registered, or hold what is not trusted.
    """
    from mlflow.models import Model
    from skops.io import loads
    from skops.io.exceptions import UntrustedTypesFoundException

    from core.adapters import served_model

    with _folder(settings, version, evaluated=evaluated) as folder:
        content = _checked(version, folder, evaluated=evaluated)
        described = Model.load(str(folder / "MLmodel"))
        example = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
        needed = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    config = described.flavors["python_function"]["config"]
    try:
        estimator = loads(content, trusted=list(served_model.TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise StoreError(f"{_called(version)} is not loaded: {error}") from error
    names = [line.partition("==")[0] for line in needed]
    return Loaded(
        version=version,
        estimator=estimator,
        # the configuration has them by the alphabet
        inputs={name: config["inputs"][name] for name in described.signature.inputs.input_names()},
        engineered={name: (how[0], how[1]) for name, how in config["engineered"].items()},
        feature_names=tuple(config["features"]),
        is_complete=config["is_complete"],
        threshold=float(config["threshold"]),
        size=len(content),
        example=pd.DataFrame(example["data"], columns=example["columns"]),
        libraries=tuple(one for one in names if one not in ("mlflow", "pandas", "numpy", "skops")),
    )


def candidate(settings: Settings, model: str, run_id: str) -> ModelVersion:
    """Return a candidate of a training, registered or not, as a version without a number.

    `load` takes it, and is as careful with it: the SHA-256 of its files are those that were noted
    when its run logged it.

    Raises
    ------
    NotReadyError
        When there is no such run, or it is no candidate's.
    """
    run = tracking.run(settings, run_id)
    parent = run.tags.get("mlflow.parentRunId") if run else None
    if run is None or parent is None or run.step != "train":
        raise NotReadyError(
            f"The run {run_id[:8]} is none of a candidate of a training. Choose another one."
        )
    with _faults_told():
        found = _client(settings).search_logged_models(
            [run.experiment_id], f"source_run_id = '{run_id}'", max_results=1
        )
    if not found:
        raise NotReadyError(f"The run {run_id[:8]} kept no model: it did not end. Train again.")
    tags = {
        **run.tags,
        TAG + "candidate": run.params.get("model", ""),
        TAG + "threshold": run.params.get("threshold", ""),
        TAG + "train_run": parent,
        **{tag: found[0].tags.get(tag, "") for tag in model_files.DIGESTS.values()},
        LOGGED_MODEL: found[0].model_id,
    }
    return ModelVersion(model, "", run_id, (), tags, run.started)


def check(settings: Settings, version: ModelVersion) -> None:
    """Do nothing if a version's files are those that were registered; nothing of them is run.

    For whoever is about to start a server, which runs the code among them.

    Raises
    ------
    StoreError
        When they are not.
    """
    with _folder(settings, version, evaluated=False) as folder:
        _checked(version, folder, evaluated=False)


@dataclass(frozen=True)
class Servable:
    """What a server needs of a version.

    Parameters
    ----------
    folder : Path
        Its files, on this machine, where they stay.
    digests : mapping of str to str
        The SHA-256 of each by its name in the folder, as it was registered.
    inputs, is_complete, threshold
        As `Loaded` has them.
    """

    folder: Path
    digests: Mapping[str, str]
    inputs: Mapping[str, str]
    is_complete: bool
    threshold: float


def servable(settings: Settings, version: ModelVersion) -> Servable:
    """Return where the files of a version lie and what it takes; nothing of them is run.

    Of a store that is elsewhere, a copy is kept in `state/models`.

    Raises
    ------
    StoreError
        When they are not those that were registered.
    """
    from mlflow.models import Model

    copies = settings.state_dir / "models"
    with _folder(settings, version, evaluated=False, copies=copies) as folder:
        _checked(version, folder, evaluated=False)
        described = Model.load(str(folder / "MLmodel"))
    config = described.flavors["python_function"]["config"]
    return Servable(
        folder,
        {path: version.tags[tag] for path, tag in model_files.DIGESTS.items()},
        {name: config["inputs"][name] for name in described.signature.inputs.input_names()},
        config["is_complete"],
        float(config["threshold"]),
    )


def with_threshold(
    settings: Settings, version: ModelVersion, threshold: float, run_id: str
) -> ModelVersion:
    """Register the same classifier with another threshold, as a version of its own.

    A version never changes: the server, the app, and whoever loads it elsewhere label by the one
    threshold that it was registered with. The new one has no alias yet; its figures are those of
    the run that trained it, and the tag `courtside.copied_from` names the version it comes from.

    Parameters
    ----------
    threshold : float
        Probability, 0 to 1.
    run_id : str
        The run that is open; the model is logged in it.

    Raises
    ------
    StoreError
        As `load` does.
    """
    from core.adapters import served_model

    loaded = load(settings, version)
    example = served_model.checked(loaded.example, loaded.inputs, is_complete=False)
    model_id = tracking.log(
        settings,
        run_id,
        Record(
            model=ModelRecord(
                loaded.estimator,
                loaded.feature_names,
                loaded.inputs,
                threshold,
                example,
                loaded.engineered,
                loaded.is_complete,
                loaded.libraries,
            )
        ),
    )
    tags = {**version.tags, TAG + "threshold": str(threshold), COPIED_FROM: version.version}
    return tracking.register(
        settings, version.name, str(model_id), version.run_id, tags, alias=None
    )


@contextmanager
def turn(settings: Settings, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Let one change of the champion, and of the endpoint that follows it, come after the other.

    Parameters
    ----------
    on_wait : callable, optional
        Called several times a second while another change is under way.

    Raises
    ------
    NotReadyError
        When another change does not come to its end.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.state_dir / "turn.lock")
    end = time.monotonic() + TURN_SECONDS
    while not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=POLL_SECONDS)
        if not lock.is_locked and time.monotonic() > end:
            raise NotReadyError(
                "Another change of the champion has been under way for "
                f"{TURN_SECONDS / 60:g} minutes. Look at the jobs, and try again when it is done."
            )
        if on_wait is not None:
            on_wait()
    try:
        yield
    finally:
        lock.release()


def check_champion(
    settings: Settings, version: ModelVersion, *, instead_of: str | None
) -> dict[str, str]:
    """Return the version behind each alias, if this one may become the champion as was decided.

    Parameters
    ----------
    instead_of : str or None
        The version that was the champion when the decision was made, None for none.

    Raises
    ------
    InputError
        When it is the champion already, or another version became the champion meanwhile.
    """
    with _faults_told():
        found = _aliases(_client(settings), version.name)
    old = found.get(CHAMPION)
    if old != instead_of:
        raise InputError(
            f"Meanwhile {f'version {old}' if old else 'no version'} is the champion, no longer "
            f"{f'version {instead_of}' if instead_of else 'none'}. Nothing was moved. Decide "
            "again."
        )
    if old == version.version:
        raise InputError(f"Version {old} is the champion already. Nothing was moved.")
    return found


def move_champion(
    settings: Settings,
    version: ModelVersion,
    run_id: str,
    *,
    instead_of: str | None,
    decided_by: str,
    decision: str,
    reason: str,
) -> None:
    """Make a version the champion and the old champion `previous`; it is no challenger any more.

    There is a champion at every moment: its alias is moved in one call, the last that can fail.
    When one fails, all is as it was before.

    Parameters
    ----------
    run_id : str
        The run that moves it; tagged for the `ledger`.
    instead_of : str or None
        See `check_champion`.

    Raises
    ------
    InputError
        As `check_champion` does.
    StoreError
        When the store does not do it.
    """
    model, number = version.name, version.version
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.state_dir / "champion.lock", timeout=60), _faults_told():
        client = _client(settings)
        before = check_champion(settings, version, instead_of=instead_of)
        old = before.get(CHAMPION)
        told = tracking.champion_tags(model, old or "", number, decided_by, decision, reason)
        try:
            _tag(client, run_id, told)
            if old:
                client.set_registered_model_alias(model, PREVIOUS, old)
            client.set_registered_model_alias(model, CHAMPION, number)
        except BaseException:
            _take_back(client, model, run_id, list(told), before.get(PREVIOUS))
            raise
        # it is the champion now, and that it stays: an alias too many does no harm
        judged = version.tags.get(COPIED_FROM, number)
        if before.get(CHALLENGER) in (number, judged):
            with suppress(StoreError), _faults_told():
                client.delete_registered_model_alias(model, CHALLENGER)


def ledger(settings: Settings, model: str) -> pd.DataFrame:
    """Return which version was the champion from when to when, and by whose decision.

    Built from the tags of the runs that moved it, deleted runs too, and compared with the alias
    that stands: what was moved in MLflow's own pages, or by an app that did not tag its runs, is
    in it with `unknown` for who and why.

    Returns
    -------
    DataFrame
        Newest first: `version`, `from` and `to` (UTC; missing where nobody knows, and `to` of the
        champion of now), `decided_by`, `decision` (first, promote, override, rollback, unknown),
        `reason`, `run_id` (empty when unknown).
    """
    from mlflow.entities import ViewType

    with _faults_told():
        client = _client(settings)
        moves = _all_runs(client, settings, f"tags.`{TAG}champion_of` = '{model}'", ViewType.ALL)
        champion = _aliases(client, model).get(CHAMPION)
    rows: list[dict[str, Any]] = []
    for tags, run_id in sorted(moves, key=lambda move: float(move[0][TAG + "champion_at"])):
        when = float(tags[TAG + "champion_at"])
        _follow(rows, tags[TAG + "champion_from"], when)
        rows.append(
            {
                "version": tags[TAG + "champion_to"],
                "from": when,
                "to": None,
                "decided_by": tags.get(TAG + "decided_by", UNKNOWN),
                "decision": tags.get(TAG + "decision", UNKNOWN),
                "reason": tags.get(TAG + "reason", ""),
                "run_id": run_id,
            }
        )
    _follow(rows, champion or "", None)
    table = pd.DataFrame(rows[::-1], columns=list(LEDGER))
    for name in ("from", "to"):
        seconds = pd.to_numeric(table[name])
        table[name] = pd.to_datetime(seconds, unit="s", utc=True).dt.round("ms")
    return table


def example(settings: Settings, version: ModelVersion) -> dict[str, Any]:
    """Return the inputs of one row as they are sent to a version; empty where they are gone."""
    try:
        with _folder(settings, version, evaluated=False) as folder:
            kept = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
        return dict(zip(kept["columns"], kept["data"][0], strict=True))
    except (CourtsideError, OSError, ValueError, KeyError, IndexError):
        return {}


def require_previous(settings: Settings, model: str) -> ModelVersion:
    """Return the version that was the champion before.

    Raises
    ------
    NotReadyError
        When there was none.
    """
    found = tracking.find_version(settings, model, PREVIOUS)
    if found is None:
        raise NotReadyError(
            f"There is nothing to roll back to: no other version of {model} was the champion "
            "before."
        )
    return found


def _follow(rows: list[dict[str, Any]], version: str, when: float | None) -> None:
    """End the last row at a time, once it is of the version that was the champion then."""
    if version and (not rows or rows[-1]["version"] != version):
        rows.append(
            {
                "version": version,
                "from": None,
                "to": None,
                "decided_by": UNKNOWN,
                "decision": UNKNOWN,
                "reason": "Moved outside of this app, or by an older one.",
                "run_id": "",
            }
        )
    if rows:
        rows[-1]["to"] = when


@contextmanager
def _folder(
    settings: Settings, version: ModelVersion, *, evaluated: bool, copies: Path | None = None
) -> Iterator[Path]:
    """Give the folder of a version's files, or a copy of it where the store is elsewhere.

    The copy is removed afterwards, but for one in the folder `copies`.
    """
    from mlflow.artifacts import download_artifacts

    with ExitStack() as stack:
        with _faults_told():
            client = _client(settings)
            source = f"models:/{version.tags.get(LOGGED_MODEL)}"
            if version.version:
                source = str(client.get_model_version(version.name, version.version).source)
            if evaluated:
                source = f"models:/{version.tags.get(tracking.EVALUATED) or source[8:]}"
            if not source.startswith("models:/m-"):
                raise StoreError(_foreign(version))
            place = str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)
            found = urlparse(place)
            if found.scheme == "file":
                folder = Path(url2pathname(found.path))
            else:
                if copies is None:
                    copy = stack.enter_context(tempfile.TemporaryDirectory())
                else:
                    copy = str(copies / source.removeprefix("models:/"))
                    Path(copy).mkdir(parents=True, exist_ok=True)
                folder = Path(
                    download_artifacts(
                        artifact_uri=place, dst_path=copy, tracking_uri=settings.mlflow_uri
                    )
                )
        yield folder


def _checked(version: ModelVersion, folder: Path, *, evaluated: bool) -> bytes:
    """Return the bytes of the classifier's file, once all files are those that were registered."""
    names = model_files.DIGESTS
    if evaluated and tracking.EVALUATED in version.tags:
        # its code is never run
        names = {
            "artifacts/pipeline.skops": tracking.EVALUATED_SHA256,
            "MLmodel": tracking.EVALUATED_DESCRIPTION,
        }
    wanted = {path: version.tags.get(tag) for path, tag in names.items()}
    if not all(wanted.values()):
        raise StoreError(_foreign(version))
    try:
        contents = {path: (folder / path).read_bytes() for path in names}
    except OSError as error:
        raise StoreError(
            f"A file of {_called(version, is_first=False)} is gone ({error}). Roll back to another "
            "version, or train again."
        ) from error
    for path, content in contents.items():
        if hashlib.sha256(content).hexdigest() != wanted[path]:
            raise StoreError(_changed(version, FILES[path]))
    return contents["artifacts/pipeline.skops"]


def _called(version: ModelVersion, *, is_first: bool = True) -> str:
    """Return what a version is called, as a sentence begins with it or not."""
    named = (
        f"version {version.version} of {version.name}"
        if version.version
        else f"candidate {version.run_id[:8]}"
    )
    return f"{named[0].upper()}{named[1:]}" if is_first else named


def _changed(version: ModelVersion, what: str) -> str:
    return (
        f"{what} of {_called(version, is_first=False)} is not what was registered: it was changed "
        "since, and is neither loaded nor served. Roll back to another version, or train again."
    )


def _foreign(version: ModelVersion) -> str:
    return (
        f"{_called(version)} is neither loaded nor served: it was not registered by "
        "this app, or by an older one, which kept no digest of all its files. Train again."
    )


def _take_back(
    client: Any, model: str, run_id: str, names: list[str], previous: str | None
) -> None:
    """Make a move that failed half-way look as if it had never begun, as far as the store lets."""
    moved = [name for name in names if name.startswith(TAG + "champion_")]
    with suppress(StoreError), _faults_told():
        if previous:
            client.set_registered_model_alias(model, PREVIOUS, previous)
        else:
            client.delete_registered_model_alias(model, PREVIOUS)
    for name in moved:
        with suppress(StoreError), _faults_told():
            client.delete_tag(run_id, name)


def _all_runs(
    client: Any, settings: Settings, wanted: str, view: Any
) -> list[tuple[dict[str, str], str]]:
    """Return tags and id of all runs that a filter finds, page after page."""
    found: list[tuple[dict[str, str], str]] = []
    token = None
    while True:
        page = client.search_runs(
            [tracking.experiment_id(settings)], wanted, view, max_results=1000, page_token=token
        )
        found += [(dict(run.data.tags), run.info.run_id) for run in page]
        token = page.token
        if not token:
            return found


def _aliases(client: Any, model: str) -> dict[str, str]:
    """Return the version behind each alias of a model; none where nothing is registered."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(model).aliases
    except MlflowException as error:
        if error.error_code in tracking.ABSENT:
            return {}
        raise
    return {alias: str(number) for alias, number in found.items()}


def _tag(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value[:5000]) for name, value in tags.items()])


def _client(settings: Settings) -> Any:
    # opens the store, or makes it
    tracking.experiment_id(settings)
    return _client_of(settings.mlflow_uri)


@lru_cache
def _client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri)


@contextmanager
def _refusal_told() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise InputError(error.message) from error


@contextmanager
def _faults_told() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        # the first line only: what follows is SQL
        reason = str(error).splitlines()[0]
        raise StoreError(f"The MLflow registry cannot be used: {reason}") from error
