"""Unusable input gets a message, fails its run, and leaves the earlier state."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import acquire, prepare, snapshots, split
from core.monitoring import monitor
from core.platform import model_store, project, storage, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError, NotReadyError, ServerError, StoreError
from core.platform.rows import key_text
from core.platform.run_record import SILENT, Record
from core.platform.runs import ModelVersion
from core.predictions_log import predictions
from core.scoring import score
from core.serving import client, endpoint, serve, server, server_process
from core.training import train
from tests.conftest import copy_home, few_of

SPEC = project.load("kobe")


@pytest.fixture
def prepared_home(prepared_few: Settings, tmp_path: Path) -> Settings:
    """A home in which good data was acquired and prepared."""
    return copy_home(prepared_few, tmp_path / "standing")


def refused(
    settings: Settings, last_error, step: str, call, kind: type[CourtsideError] = CourtsideError
) -> str:
    """Run a call that must fail, and return the message that the person and the run got."""
    before = snapshots.current(settings), storage.current_prepared(settings)
    with pytest.raises(kind) as caught:
        call()
    assert last_error(settings, step) == ("FAILED", str(caught.value))
    assert (snapshots.current(settings), storage.current_prepared(settings)) == before
    left = [path for path in settings.data_dir.rglob("*") if path.name.endswith(".tmp")]
    assert left == []
    return str(caught.value)


def acquire_file(settings: Settings, path: Path) -> acquire.Result:
    return acquire.run(settings, acquire.Options(source="file", path=path))


def as_csv(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path


def write_faulty_files(few: pd.DataFrame, folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "shots.xlsx").write_bytes(b"PK\x03\x04")
    (folder / "empty.csv").write_bytes(b"")
    (folder / "text.parquet").write_bytes(b"not parquet at all")
    (folder / "broken.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    (folder / "latin.csv").write_bytes(b"a,b\n\xc3\xa9,\xe9\n")
    few.to_parquet(folder / "renamed.csv")
    renamed = few.rename(columns={"lon": "long", "shot_made_flag": "made"})
    return {
        "file type": (folder / "shots.xlsx", "is not a CSV or parquet file"),
        "empty file": (folder / "empty.csv", "has no rows"),
        "not parquet": (folder / "text.parquet", "do not match its extension"),
        "broken parquet": (folder / "broken.parquet", "cannot be read: "),
        "not UTF-8": (folder / "latin.csv", "is not UTF-8"),
        "parquet named csv": (folder / "renamed.csv", "do not match its extension"),
        "no rows": (as_csv(few.head(0), folder / "head.csv"), "no rows"),
        "missing column": (
            as_csv(renamed, folder / "long.csv"),
            "Column 'lon' is missing. Did you mean 'long'? Column "
            "'shot_made_flag' is missing. Did you mean "
            "'made'?",
        ),
        "wrong type": (
            as_csv(
                few.astype({"period": object}).replace({"period": {1: "first"}}),
                folder / "type.csv",
            ),
            "'period' must be a whole number",
        ),
        "out of range": (
            as_csv(few.assign(minutes_remaining=99), folder / "range.csv"),
            "'minutes_remaining' must lie in 0..12",
        ),
        "wrong label": (
            as_csv(few.assign(shot_made_flag=2), folder / "label.csv"),
            "'shot_made_flag' must be one of '0', '1' or empty",
        ),
        "repeated id": (
            as_csv(pd.concat([few, few.head(3)]), folder / "twice.csv"),
            "'shot_id' must not repeat",
        ),
        "no such file": (folder / "nowhere.csv", "does not exist"),
    }


@pytest.fixture(scope="module")
def faulty_files(shots: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory):
    return write_faulty_files(few_of(shots), tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def unharmed(prepared_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home that stays unchanged, whatever is tried on it."""
    return copy_home(prepared_few, tmp_path_factory.mktemp("unharmed") / "home")


