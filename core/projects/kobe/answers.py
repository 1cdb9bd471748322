"""Answers to the course's questions, with the numbers of this project."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.data import split_checks
from core.documents.dossier import Block, Document, Facts, Figure, Heading, RunFacts
from core.documents.texts import diagram
from core.documents.texts.model_report import name_of
from core.documents.texts.reading import figure, metric, records, table_of
from core.documents.texts.writing import written
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import messages
from core.platform.messages import Words
from core.platform.steps import FILTERED
from core.projects.kobe.course import BASELINE, QUESTIONS
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
    how = prepared.params.get("split", "") if prepared else ""
    return written(
        "answers",
        facts,
        template=TEMPLATE,
        figures=[diagram.figure(), *_replay_figure(replayed)],
        questions=QUESTIONS,
        filtered=FILTERED,
        how=split_checks.SPLITS.get(how, how),
        name_of=name_of,
        strategies=list(STRATEGIES.values()),
        decision=DecisionRun.of(runs["retrain"]) if "retrain" in runs else None,
        replay=ReplayRun.of(replayed) if replayed else None,
        policies=records(replayed, "policies"),
        signed=_signed,
        baseline=_baseline(facts),
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


def _candidates(facts: Facts) -> dict[str, Any]:
    models = [run.params.get("model", "") for run in facts.candidates]
    used = [kinds.approach(model) for model in models]
    labels = kinds.APPROACH_LABELS
    compared = [_compared(facts.candidates[0], other) for other in facts.candidates[1:]]
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
        "others": [other for other in compared if other],
    }


def _compared(best: RunFacts, other: RunFacts) -> dict[str, Any]:
    """Return by how much a candidate is behind, and whether its F1 only seems better."""
    mine, theirs = metric(best, "log_loss_cv"), metric(other, "log_loss_cv")
    ours, f1 = metric(best, "f1_test"), metric(other, "f1_test")
    rate = metric(best, "base_rate_test")
    if mine is None or theirs is None or ours is None or f1 is None:
        return {}
    # labelling every row 1 has the base rate as precision, and recall 1
    every = 2 * rate / (1 + rate) if rate else 0.0
    return {
        "run": other,
        "difference": theirs - mine,
        "f1": f1,
        "every": every,
        "is_illusion": ours < f1 < every,
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
        "constant": _constant(run),
        "counts": counts,
        "not_estimated": silent[0] if silent else None,
    }


def _constant(run: RunFacts | None) -> float | None:
    """Return the log loss of always predicting the base rate; None if a figure beside it lacks."""
    beside = [
        metric(run, f"{name}_{rows}")
        for name in ("log_loss", "skill")
        for rows in ("current", "reference")
    ]
    rate = metric(run, "base_rate_current")
    if None in beside or not rate:
        return None
    return -rate * float(np.log(rate)) - (1 - rate) * float(np.log(1 - rate))


def _replay_figure(run: RunFacts | None) -> list[Figure]:
    windows = table_of(run, "windows")
    if run is None or windows.empty:
        return []
    from core.retraining import replay_charts

    drawn = replay_charts.log_loss(windows, drift_begin=ReplayRun.of(run).drift_begin)
    return [figure("replay_log_loss", drawn)]


def _signed(value: float) -> str:
    return messages.number(value, "+.4f")


def _baseline(facts: Facts) -> dict[str, float | int | Words | RunFacts | None]:
    """Return the figures of the first version, and the run of the same kind of model here."""
    matching = [run for run in facts.candidates if run.params.get("model") == BASELINE.candidate]
    return {
        "name": kinds.title(BASELINE.candidate),
        "f1": BASELINE.f1,
        "log_loss": BASELINE.log_loss,
        "errors": BASELINE.errors,
        "rows": BASELINE.rows,
        "rate": BASELINE.errors / BASELINE.rows,
        # nats of an error at the machine epsilon
        "clip": -float(np.log(sys.float_info.epsilon)),
        "run": matching[0] if matching else None,
    }
