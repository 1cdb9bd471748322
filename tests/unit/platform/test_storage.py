"""What is written appears whole or not at all, and is never changed afterwards."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.jobs import leftovers
from core.platform import storage
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError, StoreError


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5], "y": [0, 1, 0, 1]})


def prepare(home: Settings, frame: pd.DataFrame, run_id: str = "run") -> tuple[Path, ...]:
    """Keep the frame as filtered rows, its first three as train and its last as test set."""
    with storage.staged(
        home, frame, frame.head(3), frame.tail(1), frame.head(3), frame.tail(1)
    ) as ready:
        prepared = storage.Prepared(
            snapshot="a",
            digest="ab",
            source="file",
            run_id=run_id,
            commit="c",
            options={"test_share": 0.25, "seed": 1},
            features=("x",),
            inputs=("x",),
            is_complete=True,
            is_default_rows=True,
            rows_filtered=len(frame),
            rows_train=3,
            rows_test=1,
            digests=ready.digests,
            project=home.project,
            rules="r",
        )
        ready.keep(prepared)
    return storage.prepared_paths(home)


def test_prepared_sets_come_back_as_they_were_written(home: Settings, frame) -> None:
    prepare(home, frame)
    prepared, train, test = storage.read_prepared(home)
    assert (prepared.snapshot, prepared.rows_train, prepared.rows_test) == ("a", 3, 1)
    assert (prepared.features, prepared.options["seed"]) == (("x",), 1)
    pd.testing.assert_frame_equal(train, frame.head(3))
    pd.testing.assert_frame_equal(test, frame.tail(1).reset_index(drop=True))


def test_columns_of_any_kind_come_back_as_they_were_written(home: Settings) -> None:
    rng = np.random.default_rng(1)
    mixed = pd.DataFrame(
        {
            "varied": rng.normal(size=1000),
            "holes": np.where(rng.random(1000) < 0.5, np.nan, rng.normal(size=1000)),
            "repeated": rng.integers(0, 4, 1000).astype(float),
            "with.point": rng.normal(size=1000),
            "empty": np.nan,
            "count": rng.integers(0, 900, 1000),
            "text": rng.choice(["a", "b", None], 1000),
        }
    )
    path = prepare(home, mixed)[0]
    pd.testing.assert_frame_equal(pd.read_parquet(path), mixed, check_exact=True)


def test_prepared_files_hold_the_columns_and_nothing_else(home: Settings, frame) -> None:
    import pyarrow.parquet

    for path in prepare(home, frame.sample(frac=1, random_state=1)):
        assert pyarrow.parquet.read_schema(path).names == ["x", "y"]


def test_a_writer_that_fails_leaves_the_old_sets(home: Settings, frame, monkeypatch) -> None:
    prepare(home, frame)
    before = storage.read_prepared(home)[0]

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        prepare(home, frame.assign(y=1))
    monkeypatch.undo()
    assert storage.read_prepared(home)[0] == before


def test_a_writer_that_fails_in_between_leaves_no_temporaries(
    home: Settings, frame, monkeypatch
) -> None:
    write = pd.DataFrame.to_parquet

    def full(self: pd.DataFrame, path: Path, **options: object) -> None:
        write(self, path, **options)
        if "test_data" in path.name:
            raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        prepare(home, frame)
    assert list(home.data_dir.rglob("*.tmp")) == []
    assert storage.current_prepared(home) is None


def read_preparation(home: Settings) -> str:
    """Read the sets, assert that they are of one preparation, and return its run."""
    prepared, train, test = storage.read_prepared(home)
    assert {f"run {y}" for y in (*train["y"], *test["y"])} == {prepared.run_id}
    return prepared.run_id


def in_a_thread(call: Callable[[], object], results: list[object]) -> threading.Thread:
    """Start the call in a thread; return when it is done or seems to wait for its turn."""

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - the test checks the error
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.5)
    return thread


@pytest.mark.parametrize("other", ["reader", "writer"])
def test_no_other_writer_interrupts_the_files_of_a_preparation(
    other: str, home: Settings, frame, monkeypatch
) -> None:
    prepare(home, frame.assign(y=0), "run 0")
    calls = {
        "reader": lambda: read_preparation(home),
        "writer": lambda: prepare(home, frame.assign(y=2), "run 2"),
    }
    replace, threads, results = os.replace, [], []

    def between(source: Path, target: Path) -> None:
        if not threads and Path(target).name == storage.TEST_FILE:
            threads.append(None)
            threads[0] = in_a_thread(calls[other], results)
        replace(source, target)

    monkeypatch.setattr(os, "replace", between)
    prepare(home, frame.assign(y=1), "run 1")
    threads[0].join()
    assert results == ["run 1"] if other == "reader" else isinstance(results[0], tuple)
    assert read_preparation(home) == ("run 1" if other == "reader" else "run 2")


def test_a_reader_uses_the_bytes_that_it_has_checked(home: Settings, frame, monkeypatch) -> None:
    prepare(home, frame.assign(y=0), "run 0")
    read, threads = pd.read_parquet, []

    def after_a_writer(source: Path | io.BytesIO) -> pd.DataFrame:
        if not threads:
            call = lambda: prepare(home, frame.assign(y=1), "run 1")  # noqa: E731
            threads.append(in_a_thread(call, []))
        return read(source)

    monkeypatch.setattr(pd, "read_parquet", after_a_writer)
    assert read_preparation(home) == "run 0"
    threads[0].join()
    assert read_preparation(home) == "run 1"


def test_sets_of_two_preparations_are_never_mixed(home: Settings, frame) -> None:
    _, train, *_ = prepare(home, frame)
    frame.head(2).to_parquet(train)
    with pytest.raises(NotReadyError, match="is damaged or was replaced"):
        storage.read_prepared(home)


def test_digests_recorded_before_saving_match_the_saved_sets(home: Settings, frame) -> None:
    with storage.staged(
        home, frame, frame.head(3), frame.tail(1), frame.head(3), frame.tail(1)
    ) as ready:
        assert [path.name for path in ready.paths] == [
            path.name for path in storage.prepared_paths(home)
        ]
        assert ready.digests == {path.name: storage.sha256(path) for path in ready.paths}
        assert not any(path.exists() for path in storage.prepared_paths(home))
        staged = {path.name: path.read_bytes() for path in ready.paths}
    assert not any(path.exists() for path in storage.prepared_paths(home))
    paths = prepare(home, frame)
    assert {path.name: path.read_bytes() for path in paths} == staged


@pytest.mark.parametrize("content", ["{", '{"snapshot": "a"}', '{"features": [], "inputs": []}'])
def test_a_damaged_or_old_record_of_prepared_sets_is_reported(home: Settings, content: str) -> None:
    (storage.folder(home, storage.MODEL_INPUT) / "prepared.json").write_text(content)
    with pytest.raises(StoreError, match=r"prepared.json is damaged"):
        storage.current_prepared(home)


def test_json_is_replaced_atomically(home: Settings, monkeypatch) -> None:
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
    assert [path_left.name for path_left in home.home.iterdir()] == ["a.json"]


def test_sweeping_takes_only_what_is_stale(home: Settings) -> None:
    folder = storage.folder(home, storage.RAW)
    old, young = folder / ".a.tmp", folder / ".b.tmp"
    permanent = folder / "snapshot.json"
    for path in (old, young, permanent):
        path.touch()
    upload = storage.stage_upload(home, "a.csv", b"x\n1\n")
    past = time.time() - 2 * leftovers.STALE_SECONDS
    for path in (old, permanent, storage.uploaded(home, upload)):
        os.utime(path, (past, past))
    leftovers.sweep(home)
    assert {path.name for path in folder.iterdir()} == {".b.tmp", "snapshot.json"}
    assert storage.uploaded(home, upload).is_file()
    past = time.time() - 2 * leftovers.UPLOAD_SECONDS
    os.utime(storage.uploaded(home, upload), (past, past))
    leftovers.sweep(home)
    with pytest.raises(InputError, match="no longer exists"):
        storage.uploaded(home, upload)


def test_sweeping_tolerates_files_removed_by_another_process(home: Settings, monkeypatch) -> None:
    past = time.time() - 2 * leftovers.UPLOAD_SECONDS
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
    leftovers.sweep(home)
    assert not any(path.exists() for path in stale)
