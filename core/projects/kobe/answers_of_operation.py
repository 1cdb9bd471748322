"""Answers about operation: model fit, monitoring and retraining."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from core.documents.dossier import (
    Block,
    Bullets,
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
    interval,
    link,
    metric,
    number,
    percent,
    plain_tags,
)
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.projects.kobe.course import BASELINE
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun, ReplayRun
from core.training import candidates as kinds


def bases(facts: Facts) -> list[Block]:
    """Return how the development and production rows differ."""
    spec, acquired = facts.spec, facts.runs.get("acquire")
    blocks: list[Block] = [Heading("How do the development and the production base differ?")]
    if acquired is None:
        blocks.append(Missing("How many rows there are of each kind.", "acquire"))
        return blocks
    made, met = metric(acquired, "rows_development"), metric(acquired, "rows_production")
    blocks.append(
        Paragraph(
            f"They are two kinds of rows of one source, told apart by `{spec.rows.column}`: "
            f"{number(made)} {spec.rows.development_name} and {number(met)} "
            f"{spec.rows.production_name} ({link(acquired)}). The model learns from the first and "
            "is asked about the second."
        )
    )
    run = facts.runs.get("monitor")
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame())) if run else None
    if run is None or checks is None or checks.empty:
        blocks.append(Missing("How far the columns of the two lie apart.", "monitor"))
        return blocks
    columns = report_tables.by_column(checks)
    blocks.append(
        Table(
            ("Column", "PSI", "Out of the reference's range", "Verdict"),
            tuple(
                (
                    f"`{row['column']}`",
                    number(row["psi"]),
                    "–" if row["range"] != row["range"] else percent(row["range"]),
                    str(VERDICTS[row["verdict"]]),
                )
                for row in columns.to_dict("records")
            ),
            f"The model's test rows against the rows of operation, from {link(run)}.",
        )
    )
    rate, before = metric(run, "base_rate_current"), metric(run, "base_rate_reference")
    if rate is not None and before is not None:
        blocks.append(
            Paragraph(
                f"The outcome differs too: '{spec.positive}' in {percent(rate)} of the labelled "
                f"rows of operation, {percent(before)} of the reference ({link(run)})."
            )
        )
    return blocks


def adherence(facts: Facts) -> list[Block]:
    """Return whether the model fits the production base, and why."""
    spec, run = facts.spec, facts.runs.get("monitor")
    blocks: list[Block] = [Heading("Is the model adherent to the production base, and why?")]
    if run is None:
        blocks.append(Missing("Whether the model fits the rows of operation.", "monitor"))
        return blocks
    report = plain_tags(ReportRun, run)
    name = spec.rows.production_name if report.source == "production" else "compared rows"
    answer = {
        "does_not_fit": f"No. The model is not adherent to the {name}.",
        "fits": f"Yes. The model is adherent to the {name}.",
        "watch": f"Yes, but it is to be watched on the {name}.",
        "no_skill": f"No. The model shows no skill on the {name}.",
        "cannot_tell": f"Not known yet for the {name}: there are too few labels to show a skill.",
        "investigate": f"Not shown: something about the {name} is to be looked into first.",
    }.get(report.verdict, f"Not known yet for the {name}: labels are missing.")
    blocks += [Paragraph(f"**{answer}** ({link(run)})"), Paragraph(report.verdict_text)]
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    own = checks[checks["verdict"].isin(("alert",)) & (checks["group"] != "input")]
    if not own.empty:
        blocks.append(
            Table(
                ("What", "Here", "95% interval", "Reference", "What it means"),
                tuple(
                    (
                        str(row["title"]),
                        number(row["value"]),
                        interval(row["low"], row["high"]),
                        number(row["reference"]),
                        str(row["text"]),
                    )
                    for row in own.to_dict("records")
                ),
                f"The checks in alert that the answer rests on, from {link(run)}.",
            )
        )
    blocks += _why_not_log_loss(run)
    return blocks


def _why_not_log_loss(run: RunFacts) -> list[Block]:
    loss, before = metric(run, "log_loss_current"), metric(run, "log_loss_reference")
    rate = metric(run, "base_rate_current")
    skill, old = metric(run, "skill_current"), metric(run, "skill_reference")
    if None in (loss, before, rate, skill, old) or not rate:
        return []
    constant = -rate * float(np.log(rate)) - (1 - rate) * float(np.log(1 - rate))
    return [
        Paragraph(
            f"The log loss alone would have misled: {loss:.4f} here, {before:.4f} on the "
            f"reference ({link(run)}). A forecaster that always says {rate:.1%} would have "
            f"{constant:.4f} here. The model's skill over that is {skill:.2%}; it is "
            f"{old:.2%} on the reference."
        )
    ]


def health(facts: Facts) -> list[Block]:
    """Return how the model's health is monitored with and without the response variable."""
    run = facts.runs.get("monitor")
    blocks: list[Block] = [
        Heading("How is the model's health monitored with and without the response variable?"),
        Paragraph(
            "With labels: each answer is joined to what happened. Log loss, skill over the base "
            "rate, ROC AUC, Brier score, calibration, F1, precision and recall stand beside those "
            "of the reference, each with an interval and with limits that allow for chance. Only "
            "these can say that a model does not fit."
        ),
        Paragraph(
            "Without labels: drift of each column and of the forecasts, how far candidates "
            "disagree, whether a classifier can tell current rows from the reference, and the "
            "share of rows outside the reference's support. These can say: look into it. "
            "Performance estimated from the forecasts is told only while the rows lie where the "
            "model was tested; elsewhere it would be a guess that looks like a figure."
        ),
    ]
    if run is None:
        blocks.append(Missing("What both ways found here.", "monitor"))
        return blocks
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    rows = []
    for title, groups in (
        ("With labels", ("performance",)),
        ("Without labels: forecasts", ("output",)),
        ("Without labels: support", ("support",)),
        ("Without labels: columns", ("input",)),
    ):
        own = checks[checks["group"].isin(groups)]
        verdicts = own["verdict"].tolist()
        rows.append((title, str(len(own)), *(str(verdicts.count(verdict)) for verdict in VERDICTS)))
    blocks.append(
        Table(
            ("Kind of check", "Checks", "ok", "Warning", "Alert", "Not applicable"),
            tuple(rows),
            f"What both ways found in {link(run)}.",
        )
    )
    silent = checks[checks["code"].str.startswith("estimated_")]
    silent = silent[silent["verdict"] == "not_applicable"]
    if not silent.empty:
        blocks.append(
            Paragraph(f"Estimated performance is withheld in this report. {silent.iloc[0]['text']}")
        )
    return blocks


