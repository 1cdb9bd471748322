"""The prepared sets, as candidates are fitted and evaluated on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.platform import schema, storage
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message
from core.platform.project import ProjectSpec
from core.platform.storage import Prepared
from core.stats.metrics import Floats, Labels

MOST_LEVELS = 1000


@dataclass(frozen=True)
class TrainingSets:
    """The prepared sets as stored, as the candidates see them, and with all columns."""

    prepared: Prepared
    train: pd.DataFrame
    test: pd.DataFrame
    features_train: pd.DataFrame
    features_test: pd.DataFrame
    rows_train: pd.DataFrame
    rows_test: pd.DataFrame

    def weights(self, spec: ProjectSpec) -> Floats | None:
        """Return the sampling weights of the training set, None for a project without any."""
        if spec.weights is None:
            return None
        return self.rows_train[spec.weights].to_numpy(dtype=np.float64)

    def weights_test(self, spec: ProjectSpec) -> Floats | None:
        """Return the sampling weights of the test set, None for a project without any."""
        if spec.weights is None:
            return None
        return self.rows_test[spec.weights].to_numpy(dtype=np.float64)

    def weights_all(self, spec: ProjectSpec) -> Floats | None:
        """Return the sampling weights of the training set and then those of the test set."""
        first, second = self.weights(spec), self.weights_test(spec)
        if first is None or second is None:
            return None
        whole: Floats = np.concatenate([first, second])
        return whole

    def labels(self, spec: ProjectSpec) -> Labels:
        """Return the labels of the test set."""
        return self.test[spec.target].to_numpy(dtype=np.int64)


def levels(sets: TrainingSets, spec: ProjectSpec) -> pd.DataFrame:
    """Return the values of the text columns in the training set: `column`, `level`.

    Columns of more than MOST_LEVELS values are omitted: new rows always have new ones.
    """
    parts = [pd.DataFrame({"column": [], "level": []}, dtype="object")]
    for name in sets.prepared.inputs:
        if spec.columns[name].type == "text":
            values = sets.train[name].dropna().unique()
            if len(values) <= MOST_LEVELS:
                parts.append(pd.DataFrame({"column": name, "level": values}, dtype="object"))
    return pd.concat(parts, ignore_index=True)


def read(settings: Settings, spec: ProjectSpec) -> TrainingSets:
    """Read the prepared sets; refuse those of another project file.

    Raises
    ------
    NotReadyError
        Before the first preparation, or when the project file has changed since.
    """
    from core.platform import served_model

    prepared, train, test = storage.read_prepared(settings)
    rows = storage.read_rows(settings, prepared)
    if prepared.rules != spec.digest:
        raise NotReadyError(
            Message(
                "{what} changed. Run {step} again.",
                what=Message("Project file"),
                step=Message("Prepare"),
            )
        )
    wanted = schema.settled_columns(spec, [*prepared.inputs, spec.target])
    complete = list(wanted) if prepared.is_complete else [spec.target]
    types, engineered = spec.kinds_of(prepared.inputs), spec.formulas_of(prepared.features)
    features = []
    for frame in (train, test):
        schema.validate(frame, wanted, complete=complete)
        checked = served_model.checked(frame, types, is_complete=False)
        features.append(served_model.with_features(checked, prepared.features, engineered))
    return TrainingSets(prepared, train, test, features[0], features[1], *rows)
