"""Exit Report: what the project set out to do, what it found, what was learned, and what comes next."""

from __future__ import annotations

from core.dossier import Document, Facts, Missing


def make(facts: Facts) -> Document:
    """Return the document."""
    return Document(
        "exit_report",
        "Exit Report",
        "What the project set out to do, what it found, what was learned, and what comes next.",
        (Missing("Nothing has been gathered yet.", "acquire"),) if not facts.runs else (),
    )
