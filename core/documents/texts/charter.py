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
        "Project Charter",
        "What is asked, what is in scope, who does what, and how we see that it is done.",
        tuple(blocks),
    )


def _background(facts: Facts) -> list[Block]:
    spec = facts.spec
    return [
        Heading("Business background"),
        *([Paragraph(spec.domain)] if spec.domain else []),
        Paragraph(
            f"{spec.title}. The question is: **{spec.question}** The answer is a probability for "
            f"each row, and a label: {spec.positive} or {spec.negative}."
        ),
        Paragraph(
            f"The model learns from {spec.rows.development_name}. In operation it meets "
            f"{spec.rows.production_name}, which are rows of another kind. So the second question "
            "is as important as the first: does the model still fit what it is asked, and how "
            "would anybody notice that it does not?"
        ),
        Paragraph(
            "Who reads a forecast acts on it. A probability that is honest and modest is worth "
            "more here than a label that is bold: what is measured first is the log loss of the "
            "probabilities, and only then the labels."
        ),
    ]


def _scope(facts: Facts) -> list[Block]:
    spec = facts.spec
    acquired = facts.runs.get("acquire")
    blocks: list[Block] = [
        Heading("Scope"),
        Bullets(
            (
                "In scope: two approaches to the same question, a logistic regression and "
                "classifiers that take the share in groups of rows; one is chosen by "
                "cross-validation and the reason is kept.",
                "In scope: the model as an API on this machine, scoring of all production rows, "
                "monitoring with and without the response variable, and retraining by rule.",
                f"Out of scope: causes. The model says how often rows like this one were "
                f"{spec.positive}, not why.",
                "Out of scope: decisions about persons. Nothing here is meant for that.",
            )
        ),
    ]
    if acquired is None:
        blocks.append(Missing("How many rows there are is not known yet.", "acquire"))
    else:
        blocks.append(
            Table(
                ("What", "How much"),
                (
                    ("Rows of the source", number(metric(acquired, "rows_raw"))),
                    ("Columns of the source", number(metric(acquired, "columns_raw"))),
                    (
                        f"Rows to learn from ({spec.rows.development_name})",
                        number(metric(acquired, "rows_development")),
                    ),
                    (
                        f"Rows of operation ({spec.rows.production_name})",
                        number(metric(acquired, "rows_production")),
                    ),
                    ("Rows without a label", number(metric(acquired, "labels_missing"))),
                ),
                f"From {link(acquired)}.",
            )
        )
    return blocks


def _personnel(facts: Facts) -> list[Block]:
    deciders = [run for run in (facts.runs.get("train"), facts.runs.get("promote")) if run]
    rows = [
        (
            "Data scientist",
            "Chooses rows, columns and split; trains candidates; reads the errors.",
            "Prepare, Train, Explain",
        ),
        (
            "Model owner",
            "Decides whether a challenger becomes the champion, and answers for it.",
            "Registry, Retrain",
        ),
        (
            "Operator",
            "Keeps the endpoint up, reads reports and alerts, brings labels.",
            "Serve, Predictions, Monitor, Alerts",
        ),
        ("Client", "Asks for forecasts by the page, by file or through the API.", "Score"),
    ]
    blocks: list[Block] = [
        Heading("Personnel"),
        Paragraph("One person may hold all roles. What each decided is kept under a name."),
        Table(("Role", "Does", "Pages"), tuple(rows)),
    ]
    decisions = _decided(deciders)
    blocks.append(Bullets(decisions) if decisions else Missing("Nothing was decided yet.", "train"))
    return blocks


def _decided(runs: list[RunFacts]) -> tuple[str, ...]:
    return tuple(
        f"{move.decided_by} decided in {link(run)}: {move.reason or move.decision}"
        for run in runs
        if (move := plain_tags(ChampionMove, run)).decided_by
    )


