"""Aliases of versions as people read them; in MLflow they keep their names."""

from __future__ import annotations

from collections.abc import Sequence

from core.platform import model_store
from core.platform.messages import Message

NAMES = {
    model_store.CHAMPION: Message("champion"),
    model_store.CHALLENGER: Message("challenger"),
    model_store.PREVIOUS: Message("previous"),
}


def words(alias: str) -> str:
    """Return an alias in words; one set in MLflow's own pages as it is."""
    return str(NAMES.get(alias, alias))


def listed(aliases: Sequence[str]) -> str:
    """Return aliases for a table cell or a title."""
    return ", ".join(map(words, aliases))
