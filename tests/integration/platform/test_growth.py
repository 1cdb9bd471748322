"""Logs are bounded while written, old temporary files are removed, and all files are private."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.jobs import jobs, leftovers, supervision
from core.platform import log_files, privacy, process
from core.platform.config import CODE_ROOT, Settings
from core.runtime.commands import main
from tests.integration.jobs.test_jobs import until

DAY = 24 * 3600
WRITER = """
import sys, time
number = 0
while True:
    print(f"line {number:07d} " + "x" * 200, flush=True)
    number += 1
    if number % 200 == 0:
        time.sleep(0.01)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_log_is_bounded_while_a_program_writes_it(tmp_path: Path) -> None:
    limit = 200_000
    log = tmp_path / "serve-5101.log"
    begun = process.start([sys.executable, "-c", WRITER], log, {}, tmp_path)
    rotated = 0
    try:
        while rotated < 5:
            until(lambda: log.stat().st_size > limit)
            rotated += len(log_files.rotate(tmp_path, limit))
        # no run of zeros at its start: the writer continues at the new end
        until(lambda: log.stat().st_size > 1000)
    finally:
        process.stop(begun)
    files = sorted(path.name for path in tmp_path.glob("serve*"))
    assert files == ["serve-5101.log", "serve-5101.log.1", "serve-5101.log.2"]
    for path in tmp_path.glob("serve*"):
        assert b"\0" not in path.read_bytes()
    assert all(path.stat().st_size <= limit for path in tmp_path.glob("serve*.?"))
    lines = (tmp_path / "serve-5101.log.1").read_text().split("\n")
    newest = [int(line.split()[1]) for line in lines[1:-1] if line.startswith("line ")]
    assert newest == sorted(newest)


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "worker.log").write_text("one\n")
    assert log_files.rotate(tmp_path) == []
    assert log_files.rotate(tmp_path / "nowhere") == []
    assert [path.name for path in tmp_path.iterdir()] == ["worker.log"]


def aged(path: Path, *, folder: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if folder else path.write_text("x")
    os.utime(path, (time.time() - 2 * DAY,) * 2)
    return path


def test_old_temporary_files_are_removed_unless_a_job_needs_them(settings: Settings) -> None:
    state = settings.state_dir
    waits = jobs.submit(settings, "score", {"file": {"name": "a.csv", "stored": "aaaa.csv"}})
    needed = [aged(state / "uploads" / "aaaa.csv"), aged(state / "tmp" / waits.job_id, folder=True)]
    gone = [
        aged(state / "uploads" / "bbbb.csv"),
        aged(state / "tmp" / "ffff", folder=True),
        aged(state / ".supervisor.x1y2"),
    ]
    young = state / "tmp" / "young"
    young.mkdir()
    state_file = aged(state / "clock.json")
    leftovers.sweep(settings)
    assert all(path.exists() for path in (*needed, young, state_file))
    assert not any(path.exists() for path in gone)


def test_nothing_is_swept_while_the_job_table_cannot_be_read(settings: Settings) -> None:
    left = aged(settings.state_dir / "uploads" / "bbbb.csv")
    (settings.state_dir / "state.db").write_bytes(bytes(range(256)) * 64)
    leftovers.sweep(settings)
    assert left.exists()


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
def test_loose_permissions_are_tightened_and_other_files_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("state/uploads", "logs", "mlruns/1/a", "data/01_raw/x", "backups/y", "own"):
        (home / name).mkdir(parents=True)
    files = [
        "mlflow.db",
        "mlflow.db-wal",
        "state/predictions.db",
        "state/uploads/a.csv",
        "logs/serve-5001.log",
        "mlruns/1/a/MLmodel",
        "data/01_raw/x/rows.parquet",
    ]
    for name in (*files, "own/notes.txt", "data/01_raw/.gitkeep"):
        (home / name).write_text("x")
        (home / name).chmod(0o644)
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("x")
    elsewhere.chmod(0o644)
    (home / "data" / "link.csv").symlink_to(elsewhere)
    for folder in (home, *(path for path in home.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    privacy.tighten(Settings(home=home))
    assert {name: oct(mode(home / name)) for name in files} == dict.fromkeys(files, oct(0o600))
    for name in ("", "state", "state/uploads", "logs", "mlruns/1/a", "data/01_raw", "backups"):
        assert mode(home / name) == 0o700, name
    # files that are not the app's
    assert mode(home / "own" / "notes.txt") == mode(home / "data/01_raw/.gitkeep") == 0o644
    assert mode(elsewhere) == 0o644


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
def test_a_checkout_that_is_the_home_keeps_its_permissions(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".git").mkdir(parents=True)
    (home / "state").mkdir()
    for path in (home, home / "state"):
        path.chmod(0o755)
    privacy.tighten(Settings(home=home))
    assert (mode(home), mode(home / "state")) == (0o755, 0o700)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_what_programs_write_is_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    home, out = tmp_path / "home", tmp_path / "documents.zip"
    home.mkdir()
    settings = Settings(home=home)
    before = os.umask(mask)
    try:
        for words in (["acquire"], ["documents", "--out", str(out)]):
            command = [words[0], "--home", str(home), "--quiet", *words[1:]]
            done = subprocess.run(
                [sys.executable, "-m", "core", *command],
                cwd=CODE_ROOT,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, done.stdout
        supervision.ensure_supervisor(settings, ["--preload="])
        until(lambda: supervision.worker_state(settings).ready, 300)
        supervision.stop_supervisor(settings)
    finally:
        os.umask(before)
    loose = [str(path) for path in home.rglob("*") if path.is_file() and mode(path) & 0o077]
    # created by this test's process, in folders that the worker made private
    private = {path for path in home.iterdir() if path.is_dir() and not mode(path) & 0o077}
    assert not [
        path for path in loose if not any(path.startswith(str(folder)) for folder in private)
    ]
    assert mode(home) == 0o700
    assert mode(home / "mlflow.db") == 0o600
    # the output file is the person's own
    assert mode(out) == 0o666 & ~mask


def test_a_command_leaves_the_umask_as_it_was(settings: Settings, capsys) -> None:
    before = os.umask(0o027)
    try:
        main(["status", "--home", str(settings.home)])
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
