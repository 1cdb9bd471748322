"""Scoring in this process with the served model's own code.

A scorer can be sent to another process: its predictions are the same there, and the same as those
of the version's server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from core.platform import model_files
from core.platform.classifier import Classifier
from core.platform.config import Settings
from core.platform.project import Column
from core.platform.rows import Rule, rule_of
from core.platform.runs import ModelVersion
from core.registry import version_files

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Answered:
    """A model's predictions for some rows, in their order.

    Parameters
    ----------
    probabilities : array of float
        Of label 1.
    labels : array of int
        0 or 1, at the model's threshold.
    latency_ms : float
        From the request to the complete response.
    is_logged : bool
        Whether an endpoint has already written them to the predictions log.
    """

    probabilities: Floats
    labels: Ints
    latency_ms: float
    is_logged: bool = False


class Answerer(Protocol):
    """What scores rows: a scorer, or a served model."""

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str, /) -> Answered:
        """Return the predictions for rows with all required values."""


@dataclass(frozen=True)
class Scorer:
    """A registered version that predicts in this process, as its server would.

    Parameters
    ----------
    config : dict
        Configuration of the served code: inputs, features, engineered, is_complete, threshold.
    is_given_valid : bool
        Whether all rows given were read by the model's rules before, so that they are not read
        again; see `without_checks`.
    """

    estimator: Classifier
    config: dict[str, Any]
    is_given_valid: bool = False

    def without_checks(self, columns: Mapping[str, Column]) -> Scorer:
        """Return a scorer of rows from `schema.usable` without faults or required gaps.

        It reads no value again if these columns have the model's own rules, since a value that
        was read is read unchanged. Otherwise it is this scorer.
        """
        rules = {
            name: about if isinstance(about, Rule) else rule_of(about)
            for name, about in self.config["rules"].items()
        }
        given = {name: columns[name].rule for name in rules if name in columns}
        return replace(self, is_given_valid=rules == given)

    def score(self, frame: pd.DataFrame) -> Answered:
        """Score rows with the code of the version's server.

        Raises
        ------
        InputError
            If the server would refuse the rows.
        """
        started = time.perf_counter()
        model, features = self._model(), self.config["features"]
        with model_files.wrap_refusals():
            if not self.is_given_valid:
                answer = model.predict(None, frame)
            elif any(name in self.config["engineered"] for name in features):
                answer = model.answer(_as_checked(frame, list(frame.columns)))
            else:
                answer = model.of_features(_as_checked(frame, features))
        return Answered(
            answer["probability"].to_numpy(),
            answer["label"].to_numpy(),
            (time.perf_counter() - started) * 1000,
        )

    def __call__(self, rows: pd.DataFrame, keys: Any, request_id: str) -> Answered:
        """Score rows; keys and request id do not matter here."""
        return self.score(rows)

    def _model(self) -> Any:
        from core.platform import served_model

        model = served_model.ServedModel()
        model.config, model.estimator = self.config, self.estimator
        return model


def _as_checked(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return columns of valid values as `served_model.checked` does, numbers in one block."""
    columns = {name: frame[name] for name in names}
    if all(_is_number(values) for values in columns.values()):
        block = np.empty((len(names), len(frame)))
        for place, values in enumerate(columns.values()):
            block[place] = values.to_numpy()
        return pd.DataFrame(block.T, columns=list(names), copy=False)
    settled = {
        name: values.astype("float64", copy=False)
        if _is_number(values)
        # a missing text is NaN, as encoders expect
        else values.where(values.notna(), np.nan)
        for name, values in columns.items()
    }
    return pd.DataFrame(settled, index=frame.index, copy=False)


def _is_number(values: pd.Series[Any]) -> bool:
    return isinstance(values.dtype, np.dtype) and values.dtype.kind in "if"


def one_blas_thread(scorer: Scorer) -> AbstractContextManager[object]:
    """Keep BLAS from using more threads for a linear model.

    They gain nothing there, and after each batch they spin on the processor that writing needs.
    """
    last = getattr(scorer.estimator, "steps", [("", scorer.estimator)])[-1][1]
    if not hasattr(last, "coef_"):
        return nullcontext()
    limited: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limited


def load(settings: Settings, version: ModelVersion) -> Scorer:
    """Return a registered version as a scorer; runs no code of its files.

    Raises
    ------
    StoreError
        When its files are not the registered ones, or contain untrusted types.
    """
    loaded = version_files.load(settings, version)
    config = {
        "inputs": dict(loaded.inputs),
        "rules": dict(loaded.rules),
        "engineered": {name: list(how) for name, how in loaded.engineered.items()},
        "features": list(loaded.feature_names),
        "is_complete": loaded.is_complete,
        "threshold": loaded.threshold,
    }
    return Scorer(loaded.estimator, config)
