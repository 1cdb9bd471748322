from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.jobs import jobs, supervision
from core.platform import state, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError, JobError
from core.runtime.worker import JobProgress, run_step

TOYS = "tests.integration.jobs.toy_steps"
PLAIN = (
    f"--target={TOYS}:run",
    f"--clean-up={TOYS}:clean_up",
    "--preload=core.runtime.worker",
    "--grace=0.5",
)
FINAL = (jobs.DONE, jobs.FAILED, jobs.CANCELLED)


def until(condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    """Wait until a condition holds and return its value; the limit only stops a test that hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def tree(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def stop(settings: Settings) -> None:
    """End the supervisor of a test's own home and all that it started."""
    pid = supervision.worker_state(settings).pid
    family = tree(pid) if pid else []
    try:
        supervision.stop_supervisor(settings)
    finally:
        for process in family:
            if process.is_running():
                process.kill()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path)
    yield settings
    stop(settings)


def shared(home: Path) -> Iterator[Settings]:
    settings = Settings(home=home, workers=1)
    yield settings
    stop(settings)


@pytest.fixture(scope="module")
def forking_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    yield from shared(tmp_path_factory.mktemp("forking"))


@pytest.fixture
def worker(forking_home: Settings) -> Settings:
    """A home with a supervisor that other tests use too, which does one job at a time."""
    supervision.ensure_supervisor(forking_home, PLAIN)
    return forking_home


def ended(settings: Settings, job: jobs.Job) -> jobs.Job:
    def final() -> jobs.Job | None:
        current = jobs.get(settings, job.job_id)
        return current if current and current.status in FINAL else None

    current: jobs.Job = until(final)
    return current


def running(settings: Settings, job: jobs.Job, text: str | None = None) -> jobs.Job:
    def running_now() -> jobs.Job | None:
        current = jobs.get(settings, job.job_id)
        assert current
        assert current.status not in FINAL, current
        has_text = current.text == text if text else True
        return current if current.status == jobs.RUNNING and current.pid and has_text else None

    current: jobs.Job = until(running_now)
    return current


def cleaned(settings: Settings, job: jobs.Job) -> str:
    return (settings.home / f"cleaned-{job.job_id}").read_text(encoding="utf-8")


# the table, without a worker


def test_submitted_job_is_queued_and_read_back(settings):
    job = jobs.submit(settings, "prepare", {"seed": 3, "share": 0.2})
    assert (job.status, job.step, job.options) == ("queued", "prepare", {"seed": 3, "share": 0.2})
    assert jobs.get(settings, job.job_id) == job
    assert jobs.active(settings) == [job]
    assert not supervision.worker_state(settings).alive


def test_latest_is_newest_first_and_of_one_step(settings):
    first = jobs.submit(settings, "prepare", {})
    second = jobs.submit(settings, "train", {})
    third = jobs.submit(settings, "train", {"seed": 2})
    assert [job.job_id for job in jobs.latest(settings)] == [
        third.job_id,
        second.job_id,
        first.job_id,
    ]
    assert [job.job_id for job in jobs.latest(settings, "train", limit=1)] == [third.job_id]


def test_same_options_in_another_order_are_the_same_job(settings):
    job = jobs.submit(settings, "train", {"seed": 1, "folds": 5})
    assert jobs.submit(settings, "train", {"folds": 5, "seed": 1}).job_id == job.job_id
    assert jobs.submit(settings, "score", {"folds": 5, "seed": 1}).job_id != job.job_id


