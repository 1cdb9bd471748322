"""The Exit Report: goals, results, lessons learned, and next steps."""

from __future__ import annotations

from core.documents.dossier import Document, Facts
from core.documents.texts import charter, diagram, model_report
from core.documents.texts.project_parts import added
from core.documents.texts.reading import metric, records
from core.documents.texts.writing import written
from core.monitoring.records import ReportRun
from core.platform import project
from core.platform.messages import Message, Words
from core.platform.steps import STEPS
from core.registry import registry
from core.registry.records import PromotionRun
from core.retraining.records import DecisionRun, ReplayRun
from core.scoring.records import ScoringRun
from core.stats.check import VERDICT_LABELS

# reduction of the base rate's log loss, as a share, that changes decisions about single rows
MUCH = 0.1
VERDICTS = {
    **registry.DECISIONS,
    "pass": Message("passed"),
    "not_applicable": VERDICT_LABELS["not_applicable"],
}


def _rows_trained_on(facts: Facts) -> Words:
    """Return what the champion's training rows are called; the project's own until there is one."""
    named = facts.champion.about.rows_name if facts.champion else ""
    return project.words(named or facts.spec.rows.reference_rows)


def build(facts: Facts) -> Document:
    """Return the final report, under the headings of TDSP's template.

    Examples
    --------
    >>> from core.documents.dossier import Heading
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> [block.text for block in document.blocks if isinstance(block, Heading)][:3]
    ['Overview', 'Business background', 'Data processing']
    """
    runs = facts.runs
    first = facts.candidates[0] if facts.candidates else None
    skill = metric(first, "skill_test")
    low, high = metric(first, "skill_test_low"), metric(first, "skill_test_high")
    has_interval = low is not None and high is not None
    scored, monitored, decided = runs.get("score"), runs.get("monitor"), runs.get("retrain")
    report = ReportRun.of(monitored) if monitored else ReportRun()
    decision = DecisionRun.of(decided) if decided else DecisionRun()
    columns = facts.spec.columns
    todo = ((monitored, report.verdict_todo), (decided, decision.todo))
    return written(
        "exit_report",
        facts,
        names={"development": _rows_trained_on(facts)},
        figures=[diagram.figure()],
        first=first,
        name_of=model_report.name_of,
        skill=skill,
        skill_low=low if has_interval else skill,
        skill_high=high if has_interval else skill,
        is_low=skill is not None and skill < MUCH,
        illusions=model_report.illusions(facts),
        moves=charter.moves(facts),
        report=report,
        promotion=PromotionRun.of(runs["promote"]) if "promote" in runs else None,
        rules=records(runs.get("promote"), "rules"),
        rule_verdicts=VERDICTS,
        source=(ScoringRun.of(scored).source if scored else "")
        or (scored.params.get("source", "production") if scored else ""),
        replay=ReplayRun.of(runs["replay"]) if "replay" in runs else None,
        next_steps=[(run, text) for run, text in todo if run and text],
        late=[name for name, column in columns.items() if column.recorded == "after"],
        to_run=[step.title for step in STEPS if step.name not in runs],
        learnings=added(facts, "learnings"),
        links=added(facts, "links"),
    )
