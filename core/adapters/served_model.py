"""The code of a registered model. MLflow copies this file into the model, so it imports no core."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

# A closed list: what skops does not trust by itself in the classifiers that can be trained here,
# and nothing else. A file with any other type is not loaded.
TRUSTED_TYPES = (
    # the encoder of texts
    "numpy.dtype",
    # k-nearest neighbours
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    # trees, and all that is made of them
    "sklearn.tree._tree.Tree",
    # neural network
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    # LightGBM
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    # blends and stacks
    "sklearn.utils._bunch.Bunch",
    # calibration
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
)


def checked(
    frame: pd.DataFrame, inputs: Mapping[str, str], *, is_complete: bool = True
) -> pd.DataFrame:
    """Return exactly these columns in this order, numbers as float64 and texts as they are.

    Parameters
    ----------
    inputs : mapping of str to {"number", "text"}
        What each column is.
    is_complete : bool
        Whether a missing value is refused; else it is NaN in what is returned.

    Raises
    ------
    MlflowException
        INVALID_PARAMETER_VALUE, which the server answers as 400, when a column is missing, or
        holds a number that is none or not finite.

    Examples
    --------
    >>> checked(pd.DataFrame({"b": [2], "c": [0], "a": [1]}), {"a": "number", "b": "number"})
         a    b
    0  1.0  2.0
    >>> bad = pd.DataFrame({"a": [1.0, None], "b": [float("inf"), 1.0]})
    >>> checked(bad, {"a": "number", "b": "number"})
    Traceback (most recent call last):
    mlflow.exceptions.MlflowException: Missing or infinite values in a (1 row), b (1 row).
    """
    absent = [name for name in inputs if name not in frame.columns]
    if absent:
        raise MlflowException.invalid_parameter_value(f"Missing columns: {', '.join(absent)}.")
    taken = {}
    for name, kind in inputs.items():
        values = frame[name]
        try:
            taken[name] = (
                values.astype("float64", copy=False)
                if kind == "number"
                else values.astype("object").where(values.notna(), np.nan)
            )
        except (TypeError, ValueError) as error:
            raise MlflowException.invalid_parameter_value(f"Not a number: {error}.") from error
    rows = pd.DataFrame(taken, index=frame.index, copy=False)
    # what most frames are is seen at one look
    if all(kind == "number" and np.isfinite(taken[name].to_numpy()).all()
           for name, kind in inputs.items()):  # fmt: skip
        return rows
    numbers = [name for name, kind in inputs.items() if kind == "number"]
    bad = np.isinf(rows[numbers]).sum().reindex(list(inputs), fill_value=0)
    if is_complete:
        bad = bad + rows.isna().sum()
    named = [f"{name} ({rows:,} row{'s'[: rows != 1]})" for name, rows in bad.items() if rows]
    if named:
        kinds = "Missing or infinite" if is_complete else "Infinite"
        raise MlflowException.invalid_parameter_value(f"{kinds} values in {', '.join(named)}.")
    return rows


def with_features(
    rows: pd.DataFrame, features: Sequence[str], engineered: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Return the features of rows, those that are computed among them.

    Parameters
    ----------
    rows : DataFrame
        As `checked` returns them; a feature without a value is missing in what is returned.
    features : sequence of str
        Columns or engineered features, in order.
    engineered : mapping of str to (formula, {"number", "text"})
        How to compute those that are no columns: formulas that `core.formulas` has accepted.

    Examples
    --------
    >>> rows = pd.DataFrame({"minutes": [2.0, np.nan], "day": ["2000-10-31", np.nan]})
    >>> with_features(rows, ["left", "month"], {
    ...     "left": ("60 * minutes", "number"), "month": ("day.str.slice(5, 7)", "text")})
        left month
    0  120.0    10
    1    NaN   NaN
    """
    found = {name: rows[name] for name in features if name not in engineered}
    for name in features:
        if name in engineered:
            formula, kind = engineered[name]
            with np.errstate(all="ignore"):
                values = rows.eval(formula, engine="python")
            if kind == "number":
                # a division by zero has no value; tests of texts give objects with holes
                found[name] = values.astype("float64").replace([np.inf, -np.inf], np.nan)
            else:
                found[name] = values.astype("object").map(str, na_action="ignore")
    return pd.DataFrame({name: found[name] for name in features}, index=rows.index, copy=False)


class ServedModel(PythonModel):  # type: ignore[misc]  # MLflow's classes are untyped here
    """Answers each row with the probability of label 1 and the label at the model's threshold."""

    def load_context(self, context: Any) -> None:
        """Read the classifier, what it takes and its threshold from the model's files.

        Raises
        ------
        MlflowException
            When the classifier's file is not the one that was kept with this configuration; the
            server does not start then.
        """
        import skops.io

        self.config = dict(context.model_config)
        with open(context.artifacts["pipeline"], "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != self.config["sha256"]:
            raise MlflowException.invalid_parameter_value(
                "The file of the classifier is not the one that was kept with this model."
            )
        self.estimator = skops.io.loads(content, trusted=list(TRUSTED_TYPES))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return `probability` and `label` for each row.

        Raises
        ------
        MlflowException
            As `checked` does.
        """
        config = self.config
        rows = checked(model_input, config["inputs"], is_complete=config["is_complete"])
        features = with_features(rows, config["features"], config["engineered"])
        if config["is_complete"] and (empty := features.columns[features.isna().any()].tolist()):
            raise MlflowException.invalid_parameter_value(f"No value for {', '.join(empty)}.")
        probability = self.estimator.predict_proba(features)[:, 1].astype("float64")
        label = (probability >= float(config["threshold"])).astype("int64")
        return pd.DataFrame({"probability": probability, "label": label}, index=rows.index)


mlflow.models.set_model(ServedModel())
