"""What is written appears whole or not at all, and is never changed afterwards."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from core.adapters import storage
from core.config import Settings
from core.errors import InputError, NotReadyError, StoreError


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5], "y": [0, 1, 0, 1]})


def acquire(home: Settings, frame: pd.DataFrame, name: str = "a.csv") -> storage.Snapshot:
    path = home.home / name
    frame.to_csv(path, index=False)
    return storage.save_raw(home, "file", [(name, path)], len(frame), 2, "run")


def test_a_snapshot_is_current_only_once_it_was_made_so(home: Settings, frame) -> None:
    first = acquire(home, frame)
    assert storage.current_raw(home) is None
    storage.make_current(home, first)
    second = acquire(home, frame.assign(y=0))
    assert storage.current_raw(home) == first
    storage.make_current(home, second)
    assert storage.current_raw(home) == second
    assert storage.read_raw(home, first)["y"].tolist() == [0, 1, 0, 1]


def test_the_same_bytes_make_no_second_copy(home: Settings, frame) -> None:
    first, again = acquire(home, frame), acquire(home, frame, "other-name.csv")
    assert first.id == again.id
    assert len(list((home.data_dir / "01_raw").iterdir())) == 1


def test_several_files_are_read_one_after_the_other(home: Settings, frame) -> None:
    paths = []
    for i, part in enumerate((frame.head(1), frame.tail(3))):
        path = home.home / f"{i}.parquet"
        part.to_parquet(path)
        paths.append((path.name, path))
    snapshot = storage.save_raw(home, "folder", paths, 4, 2, "run")
    assert storage.read_raw(home, snapshot).equals(frame)
    assert [file.name for file in snapshot.files] == ["0.parquet", "1.parquet"]


def test_keeping_bytes_again_does_not_change_what_stands(home: Settings, frame) -> None:
    first = acquire(home, frame)
    storage.make_current(home, first)
    again = acquire(home, frame, "other-name.csv")
    assert storage.current_raw(home) == first
    storage.make_current(home, again)
    assert storage.current_raw(home) == again


@pytest.mark.parametrize("source", ["file", "folder", "upload"])
def test_bytes_of_the_sample_stay_the_sample(home: Settings, frame, source: str) -> None:
    path, other = home.home / "a.parquet", home.home / "b.parquet"
    frame.to_parquet(path)
    frame.assign(y=1).to_parquet(other)
    assert not storage.save_raw(home, source, [("a", path)], 4, 2, "run").is_sample
    assert storage.save_raw(home, "sample", [("a", path)], 4, 2, "run").is_sample
    for files, is_sample in (
        ([("mine", path)], True),
        ([("mine", path), ("real", other)], True),
        ([("real", other)], False),
        ([("mine", path)], True),
    ):
        snapshot = storage.save_raw(home, source, files, 4, 2, "run")
        storage.make_current(home, snapshot)
        found = storage.current_raw(home)
        assert found is not None
        assert (found.source, found.is_sample) == (source, is_sample)
        prepare(home, frame, found)
        assert storage.read_prepared(home)[0].is_sample == is_sample


def test_a_snapshot_that_cannot_be_copied_leaves_nothing(
    home: Settings, frame, monkeypatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        acquire(home, frame)
    assert list((home.data_dir / "01_raw").iterdir()) == []


def test_two_processes_may_keep_the_same_bytes_at_once(home: Settings, frame, monkeypatch) -> None:
    copy = shutil.copyfile

    def other_is_first(source: Path, target: Path) -> None:
        monkeypatch.undo()
        acquire(home, frame)
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", other_is_first)
    snapshot = acquire(home, frame)
    assert storage.read_raw(home, snapshot).equals(frame)
    assert [path.name for path in (home.data_dir / "01_raw").iterdir()] == [snapshot.id]


def prepare(
    home: Settings, frame: pd.DataFrame, snapshot: storage.Snapshot, run_id: str = "run"
) -> tuple[Path, ...]:
    return storage.save_prepared(
        home, frame, frame.head(3), frame.tail(1),
        snapshot=snapshot, run_id=run_id, test_share=0.25, seed=1,
    )  # fmt: skip


def test_prepared_sets_come_back_as_they_were_written(home: Settings, frame) -> None:
    snapshot = acquire(home, frame)
    prepare(home, frame, snapshot)
    prepared, train, test = storage.read_prepared(home)
    assert (prepared.snapshot, prepared.rows_train, prepared.rows_test) == (snapshot.id, 3, 1)
    pd.testing.assert_frame_equal(train, frame.head(3))
    pd.testing.assert_frame_equal(test, frame.tail(1).reset_index(drop=True))


def test_prepared_files_hold_the_columns_and_nothing_else(home: Settings, frame) -> None:
    import pyarrow.parquet

    for path in prepare(home, frame.sample(frac=1, random_state=1), acquire(home, frame)):
        assert pyarrow.parquet.read_schema(path).names == ["x", "y"]


def test_a_writer_that_fails_leaves_the_old_sets(home: Settings, frame, monkeypatch) -> None:
    snapshot = acquire(home, frame)
    prepare(home, frame, snapshot)
    before = storage.read_prepared(home)[0]

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        prepare(home, frame.assign(y=1), snapshot)
    monkeypatch.undo()
    assert storage.read_prepared(home)[0] == before


def test_a_writer_that_fails_in_between_leaves_no_temporaries(
    home: Settings, frame, monkeypatch
) -> None:
    snapshot = acquire(home, frame)
    write = pd.DataFrame.to_parquet

    def full(self: pd.DataFrame, path: Path, **options: object) -> None:
        write(self, path, **options)
        if "test_data" in path.name:
            raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        prepare(home, frame, snapshot)
    assert list(home.data_dir.rglob("*.tmp")) == []


def of_one_preparation(home: Settings) -> str:
    """Return whose sets are read, after a look that they are one preparation's."""
    prepared, train, test = storage.read_prepared(home)
    assert {f"run {y}" for y in (*train["y"], *test["y"])} == {prepared.run_id}
    return prepared.run_id


