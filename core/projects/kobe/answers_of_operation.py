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
from core.platform.messages import _
from core.projects.kobe.course import BASELINE
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun, ReplayRun
from core.training import candidates as kinds


def bases(facts: Facts) -> list[Block]:
    """Return how the development and production rows differ."""
    spec, acquired = facts.spec, facts.runs.get("acquire")
    blocks: list[Block] = [Heading(_("How do the development and the production base differ?"))]
    if acquired is None:
        blocks.append(Missing(_("How many rows there are of each kind."), "acquire"))
        return blocks
    made, met = metric(acquired, "rows_development"), metric(acquired, "rows_production")
    blocks.append(
        Paragraph(
            _(
                "They are two kinds of rows of one source, told apart by `{column}`: {made} "
                "{development_name} and {met} {production_name} ({acquired}). The model learns "
                "from the first and is asked about the second.",
                column=spec.rows.column,
                made=number(made),
                development_name=spec.rows.development_name,
                met=number(met),
                production_name=spec.rows.production_name,
                acquired=link(acquired),
            )
        )
    )
    run = facts.runs.get("monitor")
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame())) if run else None
    if run is None or checks is None or checks.empty:
        blocks.append(Missing(_("How far the columns of the two lie apart."), "monitor"))
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
                    VERDICTS[str(row["verdict"])],
                )
                for row in columns.to_dict("records")
            ),
            _("The model's test rows against the rows of operation, from {run}.", run=link(run)),
        )
    )
    rate, before = metric(run, "base_rate_current"), metric(run, "base_rate_reference")
    if rate is not None and before is not None:
        blocks.append(
            Paragraph(
                _(
                    "The outcome differs too: '{positive}' in {rate} of the labelled rows of "
                    "operation, {before} of the reference ({run}).",
                    positive=spec.positive,
                    rate=percent(rate),
                    before=percent(before),
                    run=link(run),
                )
            )
        )
    return blocks


