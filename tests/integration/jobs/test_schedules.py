"""Schedules: due once, never twice at once, and not lost or doubled by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from core.jobs import jobs, schedules, supervision
from core.jobs.schedules import Schedule, Scheduled
from core.monitoring import channels, deliver
from core.platform import clock, state
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, StoreError
from core.runtime.supervisor import Supervisor

TOYS = "tests.integration.jobs.toy_steps"
PLAIN = (
    f"--target={TOYS}:run",
    f"--clean-up={TOYS}:clean_up",
    "--preload=core.runtime.worker",
    "--grace=0.5",
)
HOUR = 3600.0
HOURLY = Schedule(name="Hourly", step="monitor", options={"do": "return"}, every_seconds=HOUR)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the clock of schedules."""

    def to(seconds: float) -> None:
        monkeypatch.setattr(clock, "now", lambda settings: seconds)

    to(0.0)
    return to


def only(settings: Settings) -> Scheduled:
    (scheduled,) = schedules.schedules(settings)
    return scheduled


def end(settings: Settings) -> None:
    """Run the queued jobs to their end."""
    for job in jobs.active(settings):
        jobs.claim(settings, job.job_id)
        jobs.finish(settings, job.job_id, jobs.DONE)


def test_a_schedule_is_due_after_its_interval_and_then_again(settings: Settings, at) -> None:
    schedules.save(settings, HOURLY)
    at(3599.0)
    schedules.tick(settings)
    assert jobs.latest(settings) == []
    at(3600.0)
    schedules.tick(settings)
    schedules.tick(settings)
    (job,) = jobs.latest(settings)
    assert (job.step, job.options, job.status) == ("monitor", {"do": "return"}, "queued")
    end(settings)
    scheduled = only(settings)
    assert (scheduled.job_id, scheduled.runs, scheduled.last_at, scheduled.next_at) == (
        job.job_id,
        1,
        3600.0,
        7200.0,
    )
    at(7300.0)
    schedules.tick(settings)
    assert len(jobs.latest(settings)) == 2
    assert only(settings).next_at == 10800.0  # the interval keeps its rhythm


def test_times_that_passed_while_nothing_ran_are_run_once(settings: Settings, at) -> None:
    schedules.save(settings, HOURLY)
    at(50.5 * HOUR)
    for _ in range(3):
        schedules.tick(settings)
        end(settings)
    assert len(jobs.latest(settings)) == 1
    assert only(settings).next_at == 51 * HOUR


def test_a_time_that_comes_while_the_last_job_runs_is_skipped_and_counted(
    settings: Settings, at
) -> None:
    schedules.save(settings, HOURLY)
    for hour in (1, 2, 3):
        at(hour * HOUR)
        schedules.tick(settings)
    assert len(jobs.latest(settings)) == 1
    assert (only(settings).runs, only(settings).skipped) == (1, 2)
    end(settings)
    at(4 * HOUR)
    schedules.tick(settings)
    assert (len(jobs.latest(settings)), only(settings).runs) == (2, 2)


