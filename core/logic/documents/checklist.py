"""The checklist: every requirement of the brief and every point of its grader, looked up live.

Nothing is met because it stands here: each line is computed from the runs and files that are there.
"""

from __future__ import annotations

from core.dossier import Facts, RunFacts
from core.logic import candidates as kinds
from core.logic.documents import (
    answers,
    artifacts,
    charter,
    checklist_of_data,
    checklist_of_operation,
    diagram,
    exit_report,
)
from core.logic.documents.reading import listed, metric, number
from core.logic.documents.requirement import (
    Found,
    Line,
    Requirement,
    absent,
    answered,
    of_values,
    whole,
)
from core.stages import STAGES

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
# what TDSP's template has, and the start of its path here
TDSP = {
    "README with how to set it up": "README.md",
    "pinned requirements": "requirements.txt",
    "documents, with a map of TDSP's names": "docs/README.md",
    "decision records": "docs/decisions/",
    "a snapshot of the documents": "docs/dossier/",
}


def look(facts: Facts) -> tuple[Requirement, ...]:
    """Return every requirement with its state, in the order of the brief.

    Examples
    --------
    >>> from core import project
    >>> found = look(Facts(project.load("kobe")))
    >>> [one.state for one in found if one.number.startswith("6.")].count("met")
    0
    >>> sorted({point for one in found for point in one.graded}) == list(range(1, 24))
    True
    """
    lines = [*_first(facts), *checklist_of_data.lines(facts), *_training(facts)]
    lines += checklist_of_operation.lines(facts)
    return tuple(_required(facts, line) for line in lines)


def _required(facts: Facts, line: Line) -> Requirement:
    found = line.look(facts)
    return Requirement(
        line.number,
        GROUPS[int(line.number.partition(".")[0])],
        line.text,
        found.state,
        found.evidence,
        found.run.run_id if found.run else "",
        found.path,
        line.page,
        "" if found.state == "met" else line.todo,
        line.graded,
    )


def _first(facts: Facts) -> list[Line]:
    """Return the lines about the repository, the approaches, and what is answered in writing."""
    regression = next((one for one in _asked(facts) if _approach(one) == "regression"), "lr")
    tree = next((one for one in _asked(facts) if _approach(one) == "classification"), "dt")
    train_both = (
        f"Train on the page Train with {kinds.title(regression)} and {kinds.title(tree)} among the "
        "candidates."
    )
    return [
        Line(
            "1.1", "A repository in the shape of Microsoft's TDSP.", _repository, "reports",
            "Put what is missing beside the code.", (5,),
        ),
        Line(
            "1.2", "A Project Charter, filled with this project.",
            lambda found: _document(found, "charter"), "reports",
            "Take the steps that its open facts name.",
        ),
        Line(
            "1.3", "A final report, filled with this project.",
            lambda found: _document(found, "exit_report"), "reports",
            "Take the steps that its open facts name.",
        ),
        Line(
            "2.1", "A diagram of all steps from data acquisition through modeling to operation.",
            _diagram, "overview", "See which step the diagram lacks in core/stages.py.", (6,),
        ),
        Line(
            "2.2", "A predictor by regression, trained with PyCaret, as a run in MLflow.",
            lambda found: _trained(found, regression), "train", train_both, (7,),
        ),
        Line(
            "2.3", "Log loss of the regression on the test set, in MLflow.",
            lambda found: _figures(found, regression, ("log_loss_test",)), "train",
            train_both, (8,),
        ),
        Line(
            "2.4", "A predictor by classification, trained with PyCaret, as a run in MLflow.",
            lambda found: _trained(found, tree), "train", train_both, (9,),
        ),
        Line(
            "2.5", "Log loss and F1 of the classifier on the test set, in MLflow.",
            lambda found: _figures(found, tree, ("log_loss_test", "f1_test")), "train",
            train_both, (10,),
        ),
        Line(
            "3.1", "In writing: why development and production pipelines matter.",
            lambda found: answered(found, answers.pipelines), "reports",
            "Take the steps up to Score, so that the answer has its numbers.",
        ),
        Line(
            "4.1",
            "In writing: how Streamlit, MLflow, PyCaret and scikit-learn help in tracking, "
            "training, monitoring, updating and deployment.",
            _tools, "reports", "Take the steps up to Score, so that the answer has its numbers.",
        ),
        Line(
            "5.1", "Every artifact that the project creates, with its purpose and composition.",
            _described, "reports", "Take the steps: what they leave then stands beside this.",
            (11,),
        ),
        Line(
            "5.2", "All artifacts of the diagram are there.", _covered, "reports",
            "Take the step whose file is missing.", (12, 17),
        ),
    ]  # fmt: skip


