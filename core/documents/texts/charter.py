"""The Project Charter: background, scope, personnel, metrics, plan, architecture."""

from __future__ import annotations

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
from core.documents.texts.reading import interval, link, metric, number, percent, plain_tags
from core.platform import project
from core.platform.messages import Message, _, sentences
from core.platform.runs import ChampionMove
from core.platform.steps import STEPS


def build(facts: Facts) -> Document:
    """Return the charter of the project.

    Examples
    --------
    >>> from core.platform import project
    >>> build(Facts(project.load("kobe"))).blocks[0].text
    'Business background'
    """
    blocks = [
        *_background(facts),
        *_scope(facts),
        *_personnel(facts),
        *_metrics(facts),
        *_plan(facts),
        *_architecture(),
        *_communication(facts),
    ]
    return Document(
        "project_charter",
        _("Project Charter"),
        _("The question, the scope, the roles, and the criteria of success."),
        tuple(blocks),
    )


def _background(facts: Facts) -> list[Block]:
    spec = facts.spec
    return [
        Heading(_("Business background")),
        *([Paragraph(str(project.words(spec.domain)))] if spec.domain else []),
        Paragraph(
            _(
                "{title}. The question is: **{question}** The answer is a probability "
                "for each row, and a predicted class: {positive} or {negative}.",
                title=project.words(spec.title),
                question=project.words(spec.question),
                positive=project.words(spec.positive),
                negative=project.words(spec.negative),
            )
        ),
        Paragraph(
            _(
                "The model learns from past rows. In operation it scores new ones, which may "
                "differ from them. So a second question matters as much: does the model fit these "
                "rows, and how would anybody notice that it does not?"
            )
            if spec.rows.is_derived
            else _(
                "The model learns from {development_name}. In operation it scores "
                "{production_name}, which are rows of another kind. So a second "
                "question matters as much: does the model fit these rows, and how "
                "would anybody notice that it does not?",
                development_name=project.words(spec.rows.development_name),
                production_name=project.words(spec.rows.production_name),
            )
        ),
        Paragraph(
            _(
                "Readers act on the predicted probability, so a well-calibrated probability is "
                "worth more here than a confident class. The probabilities are measured first, "
                "by log loss; the predicted classes come second."
            )
        ),
    ]


def _scope(facts: Facts) -> list[Block]:
    spec = facts.spec
    acquired = facts.runs.get("acquire")
    blocks: list[Block] = [
        Heading(_("Scope")),
        Bullets(
            (
                _(
                    "In scope: two approaches to the same question, a logistic regression and "
                    "classifiers that predict the share of positives in groups of similar rows. "
                    "One is chosen by cross-validation, and the reason is recorded."
                ),
                _(
                    "In scope: the model as an API on this machine, scoring of all production "
                    "rows, monitoring with and without the response variable, and retraining by "
                    "rule."
                ),
                _(
                    "Out of scope: causes. The model says how often rows like this one were "
                    "{positive}, not why.",
                    positive=project.words(spec.positive),
                ),
                _("Out of scope: decisions about persons. Nothing here is meant for that."),
            )
        ),
    ]
    if acquired is None:
        blocks.append(Missing(_("The number of rows is not known yet."), "acquire"))
    else:
        blocks.append(
            Table(
                (_("What"), _("How much")),
                (
                    (_("Rows of the source"), number(metric(acquired, "rows_raw"))),
                    (_("Columns of the source"), number(metric(acquired, "columns_raw"))),
                    (
                        _(
                            "Rows to learn from ({development_name})",
                            development_name=project.words(spec.rows.development_name),
                        ),
                        number(metric(acquired, "rows_development")),
                    ),
                    (
                        _(
                            "Rows of operation ({production_name})",
                            production_name=project.words(spec.rows.production_name),
                        ),
                        number(metric(acquired, "rows_production")),
                    ),
                    (_("Rows without a label"), number(metric(acquired, "labels_missing"))),
                ),
                _("From {run}.", run=link(acquired)),
            )
        )
    return blocks


def _personnel(facts: Facts) -> list[Block]:
    deciders = [run for run in (facts.runs.get("train"), facts.runs.get("promote")) if run]
    rows = [
        (
            _("Data scientist"),
            _("Chooses rows, columns and split; trains candidates; reads the errors."),
            _("Data, Train"),
        ),
        (
            _("Model owner"),
            _("Decides whether a challenger becomes the champion, and is responsible for it."),
            _("Registry, Retrain"),
        ),
        (
            _("Operator"),
            _("Keeps the endpoint running, reads reports and alerts, imports labels."),
            _("Serve, Score, Monitor"),
        ),
        (_("Client"), _("Requests predictions by page, by file or through the API."), _("Score")),
    ]
    blocks: list[Block] = [
        Heading(_("Personnel")),
        Paragraph(_("One person may hold all roles. Each decision is recorded with a name.")),
        Table((_("Role"), _("Task"), _("Pages")), tuple(rows)),
    ]
    decisions = _decided(deciders)
    blocks.append(
        Bullets(decisions) if decisions else Missing(_("Nothing was decided yet."), "train")
    )
    return blocks


def _decided(runs: list[RunFacts]) -> tuple[str, ...]:
    return tuple(
        _(
            "{person} decided in {run}: {reason}",
            person=move.decided_by,
            run=link(run),
            reason=move.reason or move.decision,
        )
        for run in runs
        if (move := plain_tags(ChampionMove, run)).decided_by
    )


