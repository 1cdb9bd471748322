"""The files of a version: verified by their digests, and read without running them.

A version has three files: the classifier, in the format of skops; the code that serves it, a copy
of `core.platform.served_model`; and MLflow's description, which names that code, the inputs, the
features and the threshold. Pickle, and so cloudpickle and joblib, runs any code in a file as soon
as it is read. A skops file lists its types and their data; a type that is not on the closed
list `served_model.TRUSTED_TYPES` is refused before anything is built. The SHA-256 of all three
files are recorded at creation, as tags of the version. A version whose files differ from them, or
that was registered without them, is neither loaded nor served. This detects changed or replaced
files; it does not protect against someone with write access to the MLflow store itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform import model_files, model_store, tracking
from core.platform.classifier import Classifier
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError, StoreError
from core.platform.messages import Message
from core.platform.rows import Rule, rule_of
from core.platform.runs import ModelVersion, VersionTags

# libraries that every model's code needs
ALWAYS_NEEDED = ("mlflow", "pandas", "numpy", "skops")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Loaded:
    """A registered version, ready to predict in this process as its server would.

    Parameters
    ----------
    estimator : Classifier
        Fitted scikit-learn classifier or pipeline.
    inputs : mapping of str to {"number", "text"}
        Raw input columns, in order.
    engineered : mapping of str to (formula, {"number", "text"})
        Features computed from them.
    feature_names : tuple of str
        Inputs of the estimator, in order.
    is_complete : bool
        Whether rows with a missing value are refused.
    threshold : float
        Lowest probability, 0 to 1, that is labelled 1.
    size : int
        Bytes of the classifier's file.
    example : DataFrame
        A few rows of the inputs.
    libraries : tuple of str
        Distributions that it needs besides those of the app.
    rules : mapping of str to Rule
        Permitted values of each input.
    """

    version: ModelVersion
    estimator: Classifier
    inputs: Mapping[str, str]
    engineered: Mapping[str, tuple[str, str]]
    feature_names: tuple[str, ...]
    is_complete: bool
    threshold: float
    size: int
    example: pd.DataFrame
    libraries: tuple[str, ...]
    rules: Mapping[str, Rule]

    def answers(self, rows: pd.DataFrame) -> pd.Series[bool]:
        """Return for each row whether it can be scored: no required value is missing."""
        inputs, features = self._seen(rows)
        if not self.is_complete:
            return pd.Series(True, index=rows.index)
        return inputs.notna().all(axis=1) & features.notna().all(axis=1)

    def features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the estimator's features for raw rows.

        Raises
        ------
        InputError
            When the server would refuse them: a column is missing, a numeric column holds something
            else, or a required value is missing.
        """
        from core.platform import served_model

        inputs, features = self._seen(rows)
        if self.is_complete:
            with model_files.wrap_refusals():
                served_model.checked(inputs, self.inputs)
            if empty := features.columns[features.isna().any()].tolist():
                raise InputError(
                    Message(
                        "No value for {columns}, and this model imputes none. Fill in what is "
                        "missing.",
                        columns=empty,
                    )
                )
        return features

    def probabilities(self, features: pd.DataFrame) -> Floats:
        """Return the probability of label 1 for rows as `features` returns them."""
        return np.asarray(self.estimator.predict_proba(features)[:, 1], dtype=np.float64)

    def predict(self, rows: pd.DataFrame) -> Floats:
        """Return the probability of label 1 for raw rows; raises as `features` does."""
        return self.probabilities(self.features(rows))

    def _seen(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        from core.platform import served_model

        with model_files.wrap_refusals():
            inputs = served_model.checked(rows, self.inputs, is_complete=False)
            return inputs, served_model.with_features(inputs, self.feature_names, self.engineered)


def load(settings: Settings, version: ModelVersion, *, evaluated: bool = False) -> Loaded:
    """Return a registered version's classifier, without a server; runs no code of its files.

    Parameters
    ----------
    evaluated : bool
        Whether to return the evaluated classifier if the served one was refitted on all labelled
        rows.

    Raises
    ------
    StoreError
        When its files are not the registered ones, or contain untrusted types.
    """
    from skops.io import loads
    from skops.io.exceptions import UntrustedTypesFoundException

    from core.platform import served_model

    with _folder(settings, version, evaluated=evaluated) as folder:
        content = _checked(version, folder, evaluated=evaluated)
        described = model_files.describe(folder)
        example = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
        needed = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    try:
        estimator = loads(content, trusted=list(served_model.TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise StoreError(
            Message("{model!c} cannot be loaded: {error}", model=_called(version), error=str(error))
        ) from error
    config = described.config
    names = [line.partition("==")[0] for line in needed]
    return Loaded(
        version=version,
        estimator=estimator,
        inputs=described.inputs,
        engineered={name: (how[0], how[1]) for name, how in config["engineered"].items()},
        feature_names=tuple(config["features"]),
        is_complete=config["is_complete"],
        threshold=float(config["threshold"]),
        size=len(content),
        example=pd.DataFrame(example["data"], columns=example["columns"]),
        libraries=tuple(name for name in names if name not in ALWAYS_NEEDED),
        rules={name: rule_of(about) for name, about in config["rules"].items()},
    )


def candidate(settings: Settings, model: str, run_id: str) -> ModelVersion:
    """Return a candidate of a training, registered or not, as a version without a number.

    `load` accepts it with the same checks: the SHA-256 of its files were recorded when its run
    logged it.

    Raises
    ------
    NotReadyError
        When the run does not exist or is not a candidate's.
    """
    run = tracking.run(settings, run_id)
    no_model = Message(
        "The run {run} has no model: it is not a candidate of a training, or did not "
        "finish. Choose another run.",
        run=run_id[:8],
    )
    if run is None or run.parent is None or run.step != "train":
        raise NotReadyError(no_model)
    logged = model_store.logged_by(settings, run)
    if logged is None:
        raise NotReadyError(no_model)
    own = VersionTags(
        candidate=run.params.get("model", ""),
        threshold=run.params.get("threshold"),
        train_run=run.parent,
        logged_model=logged.model_id,
    )
    tags = {**run.tags, **own.write(), **logged.digests.write()}
    return ModelVersion(model, "", run_id, (), tags, run.started)


def check(settings: Settings, version: ModelVersion) -> None:
    """Verify that a version's files are the registered ones, without running them.

    Call it before starting a server, which runs the code among them.

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
        Permanent local folder of its files.
    digests : mapping of str to str
        The registered SHA-256 of each file, by file name.
    inputs, is_complete, threshold
        As in `Loaded`.
    rules : mapping of str to mapping
        Permitted values of each input, as stored in the version's configuration.
    """

    folder: Path
    digests: Mapping[str, str]
    inputs: Mapping[str, str]
    is_complete: bool
    threshold: float
    rules: Mapping[str, Any]


def servable(settings: Settings, version: ModelVersion) -> Servable:
    """Return the files and inputs of a version, without running its code.

    The files of a remote store are copied to `state/models`.

    Raises
    ------
    StoreError
        When they are not the registered ones.
    """
    copies = settings.state_dir / "models"
    with _folder(settings, version, evaluated=False, copies=copies) as folder:
        _checked(version, folder, evaluated=False)
        described = model_files.describe(folder)
    config = described.config
    return Servable(
        folder,
        version.about.by_file(),
        described.inputs,
        config["is_complete"],
        float(config["threshold"]),
        config["rules"],
    )


def example(settings: Settings, version: ModelVersion) -> dict[str, Any]:
    """Return the inputs of one example row as in a request; empty if they no longer exist."""
    try:
        with _folder(settings, version, evaluated=False) as folder:
            stored = json.loads((folder / "input_example.json").read_text(encoding="utf-8"))
        return dict(zip(stored["columns"], stored["data"][0], strict=True))
    except (CourtsideError, OSError, ValueError, KeyError, IndexError):
        return {}


@contextmanager
def _folder(
    settings: Settings, version: ModelVersion, *, evaluated: bool, copies: Path | None = None
) -> Iterator[Path]:
    """Yield the folder of a version's files, as `model_store.folder` does."""
    if version.version:
        source = model_store.source(settings, version)
    else:
        source = model_store.MODELS + version.about.logged_model
    if evaluated and version.about.evaluated_model:
        source = model_store.MODELS + version.about.evaluated_model
    if not source.startswith(f"{model_store.MODELS}m-"):
        raise StoreError(_foreign(version))
    model_id = source.removeprefix(model_store.MODELS)
    with model_store.folder(settings, model_id, copies=copies) as folder:
        yield folder


def _checked(version: ModelVersion, folder: Path, *, evaluated: bool) -> bytes:
    """Return the bytes of the classifier's file, after verifying all files."""
    about = version.about
    wanted = about.by_file()
    if evaluated and about.evaluated_model:
        # its code never runs
        wanted = {
            "artifacts/pipeline.skops": about.evaluated_sha256,
            "MLmodel": about.evaluated_description_sha256,
        }
    if not all(wanted.values()):
        raise StoreError(_foreign(version))
    try:
        contents = {path: (folder / path).read_bytes() for path in wanted}
    except OSError as error:
        raise StoreError(_changed(version, Path(str(error.filename or folder)).name)) from error
    for path, content in contents.items():
        if hashlib.sha256(content).hexdigest() != wanted[path]:
            raise StoreError(_changed(version, path))
    return contents["artifacts/pipeline.skops"]


def _called(version: ModelVersion) -> Message:
    """Return the display name of a version."""
    if version.version:
        return Message("version {version} of {name}", version=version.version, name=version.name)
    return Message("candidate {run}", run=version.run_id[:8])


def _changed(version: ModelVersion, path: str) -> Message:
    return Message(
        "'{file}' of {model} is missing, or was changed after its registration. It is neither "
        "loaded nor served. Roll back to another version, or train again.",
        file=path,
        model=_called(version),
    )


def _foreign(version: ModelVersion) -> Message:
    return Message(
        "{model!c} was not registered by this app, or by an older version of it. It is neither "
        "loaded nor served. Train again.",
        model=_called(version),
    )
