"""The steps: filter, split, train. Whatever is not said here is the default of its library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlflow
import pandas as pd
from pycaret.classification import ClassificationExperiment
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import train_test_split

mlflow.set_experiment("shots")


def filter_shots(dev: pd.DataFrame, prod: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the labelled 2-point shots, in the order of their ids."""
    shots = pd.concat([dev, prod]).sort_values("shot_id").dropna()
    shots = shots[shots["shot_type"] == "2PT Field Goal"]
    return shots[columns].reset_index(drop=True)


def split(shots: pd.DataFrame, parameters: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return train and test set, random and stratified; log their sizes as PreparacaoDados."""
    share, target = parameters["test_share"], parameters["target"]
    base_train, base_test = train_test_split(
        shots, test_size=share, stratify=shots[target], random_state=parameters["seed"]
    )
    with mlflow.start_run(run_name="PreparacaoDados"):
        mlflow.log_param("test_share", share)
        mlflow.log_metrics({"train_rows": len(base_train), "test_rows": len(base_test)})
    return base_train, base_test


def train(base_train: pd.DataFrame, base_test: pd.DataFrame, parameters: Mapping[str, Any]) -> None:
    """Train each candidate with PyCaret; log it and its test metrics as Treinamento."""
    target = parameters["target"]
    features, labels = base_test.drop(columns=target), base_test[target]
    experiment = ClassificationExperiment()
    experiment.setup(
        base_train, target=target, fold=parameters["folds"], session_id=parameters["seed"]
    )
    with mlflow.start_run(run_name="Treinamento"):
        mlflow.log_params(dict(parameters))
        for name in parameters["candidates"]:
            model = experiment.finalize_model(experiment.create_model(name))
            metrics = {
                f"{name}_log_loss": log_loss(labels, model.predict_proba(features)),
                f"{name}_f1": f1_score(labels, model.predict(features)),
            }
            mlflow.log_metrics(metrics)
            # the format of today's default refuses PyCaret's own classes
            mlflow.sklearn.log_model(
                model,
                name=name,
                serialization_format="cloudpickle",
                pip_requirements=parameters["model_requirements"],
            )
