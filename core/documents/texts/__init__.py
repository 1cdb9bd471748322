"""The documents of a project, filled from its runs, in the structure of Microsoft's TDSP."""

from __future__ import annotations

from dataclasses import replace

from core.documents.dossier import Document, Facts, Paragraph
from core.documents.texts import (
    artifacts,
    charter,
    data_dictionary,
    data_report,
    exit_report,
    model_report,
    monitoring_report,
    version_card,
)
from core.documents.texts.project_parts import added
from core.platform.messages import _

# in reading order
ALL = (
    charter.build,
    data_report.build,
    data_dictionary.build,
    model_report.build,
    monitoring_report.build,
    exit_report.build,
)


def build(facts: Facts) -> tuple[Document, ...]:
    """Return all documents in the current language, including those of the project's own code.

    The artifacts and the cards of the registered versions come last.

    Examples
    --------
    >>> from core.platform import project
    >>> [document.name for document in build(Facts(project.load("kobe")))][:3]
    ['project_charter', 'data_report', 'data_dictionary']
    """
    written = (*(build_document(facts) for build_document in ALL), *added(facts, "documents"))
    marked = [_marked(document, facts) for document in (*written, artifacts.build(facts))]
    return (*marked, *(version_card.build(facts, version) for version in facts.versions))


def _marked(document: Document, facts: Facts) -> Document:
    """Return a document with a leading note about sample data; cards have their own."""
    made_up = [run.name for run in facts.runs.values() if run.is_sample]
    if not made_up:
        return document
    mark = Paragraph(
        _(
            "**All figures are of the built-in sample, not of real data.** Its runs: {runs}.",
            runs=made_up,
        )
        if len(made_up) == len(facts.runs)
        else _(
            "**Some figures are of the built-in sample, not of real data.** Its runs: {runs}.",
            runs=made_up,
        )
    )
    return replace(document, blocks=(mark, *document.blocks))
