"""Stores of replays: their own log, their end when something fails, and their bounds."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from core.platform import storage
from core.platform.config import Settings
from core.platform.errors import InputError
from core.predictions_log import predictions
from core.retraining import replay_store

RUNS = [f"{number:032x}" for number in range(1, 9)]


def answer(store: Settings, version: int = 1, window: int = 0) -> None:
    replay_store.predict(
        store,
        model="m",
        version=version,
        window=window,
        at=1e9,
        latency_ms=1.0,
        keys=["a", "b"],
        features=pd.DataFrame({"x": [1.0, None], "t": ["u", "v"]}),
        probabilities=[0.25, 0.75],
        predicted=[0, 1],
    )


def test_stored_predictions_come_back_with_the_labels_so_far(tmp_path) -> None:
    settings = Settings(home=tmp_path)
    with replay_store.opened(settings, RUNS[0]) as store:
        answer(store)
        answer(store)  # the same again changes nothing
        answer(store, version=2)
        table = replay_store.read(store, version=1, window=0)
        assert table["courtside_probability"].tolist() == [0.25, 0.75]
        assert table["courtside_label"].isna().all()
        replay_store.label(store, ["b"], [1], [1e9 + 5])
        for version in (1, 2):
            labels = replay_store.read(store, version=version, window=0)["courtside_label"]
            assert labels.isna().tolist() == [True, False]
            assert labels[1] == 1
        assert predictions.count(store) == 4
    assert not predictions.count(settings)
    assert not (settings.state_dir / "predictions.db").exists()


def test_a_store_is_removed_when_something_fails(tmp_path) -> None:
    settings = Settings(home=tmp_path)
    for fault in (InputError("no"), KeyboardInterrupt()):
        with pytest.raises(type(fault)), replay_store.opened(settings, RUNS[0]) as store:  # noqa: PT012
            answer(store)
            assert store.home.is_dir()
            raise fault
        assert not store.home.exists()
    assert replay_store.stores(settings) == []


def test_the_store_of_a_dead_process_is_swept_and_others_stay(tmp_path) -> None:
    settings = Settings(home=tmp_path)
    with replay_store.opened(settings, RUNS[0]):
        pass
    with replay_store.opened(settings, RUNS[1]) as running:
        dead = running.home.parent / RUNS[2]
        dead.mkdir()
        # this process's number, but of another time: somebody else's
        storage.write_json(dead / "owner.json", {"pid": os.getpid(), "created": 1.0})
        replay_store.sweep(settings)
        assert {item.run_id: item.is_open for item in replay_store.stores(settings)} == {
            RUNS[0]: False,
            RUNS[1]: True,
        }
        with pytest.raises(InputError, match="still running"):
            replay_store.remove(settings, RUNS[1])
    replay_store.remove(settings, RUNS[1])
    assert [item.run_id for item in replay_store.stores(settings)] == [RUNS[0]]


def test_only_the_newest_stores_are_kept(tmp_path) -> None:
    settings = Settings(home=tmp_path)
    for place, run_id in enumerate(RUNS):
        with replay_store.opened(settings, run_id) as store:
            os.utime(store.home, (place, place))
    left = {item.run_id for item in replay_store.stores(settings)}
    assert len(left) == replay_store.KEPT
    assert RUNS[-1] in left


def test_a_name_is_never_a_path(tmp_path) -> None:
    settings = Settings(home=tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="is not an id"):
        replay_store.remove(settings, "../../mine")
    assert (tmp_path / "mine").is_dir()


def test_a_store_that_could_grow_too_large_is_refused() -> None:
    replay_store.check_size(500_000, 4)
    with pytest.raises(InputError, match="2,500,000 predictions; a replay keeps at most"):
        replay_store.check_size(500_000, 5)
