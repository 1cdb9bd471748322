"""Artifacts: everything that the project creates, what it is for and what it is made of."""

from __future__ import annotations

from core.dossier import Document, Facts, Missing


def make(facts: Facts) -> Document:
    """Return the document."""
    return Document(
        "artifacts",
        "Artifacts",
        "Everything that the project creates, what it is for and what it is made of.",
        (Missing("Nothing has been gathered yet.", "acquire"),) if not facts.runs else (),
    )
