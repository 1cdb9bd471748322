"""The Monitoring Report: whether the model fits its rows, the evidence, and what to do."""

from __future__ import annotations

import pandas as pd

from core.documents.dossier import (
    Block,
    Bullets,
    Document,
    Facts,
    Figure,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import (
    VERDICTS,
    check_table,
    link,
    listed,
    metric,
    moment,
    number,
    percent,
    plain,
    plain_tags,
)
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform.own_columns import PROBABILITY
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts

# most rows of a table that a person reads to the end
MOST_SLICES, MOST_REPORTS = 10, 20
VERDICT_WORDS = {
    "fits": "The model fits.",
    "watch": "The model fits, but it is to be watched.",
    "investigate": "Something has changed that is to be looked into.",
    "does_not_fit": "The model does not fit.",
    "no_skill": "The model shows no skill.",
    "cannot_tell": "There are too few labels to tell whether the model fits.",
    "unknown": "Whether the model fits is not known.",
}


def build(facts: Facts) -> Document:
    """Return the report on the newest comparison of operation with the reference.

    Examples
    --------
    >>> from core.platform import project
    >>> build(Facts(project.load("kobe"))).blocks[0].step
    'monitor'
    """
    blocks: list[Block] = []
    run = facts.runs.get("monitor")
    if run is None:
        lacking = "Whether the model fits is not known: no report was made."
        blocks.append(Missing(lacking, "monitor"))
    else:
        checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
        blocks += _verdict(run)
        blocks += _compared(facts, run)
        blocks += _with_labels(run, checks)
        blocks += _without_labels(run, checks)
        blocks += _drift(run, checks)
        blocks += _slices(run, checks)
        blocks += _todo(run, checks)
    blocks += _history(facts)
    blocks += _decisions(facts)
    return Document(
        "monitoring_report",
        "Monitoring Report",
        "Whether the model fits what it is asked in operation, how that is known, and what to do.",
        tuple(blocks),
    )


def _verdict(run: RunFacts) -> list[Block]:
    report = plain_tags(ReportRun, run)
    return [
        Heading("Verdict"),
        Paragraph(f"**{report.verdict_title}.** {report.verdict_text}"),
        Paragraph(f"What to do: {report.verdict_todo}"),
        Paragraph(f"This is the verdict of {link(run)}, made on {moment(run.started)}."),
    ]


def _compared(facts: Facts, run: RunFacts) -> list[Block]:
    current, reference = metric(run, "rows_current"), metric(run, "rows_reference")
    labelled = metric(run, "rows_labelled")
    target, rate = metric(run, "false_alarms_target"), metric(run, "false_alarms")
    report = plain_tags(ReportRun, run)
    candidate = next((item for item in facts.candidates if item.run_id == report.model_run), None)
    named = link(candidate) if candidate else f"run {report.model_run[:8]}"
    rows = [
        ("Current rows", report.window),
        ("Of these with a label", number(labelled)),
        ("Reference", f"{number(reference)} rows that the model's own training kept for this"),
        ("Model", f"version {report.version} of `{report.model}`: {named}"),
    ]
    if target is not None and rate is not None:
        rows.append(
            (
                "False alarms",
                f"at most {percent(rate)} of windows in which nothing changed would raise an alert "
                f"of performance or of a column; at most {percent(target)} were asked for",
            )
        )
    return [
        Heading("What was compared"),
        Table(("What", "Which"), tuple(rows), f"From {link(run)}."),
        Paragraph(
            f"A verdict is one of ok, warning, alert and not applicable, each by limits that were "
            f"learned from the reference: {number(current)} current rows against "
            f"{number(reference)}. It does not depend on the number of rows alone."
        ),
    ]


def _with_labels(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    own = checks[checks["group"] == "performance"]
    blocks: list[Block] = [Heading("Health with the response variable")]
    if own.empty or not metric(run, "rows_labelled"):
        blocks.append(
            Missing("How good the answers are: no label of these rows has come yet.", "label")
        )
        return blocks
    blocks.append(
        Paragraph(
            "Where labels have come, the answers are compared with what happened. Each figure "
            "stands beside that of the reference, with the interval that chance allows."
        )
    )
    blocks.append(check_table(own, f"Checks of performance, from {link(run)}."))
    blocks += _log_loss(run)
    if sentences := _beyond_limits(own):
        blocks.append(Bullets(tuple(sentences)))
    curves = run.tables.get("reliability", pd.DataFrame())
    if not curves.empty:
        blocks.append(
            Figure(
                "monitoring_reliability",
                "Forecast against observed shares, in the reference and in the current rows.",
                model_charts.calibration_curve(curves.rename(columns={"set": "model"})).to_dict(),
            )
        )
    return blocks


def _log_loss(run: RunFacts) -> list[Block]:
    """Return why the log loss alone says little if the base rate moved; else nothing."""
    names = ("log_loss", "base_rate", "skill")
    now = [metric(run, f"{name}_current") for name in names]
    before = [metric(run, f"{name}_reference") for name in names]
    if None in now or None in before:
        return []
    loss, rate, skill = (float(figure or 0.0) for figure in now)
    old_loss, old_rate, old_skill = (float(figure or 0.0) for figure in before)
    blocks: list[Block] = [
        Paragraph(
            f"The log loss is {loss:.4f} here and {old_loss:.4f} in the reference; the base rate "
            f"is {rate:.1%} here and {old_rate:.1%} there. Over always forecasting the base "
            f"rate of the same rows, the model's skill is {skill:.2%} here and {old_skill:.2%} "
            f"there ({link(run)})."
        )
    ]
    if loss < old_loss and skill < old_skill:
        blocks.append(
            Paragraph(
                "So the lower log loss is no comfort: rarer events are easier to forecast for any "
                "model, and this one knows less here than it did on the reference."
            )
        )
    return blocks


def _without_labels(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    own = checks[checks["group"].isin(("output", "support"))]
    if own.empty:
        return []
    blocks: list[Block] = [
        Heading("Health without the response variable"),
        Paragraph(
            "Before any label comes, four things can be seen: whether the forecasts moved, whether "
            "candidates disagree more than before, whether a classifier can tell the current rows "
            "from the reference, and how many rows lie where the model was never tested. Figures "
            "estimated from the forecasts alone are told only where these allow it."
        ),
        check_table(own, f"Checks that need no label, from {link(run)}."),
    ]
    sentences = _beyond_limits(own)
    silent = own[own["code"].str.startswith("estimated_") & (own["verdict"] == "not_applicable")]
    if not silent.empty:
        sentences.append(f"Estimated figures: {silent.iloc[0]['text']}")
    if sentences:
        blocks.append(Bullets(tuple(sentences)))
    densities = run.tables.get("densities", pd.DataFrame())
    if not densities.empty and (densities["feature"] == PROBABILITY).any():
        blocks.append(
            Figure(
                "monitoring_probability",
                "How the forecast probability lies in the reference and in the current rows.",
                drift_charts.feature_density(
                    densities, PROBABILITY, axis_title="Forecast probability"
                ).to_dict(),
            )
        )
    return blocks


def _drift(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    columns = report_tables.by_column(checks)
    if columns.empty:
        return []
    blocks: list[Block] = [
        Heading("Drift, column by column"),
        Table(
            ("Column", "Verdict", "PSI", "KS", "Out of range", "What happened"),
            tuple(
                (
                    f"`{row['column']}`",
                    VERDICTS[str(row["verdict"])],
                    number(row["psi"]),
                    number(row["ks"]),
                    "–" if row["range"] != row["range"] else percent(row["range"]),
                    str(row["text"]) if row["verdict"] in ("alert", "warning") else "As before.",
                )
                for row in columns.to_dict("records")
            ),
            f"The worst first, from {link(run)}.",
        ),
        Paragraph(
            "A column that moved does not make a model bad: it says where to look. Only a check of "
            "performance can say that the model does not fit."
        ),
    ]
    moved = run.tables.get("drift", pd.DataFrame())
    if not moved.empty:
        blocks.append(
            Figure(
                "monitoring_psi",
                "How far each column and the forecast moved (population stability index).",
                drift_charts.psi_bars(moved).to_dict(),
            )
        )
    return blocks


def _slices(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    slices = run.tables.get("slices", pd.DataFrame())
    if slices.empty or "set" not in slices:
        return []
    current = slices[(slices["set"] == "current") & slices["gap"].notna()]
    judged = current[current["finding"] != "too_few"]
    if judged.empty:
        return []
    wrong = judged[judged["finding"] != "ok"]
    summary = (
        f"Of {len(judged):,} groups of current rows with enough labels, {len(wrong):,} have "
        f"forecasts that are wrong beyond chance; {len(current) - len(judged):,} more are too "
        "small to be judged."
    )
    worst = report_tables.standing_out(judged, checks)
    if worst.empty:
        return [Heading("Where the model errs"), Paragraph(f"{summary} No slice stands out.")]
    return [
        Heading("Where the model errs"),
        Paragraph(summary),
        Table(
            ("Column", "Value", "Rows", "Forecast", "Observed", "Gap, 95% interval", "Finding"),
            tuple(
                (
                    f"`{row['column']}`",
                    plain(row["value"]),
                    f"{row['rows']:,.0f}",
                    percent(row["mean_probability"]),
                    percent(row["base_rate"]),
                    f"{row['gap']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%})",
                    plain(row["text"]),
                )
                for row in worst.head(MOST_SLICES).to_dict("records")
            ),
            f"The worst first, from {link(run)}.",
        ),
    ]


def _todo(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    bad = checks[checks["verdict"] == "alert"]
    own = bad[bad["group"] != "input"]
    moved = report_tables.by_column(bad)["column"].tolist()
    steps = [plain_tags(ReportRun, run).verdict_todo, *own["todo"].astype(str)]
    if moved:
        steps.append(
            f"Find out why {listed(moved)} changed: a change of recording, or other rows than "
            "before."
        )
    return [
        Heading("What to do"),
        Bullets(tuple(dict.fromkeys(step for step in steps if step)), numbered=True),
    ]


def _history(facts: Facts) -> list[Block]:
    if not facts.reports:
        return []
    shown = [(run, plain_tags(ReportRun, run)) for run in facts.reports[:MOST_REPORTS]]
    return [
        Heading("Reports so far"),
        Table(
            ("Made", "Rows", "Verdict", "Alerts", "Warnings", "Run"),
            tuple(
                (
                    moment(run.started),
                    report.window or number(metric(run, "rows_current")),
                    VERDICT_WORDS.get(report.verdict, report.verdict_title),
                    number(metric(run, "checks_alert"), 0),
                    number(metric(run, "checks_warning"), 0),
                    link(run),
                )
                for run, report in shown
            ),
            f"The newest first, {len(shown)} of {len(facts.reports)}.",
        ),
    ]


def _decisions(facts: Facts) -> list[Block]:
    blocks: list[Block] = [Heading("Decisions about retraining")]
    if not facts.decisions:
        blocks.append(Missing("No decision about retraining was asked for yet.", "retrain"))
        return blocks
    shown = [(run, plain_tags(DecisionRun, run)) for run in facts.decisions[:MOST_REPORTS]]
    blocks.append(
        Table(
            ("Made", "Strategy", "Decision", "Why", "Run"),
            tuple(
                (
                    moment(run.started),
                    STRATEGIES.get(decision.strategy, (decision.strategy, ""))[0],
                    decision.decision_title,
                    decision.reason,
                    link(run),
                )
                for run, decision in shown
            ),
            "The newest first.",
        )
    )
    if todo := shown[0][1].todo:
        blocks.append(Paragraph(todo))
    return blocks


def _beyond_limits(checks: pd.DataFrame) -> list[str]:
    """Return the checks beyond their limits, a sentence each; once per column."""
    return [f"**{title}**: {text}" for _, title, text in report_tables.beyond(checks)]
