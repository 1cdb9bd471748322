"""The index of runs gives the answers of MLflow's own search, whatever happens to either."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from core.platform import mlflow_client, run_index, state, steps, tracking
from core.platform.config import CODE_ROOT, Options, Settings
from core.platform.errors import InputError
from core.platform.run_record import SILENT
from core.platform.run_tags import Condition
from core.platform.runs import ChampionMove, EveryRun
from tests.postgresql import Server

QUESTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"with_deleted": True},
    {"limit": 2},
    {"status": "RUNNING"},
    {"step": "score", "status": "FINISHED"},
    {"step": "score", "matching": [Condition("params", "source", "row")]},
    {"step": "score", "matching": [Condition("params", "source", "row", "!=")]},
    {"matching": ChampionMove.where(champion_of="kobe"), "with_deleted": True},
    {"matching": EveryRun.where(step="train")},
    *({"step": step, "status": None} for step in steps.RUN_NAMES),
)


class Source(Options):
    source: str = "row"


@pytest.fixture
def home(settings: Settings) -> Settings:
    """A home with a state database and runs of several steps, one of them failed."""
    state.save(settings, "any", 1)
    _fill(settings)
    return settings


def _fill(settings: Settings) -> None:
    for source in ("row", "production"):
        with tracking.step_run(settings, "score", Source(source=source), SILENT):
            pass
    with tracking.step_run(settings, "train", Options(), SILENT) as run_id:
        with tracking.child_run(settings, "candidate", SILENT):
            pass
        tracking.set_tags(settings, run_id, ChampionMove(champion_of="kobe").write())
    with pytest.raises(InputError), tracking.step_run(settings, "prepare", Options(), SILENT):
        raise InputError("no rows")


def _answers(settings: Settings) -> list[list[tracking.RunInfo]]:
    return [tracking.runs(settings, **question) for question in QUESTIONS]


def _searched(settings: Settings) -> list[list[tracking.RunInfo]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_index, "refresh", lambda *_: False)
        return _answers(settings)


def _ids(settings: Settings, **wanted: Any) -> list[str]:
    return [run.run_id for run in tracking.runs(settings, **wanted)]


def test_answers_are_those_of_a_search(home: Settings) -> None:
    assert len(_ids(home)) == 5
    assert _answers(home) == _searched(home)
    with tracking.step_run(home, "train", Options(), SILENT) as run_id:
        assert _ids(home, status="RUNNING") == [run_id]
        assert _answers(home) == _searched(home)
    assert _ids(home, status="RUNNING") == []
    assert _answers(home) == _searched(home)


def test_outside_changes_are_noticed(home: Settings) -> None:
    newest, *_others = _ids(home, step="score")
    client = mlflow_client.client(home)
    client.delete_run(newest)
    assert newest not in _ids(home)
    assert _answers(home) == _searched(home)
    client.restore_run(newest)
    assert newest in _ids(home)
    foreign = client.create_run(mlflow_client.experiment_id(home), run_name="by hand")
    assert foreign.info.run_id in _ids(home, status="RUNNING")
    client.set_tag(foreign.info.run_id, "note", "mine")
    client.set_terminated(foreign.info.run_id)
    assert _answers(home) == _searched(home)


def test_an_end_that_the_index_missed(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run_index, "write", lambda *_: None)
        with tracking.step_run(home, "score", Source(), SILENT) as run_id:
            assert _ids(home, status="RUNNING") == [run_id]
    assert _ids(home, step="score", status="FINISHED")[0] == run_id
    assert _answers(home) == _searched(home)


def test_a_lost_or_damaged_state_is_no_obstacle(home: Settings) -> None:
    before = _answers(home)
    state.close(home)
    state.path(home).unlink()
    assert _answers(home) == before
    state.close(home)
    for place in home.state_dir.glob("state.db*"):
        place.write_bytes(b"no database" * 1000)
    assert _answers(home) == before


RUN_SOME = """
import sys
from pathlib import Path
from core.platform import tracking
from core.platform.config import Options, Settings
from core.platform.run_record import SILENT
settings = Settings(home=Path(sys.argv[1]))
for _ in range(3):
    with tracking.step_run(settings, "score", Options(), SILENT):
        tracking.runs(settings, step="score")
"""


def test_a_program_writes_while_another_reads(home: Settings) -> None:
    command = [sys.executable, "-c", RUN_SOME, str(home.home)]
    writer = subprocess.Popen(command, cwd=CODE_ROOT)
    while writer.poll() is None:
        tracking.runs(home, step="score")
        time.sleep(0.05)
    assert writer.returncode == 0
    assert len(_ids(home, step="score", status="FINISHED")) == 5
    assert _answers(home) == _searched(home)


def test_a_store_in_postgresql(
    postgresql: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgresql.new_database("run_index")
    home = settings.model_copy(update={"tracking_uri": address})
    _fill(home)
    assert len(_ids(home)) == 5
    assert _answers(home) == _searched(home)
    # such a store does not show that another program has written
    monkeypatch.setattr(run_index, "REFRESH_SECONDS", -1.0)
    newest = _ids(home)[0]
    mlflow_client.client(home).delete_run(newest)
    assert newest not in _ids(home)


def test_a_state_in_postgresql(postgresql: Server, settings: Settings) -> None:
    home = settings.model_copy(update={"state_url": postgresql.new_database("run_index_state")})
    _fill(home)
    assert len(_ids(home)) == 5
    assert _answers(home) == _searched(home)
    newest = _ids(home)[0]
    mlflow_client.client(home).delete_run(newest)
    assert newest not in _ids(home)
