"""The Monitoring Report: whether the model fits its rows, the evidence, and what to do."""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.documents.dossier import Document, Facts, Figure, RunFacts
from core.documents.texts.reading import figure, table_of, words
from core.documents.texts.writing import written
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform.messages import _
from core.platform.own_columns import PROBABILITY
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts
from core.stats.check import GROUP_LABELS, find_out_why

# most rows of a table that a person reads to the end
MOST_SLICES, MOST_REPORTS = 10, 20


def build(facts: Facts) -> Document:
    """Return the report on the newest comparison of operation with the reference.

    Examples
    --------
    >>> from core.platform import project
    >>> build(Facts(project.load("kobe"))).blocks[0].step
    'monitor'
    """
    run = facts.runs.get("monitor")
    return written(
        "monitoring_report",
        facts,
        figures=_drawn(run) if run else (),
        history=[(each, ReportRun.of(each)) for each in facts.reports[:MOST_REPORTS]],
        decisions=[(each, DecisionRun.of(each)) for each in facts.decisions[:MOST_REPORTS]],
        strategies=STRATEGIES,
        beyond=report_tables.beyond,
        groups=GROUP_LABELS,
        find_out_why=find_out_why,
        **(_compared(facts, run) if run else {}),
    )


def _compared(facts: Facts, run: RunFacts) -> dict[str, Any]:
    checks = report_tables.complete(table_of(run, "checks"))
    report = ReportRun.of(run)
    alerts = checks[checks["verdict"] == "alert"]
    unlabelled = checks[checks["group"].isin(("output", "support"))]
    silent = unlabelled[
        unlabelled["code"].str.startswith("estimated_")
        & (unlabelled["verdict"] == "not_applicable")
    ]
    # the changed columns are listed once, together
    moved = report_tables.by_column(alerts)["column"].tolist()
    follows = (alerts["code"] == "domain_auc") | alerts["code"].str.endswith(f".{PROBABILITY}")
    is_said = (alerts["group"] == "input") | (bool(moved) & follows)
    todo = [report.verdict_todo, *alerts[~is_said]["todo"]]
    return {
        "report": report,
        "trained": next(
            (each for each in facts.candidates if each.run_id == report.model_run), None
        ),
        "performance": checks[checks["group"] == "performance"],
        "unlabelled": unlabelled,
        "not_estimated": None if silent.empty else silent.iloc[0].to_dict(),
        "columns": report_tables.by_column(checks).to_dict("records"),
        "slices": _slices(run, checks),
        "todo": list(dict.fromkeys(words(text) for text in todo if text)),
        "alerted": moved,
    }


def _slices(run: RunFacts, checks: pd.DataFrame) -> dict[str, Any]:
    slices = table_of(run, "slices")
    if slices.empty or "set" not in slices:
        return {}
    current = slices[(slices["set"] == "current") & slices["gap"].notna()]
    judged = current[current["finding"] != "too_few"]
    if judged.empty:
        return {}
    worst = report_tables.standing_out(judged, checks)
    return {
        "all": len(judged),
        "flagged": int((judged["finding"] != "ok").sum()),
        "worst": worst.head(MOST_SLICES).to_dict("records"),
    }


def _drawn(run: RunFacts) -> list[Figure]:
    drawn = []
    curves, moved = table_of(run, "reliability"), table_of(run, "drift")
    densities = table_of(run, "densities")
    if not curves.empty:
        chart = model_charts.calibration_curve(curves.rename(columns={"set": "model"}))
        drawn.append(figure("monitoring_reliability", chart))
    if not densities.empty and (densities["feature"] == PROBABILITY).any():
        title = _("Predicted probability")
        chart = drift_charts.feature_density(densities, PROBABILITY, axis_title=title)
        drawn.append(figure("monitoring_probability", chart))
    if not moved.empty:
        drawn.append(figure("monitoring_psi", drift_charts.psi_bars(moved)))
    return drawn
