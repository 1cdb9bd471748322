"""Which column of a file holds which column of the project, told by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.project import Column


def guessed(wanted: Mapping[str, Column], there: Sequence[str]) -> dict[str, str | None]:
    """Return the column of a file that each wanted column is taken from, None where none is alike.

    A column of the very name comes first, then an alias, then one that differs only in case,
    spaces and signs. No column of the file is taken twice.

    Parameters
    ----------
    wanted : mapping of str to Column
        Columns of the project.
    there : sequence of str
        Columns of the file.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", aliases=("lng",)),
    ...           "shot_distance": Column(type="integer", about="feet"),
    ...           "period": Column(type="integer", about="quarter")}
    >>> guessed(wanted, ["LNG", "Shot Distance", "quarter"])
    {'lon': 'LNG', 'shot_distance': 'Shot Distance', 'period': None}
    """
    found: dict[str, str | None] = dict.fromkeys(wanted)
    free = list(there)

    def alike(name: str, column: Column, one: str) -> tuple[bool, bool, bool]:
        names = [name, *column.aliases]
        return one == name, one in names, _bare(one) in [_bare(known) for known in names]

    for kind in range(3):
        for name, column in wanted.items():
            if found[name] is None:
                taken = next((one for one in free if alike(name, column, one)[kind]), None)
                if taken is not None:
                    found[name] = taken
                    free.remove(taken)
    return found


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
