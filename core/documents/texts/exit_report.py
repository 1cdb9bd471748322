"""The Exit Report: goals, results, lessons learned, and next steps."""

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
from core.documents.texts import diagram, model_report
from core.documents.texts.project_parts import added
from core.documents.texts.reading import (
    link,
    listed,
    metric,
    number,
    percent,
    plain,
    plain_tags,
    words,
)
from core.monitoring.records import ReportRun
from core.platform import project
from core.platform.messages import Message, _, n_, sentences
from core.platform.steps import FILTERED, STEPS
from core.registry.records import PromotionRun
from core.retraining.records import DecisionRun, ReplayRun
from core.scoring.records import ScoringRun

# reduction of the base rate's log loss, as a share, that changes decisions about single rows
MUCH = 0.1
VERDICTS = {
    "pass": Message("pass"),
    "hold": Message("hold"),
    "refuse": Message("refuse"),
    "not_applicable": Message("not applicable"),
}


def build(facts: Facts) -> Document:
    """Return the final report, under the headings of TDSP's template.

    Examples
    --------
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> [block.text for block in document.blocks if isinstance(block, Heading)][:3]
    ['Overview', 'Business domain', 'Business problem']
    """
    blocks = (
        *_overview(facts),
        *_domain(facts),
        *_data(facts),
        *_modeling(facts),
        *_validation(facts),
        *_architecture(facts),
        *_benefits(facts),
        *_learnings(facts),
        *_links(facts),
        *_next(facts),
    )
    return Document(
        "exit_report", _("Exit Report"), _("Goals, results, learnings and next steps."), blocks
    )


def _overview(facts: Facts) -> list[Block]:
    spec = facts.spec
    blocks: list[Block] = [
        Heading(_("Overview")),
        Paragraph(
            _(
                "{title}: a model that answers '{question}' was built on {development_name}, "
                "applied to {production_name}, and monitored there. Every number in this "
                "report comes from a run and links to it.",
                title=project.words(spec.title),
                question=project.words(spec.question),
                development_name=project.words(spec.rows.development_name),
                production_name=project.words(spec.rows.production_name),
            )
        ),
    ]
    train, monitor = facts.runs.get("train"), facts.runs.get("monitor")
    if train and facts.candidates:
        best = facts.candidates[0]
        blocks.append(
            Paragraph(
                _(
                    "The model is {name}: log loss {log_loss} and ROC AUC {roc_auc} on the "
                    "test set ({run}).",
                    name=model_report.name_of(best),
                    log_loss=number(metric(best, "log_loss_test")),
                    roc_auc=number(metric(best, "roc_auc_test")),
                    run=link(best),
                )
            )
        )
    else:
        blocks.append(Missing(_("Which model was chosen."), "train"))
    if monitor:
        title = plain_tags(ReportRun, monitor).verdict_title
        blocks.append(Paragraph(_("The outcome: {title} ({run}).", title=title, run=link(monitor))))
    else:
        blocks.append(Missing(_("Whether it fits in operation."), "monitor"))
    return blocks


def _domain(facts: Facts) -> list[Block]:
    spec = facts.spec
    blocks: list[Block] = [
        Heading(_("Business domain")),
        Paragraph(
            str(project.words(spec.domain))
            or _(
                "Rows of {title}, of two kinds: {development_name} and {production_name}.",
                title=project.words(spec.title),
                development_name=project.words(spec.rows.development_name),
                production_name=project.words(spec.rows.production_name),
            )
        ),
        Heading(_("Business problem")),
        Paragraph(
            _(
                "For a row with unknown outcome, predict the probability of "
                "'{positive}' against '{negative}' from what is known before. The "
                "model learns from labelled {development_name}; in operation it scores "
                "{production_name}. So there are two problems: to predict, and to "
                "notice when the predictions no longer hold.",
                positive=project.words(spec.positive),
                negative=project.words(spec.negative),
                development_name=project.words(spec.rows.development_name),
                production_name=project.words(spec.rows.production_name),
            )
        ),
    ]
    acquired = facts.runs.get("acquire")
    if acquired:
        rate = metric(acquired, "base_rate_raw")
        blocks.append(
            Paragraph(
                _(
                    "{rows} rows: {development} {development_name} and {production} "
                    "{production_name}. {unlabelled} rows have no label; of the labelled "
                    "rows {rate} are '{positive}' ({run}).",
                    rows=number(metric(acquired, "rows_raw")),
                    development=number(metric(acquired, "rows_development")),
                    development_name=project.words(spec.rows.development_name),
                    production=number(metric(acquired, "rows_production")),
                    production_name=project.words(spec.rows.production_name),
                    unlabelled=number(metric(acquired, "labels_missing")),
                    positive=project.words(spec.positive),
                    rate=percent(rate or 0.0),
                    run=link(acquired),
                )
            )
        )
    else:
        blocks.append(Missing(_("How many rows there are."), "acquire"))
    return blocks


