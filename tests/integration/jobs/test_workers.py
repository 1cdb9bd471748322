"""Several workers on one state, in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.jobs import jobs, supervision, workers
from core.platform import projects, state
from core.platform.config import CODE_ROOT, Settings
from tests.conftest import WITH_LONG
from tests.integration.jobs.test_jobs import ended, gone, tree, until

WORK = """
from core.platform.config import Settings
from core.runtime.supervisor import Supervisor
toys = "tests.integration.jobs.toy_steps:"
if __name__ == "__main__":
    Supervisor(
        Settings.load(), target=toys + "run", clean_up=toys + "clean_up",
        preload=["core.runtime.worker"], grace=0.5, is_standalone=True,
    ).run()
"""
COUNT = 40 if WITH_LONG else 15
SECONDS = 0.05


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    address = None
    if request.param == "postgresql":
        address = request.getfixturevalue("postgresql").new_database(f"of_{tmp_path.name[:40]}")
    settings = Settings(home=tmp_path, state_url=address, start_worker=False)
    yield settings
    state.close(settings)


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    script = tmp_path / "work.py"
    script.write_text(WORK, encoding="utf-8")

    def begin() -> subprocess.Popen[bytes]:
        environ = {**settings.environment(), "PYTHONPATH": str(CODE_ROOT), "PATH": ""}
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            command = [sys.executable, str(script)]
            started.append(subprocess.Popen(command, env=environ, stdout=log, stderr=log))
        return started[-1]

    yield begin
    for process in started:
        family = tree(process.pid) if process.poll() is None else []
        process.terminate()
        process.wait(60)
        for member in family:
            if member.is_running():
                member.kill()


def statuses(settings: Settings) -> Counter[str]:
    return Counter(job.status for job in jobs.latest(settings, limit=10 * COUNT))


def notes(settings: Settings) -> list[str]:
    path = settings.home / "notes"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_a_killed_worker_loses_no_job_and_none_runs_twice(
    settings: Settings, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    if settings.state_url and not os.environ.get("LONG_TESTS"):
        pytest.skip("long: set LONG_TESTS=1")
    state.save(settings, "first", True)
    first, second = start(), start()
    until(lambda: sum(worker.ready for worker in workers.listed(settings)) == 2)
    names = {worker.pid: worker.worker for worker in workers.listed(settings)}
    for number in range(COUNT):
        # the third part may not run at the same time
        step = ("score", "monitor", "acquire")[number % 3]
        options = {"do": "note", "number": number, "seconds": SECONDS}
        jobs.submit(settings, step, options)
    until(lambda: statuses(settings)[jobs.DONE] >= COUNT // 4)
    held = until(
        lambda: {
            claim.job_id
            for claim in jobs.running_claims(settings)
            if claim.worker == names[first.pid]
        }
    )
    family = tree(first.pid)
    first.send_signal(signal.SIGKILL)
    first.wait()
    until(lambda: gone(family))
    until(lambda: not jobs.active(settings))

    ended = jobs.latest(settings, limit=2 * COUNT)
    assert len(ended) == COUNT
    failed = [job for job in ended if job.status == jobs.FAILED]
    # what it had claimed meanwhile is lost too
    assert len(failed) <= settings.workers
    assert statuses(settings)[jobs.DONE] + len(failed) == COUNT
    assert held
    begun = Counter(line.split()[0] for line in notes(settings) if line.endswith("begins"))
    assert set(begun.values()) == {1}
    unfinished = {str(job.options["number"]) for job in failed}
    assert {str(number) for number in range(COUNT)} - set(begun) <= unfinished

    # one at a time, apart from one that died
    inside: set[str] = set()
    for line in notes(settings):
        number, what = line.split()
        if int(number) % 3 == 2:
            inside = inside - unfinished | {number} if what == "begins" else inside - {number}
            assert len(inside - unfinished) <= 1
    assert second.poll() is None
    (left,) = until(lambda: live if len(live := workers.listed(settings)) == 1 else None)
    assert left.pid == second.pid
    second.terminate()
    assert second.wait(60) == 0
    assert workers.listed(settings) == []


def test_each_duty_has_one_worker(settings: Settings) -> None:
    first, second = workers.Own(settings), workers.Own(settings)
    for each in (first, second):
        each.beat(ready=True)
    assert [each.holds("schedules") for each in (first, second, first)] == [True, False, True]
    assert second.holds("endpoints")
    first.leave()
    assert second.holds("schedules")
    assert [worker.worker for worker in workers.listed(settings)] == [second.worker]


def test_a_job_of_a_dead_worker_is_taken_over_once(settings: Settings) -> None:
    job = jobs.submit(settings, "train", {})
    first, second, dead = (workers.Own(settings) for _ in range(3))
    dead.beat(ready=True)
    assert jobs.claim(settings, worker=dead.worker) is not None
    jobs.update(settings, job.job_id, pid=7, pid_created=1.0)
    assert first.adopt(()) == {}
    # as if its process had ended
    with state.transaction(settings) as connection:
        connection.execute(workers._table.update().values(pid_created=1.0))
    (claim,) = jobs.running_claims(settings)
    assert first.adopt(()) == {job.job_id: (7, 1.0)}
    assert second.adopt({job.job_id}) == {}
    assert not jobs.hand_over(settings, claim, second.worker)
    assert jobs.lost(settings, dead.worker, [job.job_id]) == {job.job_id}
    assert jobs.lost(settings, first.worker, [job.job_id]) == set()


def test_a_silent_worker_elsewhere_is_dead(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = workers.Own(settings), workers.Own(settings)
    other.place = "another machine"
    other.beat(ready=True)
    if settings.state_url is None:
        # a file serves one machine: the record is of a copied home, or from before a reboot
        assert own.dead(workers.listed(settings)) == {other.worker}
        return
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(20):
        assert own.dead(workers.listed(settings)) == set()
        now += 2
    other.beat(ready=True)
    for _ in range(30):
        assert own.dead(workers.listed(settings)) == set()
        now += 2
    now += 2
    assert own.dead(workers.listed(settings)) == {other.worker}


def test_a_worker_takes_only_the_steps_that_it_was_given(settings: Settings) -> None:
    jobs.submit(settings, "train", {})
    assert jobs.claim(settings, only=["serve"]) is None
    taken = jobs.claim(settings, only=["serve", "train"])
    assert taken is not None
    assert taken.step == "train"


def test_the_app_says_that_no_worker_runs(settings: Settings) -> None:
    supervision.ensure_supervisor(settings)
    assert supervision.worker_state(settings) == supervision.WorkerState(
        False, False, None, None, supervision.NO_WORKER
    )
    own = workers.Own(settings)
    own.beat(ready=False)
    assert not supervision.worker_state(settings).ready
    own.beat(ready=True, at_once=True)
    shown = supervision.worker_state(settings)
    assert (shown.alive, shown.ready, shown.problem) == (True, True, None)
    with state.transaction(settings) as connection:
        connection.execute(workers._table.update().values(beat=1.0))
    assert supervision.worker_state(settings).problem == supervision.NO_WORKER


def test_a_database_from_before_a_column_gets_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    job = jobs.submit(settings, "train", {})
    with state.transaction(settings) as connection:
        connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN worker")
    state.close(settings)
    claimed = jobs.claim(settings, worker="me")
    assert claimed == replace(jobs.get(settings, job.job_id) or job, status=jobs.RUNNING)


@pytest.mark.long
def test_the_command_runs_the_jobs_of_all_projects_until_it_is_stopped(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, start_worker=False)
    other = projects.add_example(settings, "flights")
    submitted = [(home, jobs.submit(home, "acquire", {})) for home in (settings, other)]
    command = [sys.executable, "-m", "core", "worker"]
    environ = supervision.environment(settings)
    worker = subprocess.Popen(command, env=environ, cwd=CODE_ROOT, stdout=subprocess.PIPE)
    try:
        for home, job in submitted:
            assert ended(home, job).status == jobs.DONE
            assert [each.ready for each in workers.listed(home)] == [True]
    finally:
        family = tree(worker.pid)
        worker.terminate()
        answer, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert json.loads(answer)["status"] == "done"
    until(lambda: gone(family))
    assert [workers.listed(home) for home, _ in submitted] == [[], []]
