"""The Project Charter: background, scope, personnel, metrics, plan, architecture."""

from __future__ import annotations

from core.documents.dossier import Document, Facts
from core.documents.texts import diagram, model_report
from core.documents.texts.project_parts import added
from core.documents.texts.writing import written
from core.platform.runs import ChampionMove
from core.stats.metrics import TITLES


def build(facts: Facts) -> Document:
    """Return the charter of the project.

    Examples
    --------
    >>> from core.platform import project
    >>> build(Facts(project.load("kobe"))).blocks[0].text
    'Business background'
    """
    deciders = [run for run in (facts.runs.get("train"), facts.runs.get("promote")) if run]
    moves = [(run, ChampionMove.of(run)) for run in deciders]
    return written(
        "project_charter",
        facts,
        figures=[diagram.figure()],
        moves=[(run, move) for run, move in moves if move.decided_by],
        best=model_report.chosen(facts),
        base_log_loss=model_report.base_log_loss(facts.runs.get("train")),
        titles=TITLES,
        goals=added(facts, "goals"),
    )
