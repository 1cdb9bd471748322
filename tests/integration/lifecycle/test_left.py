"""The steps outside the main path leave what `core.platform.stages` says, and nothing else."""

from __future__ import annotations

import pandas as pd
import pytest

from core.platform import storage, tracking
from core.platform.config import Settings
from core.retraining import replay, retrain
from core.scoring import label, score
from core.training import explain
from tests.conftest import copy_home
from tests.integration.lifecycle.left import missing_artifacts, undeclared_artifacts


@pytest.fixture(scope="module")
def home(trained_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = copy_home(trained_few, tmp_path_factory.mktemp("left") / "home")
    score.run(settings, score.Options(source="production", way="in_process"))
    return settings


def test_an_explanation_in_general(home: Settings) -> None:
    explain.run(home, explain.Options(rows=10, repeats=2))
    assert missing_artifacts(home, "explain", conditions=("overall",)) == []
    assert undeclared_artifacts(home, "explain") == set()


def test_an_explanation_of_a_row_with_its_surroundings(home: Settings) -> None:
    trained = tracking.last_run(home, "train")
    assert trained is not None
    first = tracking.table(home, trained.run_id, "test_rows")["shot_id"].iloc[0]
    explain.run(home, explain.Options(test_row=str(first), around=True))
    assert missing_artifacts(home, "explain", conditions=("row", "around_row")) == []
    assert undeclared_artifacts(home, "explain") == set()


def test_labels_of_a_file(home: Settings) -> None:
    scored = tracking.last_run(home, "score")
    assert scored is not None
    keys = pd.read_parquet(scored.params["output"])["courtside_row_key"]
    frame = pd.DataFrame({"shot_id": keys[:5], "shot_made_flag": [1, 0, 1, 0, 1]})
    staged = storage.stage_upload(home, "labels.csv", frame.to_csv(index=False).encode())
    label.run(home, label.Options(upload=staged))
    assert missing_artifacts(home, "label") == []
    assert undeclared_artifacts(home, "label") == set()


def test_a_decision_about_retraining(home: Settings) -> None:
    retrain.run(home, retrain.Options())
    assert missing_artifacts(home, "retrain") == []
    assert undeclared_artifacts(home, "retrain") == set()


def test_a_replay(home: Settings) -> None:
    replay.run(home, replay.Options(window="rows", window_rows=100, train_share=0.6))
    assert missing_artifacts(home, "replay") == []
    assert undeclared_artifacts(home, "replay") == set()
