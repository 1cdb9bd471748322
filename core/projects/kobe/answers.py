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
from core.documents.texts.reading import interval, link, listed, metric, number
from core.documents.texts.writing import of_blocks
from core.platform import project
from core.platform.messages import Message, Words, _, n_, plural, sentences
from core.platform.steps import FILTERED, STEPS
from core.projects.kobe import answers_of_operation
from core.training import candidates as kinds

# task -> its title, and what each of the four does for it, in the order of TOOLS
TOOLS = ("Streamlit", "MLflow", "PyCaret", "scikit-learn")
HELP: dict[str, tuple[Message, tuple[Message, Message, Message, Message]]] = {
    "tracking": (
        Message("Experiment tracking"),
        (
            Message(
                "Shows runs side by side, so that nobody opens files to compare them; each figure "
                "links to its run."
            ),
            Message(
                "Stores every step as a named run with its options, metrics, tables, pictures, "
                "data set digests, and the commit of the code."
            ),
            Message(
                "Gives the metrics of each fold of each candidate in one form. Its own MLflow "
                "logging is off: the steps log, so that a run contains what the step logs and "
                "nothing else."
            ),
            Message(
                "Its metrics (`log_loss`, `roc_auc_score`, precision and recall curves) are the "
                "standard ones."
            ),
        ),
    ),
    "training": (
        Message("Training functions"),
        (
            Message(
                "Turns choices into options, validated before a job starts, and shows its "
                "progress fold by fold."
            ),
            Message(
                "Gives each candidate a nested run, and stores its model with signature, example "
                "and requirements."
            ),
            Message(
                "`create_model`, `tune_model`, `blend_models`, `stack_models` and "
                "`calibrate_model` fit and cross-validate any of a dozen classifiers with one "
                "call and one seed."
            ),
            Message(
                "Provides what is fitted: `Pipeline` and `ColumnTransformer` keep preprocessing "
                "inside the model, `StratifiedKFold` makes the folds."
            ),
        ),
    ),
    "monitoring": (
        Message("Monitoring the model's health"),
        (
            Message(
                "Is the dashboard: the verdict in a sentence, the checks behind it, densities of "
                "reference and current rows, alerts, and reports over time."
            ),
            Message(
                "Stores each report as a run, and the reference (test rows with their "
                "predictions) in the training run, where no later preparation can change it."
            ),
            Message(
                "Leaves several fitted candidates: their disagreement on new rows is a signal "
                "that needs no labels."
            ),
            Message(
                "Gives the metrics if there are labels; if not, nearest neighbours (which rows "
                "lie where the model was never tested) and a cross-validated classifier of "
                "reference against current rows."
            ),
        ),
    ),
    "updating": (
        Message("Updating the model"),
        (
            Message(
                "Shows the gate's rules and the retraining decision with their reasons; a person "
                "promotes, overrides or rolls back with one click."
            ),
            Message(
                "Its registry numbers the versions; the aliases @challenger, @champion and "
                "@previous move last, so that a rollback only moves an alias."
            ),
            Message(
                "Repeats the champion's recipe, with the same seed and parameters, on its old "
                "rows and the newly labelled ones."
            ),
            Message(
                "`clone` refits the chosen pipeline on all labelled rows; the reported metrics "
                "stay those of the fit without the test rows."
            ),
        ),
    ),
    "deployment": (
        Message("Deployment"),
        (
            Message(
                "Starts, watches and stops the server, shows how to call it, and scores a row or "
                "a file with it."
            ),
            Message(
                "`mlflow models serve` answers at /invocations by the signature of the registered "
                "version; for large files, processes load the same version."
            ),
            Message(
                "Is not deployed: the fitted pipeline is taken out of it, so the server starts "
                "without it."
            ),
            Message(
                "Is what is served: one pipeline that takes raw columns and gives "
                "`predict_proba`, so that training and operation prepare rows in the same way."
            ),
        ),
    ),
}

