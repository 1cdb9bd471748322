"""Documents: gather the facts from the stores, and fill the documents. Reads only; it is no run."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pandas as pd

from core import project
from core.adapters import inventory, model_facts, tracking
from core.adapters.tracking import ModelVersion, RunInfo
from core.config import Settings
from core.dossier import Document, Facts, RunFacts, VersionFacts
from core.errors import CourtsideError
from core.logic import documents

TAG = tracking.TAG
# the tables that documents read, by step
TABLES = {
    "acquire": ("files", "columns", "validation", "leakage"),
    "prepare": ("class_balance", "missing", "split_checks", "split_drift"),
    "train": ("comparison", "paired", "learning", "left_out"),
    "monitor": ("checks", "drift", "slices", "reliability", "densities", "confusion", "ranking"),
    "promote": ("rules",),
    "replay": ("policies", "windows", "decisions"),
    "retrain": ("reasons", "windows"),
}
OF_CANDIDATE = ("slices", "thresholds", "folds", "calibration")
MOST_RUNS = 200


def make(settings: Settings) -> tuple[Document, ...]:
    """Return all documents, filled from what stands in the stores now.

    Raises
    ------
    CourtsideError
        If the project file or the MLflow store cannot be used.
    """
    return of(gather(settings))


def of(facts: Facts) -> tuple[Document, ...]:
    """Return all documents of what was gathered."""
    return documents.make(facts)


def gather(settings: Settings) -> Facts:
    """Return the facts that documents are filled from; what does not exist yet is left out."""
    spec = project.load(settings.project)
    versions = tracking.versions(settings, spec.model)
    champion = next((one for one in versions if tracking.CHAMPION in one.aliases), None)
    newest = {step: tracking.last_run(settings, step) for step in tracking.RUN_NAMES}
    trained = _training(settings, champion) or newest["train"]
    newest["train"] = trained
    if trained is not None:
        newest["prepare"] = _named(settings, trained.params.get("prepared_by")) or newest["prepare"]
    newest["acquire"] = _acquired(settings, newest["prepare"]) or newest["acquire"]
    newest["score"] = _production(settings, newest["score"])
    reports = tracking.runs(settings, step="monitor", status="FINISHED", limit=MOST_RUNS)
    newest["monitor"] = _report(reports, newest["score"]) or newest["monitor"]
    decisions = tracking.runs(settings, step="retrain", status="FINISHED", limit=MOST_RUNS)
    told = [_version(one) for one in versions if TAG + "features" in one.tags]
    return Facts(
        spec=spec,
        runs={
            step: _facts(settings, run, TABLES.get(step, ()))
            for step, run in newest.items()
            if run is not None
        },
        candidates=_candidates(settings, trained),
        versions=tuple(told),
        champion=next((one for one in told if tracking.CHAMPION in one.aliases), None),
        files=inventory.files(settings),
        reports=tuple(_facts(settings, run, ()) for run in reports),
        decisions=tuple(_facts(settings, run, ()) for run in decisions),
        cards={one.version: card for one in versions if (card := _card(settings, one))},
        shipped=inventory.shipped(),
    )


def _training(settings: Settings, champion: ModelVersion | None) -> RunInfo | None:
    return _named(settings, champion.tags.get(TAG + "train_run")) if champion else None


def _named(settings: Settings, run_id: str | None) -> RunInfo | None:
    if not run_id or run_id == "None":
        return None
    return tracking.run(settings, run_id)


def _acquired(settings: Settings, prepared: RunInfo | None) -> RunInfo | None:
    """Return the run that brought in what a preparation read."""
    if prepared is None:
        return None
    snapshot = prepared.tags.get(TAG + "snapshot")
    found = tracking.runs(settings, step="acquire", status="FINISHED", limit=MOST_RUNS)
    return next((run for run in found if run.tags.get(TAG + "snapshot") == snapshot), None)


def _production(settings: Settings, newest: RunInfo | None) -> RunInfo | None:
    found = tracking.runs(
        settings,
        step="score",
        status="FINISHED",
        matching=["params.source = 'production'"],
        limit=1,
    )
    return found[0] if found else newest


def _report(reports: Iterable[RunInfo], scored: RunInfo | None) -> RunInfo | None:
    wanted = scored.run_id if scored else None
    return next((run for run in reports if run.params.get("scored_by") == wanted), None)


def _candidates(settings: Settings, trained: RunInfo | None) -> tuple[RunFacts, ...]:
    if trained is None:
        return ()
    found = tracking.runs(settings, parent=trained.run_id, status="FINISHED", limit=MOST_RUNS)
    # a retraining's preparation and training stand below it too: only those with a model count
    kept = [run for run in found if "model" in run.params]
    kept.sort(key=lambda run: run.metrics.get("log_loss_cv", float("inf")))
    return tuple(_facts(settings, run, OF_CANDIDATE) for run in kept)


def _facts(settings: Settings, run: RunInfo, tables: Iterable[str]) -> RunFacts:
    return RunFacts(
        run_id=run.run_id,
        step=run.step,
        name=run.name,
        started=run.started,
        ended=run.ended or run.started,
        params=dict(run.params),
        metrics=dict(run.metrics),
        tags=dict(run.tags),
        tables=_tables(settings, run.run_id, tables),
    )


def _tables(settings: Settings, run_id: str, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    found = {}
    for name in names:
        with suppress(CourtsideError):  # an older app kept less
            found[name] = tracking.table(settings, run_id, name)
    return found


def _version(one: ModelVersion) -> VersionFacts:
    return VersionFacts(
        model=one.name,
        version=one.version,
        aliases=one.aliases,
        run_id=one.run_id,
        threshold=one.threshold,
        features=one.features,
        created=one.created,
    )


def _card(settings: Settings, one: ModelVersion) -> dict[str, object] | None:
    with suppress(CourtsideError):
        return model_facts.card_facts(settings, one)
    return None