def _metrics(facts: Facts) -> list[Block]:
    trained = facts.runs.get("train")
    blocks: list[Block] = [
        Heading("Metrics"),
        Paragraph(
            "The goal is quantified before anything is trained: on rows that no choice has looked "
            "at, the log loss is below that of always forecasting the base rate, surely so, and "
            "the calibration error is within what chance allows. Once in operation, a report says "
            "whether that still holds."
        ),
    ]
    if trained is None:
        blocks.append(Missing("What was reached is not known yet.", "train"))
        return blocks
    blocks.append(
        Table(
            ("Metric", "Baseline", "Reached", "What it is"),
            (
                (
                    "Log loss on the test set, nats",
                    number(model_report.base_log_loss(trained)),
                    number(metric(trained, "log_loss_test")),
                    "of probabilities; lower is better; the baseline is the base rate",
                ),
                (
                    "Skill over the base rate",
                    "0",
                    number(metric(trained, "skill_test")),
                    "1 is perfect, below 0 is worse",
                ),
                ("ROC AUC", "0.5", number(metric(trained, "roc_auc_test")), "order of the rows"),
                (
                    "F1 at the threshold",
                    "–",
                    number(metric(trained, "f1_test")),
                    f"labels; the threshold is {facts.champion.threshold:g}"
                    if facts.champion
                    else "labels",
                ),
            ),
            f"From {link(trained)}.",
        )
    )
    blocks += _goal(facts)
    if scored := facts.runs.get("score"):
        rate = metric(scored, "base_rate_production")
        if rate is not None:
            blocks.append(
                Paragraph(
                    f"In operation the base rate is {percent(rate)} in {link(scored)}, so a log "
                    "loss there cannot be held against one of the test set without the skill."
                )
            )
    return [*blocks, *added(facts, "goals")]


def _goal(facts: Facts) -> list[Block]:
    """Return whether each part of the goal was reached on the test set."""
    best = model_report.chosen(facts)
    low, high = metric(best, "skill_test_low"), metric(best, "skill_test_high")
    if best is None or low is None or high is None:
        return [Missing("Whether the goal was reached is not known: no interval is kept.", "train")]
    sentences = [
        f"Reached: the log loss is surely below that of the base rate, as the skill's 95% interval "
        f"is {interval(low, high)}, from {link(best)}."
        if low > 0
        else f"Not reached: the log loss is not surely below that of the base rate, as the skill's "
        f"95% interval is {interval(low, high)}, from {link(best)}."
    ]
    error, floor = metric(best, "calibration_error_test"), metric(best, "calibration_floor_test")
    if error is not None and floor is not None:
        sentences.append(
            f"Reached: the calibration error, {error:.4f}, is within what chance alone stays below "
            f"in 95% of cases, {floor:.4f}, from {link(best)}."
            if error <= floor
            else f"Not reached: the calibration error, {error:.4f}, is above what chance alone "
            f"stays below in 95% of cases, {floor:.4f}, from {link(best)}."
        )
    return [Bullets(tuple(sentences))]


def _plan(facts: Facts) -> list[Block]:
    rows = []
    for stage in STEPS:
        run = facts.runs.get(stage.name)
        done = f"done, {link(run)}" if run else "to do"
        rows.append((stage.title, f"`{stage.run_name}`", stage.about, done))
    return [
        Heading("Plan"),
        Paragraph("Every stage is a named run, so the plan and what became of it are one table."),
        Table(("Step", "Run", "What it does", "State"), tuple(rows)),
    ]


def _architecture() -> list[Block]:
    return [
        Heading("Architecture"),
        Paragraph(
            "Data come in unchanged and stay so. Each stage reads what the one before left, works "
            "in a process of its own, and leaves its artifacts and its figures in a run. The "
            "pages only ask and show."
        ),
        Figure(
            "life_cycle",
            "From the data's source to operation and back, drawn from the stages of the code.",
            diagram.chart(),
            diagram.mermaid(),
        ),
        Bullets(
            (
                "Streamlit draws the pages and starts jobs; nothing of worth lives in a session.",
                "MLflow keeps runs, models and their aliases, and serves the champion.",
                "PyCaret and scikit-learn fit and tune the candidates.",
                "A gateway before the served model keeps every answer in the predictions log.",
                "Everything listens on 127.0.0.1 alone.",
            )
        ),
    ]


def _communication(facts: Facts) -> list[Block]:
    reports = len(facts.reports)
    kept = "No report is kept yet."
    if reports:
        kept = f"Kept so far: {reports:,}, the newest is {link(facts.reports[0])}."
    return [
        Heading("Communication"),
        Bullets(
            (
                "These documents are filled from the runs each time they are opened, so they are "
                "never behind what was done.",
                f"Reports of monitoring come when asked for or by schedule. {kept}",
                "Alerts are on a page, and where it is set, in a webhook or by mail.",
                "What was decided, by whom and why stands in the runs of promotion and retraining.",
            )
        ),
    ]