def _training(facts: Facts) -> list[Line]:
    return [
        Line(
            "7.1", "Training as the run Treinamento, with a run for each candidate.", _training_run,
            "train", "Train on the page Train.", (19,),
        ),
        Line(
            "7.2", "One candidate chosen, and why.", _chosen, "train", "Train on the page Train.",
        ),
        Line(
            "7.3", "In writing: both approaches, and which was chosen.",
            lambda found: answered(found, answers.approaches), "reports",
            "Train with candidates of both approaches.",
        ),
    ]  # fmt: skip


def _asked(facts: Facts) -> tuple[str, ...]:
    return facts.spec.expected.candidates if facts.spec.expected else ()


def _approach(candidate: str) -> str:
    return kinds.KINDS[candidate].approach if candidate in kinds.KINDS else "classification"


def _repository(facts: Facts) -> Found:
    lacking = [
        f"{what} (`{path}`)"
        for what, path in TDSP.items()
        if not any(one == path or one.startswith(path) for one in facts.shipped)
    ]
    if len(lacking) == len(TDSP):
        return Found("missing", "Nothing of it stands beside the code.")
    if lacking:
        what = ", ".join(lacking)
        return Found("partly", f"Not there: {what}.")
    what = ", ".join(f"`{path}`" for path in TDSP.values())
    return Found("met", f"There: {what}.", path="docs/README.md")


def _document(facts: Facts, name: str) -> Found:
    made = {"charter": charter.make, "exit_report": exit_report.make}[name](facts)
    return whole(made.title, made.blocks)


def _diagram(facts: Facts) -> Found:
    drawn = diagram.mermaid()
    lacking = [one.title for one in STAGES if f"{one.step}[" not in drawn]
    if lacking:
        names = ", ".join(lacking)
        return Found("partly", f"The diagram lacks {names}.")
    first, last = STAGES[0].title, STAGES[-1].title
    return Found(
        "met",
        f"{len(STAGES)} steps from {first} to {last}, drawn from the code's own list of steps; "
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
    told = {name: metric(run, name) for name in names}
    if None in told.values():
        return Found("partly", f"The run of {title} lacks a figure.", run)
    shown = ", ".join(f"`{name}` {value:.4f}" for name, value in told.items())
    return Found("met", f"{title}: {shown}.", run)


def _candidate(facts: Facts, candidate: str) -> RunFacts | None:
    return next((one for one in facts.candidates if one.params.get("model") == candidate), None)


def _tools(facts: Facts) -> Found:
    empty = [head for head, cells in answers.HELP.items() if not all(cells)]
    if empty:
        heads = ", ".join(empty)
        return Found("partly", f"Nothing is said of {heads}.")
    found = answered(facts, answers.tools)
    if found.state != "met":
        return found
    return Found("met", f"{len(answers.HELP)} tasks, {len(answers.TOOLS)} tools, with numbers.")


def _described(facts: Facts) -> Found:
    all_of = [one for stage in STAGES for one in stage.leaves]
    silent = [one.name for one in all_of if not (one.purpose and one.made_of)]
    if silent:
        return Found("partly", f"Not described: {listed(silent)}.")
    if not facts.runs:
        return Found(
            "partly", f"{len(all_of)} artifacts are described; no step has left any of them yet."
        )
    return Found("met", f"{len(all_of)} artifacts of {len(STAGES)} steps, each with both.")


def _covered(facts: Facts) -> Found:
    wanted = [
        (stage, one)
        for stage in STAGES
        for one in stage.leaves
        if one.room == "home" and one.path.startswith("data/") and not one.when
    ]
    there = [one for _, one in wanted if artifacts.files_of(facts, one)]
    lacking = [
        f"`{one.path}` ({stage.title})"
        for stage, one in wanted
        if not artifacts.files_of(facts, one)
    ]
    if not there:
        return Found("missing", "No step has left a file yet.")
    if lacking:
        names = ", ".join(lacking)
        return Found("partly", f"Not there yet: {names}.")
    folders = sorted({one.path.split("/")[1] for one in there})
    return Found("met", f"{len(there)} kinds of files in {listed(folders)}.")


def _training_run(facts: Facts) -> Found:
    run = facts.runs.get("train")
    if run is None:
        return absent("Treinamento")
    return of_values(
        run.name == "Treinamento" and len(facts.candidates) > 1,
        f"{len(facts.candidates)} candidates, each in a run nested in it.",
        f"{len(facts.candidates)} candidate in {run.name}: there is nothing to compare.",
        run,
    )


def _chosen(facts: Facts) -> Found:
    run, champion = facts.runs.get("train"), facts.champion
    if run is None:
        return absent("Treinamento")
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
