"""Answers to the course's questions, with the numbers of this project."""

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
from core.documents.texts import diagram
from core.documents.texts.reading import interval, link, listed, metric, number, percent
from core.platform.messages import Message, _
from core.platform.steps import FILTERED, STEPS
from core.projects.kobe import answers_of_operation
from core.training import candidates as kinds

# heading -> what each of the four does for it, in the order of TOOLS
TOOLS = (Message("Streamlit"), "MLflow", "PyCaret", "scikit-learn")
HELP: dict[str, tuple[str, str, str, str]] = {
    "Experiment tracking": (
        Message(
            "Draws what runs kept beside each other, so that nobody opens files to compare "
            "them; a link leads from each figure to its run."
        ),
        Message(
            "Keeps every step as a named run with its options, metrics, tables, pictures, "
            "data sets by digest, and the commit of the code."
        ),
        Message(
            "Gives the figures of each fold of each candidate in one form. Its own logging "
            "to MLflow is off: the steps log, so that a run holds what the step says and "
            "nothing else."
        ),
        Message(
            "Its metrics (`log_loss`, `roc_auc_score`, precision and recall curves) mean "
            "the same as anywhere else."
        ),
    ),
    "Training functions": (
        Message(
            "Turns choices into options that are validated before a job begins, and shows "
            "fold by fold how far the job is."
        ),
        Message(
            "Gives each candidate a nested run of its own, and keeps its model with "
            "signature, example and requirements."
        ),
        Message(
            "`create_model`, `tune_model`, `blend_models`, `stack_models` and "
            "`calibrate_model` fit and cross-validate any of a dozen classifiers with one "
            "call and one seed."
        ),
        Message(
            "Is what is fitted: `Pipeline` and `ColumnTransformer` keep preprocessing "
            "inside the model, `StratifiedKFold` cuts the folds."
        ),
    ),
    "Monitoring the model's health": (
        Message(
            "Is the dashboard: the verdict in a sentence, the checks behind it, densities "
            "of reference and operation over each other, alerts, reports over time."
        ),
        Message(
            "Keeps each report as a run, and the reference (test rows with the forecasts) "
            "in the run that trained the model, where no later preparation can move it."
        ),
        Message(
            "Leaves several fitted candidates behind: how far they disagree on new rows is "
            "a sign that needs no label."
        ),
        Message(
            "Gives the metrics where labels are there, and where they are not, nearest "
            "neighbours (which rows lie where the model was never tested) and the folds of "
            "a classifier that tells reference from current rows."
        ),
    ),
    "Updating the model": (
        Message(
            "Shows the gate's rules and the retraining decision with their reasons; a "
            "person promotes, overrides or goes back with one press."
        ),
        Message(
            "Its registry numbers the versions; the aliases @challenger, @champion and "
            "@previous move last, so that going back is a move of an alias."
        ),
        Message(
            "Repeats the champion's recipe, with the same seed and parameters, on its old "
            "rows and those that got a label since."
        ),
        Message(
            "`clone` fits the chosen pipeline again on all labelled rows, while the "
            "figures stay those of the one that had not seen the test rows."
        ),
    ),
    "Deployment": (
        Message(
            "Starts, watches and stops the server, shows how it is called, and asks it for "
            "a single row or for a file."
        ),
        Message(
            "`mlflow models serve` answers at /invocations by the signature of the "
            "registered version; the same version is loaded in processes for large files."
        ),
        Message(
            "Stays behind: what it fitted is taken out of it, so the server starts without it."
        ),
        Message(
            "Is what answers: one pipeline that takes raw columns and gives "
            "`predict_proba`, so that training and operation cannot prepare a row "
            "differently."
        ),
    ),
}


def build(facts: Facts) -> Document:
    """Return the answers; a number without a run is reported as missing.

    Examples
    --------
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> sum(isinstance(block, Heading) and block.level == 2 for block in document.blocks)
    10
    """
    blocks = (
        *pipelines(facts),
        *tools(facts),
        *steps(),
        *approaches(facts),
        *split(facts),
        *answers_of_operation.bases(facts),
        *answers_of_operation.adherence(facts),
        *answers_of_operation.health(facts),
        *answers_of_operation.retraining(facts),
        *answers_of_operation.earlier(facts),
    )
    return Document(
        "answers",
        _("Answers to the course's questions"),
        _("The questions that the course asks, answered with the numbers of this project."),
        blocks,
    )


