"""The course's additions to the documents, see `core.documents.texts.project_parts`."""

from __future__ import annotations

from core.documents.dossier import Block, Document, Facts, Paragraph
from core.documents.texts.reading import percent
from core.projects.kobe import answers
from core.projects.kobe.course import BASELINE, EXPECTED
from core.training import candidates as kinds


def documents(facts: Facts) -> list[Document]:
    """Return the answers to the course's questions."""
    return [answers.build(facts)]


def goals(facts: Facts) -> list[Block]:
    """Return the course's expected results of the preparation."""
    return [
        Paragraph(
            f"The course asks for {EXPECTED.rows:,} prepared rows of {EXPECTED.columns} columns "
            f"and a test share of {percent(EXPECTED.test_share, 0)}."
        )
    ]


def learnings(facts: Facts) -> list[str]:
    """Return what became of the first version's verdict."""
    return [
        f"The first version of this work, with {kinds.title(BASELINE.candidate)}, came to the same "
        "verdict; the document Answers says why its log loss was not one."
    ]


def links(facts: Facts) -> list[tuple[str, str]]:
    """Return the document of answers with its description."""
    return [("Answers", "the questions of the course")]