def test_clicks_at_the_same_moment_are_one_job(settings):
    start = threading.Barrier(8)
    job_ids: list[str] = []

    def click() -> None:
        start.wait()
        job_ids.append(jobs.submit(settings, "train", {"seed": 1}).job_id)

    clicks = [threading.Thread(target=click) for _ in range(8)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert len(job_ids) == 8
    assert len(set(job_ids)) == 1
    assert len(jobs.latest(settings)) == 1


def test_after_the_end_the_same_options_are_a_new_job(settings):
    first = jobs.submit(settings, "train", {})
    jobs.cancel(settings, first.job_id)
    assert jobs.submit(settings, "train", {}).job_id != first.job_id


@pytest.mark.parametrize(
    ("step", "options", "words"),
    [
        ("trian", {}, "'trian' does not exist"),
        ("train", {"frame": object()}, "train cannot be used"),
        ("train", {"share": float("nan")}, "train cannot be used"),
    ],
)
def test_a_job_that_cannot_be_queued_is_refused(settings, step, options, words):
    with pytest.raises(InputError, match=words):
        jobs.submit(settings, step, options)
    assert jobs.latest(settings) == []


def test_queued_job_is_cancelled_at_once(settings):
    job = jobs.submit(settings, "train", {})
    jobs.cancel(settings, job.job_id)
    cancelled = jobs.get(settings, job.job_id)
    assert cancelled
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert str(cancelled.text) == "Cancelled."
    assert cancelled.ended
    assert jobs.claim(settings, job.job_id) is None


def test_a_job_is_claimed_once(settings):
    job = jobs.submit(settings, "train", {})
    claimed = jobs.claim(settings, job.job_id)
    assert claimed
    assert claimed.status == "running"
    assert jobs.claim(settings, job.job_id) is None


def test_jobs_that_replace_shared_data_are_claimed_in_turn(settings):
    first, second = (jobs.submit(settings, "acquire", {"seed": seed}) for seed in (1, 2))
    others = [jobs.submit(settings, "monitor", {"scoring_run": run}) for run in "ab"]
    assert jobs.claim(settings, second.job_id) is None
    assert jobs.get(settings, second.job_id).status == "queued"
    assert jobs.claim(settings, first.job_id)
    assert jobs.claim(settings, second.job_id) is None
    assert all(jobs.claim(settings, job.job_id) for job in others)
    jobs.finish(settings, first.job_id, jobs.FAILED, error="no")
    assert jobs.claim(settings, second.job_id)


def test_an_ended_job_keeps_its_status(settings):
    job = jobs.submit(settings, "train", {})
    jobs.claim(settings, job.job_id)
    jobs.finish(settings, job.job_id, jobs.DONE, result={"run_id": "abc"})
    jobs.finish(settings, job.job_id, jobs.FAILED, error="too late")
    jobs.cancel(settings, job.job_id)
    stored = jobs.get(settings, job.job_id)
    assert stored
    assert (stored.status, stored.error, stored.run_id, stored.fraction) == ("done", None, "abc", 1)


def test_unknown_job(settings):
    assert jobs.get(settings, "nothing") is None
    with pytest.raises(JobError, match="nothing does not exist"):
        jobs.cancel(settings, "nothing")


def test_the_oldest_job_that_waits_for_no_other_is_claimed_first(settings):
    steps = ("acquire", "prepare", "monitor", "score")
    first, waiting, *others = (jobs.submit(settings, step, {}).job_id for step in steps)
    assert [jobs.claim(settings).job_id for _ in range(3)] == [first, *others]
    assert jobs.claim(settings) is None
    jobs.finish(settings, first, jobs.DONE)
    assert jobs.claim(settings).job_id == waiting


def test_concurrent_claims_get_different_jobs(settings):
    submitted = {jobs.submit(settings, "monitor", {"n": n}).job_id for n in range(20)}
    claimed = []

    def claim() -> None:
        while (job := jobs.claim(settings)) is not None:
            claimed.append(job.job_id)

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 20
    assert set(claimed) == submitted


def test_a_write_is_noticed_without_a_query(settings):
    before = state.version(settings)
    job = jobs.submit(settings, "train", {})
    after = state.version(settings)
    assert before != after == state.version(settings)
    other = (
        "from core.jobs import jobs\nfrom core.platform.config import Settings\n"
        f"jobs.cancel(Settings.load(), {job.job_id!r})\n"
    )
    environ = {**os.environ, **settings.environment(), "PYTHONPATH": str(CODE_ROOT)}
    subprocess.run([sys.executable, "-c", other], env=environ, timeout=60, check=True)
    assert state.version(settings) != after


def test_the_last_progress_of_a_fast_step_arrives(settings):
    job = jobs.submit(settings, "train", {})
    jobs.claim(settings, job.job_id)
    progress = JobProgress(settings, job.job_id)
    for number in range(1, 101):
        progress.update(number / 50, f"part {number}\n")

    def last() -> bool:
        current = jobs.get(settings, job.job_id)
        return bool(current and (current.fraction, current.text) == (1.0, "part 100"))

    until(last)


def test_options_that_a_step_does_not_take_are_refused(settings):
    with pytest.raises(InputError, match="port"):
        run_step(settings, "serve", {"port": 80}, JobProgress(settings, "none"))


# with a worker


def test_job_is_done_with_its_result(worker):
    job = ended(worker, jobs.submit(worker, "prepare", {"do": "return", "rows": 7}))
    assert (job.status, job.error, job.fraction) == ("done", None, 1.0)
    assert job.result == {"run_id": "run-1", "rows": 7}
    assert job.run_id == "run-1"
    assert job.started
    assert job.ended
    assert job.created <= job.started <= job.ended


def test_same_options_run_again_after_the_end(worker):
    first = ended(worker, jobs.submit(worker, "prepare", {"do": "return", "rows": 8}))
    again = jobs.submit(worker, "prepare", {"do": "return", "rows": 8})
    assert again.job_id != first.job_id
    assert ended(worker, again).status == "done"


def test_failures_are_reported_with_messages(worker):
    refused = ended(worker, jobs.submit(worker, "acquire", {"do": "refuse"}))
    assert (refused.status, refused.error) == ("failed", "The file is empty. Choose another one.")
    broken = ended(worker, jobs.submit(worker, "acquire", {"do": "break"}))
    assert broken.status == "failed"
    assert str(broken.error) == "This failed unexpectedly. KeyError: 'missing'"
    log = (worker.logs_dir / "worker.log").read_text(encoding="utf-8")
    assert 'return {}["missing"]' in log
    silent = ended(worker, jobs.submit(worker, "acquire", {"do": "exit", "code": 0}))
    assert str(silent.error) == "The job's process ended with code 0. Start the job again."
    coded = ended(worker, jobs.submit(worker, "acquire", {"do": "exit", "code": 3}))
    assert str(coded.error) == "The job's process ended with code 3. Start the job again."


def test_progress_is_seen_while_it_runs(worker):
    job = jobs.submit(worker, "train", {"do": "tell", "until": "go-tell"})
    current = running(worker, job, "part 50")
    assert current.fraction == 0.5
    assert until(lambda: jobs.get(worker, job.job_id).run_id) == "run-7"
    assert jobs.submit(worker, "train", {"do": "tell", "until": "go-tell"}).job_id == job.job_id
    (worker.home / "go-tell").touch()
    assert ended(worker, job).status == "done"


def test_no_more_jobs_at_once_than_workers(worker):
    first = jobs.submit(worker, "train", {"do": "wait", "until": "go-first"})
    second = jobs.submit(worker, "train", {"do": "return"})
    running(worker, first)
    cancelled = jobs.submit(worker, "train", {"do": "return", "rows": 1})
    jobs.cancel(worker, cancelled.job_id)
    assert jobs.get(worker, second.job_id).status == "queued"
    (worker.home / "go-first").touch()
    first_ended, second_ended = ended(worker, first), ended(worker, second)
    assert second_ended.started >= first_ended.ended
    assert jobs.get(worker, cancelled.job_id).status == "cancelled"


@pytest.mark.long
def test_a_waiting_job_begins_when_the_previous_one_has_ended(settings):
    supervision.ensure_supervisor(settings, PLAIN)
    first = jobs.submit(settings, "prepare", {"do": "wait", "until": "go-first"})
    second = jobs.submit(settings, "prepare", {"do": "return"})
    running(settings, first)
    # a free worker takes another step meanwhile, but not the same
    assert ended(settings, jobs.submit(settings, "monitor", {"do": "return"})).status == "done"
    assert jobs.get(settings, second.job_id).status == "queued"
    (settings.home / "go-first").touch()
    first_ended, second_ended = ended(settings, first), ended(settings, second)
    assert (first_ended.status, second_ended.status) == ("done", "done")
    assert second_ended.started >= first_ended.ended


def test_running_job_is_cancelled_with_what_it_started(worker):
    job = jobs.submit(worker, "train", {"do": "family"})
    current = until(lambda: (j := jobs.get(worker, job.job_id)) and j.fraction == 0.5 and j)
    family = [psutil.Process(current.pid), psutil.Process(int(current.text))]
    jobs.cancel(worker, job.job_id)
    assert ended(worker, job).status == "cancelled"
    assert gone(family)
    assert cleaned(worker, job) == "cancelled: Cancelled."


def test_job_that_ignores_the_signal_is_killed(worker):
    job = jobs.submit(worker, "train", {"do": "stubborn"})
    running(worker, job, "deaf")
    jobs.cancel(worker, job.job_id)
    assert ended(worker, job).status == "cancelled"


def test_killed_process_fails_its_job_after_the_clean_up(worker):
    job = jobs.submit(worker, "train", {"do": "write"})
    killed = until(lambda: (j := jobs.get(worker, job.job_id)) and j.fraction == 0.5 and j)
    folder = Path(killed.text)
    assert folder.is_dir()
    os.kill(killed.pid, signal.SIGKILL)
    killed = ended(worker, job)
    assert not folder.exists()
    assert killed.status == "failed"
    assert str(killed.error) == (
        "The job's process was killed. Start the job again. Memory may have run out."
    )
    assert cleaned(worker, job) == f"failed: {killed.error}"
    # a finished job leaves nothing either, a moment later
    until(lambda: list((worker.state_dir / "tmp").iterdir()) == [])


def test_clean_up_that_fails_does_not_hold_the_job(worker):
    job = jobs.submit(worker, "train", {"do": "wait"})
    (worker.home / f"unclean-{job.job_id}").touch()
    os.kill(running(worker, job).pid, signal.SIGKILL)
    assert ended(worker, job).status == "failed"
    log = (worker.logs_dir / "worker.log").read_text(encoding="utf-8")
    assert f"the clean-up after job {job.job_id} failed" in log


@pytest.mark.long
def test_second_start_finds_the_first(settings):
    arguments = (settings, (*PLAIN, "--preload="))
    threads = [
        threading.Thread(target=supervision.ensure_supervisor, args=arguments) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = until(lambda: (s := supervision.worker_state(settings)).ready and s)
    supervision.ensure_supervisor(*arguments)
    assert supervision.worker_state(settings) == state
    assert state.problem is None
    pids = [
        process.pid
        for process in psutil.process_iter()
        if process.ppid() == os.getpid()
        and process.status() != psutil.STATUS_ZOMBIE
        and process.environ().get("COURTSIDE_HOME") == str(settings.home)
    ]
    assert pids == [state.pid]


@pytest.mark.long
def test_killed_supervisor_leaves_no_orphans_and_loses_nothing(settings):
    settings = settings.model_copy(update={"workers": 1})
    arguments = (*PLAIN, "--preload=")  # three supervisors start, and few jobs would gain from it
    supervision.ensure_supervisor(settings, arguments)
    lost = jobs.submit(settings, "train", {"do": "family"})
    waiting = jobs.submit(settings, "train", {"do": "return"})
    current = until(lambda: (j := jobs.get(settings, lost.job_id)) and j.fraction == 0.5 and j)
    first = supervision.worker_state(settings).pid
    family = tree(first)
    assert {current.pid, int(current.text)} < {process.pid for process in family}
    os.kill(first, signal.SIGKILL)
    until(lambda: gone(family), 20)
    assert not supervision.worker_state(settings).alive
    assert jobs.get(settings, lost.job_id).status == "running"

    supervision.keep_supervisor(settings, arguments, every=0.1)
    supervision.keep_supervisor(settings, arguments, every=0.1)
    failed = ended(settings, lost)
    assert failed.status == "failed"
    assert str(failed.error) == (
        "The worker, the app or the machine stopped before it was done. Start it again."
    )
    assert cleaned(settings, lost) == f"failed: {failed.error}"
    assert ended(settings, waiting).status == "done"
    # once more, by the keeper only
    second = supervision.worker_state(settings).pid
    os.kill(second, signal.SIGKILL)
    third = until(lambda: (s := supervision.worker_state(settings)).ready and s.pid != second and s)
    assert third.pid != first


@pytest.mark.long
def test_stopped_supervisor_fails_what_runs_and_keeps_what_waits_or_serves(settings):
    settings = settings.model_copy(update={"workers": 1})
    supervision.ensure_supervisor(settings, PLAIN)
    serving = ended(settings, jobs.submit(settings, "serve", {"do": "server"}))
    server = psutil.Process(serving.result["server"])
    job = jobs.submit(settings, "train", {"do": "wait"})
    waiting = jobs.submit(settings, "train", {"do": "return"})
    running(settings, job)
    family = tree(supervision.worker_state(settings).pid)
    stop(settings)
    until(lambda: gone(family), 20)
    # a served model outlives its job and the supervisor
    assert not gone([server])
    server.kill()
    stopped = jobs.get(settings, job.job_id)
    assert stopped.status == "failed"
    assert (
        str(stopped.error)
        == "The worker, the app or the machine stopped before it was done. Start it again."
    )
    assert jobs.get(settings, waiting.job_id).status == "queued"
    supervision.ensure_supervisor(settings, PLAIN)
    assert ended(settings, waiting).status == "done"


@pytest.mark.parametrize("way", [pytest.param("signal", marks=pytest.mark.long), "request"])
def test_supervisor_stopped_during_its_imports_leaves_nothing(settings, monkeypatch, way):
    (settings.home / "slow_import.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path(__file__).with_name('importing').touch()\n"
        "time.sleep(300)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(settings.home))
    supervision.ensure_supervisor(settings, (*PLAIN[:2], "--preload=slow_import"))
    until((settings.home / "importing").exists)
    state = supervision.worker_state(settings)
    assert not state.ready
    family = tree(state.pid)
    assert len(family) > 1
    if way == "signal":
        os.kill(state.pid, signal.SIGTERM)
    else:
        supervision.ask(settings, "retire")
    until(lambda: gone(family), 20)


def test_supervisor_leaves_when_the_app_is_gone(settings):
    supervision.ensure_supervisor(settings, (*PLAIN, "--idle=0.3"))
    job = jobs.submit(settings, "train", {"do": "wait", "until": "go"})
    current = running(settings, job)
    family = tree(supervision.worker_state(settings).pid)
    # silent for longer than the limit, but there is a job
    until(lambda: time.time() - supervision.last_beat(settings) > 0.6)
    assert psutil.Process(current.pid).is_running()
    assert supervision.worker_state(settings).alive
    (settings.home / "go").touch()
    assert ended(settings, job).status == "done"
    until(lambda: gone(family), 20)


def test_supervisor_leaves_soon_after_an_app_that_ends(settings):
    supervision.keep_supervisor(settings, (*PLAIN, "--idle=600"))
    until(lambda: supervision.worker_state(settings).ready)
    family = tree(supervision.worker_state(settings).pid)
    supervision.leave(settings)
    assert supervision.last_beat(settings) == 0
    until(lambda: gone(family), 30)


@pytest.mark.long
def test_supervisor_with_other_settings_is_replaced(settings):
    supervision.ensure_supervisor(settings, PLAIN)
    job = jobs.submit(settings, "train", {"do": "wait", "until": "go"})
    running(settings, job)
    first = supervision.worker_state(settings).pid
    other = settings.model_copy(update={"workers": 3})
    supervision.keep_supervisor(other, PLAIN, every=0.1)
    second = jobs.submit(settings, "train", {"do": "return"})
    (settings.home / "go").touch()
    assert ended(settings, job).status == "done"
    assert ended(settings, second).status == "done"
    until(lambda: supervision.worker_state(settings).pid not in (None, first))
    state = json.loads((settings.state_dir / "supervisor.json").read_text(encoding="utf-8"))
    assert state["stamp"] == supervision.stamp(other) != supervision.stamp(settings)


def test_module_that_cannot_be_preloaded_is_reported(settings):
    supervision.ensure_supervisor(
        settings, (*PLAIN[:2], "--preload=core.runtime.worker,core.nothing")
    )
    state = until(lambda: (s := supervision.worker_state(settings)).ready and s)
    assert "core.nothing (ModuleNotFoundError: No module named 'core.nothing')" in str(
        state.problem
    )
    job = jobs.submit(settings, "train", {"do": "return"})
    assert ended(settings, job).status == "done"


def test_table_survives_in_the_database_of_the_home(settings):
    job = jobs.submit(settings, "train", {})
    with sqlite3.connect(settings.state_dir / "state.db") as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
        assert connection.execute("select job_id from jobs").fetchall() == [(job.job_id,)]


def test_killed_job_leaves_its_runs_failed(settings, store_template):
    shutil.copyfile(store_template, settings.home / "mlflow.db")
    modules = "core.runtime.worker,mlflow,mlflow.pyfunc,mlflow.data,core.platform.tracking"
    # on a slow machine this takes longer than the worker waits for the app
    supervision.ensure_supervisor(settings, (PLAIN[0], f"--preload={modules}", "--idle=600"))
    job = jobs.submit(settings, "train", {"do": "track"})
    current = running(settings, job, "open")
    assert current.run_id
    assert tracking.run(settings, current.run_id).status == "RUNNING"
    os.kill(current.pid, signal.SIGKILL)
    current = ended(settings, job)
    assert current.status == "failed"
    runs = tracking.runs(settings)
    assert [run.status for run in runs] == ["FAILED", "FAILED"]
    assert {run.error for run in runs} == {current.error}
    cancelled = jobs.submit(settings, "train", {"do": "track"})
    run_id = running(settings, cancelled, "open").run_id
    jobs.cancel(settings, cancelled.job_id)
    assert ended(settings, cancelled).status == "cancelled"
    assert tracking.run(settings, run_id).status == "KILLED"