def adherence(facts: Facts) -> list[Block]:
    """Return whether the model fits the production base, and why."""
    spec, run = facts.spec, facts.runs.get("monitor")
    blocks: list[Block] = [Heading(_("Is the model adherent to the production base, and why?"))]
    if run is None:
        blocks.append(Missing(_("Whether the model fits the rows of operation."), "monitor"))
        return blocks
    report = plain_tags(ReportRun, run)
    name = spec.rows.production_name if report.source == "production" else _("compared rows")
    answer = {
        "does_not_fit": _("No. The model is not adherent to the {name}.", name=name),
        "fits": _("Yes. The model is adherent to the {name}.", name=name),
        "watch": _("Yes, but it is to be watched on the {name}.", name=name),
        "no_skill": _("No. The model shows no skill on the {name}.", name=name),
        "cannot_tell": _(
            "Not known yet for the {name}: there are too few labels to show a skill.", name=name
        ),
        "investigate": _(
            "Not shown: something about the {name} is to be looked into first.", name=name
        ),
    }.get(report.verdict, _("Not known yet for the {name}: labels are missing.", name=name))
    blocks += [Paragraph(f"**{answer}** ({link(run)})"), Paragraph(report.verdict_text)]
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    own = checks[checks["verdict"].isin(("alert",)) & (checks["group"] != "input")]
    if not own.empty:
        blocks.append(
            Table(
                (_("What"), _("Here"), "95% interval", _("Reference"), _("What it means")),
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
                _("The checks in alert that the answer rests on, from {run}.", run=link(run)),
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
                "The log loss alone would have misled: {loss:.4f} here, {before:.4f} on the "
                "reference ({run}). A forecaster that always says {rate:.1%} would have "
                "{constant:.4f} here. The model's skill over that is {skill:.2%}; it is "
                "{old:.2%} on the reference.",
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
        Heading(_("How is the model's health monitored with and without the response variable?")),
        Paragraph(
            _(
                "With labels: each answer is joined to what happened. Log loss, skill over the "
                "base rate, ROC AUC, Brier score, calibration, F1, precision and recall stand "
                "beside those of the reference, each with an interval and with limits that "
                "allow for chance. Only these can say that a model does not fit."
            )
        ),
        Paragraph(
            _(
                "Without labels: drift of each column and of the forecasts, how far candidates "
                "disagree, whether a classifier can tell current rows from the reference, and "
                "the share of rows outside the reference's support. These can say: look into "
                "it. Performance estimated from the forecasts is told only while the rows lie "
                "where the model was tested; elsewhere it would be a guess that looks like a "
                "figure."
            )
        ),
    ]
    if run is None:
        blocks.append(Missing(_("What both ways found here."), "monitor"))
        return blocks
    checks = report_tables.complete(run.tables.get("checks", pd.DataFrame()))
    rows = []
    for title, groups in (
        (_("With labels"), ("performance",)),
        (_("Without labels: forecasts"), ("output",)),
        (_("Without labels: support"), ("support",)),
        (_("Without labels: columns"), ("input",)),
    ):
        own = checks[checks["group"].isin(groups)]
        verdicts = own["verdict"].tolist()
        rows.append((title, str(len(own)), *(str(verdicts.count(verdict)) for verdict in VERDICTS)))
    blocks.append(
        Table(
            (_("Kind of check"), _("Checks"), "ok", _("Warning"), _("Alert"), _("Not applicable")),
            tuple(rows),
            _("What both ways found in {run}.", run=link(run)),
        )
    )
    silent = checks[checks["code"].str.startswith("estimated_")]
    silent = silent[silent["verdict"] == "not_applicable"]
    if not silent.empty:
        blocks.append(
            Paragraph(
                _(
                    "Estimated performance is withheld in this report. {text}",
                    text=silent.iloc[0]["text"],
                )
            )
        )
    return blocks


def retraining(facts: Facts) -> list[Block]:
    """Return the retraining strategies, and the result of a replay of the past."""
    blocks: list[Block] = [
        Heading(_("Which are the reactive and the predictive strategy of retraining?")),
        Bullets(tuple(f"**{title}**: {about}" for title, about in STRATEGIES.values())),
        Paragraph(
            _(
                "Either way a retraining only makes a challenger. It becomes the champion when "
                "the gate finds it better on rows that neither was trained on, and by default "
                "a person has the last word."
            )
        ),
    ]
    if decided := facts.runs.get("retrain"):
        last = plain_tags(DecisionRun, decided)
        blocks.append(
            Paragraph(
                _(
                    "The last decision: {decision_title}. {reason} ({decided})",
                    decision_title=last.decision_title,
                    reason=last.reason,
                    decided=link(decided),
                )
            )
        )
    replayed = facts.runs.get("replay")
    if replayed is None:
        blocks.append(
            Missing(_("Which strategy would have paid on the rows of the past."), "replay")
        )
        return blocks
    replay = plain_tags(ReplayRun, replayed)
    blocks.append(
        Paragraph(
            _(
                "What the past says, {replayed} labelled rows in {replayed_2} windows from "
                "{value} to {value_2} ({replayed_3}): {answer}",
                replayed=number(metric(replayed, "rows_replayed")),
                replayed_2=number(metric(replayed, "windows")),
                value=replayed.params.get("from", ""),
                value_2=replayed.params.get("until", ""),
                replayed_3=link(replayed),
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
                    "95% interval",
                    _("Retrainings"),
                    _("Alarms"),
                    _("Alerts of inputs alone"),
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
                _(
                    "Each policy over the same rows, from {replayed}. Gain is log loss less than "
                    "without any retraining.",
                    replayed=link(replayed),
                ),
            )
        )
    windows = replayed.tables.get("windows", pd.DataFrame())
    if not windows.empty:
        from core.retraining import replay_charts

        drawn = replay_charts.log_loss(windows, drift_begin=replay.drift_begin)
        blocks.append(
            Figure(
                "replay_log_loss",
                _("The log loss of each policy, window by window."),
                drawn.to_dict(),
            )
        )
    alerts = metric(replayed, "input_alerts_none")
    if alerts and not metric(replayed, "alarms_none"):
        blocks.append(
            Paragraph(
                _(
                    "In {alerts} windows the inputs alone were in alert while the model lost "
                    "nothing. That is why a change of inputs asks for a look, and only worse "
                    "performance for a retraining.",
                    alerts=number(alerts, 0),
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
        Heading(_("What did the first version answer, and why is the verdict the same?")),
        Paragraph(
            _(
                "The first version of this work (its numbers are marked so: they come from no "
                "run of this one) took {name} and answered 'not adherent', from F1 {f1:.4f} "
                "and a log loss of about {log_loss:.0f} on the {production_name} (both from "
                "the first version).",
                name=name,
                f1=BASELINE.f1,
                log_loss=BASELINE.log_loss,
                production_name=spec.rows.production_name,
            )
        ),
        Bullets(
            (
                _(
                    "The F1 is right, and so are the labels behind it: {errors:,} of {rows:,} are "
                    "wrong, {rate:.1%} (from the first version).",
                    errors=BASELINE.errors,
                    rows=BASELINE.rows,
                    rate=rate,
                ),
                _(
                    "The log loss is not the model's. It was computed from labels instead of "
                    "probabilities; then every error counts as a forecast of almost 0, clipped at "
                    "the smallest step of a 64-bit number, which costs {clip:.2f} nats. {rate:.4f} "
                    "times {clip:.2f} is {value:.2f}: the figure says the error rate in another "
                    "unit (from the first version).",
                    clip=clip,
                    rate=rate,
                    value=rate * clip,
                ),
                _(
                    "So it could not have told a model that is wrong but modest from one that is "
                    "wrong and sure, which is what log loss is for."
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
            Missing(_("What {name} comes to here, from its probabilities.", name=name), "train")
        )
    else:
        blocks.append(
            Paragraph(
                _(
                    "The same kind of model here, from its probabilities on the test set: log loss "
                    "{value} and F1 {value_2} ({value_3}).",
                    value=number(metric(matching[0], "log_loss_test")),
                    value_2=number(metric(matching[0], "f1_test")),
                    value_3=link(matching[0]),
                )
            )
        )
    run = facts.runs.get("monitor")
    if run is not None and ReportRun.of(run).verdict == "does_not_fit":
        blocks.append(
            Paragraph(
                _(
                    "The verdict of {run} is the same, for better reasons: its order of rows (ROC "
                    "AUC {run_2}, {run_3} on the reference) and its labels (F1 {run_4}, {run_5}) "
                    "fall beyond what chance allows, and {value} of the rows lie where it was "
                    "never tested.",
                    run=link(run),
                    run_2=number(metric(run, "roc_auc_current")),
                    run_3=number(metric(run, "roc_auc_reference")),
                    run_4=number(metric(run, "f1_current")),
                    run_5=number(metric(run, "f1_reference")),
                    value=percent(metric(run, "outside_support") or 0.0),
                )
            )
        )
    return blocks