def pipelines(facts: Facts) -> list[Block]:
    """Return why there are separate pipelines for development and production."""
    spec = facts.spec
    blocks: list[Block] = [
        Heading(_("Why development and production pipelines?")),
        Paragraph(
            _(
                "A model is the smallest part of what is needed. Around it stand the rows it "
                "learned from, the way they were chosen, the figures by which it was "
                "preferred, the code that answers with it, and the proof that it still fits. A "
                "pipeline is these steps as something that can be run again, with a record of "
                "each time."
            )
        ),
        Bullets(
            (
                _(
                    "The development pipeline (acquire, prepare, train, register) makes choices "
                    "repeatable: the same rows, seed and options give the same sets and the same "
                    "figures, and any of them can be traced to its run."
                ),
                _(
                    "The production pipeline (serve, score, label, monitor, retrain) makes "
                    "operation visible: every answer is kept, joined to its label when that comes, "
                    "compared with the reference, and followed by a decision that has reasons."
                ),
                _(
                    "They meet in one object, the registered version. It carries preprocessing, "
                    "threshold and signature, so a row is prepared in operation as it was in "
                    "training."
                ),
                _(
                    "They are kept apart because they fail in different ways: development by "
                    "choosing wrongly on rows of the past, operation by meeting rows of another "
                    "kind."
                ),
            )
        ),
    ]
    prepared, scored = facts.runs.get("prepare"), facts.runs.get("score")
    if prepared and scored:
        rows, met = metric(prepared, "rows_filtered"), metric(scored, "rows_scored")
        blocks.append(
            Paragraph(
                _(
                    "Here that is no theory. Development ended with {rows} {development_name} "
                    "({prepared}); operation brought {met} {production_name} ({scored}). Without "
                    "the second pipeline nobody would have seen that the model does not fit them.",
                    rows=number(rows),
                    development_name=spec.rows.development_name,
                    prepared=link(prepared),
                    met=number(met),
                    production_name=spec.rows.production_name,
                    scored=link(scored),
                )
            )
        )
    else:
        blocks.append(
            Missing(
                _("How many rows each of the two pipelines has seen here."),
                "prepare" if prepared is None else "score",
            )
        )
    return blocks


def tools(facts: Facts) -> list[Block]:
    """Return what each of the four tools does for each of five tasks."""
    blocks: list[Block] = [
        Heading(_("How do Streamlit, MLflow, PyCaret and scikit-learn help?")),
        Table(
            (_("For"), *TOOLS),
            tuple((f"**{head}**", *cells) for head, cells in HELP.items()),
            _("Five tasks of both pipelines, and what each tool does for them here."),
        ),
    ]
    uses = []
    if train := facts.runs.get("train"):
        uses.append(
            _(
                "Training: {candidates} candidates in nested runs of {train}, fitted on "
                "{train_2} rows in {value} folds each.",
                candidates=len(facts.candidates),
                train=link(train),
                train_2=number(metric(train, "rows_train")),
                value=train.params.get("folds", "?"),
            )
        )
    if serve := facts.runs.get("serve"):
        uses.append(
            _(
                "Deployment: version {value} answered {serve} s after the start of `{value_2}` "
                "({serve_2}).",
                value=serve.params.get("version", "?"),
                serve=number(metric(serve, "seconds_to_answer"), 1),
                value_2=serve.params.get("served_command", "mlflow models serve"),
                serve_2=link(serve),
            )
        )
    if (score := facts.runs.get("score")) and metric(score, "rows_per_second"):
        uses.append(
            _(
                "Operation: {score} rows in {score_2} answers, {score_3:,.0f} rows per second "
                "({score_4}).",
                score=number(metric(score, "rows_scored")),
                score_2=number(metric(score, "requests"), 0),
                score_3=metric(score, "rows_per_second"),
                score_4=link(score),
            )
        )
    if uses:
        blocks += [Paragraph(_("In this project:")), Bullets(tuple(uses))]
    else:
        blocks.append(Missing(_("What they did in this project, in numbers."), "train"))
    return blocks