def retraining(facts: Facts) -> list[Block]:
    """Return the retraining strategies, and the result of a replay of the past."""
    blocks: list[Block] = [
        Heading("Which are the reactive and the predictive strategy of retraining?"),
        Bullets(tuple(f"**{title}**: {about}" for title, about in STRATEGIES.values())),
        Paragraph(
            "Either way a retraining only makes a challenger. It becomes the champion when the "
            "gate finds it better on rows that neither was trained on, and by default a person "
            "has the last word."
        ),
    ]
    if decided := facts.runs.get("retrain"):
        last = plain_tags(DecisionRun, decided)
        blocks.append(
            Paragraph(f"The last decision: {last.decision_title}. {last.reason} ({link(decided)})")
        )
    replayed = facts.runs.get("replay")
    if replayed is None:
        blocks.append(Missing("Which strategy would have paid on the rows of the past.", "replay"))
        return blocks
    replay = plain_tags(ReplayRun, replayed)
    blocks.append(
        Paragraph(
            f"What the past says, {number(metric(replayed, 'rows_replayed'))} labelled rows in "
            f"{number(metric(replayed, 'windows'))} windows from "
            f"{replayed.params.get('from', '')} to {replayed.params.get('until', '')} "
            f"({link(replayed)}): {replay.answer}"
        )
    )
    policies = replayed.tables.get("policies", pd.DataFrame())
    if not policies.empty:
        blocks.append(
            Table(
                (
                    "Policy",
                    "Log loss",
                    "Gain",
                    "95% interval",
                    "Retrainings",
                    "Alarms",
                    "Alerts of inputs alone",
                ),
                tuple(
                    (
                        str(row["policy"]),
                        number(row["log_loss"]),
                        f"{row['gain']:+.4f}",
                        interval(row["gain_low"], row["gain_high"]),
                        f"{row['retrainings']:,.0f}",
                        f"{row['alarms']:,.0f}",
                        f"{row['input_alerts']:,.0f}",
                    )
                    for row in policies.to_dict("records")
                ),
                f"Each policy over the same rows, from {link(replayed)}. Gain is log loss less "
                "than without any retraining.",
            )
        )
    windows = replayed.tables.get("windows", pd.DataFrame())
    if not windows.empty:
        from core.retraining import replay_charts

        drawn = replay_charts.log_loss(windows, drift_begin=replay.drift_begin)
        blocks.append(
            Figure(
                "replay_log_loss", "The log loss of each policy, window by window.", drawn.to_dict()
            )
        )
    alerts = metric(replayed, "input_alerts_none")
    if alerts and not metric(replayed, "alarms_none"):
        blocks.append(
            Paragraph(
                f"In {number(alerts, 0)} windows the inputs alone were in alert while the model "
                "lost nothing. That is why a change of inputs asks for a look, and only worse "
                "performance for a retraining."
            )
        )
    return blocks


