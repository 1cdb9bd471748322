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
from core.documents.texts import diagram
from core.documents.texts.project_parts import added
from core.documents.texts.reading import link, listed, metric, number, percent, plain, plain_tags
from core.monitoring.records import ReportRun
from core.platform.steps import FILTERED, STEPS
from core.registry.records import PromotionRun
from core.retraining.records import DecisionRun, ReplayRun
from core.scoring.records import ScoringRun

# reduction of the base rate's log loss, as a share, that changes decisions about single rows
MUCH = 0.1


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
        "exit_report",
        "Exit Report",
        "What the project set out to do, what it found, what was learned, and what comes next.",
        blocks,
    )


def _overview(facts: Facts) -> list[Block]:
    spec = facts.spec
    blocks: list[Block] = [
        Heading("Overview"),
        Paragraph(
            f"{spec.title}: a model that answers '{spec.question}' was built on "
            f"{spec.rows.development_name}, put to work on {spec.rows.production_name}, and "
            "watched there. Every number of this report stands in a run; links lead to it."
        ),
    ]
    train, monitor = facts.runs.get("train"), facts.runs.get("monitor")
    if train and facts.candidates:
        best = facts.candidates[0]
        blocks.append(
            Paragraph(
                f"The model is {best.name}, log loss {number(metric(best, 'log_loss_test'))} and "
                f"ROC AUC {number(metric(best, 'roc_auc_test'))} on rows it had not seen "
                f"({link(best)})."
            )
        )
    else:
        blocks.append(Missing("Which model was chosen.", "train"))
    if monitor:
        title = plain_tags(ReportRun, monitor).verdict_title
        blocks.append(Paragraph(f"The outcome: {title} ({link(monitor)})."))
    else:
        blocks.append(Missing("Whether it fits in operation.", "monitor"))
    return blocks


def _domain(facts: Facts) -> list[Block]:
    spec = facts.spec
    blocks: list[Block] = [
        Heading("Business domain"),
        Paragraph(
            spec.domain
            or f"Rows of {spec.title}, of two kinds: {spec.rows.development_name} and "
            f"{spec.rows.production_name}."
        ),
        Heading("Business problem"),
        Paragraph(
            f"For a row that is not decided yet, say how likely '{spec.positive}' is against "
            f"'{spec.negative}', from what is known before. Labelled "
            f"{spec.rows.development_name} are there to learn from; what is met in operation are "
            f"{spec.rows.production_name}. So there are two problems: to forecast, and to notice "
            "when the forecasts no longer hold."
        ),
    ]
    acquired = facts.runs.get("acquire")
    if acquired:
        rate = metric(acquired, "base_rate_raw")
        blocks.append(
            Paragraph(
                f"Of {number(metric(acquired, 'rows_raw'))} rows, "
                f"{number(metric(acquired, 'rows_development'))} are "
                f"{spec.rows.development_name}, "
                f"{number(metric(acquired, 'rows_production'))} {spec.rows.production_name}, and "
                f"{number(metric(acquired, 'labels_missing'))} have no label; "
                f"'{spec.positive}' are {percent(rate or 0.0)} of the labelled ones "
                f"({link(acquired)})."
            )
        )
    else:
        blocks.append(Missing("How many rows there are.", "acquire"))
    return blocks


def _data(facts: Facts) -> list[Block]:
    run = facts.runs.get("prepare")
    blocks: list[Block] = [Heading("Data processing")]
    if run is None:
        blocks.append(Missing("How the rows were chosen and divided.", "prepare"))
        return blocks
    dropped = [
        (f"rows other than `{run.params.get('rows_kept', '')}`", "rows_other"),
        ("rows without a label", "rows_unlabelled"),
        ("rows with another missing value", "rows_missing"),
    ]
    blocks += [
        Paragraph(
            f"From {number(metric(run, 'rows_raw'))} raw rows to "
            f"{number(metric(run, 'rows_filtered'))} rows of "
            f"{number(metric(run, 'columns_filtered'))} columns in `{FILTERED}` ({link(run)}):"
        ),
        Table(
            ("Left out", "Rows"),
            tuple((reason, number(metric(run, name), 0)) for reason, name in dropped),
            f"From {link(run)}.",
        ),
        Paragraph(
            f"Features: {listed(run.params.get('features', '').split(','))}; target "
            f"`{facts.spec.target}`. {number(metric(run, 'rows_train'))} rows train and "
            f"{number(metric(run, 'rows_test'))} test ({link(run)})."
        ),
    ]
    return blocks


