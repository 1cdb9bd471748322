"""Artifacts of the project: what each is for, and existing files."""

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
from core.documents.texts.reading import link
from core.platform.messages import Message, _, number, sentences
from core.platform.plugins import has
from core.platform.steps import EVERY_RUN, STEPS, Artifact, Step

ROOMS = {
    "home": Message("a file in the app's folder"),
    "run": Message("in the run"),
    "candidate": Message("in the run of each candidate"),
    "model": Message("in the logged model"),
    "registry": Message("in the model registry"),
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
        Paragraph(_("What each step writes; what differs from run to run is in angle brackets.")),
        Figure(
            "life_cycle",
            _("The steps, and what each writes outside its run."),
            diagram.chart(),
            diagram.mermaid(),
        ),
        Heading(_("In every run")),
        _table((EVERY_RUN,), _("Each run also has its parameters, metrics and tags.")),
    ]
    for stage in STEPS:
        blocks += _of_stage(facts, stage)
    return Document(
        "artifacts",
        _("Artifacts"),
        _("Everything that the project creates: its purpose and its contents."),
        tuple(blocks),
    )


def files_of(facts: Facts, artifact: Artifact) -> list[FileFacts]:
    """Return the existing files of an artifact below the home.

    Examples
    --------
    >>> from core.platform import project
    >>> from core.platform.messages import NOTHING
    >>> from core.platform.steps import FILTERED
    >>> kept = {FILTERED: FileFacts(FILTERED, 20285, 7, 1000, "")}
    >>> facts = Facts(project.load("kobe"), files=kept)
    >>> [file.rows for file in files_of(facts, Artifact(FILTERED, NOTHING))]
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
        Heading(str(stage.title)),
        Paragraph(f"`{stage.run_name}`. {stage.about}"),
        _table(outputs, _read_by(stage)),
    ]
    run = facts.runs.get(stage.name)
    present = [(artifact, files_of(facts, artifact)) for artifact in outputs]
    rows = tuple(
        (
            f"`{file.path}`",
            "–" if file.rows is None else f"({number(file.rows)}, {file.columns})",
            _("{size:,} bytes", size=file.size),
            f"`{file.sha256[:12]}`" if file.sha256 else "–",
        )
        for _unused, files in present
        for file in files[-MOST_FILES:]
    )
    if rows:
        caption = (
            _("Files that exist now; the last run is {run}.", run=link(run))
            if run
            else _("Files that exist now.")
        )
        blocks.append(Table((_("File"), _("Rows, columns"), _("Size"), "SHA-256"), rows, caption))
    elif run is not None:
        blocks.append(
            Paragraph(
                _(
                    "The last run is {run}. It has {metrics:,} metrics and {params:,} parameters.",
                    run=link(run),
                    metrics=len(run.metrics),
                    params=len(run.params),
                )
            )
        )
    else:
        blocks.append(Missing(_("None of these exists yet: this step has not run."), stage.name))
    return blocks


def _table(artifacts: tuple[Artifact, ...], caption: str) -> Table:
    return Table(
        (_("Artifact"), _("Where"), _("Purpose and composition")),
        tuple(
            (
                f"`{artifact.name}`",
                str(ROOMS[artifact.room]),
                str(
                    sentences(artifact.about, Message("Not in every run.") if artifact.when else "")
                ),
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
        return _("Shown on its page and in the documents.")
    return _("Read by these steps: {readers}.", readers=readers)
