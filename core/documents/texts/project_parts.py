"""Additions to the documents by a project's own code."""

from __future__ import annotations

from typing import Any, Literal

from core.documents.dossier import Facts
from core.platform.plugins import part

Kind = Literal["documents", "goals", "learnings", "links"]


def added(facts: Facts, kind: Kind) -> tuple[Any, ...]:
    """Return the additions of the project's part `documents`, empty without one.

    Parameters
    ----------
    kind : {"documents", "goals", "learnings", "links"}
        The function of that part to call: whole documents; sentences for the charter's metrics
        and for the learnings of the exit report; rows for its links.

    Examples
    --------
    >>> from core.platform import project
    >>> [document.name for document in added(Facts(project.load("kobe")), "documents")]
    ['answers']
    """
    own = part(facts.spec.name, "documents")
    return () if own is None else tuple(getattr(own, kind)(facts))