# code of an approach -> that no candidate has it
NONE_OF = {
    "regression": Message("No candidate of this training is a regression."),
    "classification": Message("No candidate of this training is a classification."),
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
    return of_blocks(
        "answers",
        facts,
        _("Answers to the course's questions"),
        _("The course's questions, answered with the numbers of this project."),
        blocks,
    )


def pipelines(facts: Facts) -> list[Block]:
    """Return why there are separate pipelines for development and production."""
    spec = facts.spec
    blocks: list[Block] = [
        Heading(_("Why development and production pipelines?")),
        Paragraph(
            _(
                "A model is a small part of what is needed. It depends on its training rows, how "
                "they were chosen, the metrics by which it was selected, the code that serves it, "
                "and evidence that it still fits. A pipeline makes these steps repeatable and "
                "records each run."
            )
        ),
        Bullets(
            (
                _(
                    "The development pipeline (acquire, prepare, train, register) makes choices "
                    "repeatable: the same rows, seed and options give the same sets and metrics, "
                    "and each can be traced to its run."
                ),
                _(
                    "The production pipeline (serve, score, label, monitor, retrain) makes "
                    "operation visible: every prediction is stored, joined to its label when it "
                    "arrives, compared with the reference, and followed by a decision with "
                    "reasons."
                ),
                _(
                    "They share one object, the registered version. It contains preprocessing, "
                    "threshold and signature, so rows are prepared in operation as in training."
                ),
                _(
                    "They are separate because they fail differently: development by wrong "
                    "choices on past rows, operation by rows of another kind."
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
                    "In this project, development ended with {development_rows} {development} "
                    "({prepared}); operation brought {production_rows} {production} ({scored}). "
                    "Without the second pipeline nobody would have seen that the model does not "
                    "fit them.",
                    development_rows=number(rows),
                    development=project.words(spec.rows.development_name),
                    prepared=link(prepared),
                    production_rows=number(met),
                    production=project.words(spec.rows.production_name),
                    scored=link(scored),
                )
            )
        )
    else:
        blocks.append(
            Missing(
                _("The number of rows of each pipeline in this project."),
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
            tuple((f"**{title}**", *map(str, cells)) for title, cells in HELP.values()),
            _("Five tasks of both pipelines, and what each tool does for them."),
        ),
    ]
    uses = []
    if train := facts.runs.get("train"):
        uses.append(
            _(
                "Training: {candidates} in nested runs of {run}, fitted on {rows} rows in {folds} "
                "folds each.",
                candidates=plural(
                    "{count:,} candidate", "{count:,} candidates", len(facts.candidates)
                ),
                run=link(train),
                rows=number(metric(train, "rows_train")),
                folds=train.params.get("folds", "?"),
            )
        )
    if serve := facts.runs.get("serve"):
        uses.append(
            _(
                "Deployment: version {version} answered {seconds} s after the start of "
                "`{command}` ({run}).",
                version=serve.params.get("version", "?"),
                seconds=number(metric(serve, "seconds_to_answer"), 1),
                command=serve.params.get("served_command", "mlflow models serve"),
                run=link(serve),
            )
        )
    if (score := facts.runs.get("score")) and metric(score, "rows_per_second"):
        uses.append(
            _(
                "Operation: {rows} rows in {requests} requests, {speed:,.0f} rows per second "
                "({run}).",
                rows=number(metric(score, "rows_scored")),
                requests=number(metric(score, "requests"), 0),
                speed=metric(score, "rows_per_second"),
                run=link(score),
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
            _(
                "The life cycle, drawn from the code's list of steps; beside each step its "
                "artifacts."
            ),
            diagram.chart(),
            diagram.mermaid(),
        ),
        Table(
            (_("Step"), _("MLflow run"), _("What it does")),
            tuple((str(step.title), f"`{step.run_name}`", str(step.about)) for step in STEPS),
            _("The document Artifacts lists every artifact of each step."),
        ),
    ]


def approaches(facts: Facts) -> list[Block]:
    """Return both approaches with their metrics, which was chosen, and why."""
    spec, train = facts.spec, facts.runs.get("train")
    blocks: list[Block] = [
        Heading(_("Regression or classification: which was chosen, and why?")),
        Paragraph(
            _(
                "Both answer '{question}'. Logistic regression fits a formula for the probability "
                "of '{positive}', a weighted sum of the features; a threshold turns it into a "
                "label. A classifier such as a decision tree or nearest neighbours splits the "
                "rows into groups and takes the share of '{positive}' in each.",
                question=project.words(spec.question),
                positive=project.words(spec.positive),
            )
        ),
        Paragraph(
            _(
                "Both are compared by their probabilities: log loss first, since it punishes "
                "confident errors most; then F1 at the threshold, since it matters to those who "
                "act on labels."
            )
        ),
    ]
    if train is None or not facts.candidates:
        blocks.append(Missing(_("The metrics of both approaches."), "train"))
        return blocks
    blocks.append(
        Table(
            (
                _("Candidate"),
                _("Approach"),
                _("Log loss, folds"),
                _("Log loss, test"),
                _("95% interval"),
                _("F1, test"),
                _("ROC AUC, test"),
                _("Run"),
            ),
            tuple(_candidate_row(candidate) for candidate in facts.candidates),
            _("Sorted by log loss in cross-validation; the test set is the same for all."),
        )
    )
    for approach, none in NONE_OF.items():
        if not any(
            kinds.approach(candidate.params.get("model", "")) == approach
            for candidate in facts.candidates
        ):
            blocks.append(Missing(str(none), "train"))
    best, *others = facts.candidates
    blocks.append(
        Paragraph(
            _(
                "Chosen: {name}, because its log loss in cross-validation is lowest, {validated} "
                "({run}). The choice did not use the test set, so its test log loss of {tested} "
                "is unbiased.",
                name=_title(best),
                validated=number(metric(best, "log_loss_cv")),
                run=link(best),
                tested=number(metric(best, "log_loss_test")),
            )
        )
    )
    compared = [text for other in others if (text := _compared(best, other))]
    if compared:
        blocks.append(Bullets(tuple(compared)))
    return blocks


def _parameter(run: RunFacts, name: str) -> float | str:
    text = run.params.get(name, "?")
    try:
        return float(text)
    except ValueError:
        return text


def _title(run: RunFacts) -> str:
    model = run.params.get("model", "")
    known = model.partition(".")[0] in {**kinds.KINDS, **kinds.DERIVED}
    return str(kinds.title(model)) if known else run.name


def _candidate_row(run: RunFacts) -> tuple[str, ...]:
    low, high = (metric(run, f"log_loss_test_{end}") for end in ("low", "high"))
    nothing = float("nan")
    return (
        _title(run),
        str(kinds.APPROACH_LABELS[kinds.approach(run.params.get("model", ""))]),
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
            "{name} ({run}): {difference:.4f} nats more in cross-validation. Its F1 of {f1:.4f} "
            "is higher than {chosen:.4f}, but that depends on the threshold: labelling every row "
            "1 would give {every:.4f}.",
            name=_title(other),
            run=link(other),
            difference=theirs - mine,
            f1=f1,
            chosen=ours,
            every=every,
        )
    return _(
        "{name} ({run}): {difference:.4f} nats more in cross-validation, and F1 {f1:.4f}.",
        name=_title(other),
        run=link(other),
        difference=theirs - mine,
        f1=f1,
    )


def split(facts: Facts) -> list[Block]:
    """Return what depends on the choice of train and test set, and how bias is handled."""
    run = facts.runs.get("prepare")
    blocks: list[Block] = [
        Heading(
            _(
                "How does the choice of train and test set affect the result, and how is bias "
                "reduced?"
            )
        )
    ]
    if run is None:
        blocks.append(Missing(_("Which rows are for training, and which for testing."), "prepare"))
        return blocks
    how: Words = {
        "random": Message("The split is random, stratified by the target."),
        "time": Message("The split is by time: the test rows are later than the training rows."),
        "group": Message(
            "The split is by `{group}`: rows of one group are in one set.", group=facts.spec.group
        ),
    }.get(run.params.get("split", ""), run.params.get("split", ""))
    blocks.append(
        Paragraph(
            str(
                sentences(
                    Message(
                        "{rows} rows of {columns} columns (`{file}`) were split into {train} "
                        "training and {test} test rows, a test share of {share} with seed {seed} "
                        "({run}).",
                        rows=number(metric(run, "rows_filtered")),
                        columns=number(metric(run, "columns_filtered")),
                        file=FILTERED,
                        train=number(metric(run, "rows_train")),
                        test=number(metric(run, "rows_test")),
                        share=_parameter(run, "test_share"),
                        seed=run.params.get("seed", "?"),
                        run=link(run),
                    ),
                    how,
                    Message(
                        "The columns are {columns}.",
                        columns=listed(
                            (*run.params.get("features", "").split(","), facts.spec.target)
                        ),
                    ),
                )
            )
        )
    )
    rates = [metric(run, f"base_rate_{name}") for name in ("train", "test")]
    psi = metric(run, "psi_max_split")
    effects = [
        _(
            "A test set unlike the rows of operation measures something else. A random split "
            "measures performance on more rows of the same kind, not on next year's rows or rows "
            "of another kind. Monitoring measures that."
        ),
        _("A larger test share gives narrower intervals but fewer training rows."),
    ]
    best = facts.candidates[0] if facts.candidates else None
    low, high = (metric(best, f"log_loss_test_{end}") for end in ("low", "high"))
    spread = metric(best, "log_loss_cv_std")
    if best and low is not None and high is not None and spread is not None:
        effects.append(
            _(
                "The log loss of {name} has a standard deviation of {spread:.4f} between folds; "
                "on the test set its 95% interval is {low:.4f} to {high:.4f} ({run}).",
                name=_title(best),
                spread=spread,
                low=low,
                high=high,
                run=link(best),
            )
        )
    blocks.append(Bullets(tuple(effects)))
    met = []
    if rates[0] is not None and rates[1] is not None:
        met.append(
            _(
                "Stratified: the share of '{positive}' is {train:.2%} in the training set and "
                "{test:.2%} in the test set ({run}).",
                positive=project.words(facts.spec.positive),
                train=rates[0],
                test=rates[1],
                run=link(run),
            )
        )
    if psi is not None:
        met.append(
            _(
                "Checked before training: the largest PSI between the two sets is {psi:.4f}; "
                "{limit} would be a warning ({run}).",
                psi=psi,
                limit=0.1,
                run=link(run),
            )
        )
    if shared := metric(run, "groups_shared"):
        met.append(
            n_(
                "Not reduced: {count:,} group (`{group}`) has rows in both sets. If rows of one "
                "group resemble each other, split by group on the Data page.",
                "Not reduced: {count:,} groups (`{group}`) have rows in both sets. If rows of one "
                "group resemble each other, split by group on the Data page.",
                int(shared),
                group=facts.spec.group,
            )
        )
    met += [
        _(
            "The test set is used last: candidates and threshold are chosen on folds of the "
            "training set."
        ),
        _(
            "Rows are sorted by id before the split, so that the file's order has no effect; the "
            "run records the seed."
        ),
        _(
            "Columns known only after the event, identifiers and constants cause warnings before "
            "training (table `leakage` of the run)."
        ),
    ]
    blocks += [Paragraph(_("Bias is reduced in these ways:")), Bullets(tuple(met))]
    return blocks
