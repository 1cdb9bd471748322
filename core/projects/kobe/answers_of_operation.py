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
from core.platform import messages, project
from core.platform.messages import Message, _
from core.projects.kobe.course import BASELINE, QUESTIONS
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun, ReplayRun
from core.stats.check import GROUP_LABELS, VERDICT_LABELS
from core.training import candidates as kinds

# what an answer lacks before its step has run
NUMBERS = Message("The numbers of this project.")


def bases(facts: Facts) -> list[Block]:
    """Return how the development and production rows differ."""
    spec, acquired = facts.spec, facts.runs.get("acquire")
    blocks: list[Block] = [Heading(str(QUESTIONS["bases"]))]
    if acquired is None:
        blocks.append(Missing(str(NUMBERS), "acquire"))
        return blocks
    made, met = metric(acquired, "rows_development"), metric(acquired, "rows_production")
    blocks.append(
        Paragraph(
            _(
                "`{column}` divides the source into {development_rows} {development}, on which the "
                "model is trained, and {production_rows} {production}, to which it is applied "
                "({run}).",
                column=spec.rows.column,
                development_rows=number(made),
                development=project.words(spec.rows.development_name),
                production_rows=number(met),
                production=project.words(spec.rows.production_name),
                run=link(acquired),
            )
        )
    )
    run = facts.runs.get("monitor")
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame())) if run else None
    if run is None or checks is None or checks.empty:
        blocks.append(Missing(str(NUMBERS), "monitor"))
        return blocks
    columns = report_tables.by_column(checks)
    blocks.append(
        Table(
            (_("Column"), "PSI", _("Out of the reference's range"), _("Verdict")),
            tuple(
                (
                    f"`{row['column']}`",
                    number(row["psi"]),
                    "–" if row["range"] != row["range"] else percent(row["range"]),
                    str(VERDICTS[row["verdict"]]),
                )
                for row in columns.to_dict("records")
            ),
            _("From {run}.", run=link(run)),
        )
    )
    rate, before = metric(run, "base_rate_current"), metric(run, "base_rate_reference")
    if rate is not None and before is not None:
        blocks.append(
            Paragraph(
                _(
                    "Base rate of '{positive}': {rate:.1%} in operation, {before:.1%} in the "
                    "reference ({run}).",
                    positive=project.words(spec.positive),
                    rate=rate,
                    before=before,
                    run=link(run),
                )
            )
        )
    return blocks


def adherence(facts: Facts) -> list[Block]:
    """Return whether the model fits the production base, and why."""
    run = facts.runs.get("monitor")
    blocks: list[Block] = [Heading(str(QUESTIONS["adherence"]))]
    if run is None:
        blocks.append(Missing(str(NUMBERS), "monitor"))
        return blocks
    report = plain_tags(ReportRun, run)
    blocks.append(Paragraph(f"**{report.verdict_title}** ({link(run)})"))
    blocks.append(Paragraph(str(report.verdict_text)))
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    own = checks[checks["verdict"].isin(("alert",)) & (checks["group"] != "input")]
    if not own.empty:
        blocks.append(
            Table(
                (_("What"), _("Value"), _("95% interval"), _("Reference"), _("What it means")),
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
                _("From {run}.", run=link(run)),
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
            _(
                "Log loss alone is not enough: {loss:.4f} here, {before:.4f} on the reference "
                "({run}). Always predicting {rate:.1%} would give {constant:.4f}: the skill is "
                "{skill:.2%} here, {old:.2%} on the reference.",
                loss=loss,
                before=before,
                run=link(run),
                rate=rate,
                constant=constant,
                skill=skill,
                old=old,
            )
        )
    ]


def health(facts: Facts) -> list[Block]:
    """Return how the model's health is monitored with and without the response variable."""
    run = facts.runs.get("monitor")
    blocks: list[Block] = [
        Heading(str(QUESTIONS["health"])),
        Paragraph(
            _(
                "With labels: log loss, skill over the base rate, ROC AUC, Brier score, "
                "calibration, F1, precision and recall are compared with the reference, each with "
                "an interval. Only these can show that a model does not fit."
            )
        ),
        Paragraph(
            _(
                "Without labels: drift of columns and predictions, disagreement between "
                "candidates, a classifier of reference against current rows, and the share of rows "
                "outside the reference's support. These only call for an investigation; "
                "performance is estimated only where the model was tested."
            )
        ),
    ]
    if run is None:
        blocks.append(Missing(str(NUMBERS), "monitor"))
        return blocks
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    rows = []
    for group in ("performance", "output", "support", "input"):
        verdicts = checks.loc[checks["group"] == group, "verdict"].tolist()
        counts = (len(verdicts), *(verdicts.count(verdict) for verdict in VERDICTS))
        rows.append((str(GROUP_LABELS[group]), *map(messages.number, counts)))
    blocks.append(
        Table(
            (_("Group"), _("Checks"), *map(str, VERDICT_LABELS.values())),
            tuple(rows),
            _("From {run}.", run=link(run)),
        )
    )
    silent = checks[checks["code"].str.startswith("estimated_")]
    silent = silent[silent["verdict"] == "not_applicable"]
    if not silent.empty:
        blocks.append(Paragraph(f"{silent.iloc[0]['title']}: {silent.iloc[0]['text']}"))
    return blocks


