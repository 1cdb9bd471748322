"""A hung worker or process of a job is replaced; a copied home has its own worker."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.jobs import heartbeat, jobs, supervision
from core.platform import identity, process
from core.platform.config import Settings
from core.serving import server
from tests.integration.jobs.test_jobs import PLAIN, ended, running, stop, tree, until
from tests.integration.serving.endpoints import forget

pytestmark = pytest.mark.long

PATIENCE = 4.0
SLOWLY = 300.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "home", workers=1, hang_seconds=PATIENCE)
    (tmp_path / "home").mkdir()
    try:
        yield settings
    finally:
        stop(settings)


def ready(settings: Settings) -> supervision.WorkerState:
    state = until(lambda: (s := supervision.worker_state(settings)).ready and s, SLOWLY)
    assert isinstance(state, supervision.WorkerState)
    return state


def test_a_hung_worker_is_replaced_and_its_job_is_not_stuck(home: Settings) -> None:
    supervision.keep_supervisor(home, PLAIN, every=0.2)
    hung = ready(home)
    assert hung.pid is not None
    under_way = running(home, jobs.submit(home, "train", {"do": "wait"}))
    family = tree(hung.pid)
    os.kill(hung.pid, signal.SIGSTOP)
    until(lambda: supervision.worker_state(home).silent_since, SLOWLY)
    # a worker that does not respond is not called ready
    assert not supervision.worker_state(home).ready
    waiting = jobs.submit(home, "prepare", {"do": "return"})
    until(lambda: supervision.worker_state(home).pid not in (None, hung.pid), SLOWLY)
    assert not any(
        member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family
    )
    failed = until(lambda: (j := jobs.get(home, under_way.job_id)) and j.ended and j, SLOWLY)
    assert failed.status == "failed"
    assert str(failed.error).startswith(
        "The worker, the app or the machine stopped before it was done"
    )
    done = until(lambda: (j := jobs.get(home, waiting.job_id)) and j.ended and j, SLOWLY)
    assert done.status == "done"
    # once, not twice
    assert len(jobs.latest(home)) == 2


def test_a_hung_job_fails_with_a_message_and_a_long_one_goes_on(home: Settings) -> None:
    supervision.ensure_supervisor(home, PLAIN)
    worker = ready(home).pid
    hung = jobs.submit(home, "train", {"do": "wait"})
    os.kill(running(home, hung).pid or 0, signal.SIGSTOP)
    failed = until(lambda: (j := jobs.get(home, hung.job_id)) and j.ended and j, SLOWLY)
    assert failed.status == "failed"
    assert "did not answer for" in str(failed.error)
    assert "Start the job again." in str(failed.error)
    # a job that takes longer than the patience continues
    long = running(home, jobs.submit(home, "train", {"do": "wait", "until": "go"}))
    began = heartbeat.last(supervision.heart(home, long.job_id)) or time.time()
    until(
        lambda: (heartbeat.last(supervision.heart(home, long.job_id)) or 0) > began + 2 * PATIENCE,
        SLOWLY,
    )
    (home.home / "go").touch()
    assert ended(home, long).status == "done"
    assert supervision.worker_state(home).pid == worker


def test_a_copied_home_has_its_own_worker_and_spares_the_others(
    home: Settings, tmp_path: Path
) -> None:
    supervision.ensure_supervisor(home, PLAIN)
    first = ready(home).pid
    under_way = running(home, jobs.submit(home, "train", {"do": "wait", "until": "go"}))
    server.keep(
        home,
        server.Server(
            5001,
            first or 0,
            psutil.Process(first).create_time(),
            "shots",
            "1",
            "champion",
            "run",
            "ready",
            0.0,
            home.logs_dir / "x.log",
            None,
            False,
            is_live=True,
        ),
    )
    copy = home.model_copy(update={"home": tmp_path / "copy"})
    shutil.copytree(home.home, copy.home)
    try:
        # nothing of the other home counts as ours, so nothing of it is stopped from here
        assert not supervision.worker_state(copy).alive
        assert server.servers(copy) == []
        supervision.ensure_supervisor(copy, PLAIN)
        assert ready(copy).pid != first
        copied_job = until(
            lambda: (j := jobs.get(copy, under_way.job_id)) and j.ended and j, SLOWLY
        )
        assert copied_job.status == "failed"
        assert ended(copy, jobs.submit(copy, "prepare", {"do": "return"})).status == "done"
    finally:
        stop(copy)
    assert supervision.worker_state(home).pid == first
    (home.home / "go").touch()
    assert ended(home, under_way).status == "done"
    forget(home, 5001)


def test_the_worker_of_a_home_that_was_moved_leaves_it_alone(
    home: Settings, tmp_path: Path
) -> None:
    supervision.ensure_supervisor(home, PLAIN)
    family = tree(ready(home).pid or 0)
    moved = home.model_copy(update={"home": tmp_path / "moved"})
    os.rename(home.home, moved.home)
    try:
        supervision.ensure_supervisor(moved, PLAIN)
        ready(moved)
        assert not any(
            member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family
        )
        # the old home is not recreated
        assert not home.state_dir.exists()
    finally:
        stop(moved)


def test_records_from_before_a_reboot_name_no_process(home: Settings) -> None:
    me = psutil.Process()
    assert process.is_alive(process.Process(me.pid, me.create_time(), process.boot_id()))
    if process.boot_id():
        assert not process.is_alive(process.Process(me.pid, me.create_time(), "another"))
    job = jobs.submit(home, "train", {})
    jobs.claim(home, job.job_id)
    jobs.update(home, job.job_id, pid=me.pid, pid_created=me.create_time())
    jobs.take_over(home)
    assert jobs.running_processes(home) == {job.job_id: (None, None)}
    jobs.update(home, job.job_id, pid=me.pid, pid_created=me.create_time())
    jobs.take_over(home)
    assert jobs.running_processes(home) == {job.job_id: (me.pid, me.create_time())}
    assert identity.of_home(home.state_dir) != identity.of_home(home.logs_dir)