def _modeling(facts: Facts) -> list[Block]:
    train = facts.runs.get("train")
    blocks: list[Block] = [Heading("Modeling")]
    if train is None or not facts.candidates:
        blocks.append(Missing("Which candidates were compared.", "train"))
        return blocks
    base = metric(facts.candidates[0], "base_rate_test")
    blocks.append(
        Paragraph(
            f"{len(facts.candidates)} candidates were fitted with PyCaret on "
            f"{number(metric(train, 'rows_train'))} rows, cross-validated in "
            f"{train.params.get('folds', '?')} folds, and compared by log loss ({link(train)})."
        )
    )
    blocks.append(
        Table(
            ("Candidate", "Log loss, folds", "Log loss, test", "F1, test", "ROC AUC, test", "Run"),
            tuple(
                (
                    candidate.name,
                    number(metric(candidate, "log_loss_cv")),
                    number(metric(candidate, "log_loss_test")),
                    number(metric(candidate, "f1_test")),
                    number(metric(candidate, "roc_auc_test")),
                    link(candidate, candidate.run_id[:8]),
                )
                for candidate in facts.candidates
            ),
            "The best in cross-validation first.",
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
                f"How good is that? Against always forecasting the base rate of {percent(base)}, "
                f"the best candidate has a skill of {percent(skill, 2)} (95% interval "
                f"{percent(low, 2)} to {percent(high, 2)}; {link(facts.candidates[0])})."
            )
        )
        if skill < MUCH:
            blocks.append(Paragraph("It knows something, and not much."))
    return blocks


def _validation(facts: Facts) -> list[Block]:
    blocks: list[Block] = [Heading("Validation")]
    promoted = facts.runs.get("promote")
    if promoted:
        reason = plain_tags(PromotionRun, promoted).reason
        blocks.append(Paragraph(f"The gate: {reason} ({link(promoted)})"))
        rules = promoted.tables.get("rules", pd.DataFrame())
        if not rules.empty:
            blocks.append(
                Table(
                    ("Rule", "Verdict", "Why"),
                    tuple(
                        (str(row["title"]), _verdict_text(str(row["verdict"])), plain(row["text"]))
                        for row in rules.to_dict("records")
                    ),
                    f"What a challenger was held to in {link(promoted)}.",
                )
            )
    elif facts.champion:
        blocks.append(
            Paragraph(
                f"Version {facts.champion.version} became the champion as the first one; no "
                "challenger has been held against it yet."
            )
        )
    else:
        blocks.append(Missing("Whether a version was let into operation.", "promote"))
    scored = facts.runs.get("score")
    if scored is None:
        blocks.append(Missing("What the model answered in operation.", "score"))
        return blocks
    blocks.append(
        Paragraph(
            f"In operation: {number(metric(scored, 'rows_scored'))} rows scored by version "
            f"{scored.params.get('version', '?')}, {number(metric(scored, 'rows_labelled'), 0)} of "
            f"them with a label; log loss {number(metric(scored, f'log_loss_{_source(scored)}'))}, "
            f"F1 {number(metric(scored, f'f1_{_source(scored)}'))} ({link(scored)})."
        )
    )
    if monitor := facts.runs.get("monitor"):
        report = plain_tags(ReportRun, monitor)
        blocks.append(
            Paragraph(f"**{report.verdict_title}.** {report.verdict_text} ({link(monitor)})")
        )
    return blocks


def _verdict_text(verdict: str) -> str:
    return "not applicable" if verdict == "not_applicable" else verdict


def _source(run: RunFacts) -> str:
    return plain_tags(ScoringRun, run).source or run.params.get("source", "production")


def _architecture(facts: Facts) -> list[Block]:
    blocks: list[Block] = [
        Heading("Solution architecture"),
        Paragraph(
            "One app on one machine: pages draw, steps order one named run each, adapters touch "
            "the world, logic only computes. Work runs in processes of its own, so that a page "
            "never waits; MLflow keeps runs and versions; the champion answers behind a gateway "
            "that keeps every answer."
        ),
        Figure(
            "life_cycle",
            "The life cycle from acquisition to operation.",
            diagram.chart(),
            diagram.mermaid(),
        ),
    ]
    taken = [stage for stage in STEPS if stage.name in facts.runs]
    blocks.append(
        Table(
            ("Step", "Last run"),
            tuple((stage.title, link(facts.runs[stage.name])) for stage in taken),
            f"{len(taken)} of {len(STEPS)} steps were taken.",
        )
        if taken
        else Missing("Which steps were taken.", "acquire")
    )
    return blocks


