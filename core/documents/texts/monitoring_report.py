"""The Monitoring Report: whether the model fits its rows, the evidence, and what to do."""

from __future__ import annotations

import pandas as pd

from core.documents.dossier import (
    Block,
    Bullets,
    Document,
    Facts,
    Heading,
    Missing,
    Paragraph,
    RunFacts,
    Table,
)
from core.documents.texts.reading import (
    VERDICTS,
    check_table,
    figure,
    link,
    listed,
    metric,
    moment,
    number,
    percent,
    plain,
    plain_tags,
    words,
)
from core.monitoring import report_tables
from core.monitoring.records import ReportRun
from core.platform import messages
from core.platform.messages import Message, _, sentences
from core.platform.own_columns import PROBABILITY
from core.retraining.policy_settings import STRATEGIES
from core.retraining.records import DecisionRun
from core.stats.charts import drift as drift_charts
from core.stats.charts import models as model_charts

# most rows of a table that a person reads to the end
MOST_SLICES, MOST_REPORTS = 10, 20
VERDICT_WORDS = {
    "fits": Message("The model fits."),
    "watch": Message("The model fits; keep watching it."),
    "investigate": Message("Something changed: investigate."),
    "does_not_fit": Message("The model does not fit."),
    "no_skill": Message("The model has no skill."),
    "cannot_tell": Message("Too few labels for a verdict."),
    "unknown": Message("No verdict yet."),
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
        lacking = _("Whether the model fits is not known: there is no report.")
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
        _("Monitoring Report"),
        _("Whether the model fits its rows in operation, the evidence, and what to do."),
        tuple(blocks),
    )


def _verdict(run: RunFacts) -> list[Block]:
    report = plain_tags(ReportRun, run)
    return [
        Heading(_("Verdict")),
        Paragraph(f"**{report.verdict_title}.** {report.verdict_text}"),
        Paragraph(_("What to do: {todo}", todo=report.verdict_todo)),
        Paragraph(
            _("The verdict is from {run}, {moment}.", run=link(run), moment=moment(run.started))
        ),
    ]


def _compared(facts: Facts, run: RunFacts) -> list[Block]:
    current, reference = metric(run, "rows_current"), metric(run, "rows_reference")
    labelled = metric(run, "rows_labelled")
    target, rate = metric(run, "false_alarms_target"), metric(run, "false_alarms")
    report = plain_tags(ReportRun, run)
    candidate = next((item for item in facts.candidates if item.run_id == report.model_run), None)
    named = link(candidate) if candidate else _("run {run_id}", run_id=report.model_run[:8])
    rows = [
        (_("Current rows"), report.window),
        (_("Labelled current rows"), number(labelled)),
        (_("Reference"), _("{rows} rows of the model's own test set", rows=number(reference))),
        (
            _("Model"),
            _(
                "version {version} of `{model}`: {run}",
                version=report.version,
                model=report.model,
                run=named,
            ),
        ),
    ]
    if target is not None and rate is not None:
        rows.append(
            (
                _("False alarms"),
                _(
                    "at most {rate} of windows without change raise an alert of "
                    "performance or of a column; the limit is {target}",
                    rate=percent(rate),
                    target=percent(target),
                ),
            )
        )
    return [
        Heading(_("What was compared")),
        Table(
            (_("What"), _("Which")),
            tuple((what, str(which)) for what, which in rows),
            _("From {run}.", run=link(run)),
        ),
        Paragraph(
            _(
                "Each check is ok, warning, alert or not applicable, by limits learned "
                "from the reference: {current} current rows against {reference}.",
                current=number(current),
                reference=number(reference),
            )
        ),
    ]


