"""The projects of a home: where each lives, how one is created and edited, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import core
from core.platform import project, projects
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, StoreError

RAIN = (CODE_ROOT / "tests" / "rain.toml").read_text(encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def rain(home: Settings) -> Settings:
    return projects.create(home, RAIN)


def test_a_created_project_has_a_home_of_its_own(home: Settings, rain: Settings) -> None:
    assert rain.home == home.home / "projects" / "rain"
    assert rain.mlflow_uri == home.mlflow_uri
    assert (rain.is_nested, rain.outer_home, rain.outer) == (True, home.home, home)
    assert (home.is_nested, home.outer_home, home.outer) == (False, home.home, home)
    assert rain.state_dir.is_relative_to(rain.home)
    assert projects.names(home) == projects.names(rain) == ("kobe", "rain")
    assert (home.of_project("rain"), rain.of_project("kobe")) == (rain, home)


def test_its_settings_are_the_same_however_they_are_reached(home: Settings, rain: Settings) -> None:
    outer = {"COURTSIDE_HOME": str(home.home), "COURTSIDE_PROJECT": "rain"}
    assert Settings.load(outer) == rain
    assert Settings.load(rain.environment()) == rain
    assert Settings.load({**outer, "COURTSIDE_HOME": str(rain.home)}) == rain
    assert Settings(home=home.home, project="rain") == rain
    assert core.load_project(Settings(home=home.home, project="rain")).target == "rained"
    server = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9999"}
    elsewhere = Settings.load({**outer, **server})
    assert (elsewhere.home, elsewhere.mlflow_uri) == (rain.home, "http://127.0.0.1:9999")
    assert elsewhere.outer.tracking_uri == "http://127.0.0.1:9999"
    assert Settings.load({"COURTSIDE_HOME": str(home.home)}) == home


def test_a_home_that_is_merely_called_like_one_is_no_nested_one(tmp_path: Path) -> None:
    path = tmp_path / "projects" / "rain"
    path.mkdir(parents=True)
    settings = Settings(home=path, project="rain")
    assert (settings.is_nested, settings.home, settings.tracking_uri) == (False, path, None)


@pytest.mark.parametrize(
    "name", ["", "../kobe", "Rain", "rain/..", "9rain", "rain\n", "r" * 41, ".rain", "a-b"]
)
def test_no_name_leaves_the_folder_of_projects(name: str, home: Settings, rain: Settings) -> None:
    with pytest.raises(InputError):
        home.of_project(name)
    text = RAIN.replace('name = "rain"', f"name = {name!r}".replace("'", '"'))
    before = sorted(home.home.rglob("*"))
    with pytest.raises(InputError, match="line 3: name:"):
        projects.create(home, text)
    assert sorted(home.home.rglob("*")) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "rain"', 'name = "kobe"', "line 3: name: 'kobe' exists"),
        ('name = "rain"', 'name = "hail"', "line 6: model: rain belongs to another project"),
        ('target = "rained"', 'target = "sun"', "line 7"),
        ('target = "rained"', "target = ", "at line 7"),
        ("[rows]", '[sample]\nabout = "x"\ntables = "x.json"\n[rows]', r"\[sample\] needs code"),
    ],
)
def test_an_unusable_file_is_refused_with_its_line(
    old: str, new: str, said: str, home: Settings, rain: Settings
) -> None:
    text = RAIN.replace(old, new)
    if "sample" in new:
        text = text.replace('"rain"', '"hail"')
    with pytest.raises(InputError, match=said):
        projects.create(home, text)
    assert projects.names(home) == ("kobe", "rain")


def test_a_project_is_there_with_its_file_or_not_at_all(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(StoreError, match="No space left"):
            projects.create(home, RAIN)
    assert list((home.home / "projects").iterdir()) == []
    assert projects.create(home, RAIN).is_nested


def test_an_edit_is_seen_at_once_and_says_what_is_outdated(rain: Settings) -> None:
    assert project.of(rain).title == "Rain"
    assert projects.edit(rain, RAIN.replace('title = "Rain"', 'title = "Wet days"')) == ()
    assert project.of(rain).title == "Wet days"
    threshold = RAIN.replace("threshold = 0.3", "threshold = 0.45")
    assert projects.edit(rain, threshold) == ("train", "serve", "score", "monitor")
    columns = RAIN.replace("max = 1100", "max = 1200")
    assert projects.edit(rain, columns)[:2] == ("acquire", "prepare")
    assert projects.text_of(rain) == columns


def test_a_refused_edit_leaves_the_file(home: Settings, rain: Settings) -> None:
    for text in (RAIN.replace('"rain"', '"hail"'), RAIN + "\n[[\n", RAIN.replace("0.3", "3")):
        with pytest.raises(InputError, match="line"):
            projects.edit(rain, text)
        assert projects.text_of(rain) == RAIN
    with pytest.raises(InputError, match="built-in project can only be reset"):
        projects.edit(home, RAIN)


def test_a_broken_file_hides_no_other_project(home: Settings, rain: Settings) -> None:
    (rain.home / "project.toml").write_text(RAIN.replace("0.3", "3"), encoding="utf-8")
    kobe, broken = projects.listed(home)
    assert (kobe.spec is not None, broken.spec) == (True, None)
    assert "projects/rain/project.toml cannot be used in line" in str(broken.fault)
    assert broken.title == "rain"
    # it can be corrected
    assert projects.edit(rain, RAIN) == projects.CHAIN
    (rain.home / "project.toml").write_text(RAIN.replace('"rain"', '"hail"'), encoding="utf-8")
    with pytest.raises(InputError, match="the name must remain rain"):
        project.of(rain)


def test_an_exported_project_can_be_imported_elsewhere(rain: Settings, tmp_path: Path) -> None:
    other = Settings(home=tmp_path / "other")
    assert project.of(projects.create(other, projects.text_of(rain))) == project.of(rain)


def test_flights_can_be_added_and_its_rows_are_generated(home: Settings) -> None:
    assert projects.examples(home) == ("flights",)
    added = projects.add_example(home, "flights")
    assert (added.home, projects.names(home)) == (
        home.home / "projects" / "flights",
        ("kobe", "flights"),
    )
    spec = project.of(added)
    assert (spec.rows.by, spec.time, spec.sample is not None) == ("date", "scheduled", True)
    assert project.sample_tables("flights")["routes"]
    # the file of an example that was added can be edited: it keeps its sample
    text = projects.text_of(added).replace("Flights from", "Flights off")
    assert projects.edit(added, text) == ()


def test_a_built_in_example_gets_a_nested_home_unless_its_data_is_in_the_outer_one(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("kobe", "rain"):
        text = project.text_of("kobe") if name == "kobe" else RAIN
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(project, "FOLDER", folder)
    assert projects.examples(home) == ("rain",)
    asked = home.model_copy(update={"project": "rain"})
    used = asked.data_dir / "01_raw" / "20260101"
    used.mkdir(parents=True)
    assert projects.settle(asked) == asked
    assert projects.names(asked) == ("rain",)
    used.rmdir()
    settled = projects.settle(asked)
    assert (settled.home, project.of(settled).name) == (home.home / "projects" / "rain", "rain")
    assert projects.settle(home) == home
    assert projects.examples(home) == ()
    with pytest.raises(InputError, match="Choose from: kobe and rain"):
        projects.settle(home.model_copy(update={"project": "hail"}))
