"""Two projects in one home: their jobs run side by side, and one is deleted and restored."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.data import acquire, prepare, snapshots
from core.jobs import jobs, supervision
from core.monitoring import alerts
from core.platform import model_store, projects, state, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, JobError, StoreError
from core.runtime import backup, commands, project_homes
from core.training import train
from tests.conftest import copy_home
from tests.integration.jobs.test_jobs import PLAIN, ended, running, stop
from tests.integration.pages.test_second_project import days

RAIN = (CODE_ROOT / "tests" / "rain.toml").read_text(encoding="utf-8")


def contents(home: Path) -> dict[str, bytes]:
    """Return the files of a home, except those about living processes."""
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not {"state", "projects", "backups"} & {*path.relative_to(home).parts}
    }


@pytest.fixture
def home(acquired_few: Settings, tmp_path: Path) -> Settings:
    return copy_home(acquired_few, tmp_path / "home")


@pytest.fixture
def rain(home: Settings, tmp_path: Path) -> Settings:
    settings = projects.create(home, RAIN)
    days().to_csv(tmp_path / "days.csv", index=False)
    acquire.run(settings, acquire.Options(source="file", path=tmp_path / "days.csv"))
    return settings


@pytest.fixture
def trained(rain: Settings) -> Settings:
    prepare.run(rain, prepare.Options())
    train.run(rain, train.Options(candidates=("lr",), folds=2))
    return rain


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Settings, Settings]]:
    outer = Settings(home=tmp_path / "home")
    inner = projects.create(outer, RAIN)
    yield outer, inner
    for each in (inner, outer):
        stop(each)


def test_jobs_of_two_projects_run_side_by_side(both: tuple[Settings, Settings]) -> None:
    outer, inner = both
    for each in both:
        supervision.ensure_supervisor(each, PLAIN)
    begun = [jobs.submit(each, "train", {"do": "wait", "until": "go"}) for each in both]
    # both at once, each with its own worker and table
    for each, job in zip(both, begun, strict=True):
        running(each, job)
        assert [known.job_id for known in jobs.active(each)] == [job.job_id]
    pids = {supervision.worker_state(each).pid for each in both}
    assert len(pids) == 2
    # the signal is a file in the home: the other job does not see it
    (inner.home / "go").touch()
    ended(inner, begun[1])
    assert [job.job_id for job in jobs.active(outer)] == [begun[0].job_id]
    with pytest.raises(JobError):
        backup.ask(outer)
    (outer.home / "go").touch()
    ended(outer, begun[0])


def test_they_share_nothing_but_the_store(home: Settings, trained: Settings) -> None:
    before = contents(home.home)
    first, second = snapshots.current(home), snapshots.current(trained)
    assert first is not None
    assert second is not None
    assert (first.rows, second.rows) == (800, 700)
    ran = {each.project: {run.name for run in tracking.runs(each)} for each in (home, trained)}
    assert ran["kobe"] == {"AquisicaoDados"}
    assert {"AquisicaoDados", "PreparacaoDados", "Treinamento"} <= ran["rain"]
    experiments = [tracking.runs(each)[0].experiment_id for each in (home, trained)]
    assert len({*experiments}) == 2
    assert model_store.versions(home, "rain")
    artifact = tracking.artifact(trained, tracking.runs(trained)[-1].run_id, "settings.json")
    assert artifact.is_relative_to(trained.home)
    state.save(trained, "policy", {"of": "rain"})
    assert state.load(home, "policy") is None
    assert alerts.open_alerts(home) == alerts.open_alerts(trained) == []
    # the first home's files are as if there were no other project
    prepare.run(home, prepare.Options())
    after = contents(home.home)
    assert all(after[name] == before[name] for name in before if "mlflow.db" not in name)


def test_a_deleted_project_is_in_its_backup_and_comes_back(
    home: Settings, trained: Settings
) -> None:
    before, kobe = contents(trained.home), contents(home.home)
    newest = tracking.last_run(trained, "train")
    assert newest is not None
    with pytest.raises(InputError, match="Type rain to confirm"):
        project_homes.delete(trained, "Rain")
    deleted = project_homes.delete(trained, "rain")
    assert project_homes.deleted(home) == (deleted,)
    assert projects.names(home) == ("kobe",)
    assert list((home.home / "projects").iterdir()) == []
    after = contents(home.home)
    assert all(after[name] == kobe[name] for name in kobe if "mlflow.db" not in name)
    with zipfile.ZipFile(home.home / "backups" / deleted.name) as packed:
        assert {f"home/{name}" for name in before} <= {*packed.namelist()}
    # the names are free: a new project of that name begins empty
    again = projects.create(home, RAIN)
    assert tracking.runs(again) == []
    assert model_store.versions(again, "rain") == []
    with pytest.raises(InputError, match="'rain' exists"):
        project_homes.restore(home, deleted.name)
    second = project_homes.delete(again, "rain")
    assert len({backup.name for backup in project_homes.deleted(home)}) == 2

    restored = project_homes.restore(home, deleted.name)
    assert restored == trained
    assert contents(restored.home) == before
    assert tracking.last_run(restored, "train") == newest
    champion = model_store.require_version(restored, "rain", model_store.CHAMPION)
    assert champion.run_id == newest.run_id or champion.version == "1"
    assert tracking.table(restored, champion.run_id, "test_predictions").shape[0] > 0
    assert [backup.name for backup in project_homes.deleted(home)] == [second.name]


def test_a_project_with_a_job_under_way_is_neither_deleted_nor_edited(rain: Settings) -> None:
    jobs.submit(rain, "prepare", {})
    with pytest.raises(JobError, match="under way"):
        project_homes.delete(rain, "rain")
    with pytest.raises(JobError, match="under way"):
        project_homes.edit(rain, RAIN)
    assert rain.is_nested


def test_a_store_that_fails_leaves_the_project(
    rain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(rain.home)

    def down(*_: object) -> None:
        raise StoreError("The store does not answer.")

    monkeypatch.setattr(project_homes.mlflow_client, "archive_experiment", down)
    with pytest.raises(StoreError, match="does not answer"):
        project_homes.delete(rain, "rain")
    assert contents(rain.home) == before
    assert project_homes.deleted(rain) == ()
    assert [path.name for path in rain.home.parent.iterdir()] == ["rain"]


def test_the_built_in_project_is_not_deleted(home: Settings) -> None:
    with pytest.raises(InputError, match="built-in project can only be reset"):
        project_homes.delete(home, "kobe")


@pytest.mark.parametrize("name", ["../state.db", "rain.zip", "rain-20260101T000000Z.zip"])
def test_only_a_listed_backup_is_restored(name: str, home: Settings) -> None:
    with pytest.raises(InputError, match="does not exist"):
        project_homes.restore(home, name)


def test_a_backup_writes_nothing_outside_its_project(home: Settings) -> None:
    path = home.home / "backups" / "rain-20260101T000000Z.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(
            "backup.json", '{"project": "rain", "model": null, "experiment": "1", "stamp": "x"}'
        )
        packed.writestr("home/project.toml", RAIN)
        packed.writestr("home/../../../stolen", "x")
    with pytest.raises(StoreError, match="cannot be used"):
        project_homes.restore(home, path.name)
    assert not list(home.home.parent.rglob("stolen"))
    assert projects.names(home) == ("kobe",)
    path.write_bytes(b"no zip")
    with pytest.raises(StoreError, match="cannot be used"):
        project_homes.restore(home, path.name)


def test_an_edit_names_the_steps_that_were_run(rain: Settings) -> None:
    columns = RAIN.replace("max = 1100", "max = 1200")
    assert project_homes.edit(rain, columns) == ("acquire",)
    assert project_homes.edit(rain, columns.replace("0.3", "0.4")) == ()


def test_a_reset_moves_all_projects_and_restores_them(home: Settings, rain: Settings) -> None:
    with pytest.raises(InputError, match="whole home"):
        backup.now(rain)
    before = contents(rain.home)
    name = backup.now(home)
    assert projects.names(home) == ("kobe",)
    backup.now(home, restore=name)
    assert projects.names(home) == ("kobe", "rain")
    assert contents(rain.home) == before
    assert tracking.last_run(rain, "acquire") is not None


def test_the_commands_take_a_project(
    home: Settings, rain: Settings, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def said(*words: str) -> str:
        assert commands.main([*words, "--quiet"]) == 0
        return capsys.readouterr().out

    outer = ("--home", str(home.home))
    assert '"project": "Rain"' in said(*outer, "--project", "rain", "status")
    assert '"project": "Rain"' in said("status", *outer, "--project=rain")
    assert "Kobe" in said("status", *outer)
    answer = said("--project=rain", "prepare", *outer)
    assert "&project=rain" in answer
    assert rain.data_dir.joinpath("05_model_input").is_dir()
    assert '"name": "rain"' in said("projects", *outer)
    file = tmp_path / "hail.toml"
    file.write_text(RAIN.replace('"rain"', '"hail"'), encoding="utf-8")
    assert '"added": "hail"' in said("projects", "--add", str(file), *outer)
    assert commands.main(["projects", "--delete", "hail", "--quiet", *outer]) == 1
    assert "`--delete` needs `--yes`" in capsys.readouterr().out
    answer = said("projects", "--delete", "hail", "--yes", *outer)
    (deleted,) = project_homes.deleted(home)
    assert deleted.name in answer
    assert '"restored": "hail"' in said("projects", "--restore", deleted.name, *outer)
    assert commands.main(["status", "--project", "snow", "--quiet", *outer]) == 1
    assert "'snow' does not exist" in capsys.readouterr().out
