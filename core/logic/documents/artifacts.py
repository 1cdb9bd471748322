"""Everything that the project creates: what it is for, what it is made of, and what is there."""

from __future__ import annotations

from fnmatch import fnmatch

from core.dossier import (
    Block,
    Document,
    Facts,
    Figure,
    FileFacts,
    Heading,
    Missing,
    Paragraph,
    Table,
)
from core.logic.documents import diagram
from core.logic.documents.reading import link, number
from core.stages import EVERY_RUN, STAGES, Artifact, Stage

ROOMS = {
    "home": "a file below the home",
    "run": "in the run",
    "candidate": "in the run of each candidate",
    "model": "in the logged model",
    "registry": "in the model registry",
}
# of one artifact, the newest of many files
MOST_FILES = 3


def make(facts: Facts) -> Document:
    """Return every artifact by the step that leaves it, with the files that are there.

    Examples
    --------
    >>> from core import project
    >>> found = make(Facts(project.load("kobe")))
    >>> tables = [block for block in found.blocks if isinstance(block, Table)]
    >>> sum(len(table.rows) for table in tables) == sum(len(one.leaves) for one in STAGES) + 1
    True
    """
    blocks: list[Block] = [
        Paragraph(
            "Each step of the life cycle leaves files, tables of its run, or entries of the model "
            "registry. They stand here by the step that leaves them; what differs from run to run "
            "stands in angle brackets."
        ),
        Figure(
            "life_cycle",
            "The stages, and what each leaves outside its run.",
            diagram.chart(),
            diagram.mermaid(),
        ),
        Heading("In every run"),
        _table((EVERY_RUN,), "Beside it each run has its parameters, metrics and tags."),
    ]
    for stage in STAGES:
        blocks += _of_stage(facts, stage)
    return Document(
        "artifacts",
        "Artifacts",
        "Everything that the project creates, what it is for and what it is made of.",
        tuple(blocks),
    )


def files_of(facts: Facts, artifact: Artifact) -> list[FileFacts]:
    """Return the files that are there of an artifact below the home.

    Examples
    --------
    >>> from core import project
    >>> from core.stages import FILTERED
    >>> kept = {FILTERED: FileFacts(FILTERED, 20285, 7, 1000, "")}
    >>> facts = Facts(project.load("kobe"), files=kept)
    >>> [one.rows for one in files_of(facts, Artifact(FILTERED, "", ""))]
    [20285]
    """
    if artifact.room != "home":
        return []
    deep = artifact.pattern.count("/")
    return [
        one
        for path, one in sorted(facts.files.items())
        if path.count("/") == deep and fnmatch(path, artifact.pattern)
    ]


def _of_stage(facts: Facts, stage: Stage) -> list[Block]:
    blocks: list[Block] = [
        Heading(stage.title),
        Paragraph(f"`{stage.run_name}`. {stage.about}"),
        _table(stage.leaves, _read_by(stage)),
    ]
    run = facts.runs.get(stage.step)
    there = [(one, files_of(facts, one)) for one in stage.leaves]
    rows = tuple(
        (
            f"`{file.path}`",
            "–" if file.rows is None else f"({file.rows:,}, {file.columns})",
            f"{file.size:,} bytes",
            f"`{file.sha256[:12]}`" if file.sha256 else "–",
        )
        for _, files in there
        for file in files[-MOST_FILES:]
    )
    if rows:
        caption = f"What is there now; the last run is {link(run)}." if run else "What is there."
        blocks.append(Table(("File", "Rows, columns", "Size", "SHA-256"), rows, caption))
    elif run is not None:
        blocks.append(
            Paragraph(
                f"The last run is {link(run)}, with {number(len(run.metrics), 0)} metrics and "
                f"{number(len(run.params), 0)} parameters."
            )
        )
    else:
        blocks.append(Missing("None of these is there yet: this step was not taken.", stage.step))
    return blocks


def _table(artifacts: tuple[Artifact, ...], caption: str) -> Table:
    return Table(
        ("Artifact", "Where", "Purpose", "Composition"),
        tuple(
            (
                f"`{one.name}`",
                ROOMS[one.room],
                one.purpose,
                f"{one.made_of} {one.when}".rstrip(),
            )
            for one in artifacts
        ),
        caption,
    )


def _read_by(stage: Stage) -> str:
    """Return which later steps read what this one leaves, a sentence."""
    left = {one.path for one in stage.leaves}
    readers = [one.title for one in STAGES if left & set(one.reads)]
    if not readers:
        return "Read by people, on its page and in the documents."
    return f"Read by these steps: {', '.join(readers)}."
