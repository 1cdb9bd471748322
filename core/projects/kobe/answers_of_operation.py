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
from core.platform.messages import Message, Words, _, n_
from core.projects.kobe.course import BASELINE, QUESTIONS
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun, ReplayRun
from core.training import candidates as kinds


def bases(facts: Facts) -> list[Block]:
    """Return how the development and production rows differ."""
    spec, acquired = facts.spec, facts.runs.get("acquire")
    blocks: list[Block] = [Heading(str(QUESTIONS["bases"]))]
    if acquired is None:
        blocks.append(Missing(_("The number of rows of each kind."), "acquire"))
        return blocks
    made, met = metric(acquired, "rows_development"), metric(acquired, "rows_production")
    blocks.append(
        Paragraph(
            _(
                "Two kinds of rows of one source, distinguished by `{column}`: {development_rows} "
                "{development} and {production_rows} {production} ({run}). The model is trained "
                "on the first and applied to the second.",
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
        blocks.append(Missing(_("How much the columns of the two differ."), "monitor"))
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
            _("Test rows against production rows, from {run}.", run=link(run)),
        )
    )
    rate, before = metric(run, "base_rate_current"), metric(run, "base_rate_reference")
    if rate is not None and before is not None:
        blocks.append(
            Paragraph(
                _(
                    "The base rate differs too: '{positive}' in {rate:.1%} of the labelled rows "
                    "of operation, {before:.1%} of the reference ({run}).",
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
    spec, run = facts.spec, facts.runs.get("monitor")
    blocks: list[Block] = [Heading(str(QUESTIONS["adherence"]))]
    if run is None:
        blocks.append(Missing(_("Whether the model fits the production rows."), "monitor"))
        return blocks
    report = plain_tags(ReportRun, run)
    name: Words = (
        project.words(spec.rows.production_name)
        if report.source == "production"
        else Message("compared rows")
    )
    answer = {
        "does_not_fit": _("No. The model does not fit the {name}.", name=name),
        "fits": _("Yes. The model fits the {name}.", name=name),
        "watch": _("Yes, but watch it on the {name}.", name=name),
        "no_skill": _("No. The model shows no skill on the {name}.", name=name),
        "cannot_tell": _("Not known yet for the {name}: too few labels to show skill.", name=name),
        "investigate": _("Not shown: investigate the {name} first.", name=name),
    }.get(report.verdict, _("Not known yet for the {name}: labels are missing.", name=name))
    blocks += [Paragraph(f"**{answer}** ({link(run)})"), Paragraph(str(report.verdict_text))]
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    own = checks[checks["verdict"].isin(("alert",)) & (checks["group"] != "input")]
    if not own.empty:
        blocks.append(
            Table(
                (_("What"), _("Here"), _("95% interval"), _("Reference"), _("What it means")),
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
                _("The checks in alert behind this answer, from {run}.", run=link(run)),
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
                "({run}). A constant prediction of {rate:.1%} would have {constant:.4f} here. The "
                "model's skill over it is {skill:.2%}; on the reference it is {old:.2%}.",
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
                "With labels: each prediction is joined to its outcome. Log loss, skill over the "
                "base rate, ROC AUC, Brier score, calibration, F1, precision and recall are "
                "compared with the reference, each with an interval and limits that allow for "
                "chance. Only these can show that a model does not fit."
            )
        ),
        Paragraph(
            _(
                "Without labels: drift of each column and of the predictions, disagreement "
                "between candidates, whether a classifier can separate current rows from the "
                "reference, and the share of rows outside the reference's support. These only "
                "call for an investigation. Estimated performance is shown only if the rows lie "
                "where the model was tested; elsewhere it would be a guess."
            )
        ),
    ]
    if run is None:
        blocks.append(Missing(_("The results of both kinds of checks."), "monitor"))
        return blocks
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    rows = []
    for title, groups in (
        (_("With labels"), ("performance",)),
        (_("Without labels: predictions"), ("output",)),
        (_("Without labels: support"), ("support",)),
        (_("Without labels: columns"), ("input",)),
    ):
        own = checks[checks["group"].isin(groups)]
        verdicts = own["verdict"].tolist()
        counts = (len(own), *(verdicts.count(verdict) for verdict in VERDICTS))
        rows.append((title, *map(messages.number, counts)))
    blocks.append(
        Table(
            (
                _("Kind of check"),
                _("Checks"),
                _("ok"),
                _("Warning"),
                _("Alert"),
                _("Not applicable"),
            ),
            tuple(rows),
            _("The results of both kinds of checks in {run}.", run=link(run)),
        )
    )
    silent = checks[checks["code"].str.startswith("estimated_")]
    silent = silent[silent["verdict"] == "not_applicable"]
    if not silent.empty:
        blocks.append(
            Paragraph(
                _(
                    "Estimated performance is not shown in this report. {reason}",
                    reason=silent.iloc[0]["text"],
                )
            )
        )
    return blocks


def retraining(facts: Facts) -> list[Block]:
    """Return the retraining strategies, and the result of a replay of the past."""
    blocks: list[Block] = [
        Heading(str(QUESTIONS["retraining"])),
        Bullets(tuple(f"**{title}**: {about}" for title, about in STRATEGIES.values())),
        Paragraph(
            _(
                "Either way, retraining only creates a challenger. It becomes the champion if the "
                "gate finds it better on rows that neither was trained on; by default a person "
                "decides."
            )
        ),
    ]
    if decided := facts.runs.get("retrain"):
        last = plain_tags(DecisionRun, decided)
        blocks.append(
            Paragraph(
                _(
                    "The last decision: {decision}. {reason} ({run})",
                    decision=last.decision_title,
                    reason=last.reason,
                    run=link(decided),
                )
            )
        )
    replayed = facts.runs.get("replay")
    if replayed is None:
        blocks.append(Missing(_("Which strategy would have paid off on past rows."), "replay"))
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
                    "Each policy on the same rows, from {run}. Gain is the reduction in log loss "
                    "against no retraining.",
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
                n_(
                    "In {count:,} window only inputs were in alert, and the model got no worse. "
                    "That is why input drift calls for an investigation, and only worse "
                    "performance for retraining.",
                    "In {count:,} windows only inputs were in alert, and the model got no worse. "
                    "That is why input drift calls for an investigation, and only worse "
                    "performance for retraining.",
                    int(alerts),
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
                "The first version of this work used {name} and answered that the model does "
                "not fit, from F1 {f1:.4f} and a log loss of about {log_loss:.0f} on the "
                "{production} (both from the first version). Numbers so marked come from no "
                "run of this version.",
                name=name,
                f1=BASELINE.f1,
                log_loss=BASELINE.log_loss,
                production=project.words(spec.rows.production_name),
            )
        ),
        Bullets(
            (
                _(
                    "The F1 is correct, and so are the counts behind it: {errors:,} of {rows:,} "
                    "are wrong, {rate:.1%} (from the first version).",
                    errors=BASELINE.errors,
                    rows=BASELINE.rows,
                    rate=rate,
                ),
                _(
                    "The log loss is not correct. It was computed from labels instead of "
                    "probabilities: every error counts as a predicted probability of almost 0, "
                    "clipped at the machine epsilon, and costs {clip:.2f} nats. {rate:.4f} times "
                    "{clip:.2f} is {loss:.2f}: the error rate in another unit (from the first "
                    "version).",
                    clip=clip,
                    rate=rate,
                    loss=rate * clip,
                ),
                _(
                    "So it cannot distinguish errors of low confidence from errors of high "
                    "confidence, which is the purpose of log loss."
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
        blocks.append(
            Missing(_("The metrics of {name} here, from its probabilities.", name=name), "train")
        )
    else:
        blocks.append(
            Paragraph(
                _(
                    "The same kind of model here, from its probabilities on the test set: log "
                    "loss {loss} and F1 {f1} ({run}).",
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
                    "The verdict of {run} is the same, for better reasons: ROC AUC ({auc}, "
                    "{auc_reference} on the reference) and F1 ({f1}, {f1_reference}) fall beyond "
                    "what chance allows, and {outside:.1%} of the rows lie where the model was "
                    "never tested.",
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
