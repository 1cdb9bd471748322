"""The code that is copied into each registered model."""

import ast
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import skops.io
from lightgbm import LGBMClassifier
from mlflow.exceptions import MlflowException
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from core.platform import model_files, served_model
from core.training.preprocessing import preprocessor

FEATURES = ["distance", "minutes", "playoffs"]
ESTIMATORS = {
    "lr": LogisticRegression(),
    "knn": KNeighborsClassifier(),
    "dt": DecisionTreeClassifier(max_depth=4, random_state=0),
    "lightgbm": LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1, random_state=0),
}


def toy_rows(rows=200):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "distance": rng.integers(0, 30, rows),
            "minutes": rng.integers(0, 12, rows),
            "playoffs": rng.integers(0, 2, rows),
        }
    ).astype("float64")
    return frame, (frame["distance"] + rng.normal(0, 5, rows) < 12).astype("int64")


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def loaded(path, threshold=0.5, digest=None):
    model = served_model.ServedModel()
    config = {
        "inputs": dict.fromkeys(FEATURES, "number"),
        "rules": dict.fromkeys(FEATURES, "number"),
        "engineered": {},
        "features": FEATURES,
        "is_complete": True,
        "threshold": threshold,
        "sha256": digest or sha256(path),
    }
    model.load_context(SimpleNamespace(artifacts={"pipeline": str(path)}, model_config=config))
    return model


@pytest.fixture
def logistic(tmp_path):
    frame, target = toy_rows()
    estimator = LogisticRegression().fit(frame, target)
    skops.io.dump(estimator, tmp_path / "pipeline.skops")
    return estimator, tmp_path / "pipeline.skops", frame


@pytest.mark.parametrize("name", ESTIMATORS)
def test_each_candidate_is_the_same_after_skops(name, tmp_path):
    frame, target = toy_rows()
    estimator = ESTIMATORS[name].fit(frame, target)
    skops.io.dump(estimator, tmp_path / "pipeline.skops")

    answer = loaded(tmp_path / "pipeline.skops").predict(None, frame)

    expected = estimator.predict_proba(frame)[:, 1]
    assert answer["probability"].to_numpy() == pytest.approx(expected, abs=1e-12)
    assert answer["label"].to_list() == (expected >= 0.5).astype(int).tolist()
    assert answer.dtypes.astype(str).to_dict() == {"probability": "float64", "label": "int64"}


def with_texts():
    """A model of a number and a text, both with missing values, and of a computed month."""
    frame, target = toy_rows()
    frame = frame.assign(
        zone=np.where(frame["distance"] > 12, "far, away", "near"),
        day=[f"2000-{1 + i % 12:02}-01" for i in range(len(frame))],
    )
    frame.loc[::9, "distance"] = np.nan
    frame.loc[::7, "zone"] = np.nan
    engineered = {"month": ("day.str.slice(5, 7)", "text"), "late": ("minutes > 6", "number")}
    features = ["distance", "zone", "month", "late"]
    inputs = served_model.with_features(frame, features, engineered)
    estimator = Pipeline(
        [
            ("preprocess", preprocessor(["distance", "late"], ["zone", "month"], impute=True)),
            ("classify", LogisticRegression()),
        ]
    ).fit(inputs, target)
    config = {
        "inputs": {"distance": "number", "zone": "text", "day": "text", "minutes": "number"},
        "rules": {"distance": "number", "zone": "text", "day": "text", "minutes": "number"},
        "engineered": {name: list(formula) for name, formula in engineered.items()},
        "features": features,
        "is_complete": False,
        "threshold": 0.5,
    }
    return frame, estimator, estimator.predict_proba(inputs)[:, 1], config


