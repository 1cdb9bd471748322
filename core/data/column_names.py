"""Matching a file's columns to the project's columns by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.platform.project import Column


def guessed(wanted: Mapping[str, Column], headings: Sequence[str]) -> dict[str, str | None]:
    """Return the file's column for each expected column, None if no name is similar.

    An exact match of the name comes first, then an alias, then a name that differs only in case,
    spaces and punctuation. No column of the file is used twice.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", aliases=("lng",)),
    ...           "shot_distance": Column(type="integer", about="feet"),
    ...           "period": Column(type="integer", about="quarter")}
    >>> guessed(wanted, ["LNG", "Shot Distance", "quarter"])
    {'lon': 'LNG', 'shot_distance': 'Shot Distance', 'period': None}
    """
    guesses: dict[str, str | None] = dict.fromkeys(wanted)
    free = list(headings)

    def alike(name: str, column: Column, heading: str) -> tuple[bool, bool, bool]:
        names = [name, *column.aliases]
        return (
            heading == name,
            heading in names,
            _bare(heading) in [_bare(known) for known in names],
        )

    for kind in range(3):
        for name, column in wanted.items():
            if guesses[name] is None:
                taken = next(
                    (heading for heading in free if alike(name, column, heading)[kind]), None
                )
                if taken is not None:
                    guesses[name] = taken
                    free.remove(taken)
    return guesses


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
