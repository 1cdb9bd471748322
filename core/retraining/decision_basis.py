"""The basis of a decision to retrain: reports, earlier retrainings and waiting challengers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from core.monitoring.records import ReportRun
from core.platform import clock, model_store, set_aside, tracking
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message, Words, parted
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion, RunInfo
from core.retraining import policy_evidence
from core.retraining.policy_evidence import Window
from core.retraining.records import DecisionRun

# no policy uses older reports
MOST_REPORTS = 200


@dataclass(frozen=True)
class State:
    """The basis of a decision.

    Parameters
    ----------
    windows : tuple of Window
        Reports of the champion, oldest first, without overlap.
    used : frozenset of str
        Those that its last retraining was based on.
    retrained_at : float or None
        Time of that retraining, seconds since 1970.
    waiting : Message or None
        Name of a challenger that passed the gate and waits for a person.
    waiting_run : str or None
        The run that trained it.
    """

    champion: ModelVersion
    windows: tuple[Window, ...]
    used: frozenset[str]
    retrained_at: float | None
    waiting: Words | None
    waiting_run: str | None = None


def state(settings: Settings, spec: ProjectSpec) -> State:
    """Read the basis of a decision from the store, without training.

    Raises
    ------
    NotReadyError
        Before there is a champion.
    """
    champion = model_store.require_version(settings, spec.model, model_store.CHAMPION)
    separate = policy_evidence.apart(windows(settings, champion))
    last = _last(settings, champion)
    used: frozenset[str] = frozenset()
    waiting, retrained_at = None, None
    if last is not None:
        decided = DecisionRun.of(last)
        used = frozenset(
            window.run_id for window in separate if window.end <= decided.windows_until
        )
        retrained_at = last.started if decided.decided_at is None else decided.decided_at
        waiting = _waiting(settings, spec, decided)
    return State(
        champion,
        tuple(separate),
        used,
        retrained_at,
        Message("Version {version}", version=waiting.version) if waiting else None,
        last.run_id if waiting and last else None,
    )


def windows(settings: Settings, champion: ModelVersion) -> list[Window]:
    """Return the reports of a version as windows, in the order of the reports.

    Reports of the test set against the training set are left out: they are not of operation.
    """
    reported = []
    for run in reversed(
        tracking.runs(settings, step="monitor", status="FINISHED", limit=MOST_REPORTS)
    ):
        report = ReportRun.of(run)
        if (report.model, report.version) != (champion.name, champion.version):
            continue
        if run.params.get("window") == "test":
            continue
        # rows of the sample say nothing about a version that serves real ones
        if run.is_sample != champion.is_sample:
            continue
        try:
            checks = tracking.table(settings, run.run_id, "checks")
        except NotReadyError:
            continue
        with set_aside.guarded(settings, "retraining", f"report:{run.run_id}", code="unreadable"):
            window = as_window(run, checks)
            # runs have wall time, policies use the clock of schedules
            begin, end = (clock.moment(settings, moment) for moment in (window.begin, window.end))
            reported.append(replace(window, begin=begin, end=end))
    return reported


def as_window(run: RunInfo, checks: pd.DataFrame) -> Window:
    """Return a report as input of a policy."""
    limits = checks.reindex(columns=["alert_low", "alert_high"]).astype("float64")
    values = checks["value"].astype("float64")
    codes = checks["code"].astype(str)
    report = ReportRun.of(run)
    begin, end, labels = report.window_begin, report.window_end, report.labels
    return Window(
        run_id=run.run_id,
        begin=run.started if begin is None else begin,
        end=run.started if end is None else end,
        rows=int(run.metrics.get("rows_current", 0)),
        labels=int(run.metrics.get("rows_labelled", 0)) if labels is None else labels,
        values={
            code: float(value) for code, value in zip(codes, values, strict=True) if value == value
        },
        verdicts=dict(zip(codes, checks["verdict"].astype(str), strict=True)),
        groups=dict(zip(codes, checks["group"].astype(str), strict=True)),
        limits={
            code: (None if low != low else float(low), None if high != high else float(high))
            for code, low, high in zip(
                codes, limits["alert_low"], limits["alert_high"], strict=True
            )
        },
        verdict=report.verdict,
        action=report.verdict_action,
        why=parted(report.verdict_text)[0],
        todo=report.verdict_todo,
    )


def _last(settings: Settings, champion: ModelVersion) -> RunInfo | None:
    """Return the newest retraining of this champion, including failed ones; not mere decisions."""
    matching = DecisionRun.where(decision="retrain", retrained_version=champion.version)
    earlier = tracking.runs(settings, step="retrain", matching=matching, limit=20)
    return next(
        (
            decision
            for decision in earlier
            if decision.status != "RUNNING" and decision.params.get("model") == champion.name
        ),
        None,
    )


def _waiting(settings: Settings, spec: ProjectSpec, last: DecisionRun) -> ModelVersion | None:
    """Return the challenger of a retraining, if it waits for a person."""
    if last.gate != "promote" or not last.challenger:
        return None
    challenger = model_store.find_version(settings, spec.model, last.challenger)
    return (
        challenger
        if challenger is not None and model_store.CHALLENGER in challenger.aliases
        else None
    )