def test_only_types_that_candidates_need_are_trusted(tmp_path):
    frame, target = toy_rows()
    needed = set()
    members = [("one", LogisticRegression()), ("other", LogisticRegression(C=0.1))]
    extra = {
        # the hyperparameter search tries this distance too
        "knn.tuned": KNeighborsClassifier(metric="manhattan"),
        "mlp": MLPClassifier(max_iter=5),
        "blend": VotingClassifier(members, voting="soft"),
        "lr.sigmoid": CalibratedClassifierCV(LogisticRegression(), method="sigmoid"),
        "lr.isotonic": CalibratedClassifierCV(LogisticRegression(), method="isotonic"),
    }
    fitted = {
        name: unfitted.fit(frame, target) for name, unfitted in {**ESTIMATORS, **extra}.items()
    }
    for name, estimator in {**fitted, "texts": with_texts()[1]}.items():
        path = tmp_path / f"{name}.skops"
        skops.io.dump(estimator, path)
        needed |= set(skops.io.get_untrusted_types(file=path))
    assert needed == set(served_model.TRUSTED_TYPES)


def test_a_file_with_another_digest_than_its_configuration_is_refused(logistic):
    _, path, _ = logistic
    with pytest.raises(MlflowException, match="is not the one that was kept with this model"):
        loaded(path, digest="0" * 64)


def test_the_threshold_decides_the_label(logistic):
    _, path, frame = logistic
    answer = loaded(path, threshold=0.8).predict(None, frame)
    assert answer["label"].to_list() == (answer["probability"] >= 0.8).astype(int).to_list()
    assert 0 < answer["label"].sum() < (answer["probability"] >= 0.5).sum()


def test_columns_are_matched_by_name(logistic):
    estimator, path, frame = logistic
    shuffled = frame[FEATURES[::-1]].assign(other="x").astype({"minutes": "int64"})
    answer = loaded(path).predict(None, shuffled)
    expected = estimator.predict_proba(frame)[:, 1]
    assert answer["probability"].to_numpy() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None])
def test_values_that_are_not_finite_numbers_are_refused(logistic, value):
    _, path, frame = logistic
    frame = frame.astype("object")
    frame.loc[[3, 5], "minutes"] = value
    with pytest.raises(MlflowException, match=r"'minutes' must .* 2 rows") as caught:
        loaded(path).predict(None, frame)
    assert json.loads(caught.value.serialize_as_json())["error_code"] == "INVALID_PARAMETER_VALUE"
    assert caught.value.get_http_status_code() == 400


def test_missing_columns_and_text_are_refused(logistic):
    _, path, frame = logistic
    model = loaded(path)
    with pytest.raises(MlflowException, match="Missing columns: playoffs"):
        model.predict(None, frame.drop(columns="playoffs"))
    with pytest.raises(MlflowException, match="'minutes' must be a number"):
        model.predict(None, frame.assign(minutes="late"))


def test_texts_missing_values_and_computed_features_are_served(tmp_path):
    frame, estimator, expected, config = with_texts()
    skops.io.dump(estimator, tmp_path / "pipeline.skops")
    model = served_model.ServedModel()
    paths = {"pipeline": str(tmp_path / "pipeline.skops")}
    config["sha256"] = sha256(paths["pipeline"])
    model.load_context(SimpleNamespace(artifacts=paths, model_config=config))

    raw = frame[list(config["inputs"])].astype("object").where(frame.notna(), None)
    answer = model.predict(None, raw)
    assert answer["probability"].to_numpy() == pytest.approx(expected, abs=1e-12)
    # one row at a time, and one with all values missing
    single_rows = pd.concat([model.predict(None, raw.iloc[[i]]) for i in range(20)])
    assert single_rows["probability"].to_numpy() == pytest.approx(expected[:20], abs=1e-12)
    empty = pd.DataFrame([dict.fromkeys(config["inputs"])])
    assert model.predict(None, empty)["probability"].between(0, 1).all()
    unseen = raw.assign(zone="never seen")
    assert model.predict(None, unseen)["probability"].between(0, 1).all()
    with pytest.raises(MlflowException, match="'distance' must lie in -1e"):
        model.predict(None, raw.assign(distance=np.inf))
    with pytest.raises(MlflowException, match="Missing columns: day"):
        model.predict(None, raw.drop(columns="day"))


def test_it_needs_nothing_of_core():
    tree = ast.parse(model_files.served_code())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    assert not [name for name in names if name.split(".")[0] == "core"]