def _data(facts: Facts) -> list[Block]:
    run = facts.runs.get("prepare")
    blocks: list[Block] = [Heading(_("Data processing"))]
    if run is None:
        blocks.append(Missing(_("How the rows were chosen and split."), "prepare"))
        return blocks
    dropped = [
        (_("rows outside the filter `{rows}`", rows=run.params.get("rows_kept", "")), "rows_other"),
        (_("rows without a label"), "rows_unlabelled"),
        (_("rows with another missing value"), "rows_missing"),
    ]
    blocks += [
        Paragraph(
            _(
                "From {raw} raw rows to {rows} rows of {columns} columns in `{file}` ({run}):",
                raw=number(metric(run, "rows_raw")),
                rows=number(metric(run, "rows_filtered")),
                columns=number(metric(run, "columns_filtered")),
                file=FILTERED,
                run=link(run),
            )
        ),
        Table(
            (_("Left out"), _("Rows")),
            tuple((reason, number(metric(run, name), 0)) for reason, name in dropped),
            _("From {run}.", run=link(run)),
        ),
        Paragraph(
            _(
                "Features: {features}; target `{target}`. The training set has {train} "
                "rows and the test set {test} ({run}).",
                features=listed(run.params.get("features", "").split(",")),
                target=facts.spec.target,
                train=number(metric(run, "rows_train")),
                test=number(metric(run, "rows_test")),
                run=link(run),
            )
        ),
    ]
    return blocks


def _modeling(facts: Facts) -> list[Block]:
    train = facts.runs.get("train")
    blocks: list[Block] = [Heading(_("Modeling"))]
    if train is None or not facts.candidates:
        blocks.append(Missing(_("Which candidates were compared."), "train"))
        return blocks
    base = metric(facts.candidates[0], "base_rate_test")
    blocks.append(
        Paragraph(
            n_(
                "{count:,} candidate was fitted with PyCaret on {rows} rows and cross-validated in "
                "{folds} folds ({run}).",
                "{count:,} candidates were fitted with PyCaret on {rows} rows, cross-validated in "
                "{folds} folds, and compared by log loss ({run}).",
                len(facts.candidates),
                rows=number(metric(train, "rows_train")),
                folds=train.params.get("folds", "?"),
                run=link(train),
            )
        )
    )
    blocks.append(
        Table(
            (
                _("Candidate"),
                _("Log loss, folds"),
                _("Log loss, test"),
                _("F1, test"),
                _("ROC AUC, test"),
                _("Run"),
            ),
            tuple(
                (
                    model_report.name_of(candidate),
                    number(metric(candidate, "log_loss_cv")),
                    number(metric(candidate, "log_loss_test")),
                    number(metric(candidate, "f1_test")),
                    number(metric(candidate, "roc_auc_test")),
                    link(candidate, candidate.run_id[:8]),
                )
                for candidate in facts.candidates
            ),
            _("The best in cross-validation first."),
        )
    )
    skill = metric(facts.candidates[0], "skill_test")
    if base is not None and skill is not None:
        low = metric(facts.candidates[0], "skill_test_low")
        high = metric(facts.candidates[0], "skill_test_high")
        if low is None or high is None:
            low = high = skill
        blocks.append(
            Paragraph(
                _(
                    "Compared with always predicting the base rate of {base}, the best "
                    "candidate has a skill of {skill} (95% interval {low} to {high}; "
                    "{run}).",
                    base=percent(base),
                    skill=percent(skill, 2),
                    low=percent(low, 2),
                    high=percent(high, 2),
                    run=link(facts.candidates[0]),
                )
            )
        )
        if skill < MUCH:
            blocks.append(Paragraph(_("The skill is low.")))
    return blocks


