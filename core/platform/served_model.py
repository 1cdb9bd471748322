"""The code of a registered model.

MLflow copies one file into the model, which outlives the code that created it: this file, preceded
by the row contract `core.platform.rows` (see `core.platform.model_files`). So nothing else of core
is imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

from core.platform.rows.faults import Fault, sentence
from core.platform.rows.rules import Rule, rule_of
from core.platform.rows.values import missing, read

# A closed list: the types, beyond those skops trusts, of the classifiers that can be trained here.
# A file with any other type is not loaded.
TRUSTED_TYPES = (
    # the encoder of categories
    "numpy.dtype",
    # k-nearest neighbours
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    # trees and ensembles of trees
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
    frame: pd.DataFrame, inputs: Mapping[str, Any], *, is_complete: bool = True
) -> pd.DataFrame:
    """Return exactly these columns in this order, numbers as float64 and texts unchanged.

    Parameters
    ----------
    inputs : mapping of str to {"number", "text"}, mapping or Rule
        Kind or rule of each column.
    is_complete : bool
        Whether missing values are refused; otherwise they become NaN.

    Raises
    ------
    MlflowException
        INVALID_PARAMETER_VALUE, HTTP status 400, if a column is missing or a value violates its
        rule; with a sentence for each.

    Examples
    --------
    >>> checked(pd.DataFrame({"b": [2], "c": [0], "a": [1]}), {"a": "number", "b": "number"})
         a    b
    0  1.0  2.0
    >>> bad = pd.DataFrame({"a": [1.0, None], "b": [float("inf"), 1.0]})
    >>> checked(bad[["a"]], {"a": "number"})
    Traceback (most recent call last):
    mlflow.exceptions.MlflowException: Column 'a' must not be missing: it is empty in 1 row, row 2.
    """
    rows, faults = settled(frame, inputs, is_complete=is_complete)
    if faults:
        sentences = " ".join(sentence(fault) for fault in faults)
        raise MlflowException.invalid_parameter_value(sentences)
    return rows


def settled(
    frame: pd.DataFrame, inputs: Mapping[str, Any], *, is_complete: bool = True
) -> tuple[pd.DataFrame, list[Fault]]:
    """Return the columns as `checked` does, with missing for unreadable values; and all faults.

    Examples
    --------
    >>> rows, faults = settled(pd.DataFrame({"a": ["1", "x"]}), {"a": "number"})
    >>> rows["a"].tolist(), [fault.code for fault in faults]
    ([1.0, nan], ['type'])
    """
    if absent := [name for name in inputs if name not in frame.columns]:
        names = {"absent": absent, "wanted": list(inputs)}
        return pd.DataFrame(index=frame.index), [Fault("absent_columns", params=names)]
    columns: dict[str, pd.Series[Any]] = {}
    faults: list[Fault] = []
    for name, about in inputs.items():
        rule = about if isinstance(about, Rule) else rule_of(about)
        values, unreadable = read(frame[name], rule)
        empty = missing(values, unreadable, name) if is_complete else None
        faults += [*unreadable, *([empty] if empty else [])]
        # a missing text is NaN, as encoders expect
        columns[name] = (
            values.where(values.notna(), np.nan)
            if rule.is_text
            else values
            if values.dtype == "float64"
            else values.astype("float64", copy=False)
        )
    return pd.DataFrame(columns, index=frame.index, copy=False), faults


def with_features(
    rows: pd.DataFrame, features: Sequence[str], engineered: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Return the features of rows, including engineered ones.

    Parameters
    ----------
    rows : DataFrame
        As `checked` returns them.
    features : sequence of str
        Columns or engineered features, in order.
    engineered : mapping of str to (formula, {"number", "text"})
        Formulas of the engineered ones, accepted by `core.platform.formulas`.

    Examples
    --------
    >>> rows = pd.DataFrame({"minutes": [2.0, np.nan], "day": ["2000-10-31", np.nan]})
    >>> with_features(rows, ["left", "month"], {
    ...     "left": ("60 * minutes", "number"), "month": ("day.str.slice(5, 7)", "text")})
        left month
    0  120.0    10
    1    NaN   NaN
    """
    values = {name: rows[name] for name in features if name not in engineered}
    for name in features:
        if name in engineered:
            formula, kind = engineered[name]
            with np.errstate(all="ignore"):
                computed = rows.eval(formula, engine="python")
            if kind == "number":
                # a division by zero is missing; string predicates give objects with missing values
                values[name] = computed.astype("float64").replace([np.inf, -np.inf], np.nan)
            else:
                values[name] = computed.astype("object").map(str, na_action="ignore")
    return pd.DataFrame({name: values[name] for name in features}, index=rows.index, copy=False)


class Context(Protocol):
    """What MLflow passes to a model on loading."""

    artifacts: Mapping[str, str]
    model_config: Mapping[str, Any]


class ServedModel(PythonModel):  # type: ignore[misc]  # MLflow's classes are untyped here
    """Predicts the probability of label 1 and the label at the model's threshold."""

    def load_context(self, context: Context) -> None:
        """Read the classifier, its inputs and its threshold from the model's files.

        Raises
        ------
        MlflowException
            If the classifier's file does not match this configuration; the server does not start.
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

    def predict(
        self, context: object, model_input: pd.DataFrame, params: object = None
    ) -> pd.DataFrame:
        """Return `probability` and `label` for each row.

        Raises
        ------
        MlflowException
            As `checked` does.
        """
        config = self.config
        return self.answer(checked(model_input, config["rules"], is_complete=config["is_complete"]))

    def answer(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Predict on rows from `checked`."""
        config = self.config
        features = with_features(rows, config["features"], config["engineered"])
        if config["is_complete"] and (empty := features.columns[features.isna().any()].tolist()):
            raise MlflowException.invalid_parameter_value(f"No value for {', '.join(empty)}.")
        return self.of_features(features)

    def of_features(self, features: pd.DataFrame) -> pd.DataFrame:
        """Predict on features as `with_features` returns them."""
        probability = self.estimator.predict_proba(features)[:, 1].astype("float64")
        label = (probability >= float(self.config["threshold"])).astype("int64")
        return pd.DataFrame({"probability": probability, "label": label}, index=features.index)


mlflow.models.set_model(ServedModel())
