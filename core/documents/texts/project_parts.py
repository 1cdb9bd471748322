"""Additions to the documents by a project's own code."""

from __future__ import annotations

from typing import Any, Literal

from core.documents.dossier import Facts
from core.platform.plugins import part

Kind = Literal["documents", "learnings", "links"]


def added(facts: Facts, kind: Kind) -> tuple[Any, ...]:
    """Return the additions of the project's part `documents`, empty without one.

    Parameters
    ----------
    kind : {"documents", "learnings", "links"}
        The function of that part to call: whole documents; sentences for the learnings of the
        Exit Report; rows for its list of documents.

    Examples
    --------
    >>> from core.platform import project
    >>> [document.name for document in added(Facts(project.load("kobe")), "documents")]
    ['answers']
    """
    own = part(facts.spec.name, "documents")
    return () if own is None else tuple(getattr(own, kind)(facts))