def _validation(facts: Facts) -> list[Block]:
    blocks: list[Block] = [Heading(_("Validation"))]
    promoted = facts.runs.get("promote")
    if promoted:
        reason = plain_tags(PromotionRun, promoted).reason
        blocks.append(Paragraph(_("The gate: {reason} ({run})", reason=reason, run=link(promoted))))
        rules = promoted.tables.get("rules", pd.DataFrame())
        if not rules.empty:
            blocks.append(
                Table(
                    (_("Rule"), _("Verdict"), _("Why")),
                    tuple(
                        (
                            words(row["title"]),
                            str(VERDICTS[row["verdict"]]),
                            plain(words(row["text"])),
                        )
                        for row in rules.to_dict("records")
                    ),
                    _("Rules of the gate in {run}.", run=link(promoted)),
                )
            )
    elif facts.champion:
        blocks.append(
            Paragraph(
                _(
                    "Version {version} became the champion as the first one; no challenger "
                    "has been compared with it yet.",
                    version=facts.champion.version,
                )
            )
        )
    else:
        blocks.append(Missing(_("Whether a version was promoted."), "promote"))
    scored = facts.runs.get("score")
    if scored is None:
        blocks.append(Missing(_("What the model predicted in operation."), "score"))
        return blocks
    blocks.append(
        Paragraph(
            _(
                "In operation: {rows} rows scored by version {version}, {labelled} of "
                "them with a label; log loss {log_loss}, F1 {f1} ({run}).",
                rows=number(metric(scored, "rows_scored")),
                version=scored.params.get("version", "?"),
                labelled=number(metric(scored, "rows_labelled"), 0),
                log_loss=number(metric(scored, f"log_loss_{_source(scored)}")),
                f1=number(metric(scored, f"f1_{_source(scored)}")),
                run=link(scored),
            )
        )
    )
    if monitor := facts.runs.get("monitor"):
        report = plain_tags(ReportRun, monitor)
        blocks.append(
            Paragraph(f"**{report.verdict_title}.** {report.verdict_text} ({link(monitor)})")
        )
    return blocks


def _source(run: RunFacts) -> str:
    return plain_tags(ScoringRun, run).source or run.params.get("source", "production")


def _architecture(facts: Facts) -> list[Block]:
    blocks: list[Block] = [
        Heading(_("Solution architecture")),
        Paragraph(
            _(
                "One app on one machine. Pages draw; each step works in a process of "
                "its own and records one named run, so a page never waits. MLflow "
                "stores runs and versions; the champion is served behind a gateway "
                "that logs every prediction."
            )
        ),
        Figure(
            "life_cycle",
            _("The life cycle from acquisition to operation."),
            diagram.chart(),
            diagram.mermaid(),
        ),
    ]
    taken = [stage for stage in STEPS if stage.name in facts.runs]
    blocks.append(
        Table(
            (_("Step"), _("Last run")),
            tuple((str(stage.title), link(facts.runs[stage.name])) for stage in taken),
            _("{taken:,} of {steps:,} steps have run.", taken=len(taken), steps=len(STEPS)),
        )
        if taken
        else Missing(_("Which steps have run."), "acquire")
    )
    return blocks


def _benefits(facts: Facts) -> list[Block]:
    spec, monitor = facts.spec, facts.runs.get("monitor")
    report = plain_tags(ReportRun, monitor) if monitor else ReportRun()
    best = facts.candidates[0] if facts.candidates else None
    skill = metric(best, "skill_test")
    blocks: list[Block] = [Heading(_("Benefits")), Heading(_("For the organisation"), 3)]
    if best is None or skill is None:
        blocks.append(Missing(_("What a prediction is worth here."), "train"))
    else:
        judgement = (
            Message(
                "A skill of {skill} over the base rate ({run}) changes few decisions about single "
                "rows.",
                skill=percent(skill, 2),
                run=link(best),
            )
            if skill < MUCH
            else Message(
                "A skill of {skill} over the base rate ({run}) can change decisions about single "
                "rows, where the model fits.",
                skill=percent(skill, 2),
                run=link(best),
            )
        )
        process = Message(
            "The process is of use too: the next model, with better features or other rows, takes "
            "the same steps and meets the same criteria."
        )
        blocks.append(Paragraph(str(sentences(judgement, process))))
    blocks.append(Heading(_("For those who act on it"), 3))
    if monitor is None:
        blocks.append(Missing(_("Whether the predictions can be used in operation."), "monitor"))
    elif report.verdict in ("does_not_fit", "no_skill"):
        blocks.append(
            Paragraph(
                _(
                    "Don't use the predicted classes for {production_name} ({run}).",
                    production_name=project.words(spec.rows.production_name),
                    run=link(monitor),
                )
            )
        )
        loss, before = metric(monitor, "log_loss_current"), metric(monitor, "log_loss_reference")
        if loss is not None and before is not None and loss < before:
            blocks.append(
                Paragraph(
                    _(
                        "By log loss alone, {loss:.4f} against {before:.4f}, the model would "
                        "look better there than on the reference ({run}).",
                        loss=loss,
                        before=before,
                        run=link(monitor),
                    )
                )
            )
    else:
        blocks.append(
            Paragraph(
                _(
                    "The verdict: {title}. {todo} ({run})",
                    title=report.verdict_title,
                    todo=report.verdict_todo,
                    run=link(monitor),
                )
            )
        )
    blocks.append(
        Paragraph(
            _("No financial gain is claimed: decisions based on the predictions were not measured.")
        )
    )
    return blocks


