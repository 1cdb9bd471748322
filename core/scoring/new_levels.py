"""Values of text columns that the training rows did not have: counted, as they are no fault."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

# column -> rows with a new value, and the first such value
Counts = dict[str, tuple[int, str]]


def known(levels: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Return the values that a training kept, by column; see `training_sets.levels`.

    Examples
    --------
    >>> known(pd.DataFrame({"column": ["t", "t"], "level": ["a", "b"]})) == {"t": {"a", "b"}}
    True
    """
    return {str(name): frozenset(part) for name, part in levels.groupby("column")["level"]}


def count(rows: pd.DataFrame, known_levels: Mapping[str, frozenset[str]]) -> tuple[int, Counts]:
    """Return how many rows have a new value, and how many by column.

    Examples
    --------
    >>> count(pd.DataFrame({"t": ["a", "c", None, "c"]}), {"t": frozenset("ab")})
    (2, {'t': (2, 'c')})
    """
    any_new = pd.Series(False, index=rows.index)
    counts: Counts = {}
    for name, levels in known_levels.items():
        new = rows[name].notna() & ~rows[name].isin(levels)
        if new.any():
            counts[name] = (int(new.sum()), str(rows.loc[new, name].iloc[0])[:80])
            any_new |= new
    return int(any_new.sum()), counts


def added(first: Mapping[str, tuple[int, str]], second: Mapping[str, tuple[int, str]]) -> Counts:
    """Return the counts of two parts together.

    Examples
    --------
    >>> added({"t": (2, "c")}, {"t": (1, "d"), "u": (1, "x")})
    {'t': (3, 'c'), 'u': (1, 'x')}
    """
    names = dict.fromkeys([*first, *second])
    return {
        name: (
            first.get(name, (0, ""))[0] + second.get(name, (0, ""))[0],
            (first.get(name) or second[name])[1],
        )
        for name in names
    }


def as_table(counts: Mapping[str, tuple[int, str]]) -> pd.DataFrame:
    """Return counts as a table: column, rows, example; the most rows first."""
    lines = sorted(((name, *of) for name, of in counts.items()), key=lambda line: -line[1])
    return pd.DataFrame(lines, columns=["column", "rows", "example"])
