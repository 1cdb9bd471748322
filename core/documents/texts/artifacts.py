"""Artifacts of the project: purpose, contents, and existing files."""

from __future__ import annotations

from fnmatch import fnmatch

from core.documents.dossier import (
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
from core.documents.texts import diagram
from core.documents.texts.reading import link, number
from core.platform.plugins import has
from core.platform.steps import EVERY_RUN, STEPS, Artifact, Step

ROOMS = {
    "home": "a file below the home",
    "run": "in the run",
    "candidate": "in the run of each candidate",
    "model": "in the logged model",
    "registry": "in the model registry",
}
# newest files to list per artifact
MOST_FILES = 3


def build(facts: Facts) -> Document:
    """Return every artifact by the step that produces it, with its existing files.

    Examples
    --------
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> tables = [block for block in document.blocks if isinstance(block, Table)]
    >>> sum(len(table.rows) for table in tables) == sum(len(step.outputs) for step in STEPS) + 1
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
    for stage in STEPS:
        blocks += _of_stage(facts, stage)
    return Document(
        "artifacts",
        "Artifacts",
        "Everything that the project creates, what it is for and what it is made of.",
        tuple(blocks),
    )


def files_of(facts: Facts, artifact: Artifact) -> list[FileFacts]:
    """Return the existing files of an artifact below the home.

    Examples
    --------
    >>> from core.platform import project
    >>> from core.platform.steps import FILTERED
    >>> kept = {FILTERED: FileFacts(FILTERED, 20285, 7, 1000, "")}
    >>> facts = Facts(project.load("kobe"), files=kept)
    >>> [file.rows for file in files_of(facts, Artifact(FILTERED, "", ""))]
    [20285]
    """
    if artifact.room != "home":
        return []
    deep = artifact.pattern.count("/")
    return [
        file
        for path, file in sorted(facts.files.items())
        if path.count("/") == deep and fnmatch(path, artifact.pattern)
    ]


def _of_stage(facts: Facts, stage: Step) -> list[Block]:
    outputs = tuple(
        artifact
        for artifact in stage.outputs
        if not artifact.part or has(facts.spec.name, artifact.part)
    )
    blocks: list[Block] = [
        Heading(stage.title),
        Paragraph(f"`{stage.run_name}`. {stage.about}"),
        _table(outputs, _read_by(stage)),
    ]
    run = facts.runs.get(stage.name)
    present = [(artifact, files_of(facts, artifact)) for artifact in outputs]
    rows = tuple(
        (
            f"`{file.path}`",
            "–" if file.rows is None else f"({file.rows:,}, {file.columns})",
            f"{file.size:,} bytes",
            f"`{file.sha256[:12]}`" if file.sha256 else "–",
        )
        for _, files in present
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
        blocks.append(Missing("None of these is there yet: this step was not taken.", stage.name))
    return blocks


def _table(artifacts: tuple[Artifact, ...], caption: str) -> Table:
    return Table(
        ("Artifact", "Where", "Purpose", "Composition"),
        tuple(
            (
                f"`{artifact.name}`",
                ROOMS[artifact.room],
                artifact.purpose,
                f"{artifact.contents} {artifact.when}".rstrip(),
            )
            for artifact in artifacts
        ),
        caption,
    )


def _read_by(stage: Step) -> str:
    """Return which later steps use this one's artifacts, a sentence."""
    left = {artifact.path for artifact in stage.outputs}
    readers = [step.title for step in STEPS if left & set(step.reads)]
    if not readers:
        return "Read by people, on its page and in the documents."
    return f"Read by these steps: {', '.join(readers)}."