def _learnings(facts: Facts) -> list[Block]:
    learnings = [
        _(
            "Log loss needs probabilities. Computed from predicted classes, it is "
            "only the error rate in another unit."
        ),
        _(
            "A metric means little without a comparison: the base rate of the same "
            "rows, and the reference with its interval."
        ),
        _("Investigate when inputs change; retrain only when performance gets worse."),
    ]
    monitor = facts.runs.get("monitor")
    loss, before = metric(monitor, "log_loss_current"), metric(monitor, "log_loss_reference")
    if monitor and loss is not None and before is not None and loss < before:
        learnings.append(
            _(
                "A model can get worse while its log loss gets better: {loss:.4f} in "
                "operation, {before:.4f} on the reference, because the event is rarer "
                "there ({run}).",
                loss=loss,
                before=before,
                run=link(monitor),
            )
        )
    outside = metric(monitor, "outside_support")
    if monitor and outside is not None and outside > 0.2:
        learnings.append(
            _(
                "With {outside} of the rows unlike the test set, performance cannot be "
                "estimated without labels ({run}).",
                outside=percent(outside),
                run=link(monitor),
            )
        )
    if replayed := facts.runs.get("replay"):
        answer = plain_tags(ReplayRun, replayed).answer
        learnings.append(
            _(
                "Replay of the retraining policies: {answer} ({run})",
                answer=answer,
                run=link(replayed),
            )
        )
    trees = [
        candidate
        for candidate in facts.candidates
        if candidate.params.get("model", "").startswith("dt")
    ]
    if trees and facts.candidates[0] is not trees[0]:
        learnings.append(
            _(
                "A fully grown decision tree is overconfident: log loss {log_loss} at "
                "F1 {f1} ({run}). F1 does not show that.",
                log_loss=number(metric(trees[0], "log_loss_test")),
                f1=number(metric(trees[0], "f1_test")),
                run=link(trees[0]),
            )
        )
    learnings += [str(learning) for learning in added(facts, "learnings")]
    return [Heading(_("Learnings")), Bullets(tuple(learnings))]


def _links(facts: Facts) -> list[Block]:
    rows = [link(facts.runs[stage.name]) for stage in STEPS if stage.name in facts.runs]
    others = (
        (_("Project Charter"), _("goals and scope")),
        (_("Data Report and Data Dictionary"), _("the rows and their columns")),
        (_("Model Report and model cards"), _("the candidates and each registered version")),
        (_("Monitoring Report"), _("the checks behind the verdict")),
        *((str(name), str(about)) for name, about in added(facts, "links")),
        (_("Artifacts"), _("every file, table and registry entry")),
    )
    blocks: list[Block] = [
        Heading(_("Links")),
        Table((_("Document"), _("Contents")), others, _("All are filled from the same runs.")),
    ]
    if rows:
        blocks.append(Paragraph(_("Runs: {runs}.", runs=rows)))
    return blocks


def _next(facts: Facts) -> list[Block]:
    steps = []
    if monitor := facts.runs.get("monitor"):
        steps.append(f"{plain_tags(ReportRun, monitor).verdict_todo} ({link(monitor)})")
    late = [name for name in facts.spec.columns if facts.spec.columns[name].recorded == "after"]
    if late:
        steps.append(
            _(
                "Look for more features that are known before the event: {late} are "
                "recorded after it, so a model with them cannot predict.",
                late=listed(late),
            )
        )
    if decided := facts.runs.get("retrain"):
        if todo := plain_tags(DecisionRun, decided).todo:
            steps.append(f"{todo} ({link(decided)})")
    else:
        steps.append(_("Choose a retraining policy on the Retrain page."))
    missing = [str(stage.title) for stage in STEPS if stage.name not in facts.runs]
    if missing:
        steps.append(_("Run the remaining steps: {steps}.", steps=missing))
    return [Heading(_("Next steps")), Bullets(tuple(steps), numbered=True)]
