"""The clock of schedules, alerts and retraining: real time, or faster by a set factor."""

from __future__ import annotations

import time

from filelock import FileLock

from core.platform import storage
from core.platform.config import Settings


def now(settings: Settings) -> float:
    """Return the time, in seconds since 1970, by the clock of schedules, alerts and retraining.

    At `clock_speed` 1 it is real time. A faster clock starts at the time when that speed was first
    used in this home; all processes of a home read the same time.

    Examples
    --------
    >>> abs(now(Settings(home="/srv/courtside")) - time.time()) < 1
    True
    """
    real = time.time()
    if settings.clock_speed == 1:
        return real
    path = settings.state_dir / "clock.json"
    saved = storage.read_json(path)
    if not saved or saved.get("speed") != settings.clock_speed or "origin" not in saved:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(settings.state_dir / "clock.lock", timeout=10):
            saved = storage.read_json(path)
            if not saved or saved.get("speed") != settings.clock_speed:
                saved = {"speed": settings.clock_speed, "origin": real}
                storage.write_json(path, saved)
    origin = float(saved["origin"])
    return origin + (real - origin) * settings.clock_speed


def moment(settings: Settings, real: float) -> float:
    """Convert real time to this clock's time, both in seconds since 1970.

    Examples
    --------
    >>> moment(Settings(home="/srv/courtside"), 1_767_225_600.0)
    1767225600.0
    """
    if settings.clock_speed == 1:
        return real
    now(settings)  # a clock that was never read starts now
    origin = float(storage.read_json(settings.state_dir / "clock.json")["origin"])
    return real if real <= origin else origin + (real - origin) * settings.clock_speed


def real_seconds(settings: Settings, seconds: float) -> float:
    """Convert seconds of this clock to seconds of real time.

    Examples
    --------
    >>> real_seconds(Settings(home="/srv/courtside", clock_speed=60), 3600)
    60.0
    """
    return seconds / settings.clock_speed
