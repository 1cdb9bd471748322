"""Whether the newest report is out of date: another champion, or a newer scoring of it."""

from __future__ import annotations

from typing import NamedTuple

from core.monitoring import monitor
from core.monitoring.records import ReportRun
from core.platform import model_store, tracking
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.platform.messages import Message
from core.platform.project import ProjectSpec
from core.predictions_log import predictions


class Outdated(NamedTuple):
    """Why a report is out of date, and whether the champion has enough rows for a new one."""

    text: Message
    has_rows: bool


def find(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> Outdated | None:
    """Return why a report is out of date; None if it is not, or if the log cannot be read.

    A report is shown although the predictions log is damaged.
    """
    try:
        return _find(settings, spec, run)
    except StoreError:
        return None


def _find(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> Outdated | None:
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    if champion is None:
        return None
    report = ReportRun.of(run)
    scored = [
        scoring
        for scoring in predictions.scorings(settings, min_rows=monitor.MIN_ROWS)
        if (scoring.model, scoring.version) == (champion.name, champion.version)
    ]
    if (report.model, report.version) != (champion.name, champion.version):
        rows = scored[0].rows if scored else _logged(settings, champion)
        known = {"old": report.version, "new": champion.version, "rows": rows}
        text = Message(
            "This report is about version {old}; version {new} is the champion and has {rows:,} "
            "scored rows.",
            **known,
        )
        return Outdated(text, has_rows=rows >= monitor.MIN_ROWS)
    if scored and scored[0].run_id != report.scoring_run and scored[0].scored_at > run.started:
        text = Message(
            "This report is older than the newest scoring of version {version}, of {rows:,} rows.",
            version=champion.version,
            rows=scored[0].rows,
        )
        return Outdated(text, has_rows=True)
    return None


def _logged(settings: Settings, champion: model_store.ModelVersion) -> int:
    """Return how many rows a version has answered, as through the endpoint."""
    return sum(
        tally.rows
        for tally in predictions.tallies(settings)
        if not tally.is_shadow and (tally.model, tally.version) == (champion.name, champion.version)
    )
