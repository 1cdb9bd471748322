"""Several projects in one app: the switch, what stays apart, and the page Projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from core.data import acquire
from core.jobs import jobs
from core.platform import project, projects, tracking
from core.platform.config import CODE_ROOT, Settings
from core.runtime import project_homes
from pages.projects import editor
from tests.conftest import copy_home
from tests.integration.pages.test_second_project import days

RAIN = (CODE_ROOT / "tests" / "rain.toml").read_text(encoding="utf-8")


def go(app: AppTest, page: str) -> AppTest:
    """Open another page in the same session, as its link does."""
    app._page_hash = calc_hash(page)
    return app.run()


def sidebar(app: AppTest) -> str:
    return "\n".join(str(caption.value) for caption in app.sidebar.caption)


@pytest.fixture
def home(acquired_few: Settings, tmp_path: Path) -> Settings:
    return copy_home(acquired_few, tmp_path / "home")


@pytest.fixture
def rain(home: Settings) -> Settings:
    return projects.create(home, RAIN)


@pytest.fixture
def filled(rain: Settings, tmp_path: Path) -> Settings:
    days().to_csv(tmp_path / "days.csv", index=False)
    acquire.run(rain, acquire.Options(source="file", path=tmp_path / "days.csv"))
    return rain


def test_with_one_project_there_is_no_switch(
    home: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, "overview")
    assert not app.exception
    assert not app.sidebar.selectbox
    assert [link.label for link in app.sidebar.get("page_link")] == ["New project"]
    assert "project" not in app.query_params


def test_the_switch_opens_the_other_project(
    home: Settings, rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, "train")
    (switch,) = app.sidebar.selectbox
    assert switch.options == ["Kobe Bryant's shots", "Rain"]
    assert "Does the shot go in?" in sidebar(app)
    assert app.query_params["project"] == "kobe"
    app = switch.select("rain").run()
    assert not app.exception
    assert app.title[0].value == "Overview"
    assert "Does it rain tomorrow?" in sidebar(app)
    assert app.query_params["project"] == "rain"
    # a link to another page names no project: the session keeps it
    del app.query_params["project"]
    app = go(app, "data")
    assert "Does it rain tomorrow?" in sidebar(app)
    assert app.query_params["project"] == "rain"


@pytest.mark.parametrize("page", ["overview", "train", "monitor", "documents", "runs"])
def test_an_address_opens_its_project(
    page: str, home: Settings, rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, page, project="rain")
    assert not app.exception
    assert not app.error
    assert "Does it rain tomorrow?" in sidebar(app)
    assert app.query_params["project"] == "rain"


def test_an_address_of_no_project_is_reported(
    home: Settings, rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, "overview", project="../snow")
    assert [warning.value for warning in app.warning] == ["'…' does not exist."]
    assert "Does the shot go in?" in sidebar(app)


def test_forms_belong_to_their_project_and_come_back_with_it(
    home: Settings, filled: Settings, open_page: Callable[..., AppTest]
) -> None:
    def at_prepare(app: AppTest) -> AppTest:
        app.query_params["view"] = "prepare"
        return go(app, "data")

    app = open_page(home, "data?view=prepare")
    usual = app.number_input(key="split-seed").value
    app.number_input(key="split-seed").set_value(7).run()
    app = at_prepare(app.sidebar.selectbox[0].select("rain").run())
    assert not app.exception
    assert app.number_input(key="split-seed").value == usual
    app.number_input(key="split-seed").set_value(8).run()
    app = at_prepare(app.sidebar.selectbox[0].select("kobe").run())
    assert app.number_input(key="split-seed").value == 7
    app = at_prepare(app.sidebar.selectbox[0].select("rain").run())
    assert app.number_input(key="split-seed").value == 8


def test_a_job_of_one_project_is_not_shown_in_the_other(
    home: Settings, rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    jobs.submit(home, "acquire", {"source": "sample"})
    assert any("Queued" in bar.text for bar in open_page(home, "data?view=source").progress)
    app = open_page(home, "data?view=source", project="rain")
    assert not app.exception
    assert not app.progress
    assert "The worker starts when the first job is submitted" in sidebar(app)
    jobs.submit(rain, "acquire", {"source": "sample"})
    assert "Worker is starting" in sidebar(open_page(home, "overview", project="rain"))


def test_a_run_of_one_project_is_not_shown_in_the_other(
    home: Settings, filled: Settings, open_page: Callable[..., AppTest]
) -> None:
    acquired = tracking.last_run(filled, "acquire")
    assert acquired is not None
    app = open_page(home, "runs", project="rain", run=acquired.run_id)
    assert not app.exception
    assert not app.error
    app = open_page(home, "runs", project="kobe", run=acquired.run_id)
    assert app.error[0].value == f"'{acquired.run_id}' does not exist."


def test_the_page_lists_the_projects_with_their_state(
    home: Settings, filled: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, "projects", view="list")
    assert not app.exception
    assert not app.error
    text = "\n".join(str(element.value) for element in app.markdown)
    assert text.count("Acquire: done") == 2
    keys = {button.key for button in app.button}
    assert {"open-rain", "edit-rain", "delete-rain"} <= keys
    assert not {"open-kobe", "edit-kobe", "delete-kobe"} & keys
    app = app.button(key="open-rain").click().run()
    assert app.title[0].value == "Overview"
    assert "Does it rain tomorrow?" in sidebar(app)


def test_a_file_is_imported(
    home: Settings, open_page: Callable[..., AppTest], tmp_path: Path
) -> None:
    app = open_page(home, "projects", view="new")
    assert not app.exception
    app.file_uploader(key="new-file").upload("rain.toml", RAIN.replace("0.3", "3").encode())
    app = app.run()
    assert "rain.toml cannot be used in line 12" in app.error[0].value
    app.file_uploader(key="new-file").upload("rain.toml", RAIN.encode())
    app = app.run()
    assert not app.error
    app = app.button(key="new-create").click().run()
    assert projects.names(home) == ("kobe", "rain")
    assert "Does it rain tomorrow?" in sidebar(app)


def test_a_file_is_edited_and_a_mistake_has_its_line(
    home: Settings, filled: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, "projects", view="list")
    app = app.button(key="edit-rain").click().run()
    text = app.text_area(key="edited-text-rain")
    assert text.value == RAIN
    text.set_value(RAIN.replace("threshold = 0.3", "threshold = 3"))
    app = app.button(key="save").click().run()
    assert "in line 12" in app.error[0].value
    assert ">   12  threshold = 3" in app.code[0].value
    assert projects.text_of(filled) == RAIN
    changed = RAIN.replace("max = 1100", "max = 1200")
    app.text_area(key="edited-text-rain").set_value(changed)
    app = app.button(key="save").click().run()
    assert not app.error
    assert projects.text_of(filled) == changed
    assert any("Run Acquire again." in warning.value for warning in app.warning)


def test_a_project_is_deleted_after_its_name_was_typed_and_restored(
    home: Settings, rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(home, "projects", view="list", project="rain")
    app = app.button(key="delete-rain").click().run()
    assert app.button(key="delete-project").disabled
    app.text_input(key="confirm-delete").set_value("rain")
    app = app.run()
    app = app.button(key="delete-project").click().run()
    assert not app.exception
    assert projects.names(home) == ("kobe",)
    assert "Does the shot go in?" in sidebar(app)
    (backup,) = project_homes.deleted(home)
    app.query_params["view"] = "list"
    app = go(app, "projects")
    app = app.button(key=f"restore-{backup.name}").click().run()
    assert projects.names(home) == ("kobe", "rain")
    assert "Does it rain tomorrow?" in sidebar(app)


def test_the_project_of_the_start_is_not_deleted(
    rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    app = open_page(rain, "projects", view="list")
    app = app.button(key="delete-rain").click().run()
    assert "The app was started with this project" in app.info[0].value
    assert rain.is_nested


def test_a_broken_file_can_be_repaired_in_the_app(
    home: Settings, rain: Settings, open_page: Callable[..., AppTest]
) -> None:
    (rain.home / "project.toml").write_text(RAIN.replace("0.3", "3"), encoding="utf-8")
    app = open_page(home, "train", project="rain")
    assert not app.exception
    assert "in line 12" in app.error[0].value
    assert not app.title
    assert any("Go to Projects" in link.label for link in app.get("page_link"))
    app = open_page(home, "projects", view="list", project="rain")
    assert not app.exception
    app = app.button(key="edit-rain").click().run()
    app.text_area(key="edited-text-rain").set_value(RAIN)
    app = app.button(key="save").click().run()
    assert project.of(rain).title == "Rain"


def test_the_line_of_a_mistake_in_the_syntax_is_known() -> None:
    with pytest.raises(project.InputError) as caught:
        project.parse('name = "a"\ntitle = \n')
    assert editor.line_of(caught.value) == 2
