"""What is written appears whole or not at all, and is never changed afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from core.adapters import storage
from core.config import Settings
from core.errors import InputError, NotReadyError


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


def prepare(home: Settings, frame: pd.DataFrame, snapshot: storage.Snapshot) -> tuple[Path, ...]:
    return storage.save_prepared(
        home, frame, frame.head(3), frame.tail(1),
        snapshot=snapshot, run_id="run", test_share=0.25, seed=1,
    )  # fmt: skip


def test_prepared_sets_come_back_as_they_were_written(home: Settings, frame) -> None:
    snapshot = acquire(home, frame)
    prepare(home, frame, snapshot)
    prepared, train, test = storage.read_prepared(home)
    assert (prepared.snapshot, prepared.rows_train, prepared.rows_test) == (snapshot.id, 3, 1)
    pd.testing.assert_frame_equal(train, frame.head(3))
    pd.testing.assert_frame_equal(test, frame.tail(1))


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
