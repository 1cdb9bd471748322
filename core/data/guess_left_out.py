"""Which columns of a table are excluded as features, and why. Computes only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data import leakage
from core.data.guess_columns import Bools, Profile
from core.data.guess_leaks import Leak
from core.data.guess_words import PERIODS, has
from core.platform.messages import Message

# The share of the current rows up to which a part of time may have a value of the reference: a day
# begins at another hour in another zone.
SHARED = 0.01
# the codes that are suspicions: a person may allow such a column
LEAKS = ("too_good", "holes", "one_class", "afterwards")


@dataclass(frozen=True)
class LeftOut:
    """A column that is not a feature.

    Parameters
    ----------
    code : str
        `empty`, `constant`, `identifier`, `free_text`, `too_good`, `holes`, `one_class`,
        `afterwards` or `chosen`.
    numbers : mapping
        What the reason rests on.
    """

    column: str
    code: str
    reason: Message
    numbers: Mapping[str, Any]

    @property
    def is_leak(self) -> bool:
        """Whether it may leak the target."""
        return self.code in LEAKS


def left_out(
    columns: Sequence[Profile],
    suspected: Mapping[str, Leak],
    *,
    group: str,
    chosen: Collection[str],
    later: Bools | None = None,
) -> dict[str, LeftOut]:
    """Return the excluded columns, in their order.

    Parameters
    ----------
    columns : sequence of Profile
        All but those with another role.
    suspected : mapping
        As `guess_leaks.leaks` returns them.
    group : str
        The column of groups, or an empty text.
    chosen : collection of str
        Columns that a person excludes.
    later : array of bool, optional
        The current rows, where they are those from a day on.
    """
    listed: dict[str, LeftOut] = {}
    for column in columns:
        name = column.name
        if name in chosen:
            listed[name] = LeftOut(name, "chosen", Message("You chose this."), {})
            continue
        fault = _fault(column, group) or _clock(column, later)
        if fault is not None:
            numbers = {"rows": column.rows, "missing": column.missing, "values": column.distinct}
            listed[name] = LeftOut(name, fault[0], fault[1], numbers)
        elif name in suspected:
            leak = suspected[name]
            listed[name] = LeftOut(name, leak.code, leak.reason, leak.numbers)
    return listed


def _clock(column: Profile, later: Bools | None) -> tuple[str, Message] | None:
    """Return the reason for a part of time, such as a year, that only says when a row is."""
    numbers = column.numbers
    if later is None or numbers is None or not has(column.name, PERIODS):
        return None
    before, after = numbers[~later], numbers[later]
    if not len(before) or not len(after) or np.isin(after, before).mean() > SHARED:
        return None
    return (
        "identifier",
        Message(
            "'{column}' has other values in the current rows than in the reference: it only "
            "reflects when a row was recorded.",
            column=column.name,
        ),
    )


def _fault(column: Profile, group: str) -> tuple[str, Message] | None:
    name = column.name
    if column.kind == "empty":
        return "empty", leakage.constant(name)
    if column.kind == "constant":
        return "constant", leakage.constant(name)
    new = leakage.new_values(name, column.distinct, column.known)
    if column.kind == "free_text":
        return "free_text", new
    if column.kind == "odd_date":
        return (
            "free_text",
            Message(
                "It is unclear which part of the dates in '{column}' is the day, as in '{value}'.",
                column=name,
                value=column.values[0][0],
            ),
        )
    if name == group or column.kind in ("identifier", "date", "timestamp"):
        return "identifier", new
    return None
