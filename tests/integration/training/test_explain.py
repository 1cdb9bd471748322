"""What the explanation of a version or a candidate records, and that it adds up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from core.data import acquire, prepare
from core.platform import mlflow_client, model_store, project, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError, StoreError
from core.platform.messages import listed
from core.platform.run_record import Progress
from core.platform.runs import ModelVersion
from core.registry import version_files
from core.training import explain, train
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
# with missing values in each of their columns
FEATURES = ("shot_distance", "angle", "home", "month", "shot_zone_basic", "opponent", "period")
# 1 has the six default features and was trained on the sample, 2 has texts and imputes
SAMPLE, TEXTS = "1", "2"


class RecordedProgress(Progress):
    """Records all progress."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.texts: list[str] = []

    def update(self, fraction: float, text: str) -> None:
        self.fractions.append(fraction)
        self.texts.append(str(text))


@pytest.fixture(scope="module")
def home(
    shots: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory, trained_sample: Settings
) -> Settings:
    folder = tmp_path_factory.mktemp("explained")
    settings = copy_home(trained_sample, folder / "home")
    holes = shots.iloc[::6].reset_index(drop=True)
    for step, name in enumerate(("shot_distance", "loc_x", "matchup", "game_date", "opponent")):
        holes.loc[:: 9 + step, name] = np.nan
    holes.to_parquet(folder / "holes.parquet")
    acquire.run(settings, acquire.Options(source="file", path=folder / "holes.parquet"))
    prepare.run(settings, prepare.Options(features=FEATURES, missing="impute"))
    train.run(settings, train.Options(candidates=("lightgbm", "dt"), folds=2, learning_seconds=0))
    return settings


@pytest.fixture(scope="module")
def of_texts(home: Settings) -> explain.Result:
    return explain.run(home, explain.Options(target=TEXTS, rows=40, repeats=3))


def version_of(settings: Settings, number: str) -> ModelVersion:
    return model_store.require_version(settings, SPEC.model, number)


def predictions_of(settings: Settings, number: str) -> pd.DataFrame:
    return tracking.table(settings, version_of(settings, number).run_id, "test_predictions")


def row_of(settings: Settings, number: str, position: int = 0) -> dict[str, float | str | None]:
    rows = predictions_of(settings, number)[list(version_of(settings, number).inputs)]
    return {name: None if pd.isna(value) else value for name, value in rows.iloc[position].items()}


def table(settings: Settings, result: explain.Result, name: str) -> pd.DataFrame:
    return tracking.table(settings, result.run_id, name)


def test_the_run_records_what_was_explained(home: Settings, of_texts: explain.Result) -> None:
    run = tracking.run(home, of_texts.run_id)
    assert run is not None
    version = version_of(home, TEXTS)
    assert (run.name, run.status, run.step) == ("Explicacao", "FINISHED", "explain")
    assert run.params["version"] == of_texts.version == TEXTS
    assert run.tags["courtside.model_run"] == version.run_id
    assert run.tags["courtside.version"] == TEXTS
    assert run.tags["courtside.explained"] == "model"
    assert run.metrics["rows_explained"] == of_texts.rows == 40
    assert run.metrics["rows_background"] == 100
    assert run.metrics["base"] == of_texts.base
    assert of_texts.probability is None
    assert not run.is_sample
    figures = {path for path in tracking.artifacts(home, of_texts.run_id) if "figures" in path}
    assert {"figures/importance.svg", "figures/shap.svg"} <= figures
    assert sum(path.startswith("figures/partial_") for path in figures) == 2 * 6


def test_kept_contributions_add_up_to_the_probabilities_of_the_test_rows(
    home: Settings, of_texts: explain.Result
) -> None:
    shap = table(home, of_texts, "shap")
    rows = table(home, of_texts, "shap_rows").set_index("courtside_row")
    assert shap["feature"].unique().tolist() == list(FEATURES)
    added = of_texts.base + shap.groupby("row")["contribution"].sum()
    pd.testing.assert_series_equal(added, rows["courtside_probability"], check_names=False)
    tested = predictions_of(home, TEXTS)
    pd.testing.assert_frame_equal(rows, tested.loc[rows.index], check_names=False)
    opponents = shap[shap["feature"] == "opponent"].set_index("row")["value_shown"]
    expected = rows["opponent"].fillna("missing")
    pd.testing.assert_series_equal(opponents, expected, check_names=False)


