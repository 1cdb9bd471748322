"""Aliases of versions as people read them; in MLflow they keep their names."""

from __future__ import annotations

from collections.abc import Sequence

from core.platform import model_store


def words(alias: str) -> str:
    """Return an alias in words; one set in MLflow's own pages as it is."""
    return str(model_store.ALIAS_LABELS.get(alias, alias))


def listed(aliases: Sequence[str]) -> str:
    """Return aliases for a table cell or a title.

    The first champion is its own challenger in MLflow; people call it the champion.
    """
    is_champion = model_store.CHAMPION in aliases
    held = [alias for alias in aliases if not (is_champion and alias == model_store.CHALLENGER)]
    return ", ".join(map(words, held))
