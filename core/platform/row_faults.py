"""Faults of rows as messages; the row contract itself imports nothing of core."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.platform.messages import Message, sentences
from core.platform.rows import Fault, faults
from core.platform.rows.faults import Phrase


def message(fault: Fault) -> Message:
    """Return a fault in a sentence.

    Examples
    --------
    >>> str(message(Fault("absent_columns", params={"absent": ["lat"], "wanted": ["lat", "lon"]})))
    'Missing columns: lat. The model expects lat, lon.'
    """
    return _message(faults.words(fault))


def reason(fault: Fault) -> Message:
    """Return the violated requirement, without the column.

    Examples
    --------
    >>> str(reason(Fault("range", "lat", params={"min": 32.0, "max": None})))
    'must be at least 32'
    """
    return _message(faults.reason(fault))


def all_of(broken: Iterable[Fault]) -> Message:
    """Return a sentence for each fault."""
    return sentences(*map(message, broken))


def _message(phrase: Phrase) -> Message:
    params: dict[str, Any] = {
        name: _message(value) if isinstance(value, Phrase) else value
        for name, value in phrase.params.items()
    }
    return Message(phrase.one, plural=phrase.many, **params)
