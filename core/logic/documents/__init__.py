"""The documents of a project, filled from its runs, in the structure of Microsoft's TDSP."""

from __future__ import annotations

from core.dossier import Document, Facts
from core.logic.documents import (
    answers,
    artifacts,
    cards,
    charter,
    data_dictionary,
    data_report,
    exit_report,
    model_report,
    monitoring_report,
)

# in the order in which a person reads them
ALL = (
    charter.make,
    data_report.make,
    data_dictionary.make,
    model_report.make,
    monitoring_report.make,
    exit_report.make,
    answers.make,
    artifacts.make,
)


def make(facts: Facts) -> tuple[Document, ...]:
    """Return all documents, the cards of the registered versions last.

    Examples
    --------
    >>> from core import project
    >>> [found.name for found in make(Facts(project.load("kobe")))][:3]
    ['project_charter', 'data_report', 'data_dictionary']
    """
    made = [make_one(facts) for make_one in ALL]
    return (*made, *(cards.make(facts, version) for version in facts.versions))