def steps() -> list[Block]:
    """Return the diagram of the steps, and what each does."""
    return [
        Heading(_("Which steps lead from data to operation?")),
        Figure(
            "life_cycle",
            _("The life cycle, drawn from the code's own steps; beside each stage what it leaves."),
            diagram.chart(),
            diagram.mermaid(),
        ),
        Table(
            (_("Step"), _("MLflow run"), _("What it does")),
            tuple((step.title, f"`{step.run_name}`", step.about) for step in STEPS),
            _("Every artifact of each step stands in the document Artifacts."),
        ),
    ]


def approaches(facts: Facts) -> list[Block]:
    """Return both approaches with their metrics, which was chosen, and why."""
    spec, train = facts.spec, facts.runs.get("train")
    blocks: list[Block] = [
        Heading(_("Regression or classification: which was chosen, and why?")),
        Paragraph(
            _(
                "Both answer '{question}'. Logistic regression fits a formula for the "
                "probability of '{positive}', a weighted sum of the features; a label follows "
                "from a threshold. A classifier such as a decision tree or nearest neighbours "
                "parts the rows into groups and takes the share of '{positive}' in each.",
                question=spec.question,
                positive=spec.positive,
            )
        ),
        Paragraph(
            _(
                "Both are judged by their probabilities: log loss first, since it punishes a "
                "wrong forecast the more, the surer it was; F1 at the threshold beside it, "
                "since it is what somebody who acts on labels would feel."
            )
        ),
    ]
    if train is None or not facts.candidates:
        blocks.append(Missing(_("The figures of both approaches."), "train"))
        return blocks
    blocks.append(
        Table(
            (
                _("Candidate"),
                _("Approach"),
                _("Log loss, folds"),
                _("Log loss, test"),
                "95% interval",
                "F1, test",
                _("ROC AUC, test"),
                _("Run"),
            ),
            tuple(_candidate_row(candidate) for candidate in facts.candidates),
            _("The best in cross-validation first; the test set is the same for all."),
        )
    )
    for approach in ("regression", "classification"):
        if not any(_approach(candidate) == approach for candidate in facts.candidates):
            blocks.append(
                Missing(
                    _("No candidate of this training is a {approach}.", approach=approach), "train"
                )
            )
    best, *others = facts.candidates
    blocks.append(
        Paragraph(
            _(
                "Chosen: {name}, because its log loss in cross-validation is lowest, {best} "
                "({best_2}). The choice was made without the test set, so that its {best_3} "
                "there is an honest figure.",
                name=best.name,
                best=number(metric(best, "log_loss_cv")),
                best_2=link(best),
                best_3=number(metric(best, "log_loss_test")),
            )
        )
    )
    sentences = [text for other in others if (text := _compared(best, other))]
    if sentences:
        blocks.append(Bullets(tuple(sentences)))
    return blocks


def _approach(run: RunFacts) -> str:
    base = run.params.get("model", "").partition(".")[0]
    return kinds.KINDS[base].approach if base in kinds.KINDS else "classification"


def _candidate_row(run: RunFacts) -> tuple[str, ...]:
    low, high = (metric(run, f"log_loss_test_{end}") for end in ("low", "high"))
    nothing = float("nan")
    return (
        run.name,
        _approach(run),
        number(metric(run, "log_loss_cv")),
        number(metric(run, "log_loss_test")),
        interval(nothing if low is None else low, nothing if high is None else high),
        number(metric(run, "f1_test")),
        number(metric(run, "roc_auc_test")),
        link(run, run.run_id[:8]),
    )


def _compared(best: RunFacts, other: RunFacts) -> str:
    """Return a sentence on why another candidate was not chosen."""
    mine, theirs = metric(best, "log_loss_cv"), metric(other, "log_loss_cv")
    ours, f1, rate = (
        metric(best, "f1_test"),
        metric(other, "f1_test"),
        metric(best, "base_rate_test"),
    )
    if mine is None or theirs is None or ours is None or f1 is None:
        return ""
    every = 2 * rate / (1 + rate) if rate else 0.0
    if ours < f1 < every:
        return _(
            "{name} ({other}): {value:.4f} nats more in cross-validation. Its F1 of "
            "{f1:.4f} is higher than {ours:.4f}, but that depends on the threshold: "
            "labelling every row 1 would give {every:.4f}.",
            name=other.name,
            other=link(other),
            value=theirs - mine,
            f1=f1,
            ours=ours,
            every=every,
        )
    return _(
        "{name} ({other}): {value:.4f} nats more in cross-validation, and F1 {f1:.4f}.",
        name=other.name,
        other=link(other),
        value=theirs - mine,
        f1=f1,
    )


