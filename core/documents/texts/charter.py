"""The Project Charter: background, scope, personnel, metrics, plan, architecture."""

from __future__ import annotations

from core.documents.dossier import Document, Facts, RunFacts
from core.documents.texts import diagram, model_report
from core.documents.texts.writing import written
from core.platform.messages import Words
from core.platform.runs import ChampionMove
from core.registry import model_card, registry
from core.stats.metrics import TITLES


def build(facts: Facts) -> Document:
    """Return the charter of the project.

    Examples
    --------
    >>> from core.platform import project
    >>> build(Facts(project.load("kobe"))).blocks[0].text
    'Business background'
    """
    best = model_report.chosen(facts)
    return written(
        "project_charter",
        facts,
        figures=[diagram.figure()],
        moves=moves(facts),
        best=best,
        base_log_loss=model_report.base_log_loss(best or facts.runs.get("train")),
        titles={**TITLES, **model_card.OTHER_TITLES},
    )


def moves(facts: Facts) -> list[tuple[RunFacts, dict[str, Words]]]:
    """Return the newest runs that changed the champion, or could have, each with what it says."""
    deciders = [run for run in (facts.runs.get("train"), facts.runs.get("promote")) if run]
    known = [(run, ChampionMove.of(run)) for run in deciders]
    return [
        (
            run,
            {
                "decision_title": registry.DECISIONS.get(move.decision, move.decision),
                "decided_by": move.decided_by,
                "reason": move.reason,
            },
        )
        for run, move in known
        if move.decided_by
    ]