def test_the_base_is_near_the_mean_of_the_test_set(
    home: Settings, of_texts: explain.Result
) -> None:
    assert of_texts.base == pytest.approx(
        predictions_of(home, TEXTS)["courtside_probability"].mean(), abs=0.01
    )


def test_the_strongest_feature_has_the_largest_mean_absolute_contribution(
    home: Settings, of_texts: explain.Result
) -> None:
    shap = table(home, of_texts, "shap")
    mean = shap["contribution"].abs().groupby(shap["feature"]).mean()
    run = tracking.run(home, of_texts.run_id)
    assert run is not None
    assert mean.idxmax() == of_texts.strongest
    for name in FEATURES:
        assert run.metrics[f"contribution_{name}"] == pytest.approx(mean[name])


def test_importance_and_partial_dependence_are_kept_for_every_feature(
    home: Settings, of_texts: explain.Result
) -> None:
    important = table(home, of_texts, "importance")
    assert set(important["feature"]) == set(FEATURES)
    assert important["mean"].is_monotonic_decreasing
    assert (important["low"] <= important["mean"]).all()
    partial = table(home, of_texts, "partial")
    assert set(partial["feature"]) == set(FEATURES)
    by_kind = partial.groupby("feature")["value"].apply(lambda values: values.isna().all())
    assert set(by_kind[by_kind].index) == {"month", "shot_zone_basic", "opponent"}
    assert partial[["low", "mean", "high"]].apply(lambda column: column.between(0, 1).all()).all()


def test_the_same_seed_explains_a_version_and_its_candidate_alike(
    home: Settings, of_texts: explain.Result
) -> None:
    options = explain.Options(target=version_of(home, TEXTS).run_id, rows=40, repeats=3)
    again = explain.run(home, options)
    other = explain.run(home, explain.Options(target=TEXTS, rows=10, repeats=2, seed=7))
    for name in ("importance", "shap", "partial"):
        pd.testing.assert_frame_equal(table(home, of_texts, name), table(home, again, name))
    explained_rows = set(table(home, again, "shap")["row"])
    assert not set(table(home, other, "shap")["row"]) <= explained_rows


def test_few_rows_explain_all_of_them(prepared_few: Settings, tmp_path: Path) -> None:
    settings = copy_home(prepared_few, tmp_path / "home")
    train.run(settings, train.Options(candidates=("dt",), folds=2, learning_seconds=0))
    tested = predictions_of(settings, "1")
    assert len(tested) < 300
    progress = RecordedProgress()
    result = explain.run(settings, explain.Options(repeats=2), progress)
    assert result.rows == len(tested)
    assert set(table(settings, result, "shap")["row"]) == set(tested.index)
    assert progress.fractions == sorted(progress.fractions)
    assert progress.fractions[-1] == 1.0
    assert f"Explain: {result.rows:,} of {result.rows:,}" in progress.texts
    assert "Explain: 6 of 6" in progress.texts


def test_what_was_trained_on_the_sample_is_marked(home: Settings) -> None:
    result = explain.run(home, explain.Options(target=SAMPLE, rows=10))
    run = tracking.run(home, result.run_id)
    assert run is not None
    assert run.is_sample


def test_a_logistic_regression_pushes_each_feature_one_way(home: Settings) -> None:
    # the further, the lower the probability, whatever the other features are
    result = explain.run(home, explain.Options(target=SAMPLE, rows=100, repeats=2))
    shap = table(home, result, "shap")
    by_distance = shap[shap["feature"] == "shot_distance"].sort_values("value")
    assert (
        by_distance["contribution"].iloc[:20].min()
        > 0
        > by_distance["contribution"].iloc[-20:].max()
    )
    partial = table(home, result, "partial")
    line = partial[partial["feature"] == "shot_distance"]
    assert line["value"].is_monotonic_increasing
    assert line["mean"].is_monotonic_decreasing