@pytest.mark.parametrize(
    "case",
    [
        "file type",
        "empty file",
        "not parquet",
        "broken parquet",
        "not UTF-8",
        "parquet named csv",
        "no rows",
        "missing column",
        "wrong type",
        "out of range",
        "wrong label",
        "repeated id",
        "no such file",
    ],
)
def test_a_source_that_cannot_be_used_is_refused(
    case: str, unharmed: Settings, faulty_files: dict[str, tuple[Path, str]], last_error
) -> None:
    path, words = faulty_files[case]
    message = refused(unharmed, last_error, "acquire", lambda: acquire_file(unharmed, path))
    assert words in message


def test_extra_columns_are_ignored_with_a_warning(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    result = acquire_file(settings, as_csv(few_shots.assign(note="x"), tmp_path / "extra.csv"))
    assert list(map(str, result.warnings)) == ["Columns that are not used: 'note'."]


def test_missing_values_and_labels_of_one_kind_give_warnings(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    holes = few_shots.assign(
        lat=few_shots["lat"].where(few_shots.index >= 3),
        opponent=few_shots["opponent"].where(few_shots.index != 5),
    )
    result = acquire_file(settings, as_csv(holes, tmp_path / "holes.csv"))
    assert list(map(str, result.warnings)) == [
        "3 rows have no 'lat'. Prepare drops the rows, or imputes the values.",
        "1 row has no 'opponent'. Prepare drops the row, or imputes the value.",
    ]
    table = tracking.table(settings, result.run_id, "validation")
    assert table["rows"].tolist() == [3, 1]
    one_label = few_shots.assign(shot_made_flag=few_shots["shot_made_flag"] * 0)
    result = acquire_file(settings, as_csv(one_label, tmp_path / "missed.csv"))
    assert list(map(str, result.warnings)) == [
        "All labels are 'missed'. A classifier needs rows of both classes."
    ]
    unlabelled = few_shots.assign(shot_made_flag=None)
    result = acquire_file(settings, as_csv(unlabelled, tmp_path / "none.csv"))
    assert list(map(str, result.warnings)) == [
        "No row has a label ('shot_made_flag'): a model cannot be trained on these rows alone."
    ]


def test_an_alias_of_the_project_file_is_read_as_its_column_with_a_warning(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    renamed = few_shots.rename(columns={"lon": "lng"})
    result = acquire_file(settings, as_csv(renamed, tmp_path / "lng.csv"))
    assert list(map(str, result.warnings)) == ["Column 'lng' is read as 'lon'."]
    prepare.run(settings, prepare.Options())
    _, train_set, _ = storage.read_prepared(settings)
    assert "lon" in train_set
    folder = tmp_path / "both"
    folder.mkdir()
    as_csv(few_shots.head(400), folder / "a.csv")
    as_csv(renamed.tail(400), folder / "b.csv")
    result = acquire.run(settings, acquire.Options(source="folder", path=folder))
    assert (result.rows, len(result.warnings)) == (800, 1)


def test_files_of_different_shapes_or_identical_files_are_refused(
    prepared_home: Settings, few_shots: pd.DataFrame, tmp_path: Path, last_error
) -> None:
    folder = tmp_path / "several"
    folder.mkdir()
    as_csv(few_shots.head(400), folder / "a.csv")
    as_csv(few_shots.tail(400).drop(columns="lat"), folder / "b.csv")
    options = acquire.Options(source="folder", path=folder)
    message = refused(
        prepared_home, last_error, "acquire", lambda: acquire.run(prepared_home, options)
    )
    assert "The columns of 'b.csv' differ from those of 'a.csv'" in message
    (folder / "b.csv").write_bytes((folder / "a.csv").read_bytes())
    message = refused(
        prepared_home, last_error, "acquire", lambda: acquire.run(prepared_home, options)
    )
    assert "'b.csv' is the same file as 'a.csv'" in message


def test_several_files_may_have_their_columns_in_another_order(
    settings: Settings, few_shots: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "several"
    folder.mkdir()
    as_csv(few_shots.head(400), folder / "a.csv")
    as_csv(few_shots.tail(400)[few_shots.columns[::-1]], folder / "b.csv")
    acquire.run(settings, acquire.Options(source="folder", path=folder))
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    rows = snapshots.Archive.of(settings).read(snapshot, SPEC.columns).sort_values("shot_id")
    pd.testing.assert_frame_equal(rows.reset_index(drop=True)[list(few_shots)], few_shots)


@pytest.mark.long
def test_the_sample_acquired_as_a_file_stays_the_sample(
    acquired_sample: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    settings = copy_home(acquired_sample, tmp_path / "home")
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    stored = settings.data_dir / "01_raw" / snapshot.id / snapshot.files[0].stored

    def down(*_: object) -> None:
        raise InputError("The store is full.")

    with monkeypatch.context() as broken:
        broken.setattr(tracking, "log", down)
        refused(settings, last_error, "acquire", lambda: acquire_file(settings, stored))
    result = acquire_file(settings, stored)
    again = snapshots.current(settings)
    assert again is not None
    assert (again.source, again.run_id, again.is_sample) == ("file", result.run_id, True)
    prepare.run(settings, prepare.Options())
    prepared = storage.current_prepared(settings)
    assert prepared is not None
    assert prepared.is_sample
    for step in ("acquire", "prepare"):
        run = tracking.last_run(settings, step)
        assert run is not None
        assert run.is_sample


def test_a_missing_folder_setting_is_refused(settings: Settings, last_error) -> None:
    options = acquire.Options(source="folder")
    message = refused(settings, last_error, "acquire", lambda: acquire.run(settings, options))
    assert "COURTSIDE_RAW_DIR" in message


@pytest.mark.long
def test_kaggles_csv_is_stored_unchanged(settings: Settings, few_file: Path) -> None:
    result = acquire_file(settings, few_file)
    snapshot = snapshots.current(settings)
    assert snapshot is not None
    stored = settings.data_dir / "01_raw" / result.snapshot / snapshot.files[0].stored
    assert stored.read_bytes() == few_file.read_bytes()
    again = acquire_file(settings, few_file)
    assert again.snapshot == result.snapshot


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shot_made_flag": 1.0}, "All"),
        pytest.param(
            {"shot_made_flag": np.nan}, "row has a label ('shot_made_flag')", marks=pytest.mark.long
        ),
        pytest.param(
            {"shot_type": "3PT Field Goal"},
            "No row has shot_type = '2PT Field Goal'",
            marks=pytest.mark.long,
        ),
    ],
    ids=["one class only", "all rows missing", "no development rows"],
)
def test_rows_that_cannot_train_are_refused(
    change: dict[str, object],
    words: str,
    prepared_home: Settings,
    few_shots: pd.DataFrame,
    tmp_path: Path,
    last_error,
) -> None:
    acquire_file(prepared_home, as_csv(few_shots.assign(**change), tmp_path / "changed.csv"))
    message = refused(
        prepared_home, last_error, "prepare", lambda: prepare.run(prepared_home, prepare.Options())
    )
    assert words in message


def test_the_logged_sets_are_those_of_the_files(
    prepared_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged, log = {}, tracking.log

    def keep(settings: Settings, run_id: str, record: Record) -> None:
        logged.update({dataset.name: dataset.frame for dataset in record.datasets})
        log(settings, run_id, record)

    monkeypatch.setattr(tracking, "log", keep)
    prepare.run(prepared_home, prepare.Options())
    _, train_rows, test_rows = storage.read_prepared(prepared_home)
    pd.testing.assert_frame_equal(logged["train_data"], train_rows)
    pd.testing.assert_frame_equal(logged["test_data"], test_rows)


@pytest.mark.parametrize("share", [0.0001, pytest.param(0.9999, marks=pytest.mark.long)])
def test_a_test_share_that_leaves_no_rows_is_refused(
    share: float, unharmed: Settings, last_error
) -> None:
    options = prepare.Options(test_share=share)
    message = refused(unharmed, last_error, "prepare", lambda: prepare.run(unharmed, options))
    assert f"A test share of {share:g} of 555 rows" in message


def test_a_label_too_rare_for_the_test_set_is_refused() -> None:
    frame = pd.DataFrame({"x": range(1000), "y": [1] * 8 + [0] * 992})
    with pytest.raises(InputError, match="with one class only"):
        split.at_random(frame, "y", test_share=0.02, seed=42)


def test_more_folds_than_rows_of_a_label_are_refused(prepared_home: Settings, last_error) -> None:
    prepare.run(prepared_home, prepare.Options(test_share=0.98))
    options = train.Options(candidates=("lr",), folds=10)
    message = refused(prepared_home, last_error, "train", lambda: train.run(prepared_home, options))
    assert "10 folds need at least 10. Choose fewer folds" in message


@pytest.mark.parametrize("share", [0, 1, -0.2, "much"])
def test_a_test_share_out_of_bounds_is_refused(share: object) -> None:
    with pytest.raises(ValueError, match="test_share"):
        prepare.Options(test_share=share)


@pytest.mark.parametrize(
    ("step", "call", "words"),
    [
        ("prepare", lambda s: prepare.run(s, prepare.Options()), "No raw data yet"),
        ("train", lambda s: train.run(s, train.Options()), "No prepared data yet"),
        ("serve", lambda s: serve.run(s, serve.Options()), "kobe-shots has no champion yet"),
        (
            "serve",
            lambda s: serve.run(s, serve.Options(target="7")),
            "kobe-shots has no version 7 yet",
        ),
        ("score", lambda s: score.run(s, score.Options()), "No model is served"),
        ("score", lambda s: score.run(s, score.Options(port=6001)), "no endpoint on port 6001"),
        ("monitor", lambda s: monitor.run(s, monitor.Options()), "There are no predictions yet"),
    ],
)
def test_a_step_before_its_turn_says_what_comes_first(
    step: str, call, words: str, settings: Settings, last_error
) -> None:
    message = refused(settings, last_error, step, lambda: call(settings), NotReadyError)
    assert words in message


def test_prepared_files_that_were_changed_are_refused(prepared_home: Settings, last_error) -> None:
    _, train_file, test_file, *_ = storage.prepared_paths(prepared_home)
    train_file.write_bytes(test_file.read_bytes())
    message = refused(
        prepared_home, last_error, "train", lambda: train.run(prepared_home, train.Options())
    )
    assert "train_data.parquet is damaged or was replaced" in message


@pytest.mark.long
def test_a_candidate_that_fails_leaves_no_version_and_no_open_run(
    prepared_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object):
        raise ValueError("singular matrix")

    monkeypatch.setattr(train.automl.Trainer, "fit", broken)
    with pytest.raises(ValueError, match="singular"):
        train.run(prepared_home, train.Options(candidates=("lr",)))
    runs = tracking.runs(prepared_home)
    failed = [run for run in runs if run.status == "FAILED"]
    assert {run.name for run in failed} == {"Treinamento", "Logistic regression"}
    assert all("singular matrix" in run.error for run in failed)
    assert model_store.versions(prepared_home, SPEC.model) == []


@pytest.fixture
def trained(trained_few: Settings, tmp_path: Path) -> Settings:
    return copy_home(trained_few, tmp_path / "trained")


def test_a_port_in_use_is_refused(trained: Settings, last_error) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        options = serve.Options(port=port)
        message = refused(trained, last_error, "serve", lambda: serve.run(trained, options))
    assert f"Port {port} is in use" in message
    assert server.servers(trained) == []


def test_a_start_that_cannot_be_recorded_leaves_no_server(
    trained: Settings, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    """No server runs here; tests of the server check that stopping ends its process."""
    stopped = []
    version = model_store.require_version(trained, SPEC.model, "champion")
    started = served(version, 6001)
    monkeypatch.setattr(endpoint, "begin", lambda *_, **__: started)
    monkeypatch.setattr(server_process, "stop", lambda _, port: stopped.append(port))

    def full(*_: object) -> None:
        raise StoreError("MLflow cannot be used: disk full")

    monkeypatch.setattr(tracking, "log", full)
    options = serve.Options(port=6001)
    message = refused(trained, last_error, "serve", lambda: serve.run(trained, options))
    assert "disk full" in message
    assert stopped == [6001]


def test_keys_of_an_upload_with_a_missing_key_stay_unchanged() -> None:
    type_ = SPEC.columns[SPEC.id].type
    assert [key_text(value, type_) for value in (7.0, float("nan"), None, "a", 8, "", "NA")] == [
        "7",
        None,
        None,
        "a",
        "8",
        None,
        None,
    ]


def served(version: ModelVersion, port: int) -> server.Server:
    return server.Server(
        port,
        1,
        0.0,
        version.name,
        version.version,
        "champion",
        version.run_id,
        "ready",
        0.0,
        Path("log"),
        None,
        False,
    )


def as_served(settings: Settings, monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Make the score step believe that the champion answers on this port."""
    version = model_store.require_version(settings, SPEC.model, "champion")
    believed = served(version, port)
    monkeypatch.setattr(server, "servers", lambda _: [believed])


def test_a_server_that_is_down_leaves_nothing_in_the_log(
    trained: Settings, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    as_served(trained, monkeypatch, port)
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.0)
    message = refused(trained, last_error, "score", lambda: score.run(trained, score.Options()))
    assert f"No model answers at http://127.0.0.1:{port}" in message
    assert predictions.scorings(trained) == []
    assert not list((trained.data_dir / "07_model_output").glob("*.parquet"))


def test_a_server_that_refuses_the_rows_is_reported_with_its_reason(
    trained: Settings, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ServerError("The model at http://127.0.0.1:1 refused the rows: no lat.")

    as_served(trained, monkeypatch, 1)
    monkeypatch.setattr(client, "score", refuse)
    message = refused(trained, last_error, "score", lambda: score.run(trained, score.Options()))
    assert "refused the rows: no lat" in message
    assert predictions.scorings(trained) == []


def test_an_upload_with_missing_values_in_every_row_is_refused(
    trained: Settings, few_shots: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    as_served(trained, monkeypatch, 1)
    rows = few_shots[list(SPEC.features)].assign(lat=np.nan)
    upload = storage.stage_upload(trained, "rows.csv", rows.to_csv(index=False).encode())
    options = score.Options(source="upload", upload=upload)
    message = refused(trained, last_error, "score", lambda: score.run(trained, options))
    assert "Every row lacks the value of a feature" in message


def test_a_row_with_a_value_out_of_range_is_refused(
    trained: Settings, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    as_served(trained, monkeypatch, 1)
    row = dict.fromkeys(SPEC.features, 1.0)
    options = score.Options(source="row", row=row)
    message = refused(trained, last_error, "score", lambda: score.run(trained, options))
    assert "Column 'lat' must lie in 32..35" in message


def test_an_interrupted_step_ends_as_killed(
    settings: Settings, few_file: Path, monkeypatch: pytest.MonkeyPatch, last_error
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(SILENT), "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        acquire_file(settings, few_file)
    assert last_error(settings, "acquire")[0] == "KILLED"


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("shots.exe", 10, "is not a CSV or parquet file"),
        ("../../etc/passwd", 10, "is not a CSV or parquet file"),
        ("big.csv", 1_000_001, "the limit is 1.0 MB"),
    ],
)
def test_an_upload_is_checked_before_it_is_kept(
    name: str, size: int, words: str, settings: Settings
) -> None:
    small = settings.model_copy(update={"upload_limit_mb": 1})
    with pytest.raises(InputError, match=words):
        storage.stage_upload(small, name, b"x" * size)
    assert not (settings.state_dir / "uploads").exists()


def test_an_uploads_name_never_becomes_a_path(settings: Settings) -> None:
    upload = storage.stage_upload(settings, "../../evil.csv", b"a,b\n1,2\n")
    stored = storage.uploaded(settings, upload)
    assert stored.parent == settings.state_dir / "uploads"
    assert (upload.name, ".." in upload.stored) == ("evil.csv", False)
    with pytest.raises(InputError, match="no longer exists"):
        storage.uploaded(settings, upload.model_copy(update={"stored": "../../../etc/passwd"}))
