"""Damaged files, a read-only home and a full disk: a message says what works and what to do.

A read-only or full file system is a small one of its own, where this user may mount one; otherwise
the system's refusal is raised where the app asks for a file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from core.data import snapshots
from core.jobs import chains, jobs, local_cluster, schedules, supervision
from core.monitoring import channels
from core.platform import clock, mlflow_client, state, storage, store_faults, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import CourtsideError, StoreError
from core.predictions_log import log_search, log_store
from core.retraining import policy_store
from core.retraining.policy_settings import Policy
from core.runtime.commands import main
from tests.conftest import copy_home

GARBAGE = bytes(range(256)) * 64
# what no person should see
RAW = re.compile(r"SQL|sqlite3\.|Traceback|\(Background|Error\b|Errno")
JSON: dict[str, Callable[[Settings], object]] = {
    "state/clock.json": lambda settings: clock.now(settings.model_copy(update={"clock_speed": 2})),
    "data/01_raw/current.json": snapshots.current,
    "data/05_model_input/prepared.json": storage.current_prepared,
}
DATABASES: dict[str, Callable[[Settings], object]] = {
    "state/state.db": jobs.latest,
    "state/predictions.db": log_search.tallies,
    "mlflow.db": lambda settings: tracking.last_run(settings, "train"),
}


def sentence(call: Callable[[], object], name: str) -> str:
    """Return the message a person gets; it names the file and holds no raw error text."""
    with pytest.raises(StoreError) as caught:
        call()
    text = str(caught.value)
    assert name in text
    assert not RAW.search(text), text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("content", [GARBAGE, b'{"chain_id": "1", "st', b"", b"[1, 2", b'"text"'])
def test_a_damaged_json_file_is_reported_with_what_to_do(
    settings: Settings, name: str, content: bytes
) -> None:
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    text = sentence(lambda: JSON[name](settings), path.name)
    assert re.search(r"[Dd]elete|again|[Rr]estore", text)


DOCUMENTS: dict[str, Callable[[Settings], object]] = {
    "chain": chains.current,
    "policy": policy_store.load,
    "channels": channels.load,
    "dask": local_cluster.find,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_damaged_value_in_the_database_is_reported_with_what_to_do(
    settings: Settings, name: str
) -> None:
    state.save(settings, name, {})
    with state.transaction(settings) as connection:
        connection.exec_driver_sql("UPDATE documents SET body = ?", ('{"chain_id": "1", "st',))
    assert "again" in sentence(lambda: DOCUMENTS[name](settings), name)


def _complete_database(settings: Settings, name: str) -> Path:
    """Return a database of another home with some pages, in one file."""
    other_home = settings.model_copy(update={"home": settings.home.parent / "made"})
    (other_home.home / "state").mkdir(parents=True)
    if name.endswith("predictions.db"):
        with log_store.writing(other_home):
            pass
    elif name.endswith("state.db"):
        with state.transaction(other_home):
            pass
    else:
        DATABASES[name](other_home)
    with closing(sqlite3.connect(other_home.home / name)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return other_home.home / name


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("damage", ["garbage", "truncated"])
def test_a_damaged_database_is_reported_with_what_works_and_what_to_do(
    settings: Settings, name: str, damage: str
) -> None:
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if damage == "truncated":
        database = path if name == "mlflow.db" else _complete_database(settings, name)
        os.truncate(database, database.stat().st_size // 2 + 100)
        if database != path:
            shutil.copyfile(database, path)
    else:
        path.write_bytes(GARBAGE)
    text = sentence(lambda: DATABASES[name](settings), path.name)
    assert "keep answering" in text
    assert "restore" in text
    assert str(path) in text


def test_a_database_that_was_moved_away_is_recreated_in_the_same_process(
    settings: Settings,
) -> None:
    jobs.submit(settings, "train", {})
    for path in settings.state_dir.glob("state.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    assert jobs.latest(settings) == []
    assert jobs.submit(settings, "train", {}).status == "queued"
    assert schedules.schedules(settings) == []
    assert state.path(settings).exists()


@pytest.mark.parametrize("content", [GARBAGE, b"", b"null", b"[]", b'{"pid": "x"}', b'{"pid": 1}'])
def test_a_damaged_state_of_the_worker_counts_as_none(settings: Settings, content: bytes) -> None:
    settings.state_dir.mkdir(parents=True)
    (settings.state_dir / "supervisor.json").write_bytes(content)
    assert supervision.read_state(settings) is None
    assert supervision.worker_state(settings) == supervision.WorkerState(False, False, None, None)


def test_status_reports_a_damaged_database_and_the_rest(settings: Settings, capsys) -> None:
    settings.state_dir.mkdir(parents=True)
    state.path(settings).write_bytes(GARBAGE)
    assert main(["status", "--home", str(settings.home)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["served"] == []
    assert "state.db is damaged" in status["damaged"][0]


def test_the_worker_of_a_damaged_job_table_ends(settings: Settings) -> None:
    settings.state_dir.mkdir(parents=True)
    state.path(settings).write_bytes(GARBAGE)
    with pytest.raises(store_faults.DamagedError, match=r"state\.db is damaged"):
        supervision.ensure_supervisor(settings)
    assert not supervision.worker_state(settings).alive
    # a worker that is started anyway says why and ends
    ended = subprocess.run(
        [sys.executable, "-m", "core.runtime.supervisor", "--preload="],
        env=os.environ | settings.environment() | {"PYTHONPATH": str(CODE_ROOT)},
        cwd=CODE_ROOT,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 1
    assert b"state.db is damaged" in ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.long
def test_a_worker_whose_table_gets_damaged_ends(settings: Settings) -> None:
    """It obeys a stop at once, and ends by itself after a while."""
    from core.runtime import supervisor

    settings.state_dir.mkdir(parents=True, exist_ok=True)
    watcher = supervisor.Supervisor(settings, target="x:y", clean_up="x:y", preload=(), idle=1.0)
    error = StoreError("state.db is damaged.")
    assert not watcher._gives_up(error)
    assert not watcher._gives_up(error)
    supervision.ask(settings, "stop")
    assert watcher._gives_up(error)
    watcher.stopping = False
    watcher.broken_since = time.monotonic() - 2 * supervisor.BROKEN_SECONDS
    assert watcher._gives_up(error)


# --- a home that cannot be written --------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount a small file system; skip where this user may not."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", *options, str(folder)], capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=60)


@pytest.fixture
def read_only(trained_few: Settings, tmp_path: Path) -> Iterator[Settings]:
    home = copy_home(trained_few, tmp_path / "home")
    policy_store.save(home, Policy(strategy="reactive"))
    state.close(home)
    with mounted(home.home, "--bind", str(home.home)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(home.home)], check=True, timeout=60)
        yield home


def command(settings: Settings, *words: str) -> tuple[int, dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-m", "core", words[0], "--home", str(settings.home), *words[1:]],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.long
def test_a_read_only_home_can_be_read_and_refuses_writes_with_a_message(
    read_only: Settings,
) -> None:
    code, report, errors = command(read_only, "status")
    assert (code, report["status"]) == (0, "done"), report
    assert report["champion"] == "1"
    assert "Traceback" not in errors
    code, report, errors = command(read_only, "prepare", "--quiet")
    assert (code, report["status"]) == (1, "refused")
    assert "read-only" in str(report["error"])
    assert not RAW.search(str(report["error"])), report
    sentence(lambda: jobs.submit(read_only, "train", {}), "state.db")
    assert policy_store.load(read_only) == Policy(strategy="reactive")
    with pytest.raises(CourtsideError):
        supervision.ensure_supervisor(read_only)


@pytest.fixture
def full(tmp_path: Path, store_template: Path) -> Iterator[Settings]:
    home = tmp_path / "full"
    with mounted(home, "-t", "tmpfs", "-o", "size=4m", "tmpfs"):
        shutil.copyfile(store_template, home / "mlflow.db")
        settings = Settings(home=home)
        jobs.submit(settings, "train", {})
        mlflow_client.warm(settings)
        with suppress(OSError), (home / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                continue
        assert shutil.disk_usage(home).free == 0
        yield settings


@pytest.mark.long
def test_a_full_disk_is_reported_with_a_message_everywhere(full: Settings) -> None:
    code, report, _ = command(full, "status")
    assert (code, report["status"]) == (0, "done"), report
    assert "disk is full" in sentence(lambda: fill_jobs(full), "state.db")
    assert "disk is full" in sentence(
        lambda: storage.write_json(full.state_dir / "clock.json", {"a": "x" * 10_000}), "clock.json"
    )
    assert len(jobs.latest(full)) >= 1
    code, report, _ = command(full, "acquire", "--quiet")
    assert code == 1
    assert not RAW.search(str(report["error"])), report
    # once there is room again, it works
    (full.home / "filler").unlink()
    assert jobs.submit(full, "train", {"again": 1}).status == "queued"


def fill_jobs(settings: Settings) -> None:
    for number in range(2000):
        jobs.submit(settings, "train", {"number": number, "text": "x" * 2000})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_refusal_of_the_disk_is_a_message_of_a_command(
    settings: Settings, number: int, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(settings.home / "state" / "x.lock"))

    monkeypatch.setattr(tracking, "last_run", refuse)
    assert main(["status", "--home", str(settings.home)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "refused"
    assert "x.lock" in report["error"]
    assert not RAW.search(report["error"])


def test_other_system_errors_are_not_reported_as_disk_faults() -> None:
    assert store_faults.of_disk(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
