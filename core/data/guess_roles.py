"""Roles of columns besides features: the id, the time, groups, weights, and the current rows.

Computes only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data.guess_columns import Bools, Floats, Profile
from core.data.guess_words import (
    PARTS,
    PERIODS,
    PLACES,
    ROW_NUMBERS,
    TIMES,
    VAGUE_WEIGHTS,
    WEIGHTS,
    has,
    names_a_key,
    plain,
    tokens,
)
from core.platform import own_columns
from core.platform.messages import Message
from core.platform.project_parts import By

# the share of rows that are current, where a cut is guessed
SHARE = 0.3
SEED = 24
# a key of groups has at most this share of different values
IDENTICAL = 0.9
# coordinates of fewer different values are rather categories
FEWEST_PLACES = 8
# with a smaller share of rows without a label, these are missing values rather than rows to predict
LEAST_UNLABELLED = 0.05
MOST_UNLABELLED = 0.6
# fewer labelled rows than this before or after a date cut are too few to compare
FEWEST = 100
# values of a column that says for what each row is
_CURRENT = (
    "prod",
    "production",
    "producao",
    "current",
    "atual",
    "test",
    "testing",
    "teste",
    "holdout",
    "valid",
    "validation",
    "validacao",
)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Guess:
    """One guess: a value, its reason, and alternatives. An empty value is none."""

    value: Any
    reason: Message
    alternatives: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Cut:
    """Which rows are current, as `[rows]` of a project file says it.

    Parameters
    ----------
    by : {"value", "date", "labels", "random", "file", "none"}
        By a column's value, from a day on, rows without a label, a random share, those of a second
        file, or none.
    column, production, development, start, share, seed, file
        What the way needs; the rest is None.

    Examples
    --------
    >>> Cut("random", share=0.3).keys
    {'by': 'random', 'share': 0.3}
    """

    by: By
    column: str | None = None
    production: str | None = None
    development: str | None = None
    start: str | None = None
    share: float | None = None
    seed: int | None = None
    file: str | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of `[rows]`."""
        return {name: value for name, value in vars(self).items() if value is not None}


RANDOM = Cut("random", share=SHARE, seed=SEED)
NO_ROWS = Cut("none")


NONE_LIKE_IT = Message("No column qualifies.")
BY_NAME = Message("Guessed from its name.")


def id_of(columns: Sequence[Profile], unique: Collection[str]) -> Guess:
    """Guess the id: a column without a repeated value, or none, which is always possible."""
    able = [
        column
        for column in columns
        if column.name in unique
        and column.name not in own_columns.LABEL_FIELDS
        and column.kind == "identifier"
        and not column.missing
    ]
    able.sort(key=lambda column: (has(column.name, ROW_NUMBERS), not names_a_key(column.name)))
    others = tuple(column.name for column in able)
    if not able:
        return Guess(
            "",
            Message(
                "No column is unique in every row. The row's number and a digest of its "
                "values serve as the id."
            ),
        )
    best = able[0]
    reason = Message("'{column}' is unique in all {rows:,} rows.", column=best.name, rows=best.rows)
    return Guess(best.name, reason, (*others[1:], ""))


def time_of(columns: Sequence[Profile]) -> Guess:
    """Guess the time of a row: a date without missing values, by name if there are several."""
    dates = [column for column in columns if column.kind in ("date", "timestamp")]
    able = [column for column in dates if not column.missing and column.distinct > 1]
    if not able:
        reason = (
            Message(
                "Date columns with missing values: {columns}.",
                columns=[each.name for each in dates],
            )
            if dates
            else NONE_LIKE_IT
        )
        return Guess("", reason)

    def likelihood(column: Profile) -> tuple[bool, bool, int]:
        # rows are often in the order of their time
        return (column.is_sorted, has(column.name, TIMES), column.distinct)

    able.sort(key=likelihood, reverse=True)
    best = able[0]
    reason = Message("Dates from {first} to {last}.", **best.ends)
    return Guess(best.name, reason, (*(column.name for column in able[1:]), ""))


