"""The index of runs: what it holds, and how it follows the store."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from core.platform import run_index, state
from core.platform.config import Settings
from core.platform.run_index import Wanted
from core.platform.run_tags import Condition
from core.platform.runs import RunInfo


def run(name: str, *, started: float = 1.0, status: str = "FINISHED", **tags: str) -> RunInfo:
    given = {f"courtside.{key}": value for key, value in tags.items()}
    return RunInfo(
        name, "1", "Treinamento", status, started, None, {"source": "row"}, {"f1": 0.5}, given
    )


class Store:
    """A store of runs whose file changes with each write, and what was asked of it."""

    def __init__(self, settings: Settings) -> None:
        self.runs: dict[str, RunInfo] = {}
        self.deleted: dict[str, RunInfo] = {}
        self.asked: list[str] = []
        self.file = sqlite3.connect(settings.mlflow_uri.removeprefix("sqlite:///"))
        self.file.execute("CREATE TABLE writes (at)")

    def put(self, *runs: RunInfo) -> None:
        self.runs |= {each.run_id: each for each in runs}
        self.changed()

    def changed(self) -> None:
        self.file.execute("INSERT INTO writes VALUES (1)")
        self.file.commit()

    def search(self, matching: str, view: Literal["active", "deleted"]) -> Iterable[RunInfo]:
        self.asked.append(f"{view} {matching}".strip())
        if view == "deleted":
            return [*self.deleted.values()]
        if since := re.search(r"start_time > (\d+)", matching):
            return [each for each in self.runs.values() if each.started * 1000 > int(since[1])]
        if matching:
            return [
                self.runs[name] for name in re.findall(r"'(\w+)'", matching) if name in self.runs
            ]
        return [*self.runs.values()]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "state").mkdir()
    return Settings(home=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings)


def names(settings: Settings, *, with_deleted: bool = False, **wanted: object) -> list[str]:
    chosen = Wanted(**wanted)  # type: ignore[arg-type]
    runs = run_index.select(settings, chosen, limit=10, with_deleted=with_deleted)
    return [each.run_id for each in runs]


def test_a_run_comes_back_as_it_was_written(settings: Settings) -> None:
    written = run("a", step="train", note='with "quotes" and é')
    run_index.write(settings, written)
    assert run_index.select(settings, Wanted(), limit=1) == [written]


def test_a_metric_that_is_no_finite_number_is_left_out(settings: Settings) -> None:
    run_index.write(settings, replace(run("a"), metrics={"f1": 0.5, "psi": float("nan")}))
    (kept,) = run_index.select(settings, Wanted(), limit=1)
    assert kept.metrics == {"f1": 0.5}


def test_runs_are_chosen_newest_first(settings: Settings) -> None:
    for each in (
        run("a", started=1, step="train", version="1"),
        run("b", started=3, step="train", version="2"),
        run("c", started=2, step="score", status="FAILED"),
        replace(run("d", started=4, step="train"), tags={"mlflow.parentRunId": "b"}),
    ):
        run_index.write(settings, each)
    assert names(settings) == ["d", "b", "c", "a"]
    assert names(settings, step="train") == ["b", "a"]
    assert names(settings, step="train", name="Treinamento") == ["b", "a"]
    assert names(settings, step="train", name="Explicacao") == []
    assert names(settings, status="FAILED") == ["c"]
    assert names(settings, parent="b") == ["d"]
    assert names(settings, ids=["a", "c", "z"]) == ["c", "a"]
    assert names(settings, matching=(Condition("tags", "courtside.version", "2"),)) == ["b"]
    # a run without the tag has no other value of it, as in MLflow
    other = Condition("tags", "courtside.version", "2", "!=")
    assert names(settings, matching=(other,)) == ["a"]
    assert names(settings, matching=(Condition("params", "source", "row", "!="),)) == []


def test_a_first_comparison_brings_all_runs_and_later_ones_only_what_is_new(
    settings: Settings, store: Store
) -> None:
    store.put(run("a"), run("b", started=2))
    assert run_index.refresh(settings, store.search)
    assert names(settings) == ["b", "a"]
    store.asked.clear()
    assert run_index.refresh(settings, store.search)
    assert store.asked == []
    store.put(run("c", started=4e9))
    run_index.refresh(settings, store.search)
    assert names(settings) == ["c", "b", "a"]
    assert [asked.split(">")[0] for asked in store.asked] == [
        "active attributes.start_time ",
        "deleted",
    ]


def test_an_open_run_is_followed_to_its_end(settings: Settings, store: Store) -> None:
    store.put(run("a", status="RUNNING"))
    run_index.refresh(settings, store.search)
    store.put(run("a", status="FAILED", error="it broke"))
    run_index.refresh(settings, store.search)
    (kept,) = run_index.select(settings, Wanted(), limit=1)
    assert (kept.status, kept.tags["courtside.error"]) == ("FAILED", "it broke")


def test_deleted_restored_and_removed_runs(settings: Settings, store: Store) -> None:
    store.put(run("a"), run("b"))
    run_index.refresh(settings, store.search)
    store.deleted["a"] = store.runs.pop("a")
    store.changed()
    run_index.refresh(settings, store.search)
    assert names(settings) == ["b"]
    assert names(settings, with_deleted=True) == ["a", "b"]
    store.put(store.deleted.pop("a"))
    run_index.refresh(settings, store.search)
    assert names(settings) == ["a", "b"]
    store.deleted["a"] = store.runs.pop("a")
    store.changed()
    run_index.refresh(settings, store.search)
    # as `mlflow gc` does
    del store.deleted["a"]
    store.changed()
    run_index.refresh(settings, store.search)
    assert names(settings, with_deleted=True) == ["b"]


def test_a_lost_index_is_built_again(settings: Settings, store: Store) -> None:
    store.put(run("a"))
    run_index.refresh(settings, store.search)
    state.close(settings)
    state.path(settings).unlink()
    assert run_index.refresh(settings, store.search)
    assert names(settings) == ["a"]


def test_another_process_sees_what_one_has_written(settings: Settings, store: Store) -> None:
    store.put(run("a"))
    run_index.refresh(settings, store.search)
    code = (
        "import sys; from pathlib import Path; from core.platform import run_index;"
        "from core.platform.config import Settings;"
        "print(*[each.run_id for each in run_index.select("
        "Settings(home=Path(sys.argv[1])), run_index.Wanted(), limit=9)])"
    )
    command = [sys.executable, "-c", code, str(settings.home)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == [
        "a"
    ]


def test_projects_and_stores_are_kept_apart(settings: Settings) -> None:
    run_index.write(settings, run("a"))
    other = settings.model_copy(update={"tracking_uri": "http://127.0.0.1:5000"})
    assert names(other) == []
    assert names(settings.model_copy(update={"project": "flights"})) == []


@pytest.mark.skipif(os.getuid() == 0, reason="an administrator can write everywhere")
def test_a_home_that_cannot_be_written_has_the_index_that_it_had(
    settings: Settings, store: Store
) -> None:
    store.put(run("a"))
    settings.state_dir.chmod(0o500)
    try:
        assert not run_index.refresh(settings, store.search)
    finally:
        settings.state_dir.chmod(0o700)
