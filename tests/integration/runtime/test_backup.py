"""Reset and restore: everything is moved, nothing is lost, and an interrupted reset continues."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.data import acquire
from core.jobs import jobs, supervision
from core.platform import state, storage, tracking
from core.platform.config import Settings
from core.platform.errors import JobError, StoreError
from core.runtime import backup
from tests.conftest import copy_home


@pytest.fixture
def home(acquired_few: Settings, tmp_path: Path) -> Settings:
    settings = copy_home(acquired_few, tmp_path / "home")
    (settings.data_dir / "01_raw" / ".gitkeep").touch()
    return settings


def contents(settings: Settings) -> dict[str, bytes]:
    """Return the app's own files of a home, except those about living processes."""
    return {
        path.relative_to(settings.home).as_posix(): path.read_bytes()
        for path in sorted(settings.home.rglob("*"))
        if path.is_file() and not {"backups", "state"} & set(path.relative_to(settings.home).parts)
    }


def test_a_reset_leaves_an_empty_home_and_keeps_all_in_a_backup(home: Settings) -> None:
    before, size = contents(home), backup.size(home)
    name = backup.now(home)
    assert set(contents(home)) == {"data/01_raw/.gitkeep"}
    (stored,) = backup.listed(home)
    assert (stored.name, stored.size >= size > 0) == (name, True)
    folder = home.home / "backups" / name
    moved = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "state" not in path.relative_to(folder).parts
    }
    assert moved == {
        path: content for path, content in before.items() if not path.endswith(".gitkeep")
    }


def test_the_state_is_restored_completely_and_the_newer_one_is_kept(home: Settings) -> None:
    state.save(home, "policy", {"of": "before"})
    first = backup.now(home)
    assert state.load(home, "policy") is None
    state.save(home, "policy", {"of": "since"})
    second = backup.now(home, restore=first)
    assert state.load(home, "policy") == {"of": "before"}
    backup.now(home, restore=second)
    assert state.load(home, "policy") == {"of": "since"}


def test_a_restored_backup_is_unchanged(home: Settings, store_template: Path) -> None:
    before = contents(home)
    run = tracking.last_run(home, "acquire")
    first = backup.now(home)
    (home.data_dir / "01_raw" / "later.txt").write_text("what came since", encoding="utf-8")
    second = backup.now(home, restore=first)
    assert contents(home) == before
    assert [entry.name for entry in backup.listed(home)] == [second]
    assert (home.home / "backups" / second / "data" / "01_raw" / "later.txt").is_file()
    # the same runs, at the same place
    assert run is not None
    assert tracking.run(home, run.run_id) == run
    assert len(tracking.table(home, run.run_id, "files")) == 1


def test_the_app_goes_on_from_an_empty_home(home: Settings, few_file: Path) -> None:
    backup.now(home)
    options = acquire.Options(source="file", path=few_file)
    # as the restarted app would: this process still knows the old store by its path
    settings = home.model_copy(update={"tracking_uri": f"sqlite:///{home.home / 'new.db'}"})
    assert acquire.run(settings, options).rows == 800


@pytest.mark.parametrize("last", ["", "mlflow.db", "state"])
def test_an_interrupted_reset_continues(
    home: Settings, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(home)
    jobs.latest(home)  # creates the table of jobs
    name = backup.ask(home)
    real = backup._move

    def move(path: Path, target: Path) -> None:
        if last:
            real(path, target)
        if path.name == last or not last:
            raise KeyboardInterrupt

    monkeypatch.setattr(backup, "_move", move)
    with pytest.raises(KeyboardInterrupt):
        backup.finish(home)
    monkeypatch.setattr(backup, "_move", real)
    state.save(home, "policy", {})  # a new database, where the old one was moved away
    assert backup.finish(home) == name
    assert backup.finish(home) is None
    assert set(contents(home)) == {"data/01_raw/.gitkeep"}
    backup.now(home, restore=name)
    assert contents(home) == before


def test_while_a_job_waits_nothing_is_moved(home: Settings) -> None:
    before = contents(home)
    job = jobs.submit(home, "prepare", {})
    with pytest.raises(JobError, match="A job is under way"):
        backup.now(home)
    jobs.cancel(home, job.job_id)
    assert (contents(home), backup.listed(home)) == (before, ())


def test_while_the_app_is_open_only_its_page_resets(home: Settings) -> None:
    supervision.beat(home)
    with pytest.raises(JobError, match="The app is open"):
        backup.now(home)


@pytest.mark.parametrize("name", ["20200101T000000Z", "../data", ""])
def test_only_a_backup_that_exists_is_restored(home: Settings, name: str) -> None:
    with pytest.raises(StoreError, match=r"does not exist\. Reload"):
        backup.ask(home, name)
    assert storage.read_json(home.home / "reset.json") is None


def test_data_elsewhere_is_reported(home: Settings) -> None:
    assert backup.untouched(home) == ()
    elsewhere = home.model_copy(
        update={
            "tracking_uri": "http://127.0.0.1:5000",
            "predictions_url": "postgresql+psycopg://a:b@host/c",
        }
    )
    texts = backup.untouched(elsewhere)
    assert len(texts) == 2
    assert "b@host" not in " ".join(map(str, texts))