def group_of(columns: Sequence[Profile]) -> Guess:
    """Guess the column that identifies related rows: named as a key, with repeated values."""
    able = [
        column
        for column in columns
        if column.kind in ("integer", "text", "category")
        and names_a_key(column.name)
        and 10 <= column.distinct <= IDENTICAL * column.known
        and column.missing < column.rows / 2
    ]
    if not able:
        return Guess("", NONE_LIKE_IT)
    able.sort(key=lambda column: -column.distinct)
    best = able[0]
    reason = Message(
        "'{column}' is named like a key; its {values:,} values repeat in {rows:,} rows.",
        column=best.name,
        values=best.distinct,
        rows=best.known,
    )
    return Guess(best.name, reason, (*(column.name for column in able[1:]), ""))


def weights_of(columns: Sequence[Profile]) -> Guess:
    """Guess sampling weights: positive numbers by their name, and uneven if that is vague."""
    able: list[Profile] = []
    vague: list[Profile] = []
    for column in columns:
        if column.kind not in ("number", "integer") or column.missing:
            continue
        numbers = column.numbers
        if numbers is None or float(numbers.min()) < 0:
            continue
        whole, words = "_".join(tokens(column.name)), tokens(column.name)
        if whole in WEIGHTS or not WEIGHTS.isdisjoint(words):
            able.append(column)
        elif whole in VAGUE_WEIGHTS:
            # a body's weight varies by a small factor only
            (able if _is_uneven(numbers) else vague).append(column)
    if not able:
        return Guess("", NONE_LIKE_IT, tuple(column.name for column in vague))
    best = able[0]
    reason = Message(
        "'{column}' is named like a sampling weight ({low:,.6g} to {high:,.6g}).",
        column=best.name,
        low=best.low,
        high=best.high,
    )
    return Guess(best.name, reason, (*(column.name for column in able[1:]), ""))


def _is_uneven(numbers: Floats) -> bool:
    middle, far = np.quantile(numbers, [0.5, 0.99])
    return bool(far > 10 * max(middle, 1e-12))


def place_of(columns: Sequence[Profile]) -> Guess:
    """Guess the two columns of a place by their names; its value is a pair, or empty.

    Names may have a common part, as `start_station_latitude` has.
    """
    numbers = {
        "_".join(tokens(column.name)): column.name
        for column in columns
        if column.kind in ("number", "integer") and column.distinct > FEWEST_PLACES
    }
    pairs = dict.fromkeys(
        (numbers[name], numbers[other])
        for across, along in PLACES
        for name in numbers
        for word in sorted(across)
        for other in (_paired(name, word, each) for each in sorted(along))
        if other in numbers
    )
    if not pairs:
        return Guess((), NONE_LIKE_IT)
    first, *others = pairs
    return Guess(first, BY_NAME, (*others, ()))


def _paired(name: str, word: str, other: str) -> str:
    """Return a name with one word replaced by another; empty if it does not have it.

    Examples
    --------
    >>> _paired("dest_lon", "lon", "lat"), _paired("long_name", "lon", "lat")
    ('dest_lat', '')
    """
    changed, count = re.subn(rf"(^|_){word}($|_)", rf"\g<1>{other}\g<2>", name, count=1)
    return changed if count else ""


