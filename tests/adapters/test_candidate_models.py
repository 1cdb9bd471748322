"""The candidates of a training, found from the version that was registered of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from core.adapters import candidate_models, registry, tracking
from core.adapters.tracking import TAG, ModelVersion
from core.config import Options, Settings
from core.record import SILENT, ModelRecord, Record

INPUTS = {"x": "number", "y": "number"}
KINDS = {"lr": LogisticRegression(), "dt": DecisionTreeClassifier(max_depth=3, random_state=0)}


def made_up() -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "y": rng.normal(size=200)})
    return frame, (frame["x"] + rng.normal(size=200) > 0).astype("int64")


@pytest.fixture(scope="module")
def trained(module_settings: Settings) -> tuple[Settings, ModelVersion]:
    """Two candidates of one training, and one that failed before it had a model."""
    settings, (frame, target) = module_settings, made_up()
    with tracking.step_run(settings, "train", Options(), SILENT) as parent:
        for kind, estimator in KINDS.items():
            estimator.fit(frame, target)
            with tracking.child_run(settings, kind, SILENT) as run_id:
                model = ModelRecord(
                    estimator, tuple(INPUTS), INPUTS, 0.4, frame.head(3), is_complete=True
                )
                told = estimator.predict_proba(frame)[:, 1]
                model_id = tracking.log(
                    settings,
                    run_id,
                    Record(
                        params={"model": kind, "threshold": 0.4},
                        tables={"test_predictions": frame.assign(probability=told)},
                        model=model,
                    ),
                )
        with tracking.child_run(settings, "knn", SILENT):
            pass
    tags = {
        TAG + "train_run": parent,
        TAG + "threshold": "0.4",
        TAG + "inputs": "x,y",
        TAG + "features": "x,y",
        TAG + "formulas": json.dumps({}),
    }
    return settings, tracking.register(settings, "m", str(model_id), run_id, tags)


def test_the_candidates_of_a_version_are_found_in_their_order(
    trained: tuple[Settings, ModelVersion],
) -> None:
    settings, version = trained
    found = candidate_models.candidates_of(settings, version)
    assert [one.tags[TAG + "candidate"] for one in found] == ["lr", "dt"]
    assert found[1].run_id == version.run_id
    assert {one.threshold for one in found} == {0.4}
    again = candidate_models.candidates_of(settings, found[0])
    assert [one.run_id for one in again] == [one.run_id for one in found]


def test_they_answer_as_they_did_when_they_were_tested(
    trained: tuple[Settings, ModelVersion],
) -> None:
    settings, version = trained
    found = candidate_models.candidates_of(settings, version)
    frame, _ = made_up()
    tested = candidate_models.on_test_set(settings, found)
    answers = candidate_models.answers(settings, found, frame)
    assert list(tested) == list(answers) == [one.run_id for one in found]
    pd.testing.assert_frame_equal(answers, tested)
    # a row that they refuse is left out
    frame.loc[4, "x"] = np.nan
    assert candidate_models.answers(settings, found, frame).index.tolist() == [
        place for place in range(200) if place != 4
    ]


def test_what_is_gone_or_changed_is_left_out(trained: tuple[Settings, ModelVersion]) -> None:
    settings, version = trained
    alone = dataclasses.replace(version, tags={})
    assert candidate_models.candidates_of(settings, alone) == []
    gone = dataclasses.replace(version, tags={TAG + "train_run": "0" * 32})
    assert candidate_models.candidates_of(settings, gone) == []
    assert candidate_models.answers(settings, [], made_up()[0]).empty
    found = candidate_models.candidates_of(settings, version)
    stranger = dataclasses.replace(found[0], run_id="0" * 32)
    assert candidate_models.on_test_set(settings, [stranger, found[1]]).columns.tolist() == [
        found[1].run_id
    ]
    model = tracking._client(settings).get_logged_model(found[0].tags[registry.LOGGED_MODEL])
    path = Path(model.artifact_location.removeprefix("file://")) / "artifacts/pipeline.skops"
    kept = path.read_bytes()
    path.write_bytes(kept + b" ")
    try:
        answers = candidate_models.answers(settings, found, made_up()[0])
        assert answers.columns.tolist() == [found[1].run_id]
    finally:
        path.write_bytes(kept)
