"""The checklist: every requirement of the brief and of its grader, checked live.

Each line's state is computed from existing runs and files.
"""

from __future__ import annotations

from core.documents.dossier import Facts, RunFacts
from core.documents.texts import artifacts, charter, diagram, exit_report
from core.documents.texts.reading import listed, metric, number
from core.documents.texts.requirement import (
    Found,
    Line,
    Requirement,
    absent,
    answered,
    needs,
    of_values,
    whole,
)
from core.platform import messages
from core.platform.messages import Message, _, in_context, n_
from core.platform.steps import STEPS
from core.projects.kobe import answers, checklist_of_data, checklist_of_operation
from core.projects.kobe.course import REGRESSION, TREE
from core.training import candidates as kinds

POINTS = (
    Message("data categorised"),
    Message("reading integrated"),
    Message("model in production as an API or embedded"),
    Message("fit to the new data stated"),
    Message("repository in TDSP's shape"),
    Message("diagram of the steps"),
    Message("regression trained with PyCaret and MLflow"),
    Message("log loss of the regression in MLflow"),
    Message("tree trained with PyCaret and MLflow"),
    Message("log loss and F1 of the tree in MLflow"),
    Message("artifacts described in detail"),
    Message("all artifacts of the diagram covered"),
    Message("run of the data preparation with its metrics and parameters"),
    Message("missing data removed"),
    Message("columns selected"),
    Message("shape stated"),
    Message("a file for each phase in its folder"),
    Message("two sets"),
    Message("pipeline of the training"),
    Message("difference between development and production base"),
    Message("monitoring with and without the target"),
    Message("dashboard"),
    Message("reactive and predictive strategies"),
)
GROUPS = {
    1: Message("Repository and documents"),
    2: Message("Two approaches and the diagram"),
    3: Message("Why pipelines"),
    4: Message("What the tools help with"),
    5: Message("Artifacts"),
    6: Message("Data processing"),
    7: in_context("checklist", "Training"),
    8: Message("Operation"),
    9: Message("Dashboard"),
    10: Message("Also taught"),
}
# prefix of a path here -> the item of TDSP's template
TDSP = {
    "README.md": Message("README with how to set it up"),
    "requirements.txt": Message("pinned requirements"),
    "docs/README.md": Message("documents, with a map of TDSP's names"),
    "docs/decisions/": Message("decision records"),
    "docs/dossier/": Message("a snapshot of the documents"),
}


def inspect(facts: Facts) -> tuple[Requirement, ...]:
    """Return every requirement with its state, in the order of the brief.

    Examples
    --------
    >>> from core.platform import project
    >>> lines = inspect(Facts(project.load("kobe")))
    >>> [line.state for line in lines if line.number.startswith("6.")].count("met")
    0
    >>> sorted({point for line in lines for point in line.graded}) == list(range(1, 24))
    True
    """
    lines = [*_first(), *checklist_of_data.lines(facts), *_training()]
    lines += checklist_of_operation.lines(facts)
    return tuple(_required(facts, line) for line in lines)


def _required(facts: Facts, line: Line) -> Requirement:
    finding = line.inspect(facts)
    return Requirement(
        line.number,
        str(GROUPS[int(line.number.partition(".")[0])]),
        line.text,
        finding.state,
        finding.evidence,
        finding.run.run_id if finding.run else "",
        finding.path,
        line.page,
        "" if finding.state == "met" else line.todo,
        line.graded,
    )