def rows_of(columns: Sequence[Profile], label: Floats, time: str) -> Guess:
    """Guess which rows are current: by a column that marks them, a date, or missing labels.

    Otherwise a random share of them, for a model's self-check.

    Parameters
    ----------
    label : array
        1, 0 or NaN for each row; empty without a target.
    time : str
        The column of the time, or an empty text.
    """
    profiles = {column.name: column for column in columns}
    ways: list[tuple[Cut, Message]] = []
    for column in columns:
        cut = _by_value(column)
        if cut is not None:
            ways.append(
                (
                    cut,
                    Message(
                        "'{column}' marks the split; rows with '{value}' are current.",
                        column=column.name,
                        value=cut.production,
                    ),
                )
            )
    if time:
        cut = _by_date(profiles[time], label)
        if cut is not None:
            ways.append((cut, date_reason(profiles[time], cut)))
    unlabelled = float(np.isnan(label).mean()) if len(label) else 0.0
    by_labels = (
        Cut("labels"),
        Message(
            "{share:.0%} of the rows have no label; these are the current rows.", share=unlabelled
        ),
    )
    if LEAST_UNLABELLED <= unlabelled <= MOST_UNLABELLED:
        ways.append(by_labels)
    at_random = (
        RANDOM,
        Message(
            "Nothing marks current rows, so a random {share:.0%} of the rows serve as a "
            "self-check.",
            share=SHARE,
        ),
    )
    ways.append(at_random)
    cuts = [cut for cut, _ in ways]
    if unlabelled and by_labels[0] not in cuts:
        cuts.append(by_labels[0])
    cuts += [cut for cut in map(_last_period, columns) if cut is not None]
    return Guess(cuts[0], ways[0][1], (*cuts[1:], NO_ROWS))


def _by_value(column: Profile) -> Cut | None:
    values = [value for value, _ in column.values]
    words = {plain(value): value for value in values}
    if column.kind not in ("category", "boolean") or not set(words) <= PARTS or len(words) < 2:
        return None
    current = next((words[word] for word in _CURRENT if word in words), None)
    if current is None:
        return None
    rest = [value for value in values if value != current]
    return Cut(
        "value",
        column=column.name,
        production=current,
        development=rest[0] if len(rest) == 1 else None,
    )


def _last_period(column: Profile) -> Cut | None:
    """Return the cut at the last of some years or the like, which a person may prefer."""
    if column.kind != "integer" or not has(column.name, PERIODS) or not 2 <= column.distinct <= 20:
        return None
    return Cut("value", column=column.name, production=f"{column.high:.15g}")


def _by_date(column: Profile, label: Floats) -> Cut | None:
    """Return the cut at the beginning of a month, or of a day, nearest to the last 30% of rows."""
    days = column.numbers
    if days is None or column.kind not in ("date", "timestamp"):
        return None
    labelled = ~np.isnan(label) if len(label) else np.ones(len(days), dtype=bool)
    if labelled.sum() < 2 * FEWEST:
        return None
    known = days[labelled]
    wanted = float(np.quantile(known, 1 - SHARE))
    candidates = [np.datetime64(int(np.floor(wanted)) + step, "D") for step in (0, 1)]
    if known.max() - known.min() > 120:
        month = candidates[0].astype("datetime64[M]")
        candidates = [(month + step).astype("datetime64[D]") for step in (0, 1)]
    starts = [float(candidate.astype("int64")) for candidate in candidates]
    shares = [float((known >= start).mean()) for start in starts]
    best = min(range(len(starts)), key=lambda place: abs(shares[place] - SHARE))
    after = shares[best] * len(known)
    if after < FEWEST or len(known) - after < FEWEST:
        return None
    return Cut("date", column=column.name, start=str(candidates[best]))


def later(cut: Cut, columns: Sequence[Profile]) -> Bools | None:
    """Return which rows a cut by a day makes current; None for any other cut."""
    days = next((column.numbers for column in columns if column.name == cut.column), None)
    if cut.by != "date" or days is None or not _DAY.match(str(cut.start)):
        return None
    start = np.datetime64(str(cut.start)[:10], "D").astype("int64")
    return np.asarray(days >= start, dtype=bool)


def date_reason(column: Profile, cut: Cut) -> Message:
    """Return how many rows are current from a day on."""
    days = column.numbers if column.numbers is not None else np.empty(0)
    start = np.datetime64(str(cut.start), "D")
    return Message(
        "Rows from {start} on ({share:.0%}) are current.",
        start=start.item(),
        share=float((days >= float(start.astype("int64"))).mean()),
    )
