"""Chains of jobs: each is queued when the previous one is done, even after a kill in between."""

from __future__ import annotations

import pytest

from core.jobs import chains, jobs
from core.platform import state
from core.platform.config import Settings
from core.platform.errors import InputError, JobError

STEPS = [("acquire", {"source": "sample"}), ("prepare", {}), ("train", {"folds": 2})]


@pytest.fixture
def home(tmp_path) -> Settings:
    return Settings(home=tmp_path)


def end(settings: Settings, status: str = jobs.DONE) -> str:
    """End the job that is queued, as a worker does."""
    (job,) = jobs.active(settings)
    finish(settings, job, status)
    chains.advance(settings)
    return job.step


def finish(settings: Settings, job: jobs.Job, status: str = jobs.DONE) -> None:
    assert jobs.claim(settings, job.job_id) is not None
    jobs.finish(settings, job.job_id, status, error="it broke" if status == jobs.FAILED else None)


def steps_of(settings: Settings) -> list[str]:
    return [job.step for job in jobs.active(settings)]


def test_jobs_run_one_after_the_other(home: Settings) -> None:
    chain_id = chains.start(home, STEPS, "All of it")
    assert steps_of(home) == ["acquire"]
    chains.advance(home)
    assert steps_of(home) == ["acquire"]  # it is not done yet
    assert [end(home) for _ in STEPS] == ["acquire", "prepare", "train"]
    chain = chains.current(home)
    assert chain is not None
    assert (chain.chain_id, chain.title, chain.state, chain.current) == (
        chain_id,
        "All of it",
        "done",
        None,
    )
    assert [link.job.options for link in chain.links] == [options for _, options in STEPS]
    chains.advance(home)
    assert steps_of(home) == []


@pytest.mark.parametrize("status", [jobs.FAILED, jobs.CANCELLED])
def test_a_job_that_ends_badly_ends_the_chain(home: Settings, status: str) -> None:
    chains.start(home, STEPS, "All of it")
    end(home)
    end(home, status)
    chain = chains.current(home)
    assert chain is not None
    assert (chain.state, chain.current.step, steps_of(home)) == (status, "prepare", [])
    # another chain can start then
    chains.start(home, STEPS[:1], "Anew")
    assert steps_of(home) == ["acquire"]


def test_a_chain_is_cancelled_completely(home: Settings) -> None:
    chains.start(home, STEPS, "All of it")
    chains.cancel(home)
    chains.advance(home)
    chain = chains.current(home)
    assert chain is not None
    assert (chain.state, steps_of(home)) == ("cancelled", [])


def test_only_one_chain_at_a_time(home: Settings) -> None:
    chains.start(home, STEPS, "All of it")
    with pytest.raises(JobError, match="All of it: still running"):
        chains.start(home, STEPS, "The same")
    chains.forget(home)
    assert chains.current(home) is not None
    for _ in STEPS:
        end(home)
    chains.forget(home)
    assert chains.current(home) is None


def test_a_step_that_does_not_exist_begins_nothing(home: Settings) -> None:
    with pytest.raises(InputError, match="'trian' does not exist"):
        chains.start(home, [*STEPS, ("trian", {})], "All of it")
    assert (chains.current(home), steps_of(home)) == (None, [])


def test_a_death_after_queueing_queues_nothing_twice(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chains.start(home, STEPS, "All of it")
    (first,) = jobs.active(home)
    finish(home, first)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(state, "keep_document", die)
        with pytest.raises(KeyboardInterrupt):
            chains.advance(home)
    assert steps_of(home) == []
    chains.advance(home)
    assert steps_of(home) == ["prepare"]
    assert len(jobs.latest(home)) == 2


def test_an_equal_job_started_elsewhere_is_waited_for(home: Settings) -> None:
    chains.start(home, STEPS, "All of it")
    own = jobs.submit(home, "prepare", {})
    (first,) = [job for job in jobs.active(home) if job.step == "acquire"]
    finish(home, first)
    chains.advance(home)
    chain = chains.current(home)
    assert chain is not None
    assert (chain.current.job.job_id, len(jobs.latest(home))) == (own.job_id, 2)