def _metrics(facts: Facts) -> list[Block]:
    trained = facts.runs.get("train")
    blocks: list[Block] = [
        Heading(_("Metrics")),
        Paragraph(
            _(
                "The goal is set before training: on rows not used for any choice, the log "
                "loss is significantly below that of always predicting the base rate, and the "
                "calibration error is no larger than chance explains. In operation, a report "
                "says whether that still holds."
            )
        ),
    ]
    if trained is None:
        blocks.append(Missing(_("What was reached is not known yet."), "train"))
        return blocks
    blocks.append(
        Table(
            (_("Metric"), _("Baseline"), _("Reached"), _("What it is")),
            (
                (
                    _("Log loss on the test set, nats"),
                    number(model_report.base_log_loss(trained)),
                    number(metric(trained, "log_loss_test")),
                    _("of probabilities; lower is better; the baseline is the base rate"),
                ),
                (
                    _("Skill over the base rate"),
                    "0",
                    number(metric(trained, "skill_test")),
                    _("1 is perfect; below 0 is worse than the base rate"),
                ),
                (
                    _("ROC AUC"),
                    number(0.5, 1),
                    number(metric(trained, "roc_auc_test")),
                    _("ranking of the rows"),
                ),
                (
                    _("F1 at the threshold"),
                    "–",
                    number(metric(trained, "f1_test")),
                    _(
                        "predicted classes; the threshold is {threshold:g}",
                        threshold=facts.champion.threshold,
                    )
                    if facts.champion
                    else _("predicted classes"),
                ),
            ),
            _("From {run}.", run=link(trained)),
        )
    )
    blocks += _goal(facts)
    if scored := facts.runs.get("score"):
        rate = metric(scored, "base_rate_production")
        if rate is not None:
            blocks.append(
                Paragraph(
                    _(
                        "In operation the base rate is {rate} ({run}), so compare operation "
                        "and test "
                        "set by their skill, not by their log loss.",
                        rate=percent(rate),
                        run=link(scored),
                    )
                )
            )
    return [*blocks, *added(facts, "goals")]


def _goal(facts: Facts) -> list[Block]:
    """Return whether each part of the goal was reached on the test set."""
    best = model_report.chosen(facts)
    low, high = metric(best, "skill_test_low"), metric(best, "skill_test_high")
    if best is None or low is None or high is None:
        return [
            Missing(_("Whether the goal was reached is not known: no interval is stored."), "train")
        ]
    sentences = [
        _(
            "Reached: the log loss is significantly below that of the base rate. "
            "The 95% interval of the skill is {interval}, from {run}.",
            interval=interval(low, high),
            run=link(best),
        )
        if low > 0
        else _(
            "Not reached: the log loss is not significantly below that of the base "
            "rate. The 95% interval of the skill is {interval}, from {run}.",
            interval=interval(low, high),
            run=link(best),
        )
    ]
    error, floor = metric(best, "calibration_error_test"), metric(best, "calibration_floor_test")
    if error is not None and floor is not None:
        sentences.append(
            _(
                "Reached: the calibration error, {error:.4f}, is not above {floor:.4f}, its "
                "95% limit by chance alone, from {run}.",
                error=error,
                floor=floor,
                run=link(best),
            )
            if error <= floor
            else _(
                "Not reached: the calibration error, {error:.4f}, is above {floor:.4f}, its "
                "95% limit by chance alone, from {run}.",
                error=error,
                floor=floor,
                run=link(best),
            )
        )
    return [Bullets(tuple(sentences))]


def _plan(facts: Facts) -> list[Block]:
    rows = []
    for stage in STEPS:
        run = facts.runs.get(stage.name)
        done = _("done, {run}", run=link(run)) if run else _("to do")
        rows.append((str(stage.title), f"`{stage.run_name}`", str(stage.about), done))
    return [
        Heading(_("Plan")),
        Paragraph(_("Each step is a named run, so this table shows both the plan and its state.")),
        Table((_("Step"), _("Run"), _("What it does"), _("State")), tuple(rows)),
    ]


def _architecture() -> list[Block]:
    return [
        Heading(_("Architecture")),
        Paragraph(
            _(
                "Raw data are never changed. Each step reads the output of the step "
                "before, works in a process of its own, and writes its artifacts and "
                "metrics to a run. Pages only start work and show results."
            )
        ),
        Figure(
            "life_cycle",
            _("From the data source to operation and back, drawn from the steps in the code."),
            diagram.chart(),
            diagram.mermaid(),
        ),
        Bullets(
            (
                _("Streamlit draws the pages and starts jobs; nothing is stored in a session."),
                _("MLflow stores runs, models and their aliases, and serves the champion."),
                _("PyCaret and scikit-learn fit and tune the candidates."),
                _("A gateway in front of the served model writes every prediction to the log."),
                _("All servers listen on 127.0.0.1 only."),
            )
        ),
    ]


def _communication(facts: Facts) -> list[Block]:
    reports = Message("There is no report yet.")
    if facts.reports:
        reports = Message(
            "Reports so far: {reports:,}; the newest is {run}.",
            reports=len(facts.reports),
            run=link(facts.reports[0]),
        )
    schedule = Message("Monitoring reports are created on demand or on a schedule.")
    return [
        Heading(_("Communication")),
        Bullets(
            (
                _(
                    "These documents are filled from the runs each time they are opened, "
                    "so they are always current."
                ),
                str(sentences(schedule, reports)),
                _(
                    "Alerts appear on their page and, if configured, are also sent to a webhook or "
                    "by e-mail."
                ),
                _(
                    "Decisions, with who decided and why, are in the runs of promotion and "
                    "retraining."
                ),
            )
        ),
    ]
