"""Collection of the facts from the stores, and documents from them. Read-only; it is no run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields

import pandas as pd

from core.data.records import AcquiredRun, PreparedRun
from core.documents import inventory
from core.documents import texts as documents
from core.documents.dossier import Document, Facts, RunFacts
from core.platform import messages, model_store, project, steps, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError, InputError
from core.platform.messages import Message
from core.platform.run_tags import Condition
from core.platform.runs import ModelVersion, RunInfo
from core.registry import model_facts

# the tables that documents use, by step
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
# model cards in the dossier: of these newest versions, and of all with an alias
MOST_CARDS = 20
# older ones have ended
NEWEST_RUNS = 100


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Put messages into a language within the block: None leaves the current one.

    Raises
    ------
    InputError
        For a language without a catalogue.
    """
    chosen = language or messages.current()
    if chosen not in messages.LANGUAGES:
        raise InputError(
            Message(
                "'{name}' does not exist. Choose from: {names}.",
                name=chosen,
                names=list(messages.LANGUAGES),
            )
        )
    with messages.speaking(chosen):
        yield


def build(settings: Settings, language: str | None = None) -> tuple[Document, ...]:
    """Return all documents, filled from the current contents of the stores.

    Parameters
    ----------
    language : str, optional
        The language of the documents, the current one by default.

    Raises
    ------
    CourtsideError
        If the project file or the MLflow store cannot be used.
    """
    return of(gather(settings), language)


def of(facts: Facts, language: str | None = None) -> tuple[Document, ...]:
    """Return all documents of the given facts, in a language, the current one by default."""
    with speaking(language):
        return documents.build(facts)


def stamp(settings: Settings) -> tuple[str, ...]:
    """Return a key of what `gather` reads, much faster: other facts give another key."""
    spec = project.of(settings)
    runs = tracking.runs(settings, limit=NEWEST_RUNS)
    versions = model_store.versions(settings, spec.model)
    return (
        spec.fingerprint,
        *(f"{run.run_id}:{run.status}" for run in runs),
        *(f"{version.version}:{','.join(version.aliases)}" for version in versions),
        *inventory.states(settings),
    )


def gather(settings: Settings) -> Facts:
    """Return the facts for the documents, as far as they exist."""
    spec = project.of(settings)
    versions = model_store.versions(settings, spec.model)
    champion = next(
        (version for version in versions if model_store.CHAMPION in version.aliases), None
    )
    newest = {step: tracking.last_run(settings, step) for step in steps.RUN_NAMES}
    trained = _training(settings, champion) or newest["train"]
    newest["train"] = trained
    if trained is not None:
        newest["prepare"] = _named(settings, trained.params.get("prepared_by")) or newest["prepare"]
    newest["acquire"] = _acquired(settings, newest["prepare"]) or newest["acquire"]
    newest["score"] = _production(settings, newest["score"])
    reports = tracking.runs(settings, step="monitor", status="FINISHED", limit=MOST_RUNS)
    newest["monitor"] = _report(reports, newest["score"]) or newest["monitor"]
    decisions = tracking.runs(settings, step="retrain", status="FINISHED", limit=MOST_RUNS)
    carded = [*versions[:MOST_CARDS], *(old for old in versions[MOST_CARDS:] if old.aliases)]
    return Facts(
        spec=spec,
        runs={
            step: _facts(settings, run, TABLES.get(step, ()))
            for step, run in newest.items()
            if run is not None
        },
        candidates=_candidates(settings, trained),
        versions=tuple(version for version in carded if version.about.features),
        champion=champion if champion and champion.about.features else None,
        files=inventory.files(settings),
        reports=tuple(_facts(settings, run, ()) for run in reports),
        decisions=tuple(_facts(settings, run, ()) for run in decisions),
        cards={version.version: card for version in carded if (card := _card(settings, version))},
        shipped=inventory.shipped(),
    )


def _training(settings: Settings, champion: ModelVersion | None) -> RunInfo | None:
    return _named(settings, champion.about.train_run) if champion else None


def _named(settings: Settings, run_id: str | None) -> RunInfo | None:
    if not run_id or run_id == "None":
        return None
    return tracking.run(settings, run_id)


def _acquired(settings: Settings, prepared: RunInfo | None) -> RunInfo | None:
    """Return the run that acquired the data of a preparation."""
    if prepared is None:
        return None
    matching = AcquiredRun.where(snapshot=PreparedRun.of(prepared).snapshot)
    acquired = tracking.runs(
        settings, step="acquire", status="FINISHED", matching=matching, limit=1
    )
    return acquired[0] if acquired else None


def _production(settings: Settings, newest: RunInfo | None) -> RunInfo | None:
    scored = tracking.runs(
        settings,
        step="score",
        status="FINISHED",
        matching=[Condition("params", "source", "production")],
        limit=1,
    )
    return scored[0] if scored else newest


def _report(reports: Iterable[RunInfo], scored: RunInfo | None) -> RunInfo | None:
    wanted = scored.run_id if scored else None
    return next((run for run in reports if run.params.get("scored_by") == wanted), None)


def _candidates(settings: Settings, trained: RunInfo | None) -> tuple[RunFacts, ...]:
    if trained is None:
        return ()
    nested = tracking.runs(settings, parent=trained.run_id, status="FINISHED", limit=MOST_RUNS)
    # a retraining's preparation and training are nested too: only runs with a model count
    kept = [run for run in nested if "model" in run.params]
    kept.sort(key=lambda run: run.metrics.get("log_loss_cv", float("inf")))
    return tuple(_facts(settings, run, OF_CANDIDATE) for run in kept)


def _facts(settings: Settings, run: RunInfo, tables: Iterable[str]) -> RunFacts:
    known = {part.name: getattr(run, part.name) for part in fields(run)}
    return RunFacts(**known, tables=_tables(settings, run.run_id, tables))


def _tables(settings: Settings, run_id: str, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    tables = {}
    for name in names:
        with suppress(CourtsideError):  # an older app recorded fewer tables
            tables[name] = tracking.table(settings, run_id, name)
    return tables


def _card(settings: Settings, version: ModelVersion) -> dict[str, object] | None:
    with suppress(CourtsideError):
        return model_facts.card_facts(settings, version)
    return None
