"""Texts among the numbers or dates of a column: marks of missing values, and units. Computes only.

Marks are those beside `rows.MISSING_MARKS`, which every reader knows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from core.data.guess_words import MARKS, plain
from core.platform.rows import mark_word

# a column of numbers has so large a share of them, or this one where all others are known marks
NUMBERS, NUMBERS_BESIDE_MARKS = 0.9, 0.5
# so many different texts, each more than once, may stand for missing values
MOST = 3
# numbers with a unit: a share of the values
UNITS = 0.95

_UNIT = re.compile(r"[+-]?[0-9][0-9.,]*\s?([^\W\d_][^\d\s]{0,7}|[%°][^\d\s]{0,2})")
_CURRENCY = re.compile(r"([A-Z]{0,2}[$€£¥])\s?[+-]?[0-9][0-9.,]*")


def marks_of(others: Mapping[str, int], known: int) -> dict[str, int]:
    """Return the texts that stand for missing values, with their rows; none if some may say more.

    Parameters
    ----------
    others : mapping of str to int
        The texts of a column that are no numbers (or dates), with their rows.
    known : int
        Rows with a number (or a date).

    Examples
    --------
    >>> marks_of({"n/d": 200, "N/D": 1}, 300), marks_of({"sold out": 2}, 98)
    ({'n/d': 200, 'N/D': 1}, {'sold out': 2})
    >>> marks_of({"sold out": 2}, 9), marks_of({"sold out": 1}, 99), marks_of({"10+": 2}, 98)
    ({}, {}, {})
    """
    share = known / max(known + sum(others.values()), 1)
    if share < NUMBERS_BESIDE_MARKS:
        return {}
    rows: Counter[str] = Counter()
    for text, count in others.items():
        if plain(text) not in MARKS:
            rows[mark_word(text)] += count
    is_clear = len(rows) <= MOST and all(
        count > 1 and not any(map(str.isdigit, text)) for text, count in rows.items()
    )
    return dict(others) if not rows or (is_clear and share >= NUMBERS) else {}


def unit_of(values: Sequence[tuple[str, int]]) -> str:
    """Return the unit that nearly all values, with their rows, have beside a number; or nothing.

    Examples
    --------
    >>> unit_of([("27,9 m²", 5), ("30 m²", 2)]), unit_of([("R$ 1.200,50", 2), ("R$ 8", 1)])
    ('m²', 'R$')
    >>> unit_of([("27 m", 5), ("30 cm", 4)]), unit_of([("A12", 5)]), unit_of([])
    ('', '', '')
    """
    units: Counter[str] = Counter()
    for text, count in values:
        match = _UNIT.fullmatch(text.strip()) or _CURRENCY.fullmatch(text.strip())
        units[match[1] if match else ""] += count
    if not units:
        return ""
    unit, count = units.most_common(1)[0]
    return unit if count >= UNITS * units.total() else ""
