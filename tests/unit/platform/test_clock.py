"""One clock for all processes of a home, which never goes back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core.platform import clock
from core.platform.config import Settings


def test_real_time_unless_it_is_set(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert time.time() <= clock.now(settings) <= time.time()
    assert not (tmp_path / "state").exists()


def test_a_fast_clock_runs_ahead_from_its_first_use_on_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path, clock_speed=3600)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert clock.now(settings) == 1000.0
    monkeypatch.setattr(time, "time", lambda: 1002.0)
    # another process, or the app after a restart
    again = Settings(home=tmp_path, clock_speed=3600)
    assert clock.now(again) == 1000.0 + 2 * 3600
    assert clock.moment(again, 1001.0) == 1000.0 + 3600
    assert clock.moment(again, 500.0) == 500.0  # before it ran ahead
    assert clock.real_seconds(again, 3600) == 1.0


def test_another_speed_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    clock.now(Settings(home=tmp_path, clock_speed=60))
    monkeypatch.setattr(time, "time", lambda: 1010.0)
    assert clock.now(Settings(home=tmp_path, clock_speed=10)) == 1010.0