def _with_labels(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    own = checks[checks["group"] == "performance"]
    blocks: list[Block] = [Heading(_("Health with the response variable"))]
    if own.empty or not metric(run, "rows_labelled"):
        blocks.append(
            Missing(_("Performance is not known: there are no labels for these rows yet."), "label")
        )
        return blocks
    blocks.append(
        Paragraph(
            _(
                "Predictions are compared with their labels. Each metric is shown "
                "beside that of the reference, with its 95% interval."
            )
        )
    )
    blocks.append(check_table(own, _("Checks of performance, from {run}.", run=link(run))))
    blocks += _log_loss(run)
    if findings := _beyond_limits(own):
        blocks.append(Bullets(tuple(findings)))
    curves = run.tables.get("reliability", pd.DataFrame())
    if not curves.empty:
        blocks.append(
            figure(
                "monitoring_reliability",
                _("Predicted against observed shares, in the reference and in the current rows."),
                model_charts.calibration_curve(curves.rename(columns={"set": "model"})),
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
            _(
                "Log loss: {loss:.4f} now, {old_loss:.4f} in the reference. Base rate: "
                "{rate:.1%} now, {old_rate:.1%} in the reference. Skill over the base "
                "rate of the same rows: {skill:.2%} now, {old_skill:.2%} in the "
                "reference ({run}).",
                loss=loss,
                old_loss=old_loss,
                rate=rate,
                old_rate=old_rate,
                skill=skill,
                old_skill=old_skill,
                run=link(run),
            )
        )
    ]
    if loss < old_loss and skill < old_skill:
        blocks.append(
            Paragraph(
                _(
                    "Lower log loss is not an improvement: the base rate changed, and the "
                    "skill fell."
                )
            )
        )
    return blocks


def _without_labels(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    own = checks[checks["group"].isin(("output", "support"))]
    if own.empty:
        return []
    blocks: list[Block] = [
        Heading(_("Health without the response variable")),
        Paragraph(
            _(
                "Four checks need no labels: whether the predictions moved, whether "
                "candidates disagree more than before, whether a classifier separates "
                "current rows from the reference, and how many rows are unlike the "
                "test set. Metrics are estimated without labels only where these "
                "checks allow it."
            )
        ),
        check_table(own, _("Checks that need no label, from {run}.", run=link(run))),
    ]
    findings = _beyond_limits(own)
    silent = own[own["code"].str.startswith("estimated_") & (own["verdict"] == "not_applicable")]
    if not silent.empty:
        findings.append(_("Estimated metrics: {text}", text=words(silent.iloc[0]["text"])))
    if findings:
        blocks.append(Bullets(tuple(findings)))
    densities = run.tables.get("densities", pd.DataFrame())
    if not densities.empty and (densities["feature"] == PROBABILITY).any():
        blocks.append(
            figure(
                "monitoring_probability",
                _(
                    "Distribution of the predicted probability in the reference and in the "
                    "current rows."
                ),
                drift_charts.feature_density(
                    densities, PROBABILITY, axis_title=_("Predicted probability")
                ),
            )
        )
    return blocks


def _drift(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    columns = report_tables.by_column(checks)
    if columns.empty:
        return []
    blocks: list[Block] = [
        Heading(_("Drift, column by column")),
        Table(
            (_("Column"), _("Verdict"), "PSI", "KS", _("Out of range"), _("What happened")),
            tuple(
                (
                    f"`{row['column']}`",
                    str(VERDICTS[row["verdict"]]),
                    number(row["psi"]),
                    number(row["ks"]),
                    "–" if row["range"] != row["range"] else percent(row["range"]),
                    words(row["text"])
                    if row["verdict"] in ("alert", "warning")
                    else _("Unchanged."),
                )
                for row in columns.to_dict("records")
            ),
            _("The worst first, from {run}.", run=link(run)),
        ),
        Paragraph(
            _(
                "A column that moved does not make a model bad; it says where to look. "
                "Only a performance check shows that the model does not fit."
            )
        ),
    ]
    moved = run.tables.get("drift", pd.DataFrame())
    if not moved.empty:
        blocks.append(
            figure(
                "monitoring_psi",
                _(
                    "How far each column and the predicted probability moved (population "
                    "stability index)."
                ),
                drift_charts.psi_bars(moved),
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
    summary = Message(
        "Slices with enough labels: {judged:,}. With predictions wrong beyond "
        "chance: {wrong:,}. Too small to evaluate: {small:,}.",
        judged=len(judged),
        wrong=len(wrong),
        small=len(current) - len(judged),
    )
    worst = report_tables.standing_out(judged, checks)
    if worst.empty:
        return [
            Heading(_("Where the model errs")),
            Paragraph(str(sentences(summary, Message("No slice stands out.")))),
        ]
    return [
        Heading(_("Where the model errs")),
        Paragraph(str(summary)),
        Table(
            (
                _("Column"),
                _("Value"),
                _("Rows"),
                _("Predicted"),
                _("Observed"),
                _("Gap, 95% interval"),
                _("Finding"),
            ),
            tuple(
                (
                    f"`{row['column']}`",
                    plain(row["value"]),
                    messages.number(row["rows"], ",.0f"),
                    percent(row["mean_probability"]),
                    percent(row["base_rate"]),
                    _(
                        "{gap:+.1%} ({low:+.1%} to {high:+.1%})",
                        gap=row["gap"],
                        low=row["low"],
                        high=row["high"],
                    ),
                    plain(words(row["text"])),
                )
                for row in worst.head(MOST_SLICES).to_dict("records")
            ),
            _("The worst first, from {run}.", run=link(run)),
        ),
    ]


def _todo(run: RunFacts, checks: pd.DataFrame) -> list[Block]:
    bad = checks[checks["verdict"] == "alert"]
    own = bad[bad["group"] != "input"]
    moved = report_tables.by_column(bad)["column"].tolist()
    steps = [plain_tags(ReportRun, run).verdict_todo, *map(words, own["todo"])]
    if moved:
        steps.append(
            _(
                "Find out why {moved} changed: is it recorded in another way, or are the rows "
                "of another kind?",
                moved=listed(moved),
            )
        )
    return [
        Heading(_("What to do")),
        Bullets(tuple(dict.fromkeys(str(step) for step in steps if step)), numbered=True),
    ]


def _history(facts: Facts) -> list[Block]:
    if not facts.reports:
        return []
    shown = [(run, plain_tags(ReportRun, run)) for run in facts.reports[:MOST_REPORTS]]
    return [
        Heading(_("Reports so far")),
        Table(
            (_("Date"), _("Rows"), _("Verdict"), _("Alerts"), _("Warnings"), _("Run")),
            tuple(
                (
                    moment(run.started),
                    str(report.window) or number(metric(run, "rows_current")),
                    str(VERDICT_WORDS.get(report.verdict, report.verdict_title)),
                    number(metric(run, "checks_alert"), 0),
                    number(metric(run, "checks_warning"), 0),
                    link(run),
                )
                for run, report in shown
            ),
            _(
                "The newest first, {shown} of {reports}.",
                shown=len(shown),
                reports=len(facts.reports),
            ),
        ),
    ]


def _decisions(facts: Facts) -> list[Block]:
    blocks: list[Block] = [Heading(_("Retraining decisions"))]
    if not facts.decisions:
        blocks.append(Missing(_("There is no retraining decision yet."), "retrain"))
        return blocks
    shown = [(run, plain_tags(DecisionRun, run)) for run in facts.decisions[:MOST_REPORTS]]
    blocks.append(
        Table(
            (_("Date"), _("Strategy"), _("Decision"), _("Why"), _("Run")),
            tuple(
                (
                    moment(run.started),
                    str(STRATEGIES.get(decision.strategy, (decision.strategy, ""))[0]),
                    str(decision.decision_title),
                    str(decision.reason),
                    link(run),
                )
                for run, decision in shown
            ),
            _("The newest first."),
        )
    )
    if todo := shown[0][1].todo:
        blocks.append(Paragraph(str(todo)))
    return blocks


def _beyond_limits(checks: pd.DataFrame) -> list[str]:
    """Return the checks beyond their limits, a sentence each; once per column."""
    return [
        f"**{words(title)}**: {words(text)}"
        for _unused, title, text in report_tables.beyond(checks)
    ]