def _first() -> list[Line]:
    """Return the lines about the repository, the approaches, and the written answers."""
    train_both = _(
        "Train on the Train page with {regression} and {tree} among the candidates.",
        regression=kinds.title(REGRESSION),
        tree=kinds.title(TREE),
    )
    return [
        Line(
            "1.1",
            _("A repository structured like Microsoft's TDSP."),
            _repository,
            "documents",
            _("Add what is missing next to the code."),
            (5,),
        ),
        Line(
            "1.2",
            _("A Project Charter for this project."),
            lambda facts: _document(facts, "charter"),
            "documents",
            _("Run the steps that its missing facts name."),
        ),
        Line(
            "1.3",
            _("A final report for this project."),
            lambda facts: _document(facts, "exit_report"),
            "documents",
            _("Run the steps that its missing facts name."),
        ),
        Line(
            "2.1",
            _("A diagram of all steps from data acquisition through modeling to operation."),
            _diagram,
            "documents",
            _("Check in core/platform/steps.py which step the diagram lacks."),
            (6,),
        ),
        Line(
            "2.2",
            _("A regression model, trained with PyCaret, as a run in MLflow."),
            lambda facts: _trained(facts, REGRESSION),
            "train",
            train_both,
            (7,),
        ),
        Line(
            "2.3",
            _("Log loss of the regression on the test set, in MLflow."),
            lambda facts: _figures(facts, REGRESSION, ("log_loss_test",)),
            "train",
            train_both,
            (8,),
        ),
        Line(
            "2.4",
            _("A classification model, trained with PyCaret, as a run in MLflow."),
            lambda facts: _trained(facts, TREE),
            "train",
            train_both,
            (9,),
        ),
        Line(
            "2.5",
            _("Log loss and F1 of the classifier on the test set, in MLflow."),
            lambda facts: _figures(facts, TREE, ("log_loss_test", "f1_test")),
            "train",
            train_both,
            (10,),
        ),
        Line(
            "3.1",
            _("In writing: why development and production pipelines matter."),
            lambda facts: answered(facts, answers.pipelines),
            "documents",
            _("Run the steps up to Score to fill in the numbers."),
        ),
        Line(
            "4.1",
            _(
                "In writing: how Streamlit, MLflow, PyCaret and scikit-learn help in tracking, "
                "training, monitoring, updating and deployment."
            ),
            _tools,
            "documents",
            _("Run the steps up to Score to fill in the numbers."),
        ),
        Line(
            "5.1",
            _("Every artifact that the project creates, with its purpose and composition."),
            _described,
            "documents",
            _("Run the steps to create the artifacts."),
            (11,),
        ),
        Line(
            "5.2",
            _("All artifacts of the diagram exist."),
            _covered,
            "documents",
            _("Run the step whose file is missing."),
            (12, 17),
        ),
    ]


def _training() -> list[Line]:
    return [
        Line(
            "7.1",
            _("Training as the run Treinamento, with a run for each candidate."),
            _training_run,
            "train",
            _("Train on the Train page."),
            (19,),
        ),
        Line(
            "7.2",
            _("One candidate chosen, and why."),
            _chosen,
            "train",
            _("Train on the Train page."),
        ),
        Line(
            "7.3",
            _("In writing: both approaches, and which was chosen."),
            lambda facts: answered(facts, answers.approaches),
            "documents",
            _("Train with candidates of both approaches."),
        ),
    ]


def _repository(facts: Facts) -> Found:
    lacking = [
        f"{title} (`{path}`)"
        for path, title in TDSP.items()
        if not any(file == path or file.startswith(path) for file in facts.shipped)
    ]
    if len(lacking) == len(TDSP):
        return Found("missing", _("None of its parts exists."))
    if lacking:
        return Found("partly", _("Missing: {items}.", items=lacking))
    return Found("met", _("Present: {paths}.", paths=listed(TDSP)), path="docs/README.md")


def _document(facts: Facts, name: str) -> Found:
    document = {"charter": charter.build, "exit_report": exit_report.build}[name](facts)
    return whole(document.title, document.blocks)


def _diagram(facts: Facts) -> Found:
    drawn = diagram.mermaid()
    lacking = [stage.title for stage in STEPS if f"{stage.name}[" not in drawn]
    if lacking:
        return Found("partly", _("The diagram lacks {steps}.", steps=lacking))
    first, last = STEPS[0].title, STEPS[-1].title
    return Found(
        "met",
        _(
            "{steps} steps from {first} to {last}, drawn from the code's list of steps; {runs} of "
            "them have run here.",
            steps=len(STEPS),
            first=first,
            last=last,
            runs=len(facts.runs),
        ),
    )


