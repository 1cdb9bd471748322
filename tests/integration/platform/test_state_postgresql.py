"""The state in PostgreSQL: a schema for each project, set aside with it."""

from pathlib import Path

import pytest

from core.platform import projects, state, store_faults
from core.platform.config import Settings
from core.runtime import project_homes
from tests.postgresql import Server


def test_a_project_takes_its_state_along(postgresql: Server, settings: Settings) -> None:
    address = postgresql.new_database("of_projects")
    outer = Settings(home=settings.home, state_url=address)
    project = projects.add_example(outer, "flights")
    state.save(outer, "name", "outer")
    state.save(project, "name", "flights")
    before = state.version(project)
    state.save(project, "name", "flights again")
    assert state.version(project) != before

    backup = project_homes.delete(project, "flights")
    project = projects.add_example(outer, "flights")
    assert state.load(project, "name") is None
    project_homes.delete(project, "flights")
    restored = project_homes.restore(outer, backup.name)
    assert state.load(restored, "name") == "flights again"
    assert state.load(outer, "name") == "outer"


def test_a_wrong_password_is_not_shown(postgresql: Server, tmp_path: Path) -> None:
    address = postgresql.url().replace("s3cret", "guess")
    with pytest.raises(store_faults.StoreError) as refused:
        state.load(Settings(home=tmp_path, state_url=address), "name")
    assert "COURTSIDE_STATE_URL" in str(refused.value)
    assert "guess" not in str(refused.value)