def split(facts: Facts) -> list[Block]:
    """Return what depends on the choice of train and test set, and how bias is handled."""
    run = facts.runs.get("prepare")
    blocks: list[Block] = [
        Heading(
            _("How does the choice of train and test set affect the result, and how is bias met?")
        )
    ]
    if run is None:
        blocks.append(Missing(_("Which rows train and which test."), "prepare"))
        return blocks
    how = {
        "random": _("at random, stratified by the target"),
        "time": _("by time: the test rows are later than the training rows"),
        "group": _(
            "by `{group}`, so that rows of one group stay on one side", group=facts.spec.group
        ),
    }.get(run.params.get("split", ""), run.params.get("split", ""))
    blocks.append(
        Paragraph(
            _(
                "{run} rows of {run_2} columns (`{filtered}`) were divided {how}: {run_3} "
                "train and {run_4} test, a test share of {value} with seed {value_2} "
                "({run_5}). The columns are {value_3}.",
                run=number(metric(run, "rows_filtered")),
                run_2=number(metric(run, "columns_filtered")),
                filtered=FILTERED,
                how=how,
                run_3=number(metric(run, "rows_train")),
                run_4=number(metric(run, "rows_test")),
                value=run.params.get("test_share", "?"),
                value_2=run.params.get("seed", "?"),
                run_5=link(run),
                value_3=listed((*run.params.get("features", "").split(","), facts.spec.target)),
            )
        )
    )
    rates = [metric(run, f"base_rate_{name}") for name in ("train", "test")]
    psi = metric(run, "psi_max_split")
    sentences = [
        _(
            "A test set that is not like the rows of operation measures something else. A "
            "random split answers: how good on more rows of the same kind? It does not "
            "answer: how good next year, or on another kind of rows. That is what "
            "monitoring is for."
        ),
        _(
            "A larger test share gives narrower intervals and fewer rows to learn from; a "
            "smaller one the reverse."
        ),
    ]
    best = facts.candidates[0] if facts.candidates else None
    low, high = (metric(best, f"log_loss_test_{end}") for end in ("low", "high"))
    spread = metric(best, "log_loss_cv_std")
    if best and low is not None and high is not None and spread is not None:
        sentences.append(
            _(
                "How much depends on which rows fall where: between folds the log loss of "
                "{name} differs by {spread:.4f} (standard deviation), and on the test set its "
                "95% interval is {low:.4f} to {high:.4f} ({best}).",
                name=best.name,
                spread=spread,
                low=low,
                high=high,
                best=link(best),
            )
        )
    blocks.append(Bullets(tuple(sentences)))
    met = []
    if rates[0] is not None and rates[1] is not None:
        met.append(
            _(
                "Stratified: the share of '{positive}' is {value} in the training set and "
                "{value_2} in the test set ({run}).",
                positive=facts.spec.positive,
                value=percent(rates[0], 2),
                value_2=percent(rates[1], 2),
                run=link(run),
            )
        )
    if psi is not None:
        met.append(
            _(
                "Looked at before anything was trained: the largest PSI between the two sets "
                "is {psi:.4f}, where 0.1 would be a warning ({run}).",
                psi=psi,
                run=link(run),
            )
        )
    if shared := metric(run, "groups_shared"):
        met.append(
            _(
                "Told where it is not met: {shared} groups (`{group}`) have rows in both sets. "
                "Where rows of one group resemble each other, divide by group instead, on the "
                "page Prepare.",
                shared=number(shared),
                group=facts.spec.group,
            )
        )
    met += [
        _(
            "The test set is looked at last: candidates and threshold are chosen on folds "
            "of the training set."
        ),
        _(
            "Rows are put in the order of their id before the draw, so that the file's "
            "order decides nothing, and the seed is kept in the run."
        ),
        _(
            "Columns that are known only after the event, identifiers and constants are "
            "warned of before a training (table `leakage` of the run)."
        ),
    ]
    blocks += [Paragraph(_("Bias is reduced by these means:")), Bullets(tuple(met))]
    return blocks