def _trained(facts: Facts, candidate: str) -> Found:
    train = facts.runs.get("train")
    if train is None:
        return absent("Treinamento")
    run = _candidate(facts, candidate)
    title = kinds.title(candidate)
    if run is None:
        return Found(
            "partly",
            _("The champion's training has no {title} among its candidates.", title=title),
            train,
        )
    fitted = number(metric(run, "rows_fit"))
    return Found(
        "met", _("{title}, fitted on {rows} rows in its own run.", title=title, rows=fitted), run
    )


def _figures(facts: Facts, candidate: str, names: tuple[str, ...]) -> Found:
    run = _candidate(facts, candidate)
    title = kinds.title(candidate)
    if run is None:
        return Found(
            "missing", _("There is no run of {title} in the champion's training.", title=title)
        )
    values = {name: metric(run, name) for name in names}
    if None in values.values():
        return Found("partly", _("The run of {title} lacks a metric.", title=title), run)
    figures = [f"`{name}` {number(value)}" for name, value in values.items()]
    return Found("met", f"{title}: {messages.listed(figures)}.", run)


def _candidate(facts: Facts, candidate: str) -> RunFacts | None:
    return next((run for run in facts.candidates if run.params.get("model") == candidate), None)


def _tools(facts: Facts) -> Found:
    empty = [title for title, cells in answers.HELP.values() if not all(cells)]
    if empty:
        return Found("partly", _("No answer for {tasks}.", tasks=empty))
    answer = answered(facts, answers.tools)
    if answer.state != "met":
        return answer
    return Found(
        "met",
        _(
            "{tasks} tasks, {tools} tools, with numbers.",
            tasks=len(answers.HELP),
            tools=len(answers.TOOLS),
        ),
    )


def _described(facts: Facts) -> Found:
    all_of = [artifact for stage in STEPS for artifact in stage.outputs]
    silent = [artifact.name for artifact in all_of if not artifact.about]
    if silent:
        return Found("partly", _("Not described: {artifacts}.", artifacts=listed(silent)))
    if not facts.runs:
        return Found(
            "partly",
            _("{artifacts} artifacts are described; no step has run yet.", artifacts=len(all_of)),
        )
    return Found(
        "met",
        _(
            "{artifacts} artifacts of {steps} steps, each with purpose and contents.",
            artifacts=len(all_of),
            steps=len(STEPS),
        ),
    )


def _covered(facts: Facts) -> Found:
    wanted = [
        (stage, artifact)
        for stage in STEPS
        for artifact in stage.outputs
        if artifact.room == "home" and artifact.path.startswith("data/") and not artifact.when
    ]
    present = [artifact for _unused, artifact in wanted if artifacts.files_of(facts, artifact)]
    lacking = [
        f"`{artifact.path}` ({stage.title})"
        for stage, artifact in wanted
        if not artifacts.files_of(facts, artifact)
    ]
    if not present:
        return Found("missing", _("No step has written a file yet."))
    if lacking:
        return Found("partly", _("Missing: {items}.", items=lacking))
    folders = sorted({artifact.path.split("/")[1] for artifact in present})
    return Found(
        "met",
        _("{files} kinds of files in {folders}.", files=len(present), folders=listed(folders)),
    )


@needs("train")
def _training_run(facts: Facts, run: RunFacts) -> Found:
    return of_values(
        run.name == "Treinamento" and len(facts.candidates) > 1,
        _("{candidates} candidates, each in a nested run.", candidates=len(facts.candidates)),
        n_(
            "{count:,} candidate in {run}: nothing to compare.",
            "{count:,} candidates in {run}: nothing to compare.",
            len(facts.candidates),
            run=run.name,
        ),
        run,
    )


@needs("train")
def _chosen(facts: Facts, run: RunFacts) -> Found:
    champion = facts.champion
    best = run.params.get("best")
    if not best or champion is None:
        return Found("partly", _("Candidates were trained, but there is no champion."), run)
    loss = number(metric(run, "log_loss_cv"))
    return Found(
        "met",
        _(
            "{title}, by the lowest log loss in cross-validation, {loss}; it is the champion, "
            "version {version}.",
            title=kinds.title(best),
            loss=loss,
            version=champion.version,
        ),
        run,
    )
