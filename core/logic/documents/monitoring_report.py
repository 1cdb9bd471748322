"""Monitoring Report: whether the model fits what it is asked in operation, how that is known, and what to do."""

from __future__ import annotations

from core.dossier import Document, Facts, Missing


def make(facts: Facts) -> Document:
    """Return the document."""
    return Document(
        "monitoring_report",
        "Monitoring Report",
        "Whether the model fits what it is asked in operation, how that is known, and what to do.",
        (Missing("Nothing has been gathered yet.", "acquire"),) if not facts.runs else (),
    )
