"""Artifacts of the project: what each is for, and existing files."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

from core.documents.dossier import Document, Facts, FileFacts
from core.documents.texts import diagram
from core.documents.texts.writing import written
from core.platform.messages import Message
from core.platform.plugins import has
from core.platform.steps import EVERY_RUN, STEPS, Artifact, Step

ROOMS = {
    "home": Message("File"),
    "run": Message("Run"),
    "candidate": Message("Candidate"),
    "model": Message("Model"),
    "registry": Message("Registry"),
}
# newest files to list per artifact
MOST_FILES = 3


def build(facts: Facts) -> Document:
    """Return every artifact by the step that produces it, with its existing files.

    Examples
    --------
    >>> from core.documents.dossier import Table
    >>> from core.platform import project
    >>> document = build(Facts(project.load("kobe")))
    >>> tables = [block for block in document.blocks if isinstance(block, Table)]
    >>> outputs = [each for step in STEPS for each in step.outputs if each.when != "place"]
    >>> sum(len(table.rows) for table in tables) == len(outputs) + 1
    True
    """
    return written(
        "artifacts",
        facts,
        figures=[diagram.figure()],
        rooms=ROOMS,
        every_run=EVERY_RUN,
        stages=[_stage(facts, step) for step in STEPS],
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


def _stage(facts: Facts, step: Step) -> dict[str, Any]:
    outputs = [
        artifact
        for artifact in step.outputs
        if not artifact.part or has(facts.spec.name, artifact.part)
        # what only a project with a time, or with a place, has
        if artifact.when not in ("time", "place") or getattr(facts.spec, artifact.when)
    ]
    left = {artifact.path for artifact in step.outputs}
    return {
        "step": step,
        "outputs": outputs,
        "readers": [other.title for other in STEPS if left & set(other.reads)],
        "files": [file for artifact in outputs for file in files_of(facts, artifact)[-MOST_FILES:]],
    }