@pytest.mark.parametrize("position", [0, 1])
def test_a_single_row_is_explained_up_to_its_probability(home: Settings, position: int) -> None:
    row = row_of(home, TEXTS, position)
    result = explain.run(home, explain.Options(target=TEXTS, row=row))
    steps = table(home, result, "contributions")
    assert result.probability == pytest.approx(
        predictions_of(home, TEXTS)["courtside_probability"].iloc[position]
    )
    assert result.base + steps["contribution"].sum() == pytest.approx(result.probability)
    assert set(steps["feature"]) == set(FEATURES)
    assert steps["contribution"].abs().is_monotonic_decreasing
    assert result.strongest == steps["feature"].iloc[0]
    run = tracking.run(home, result.run_id)
    assert run is not None
    assert run.metrics["base"] == result.base
    assert run.metrics["probability"] == result.probability
    assert run.tags["courtside.explained"] == "row"
    paths = tracking.artifacts(home, result.run_id)
    assert [path for path in paths if path.startswith(("tables", "figures"))] == [
        "figures/contributions.json",
        "figures/contributions.svg",
        "tables/contributions.parquet",
    ]


def test_a_row_and_all_rows_are_explained_from_the_same_base(
    home: Settings, of_texts: explain.Result
) -> None:
    result = explain.run(home, explain.Options(target=TEXTS, row=row_of(home, TEXTS)))
    assert result.base == of_texts.base


def test_missing_values_of_a_row_are_explained_where_the_model_imputes(home: Settings) -> None:
    row = {**row_of(home, TEXTS), "opponent": None, "shot_distance": None}
    result = explain.run(home, explain.Options(target=TEXTS, row=row))
    shown = table(home, result, "contributions").set_index("feature")["value_shown"]
    assert shown["opponent"] == shown["shot_distance"] == "missing"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lat": None}, "no value for lat"),
        ({"lat": "north"}, "'lat' must be a number"),
        ({"lat": float("inf")}, "'lat' must be a number"),
        ({"lat": 90.0}, "'lat' must lie in"),
        ({"period": 1.5}, "'period' must be a whole number"),
        ({"weather": "fine"}, "does not take weather"),
    ],
    ids=str,
)
def test_a_bad_row_is_refused_with_a_message(
    home: Settings, last_error, change: dict[str, float | str | None], message: str
) -> None:
    row = {**row_of(home, SAMPLE), **change}
    with pytest.raises(InputError, match=message):
        explain.run(home, explain.Options(target=SAMPLE, row=row))
    status, error = last_error(home, "explain")
    assert status == "FAILED"
    assert message in str(error)


def test_the_refusal_of_an_empty_row_names_all_missing_inputs(home: Settings) -> None:
    with pytest.raises(InputError) as caught:
        explain.run(home, explain.Options(target=SAMPLE, row={}))
    assert listed(version_of(home, SAMPLE).inputs) in str(caught.value)


@pytest.mark.parametrize("target", ["champion", "7", "previous"])
def test_a_missing_version_is_refused(settings: Settings, last_error, target: str) -> None:
    with pytest.raises(NotReadyError, match="Train a model first"):
        explain.run(settings, explain.Options(target=target))
    assert last_error(settings, "explain")[0] == "FAILED"


