"""Raw data is stored unchanged, once for the same bytes, and never modified."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from core.data import snapshots
from core.platform import storage
from core.platform.config import Settings
from core.platform.errors import InputError, StoreError


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5], "y": [0, 1, 0, 1]})


def acquire(home: Settings, frame: pd.DataFrame, name: str = "a.csv") -> snapshots.Snapshot:
    path = home.home / name
    frame.to_csv(path, index=False)
    return keep(home, "file", [(name, path)])


def keep(
    home: Settings, source: str, files: list[tuple[str, Path]], *, run_id: str = "run"
) -> snapshots.Snapshot:
    listed = [(name, path, "") for name, path in files]
    snapshot = snapshots.describe(home, source, listed, 4, 2, run_id, "rules")
    snapshots.keep(home, snapshot, [path for _, path in files])
    return snapshot


def test_the_last_snapshot_is_current(home: Settings, frame) -> None:
    assert snapshots.current(home) is None
    first = acquire(home, frame)
    assert snapshots.current(home) == first
    second = acquire(home, frame.assign(y=0))
    assert snapshots.current(home) == second
    assert snapshots.Archive.of(home).read(first, {})["y"].tolist() == [0, 1, 0, 1]
    assert [snapshot.id for snapshot in snapshots.listed(home)] == [second.id, first.id]


def test_describing_stores_nothing(home: Settings, frame) -> None:
    path = home.home / "a.csv"
    frame.to_csv(path, index=False)
    snapshots.describe(home, "file", [("a.csv", path, "")], 4, 2, "run", "rules")
    assert snapshots.current(home) is None
    assert list((home.data_dir / "01_raw").iterdir()) == []


def test_an_earlier_snapshot_becomes_current_again(home: Settings, frame) -> None:
    first = acquire(home, frame)
    acquire(home, frame.assign(y=0))
    again = snapshots.find(home, first.id).again("another run", "new rules")
    snapshots.keep(home, again, snapshots.Archive.of(home).paths(again))
    current = snapshots.current(home)
    assert current is not None
    assert (current.id, current.run_id, current.rules, current.acquired_at) == (
        first.id,
        "another run",
        "new rules",
        first.acquired_at,
    )
    assert len(snapshots.listed(home)) == 2
    with pytest.raises(InputError, match="000000000000 does not exist"):
        snapshots.find(home, "000000000000")


def test_the_same_bytes_make_no_second_copy(home: Settings, frame) -> None:
    first, again = acquire(home, frame), acquire(home, frame, "other-name.csv")
    assert first.id == again.id
    assert snapshots.current(home) == again
    (listed,) = snapshots.listed(home)
    # the list still has the first source and time, and names the newest run
    assert (listed.files[0].name, listed.acquired_at) == ("a.csv", first.acquired_at)
    assert (again.files[0].name, listed.run_id) == ("other-name.csv", again.run_id)


def test_the_order_of_files_does_not_change_the_snapshot(home: Settings, frame) -> None:
    paths = []
    for i, part in enumerate((frame.head(1), frame.tail(3))):
        path = home.home / f"{i}.parquet"
        part.to_parquet(path, index=False)
        paths.append((path.name, path))
    forward, backward = keep(home, "folder", paths), keep(home, "upload", paths[::-1])
    assert forward.digest == backward.digest
    rows = snapshots.Archive.of(home).read(forward, {})
    assert sorted(rows["x"]) == sorted(frame["x"])
    assert {file.name for file in forward.files} == {"0.parquet", "1.parquet"}


def test_files_are_kept_as_they_came_and_cannot_be_written(home: Settings, frame) -> None:
    snapshot = acquire(home, frame)
    (path,) = snapshots.Archive.of(home).paths(snapshot)
    assert path.read_bytes() == (home.home / "a.csv").read_bytes()
    assert path.stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_changed_raw_data_is_detected_and_repaired_by_acquiring_it_again(
    harm: str, home: Settings, frame
) -> None:
    snapshot = acquire(home, frame)
    (path,) = snapshots.Archive.of(home).paths(snapshot)
    path.unlink()
    if harm == "changed":
        path.write_text("x,y\n9,9\n")
    with pytest.raises(StoreError, match="is damaged or was replaced"):
        snapshots.Archive.of(home).read(snapshot, {})
    again = acquire(home, frame)
    assert snapshots.Archive.of(home).read(again, {}).equals(frame)
    assert [item.id for item in snapshots.listed(home)] == [snapshot.id]


def test_an_unreadable_record_is_skipped_and_written_again(home: Settings, frame) -> None:
    snapshot = acquire(home, frame)
    record = home.data_dir / "01_raw" / snapshot.id / "snapshot.json"
    record.write_text("{")
    assert snapshots.listed(home) == []
    acquire(home, frame)
    assert [item.id for item in snapshots.listed(home)] == [snapshot.id]


@pytest.mark.parametrize("source", ["file", "folder", "upload"])
def test_bytes_of_the_sample_stay_the_sample(home: Settings, frame, source: str) -> None:
    path, other = home.home / "a.parquet", home.home / "b.parquet"
    frame.to_parquet(path)
    frame.assign(y=1).to_parquet(other)
    assert not keep(home, source, [("a", path)]).is_sample
    assert keep(home, "sample", [("a", path)]).is_sample
    for files, is_sample in (
        ([("mine", path)], True),
        ([("mine", path), ("real", other)], True),
        ([("real", other)], False),
        ([("mine", path)], True),
    ):
        keep(home, source, files)
        current = snapshots.current(home)
        assert current is not None
        assert (current.source, current.is_sample) == (source, is_sample)


def test_a_snapshot_that_cannot_be_copied_leaves_nothing(
    home: Settings, frame, monkeypatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        acquire(home, frame)
    assert list((home.data_dir / "01_raw").iterdir()) == []
    assert snapshots.current(home) is None


def test_two_processes_may_keep_the_same_bytes_at_once(home: Settings, frame, monkeypatch) -> None:
    copy = shutil.copyfile

    def other_is_first(source: Path, target: Path) -> None:
        monkeypatch.undo()
        acquire(home, frame)
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", other_is_first)
    snapshot = acquire(home, frame)
    assert snapshots.Archive.of(home).read(snapshot, {}).equals(frame)
    folders = [path.name for path in (home.data_dir / "01_raw").iterdir() if path.is_dir()]
    assert folders == [snapshot.id]


@pytest.mark.parametrize("content", ["{", '{"snapshot": "abc"}'])
def test_a_damaged_pointer_is_reported(home: Settings, content: str) -> None:
    (storage.folder(home, storage.RAW) / "current.json").write_text(content)
    with pytest.raises(StoreError, match=r"current.json is damaged"):
        snapshots.current(home)


def test_raw_data_of_another_project_is_not_this_ones(home: Settings, frame) -> None:
    acquire(home, frame)
    other = home.model_copy(update={"project": "rain"})
    assert snapshots.current(other) is None
    assert snapshots.listed(other) == []
    assert snapshots.current(home) is not None
