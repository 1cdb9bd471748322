"""Choices in the preparation carry over to the model, the server and the report."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from core.data import acquire, prepare, snapshots
from core.monitoring import monitor
from core.platform import model_store, project, storage, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, NotReadyError
from core.predictions_log import predictions
from core.scoring import score
from core.serving import serve, server_process
from core.training import train
from tests.conftest import copy_home

pytestmark = pytest.mark.long

SPEC = project.load("kobe")
FEATURES = ("shot_distance", "angle", "home", "month", "shot_zone_basic", "opponent")


@dataclass
class Chosen:
    """A life cycle of texts, computed features and missing values, and its server."""

    settings: Settings
    prepared: storage.Prepared
    trained: train.Result
    served: serve.Result


def with_holes(shots: pd.DataFrame) -> pd.DataFrame:
    holes = shots.iloc[::6].reset_index(drop=True)
    holes.loc[::9, "shot_distance"] = np.nan
    holes.loc[::11, "opponent"] = None
    holes.loc[::13, "game_date"] = None
    holes.loc[::17, "matchup"] = None
    return holes


@pytest.fixture(scope="module")
def chosen(
    shots: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory, module_settings: Settings
) -> Iterator[Chosen]:
    folder = tmp_path_factory.mktemp("chosen")
    settings = module_settings
    path = folder / "holes.parquet"
    with_holes(shots).to_parquet(path)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options(features=FEATURES, missing="impute"))
    prepared = storage.current_prepared(settings)
    assert prepared is not None
    trained = train.run(
        settings, train.Options(candidates=("lr", "lightgbm"), folds=2, learning_seconds=0)
    )
    served = serve.run(settings, serve.Options())
    yield Chosen(settings, prepared, trained, served)
    server_process.stop(settings, served.port)


def test_the_sets_hold_raw_columns_and_their_missing_values(chosen: Chosen) -> None:
    _, train_set, test_set = storage.read_prepared(chosen.settings)
    inputs = SPEC.inputs_of(FEATURES)
    assert inputs == (
        "shot_distance",
        "loc_x",
        "loc_y",
        "matchup",
        "game_date",
        "shot_zone_basic",
        "opponent",
    )
    assert list(train_set) == list(test_set) == [*inputs, SPEC.target]
    for name in ("shot_distance", "opponent", "game_date", "matchup"):
        assert train_set[name].isna().any()
    assert not chosen.prepared.is_complete


def test_the_version_knows_its_inputs_features_and_formulas(chosen: Chosen) -> None:
    version = model_store.require_version(chosen.settings, SPEC.model, "champion")
    assert version.inputs == SPEC.inputs_of(FEATURES)
    assert version.features == FEATURES
    assert set(version.formulas) == {"angle", "home", "month"}
    assert not version.is_complete


def test_it_is_better_than_the_base_rate(chosen: Chosen) -> None:
    run = tracking.last_run(chosen.settings, "train")
    assert run is not None
    assert run.metrics["skill_test"] > 0.005


def test_the_server_accepts_raw_columns_with_missing_values_and_answers_as_in_training(
    chosen: Chosen,
) -> None:
    version = model_store.require_version(chosen.settings, SPEC.model, "champion")
    tested = tracking.table(chosen.settings, version.run_id, "test_predictions")
    rows = tested[list(version.inputs)].astype("object").where(tested[list(version.inputs)].notna())
    body = {
        "dataframe_split": {
            "columns": list(version.inputs),
            "data": json.loads(rows.to_json(orient="values")),
        }
    }
    answer = requests.post(f"{chosen.served.url}/invocations", json=body, timeout=60)
    answered = pd.DataFrame(answer.json()["predictions"])
    np.testing.assert_allclose(
        answered["probability"], tested["courtside_probability"], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("empty", ["shot_distance", "opponent", "matchup", "all"])
def test_a_request_with_an_empty_column_is_answered(chosen: Chosen, empty: str) -> None:
    version = model_store.require_version(chosen.settings, SPEC.model, "champion")
    tested = tracking.table(chosen.settings, version.run_id, "test_predictions").head(1)
    row = json.loads(tested[list(version.inputs)].to_json(orient="values"))[0]
    row = [
        None if empty in (name, "all") else value
        for name, value in zip(version.inputs, row, strict=True)
    ]
    body = {"dataframe_split": {"columns": list(version.inputs), "data": [row]}}
    answer = requests.post(f"{chosen.served.url}/invocations", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert 0 < answer.json()["predictions"][0]["probability"] < 1


def test_rows_with_missing_values_are_scored_and_monitored(chosen: Chosen) -> None:
    scored = score.run(chosen.settings, score.Options())
    raw = snapshots.current(chosen.settings)
    assert raw is not None
    rows = snapshots.Archive.of(chosen.settings).read(raw, SPEC.columns)
    assert scored.rows == (rows["shot_type"] == SPEC.rows.production).sum()
    assert scored.rows_skipped == 0
    logged = predictions.read(chosen.settings, scored.run_id)
    assert logged["opponent"].isna().any()
    assert logged["shot_zone_basic"].map(type).eq(str).all()
    report = monitor.run(chosen.settings, monitor.Options())
    checks = tracking.table(chosen.settings, report.run_id, "checks")
    assert {f"psi.{name}" for name in (*FEATURES, "courtside_probability")} <= set(checks["code"])
    # a text has no KS distance
    assert "ks.opponent" not in set(checks["code"])
    densities = tracking.table(chosen.settings, report.run_id, "densities")
    assert set(densities["feature"]) == {*FEATURES, "courtside_probability"}


def test_one_row_and_a_file_get_the_same_scores(chosen: Chosen) -> None:
    version = model_store.require_version(chosen.settings, SPEC.model, "champion")
    tested = tracking.table(chosen.settings, version.run_id, "test_predictions").head(40)
    row = {
        name: None if pd.isna(value) else value
        for name, value in tested[list(version.inputs)].iloc[0].items()
    }
    single = score.run(chosen.settings, score.Options(source="row", row=row))
    assert single.probability == pytest.approx(tested["courtside_probability"].iloc[0], abs=1e-12)
    content = tested[list(version.inputs)].to_csv(index=False).encode()
    upload = storage.stage_upload(chosen.settings, "rows.csv", content)
    many = score.run(chosen.settings, score.Options(source="upload", upload=upload))
    assert many.probability == pytest.approx(tested["courtside_probability"].mean(), abs=1e-12)


def test_a_value_that_the_project_does_not_allow_is_refused_with_a_report(chosen: Chosen) -> None:
    version = model_store.require_version(chosen.settings, SPEC.model, "champion")
    tested = tracking.table(chosen.settings, version.run_id, "test_predictions").head(5)
    invalid_rows = tested[list(version.inputs)].assign(shot_zone_basic="Moon").to_csv(index=False)
    upload = storage.stage_upload(chosen.settings, "rows.csv", invalid_rows.encode())
    with pytest.raises(InputError, match="'shot_zone_basic' must be one of"):
        score.run(chosen.settings, score.Options(source="upload", upload=upload))
    run = tracking.last_run(chosen.settings, "score", status="FAILED")
    assert run is not None
    findings = tracking.table(chosen.settings, run.run_id, "validation")
    assert findings["check"].tolist()[0] == "category"


# --- lineage ----------------------------------------------------------------------------------


def test_sets_record_their_snapshot_parameters_run_and_commit(chosen: Chosen) -> None:
    from mlflow import MlflowClient

    prepared, raw = chosen.prepared, snapshots.current(chosen.settings)
    assert raw is not None
    assert (prepared.snapshot, prepared.digest) == (raw.id, raw.digest)
    assert prepared.commit == tracking.git_commit()
    assert prepared.options["features"] == list(FEATURES)
    assert prepared.options["rows"] == {"shot_type": [SPEC.rows.development]}
    run = tracking.run(chosen.settings, prepared.run_id)
    assert run is not None
    lineage = json.loads(
        tracking.artifact(chosen.settings, run.run_id, "documents/lineage.json").read_text()
    )
    current = chosen.settings.data_dir / "05_model_input" / "prepared.json"
    assert lineage == json.loads(current.read_text())
    for path in storage.prepared_paths(chosen.settings):
        assert prepared.digests[path.name] == storage.sha256(path)
        assert run.tags[f"courtside.sha256.{path.name}"] == storage.sha256(path)
        logged = tracking.artifact(chosen.settings, run.run_id, f"files/{path.name}")
        assert logged.read_bytes() == path.read_bytes()
    inputs = {}
    for run_id in (prepared.run_id, chosen.trained.run_id):
        for dataset_input in (
            MlflowClient(chosen.settings.mlflow_uri).get_run(run_id).inputs.dataset_inputs
        ):
            inputs.setdefault(dataset_input.dataset.name, set()).add(dataset_input.dataset.digest)
    assert inputs == {
        "raw": {raw.digest[:32]},
        "train_data": {prepared.digests["train_data.parquet"][:32]},
        "test_data": {prepared.digests["test_data.parquet"][:32]},
    }


@pytest.fixture
def acquired(acquired_few: Settings, tmp_path: Path) -> Settings:
    return copy_home(acquired_few, tmp_path / "acquired")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split": "group", "seed": 7},
        {"split": "time", "missing": "impute", "features": ("season", "angle")},
        {"rows": {}, "split": "time", "test_from": "2010-01-01"},
    ],
    ids=["default", "group", "time", "moment"],
)
def test_the_same_inputs_give_the_same_bytes(acquired: Settings, options: dict) -> None:
    contents = []
    for other in ({"seed": 1}, {}, {}):
        prepare.run(acquired, prepare.Options(**{**options, **other}))
        contents.append([path.read_bytes() for path in storage.prepared_paths(acquired)])
    assert contents[1] == contents[2]
    assert contents[1][1] != contents[0][1]


def test_a_moment_is_read_as_its_day(acquired: Settings) -> None:
    contents = []
    for moment in ("2010-01-05", "2010-1-5"):
        prepare.run(acquired, prepare.Options(split="time", test_from=moment))
        contents.append([path.read_bytes() for path in storage.prepared_paths(acquired)])
    assert contents[0] == contents[1]


def test_a_project_file_that_changed_is_noticed(
    acquired: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.run(acquired, prepare.Options())
    folder = tmp_path / "projects"
    shutil.copytree(project.FOLDER, folder)
    kobe = folder / "kobe" / "project.toml"
    text = kobe.read_text(encoding="utf-8")
    kobe.write_text(f"# only a remark\n{text}", encoding="utf-8")
    monkeypatch.setattr(project, "FOLDER", folder)
    assert project.load("kobe").digest == SPEC.digest
    (folder / "other.toml").write_text(
        text.replace("max = 12, about", "max = 11, about"), encoding="utf-8"
    )
    assert project.load("other").digest != SPEC.digest
    kobe.write_bytes((folder / "other.toml").read_bytes())
    project._read.cache_clear()
    with pytest.raises(NotReadyError, match="Project file changed"):
        train.run(acquired, train.Options(candidates=("lr",), folds=2))
    monkeypatch.undo()
    project._read.cache_clear()


def test_a_preparation_whose_record_fails_leaves_the_earlier_sets(
    acquired: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.run(acquired, prepare.Options())
    before = storage.current_prepared(acquired)
    log, calls = tracking.log, []

    def full(*args: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise InputError("The store is full.")
        return log(*args)

    monkeypatch.setattr(tracking, "log", full)
    with pytest.raises(InputError, match="The store is full"):
        prepare.run(acquired, prepare.Options(seed=1))
    assert storage.current_prepared(acquired) == before
    storage.read_prepared(acquired)
    assert not list(acquired.data_dir.rglob("*.tmp"))


def test_an_earlier_snapshot_becomes_current_by_a_run(
    acquired: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    first = snapshots.current(acquired)
    assert first is not None
    other = tmp_path / "other.csv"
    few_shots.head(500).to_csv(other, index=False)
    acquire.run(acquired, acquire.Options(source="file", path=other))
    result = acquire.run(acquired, acquire.Options(source="snapshot", snapshot=first.id))
    again = snapshots.current(acquired)
    assert again is not None
    assert (again.digest, again.source, again.acquired_at) == (
        first.digest,
        "file",
        first.acquired_at,
    )
    assert again.run_id == result.run_id != first.run_id
    run = tracking.run(acquired, result.run_id)
    assert run is not None
    assert (run.params["source"], run.params["snapshot"]) == ("snapshot", first.id)
    assert len(snapshots.listed(acquired)) == 2
    with pytest.raises(InputError, match=r"does not exist\. Reload"):
        acquire.run(acquired, acquire.Options(source="snapshot", snapshot="0" * 12))


def test_only_chosen_files_of_the_folder_are_read(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    few_shots.head(300).to_csv(folder / "a.csv", index=False)
    few_shots.tail(300).to_csv(folder / "b.csv", index=False)
    settings = settings.model_copy(update={"raw_dir": folder})
    assert acquire.run(settings, acquire.Options(source="folder")).rows == 600
    result = acquire.run(settings, acquire.Options(source="folder", files=("b.csv",)))
    assert result.rows == 300
    for name in ("c.csv", "../raw/a.csv", str(folder / "a.csv")):
        with pytest.raises(InputError, match="There is no"):
            acquire.run(settings, acquire.Options(source="folder", files=(name,)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"features": ("shot_made_flag", "lat")}, "the target shot_made_flag must not be a"),
        ({"features": ("shot_id",)}, "features and id must differ: shot_id"),
        ({"features": ("wind",)}, "wind. Choose others"),
        ({"features": ("lat", "lat")}, "more than once: lat"),
        ({"rows": {"wind": ("x",)}}, "does not have these columns: wind"),
        ({"rows": {"period": ("99",)}}, "No row has period = '99' (found: 1, 2"),
        ({"split": "time", "test_from": "1900-01-01"}, "Choose a moment in between"),
        ({"split": "time", "test_from": "2010-06-31"}, "'game_date' must be a date like"),
        ({"split": "time", "test_from": "2010-06-XX"}, "'game_date' must be a date like"),
        ({"split": "time", "test_from": "2010"}, "'game_date' must be a date like"),
    ],
)
def test_choices_that_cannot_be_met_are_refused(
    acquired: Settings, options: dict, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        prepare.run(acquired, prepare.Options(**options))
    assert words in caught.value.message
    run = tracking.last_run(acquired, "prepare", status=None)
    assert run is not None
    assert (run.status, run.error) == ("FAILED", caught.value.message)
    assert storage.current_prepared(acquired) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_from": "2010-01-01"}, "`test_from` needs `split = time`"),
        ({"rows": {"period": ()}}, "no value is chosen"),
        ({"features": ()}, "at least 1 item"),
        ({"split": "coin"}, "'random', 'time' or 'group'"),
        ({"missing": "guess"}, "'drop', 'drop_inputs' or 'impute'"),
    ],
)
def test_options_that_contradict_themselves_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        prepare.Options(**options)
    assert words in str(caught.value)


# --- computed features of another project -----------------------------------------------------


COMPUTED = """
[engineered]
ratio = { formula = "pressure / humidity", about = "x" }
tens = { formula = "floor(humidity / 10)", type = "text", about = "x" }
power = { formula = "humidity ** 10", about = "x" }
inland = { formula = "place.str.contains('h')", about = "x" }
"""


@pytest.fixture
def rain(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Settings, pd.DataFrame]:
    """A home of the second project with computed features, and its rows."""
    folder = tmp_path / "projects"
    folder.mkdir()
    text = (CODE_ROOT / "tests" / "rain.toml").read_text(encoding="utf-8")
    (folder / "rain.toml").write_text(text + COMPUTED, encoding="utf-8")
    monkeypatch.setattr(project, "FOLDER", folder)
    rng = np.random.default_rng(5)
    humidity = rng.integers(0, 100, 600)
    frame = pd.DataFrame(
        {
            "day": range(600),
            "date": pd.date_range("2001-01-01", periods=600).strftime("%Y-%m-%d"),
            "place": np.where(np.arange(600) % 4 == 0, "hills", "coast"),
            "pressure": rng.normal(1000, 9, 600).round(1),
            "humidity": humidity,
            "rained": (humidity + rng.normal(0, 30, 600) > 50).astype(float),
        }
    )
    return settings.model_copy(update={"project": "rain"}), frame


def acquire_frame(home: Settings, frame: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "days.parquet"
    frame.to_parquet(path)
    acquire.run(home, acquire.Options(source="file", path=path))


def test_a_computed_feature_without_a_value_is_refused_or_imputed(rain, tmp_path: Path) -> None:
    home, frame = rain
    acquire_frame(home, frame, tmp_path)
    assert (frame["humidity"] == 0).any()
    with pytest.raises(InputError, match=r"'ratio' has no value in \d+ of [\d,]+ rows"):
        prepare.run(home, prepare.Options(features=("ratio", "pressure")))
    prepare.run(home, prepare.Options(features=("ratio", "pressure"), missing="impute"))
    trained = train.run(home, train.Options(candidates=("lr", "dt"), folds=2, learning_seconds=0))
    assert trained.log_loss_test < 0.69


@pytest.mark.parametrize("split", ["random", "time"])
def test_only_rows_that_lack_a_used_value_are_dropped(rain, tmp_path: Path, split: str) -> None:
    home, frame = rain
    holes = np.arange(len(frame))
    frame = frame.assign(
        place=frame["place"].where(holes % 3 > 0),  # not used here
        pressure=frame["pressure"].where(holes % 5 > 0),
        date=frame["date"].where(holes % 7 > 0),  # used by a split by time
        rained=frame["rained"].where(holes % 11 > 0),
    )
    acquire_frame(home, frame, tmp_path)
    by = ["date"] if split == "time" else []
    labelled = frame[frame["rained"].notna()]
    for missing, needed in (
        ("drop", list(frame.columns)),
        ("drop_inputs", ["pressure", "humidity", *by]),
        ("impute", by),
    ):
        prepared = prepare.run(
            home,
            prepare.Options(
                features=("pressure", "humidity"), missing=missing, split=split, rows={}
            ),
        )
        expected = labelled.dropna(subset=needed)
        assert prepared.rows_filtered == len(expected)
        metrics = tracking.last_run(home, "prepare").metrics
        assert metrics["rows_other"] == 0
        assert metrics["rows_unlabelled"] == len(frame) - len(labelled)
        assert metrics["rows_missing"] == len(labelled) - len(expected)
        assert metrics["values_imputed"] == expected[["pressure", "humidity"]].isna().sum().sum()


def test_a_feature_without_any_value_is_refused(rain, tmp_path: Path) -> None:
    home, frame = rain
    acquire_frame(home, frame.assign(pressure=np.nan, date=None), tmp_path)
    for features in (("pressure",), ("pressure", "humidity"), ("date", "humidity")):
        with pytest.raises(InputError, match="no row of the training set has a value"):
            prepare.run(home, prepare.Options(features=features, missing="impute"))


def test_a_text_that_is_missing_in_all_scored_rows_is_monitored(rain, tmp_path: Path) -> None:
    home, frame = rain
    acquire_frame(home, frame, tmp_path)
    features = ("tens", "power", "inland", "place")
    prepare.run(home, prepare.Options(features=features, missing="impute", rows={}))
    train.run(home, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    served = serve.run(home, serve.Options())
    try:
        version = model_store.require_version(home, "rain", "champion")
        tested = tracking.table(home, version.run_id, "test_predictions")
        holes = tested[["humidity"]].assign(place=None)
        for rows, close in ((tested[["humidity", "place"]], True), (holes, False)):
            many = pd.concat([rows] * 2)
            upload = storage.stage_upload(home, "r.csv", many.to_csv(index=False).encode())
            scored = score.run(home, score.Options(source="upload", upload=upload))
            if close:  # integers become floats on both paths
                assert scored.probability == pytest.approx(
                    tested["courtside_probability"].mean(), abs=1e-12
                )
            report = monitor.run(home, monitor.Options(scoring_run=scored.run_id))
            densities = tracking.table(home, report.run_id, "densities")
            assert set(densities["feature"]) == {*features, "courtside_probability"}
    finally:
        server_process.stop(home, served.port)


@pytest.mark.real
@pytest.mark.parametrize(
    ("features", "low", "high"),
    [
        pytest.param(0, 0.672, 0.678, id="known before"),
        pytest.param(1, 0.600, 0.607, id="with the kind of shot", marks=pytest.mark.long),
    ],
)
def test_on_the_real_rows_all_columns_reach_the_known_figures(
    acquired_real: Settings, tmp_path: Path, features: int, low: float, high: float
) -> None:
    settings = copy_home(acquired_real, tmp_path / "home")
    prepare.run(settings, prepare.Options(features=SPEC.feature_sets[features].features))
    run = tracking.last_run(settings, "prepare")
    assert run is not None
    leaks = tracking.table(settings, run.run_id, "leakage")
    late = ["action_type", "combined_shot_type"] if features else []
    assert leaks.loc[leaks["finding"] == "recorded_after", "feature"].tolist() == late
    options = train.Options(candidates=("lr",), folds=3, learning_seconds=0)
    trained = train.run(settings, options)
    assert low < trained.log_loss_test < high


@pytest.mark.real
def test_on_the_real_rows_a_split_by_time_gives_the_known_figures(
    acquired_real: Settings, tmp_path: Path
) -> None:
    settings = copy_home(acquired_real, tmp_path / "home")
    prepare.run(settings, prepare.Options(split="time", test_from="2010-12-01"))
    trained = train.run(
        settings, train.Options(candidates=("lr", "lightgbm"), folds=3, learning_seconds=0)
    )
    comparison = tracking.table(settings, trained.run_id, "comparison").set_index("model")
    # 0.670 is the best known value with six features and this split
    assert 0.668 < comparison.loc["lr", "log_loss_test"] < 0.680
    run = tracking.last_run(settings, "prepare")
    assert run is not None
    assert run.metrics["groups_shared"] == run.metrics["time_shared"] == 0
    raw = io.StringIO(tracking.table(settings, run.run_id, "split_checks").to_csv())
    assert "tested from 2010-12-01" in raw.getvalue()