def _benefits(facts: Facts) -> list[Block]:
    spec, monitor = facts.spec, facts.runs.get("monitor")
    report = plain_tags(ReportRun, monitor) if monitor else ReportRun()
    best = facts.candidates[0] if facts.candidates else None
    skill = metric(best, "skill_test")
    blocks: list[Block] = [Heading("Benefits"), Heading("For the organisation", 3)]
    if best is None or skill is None:
        blocks.append(Missing("What a forecast is worth here.", "train"))
    else:
        if skill < MUCH:
            judgement = (
                f"Told honestly: a forecast with a skill of {percent(skill, 2)} over the "
                f"base rate ({link(best)}) changes few decisions about single rows."
            )
        else:
            judgement = (
                f"A forecast that saves {percent(skill, 2)} of the log loss of the base rate "
                f"({link(best)}) can change decisions about single rows, where it holds."
            )
        blocks.append(
            Paragraph(
                f"{judgement} What is of use beside it is the way: the next model, on better "
                "features or on other rows, takes the same steps and is held to the same proof."
            )
        )
    blocks.append(Heading("For those who act on it", 3))
    if monitor is None:
        blocks.append(Missing("Whether the answers can be acted on in operation.", "monitor"))
    elif report.verdict in ("does_not_fit", "no_skill"):
        blocks.append(
            Paragraph(
                f"They are told what not to do: the labels for the {spec.rows.production_name} are "
                f"not to be acted on ({link(monitor)})."
            )
        )
        loss, before = metric(monitor, "log_loss_current"), metric(monitor, "log_loss_reference")
        if loss is not None and before is not None and loss < before:
            blocks.append(
                Paragraph(
                    f"By log loss alone, {loss:.4f} against {before:.4f}, the model would have "
                    f"looked better there than where it was made ({link(monitor)})."
                )
            )
    else:
        blocks.append(
            Paragraph(
                f"They know how far to trust it: {report.verdict_title}. "
                f"{report.verdict_todo} ({link(monitor)})"
            )
        )
    blocks.append(
        Paragraph(
            "No gain in money is claimed: what people decide by the forecasts was not measured."
        )
    )
    return blocks


def _learnings(facts: Facts) -> list[Block]:
    learnings = [
        "Log loss is computed from probabilities. Of labels it only says the error rate in another "
        "unit.",
        "A figure says nothing without what it is compared with: the base rate of the same rows, "
        "and the reference with its interval.",
        "A change of inputs asks for a look; only worse performance asks for a retraining.",
    ]
    monitor = facts.runs.get("monitor")
    loss, before = metric(monitor, "log_loss_current"), metric(monitor, "log_loss_reference")
    if monitor and loss is not None and before is not None and loss < before:
        learnings.append(
            f"A model can get worse while its log loss gets better: {loss:.4f} in operation, "
            f"{before:.4f} on the reference, because the event is rarer there ({link(monitor)})."
        )
    outside = metric(monitor, "outside_support")
    if monitor and outside is not None and outside > 0.2:
        learnings.append(
            f"Where {percent(outside)} of the rows lie outside what the model was tested on, "
            f"performance estimated without labels is withheld ({link(monitor)})."
        )
    if replayed := facts.runs.get("replay"):
        answer = plain_tags(ReplayRun, replayed).answer
        learnings.append(f"Retraining on the past: {answer} ({link(replayed)})")
    trees = [
        candidate
        for candidate in facts.candidates
        if candidate.params.get("model", "").startswith("dt")
    ]
    if trees and facts.candidates[0] is not trees[0]:
        learnings.append(
            f"A tree that is grown to the end is sure and often wrong: log loss "
            f"{number(metric(trees[0], 'log_loss_test'))} at F1 "
            f"{number(metric(trees[0], 'f1_test'))} ({link(trees[0])}). F1 does not see that."
        )
    learnings += added(facts, "learnings")
    return [Heading("Learnings"), Bullets(tuple(learnings))]


def _links(facts: Facts) -> list[Block]:
    rows = [
        (stage.title, link(facts.runs[stage.name])) for stage in STEPS if stage.name in facts.runs
    ]
    others = (
        ("Project Charter", "what was promised"),
        ("Data Report and Data Dictionary", "the rows and their columns"),
        ("Model Report and model cards", "the candidates and each registered version"),
        ("Monitoring Report", "the checks behind the verdict"),
        *added(facts, "links"),
        ("Artifacts", "everything that was left"),
    )
    blocks: list[Block] = [
        Heading("Links"),
        Table(("Document", "What stands there"), others, "All are made from the same runs."),
    ]
    if rows:
        runs = ", ".join(run for _, run in rows)
        blocks.append(Paragraph(f"The runs: {runs}."))
    return blocks


def _next(facts: Facts) -> list[Block]:
    steps = []
    if monitor := facts.runs.get("monitor"):
        steps.append(f"{plain_tags(ReportRun, monitor).verdict_todo} ({link(monitor)})")
    late = [name for name in facts.spec.columns if facts.spec.columns[name].recorded == "after"]
    if late:
        steps.append(
            f"Look for features that are known before the event: {listed(late)} would tell more, "
            "but are noted after it, so a model with them describes and does not foresee."
        )
    if decided := facts.runs.get("retrain"):
        if todo := plain_tags(DecisionRun, decided).todo:
            steps.append(f"{todo} ({link(decided)})")
    else:
        steps.append("Choose when a new challenger is to be trained, on the page Retrain.")
    missing = [stage.title for stage in STEPS if stage.name not in facts.runs]
    if missing:
        steps.append(f"Take the steps that were not taken yet: {', '.join(missing)}.")
    return [Heading("Next steps"), Bullets(tuple(steps), numbered=True)]
