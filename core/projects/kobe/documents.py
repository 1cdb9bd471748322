"""The course's additions to the documents, see `core.documents.texts.project_parts`."""

from __future__ import annotations

from core.documents.dossier import Document, Facts
from core.platform.messages import _
from core.projects.kobe import answers
from core.projects.kobe.course import BASELINE
from core.training import candidates as kinds


def documents(facts: Facts) -> list[Document]:
    """Return the answers to the course's questions."""
    return [answers.build(facts)]


def learnings(facts: Facts) -> list[str]:
    """Return how the first version's verdict has held up."""
    return [
        _(
            "The first version of this work, with {candidate}, reached the same verdict; the "
            "document Answers explains why its log loss was not a log loss.",
            candidate=kinds.title(BASELINE.candidate),
        )
    ]


def links(facts: Facts) -> list[tuple[str, str]]:
    """Return the document of answers with its description."""
    return [(_("Answers to the course's questions"), _("With the numbers of this project."))]
