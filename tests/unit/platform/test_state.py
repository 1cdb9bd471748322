"""The state of a home: one database, for many threads and processes."""

import sqlite3
import threading
from pathlib import Path

import pytest

from core.platform import state, store_faults
from core.platform.config import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_a_document_is_kept_replaced_and_removed(settings: Settings) -> None:
    assert state.load(settings, "policy") is None
    assert not state.path(settings).exists()  # reading alone makes no file
    state.save(settings, "policy", {"at": [1, 2.5, None]})
    assert state.load(settings, "policy") == {"at": [1, 2.5, None]}
    state.save(settings, "policy", "another")
    assert state.load(settings, "policy") == "another"
    state.save(settings, "policy", None)
    assert state.load(settings, "policy") is None
    assert state.path(settings).stat().st_mode & 0o777 == 0o600


def test_a_transaction_that_fails_writes_nothing(settings: Settings) -> None:
    state.save(settings, "policy", 1)

    def fail() -> None:
        with state.transaction(settings) as connection:
            state.keep_document(connection, "policy", 2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert state.load(settings, "policy") == 1


def test_each_write_changes_the_version(settings: Settings) -> None:
    assert state.version(settings) == (-1, 0)
    state.save(settings, "policy", 1)
    before = state.version(settings)
    assert state.version(settings) == before
    state.save(settings, "policy", 2)
    assert state.version(settings) != before


def test_opening_waits_for_a_writer(settings: Settings) -> None:
    """Also when a table is missing, which the opening process then creates."""
    state.save(settings, "policy", 1)
    state.close(settings)
    with sqlite3.connect(state.path(settings), isolation_level=None) as other:
        other.execute("DROP TABLE documents")
        other.execute("CREATE TABLE elsewhere (x)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO elsewhere VALUES (1)")
        errors: list[Exception] = []

        def write() -> None:
            try:
                state.save(settings, "policy", 2)
            except store_faults.StoreError as error:
                errors.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()
        assert errors == []
        other.execute("COMMIT")
        writer.join(state.WAIT_SECONDS)
    other.close()
    assert errors == []
    assert state.load(settings, "policy") == 2


def test_a_replaced_file_is_the_one_that_is_read(settings: Settings, tmp_path: Path) -> None:
    state.save(settings, "policy", "of the first")
    state.close(settings)
    place = state.path(settings)
    first = place.rename(tmp_path / "first.db")
    state.save(settings, "policy", "of the second")
    state.close(settings)
    first.replace(place)
    assert state.load(settings, "policy") == "of the first"


def test_a_document_that_is_not_json_is_damaged(settings: Settings) -> None:
    state.save(settings, "policy", 1)
    with sqlite3.connect(state.path(settings)) as other:
        other.execute("UPDATE documents SET body = '{'")
    other.close()
    with pytest.raises(store_faults.DamagedError):
        state.load(settings, "policy")
