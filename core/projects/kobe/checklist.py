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
from core.platform.steps import STEPS
from core.projects.kobe import answers, checklist_of_data, checklist_of_operation
from core.projects.kobe.course import REGRESSION, TREE
from core.training import candidates as kinds

POINTS = (
    "data categorised",
    "reading integrated",
    "model in production as an API or embedded",
    "adherence to the new base stated",
    "repository in TDSP's shape",
    "diagram of the steps",
    "regression trained with PyCaret and MLflow",
    "log loss of the regression in MLflow",
    "tree trained with PyCaret and MLflow",
    "log loss and F1 of the tree in MLflow",
    "artifacts described in detail",
    "all artifacts of the diagram covered",
    "run of the data preparation with its metrics and parameters",
    "missing data removed",
    "columns selected",
    "dimension stated",
    "a file for each phase in its folder",
    "two sets",
    "pipeline of the training",
    "difference between development and production base",
    "monitoring with and without the target",
    "dashboard",
    "reactive and predictive strategies",
)
GROUPS = {
    1: "Repository and documents",
    2: "Two approaches and the diagram",
    3: "Why pipelines",
    4: "What the tools help with",
    5: "Artifacts",
    6: "Data processing",
    7: "Training",
    8: "Operation",
    9: "Dashboard",
    10: "Also taught",
}
# item of TDSP's template, and the prefix of its path here
TDSP = {
    "README with how to set it up": "README.md",
    "pinned requirements": "requirements.txt",
    "documents, with a map of TDSP's names": "docs/README.md",
    "decision records": "docs/decisions/",
    "a snapshot of the documents": "docs/dossier/",
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
        GROUPS[int(line.number.partition(".")[0])],
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
    train_both = (
        f"Train on the page Train with {kinds.title(REGRESSION)} and {kinds.title(TREE)} among the "
        "candidates."
    )
    return [
        Line(
            "1.1",
            "A repository in the shape of Microsoft's TDSP.",
            _repository,
            "reports",
            "Put what is missing beside the code.",
            (5,),
        ),
        Line(
            "1.2",
            "A Project Charter, filled with this project.",
            lambda facts: _document(facts, "charter"),
            "reports",
            "Take the steps that its open facts name.",
        ),
        Line(
            "1.3",
            "A final report, filled with this project.",
            lambda facts: _document(facts, "exit_report"),
            "reports",
            "Take the steps that its open facts name.",
        ),
        Line(
            "2.1",
            "A diagram of all steps from data acquisition through modeling to operation.",
            _diagram,
            "overview",
            "See which step the diagram lacks in core/platform/steps.py.",
            (6,),
        ),
        Line(
            "2.2",
            "A predictor by regression, trained with PyCaret, as a run in MLflow.",
            lambda facts: _trained(facts, REGRESSION),
            "train",
            train_both,
            (7,),
        ),
        Line(
            "2.3",
            "Log loss of the regression on the test set, in MLflow.",
            lambda facts: _figures(facts, REGRESSION, ("log_loss_test",)),
            "train",
            train_both,
            (8,),
        ),
        Line(
            "2.4",
            "A predictor by classification, trained with PyCaret, as a run in MLflow.",
            lambda facts: _trained(facts, TREE),
            "train",
            train_both,
            (9,),
        ),
        Line(
            "2.5",
            "Log loss and F1 of the classifier on the test set, in MLflow.",
            lambda facts: _figures(facts, TREE, ("log_loss_test", "f1_test")),
            "train",
            train_both,
            (10,),
        ),
        Line(
            "3.1",
            "In writing: why development and production pipelines matter.",
            lambda facts: answered(facts, answers.pipelines),
            "reports",
            "Take the steps up to Score, so that the answer has its numbers.",
        ),
        Line(
            "4.1",
            "In writing: how Streamlit, MLflow, PyCaret and scikit-learn help in tracking, "
            "training, monitoring, updating and deployment.",
            _tools,
            "reports",
            "Take the steps up to Score, so that the answer has its numbers.",
        ),
        Line(
            "5.1",
            "Every artifact that the project creates, with its purpose and composition.",
            _described,
            "reports",
            "Take the steps: what they leave then stands beside this.",
            (11,),
        ),
        Line(
            "5.2",
            "All artifacts of the diagram are there.",
            _covered,
            "reports",
            "Take the step whose file is missing.",
            (12, 17),
        ),
    ]


def _training() -> list[Line]:
    return [
        Line(
            "7.1",
            "Training as the run Treinamento, with a run for each candidate.",
            _training_run,
            "train",
            "Train on the page Train.",
            (19,),
        ),
        Line("7.2", "One candidate chosen, and why.", _chosen, "train", "Train on the page Train."),
        Line(
            "7.3",
            "In writing: both approaches, and which was chosen.",
            lambda facts: answered(facts, answers.approaches),
            "reports",
            "Train with candidates of both approaches.",
        ),
    ]


def _repository(facts: Facts) -> Found:
    lacking = [
        f"{title} (`{path}`)"
        for title, path in TDSP.items()
        if not any(file == path or file.startswith(path) for file in facts.shipped)
    ]
    if len(lacking) == len(TDSP):
        return Found("missing", "Nothing of it stands beside the code.")
    if lacking:
        what = ", ".join(lacking)
        return Found("partly", f"Not there: {what}.")
    what = ", ".join(f"`{path}`" for path in TDSP.values())
    return Found("met", f"There: {what}.", path="docs/README.md")


def _document(facts: Facts, name: str) -> Found:
    document = {"charter": charter.build, "exit_report": exit_report.build}[name](facts)
    return whole(document.title, document.blocks)


def _diagram(facts: Facts) -> Found:
    drawn = diagram.mermaid()
    lacking = [stage.title for stage in STEPS if f"{stage.name}[" not in drawn]
    if lacking:
        names = ", ".join(lacking)
        return Found("partly", f"The diagram lacks {names}.")
    first, last = STEPS[0].title, STEPS[-1].title
    return Found(
        "met",
        f"{len(STEPS)} steps from {first} to {last}, drawn from the code's own list of steps; "
        f"{len(facts.runs)} of them were taken here.",
    )


def _trained(facts: Facts, candidate: str) -> Found:
    train = facts.runs.get("train")
    if train is None:
        return absent("Treinamento")
    run = _candidate(facts, candidate)
    title = kinds.title(candidate)
    if run is None:
        return Found(
            "partly", f"The champion's training has no {title} among its candidates.", train
        )
    fitted = number(metric(run, "rows_fit"))
    return Found("met", f"{title}, fitted on {fitted} rows in a run of its own.", run)


def _figures(facts: Facts, candidate: str, names: tuple[str, ...]) -> Found:
    run = _candidate(facts, candidate)
    title = kinds.title(candidate)
    if run is None:
        return Found("missing", f"There is no run of {title} in the champion's training.")
    values = {name: metric(run, name) for name in names}
    if None in values.values():
        return Found("partly", f"The run of {title} lacks a figure.", run)
    shown = ", ".join(f"`{name}` {value:.4f}" for name, value in values.items())
    return Found("met", f"{title}: {shown}.", run)


def _candidate(facts: Facts, candidate: str) -> RunFacts | None:
    return next((run for run in facts.candidates if run.params.get("model") == candidate), None)


def _tools(facts: Facts) -> Found:
    empty = [head for head, cells in answers.HELP.items() if not all(cells)]
    if empty:
        heads = ", ".join(empty)
        return Found("partly", f"Nothing is said of {heads}.")
    answer = answered(facts, answers.tools)
    if answer.state != "met":
        return answer
    return Found("met", f"{len(answers.HELP)} tasks, {len(answers.TOOLS)} tools, with numbers.")


def _described(facts: Facts) -> Found:
    all_of = [artifact for stage in STEPS for artifact in stage.outputs]
    silent = [artifact.name for artifact in all_of if not (artifact.purpose and artifact.contents)]
    if silent:
        return Found("partly", f"Not described: {listed(silent)}.")
    if not facts.runs:
        return Found(
            "partly", f"{len(all_of)} artifacts are described; no step has left any of them yet."
        )
    return Found("met", f"{len(all_of)} artifacts of {len(STEPS)} steps, each with both.")


def _covered(facts: Facts) -> Found:
    wanted = [
        (stage, artifact)
        for stage in STEPS
        for artifact in stage.outputs
        if artifact.room == "home" and artifact.path.startswith("data/") and not artifact.when
    ]
    present = [artifact for _, artifact in wanted if artifacts.files_of(facts, artifact)]
    lacking = [
        f"`{artifact.path}` ({stage.title})"
        for stage, artifact in wanted
        if not artifacts.files_of(facts, artifact)
    ]
    if not present:
        return Found("missing", "No step has left a file yet.")
    if lacking:
        names = ", ".join(lacking)
        return Found("partly", f"Not there yet: {names}.")
    folders = sorted({artifact.path.split("/")[1] for artifact in present})
    return Found("met", f"{len(present)} kinds of files in {listed(folders)}.")


@needs("train")
def _training_run(facts: Facts, run: RunFacts) -> Found:
    return of_values(
        run.name == "Treinamento" and len(facts.candidates) > 1,
        f"{len(facts.candidates)} candidates, each in a run nested in it.",
        f"{len(facts.candidates)} candidate in {run.name}: there is nothing to compare.",
        run,
    )


@needs("train")
def _chosen(facts: Facts, run: RunFacts) -> Found:
    champion = facts.champion
    best = run.params.get("best")
    if not best or champion is None:
        return Found("partly", "There is a training, and no champion.", run)
    loss = number(metric(run, "log_loss_cv"))
    return Found(
        "met",
        f"{kinds.title(best)}, by the lowest log loss in cross-validation, {loss}; it is the "
        f"champion, version {champion.version}.",
        run,
    )
