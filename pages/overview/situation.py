"""What the Overview shows: the state of each step, its last run, the chain of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.data import snapshots
from core.jobs import chains, jobs
from core.jobs.chains import Chain, Link
from core.jobs.jobs import Job
from core.monitoring import monitor
from core.platform import lifecycle, model_store, steps, storage, tracking
from core.platform.config import Settings
from core.platform.lifecycle import Stage
from core.platform.messages import Words
from core.platform.project import ProjectSpec
from core.platform.tracking import RunInfo
from core.predictions_log import predictions
from pages.shared import elements


@dataclass(frozen=True)
class Tile:
    """A step as its tile shows it.

    Parameters
    ----------
    state : str
        Of the stage, or of its newest job: queued, running or failed; awaited in a running chain.
    run : RunInfo or None
        Its last run; None while it is awaited.
    problem : Words
        Why its newest job failed, if an older result is still in use.
    job : Job or None
        Its queued or running job, or its job in the chain.
    """

    stage: Stage
    state: str
    run: RunInfo | None
    problem: Words = ""
    job: Job | None = None


@dataclass(frozen=True)
class Situation:
    """The current state of the life cycle.

    Parameters
    ----------
    chain : Chain or None
        The chain that runs, or the last one if its end still matters.
    is_empty : bool
        Whether there is no raw data, and none is being acquired.
    report : RunInfo or None
        The newest report on current data.
    champion : str or None
        Its version.
    """

    tiles: tuple[Tile, ...]
    chain: Chain | None
    is_empty: bool
    report: RunInfo | None
    champion: str | None

    @property
    def active(self) -> Tile | None:
        """The first tile with a queued or running job."""
        return next((tile for tile in self.tiles if tile.state in jobs.ACTIVE), None)

    @property
    def next(self) -> Stage | None:
        """The first stage with something to do; None if all is done."""
        return lifecycle.next_stage([tile.stage for tile in self.tiles])

    @property
    def is_sample(self) -> bool:
        """Whether every figure that is shown comes from the built-in sample."""
        runs = [tile.run for tile in self.tiles if tile.run]
        return bool(runs) and all(run.is_sample for run in runs)


def gather(settings: Settings, spec: ProjectSpec) -> Situation:
    """Return the current state of the stores."""
    facts, runs = _facts(settings, spec)
    chain = None
    with elements.show_errors():
        chain = chains.current(settings)
    links = {link.step: link for link in chain.links} if chain else {}
    is_running = chain is not None and chain.state == "running"
    tiles = tuple(
        _tile(settings, stage, runs[stage.step], links.get(stage.step), is_running=is_running)
        for stage in lifecycle.stages(facts)
    )
    is_acquiring = tiles[0].state in jobs.ACTIVE
    return Situation(
        tiles,
        None if chain is None or _is_past(chain, runs) else chain,
        facts.snapshot is None and not is_acquiring,
        runs["monitor"],
        facts.champion,
    )


def _facts(
    settings: Settings, spec: ProjectSpec
) -> tuple[lifecycle.Facts, dict[str, RunInfo | None]]:
    runs = {step: tracking.last_run(settings, step) for step in steps.RUN_NAMES}
    snapshot, prepared = snapshots.current(settings), storage.current_prepared(settings)
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    large = predictions.scorings(settings, min_rows=monitor.MIN_ROWS, limit=1)
    if large:
        # a single row's score says nothing about operation
        runs["score"] = tracking.finished_run(settings, large[0].run_id) or runs["score"]
    trained, monitored = runs["train"], _of_operation(settings)
    runs["monitor"] = monitored
    looked_at = monitored.params.get("scored_by") if monitored else None
    if monitored and not looked_at and large and monitored.started >= large[0].scored_at:
        looked_at = large[0].run_id  # a window of the log that includes that scoring
    return lifecycle.Facts(
        snapshot=snapshot.id if snapshot else None,
        prepared_from=prepared.snapshot if prepared else None,
        prepared_run=prepared.run_id if prepared else None,
        trained_on=trained.params.get("prepared_by") if trained else None,
        champion=champion.version if champion else None,
        served=tuple(server.version for server in elements.ready_servers(settings)),
        scored_run=large[0].run_id if large else None,
        scored_version=large[0].version if large else None,
        monitored_run=looked_at,
    ), runs


def _of_operation(settings: Settings) -> RunInfo | None:
    """Return the newest report on current data: not on the test set, nor on the past."""
    newest = tracking.runs(settings, step="monitor", status="FINISHED", limit=20)
    for run in newest:
        if run.params.get("window") != "test" and run.params.get("where", "{}") in ("", "{}"):
            return run
    return None


def _tile(
    settings: Settings, stage: Stage, run: RunInfo | None, link: Link | None, *, is_running: bool
) -> Tile:
    job = link.job if link else None
    newest = jobs.latest(settings, stage.step, limit=1)
    if newest and newest[0].status in jobs.ACTIVE:
        return Tile(stage, newest[0].status, run, job=newest[0])
    if is_running and job is not None and job.status == jobs.DONE:
        return Tile(stage, "done", run, job=job)
    if is_running and link is not None and job is None:
        # an older result next to "waiting" would contradict it
        return Tile(stage, "awaited", None)
    if newest and newest[0].status == "failed" and not (run and run.started > newest[0].created):
        if stage.state == "done":
            return Tile(stage, "done", run, newest[0].error or "")
        # the card says why a chain ended
        is_said = job is not None and job.job_id == newest[0].job_id
        return Tile(stage, "failed", run, "" if is_said else newest[0].error or "")
    return Tile(stage, stage.state, run, job=job)


def _is_past(chain: Chain, runs: Mapping[str, RunInfo | None]) -> bool:
    """Return whether the step at which a chain ended was run again since."""
    link = chain.current
    if chain.state not in ("failed", "cancelled") or link is None:
        return False
    run = runs[link.step]
    return run is not None and run.started > (link.job.created if link.job else chain.began)