def test_of_concurrent_ticks_only_one_submits(settings: Settings, at) -> None:
    schedules.save(settings, HOURLY)
    for hour in (1, 2, 3):
        at(hour * HOUR)
        together = threading.Barrier(6)

        def tick(together: threading.Barrier = together) -> None:
            together.wait()
            for _ in range(3):
                schedules.tick(settings)

        threads = [threading.Thread(target=tick) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(jobs.active(settings)) == 1
        end(settings)
    assert len(jobs.latest(settings)) == 3
    assert (only(settings).runs, only(settings).skipped) == (3, 0)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_before_or_after_the_job_is_queued_neither_loses_nor_doubles(
    settings: Settings, at, when: str
) -> None:
    """Killed while it claims the due time: nothing of it is stored."""
    schedules.save(settings, HOURLY)
    killed = (
        "import os, signal\n"
        "from core.platform import clock\nfrom core.jobs import jobs, schedules\n"
        "from core.platform.config import Settings\n"
        f"clock.now = lambda settings: {clock.now(settings) + HOUR}\n"
        "put = jobs.put\n"
        "def die(*arguments):\n"
        f"    {'put(*arguments)' if when == 'after' else 'pass'}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "jobs.put = die\n"
        "schedules.tick(Settings.load())\n"
    )
    environ = {**os.environ, **settings.environment(), "PYTHONPATH": str(CODE_ROOT)}
    done = subprocess.run([sys.executable, "-c", killed], env=environ, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert jobs.latest(settings) == []
    at(HOUR)
    for _ in range(3):
        schedules.tick(settings)
    (job,) = jobs.latest(settings)
    assert only(settings).job_id == job.job_id
    assert only(settings).runs == 1


def test_a_failed_submission_is_reported_and_tried_again(
    settings: Settings, at, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedules.save(settings, HOURLY)

    def fail(*arguments: object) -> None:
        raise StoreError("The disk is full.")

    at(HOUR)
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "put", fail)
        schedules.tick(settings)
        assert only(settings).problem == "The disk is full."
    schedules.tick(settings)
    assert len(jobs.latest(settings)) == 1
    assert only(settings).problem is None


def test_a_schedule_that_is_off_or_removed_does_nothing(settings: Settings, at) -> None:
    schedules.save(settings, HOURLY)
    schedules.save(settings, HOURLY.model_copy(update={"is_on": False}))
    at(5 * HOUR)
    assert schedules.tick(settings) == []
    assert jobs.latest(settings) == []
    schedules.save(settings, HOURLY)
    assert only(settings).next_at == 6 * HOUR  # from now on
    schedules.remove(settings, "Hourly")
    assert schedules.schedules(settings) == []


def test_a_change_other_than_of_its_times_keeps_the_rhythm_of_a_schedule(
    settings: Settings, at
) -> None:
    schedules.save(settings, HOURLY)
    at(600.0)
    schedules.save(settings, HOURLY.model_copy(update={"options": {"do": "wait"}}))
    assert only(settings).next_at == HOUR
    schedules.save(settings, HOURLY.model_copy(update={"every_seconds": 7200.0}))
    assert only(settings).next_at == 7800.0


def test_a_clock_that_was_set_back_does_not_stop_a_schedule(settings: Settings, at) -> None:
    at(1e6 * HOUR)
    schedules.save(settings, HOURLY)
    at(5.0)
    schedules.tick(settings)
    assert only(settings).next_at == 5.0 + HOUR
    assert jobs.latest(settings) == []


def test_reading_creates_no_database(settings: Settings) -> None:
    assert schedules.tick(settings) == schedules.schedules(settings) == []
    assert not state.path(settings).exists()


# --- times --------------------------------------------------------------------------------------


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("cron", "now", "then"),
    [
        ("*/15 * * * *", "2026-01-01 00:00", "2026-01-01 00:15"),
        ("0 6 * * *", "2026-01-01 06:00:59", "2026-01-02 06:00"),
        ("0 6 * * 1-5", "2026-01-02 07:00", "2026-01-05 06:00"),
        ("30 23 31 12 *", "2026-12-31 23:30", "2027-12-31 23:30"),
        ("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00"),
        # where local clocks change, UTC does not
        ("30 2 * * *", "2026-03-29 00:00", "2026-03-29 02:30"),
        ("30 2 * * *", "2026-10-25 00:00", "2026-10-25 02:30"),
    ],
)
def test_the_next_time_of_a_cron(cron: str, now: str, then: str) -> None:
    schedule = Schedule(name="a", step="monitor", cron=cron)
    assert schedules.following(schedule, moment(now)) == moment(then)


@examples(deadline=None, derandomize=True)
@given(st.floats(0, 1e9), st.floats(60, 1e6), st.floats(0, 1e9))
def test_the_next_time_is_ahead_by_no_more_than_the_interval(
    now: float, every: float, due: float
) -> None:
    schedule = Schedule(name="a", step="monitor", every_seconds=every)
    next_at = schedules.following(schedule, now, due)
    assert now < next_at <= now + every * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"cron": "61 * * * *"}, r"is not a valid time \(61\)"),
        ({"cron": "* * * *"}, r"is not a valid time \(\* \* \* \*\)"),
        ({"cron": "0 0 31 2 *"}, "is not a valid time"),
        ({"cron": "0 0 * * mon"}, r"is not a valid time \(mon\)"),
        ({"every_seconds": 59}, "greater than or equal to 60"),
        ({}, "Give one of `every_seconds`, `cron`"),
        ({"every_seconds": 60, "cron": "* * * * *"}, "Give one of `every_seconds`, `cron`"),
        ({"every_seconds": 60, "step": "dance"}, "does not exist. Choose from"),
    ],
)
def test_an_invalid_schedule_is_refused_with_a_message(values: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        schedules.made(**{"name": "a", "step": "monitor", **values})


# --- in the supervisor --------------------------------------------------------------------------


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end_ = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.long
def test_a_schedule_runs_at_an_accelerated_clock_and_survives_a_new_supervisor(
    tmp_path: Path,
) -> None:
    """An hour passes in a second; a waiting message is sent meanwhile."""
    settings = Settings(home=tmp_path, clock_speed=3600)
    schedules.save(settings, HOURLY)
    channels.save(settings, channels.Channels(webhook=channels.Webhook(url="http://127.0.0.1:9/")))
    deliver.send_test(settings, "webhook")

    def done() -> list[jobs.Job]:
        return [job for job in jobs.latest(settings, limit=100) if job.status == "done"]

    try:
        supervision.ensure_supervisor(settings, PLAIN)
        until(lambda: len(done()) >= 2)
        until(lambda: deliver.deliveries(settings)[0].problem)
        supervision.stop_supervisor(settings)
        before = len(done())
        supervision.ensure_supervisor(settings, PLAIN)
        until(lambda: len(done()) >= before + 2)
        state = only(settings)
        # no time was run twice, by either supervisor
        assert len(jobs.latest(settings, limit=100)) <= state.runs
    finally:
        supervision.stop_supervisor(settings)


@pytest.mark.long
def test_only_a_schedule_that_stays_keeps_the_worker(settings: Settings) -> None:
    worker = Supervisor(settings, target="", clean_up="", preload=(), idle=-1.0)
    for stays in (False, True, False):
        schedules.save(settings, HOURLY.model_copy(update={"stays": stays}))
        worker._tick()
        assert worker._may_leave(swept=1.0) is not stays
    schedules.save(settings, HOURLY.model_copy(update={"stays": True, "is_on": False}))
    worker._tick()
    assert worker._may_leave(swept=1.0)


def test_a_worker_that_was_asked_to_leave_submits_nothing(settings: Settings, at) -> None:
    worker = Supervisor(settings, target="", clean_up="", preload=(), idle=-1.0)
    schedules.save(settings, HOURLY)
    at(2 * HOUR)
    worker.retiring = True
    worker._tick()
    assert jobs.latest(settings) == []
