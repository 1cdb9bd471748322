"""Answers to the course's questions, with the numbers of this project."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from core.documents.dossier import Block, Document, Facts, Figure, Heading, RunFacts
from core.documents.texts import diagram
from core.documents.texts.data_report import SPLIT_SETTINGS, split_checks
from core.documents.texts.model_report import illusions, name_of, split_limit
from core.documents.texts.reading import figure, records, settings, table_of
from core.documents.texts.requirement import Line, whole
from core.documents.texts.writing import written
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import messages
from core.platform.messages import Words, _
from core.projects.kobe.course import BASELINE, QUESTIONS
from core.retraining import policy_comparison
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun, ReplayRun
from core.stats.check import GROUP_LABELS, VERDICT_LABELS
from core.training import candidates as kinds

TEMPLATE = "projects/kobe/answers.md.j2"
GROUPS = ("performance", "output", "support", "input")
# by the name of the question
Answers = Mapping[str, Sequence[Block]]


def build(facts: Facts) -> Document:
    """Return the answers; a number without a run is reported as missing.

    Examples
    --------
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> sum(isinstance(block, Heading) and block.level == 2 for block in document.blocks)
    10
    """
    runs = facts.runs
    prepared, monitored, replayed = runs.get("prepare"), runs.get("monitor"), runs.get("replay")
    return written(
        "answers",
        facts,
        template=TEMPLATE,
        figures=[diagram.figure(), *_replay_figure(replayed)],
        questions=QUESTIONS,
        name_of=name_of,
        illusions=illusions(facts),
        split_limit=split_limit(prepared),
        split_settings=settings(prepared, SPLIT_SETTINGS),
        split_checks=split_checks(prepared),
        strategies=list(STRATEGIES.values()),
        decision=DecisionRun.of(runs["retrain"]) if "retrain" in runs else None,
        replay=ReplayRun.of(replayed) if replayed else None,
        policies=records(replayed, "policies"),
        titled=policy_comparison.titled,
        signed=_signed,
        baseline=_baseline(),
        report=ReportRun.of(monitored) if monitored else None,
        verdict_labels=list(VERDICT_LABELS.values()),
        **_candidates(facts),
        **_checks(monitored),
    )


def sections(facts: Facts) -> Answers:
    """Return the answer to each question, its heading first."""
    blocks = build(facts).blocks
    starts = [
        place
        for place, block in enumerate(blocks)
        if isinstance(block, Heading) and block.level == 2
    ]
    ends = [*starts[1:], len(blocks)]
    return {
        name: blocks[start:end] for name, start, end in zip(QUESTIONS, starts, ends, strict=False)
    }


def answered(number: str, name: str, answers: Answers, graded: tuple[int, ...] = ()) -> Line:
    """Return the checklist's line of a question: met if its answer lacks no fact."""
    return Line(
        number,
        str(QUESTIONS[name]),
        lambda _facts: whole(_("Answers to the course's questions"), answers[name]),
        "documents",
        graded=graded,
    )


def _candidates(facts: Facts) -> dict[str, Any]:
    models = [run.params.get("model", "") for run in facts.candidates]
    used = [kinds.approach(model) for model in models]
    labels = kinds.APPROACH_LABELS
    return {
        "candidates": [
            {"run": run, "approach": labels[approach]}
            for run, approach in zip(facts.candidates, used, strict=True)
        ],
        "approaches_without": [
            labels[approach]
            for approach in ("regression", "classification")
            if not {*used} & {approach, "both"}
        ],
    }


def _checks(run: RunFacts | None) -> dict[str, Any]:
    checks = report_tables.complete(table_of(run, "checks"))
    alerts = checks[(checks["verdict"] == "alert") & (checks["group"] != "input")]
    silent = checks[
        checks["code"].str.startswith("estimated_") & (checks["verdict"] == "not_applicable")
    ].to_dict("records")
    counts = []
    for group in GROUPS:
        verdicts = checks.loc[checks["group"] == group, "verdict"].tolist()
        known = [verdicts.count(verdict) for verdict in VERDICT_LABELS]
        counts.append((GROUP_LABELS[group], len(verdicts), *known))
    return {
        "columns": report_tables.by_column(checks).to_dict("records"),
        "alerts": alerts.to_dict("records"),
        "counts": counts,
        "not_estimated": silent[0] if silent else None,
    }


def _replay_figure(run: RunFacts | None) -> list[Figure]:
    windows = table_of(run, "windows")
    if run is None or windows.empty:
        return []
    from core.retraining import replay_charts

    drawn = replay_charts.log_loss(windows, drift_begin=ReplayRun.of(run).drift_begin)
    return [figure("replay_log_loss", drawn)]


def _signed(value: float) -> str:
    return messages.number(value, "+.4f")


def _baseline() -> dict[str, float | int | Words]:
    """Return the figures of the first version."""
    return {
        "name": kinds.title(BASELINE.candidate),
        "f1": BASELINE.f1,
        "log_loss": BASELINE.log_loss,
        "errors": BASELINE.errors,
        "rows": BASELINE.rows,
        "rate": BASELINE.errors / BASELINE.rows,
        # nats of an error at the machine epsilon
        "clip": -math.log(sys.float_info.epsilon),
    }
