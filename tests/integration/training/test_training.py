"""Train: candidates of every kind, combinations of them, time limits, presets, and records."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import prepare
from core.jobs import cluster, jobs
from core.platform import model_store, project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.run_record import Progress
from core.training import fitting, train
from tests.conftest import copy_home

SPEC = project.load("kobe")
SMALL = {"lightgbm": {"n_estimators": 20, "num_leaves": 4}}


class RecordedProgress(Progress):
    """Records all progress of a step."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, str]] = []

    def update(self, fraction: float, text: str) -> None:
        self.updates.append((fraction, text))


@pytest.fixture(scope="module")
def home(prepared_seasons: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with prepared sets of a part of the sample."""
    return copy_home(prepared_seasons, tmp_path_factory.mktemp("training") / "home")


@pytest.fixture(scope="module")
def trained(home: Settings) -> tuple[train.Result, RecordedProgress]:
    progress = RecordedProgress()
    options = train.Options(
        candidates=("lr", "lightgbm", "dummy"), params=SMALL, folds=2, learning_seconds=0
    )
    return train.run(home, options, progress), progress


@pytest.mark.long
def test_combined_candidates_are_compared_with_the_others(home: Settings) -> None:
    options = train.Options(
        candidates=("lr", "lightgbm", "dummy"),
        params=SMALL,
        folds=2,
        blend=True,
        stack=True,
        calibrate="sigmoid",
        tune_trials=2,
        tune_seconds=30,
        learning_seconds=0,
    )
    result = train.run(home, options)
    comparison = tracking.table(home, result.run_id, "comparison").set_index("model")
    first = comparison.iloc[:3]["log_loss_cv"].idxmin()
    assert comparison.index.tolist()[:6] == [
        "lr",
        "lightgbm",
        "dummy",
        f"{first}.tuned",
        "blend",
        "stack",
    ]
    assert comparison.index[6].endswith(".sigmoid")
    assert result.best == comparison["log_loss_cv"].idxmin()
    assert result.left_out == ()
    base = comparison.loc["dummy"]
    assert base["skill_test"] == pytest.approx(0, abs=0.001)
    children = tracking.runs(home, parent=result.run_id)
    assert {child.name for child in children} == {str(name) for name in comparison["name"]}


def test_progress_shows_candidate_fold_best_so_far_and_time_left(trained) -> None:
    _, progress = trained
    texts = [str(text) for _, text in progress.updates]
    assert "Logistic regression: fold 1 of 2" in texts
    assert any("fold 2 of 2" in text and "s left" in text for text in texts)
    assert any("LightGBM: fold" in text and "best so far Logistic reg" in text for text in texts)
    # nothing is foreseen once all folds are done
    last = [text for text in texts if str(fitting.FINAL_FIT) in text][-1]
    assert "s left" not in last
    assert not any("about 0 s left" in text for text in texts)
    shares = [share for share, _ in progress.updates]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_the_run_keeps_all_columns_of_the_test_rows_and_the_keys_of_the_others(
    home: Settings, trained
) -> None:
    result, _ = trained
    prepared, train_set, test_set = storage.read_prepared(home)
    rows = tracking.table(home, result.run_id, "test_rows")
    keys = tracking.table(home, result.run_id, "train_keys")
    assert list(rows) == list(SPEC.columns)
    assert list(keys) == [SPEC.id]
    assert (len(rows), len(keys)) == (len(test_set), len(train_set))
    assert not set(rows[SPEC.id]) & set(keys[SPEC.id])
    pd.testing.assert_frame_equal(
        rows[[*prepared.inputs, SPEC.target]], test_set, check_dtype=False
    )
    version = model_store.require_version(home, SPEC.model, "challenger")
    validation = tracking.table(home, version.run_id, "validation")
    assert sorted(validation["row"]) == list(range(len(train_set)))
    labels = train_set[SPEC.target].to_numpy()[validation["row"]]
    np.testing.assert_array_equal(validation["courtside_label"], labels)


def test_candidates_without_time_are_left_out_and_reported(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = train.automl.Trainer.fit, []

    def fit(self, model, params=None):
        calls.append(model)
        if len(calls) == 2:
            self._deadline = 0.0
        return real(self, model, params)

    monkeypatch.setattr(train.automl.Trainer, "fit", fit)
    result = train.run(
        home,
        train.Options(
            candidates=("lr", "nb", "dt"),
            folds=3,
            blend=True,
            budget_seconds=500,
            learning_seconds=0,
        ),
    )
    assert result.best == "lr"
    # a blend needs two, so none was tried
    assert result.left_out == ("nb", "dt")
    reasons = tracking.table(home, result.run_id, "left_out").set_index("model")["reason"]
    assert str(reasons["nb"]) == "It did not finish within 500 s."
    assert str(reasons["dt"]) == "It did not finish within 500 s."
    run = tracking.run(home, result.run_id)
    assert run is not None
    assert run.params["left_out"] == "Naive Bayes, Decision tree"
    ended = {child.name: child.status for child in tracking.runs(home, parent=result.run_id)}
    assert ended == {"Logistic regression": "FINISHED", "Naive Bayes": "KILLED"}


def test_a_candidate_that_cannot_be_fitted_does_not_stop_the_others(home: Settings) -> None:
    options = train.Options(
        candidates=("lr", "nb"), params={"lr": {"solver": "x"}}, folds=2, learning_seconds=0
    )
    result = train.run(home, options)
    assert (result.best, result.left_out) == ("nb", ("lr",))
    with pytest.raises(InputError, match=r"No candidate was fitted\. Logistic regression: 'lr' "):
        train.run(home, train.Options(candidates=("lr",), params={"lr": {"solver": "x"}}, folds=3))


def test_a_cluster_that_does_not_answer_leaves_nothing_half_written(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tests of the cluster check how long it waits
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.5)
    before = [version.version for version in model_store.versions(home, SPEC.model)]
    dask = home.model_copy(update={"dask": "tcp://127.0.0.1:1"})
    with pytest.raises(
        InputError, match=r"No Dask scheduler with workers answers at tcp://127\.0\.0\.1:1 "
    ):
        train.run(dask, train.Options(candidates=("lr",), folds=3))
    last = tracking.last_run(home, "train", status=None)
    assert last is not None
    assert last.status == "FAILED"
    assert "COURTSIDE_DASK" in str(last.error)
    assert tracking.runs(home, parent=last.run_id) == []
    assert [version.version for version in model_store.versions(home, SPEC.model)] == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"candidates": ("lr", "lr")}, "used more than once: lr"),
        ({"candidates": ("magic",)}, "not in candidates: magic"),
        ({"candidates": ("lr",), "params": {"dt": {"max_depth": 3}}}, "not in candidates: dt"),
        ({"calibrate": "magic"}, "'none', 'sigmoid' or 'isotonic'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        train.Options(**options)
    assert words in str(caught.value)


def test_a_preset_refuses_the_sets_of_another(home: Settings) -> None:
    with pytest.raises(
        NotReadyError, match="are not those of 'Best by place and time, split by date'"
    ):
        train.run(home, train.Options(preset="Best by place and time, split by date"))
    with pytest.raises(InputError, match="'Magic' does not exist"):
        train.run(home, train.Options(preset="Magic"))


def test_a_training_waits_for_the_preparation_that_was_asked_for_before(settings: Settings) -> None:
    first = jobs.submit(settings, "prepare", {})
    second = jobs.submit(settings, "train", {})
    assert jobs.claim(settings, second.job_id) is None
    assert jobs.claim(settings, first.job_id)
    assert jobs.claim(settings, second.job_id) is None
    later = jobs.submit(settings, "prepare", {"seed": 1})
    jobs.finish(settings, first.job_id, jobs.DONE)
    assert jobs.claim(settings, second.job_id)
    assert jobs.claim(settings, later.job_id)


@pytest.mark.real
@pytest.mark.skipif(
    "COURTSIDE_RAW_DIR" not in os.environ,
    reason="COURTSIDE_RAW_DIR does not name a folder with the real files",
)
@pytest.mark.parametrize(
    ("title", "limit"),
    [
        pytest.param("Best by place and time", 0.674, marks=pytest.mark.long),
        pytest.param("Best with the kind of shot", 0.607, marks=pytest.mark.long),
        pytest.param("Best by place and time, split by date", 0.672, marks=pytest.mark.long),
        pytest.param("Best with the kind of shot, split by date", 0.632, marks=pytest.mark.long),
    ],
)
def test_the_presets_reach_their_figures_on_the_real_rows(
    acquired_real: Settings, tmp_path: Path, title: str, limit: float
) -> None:
    settings = copy_home(acquired_real, tmp_path / "home")
    preset = next(preset for preset in SPEC.presets if preset.title == title)
    prepare.run(
        settings,
        prepare.Options(
            features=SPEC.features_called(preset.features),
            split=preset.split,
            test_from=preset.test_from,
        ),
    )
    result = train.run(
        settings,
        train.Options(
            candidates=preset.candidates,
            params=preset.params,
            blend=preset.blend,
            folds=2,
            preset=title,
            learning_seconds=0,
        ),
    )
    assert result.log_loss_test <= limit
