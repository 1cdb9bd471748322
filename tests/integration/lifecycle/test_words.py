"""Words are made when they are shown: in another language a life cycle keeps the same facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from core.monitoring import monitor
from core.platform import messages, tracking
from core.platform.config import Settings
from core.retraining import retrain
from core.scoring import score
from core.training import train
from tests import nonsense
from tests.conftest import copy_home

# what differs between two runs of the same: ids, digests, moments, paths, versions
SAME = re.compile(r"verdict|alerts|warnings|labels|decision|state|aliases|features|step|status")


@pytest.fixture(scope="module")
def foreign(prepared_few: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The home `scored_few`, made while the language is nonsense; a test that changes it copies."""
    settings = copy_home(prepared_few, tmp_path_factory.mktemp("foreign") / "home")
    with pytest.MonkeyPatch.context() as patch:
        nonsense.speak(patch)
        with messages.speaking("pt"):
            train.run(settings, train.Options(candidates=("lr",), folds=2))
            score.run(settings, score.Options(way="in_process"))
            monitor.run(settings, monitor.Options())
        yield settings


def facts(settings: Settings, step: str) -> dict[str, str]:
    run = tracking.last_run(settings, step)
    assert run is not None
    return {
        name: value
        for name, value in {**run.params, **run.tags}.items()
        if SAME.search(name) and not name.startswith("mlflow.")
    }


def test_a_life_cycle_keeps_the_same_facts(foreign: Settings, scored_few: Settings) -> None:
    for step in ("train", "score", "monitor"):
        assert facts(foreign, step) == facts(scored_few, step), step
    reports = []
    for settings in (foreign, scored_few):
        run = tracking.last_run(settings, "monitor")
        assert run is not None
        reports.append(tracking.table(settings, run.run_id, "checks"))
    pd.testing.assert_frame_equal(*reports, check_exact=False)


def test_a_decision_about_retraining_keeps_the_same_facts(
    foreign: Settings, scored_few: Settings, tmp_path: Path
) -> None:
    english = copy_home(scored_few, tmp_path / "english")
    retrained = copy_home(foreign, tmp_path / "home")
    with messages.speaking("pt"):
        retrain.run(retrained, retrain.Options())
    retrain.run(english, retrain.Options())
    assert facts(retrained, "retrain") == facts(english, "retrain")