def earlier(facts: Facts) -> list[Block]:
    """Return the answer of the first version of this work, and why it still holds."""
    spec = facts.spec
    rate = BASELINE.errors / BASELINE.rows
    clip = -float(np.log(sys.float_info.epsilon))
    name = kinds.title(BASELINE.candidate)
    blocks: list[Block] = [
        Heading("What did the first version answer, and why is the verdict the same?"),
        Paragraph(
            f"The first version of this work (its numbers are marked so: they come from no run of "
            f"this one) took {name} and answered 'not adherent', from F1 {BASELINE.f1:.4f} and a "
            f"log loss of about {BASELINE.log_loss:.0f} on the {spec.rows.production_name} (both "
            "from the first version)."
        ),
        Bullets(
            (
                f"The F1 is right, and so are the labels behind it: {BASELINE.errors:,} of "
                f"{BASELINE.rows:,} are wrong, {rate:.1%} (from the first version).",
                f"The log loss is not the model's. It was computed from labels instead of "
                f"probabilities; then every error counts as a forecast of almost 0, clipped at the "
                f"smallest step of a 64-bit number, which costs {clip:.2f} nats. {rate:.4f} times "
                f"{clip:.2f} is {rate * clip:.2f}: the figure says the error rate in another unit "
                "(from the first version).",
                "So it could not have told a model that is wrong but modest from one that is wrong "
                "and sure, which is what log loss is for.",
            )
        ),
    ]
    matching = [
        candidate
        for candidate in facts.candidates
        if candidate.params.get("model") == BASELINE.candidate
    ]
    if not matching:
        blocks.append(Missing(f"What {name} comes to here, from its probabilities.", "train"))
    else:
        blocks.append(
            Paragraph(
                f"The same kind of model here, from its probabilities on the test set: log loss "
                f"{number(metric(matching[0], 'log_loss_test'))} and F1 "
                f"{number(metric(matching[0], 'f1_test'))} ({link(matching[0])})."
            )
        )
    run = facts.runs.get("monitor")
    if run is not None and ReportRun.of(run).verdict == "does_not_fit":
        blocks.append(
            Paragraph(
                f"The verdict of {link(run)} is the same, for better reasons: its order of rows "
                f"(ROC AUC {number(metric(run, 'roc_auc_current'))}, "
                f"{number(metric(run, 'roc_auc_reference'))} on the reference) and its labels (F1 "
                f"{number(metric(run, 'f1_current'))}, {number(metric(run, 'f1_reference'))}) fall "
                "beyond what chance allows, and "
                f"{percent(metric(run, 'outside_support') or 0.0)} of the rows lie where it was "
                "never tested."
            )
        )
    return blocks
