"""Answers to the course's questions: the questions that the course asks, answered with the numbers of this project."""

from __future__ import annotations

from core.dossier import Document, Facts, Missing


def make(facts: Facts) -> Document:
    """Return the document."""
    return Document(
        "answers",
        "Answers to the course's questions",
        "The questions that the course asks, answered with the numbers of this project.",
        (Missing("Nothing has been gathered yet.", "acquire"),) if not facts.runs else (),
    )
