"""The versions that a process of an endpoint holds in memory: the served one, and the next."""

from __future__ import annotations

import gc
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.platform.errors import StoreError
from core.platform.messages import Message
from core.serving import answers, contract
from core.serving.server import Identity, Server

EXAMPLE = "input_example.json"
# Longer than any switch: a version that was loaded for one and not used is released then.
PENDING_SECONDS = 300.0

_log = logging.getLogger("endpoint")


@dataclass(frozen=True)
class Answered:
    """A model's response, and what the log has of it."""

    content: bytes
    probabilities: list[float]
    labels: list[int]


class Version:
    """A version in memory.

    Parameters
    ----------
    name : str
        Its number.
    app : ASGI application
        MLflow's scoring application of the model.
    model : PyFuncModel
        As MLflow loads it.
    timeout : float
        Seconds after which MLflow gives up a request.
    """

    def __init__(self, name: str, app: Any, model: Any, timeout: float) -> None:
        self.name, self.app, self.model, self.timeout = name, app, model, timeout
        self.in_flight = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request that this version answers."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def predict(self, rows: contract.Rows) -> Answered | None:
        """Return the model's response to rows, as MLflow's application gives it.

        None if the response has another form, which only that application can answer.
        """
        raw = self.model.predict(rows.frame())
        if not isinstance(raw, pd.DataFrame) or list(raw) != ["probability", "label"]:
            return None
        if [str(kind) for kind in raw.dtypes] != ["float64", "int64"]:
            return None
        probabilities, labels = raw["probability"].tolist(), raw["label"].tolist()
        content = answers.predictions(probabilities, labels)
        return None if content is None else Answered(content, probabilities, labels)


class Versions:
    """Loads versions, and hands out the one on record.

    Parameters
    ----------
    loader : callable, optional
        Returns the version that a record describes.
    """

    def __init__(self, loader: Callable[[Server], Version] | None = None) -> None:
        self._loader = load if loader is None else loader
        self._loaded: dict[Identity, Version] = {}
        self._pending: tuple[Identity, float] | None = None
        # MLflow holds the model that it is loading in a global variable
        self._loading = threading.Lock()

    def get(self, server: Server) -> Version | None:
        """Return the version that a record names, None if it is not loaded."""
        return self._loaded.get(server.identity)

    def load(self, described: Server) -> None:
        """Load a version beside the others.

        Raises
        ------
        StoreError
            When its files are not the registered ones.
        """
        with self._loading:
            self._pending = (described.identity, time.monotonic())
            if described.identity not in self._loaded:
                self._loaded[described.identity] = self._loader(described)

    def release(self, current: Server | None) -> None:
        """Drop the versions that are neither served nor about to be."""
        if current is None:
            return
        kept = {current.identity}
        if self._pending is not None and time.monotonic() - self._pending[1] < PENDING_SECONDS:
            kept.add(self._pending[0])
        dropped = [identity for identity in self._loaded if identity not in kept]
        for identity in dropped:
            del self._loaded[identity]
        if dropped:
            gc.collect()

    def in_flight(self) -> dict[str, int]:
        """Return the number of requests without a response yet, by version."""
        return {
            version.name: version.in_flight
            for version in list(self._loaded.values())
            if version.in_flight
        }


def warm_up() -> None:
    """Import MLflow's scoring server, which takes seconds."""
    from mlflow.pyfunc import scoring_server

    assert scoring_server.init


def check(described: Server) -> None:
    """Verify that the files of a version are the registered ones.

    Needs neither MLflow nor its store: the digests are in the endpoint's record.

    Raises
    ------
    StoreError
        When they are not, or cannot be read.
    """
    folder = described.folder
    for name, digest in described.digests.items():
        try:
            content = (folder / name).read_bytes() if folder else b""
        except OSError as error:
            raise StoreError(_changed(described, name)) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(_changed(described, name))


def _changed(described: Server, name: str) -> Message:
    return Message(
        "'{file}' of {model} is missing, or was changed after its registration. It is neither "
        "loaded nor served. Roll back to another version, or train again.",
        file=Path(name).name,
        model=Message(
            "version {version} of {name}", version=described.version, name=described.model
        ),
    )


def load(described: Server) -> Version:
    """Return a version in memory, once its files are checked and its example is scored.

    Raises
    ------
    StoreError
        When its files are not the registered ones.
    """
    check(described)
    from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
    from mlflow.pyfunc import load_model, scoring_server

    # warnings on differing libraries take longer than all else
    model = load_model(str(described.folder), suppress_warnings=True)
    timeout = float(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get())
    version = Version(described.version, scoring_server.init(model), model, timeout)
    if (rows := _example(described)) is not None:
        version.predict(rows)
    return version


def _example(described: Server) -> contract.Rows | None:
    """Return the version's example, read as a request is; None if it has none that fits."""
    if described.folder is None or not described.inputs:
        return None
    try:
        split = (described.folder / EXAMPLE).read_text(encoding="utf-8")
        return contract.read(
            f'{{"dataframe_split": {split}}}'.encode(),
            contract.JSON,
            described.inputs,
            described.contract,
            is_complete=described.is_complete,
        )
    except (OSError, UnicodeDecodeError):
        return None
    except contract.RefusedError as error:
        _log.warning("the example of version %s: %s", described.version, error)
        return None