def in_a_thread(call: Callable[[], object], results: list[object]) -> threading.Thread:
    """Call it at once; return when it is done, or seems to wait for its turn."""

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - the test looks at what it was
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.5)
    return thread


@pytest.mark.parametrize("other", ["reader", "writer"])
def test_nobody_comes_between_the_files_of_a_preparation(
    other: str, home: Settings, frame, monkeypatch
) -> None:
    snapshot = acquire(home, frame)
    prepare(home, frame.assign(y=0), snapshot, "run 0")
    calls = {
        "reader": lambda: of_one_preparation(home),
        "writer": lambda: prepare(home, frame.assign(y=2), snapshot, "run 2"),
    }
    replace, threads, results = os.replace, [], []

    def between(source: Path, target: Path) -> None:
        if not threads and Path(target).name == storage.TEST_FILE:
            threads.append(None)
            threads[0] = in_a_thread(calls[other], results)
        replace(source, target)

    monkeypatch.setattr(os, "replace", between)
    prepare(home, frame.assign(y=1), snapshot, "run 1")
    threads[0].join()
    assert results == ["run 1"] if other == "reader" else isinstance(results[0], tuple)
    assert of_one_preparation(home) == ("run 1" if other == "reader" else "run 2")


def test_a_reader_uses_the_bytes_that_it_has_checked(home: Settings, frame, monkeypatch) -> None:
    snapshot = acquire(home, frame)
    prepare(home, frame.assign(y=0), snapshot, "run 0")
    read, threads = pd.read_parquet, []

    def after_a_writer(source: Path | io.BytesIO) -> pd.DataFrame:
        if not threads:
            call = lambda: prepare(home, frame.assign(y=1), snapshot, "run 1")  # noqa: E731
            threads.append(in_a_thread(call, []))
        return read(source)

    monkeypatch.setattr(pd, "read_parquet", after_a_writer)
    assert of_one_preparation(home) == "run 0"
    threads[0].join()
    assert of_one_preparation(home) == "run 1"


def test_sets_of_two_preparations_are_never_mixed(home: Settings, frame) -> None:
    snapshot = acquire(home, frame)
    _, train, _ = prepare(home, frame, snapshot)
    frame.head(2).to_parquet(train)
    with pytest.raises(NotReadyError, match="is not the file that the last preparation wrote"):
        storage.read_prepared(home)