def test_a_run_without_a_test_set_is_refused(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_run = tracking.last_run(home, "train")
    assert train_run is not None
    version = replace(version_of(home, TEXTS), run_id=train_run.run_id)
    monkeypatch.setattr(model_store, "require_version", lambda *_: version)
    with pytest.raises(NotReadyError, match="kept no tables/test_predictions"):
        explain.run(home, explain.Options())


def test_a_row_is_explained_with_the_served_model_and_all_else_with_the_evaluated_one(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def load(settings: Settings, version: ModelVersion, *, evaluated: bool):
        calls.append(evaluated)
        raise CourtsideError("enough")

    row = row_of(home, SAMPLE)
    monkeypatch.setattr(version_files, "load", load)
    for options in (explain.Options(), explain.Options(target=SAMPLE, row=row)):
        with pytest.raises(CourtsideError, match="enough"):
            explain.run(home, options)
    assert calls == [True, False]


@pytest.mark.parametrize(
    "options",
    [
        {"rows": 9},
        {"rows": 2001},
        {"repeats": 1},
        {"orders": 0},
        {"seed": -1},
        {"target": "0"},
        {"target": "Champion!"},
        {"target": "A" * 32},
        {"test_row": ""},
        {"row": {"lat": [1.0]}},
        {"row": {}, "test_row": "1"},
        {"color": "red"},
    ],
    ids=str,
)
def test_options_out_of_their_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        explain.Options(**options)


def candidate_of(settings: Settings, name: str) -> tracking.RunInfo:
    """Return a candidate of the newest training, by its kind."""
    newest = tracking.last_run(settings, "train")
    assert newest is not None
    candidates = tracking.runs(settings, parent=newest.run_id)
    return next(candidate for candidate in candidates if candidate.params["model"] == name)


def test_a_candidate_that_is_not_registered_is_explained_by_its_run(home: Settings) -> None:
    tree = candidate_of(home, "dt")
    result = explain.run(home, explain.Options(target=tree.run_id, rows=10, repeats=2))
    assert result.version == ""
    run = tracking.run(home, result.run_id)
    assert run is not None
    assert run.tags["courtside.model_run"] == tree.run_id
    assert "courtside.version" not in run.tags
    assert run.params["candidate"] == "dt"
    added = result.base + table(home, result, "shap").groupby("row")["contribution"].sum()
    tested = tracking.table(home, tree.run_id, "test_predictions")["courtside_probability"]
    np.testing.assert_allclose(added, tested.loc[added.index], atol=1e-9)


def test_a_run_that_is_not_a_candidate_is_refused(home: Settings, of_texts: explain.Result) -> None:
    trained = tracking.last_run(home, "train")
    assert trained is not None
    for run_id in (trained.run_id, of_texts.run_id, 32 * "0"):
        with pytest.raises(NotReadyError, match=f"The run {run_id[:8]} has no model"):
            explain.run(home, explain.Options(target=run_id))


@pytest.mark.parametrize("name", ["artifacts/pipeline.skops", "served_model.py", "MLmodel"])
def test_a_candidate_whose_files_were_changed_is_not_loaded(home: Settings, name: str) -> None:
    run_id = candidate_of(home, "dt").run_id
    candidate = version_files.candidate(home, SPEC.model, run_id)
    model = mlflow_client.client(home).get_logged_model(candidate.about.logged_model)
    path = Path(model.artifact_location.removeprefix("file://")) / name
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    try:
        with pytest.raises(
            StoreError, match=f"candidate {run_id[:8]} was changed after its registration"
        ):
            explain.run(home, explain.Options(target=run_id))
    finally:
        path.write_bytes(before)


def test_a_foreign_candidate_is_not_loaded(home: Settings) -> None:
    run_id = candidate_of(home, "dt").run_id
    client = mlflow_client.client(home)
    model_id = version_files.candidate(home, SPEC.model, run_id).about.logged_model
    tags = client.get_logged_model(model_id).tags
    digest = tags["courtside.model_sha256"]
    client.delete_logged_model_tag(model_id, "courtside.model_sha256")
    try:
        with pytest.raises(StoreError, match=f"Candidate {run_id[:8]} is neither loaded"):
            explain.run(home, explain.Options(target=run_id))
    finally:
        client.set_logged_model_tags(model_id, {"courtside.model_sha256": digest})


def test_a_row_of_the_test_set_is_explained_by_its_id(home: Settings) -> None:
    version = version_of(home, TEXTS)
    rows = tracking.table(home, version.tags["courtside.train_run"], "test_rows")
    tested = predictions_of(home, TEXTS)
    result = explain.run(home, explain.Options(target=TEXTS, test_row=str(rows[SPEC.id].iloc[7])))
    assert result.probability == pytest.approx(tested["courtside_probability"].iloc[7])
    run = tracking.run(home, result.run_id)
    assert run is not None
    assert run.tags["courtside.explained"] == "row"
    assert run.metrics["label"] == tested["courtside_label"].iloc[7] == rows[SPEC.target].iloc[7]
    typed = explain.run(home, explain.Options(target=TEXTS, row=row_of(home, TEXTS, 7)))
    pd.testing.assert_frame_equal(
        table(home, result, "contributions"), table(home, typed, "contributions")
    )
    ended = tracking.run(home, typed.run_id)
    assert ended is not None
    assert "label" not in ended.metrics


def test_an_id_that_is_not_in_the_test_set_is_refused(home: Settings) -> None:
    version = version_of(home, TEXTS)
    keys = tracking.table(home, version.tags["courtside.train_run"], "train_keys")
    with pytest.raises(InputError, match="No row of the test set has the shot_id"):
        explain.run(home, explain.Options(target=TEXTS, test_row=str(keys[SPEC.id].iloc[0])))


def test_a_model_is_called_no_more_often_than_announced(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_counts, real = [], version_files.Loaded.probabilities

    def probabilities(self: version_files.Loaded, features: pd.DataFrame):
        row_counts.append(len(features))
        return real(self, features)

    monkeypatch.setattr(version_files.Loaded, "probabilities", probabilities)
    options = explain.Options(target=TEXTS, rows=30, repeats=2)
    explain.run(home, options)
    announced = explain.predicted_rows(options, len(FEATURES), len(predictions_of(home, TEXTS)))
    # beyond the announced count: the rows themselves, once or twice
    assert announced / 3 < sum(row_counts) < announced * 1.05


@pytest.fixture(scope="module")
def real_home(prepared_real: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with candidates that were trained on the real rows."""
    settings = copy_home(prepared_real, tmp_path_factory.mktemp("real") / "home")
    small = {"lightgbm": {"n_estimators": 100, "learning_rate": 0.06, "num_leaves": 8}}
    train.run(
        settings,
        train.Options(
            candidates=("lr", "lightgbm"), params=small, blend=True, folds=2, learning_seconds=0
        ),
    )
    return settings


needs_real = pytest.mark.skipif(
    "COURTSIDE_RAW_DIR" not in os.environ,
    reason="COURTSIDE_RAW_DIR does not name a folder with the real files",
)


@pytest.mark.real
@needs_real
@pytest.mark.parametrize("kind", ["lr", "lightgbm", "blend"])
def test_a_real_rows_contributions_add_up_to_its_probability_minus_the_base(
    real_home: Settings, kind: str
) -> None:
    candidate = candidate_of(real_home, kind)
    rows = tracking.table(real_home, candidate.tags["mlflow.parentRunId"], "test_rows")
    tested = tracking.table(real_home, candidate.run_id, "test_predictions")
    for position in (
        0,
        int(tested["courtside_probability"].argmax()),
        int(tested["courtside_probability"].argmin()),
    ):
        result = explain.run(
            real_home,
            explain.Options(target=candidate.run_id, test_row=str(rows[SPEC.id].iloc[position])),
        )
        added = table(real_home, result, "contributions")["contribution"].sum()
        assert added == pytest.approx(
            tested["courtside_probability"].iloc[position] - result.base, abs=1e-6
        )


@pytest.mark.real
@needs_real
@pytest.mark.parametrize("kind", ["lr", "lightgbm", "blend"])
def test_the_location_of_a_real_row_counts_most(real_home: Settings, kind: str) -> None:
    target = candidate_of(real_home, kind).run_id
    result = explain.run(real_home, explain.Options(target=target))
    run = tracking.run(real_home, result.run_id)
    assert run is not None
    size = {name: run.metrics[f"contribution_{name}"] for name in SPEC.features}
    strongest = sorted(size, key=size.__getitem__, reverse=True)
    assert result.strongest == strongest[0] == "shot_distance"
    assert "lat" in strongest[:3]
    assert table(real_home, result, "importance")["feature"].iloc[0] == "shot_distance"
