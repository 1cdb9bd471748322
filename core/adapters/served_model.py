"""The code of a registered model. MLflow copies this file into the model, so it imports no core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

# What skops does not trust by itself in the candidates: k-nearest neighbours, tree, LightGBM.
TRUSTED_TYPES = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
)


def checked(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """Return exactly these features in this order, as float64.

    Raises
    ------
    MlflowException
        INVALID_PARAMETER_VALUE, which the server answers as 400, when a feature is missing or
        holds a value that is no finite number.

    Examples
    --------
    >>> checked(pd.DataFrame({"b": [2], "c": [0], "a": [1]}), ["a", "b"])
         a    b
    0  1.0  2.0
    >>> checked(pd.DataFrame({"a": [1.0, None], "b": [float("inf"), 1.0]}), ["a", "b"])
    Traceback (most recent call last):
    mlflow.exceptions.MlflowException: Missing or infinite values in a (1 row), b (1 row).
    """
    absent = [name for name in features if name not in frame.columns]
    if absent:
        raise MlflowException.invalid_parameter_value(f"Missing columns: {', '.join(absent)}.")
    try:
        taken = frame[list(features)].astype("float64")
    except (TypeError, ValueError) as error:
        raise MlflowException.invalid_parameter_value(f"Not a number: {error}.") from error
    bad = (~np.isfinite(taken)).sum()
    named = [f"{name} ({rows:,} row{'s'[: rows != 1]})" for name, rows in bad.items() if rows]
    if named:
        raise MlflowException.invalid_parameter_value(
            f"Missing or infinite values in {', '.join(named)}."
        )
    return taken


class ServedModel(PythonModel):  # type: ignore[misc]  # MLflow's classes are untyped here
    """Answers each row with the probability of label 1 and the label at the model's threshold."""

    def load_context(self, context: Any) -> None:
        """Read the classifier, its features and its threshold from the model's files."""
        import skops.io

        path = context.artifacts["pipeline"]
        self.estimator = skops.io.load(path, trusted=list(TRUSTED_TYPES))
        self.features = list(context.model_config["features"])
        self.threshold = float(context.model_config["threshold"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return `probability` and `label` for each row.

        Raises
        ------
        MlflowException
            As `checked` does.
        """
        rows = checked(model_input, self.features)
        probability = self.estimator.predict_proba(rows)[:, 1].astype("float64")
        label = (probability >= self.threshold).astype("int64")
        return pd.DataFrame({"probability": probability, "label": label}, index=rows.index)


mlflow.models.set_model(ServedModel())