def test_json_is_replaced_whole(home: Settings, monkeypatch) -> None:
    path = home.home / "a.json"
    storage.write_json(path, {"a": 1})

    def torn(self: Path, text: str, **_: object) -> None:
        with self.open("w") as file:
            file.write(text[:3])
        raise OSError("torn")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="torn"):
        storage.write_json(path, {"a": 2})
    assert path.read_text(encoding="utf-8") == '{\n  "a": 1\n}'
    assert [found.name for found in home.home.iterdir()] == ["a.json"]


def test_sweeping_takes_only_what_is_stale(home: Settings) -> None:
    folder = storage.folder(home, storage.RAW)
    old, young = folder / ".a.tmp", folder / ".b.tmp"
    kept = folder / "snapshot.json"
    for path in (old, young, kept):
        path.touch()
    upload = storage.stage_upload(home, "a.csv", b"x\n1\n")
    past = time.time() - 2 * storage.STALE_SECONDS
    for path in (old, kept, storage.uploaded(home, upload)):
        os.utime(path, (past, past))
    storage.sweep(home)
    assert {path.name for path in folder.iterdir()} == {".b.tmp", "snapshot.json"}
    assert storage.uploaded(home, upload).is_file()
    past = time.time() - 2 * storage.UPLOAD_SECONDS
    os.utime(storage.uploaded(home, upload), (past, past))
    storage.sweep(home)
    with pytest.raises(InputError, match="is gone"):
        storage.uploaded(home, upload)


def test_a_folder_without_tables_is_told(home: Settings) -> None:
    with pytest.raises(InputError, match=r"holds no .csv or .parquet file"):
        storage.list_sources(home.home)
    with pytest.raises(InputError, match="There is no folder"):
        storage.list_sources(home.home / "nowhere")


def test_a_csv_with_a_byte_order_mark_keeps_its_first_column(home: Settings) -> None:
    path = home.home / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbfx,y\n1,2\n")
    assert list(storage.read_table(path).columns) == ["x", "y"]


def test_sweeping_does_not_mind_what_another_process_removed(home: Settings, monkeypatch) -> None:
    past = time.time() - 2 * storage.UPLOAD_SECONDS
    folder = storage.folder(home, storage.RAW)
    uploads = [storage.stage_upload(home, "a.csv", text) for text in (b"x\n1\n", b"x\n2\n")]
    stale = [folder / ".a.tmp", folder / ".b.tmp"]
    for path in stale:
        path.touch()
    stale += [storage.uploaded(home, upload) for upload in uploads]
    for path in stale:
        os.utime(path, (past, past))
    unlink = Path.unlink

    def gone(self: Path, missing_ok: bool = False) -> None:
        unlink(self)
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "unlink", gone)
    storage.sweep(home)
    assert not any(path.exists() for path in stale)


@pytest.mark.parametrize("text", ["x,y\n1,2,\n3,4,\n", "x,y\n1,2,\n3,4\n", "x,y\n1,2,,\n3,4,,\n"])
def test_a_trailing_comma_moves_no_column(home: Settings, text: str) -> None:
    path = home.home / "a.csv"
    path.write_text(text)
    assert storage.read_table(path).to_dict("list") == {"x": [1, 3], "y": [2, 4]}


def test_values_beyond_the_columns_are_told_and_not_dropped(home: Settings) -> None:
    path = home.home / "a.csv"
    path.write_text("x,y\n1,2,\n3,4,5\n")
    with pytest.raises(InputError, match=r"'a.csv' has rows with more values than it has columns"):
        storage.read_table(path)


@pytest.mark.parametrize("text", ["x;y\n1;2\n", "x;y\n1,5;2,5\n", "x;y\n1;2\n1,5;2\n"])
def test_a_csv_with_semicolons_is_told(home: Settings, text: str) -> None:
    path = home.home / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"'a.csv' is divided by semicolons. Save it with commas"):
        storage.read_table(path)


@pytest.mark.parametrize("content", ["{", '{"snapshot": "abc"}'])
def test_a_damaged_pointer_is_told(home: Settings, content: str) -> None:
    (storage.folder(home, storage.RAW) / "current.json").write_text(content)
    with pytest.raises(StoreError, match=r"current.json is damaged"):
        storage.current_raw(home)
