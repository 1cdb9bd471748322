"""Runs end with the right status, and record their options and why they failed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from core.platform import mlflow_client, model_store, tracking
from core.platform.config import Options, Settings
from core.platform.errors import InputError, NotReadyError, StoreError
from core.platform.run_record import SILENT, Dataset, ModelRecord, Progress, Record
from core.registry import registry


class Chosen(Options):
    """Options of an invented step."""

    share: float = 0.2
    names: tuple[str, ...] = ("a", "b")


class RecordedProgress(Progress):
    job_id = "job-1"

    def __init__(self) -> None:
        self.runs: list[str] = []

    def run_started(self, run_id: str) -> None:
        self.runs.append(run_id)


def test_a_run_has_its_name_its_options_and_the_settings(settings: Settings) -> None:
    progress = RecordedProgress()
    with tracking.step_run(settings, "prepare", Chosen(), progress) as run_id:
        assert progress.runs == [run_id]
        during = tracking.run(settings, run_id)
        assert during is not None
        assert during.status == "RUNNING"
    run = tracking.run(settings, run_id)
    assert run is not None
    assert (run.name, run.status, run.step) == ("PreparacaoDados", "FINISHED", "prepare")
    assert run.params == {"share": "0.2", "names": "a,b"}
    assert run.tags["courtside.job_id"] == "job-1"
    documents = json.loads(tracking.artifact(settings, run_id, "settings.json").read_text())
    assert documents["options"]["share"] == 0.2
    assert documents["settings"]["project"] == "kobe"


def test_a_record_is_read_as_it_was_logged(settings: Settings, tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [1.0, np.nan], "y": ["a", "b"]})
    (tmp_path / "file.txt").write_text("hello")
    with tracking.step_run(settings, "prepare", Options(), SILENT) as run_id:
        tracking.log(
            settings,
            run_id,
            Record(
                params={"a": 1, "b": True},
                metrics={"good": 0.1 + 0.2, "endless": float("inf")},
                tags={"courtside.x": "y"},
                tables={"t": table},
                figures={"f": {"mark": "bar", "data": {"values": [{"a": 1}]}}},
                files=(tmp_path / "file.txt",),
                datasets=(Dataset("rows", table, "here", "raw"),),
            ),
        )
    run = tracking.run(settings, run_id)
    assert run is not None
    assert run.params == {"a": "1", "b": "True"}
    assert run.metrics == {"good": 0.1 + 0.2}
    assert run.tags["courtside.x"] == "y"
    pd.testing.assert_frame_equal(tracking.table(settings, run_id, "t"), table)
    assert set(tracking.artifacts(settings, run_id)) == {
        "files/file.txt",
        "figures/f.json",
        "figures/f.svg",
        "settings.json",
        "tables/t.parquet",
    }
    with pytest.raises(NotReadyError, match="kept no tables/none"):
        tracking.table(settings, run_id, "none")


def test_charts_are_drawn_when_the_run_can_be_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = {"mark": "bar", "data": {"values": [{"a": 1}]}}
    states = []

    def draw(spec: dict[str, object]) -> str:
        states.append([tracking.run(settings, name).status for name in (run_id, child)])
        return "<svg/>"

    monkeypatch.setattr("core.platform.pictures.svg", draw)
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        with tracking.child_run(settings, "a candidate", SILENT) as child:
            tracking.log(settings, child, Record(figures={"first": chart}))
        tracking.log(settings, run_id, Record(figures={"second": chart}))
        assert not states
    tracking.log(settings, run_id, Record(figures={"later": chart}))
    assert states == [["FINISHED", "FINISHED"]] * 3
    assert "figures/first.svg" in tracking.artifacts(settings, child)
    assert {"figures/second.svg", "figures/later.svg"} < set(tracking.artifacts(settings, run_id))


def test_inputs_are_mlflow_datasets_with_their_context(settings: Settings) -> None:
    from mlflow import MlflowClient

    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    with tracking.step_run(settings, "prepare", Options(), SILENT) as run_id:
        tracking.log(
            settings, run_id, Record(datasets=(Dataset("d", frame, "p", "training", "y"),))
        )
    inputs = MlflowClient(settings.mlflow_uri).get_run(run_id).inputs.dataset_inputs
    assert [data_input.dataset.name for data_input in inputs] == ["d"]
    assert inputs[0].tags[0].value == "training"
    assert json.loads(inputs[0].dataset.profile)["num_rows"] == 2


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InputError("The file is empty."), "FAILED", "The file is empty."),
        (ZeroDivisionError("by zero"), "FAILED", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt: "),
    ],
)
def test_a_step_that_fails_ends_its_runs_with_the_reason(
    error: BaseException, status: str, reason: str, settings: Settings
) -> None:
    with (
        pytest.raises(type(error)),
        tracking.step_run(settings, "train", Options(), SILENT),
        tracking.child_run(settings, "child", SILENT),
    ):
        raise error
    runs = tracking.runs(settings)
    assert {run.name for run in runs} == {"Treinamento", "child"}
    assert {(run.status, run.error) for run in runs} == {(status, reason)}


def test_runs_that_a_dead_job_left_open_are_ended(settings: Settings) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(settings.mlflow_uri)
    experiment = mlflow_client.experiment_id(settings)
    tags = {"courtside.job_id": "job-1", "courtside.step": "train"}
    dead = client.create_run(experiment, run_name="Treinamento", tags=tags).info.run_id
    other = client.create_run(experiment, tags={"courtside.job_id": "job-2"}).info.run_id
    assert tracking.end_runs(settings, "job-1", "failed", "It was killed.") == [dead]
    ended, untouched = tracking.run(settings, dead), tracking.run(settings, other)
    assert ended is not None
    assert untouched is not None
    assert (ended.status, ended.error) == ("FAILED", "It was killed.")
    assert untouched.status == "RUNNING"
    assert tracking.end_runs(settings, "job-2", "cancelled", "Cancelled.") == [other]
    assert tracking.run(settings, other).status == "KILLED"  # type: ignore[union-attr]


def train_model(settings: Settings) -> tuple[str, str]:
    frame = pd.DataFrame({"a": np.linspace(-1, 1, 40), "b": np.tile([0.0, 1.0], 20)})
    model = LogisticRegression().fit(frame, (frame["a"] > 0).astype(int))
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        record = Record(
            model=ModelRecord(model, ("a", "b"), {"a": "number", "b": "number"}, 0.5, frame.head(2))
        )
        model_id = tracking.log(settings, run_id, record)
    assert model_id is not None
    return model_id, run_id


def test_the_first_version_is_champion_and_the_next_only_challenger(settings: Settings) -> None:
    model_id, run_id = train_model(settings)
    tags = {"courtside.threshold": "0.4", "courtside.sample": "true"}
    first = registry.register(settings, "m", model_id, run_id, tags)
    assert (first.version, first.aliases) == ("1", ("challenger", "champion"))
    assert (first.threshold, first.is_sample, first.run_id) == (0.4, True, run_id)
    second = registry.register(settings, "m", model_id, run_id, {"courtside.sample": "true"})
    assert (second.version, second.aliases) == ("2", ("challenger",))
    assert model_store.require_version(settings, "m", "champion").version == "1"
    assert [version.version for version in model_store.versions(settings, "m")] == ["2", "1"]
    assert model_store.find_version(settings, "m", "9") is None
    with pytest.raises(NotReadyError, match="m has no version 9"):
        model_store.require_version(settings, "m", "9")


def test_a_champion_from_sample_rows_is_replaced_by_the_first_from_real_rows(
    settings: Settings,
) -> None:
    model_id, run_id = train_model(settings)
    registry.register(settings, "m", model_id, run_id, {"courtside.sample": "true"})
    real = registry.register(settings, "m", model_id, run_id, {})
    assert real.aliases == ("challenger", "champion")
    assert registry.register(settings, "m", model_id, run_id, {}).aliases == ("challenger",)
    later = registry.register(settings, "m", model_id, run_id, {"courtside.sample": "true"})
    assert later.aliases == ("challenger",)
    assert model_store.require_version(settings, "m", "champion").version == real.version


def test_metrics_carry_the_time_at_which_they_were_logged(settings: Settings) -> None:
    from mlflow import MlflowClient

    before = time.time() * 1000 - 1
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        tracking.log(settings, run_id, Record(metrics={"a": 1.0}))
    (logged,) = MlflowClient(settings.mlflow_uri).get_metric_history(run_id, "a")
    assert before <= logged.timestamp <= time.time() * 1000 + 1


def test_a_password_in_the_stores_address_reaches_no_run_and_no_message(
    tmp_path: Path, settings: Settings
) -> None:
    away = Settings(home=tmp_path, tracking_uri="http://ann:s3cret@127.0.0.1:9")
    monkey = pytest.MonkeyPatch()
    monkey.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreError) as caught:
        tracking.runs(away)
    monkey.undo()
    assert "s3cret" not in str(caught.value)
    fault = RuntimeError("no answer from http://ann:s3cret@127.0.0.1:9")
    with (
        pytest.raises(RuntimeError),
        tracking.step_run(settings, "train", Options(), SILENT) as run_id,
    ):
        raise fault
    run = tracking.run(settings, run_id)
    assert run is not None
    assert run.error == "RuntimeError: no answer from http://ann:***@127.0.0.1:9"
    text = tracking.artifact(settings, run_id, "settings.json").read_text()
    assert "tracking_uri" not in text


def test_a_model_has_signature_example_and_stated_requirements(settings: Settings) -> None:
    import mlflow

    model_id, _ = train_model(settings)
    info = mlflow.models.get_model_info(f"models:/{model_id}")
    assert [column.name for column in info.signature.inputs] == ["a", "b"]
    assert [column.name for column in info.signature.outputs] == ["probability", "label"]
    assert info.saved_input_example_info is not None
    loaded = mlflow.pyfunc.load_model(f"models:/{model_id}")
    answer = loaded.predict(pd.DataFrame({"a": [-1.0, 1.0], "b": [0.0, 0.0]}))
    assert answer["label"].tolist() == [0, 1]
    assert answer["probability"].between(0, 1).all()


def test_last_run_has_the_given_step_and_status(settings: Settings) -> None:
    assert tracking.last_run(settings, "train") is None
    with tracking.step_run(settings, "train", Options(), SILENT) as finished:
        pass
    with pytest.raises(InputError), tracking.step_run(settings, "train", Options(), SILENT):
        raise InputError("no")
    assert tracking.last_run(settings, "train").run_id == finished  # type: ignore[union-attr]
    assert tracking.last_run(settings, "train", status=None).status == "FAILED"  # type: ignore[union-attr]


def test_a_store_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"mlflow\.db is damaged: runs and models cannot be read"):
        mlflow_client.experiment_id(Settings(home=tmp_path))


def test_a_missing_run_is_none(settings: Settings) -> None:
    assert tracking.run(settings, "0" * 32) is None
    assert tracking.run(settings, "no id at all") is None


def test_a_version_knows_its_inputs_and_a_foreign_one_says_that_it_does_not(
    settings: Settings,
) -> None:
    model_id, run_id = train_model(settings)
    tags = {
        "courtside.inputs": "a,day",
        "courtside.features": "a,month",
        "courtside.formulas": '{"month": ["day.str.slice(5, 7)", "text"]}',
        "courtside.missing": "impute",
    }
    own = registry.register(settings, "m", model_id, run_id, tags)
    assert (own.inputs, own.features) == (("a", "day"), ("a", "month"))
    assert own.formulas == {"month": ("day.str.slice(5, 7)", "text")}
    assert not own.is_complete
    foreign = registry.register(settings, "m", model_id, run_id, {})
    assert foreign.is_complete
    with pytest.raises(NotReadyError, match=r"was not registered by this app"):
        _ = foreign.inputs


def test_a_data_set_carries_the_digest_of_its_file(settings: Settings) -> None:
    from mlflow import MlflowClient

    digest = "ab" * 32
    with tracking.step_run(settings, "prepare", Options(), SILENT) as run_id:
        frame = pd.DataFrame({"a": [1.0, 2.0]})
        dataset = Dataset("train_data", frame, "data/x", "training", None, digest)
        tracking.log(settings, run_id, Record(datasets=(dataset,), documents={"d": {"a": 1}}))
    (logged,) = MlflowClient(settings.mlflow_uri).get_run(run_id).inputs.dataset_inputs
    assert logged.dataset.digest == digest[:32]
    assert json.loads(logged.dataset.profile)["num_rows"] == 2
    (column,) = json.loads(logged.dataset.schema)["mlflow_colspec"]
    assert (column["name"], column["type"]) == ("a", "double")
    assert "documents/d.json" in tracking.artifacts(settings, run_id)


def test_a_finished_run_can_be_read_completely_while_others_end(settings: Settings) -> None:
    """Constant readers, of the list and by id, never see a run end before its metrics are there."""
    names = [f"m{number}" for number in range(30)]
    ids: list[str] = []
    partial: list[tuple[str, int]] = []
    read_ids: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            finished = tracking.runs(settings, step="prepare", status="FINISHED")
            finished += [
                run for run_id_ in list(ids) if (run := tracking.finished_run(settings, run_id_))
            ]
            for run in finished:
                read_ids.add(run.run_id)
                if set(run.metrics) != set(names) or "courtside.last" not in run.tags:
                    partial.append((run.run_id, len(run.metrics)))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(12):
            with tracking.step_run(settings, "prepare", Options(), SILENT) as run_id:
                ids.append(run_id)
                for name in names[:-1:10]:
                    part = names[names.index(name) : names.index(name) + 10]
                    record = Record(metrics=dict.fromkeys(part, 1.0))
                    tracking.log(settings, run_id, record)
                tracking.log(settings, run_id, Record(tags={"courtside.last": "yes"}))
    finally:
        done.set()
        reader.join(60)
    assert partial == []
    assert read_ids


def test_a_running_or_failed_run_is_not_finished(settings: Settings) -> None:
    with tracking.step_run(settings, "prepare", Options(), SILENT) as run_id:
        tracking.log(settings, run_id, Record(metrics={"a": 1.0}))
        assert tracking.finished_run(settings, run_id) is None
    assert tracking.finished_run(settings, run_id) is not None
    with (
        pytest.raises(InputError),
        tracking.step_run(settings, "prepare", Options(), SILENT) as failed,
    ):
        raise InputError("No.")
    assert tracking.finished_run(settings, failed) is None
    assert tracking.finished_run(settings, "0" * 32) is None


def test_the_index_has_a_run_as_the_store_has_it(settings: Settings) -> None:
    with tracking.step_run(settings, "train", Chosen(), SILENT) as parent:
        with tracking.child_run(settings, "lr", SILENT, {"courtside.note": "first"}) as child:
            tracking.log(settings, child, Record(metrics={"f1": 0.5}, params={"depth": 3}))
        tracking.log(settings, parent, Record(metrics={"rows": 7.0}, tags={"courtside.a": "b"}))
    tracking.set_tags(settings, parent, {"courtside.late": "yes"})
    tracking.delete_tag(settings, parent, "courtside.a")
    stored = {name: tracking._stored(settings, name) for name in (parent, child)}
    kept = {run.run_id: run for run in tracking.runs(settings)}
    assert {name: kept[name] for name in stored} == stored
    assert [run.run_id for run in tracking.runs(settings, parent=parent)] == [child]


def test_a_run_is_read_without_a_search_in_the_store(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracking.step_run(settings, "prepare", Options(), SILENT) as run_id:
        pass
    assert tracking.last_run(settings, "prepare") is not None

    def refused(*_: object, **__: object) -> None:
        raise AssertionError

    client = type(mlflow_client.client(settings))
    monkeypatch.setattr(client, "search_runs", refused)
    monkeypatch.setattr(client, "get_run", refused)
    newest = tracking.last_run(settings, "prepare")
    assert newest is not None
    assert newest.run_id == run_id
    assert tracking.run(settings, run_id) == newest


def test_a_home_without_a_store_has_no_runs_and_gets_none_by_reading(tmp_path: Path) -> None:
    empty = Settings(home=tmp_path)
    assert tracking.runs(empty) == []
    assert tracking.run(empty, "0" * 32) is None
    assert model_store.versions(empty, "kobe") == []
    assert model_store.aliases(empty, "kobe") == {}
    assert model_store.find_version(empty, "kobe", "champion") is None
    assert not (tmp_path / "mlflow.db").exists()