def retraining(facts: Facts) -> list[Block]:
    """Return the retraining strategies, and the result of a replay of the past."""
    blocks: list[Block] = [
        Heading(str(QUESTIONS["retraining"])),
        Bullets(tuple(f"**{title}**: {about}" for title, about in STRATEGIES.values())),
        Paragraph(
            _(
                "Both only create a challenger: it becomes the champion if the gate finds it "
                "better on rows that neither was trained on."
            )
        ),
    ]
    if decided := facts.runs.get("retrain"):
        last = plain_tags(DecisionRun, decided)
        blocks.append(
            Paragraph(
                _(
                    "Last decision: {decision}. {reason} ({run})",
                    decision=last.decision_title,
                    reason=last.reason,
                    run=link(decided),
                )
            )
        )
    replayed = facts.runs.get("replay")
    if replayed is None:
        blocks.append(Missing(str(NUMBERS), "replay"))
        return blocks
    replay = plain_tags(ReplayRun, replayed)
    blocks.append(
        Paragraph(
            _(
                "Replay of {rows} labelled rows in {windows} windows from {first} to {last} "
                "({run}): {answer}",
                rows=number(metric(replayed, "rows_replayed")),
                windows=number(metric(replayed, "windows")),
                first=replayed.params.get("from", ""),
                last=replayed.params.get("until", ""),
                run=link(replayed),
                answer=replay.answer,
            )
        )
    )
    policies = replayed.tables.get("policies", pd.DataFrame())
    if not policies.empty:
        blocks.append(
            Table(
                (
                    _("Policy"),
                    _("Log loss"),
                    _("Gain"),
                    _("95% interval"),
                    _("Retrainings"),
                    _("Alarms"),
                    _("Input-only alerts"),
                ),
                tuple(
                    (
                        str(row["policy"]),
                        number(row["log_loss"]),
                        messages.number(row["gain"], "+.4f"),
                        interval(row["gain_low"], row["gain_high"]),
                        messages.number(row["retrainings"], ",.0f"),
                        messages.number(row["alarms"], ",.0f"),
                        messages.number(row["input_alerts"], ",.0f"),
                    )
                    for row in policies.to_dict("records")
                ),
                _(
                    "From {run}. Gain: reduction in log loss against no retraining.",
                    run=link(replayed),
                ),
            )
        )
    windows = replayed.tables.get("windows", pd.DataFrame())
    if not windows.empty:
        from core.retraining import replay_charts

        drawn = replay_charts.log_loss(windows, drift_begin=replay.drift_begin)
        blocks.append(
            Figure("replay_log_loss", _("Log loss of each policy by window."), drawn.to_dict())
        )
    alerts = metric(replayed, "input_alerts_none")
    if alerts and not metric(replayed, "alarms_none"):
        blocks.append(
            Paragraph(
                _(
                    "Windows in which only inputs were in alert: {windows:,.0f}; the model got no "
                    "worse. So input drift calls for an investigation, and only worse performance "
                    "for retraining.",
                    windows=alerts,
                )
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
        Heading(str(QUESTIONS["earlier"])),
        Paragraph(
            _(
                "It used {name} and answered no, from F1 {f1:.4f} and a log loss of about "
                "{log_loss:.0f} on the {production} (both from the first version: such numbers "
                "come from no run here).",
                name=name,
                f1=BASELINE.f1,
                log_loss=BASELINE.log_loss,
                production=project.words(spec.rows.production_name),
            )
        ),
        Bullets(
            (
                _(
                    "The F1 is correct: {errors:,} of {rows:,} labels are wrong, {rate:.1%} (from "
                    "the first version).",
                    errors=BASELINE.errors,
                    rows=BASELINE.rows,
                    rate=rate,
                ),
                _(
                    "The log loss is not: computed from labels instead of probabilities, every "
                    "error costs {clip:.2f} nats, and {rate:.4f} times {clip:.2f} is {loss:.2f}, "
                    "the error rate in another unit (from the first version). It cannot "
                    "distinguish unsure from confident errors.",
                    clip=clip,
                    rate=rate,
                    loss=rate * clip,
                ),
            )
        ),
    ]
    matching = [
        candidate
        for candidate in facts.candidates
        if candidate.params.get("model") == BASELINE.candidate
    ]
    if not matching:
        blocks.append(Missing(str(NUMBERS), "train"))
    else:
        blocks.append(
            Paragraph(
                _(
                    "{name} here, on the test set: log loss {loss} and F1 {f1} ({run}).",
                    name=name,
                    loss=number(metric(matching[0], "log_loss_test")),
                    f1=number(metric(matching[0], "f1_test")),
                    run=link(matching[0]),
                )
            )
        )
    run = facts.runs.get("monitor")
    if run is not None and ReportRun.of(run).verdict == "does_not_fit":
        blocks.append(
            Paragraph(
                _(
                    "{run} gives the same verdict for better reasons: ROC AUC {auc} (reference "
                    "{auc_reference}), F1 {f1} ({f1_reference}), and {outside:.1%} of the rows "
                    "outside the support.",
                    run=link(run),
                    auc=number(metric(run, "roc_auc_current")),
                    auc_reference=number(metric(run, "roc_auc_reference")),
                    f1=number(metric(run, "f1_current")),
                    f1_reference=number(metric(run, "f1_reference")),
                    outside=metric(run, "outside_support") or 0.0,
                )
            )
        )
    return blocks
