"""Answers to the course's questions, with the numbers of this project."""

from __future__ import annotations

from core.data import split_checks
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
from core.platform import project
from core.platform.messages import Message, _, plural
from core.platform.steps import FILTERED, STEPS
from core.projects.kobe import answers_of_operation
from core.projects.kobe.course import QUESTIONS
from core.training import candidates as kinds

# task -> its title, and what each of the four does for it, in the order of TOOLS
TOOLS = ("Streamlit", "MLflow", "PyCaret", "scikit-learn")
HELP: dict[str, tuple[Message, tuple[Message, Message, Message, Message]]] = {
    "tracking": (
        Message("Experiment tracking"),
        (
            Message("Shows runs side by side; each figure links to its run."),
            Message(
                "Stores every step as a named run: options, metrics, tables, charts, digests of "
                "the data, and the commit of the code."
            ),
            Message("Gives the metrics of each fold of each candidate in one form."),
            Message("Defines the metrics: `log_loss`, `roc_auc_score`, precision and recall."),
        ),
    ),
    "training": (
        Message("Training functions"),
        (
            Message("Validates options before a job starts, and shows its progress."),
            Message("Gives each candidate a nested run, and stores its model."),
            Message(
                "`create_model`, `tune_model`, `blend_models`, `stack_models` and "
                "`calibrate_model` fit and cross-validate a dozen classifiers with one seed."
            ),
            Message(
                "`Pipeline` and `ColumnTransformer` keep preprocessing inside the model, "
                "`StratifiedKFold` makes the folds."
            ),
        ),
    ),
    "monitoring": (
        Message("Monitoring the model's health"),
        (
            Message("Is the dashboard: verdict, checks, densities, alerts and past reports."),
            Message(
                "Stores each report as a run, and the reference (test rows with predictions) in "
                "the training run."
            ),
            Message("Leaves several candidates: their disagreement needs no labels."),
            Message(
                "Computes metrics with labels; without them, nearest neighbours for the support "
                "and a classifier of reference against current rows."
            ),
        ),
    ),
    "updating": (
        Message("Updating the model"),
        (
            Message("Shows the gate and the retraining decision; a person promotes or rolls back."),
            Message("Numbers the versions; @challenger, @champion and @previous are aliases."),
            Message("Repeats the champion's recipe on its old rows and the newly labelled ones."),
            Message("`clone` refits the chosen pipeline on all labelled rows."),
        ),
    ),
    "deployment": (
        Message("Deployment"),
        (
            Message("Starts, watches and stops the server, and scores a row or a file with it."),
            Message(
                "`mlflow models serve` answers at /invocations with the registered version; for "
                "large files, processes load the same version."
            ),
            Message("Is not deployed: the fitted pipeline is taken out of it."),
            Message(
                "Is what is served: one pipeline from raw columns to `predict_proba`, the same in "
                "training and operation."
            ),
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
        _("With the numbers of this project."),
        blocks,
    )


def pipelines(facts: Facts) -> list[Block]:
    """Return why there are separate pipelines for development and production."""
    spec = facts.spec
    blocks: list[Block] = [
        Heading(str(QUESTIONS["pipelines"])),
        Paragraph(
            _(
                "A model depends on its rows, on many choices and on the code that serves it. A "
                "pipeline makes each of its steps repeatable and records it as a run."
            )
        ),
        Bullets(
            (
                _(
                    "Development (acquire, prepare, train, register): the same rows, seed and "
                    "options give the same sets and metrics, each traceable to its run."
                ),
                _(
                    "Production (serve, score, label, monitor, retrain): every prediction is "
                    "stored, joined to its label, compared with the reference, and followed by a "
                    "decision with reasons."
                ),
                _(
                    "They share the registered version, which prepares rows in the same way. They "
                    "are separate because development fails by wrong choices, production by rows "
                    "of another kind."
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
                    "Here development had {development_rows} {development} ({prepared}), "
                    "production {production_rows} {production} ({scored}).",
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
            Missing(str(answers_of_operation.NUMBERS), "prepare" if prepared is None else "score")
        )
    return blocks


def tools(facts: Facts) -> list[Block]:
    """Return what each of the four tools does for each of five tasks."""
    blocks: list[Block] = [
        Heading(str(QUESTIONS["tools"])),
        Table(
            (_("Task"), *TOOLS),
            tuple((f"**{title}**", *map(str, cells)) for title, cells in HELP.values()),
            "",
        ),
    ]
    uses = []
    if train := facts.runs.get("train"):
        uses.append(
            _(
                "Training: {candidates} in nested runs of {run}, on {rows} rows in {folds} folds.",
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
                "Deployment: version {version} answered {seconds} s after `{command}` ({run}).",
                version=serve.params.get("version", "?"),
                seconds=number(metric(serve, "seconds_to_answer"), 1),
                command=serve.params.get("served_command", "mlflow models serve"),
                run=link(serve),
            )
        )
    if (score := facts.runs.get("score")) and metric(score, "rows_per_second"):
        uses.append(
            _(
                "Operation: {rows} rows, {speed:,.0f} per second ({run}).",
                rows=number(metric(score, "rows_scored")),
                speed=metric(score, "rows_per_second"),
                run=link(score),
            )
        )
    if uses:
        blocks.append(Bullets(tuple(uses)))
    else:
        blocks.append(Missing(str(answers_of_operation.NUMBERS), "train"))
    return blocks


def steps() -> list[Block]:
    """Return the diagram of the steps, and what each does."""
    return [
        Heading(str(QUESTIONS["steps"])),
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
        Heading(str(QUESTIONS["approaches"])),
        Paragraph(
            _(
                "Both answer '{question}'. Logistic regression computes the probability of "
                "'{positive}' from a weighted sum of the features; a classifier such as a decision "
                "tree takes it from similar training rows. In both a threshold turns it into a "
                "label.",
                question=project.words(spec.question),
                positive=project.words(spec.positive),
            )
        ),
        Paragraph(
            _(
                "They are compared by log loss, which punishes confident errors most, then by F1 "
                "at the threshold."
            )
        ),
    ]
    if train is None or not facts.candidates:
        blocks.append(Missing(str(answers_of_operation.NUMBERS), "train"))
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
            "",
        )
    )
    used = {kinds.approach(candidate.params.get("model", "")) for candidate in facts.candidates}
    for approach in ("regression", "classification"):
        if not used & {approach, "both"}:
            label = kinds.APPROACH_LABELS[approach]
            blocks.append(
                Missing(_("A candidate of this approach: {approach}.", approach=label), "train")
            )
    best, *others = facts.candidates
    blocks.append(
        Paragraph(
            _(
                "Chosen: {name}, with the lowest log loss in cross-validation, {validated} "
                "({run}). The choice did not use the test set (log loss {tested}).",
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
            "is higher, but labelling every row 1 would give {every:.4f}.",
            name=_title(other),
            run=link(other),
            difference=theirs - mine,
            f1=f1,
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
    blocks: list[Block] = [Heading(str(QUESTIONS["split"]))]
    if run is None:
        blocks.append(Missing(str(answers_of_operation.NUMBERS), "prepare"))
        return blocks
    how = run.params.get("split", "")
    blocks.append(
        Paragraph(
            _(
                "{rows} rows of `{file}` with the columns {columns} were split {how} into {train} "
                "training and {test} test rows, a test share of {share} with seed {seed} ({run}).",
                rows=number(metric(run, "rows_filtered")),
                file=FILTERED,
                columns=listed((*run.params.get("features", "").split(","), facts.spec.target)),
                how=split_checks.SPLITS.get(how, how),
                train=number(metric(run, "rows_train")),
                test=number(metric(run, "rows_test")),
                share=_parameter(run, "test_share"),
                seed=run.params.get("seed", "?"),
                run=link(run),
            )
        )
    )
    rates = [metric(run, f"base_rate_{name}") for name in ("train", "test")]
    psi = metric(run, "psi_max_split")
    effects = [
        _(
            "A random split measures performance on more rows of the same kind; how the model does "
            "on later or other rows, only monitoring measures. A larger test share gives narrower "
            "intervals but fewer training rows."
        )
    ]
    best = facts.candidates[0] if facts.candidates else None
    low, high = (metric(best, f"log_loss_test_{end}") for end in ("low", "high"))
    spread = metric(best, "log_loss_cv_std")
    if best and low is not None and high is not None and spread is not None:
        effects.append(
            _(
                "Log loss of {name}: standard deviation {spread:.4f} between folds, 95% interval "
                "{low:.4f} to {high:.4f} on the test set ({run}).",
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
                "Stratified: '{positive}' {train:.2%} in the training set, {test:.2%} in the test "
                "set ({run}).",
                positive=project.words(facts.spec.positive),
                train=rates[0],
                test=rates[1],
                run=link(run),
            )
        )
    if psi is not None:
        met.append(
            _(
                "Checked: the largest PSI between the sets is {psi:.4f}, warning from {limit} "
                "({run}).",
                psi=psi,
                limit=0.1,
                run=link(run),
            )
        )
    if shared := metric(run, "groups_shared"):
        met.append(
            _(
                "Not reduced: {groups:,.0f} values of `{group}` have rows in both sets. If their "
                "rows resemble each other, split by group.",
                groups=shared,
                group=facts.spec.group,
            )
        )
    met.append(
        _(
            "Candidates and threshold are chosen on folds of the training set, rows are sorted by "
            "id before the split, and columns that leak the label cause warnings (table "
            "`leakage`)."
        )
    )
    blocks += [Paragraph(_("Bias is reduced:")), Bullets(tuple(met))]
    return blocks
