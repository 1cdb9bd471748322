"""The checklist: every requirement of the brief and of its grader, checked live.

Each line's state is computed from existing runs and files.
"""

from __future__ import annotations

from dataclasses import replace

from core.documents.dossier import Document, Facts, RunFacts
from core.documents.texts import artifacts, charter, diagram, exit_report
from core.documents.texts.model_report import name_of
from core.documents.texts.reading import code, value
from core.documents.texts.requirement import (
    Found,
    Line,
    Requirement,
    absent,
    needs,
    run_steps,
    whole,
)
from core.platform.messages import _
from core.platform.steps import STEPS
from core.projects.kobe import checklist_of_data, checklist_of_operation
from core.projects.kobe.answers import Answers, answered, sections
from core.projects.kobe.course import REGRESSION, TREE
from core.projects.kobe.evidence import differs, metrics, missing, present, proved, recorded
from core.training import candidates as kinds

# the grader's points, in the order of the brief
POINTS = range(1, 24)
# what a repository of TDSP's template has here: prefixes of paths
TDSP = ("README.md", "requirements.txt", "docs/README.md", "docs/decisions/", "docs/dossier/")


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
    answers = sections(facts)
    lines = [*_first(answers), *checklist_of_data.lines(facts, answers), *_training(answers)]
    lines += checklist_of_operation.lines(facts, answers)
    return tuple(_required(facts, line) for line in lines)


def _required(facts: Facts, line: Line) -> Requirement:
    finding = line.inspect(facts)
    return Requirement(
        line.number,
        line.text,
        finding.state,
        finding.evidence,
        finding.run.run_id if finding.run else "",
        finding.path,
        line.page,
        "" if finding.state == "met" else finding.todo or line.todo,
        line.graded,
    )


def _first(answers: Answers) -> list[Line]:
    """Return the lines about the repository, the approaches, and the written answers."""
    code_lacks, train = _("Add what is missing."), run_steps("train")
    return [
        Line(
            "1.1",
            _("A repository structured like Microsoft's TDSP."),
            _repository,
            "documents",
            code_lacks,
            (5,),
        ),
        Line(
            "1.2", _("Project Charter"), lambda facts: _document(charter.build(facts)), "documents"
        ),
        Line(
            "1.3", _("Exit Report"), lambda facts: _document(exit_report.build(facts)), "documents"
        ),
        Line(
            "2.1",
            _("A diagram of all steps from data acquisition through modeling to operation."),
            _diagram,
            "documents",
            code_lacks,
            (6,),
        ),
        Line(
            "2.2",
            _("{model}, trained with PyCaret, as a run in MLflow.", model=kinds.title(REGRESSION)),
            lambda facts: _trained(facts, REGRESSION, "rows_fit"),
            "train",
            train,
            (7,),
        ),
        Line(
            "2.3",
            _(
                "{metrics} of {model} on the test set, in MLflow.",
                metrics=_("Log loss"),
                model=kinds.title(REGRESSION),
            ),
            lambda facts: _trained(facts, REGRESSION, "log_loss_test"),
            "train",
            train,
            (8,),
        ),
        Line(
            "2.4",
            _("{model}, trained with PyCaret, as a run in MLflow.", model=kinds.title(TREE)),
            lambda facts: _trained(facts, TREE, "rows_fit"),
            "train",
            train,
            (9,),
        ),
        Line(
            "2.5",
            _(
                "{metrics} of {model} on the test set, in MLflow.",
                metrics=[_("Log loss"), "F1"],
                model=kinds.title(TREE),
            ),
            lambda facts: _trained(facts, TREE, "log_loss_test", "f1_test"),
            "train",
            train,
            (10,),
        ),
        answered("3.1", "pipelines", answers),
        answered("4.1", "tools", answers),
        Line(
            "5.1",
            _("Everything that the project creates: its purpose and its contents."),
            _described,
            "documents",
            run_steps("acquire"),
            (11,),
        ),
        Line(
            "5.2", _("All artifacts of the diagram exist."), _covered, "documents", graded=(12, 17)
        ),
    ]


def _training(answers: Answers) -> list[Line]:
    train = run_steps("train")
    return [
        Line(
            "7.1",
            _("Training as the run Treinamento, with a run for each candidate."),
            _training_run,
            "train",
            train,
            (19,),
        ),
        Line("7.2", _("One candidate chosen, and why."), _chosen, "train", train),
        answered("7.3", "approaches", answers),
    ]


def _repository(facts: Facts) -> Found:
    lacking = [
        code(path)
        for path in TDSP
        if not any(file == path or file.startswith(path) for file in facts.shipped)
    ]
    if not lacking:
        return present(map(code, TDSP), path="docs/README.md")
    found = missing(lacking)
    return found if len(lacking) == len(TDSP) else replace(found, state="partly")


def _document(document: Document) -> Found:
    return whole(document.title, document.blocks)


def _diagram(facts: Facts) -> Found:
    drawn = diagram.mermaid()
    lacking = [stage.title for stage in STEPS if f"{stage.name}[" not in drawn]
    return missing(lacking) if lacking else present(step.title for step in STEPS)


def _trained(facts: Facts, candidate: str, *names: str) -> Found:
    train = facts.runs.get("train")
    if train is None:
        return absent("train")
    run = next((run for run in facts.candidates if run.params.get("model") == candidate), None)
    if run is None:
        return missing([kinds.title(candidate)], train)
    return proved(run, {"model": candidate, **metrics(run, *names)})


def _described(facts: Facts) -> Found:
    all_of = [artifact for stage in STEPS for artifact in stage.outputs]
    if silent := [code(artifact.name) for artifact in all_of if not artifact.about]:
        return missing(silent)
    words = recorded({"artifacts": len(all_of), "runs": len(facts.runs)})
    return Found("met" if facts.runs else "partly", words)


def _covered(facts: Facts) -> Found:
    wanted = [
        (stage.name, artifact)
        for stage in STEPS
        for artifact in stage.outputs
        if artifact.room == "home" and artifact.path.startswith("data/") and not artifact.when
    ]
    lacking = {
        artifact.path: step for step, artifact in wanted if not artifacts.files_of(facts, artifact)
    }
    if not lacking:
        return present(
            sorted({code(artifact.path.rpartition("/")[0]) for _step, artifact in wanted})
        )
    found = replace(missing(map(code, lacking)), todo=run_steps(*dict.fromkeys(lacking.values())))
    return found if len(lacking) == len(wanted) else replace(found, state="partly")


@needs("train")
def _training_run(facts: Facts, run: RunFacts) -> Found:
    if len(facts.candidates) < 2:
        return differs(run, "candidates", len(facts.candidates), 2)
    return present(map(name_of, facts.candidates), run)


@needs("train")
def _chosen(facts: Facts, run: RunFacts) -> Found:
    champion = facts.champion
    best = run.params.get("best")
    if not best or champion is None:
        return missing([code("@champion")], run)
    words = _(
        "Chosen: {name}, with the lowest log loss in cross-validation, {validated} ({run}). The "
        "choice did not use the test set (log loss {tested}).",
        name=kinds.title(best),
        validated=value(run, "log_loss_cv"),
        run=code(f"{run.name} {run.run_id[:8]}"),
        tested=value(run, "log_loss_test"),
    )
    return Found("met", words, run)
