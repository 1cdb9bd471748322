"""The documents of a project, filled from its runs, in the structure of Microsoft's TDSP."""

from __future__ import annotations

from core.documents.dossier import Document, Facts
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
    return (
        *(build_document(facts) for build_document in ALL),
        *added(facts, "documents"),
        artifacts.build(facts),
        *(version_card.build(facts, version) for version in facts.versions),
    )
