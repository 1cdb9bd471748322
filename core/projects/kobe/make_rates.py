"""Whether a generated shot goes in: make rates by kind, zone, distance, time and opponent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.projects.kobe.zones import Floats, Ints

KINDS = ("two", "three")


def last_values(table: Mapping[str, Any]) -> Ints:
    """Return the last value of each bin of a table."""
    return np.array([int(end) for end in table])


def factors(tables: Mapping[str, Any], shot: Mapping[str, Ints]) -> list[tuple[Ints, Floats]]:
    """Return, for every factor of the make rate, each shot's level and the rate of each level."""
    three = shot["three"]
    seasons, last = list(tables["seasons"]), tables["origin"]["last_season"]
    factors: list[tuple[Ints, list[float | None]]] = []

    def by_kind(level: Ints, rates: Sequence[Sequence[float | None]]) -> None:
        factors.append((level + len(rates[0]) * three, [*rates[0], *rates[1]]))

    def second(rows: Sequence[Sequence[Any]]) -> list[float | None]:
        return [row[1] for row in rows]

    by_kind(
        shot["season"],
        [second([row[kind] for row in tables["seasons"].values()]) for kind in KINDS],
    )
    factors.append((shot["zone"], [row[4] for row in tables["zones"]]))
    # A rare action uses the rate of its group.
    rows = tables["actions"]
    rates = [tables["combined"][row[1]] if row[4] is None else row[4] for row in rows]
    by_kind(shot["action"], [rates, [row[6] for row in rows]])
    by_kind(shot["period"] - 1, [second(tables["period"][kind]) for kind in KINDS])
    by_kind(shot["minutes"], [second(tables["minutes"][kind]) for kind in KINDS])
    ends = last_values(tables["seconds_left"]["two"])
    late = [second(list(tables["seconds_left"][kind].values())) for kind in KINDS]
    by_kind(np.searchsorted(ends, shot["left"]), late)
    era = np.where(three == 1, 2, shot["season"] > seasons.index(last))
    for place, name in enumerate(("two_before", "two_after", "three")):
        part = tables["distance"][name]
        # The last level, without a rate, is for shots of another era.
        level = np.where(
            era == place, np.searchsorted(last_values(part), shot["distance"]), len(part)
        )
        factors.append((level, [*second(list(part.values())), None]))
    factors.append((shot["home"], second([tables["home"][key] for key in ("0", "1")])))
    factors.append((shot["rival"], second([row for _, row in sorted(tables["opponent"].items())])))
    return [(level, np.array(rates, np.float64)) for level, rates in factors]


def chances(factors: Sequence[tuple[Ints, Floats]]) -> Floats:
    """Return the probability that each shot goes in.

    Log odds are a sum of one term per level of each factor, adjusted in turn until the mean
    probability at each level equals its rate. A level without a rate is not adjusted.

    Examples
    --------
    >>> level = np.array([0, 0, 1])
    >>> chances([(level, np.array([0.25, 0.5]))]).round(2)
    array([0.25, 0.25, 0.5 ])
    """
    score = np.zeros(len(factors[0][0]))
    for _ in range(10):
        for level, rates in factors:
            goal = np.clip(rates, 0.005, 0.99)
            count = np.bincount(level, minlength=len(goal))
            mean = np.bincount(level, _chance(score), len(goal)) / np.maximum(count, 1)
            mean = np.clip(mean, 0.005, 0.995)
            shift = np.log(goal / (1 - goal)) - np.log(mean / (1 - mean))
            score += np.nan_to_num(np.clip(shift, -1.5, 1.5))[level]
    return _chance(score)


def _chance(score: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-score))
    return chance
