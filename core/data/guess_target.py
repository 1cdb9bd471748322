"""Which column of a table is predicted, and which of its values is the positive class.

Computes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.guess_columns import Floats, Profile
from core.data.guess_words import (
    DESCRIPTIONS,
    FORECASTS,
    NEGATIONS,
    NEGATIVES,
    PARTS,
    POSITIVES,
    TARGETS,
    has,
    plain,
    tokens,
    truth,
)
from core.platform.messages import Message, sentences
from core.platform.rows import MISSING_MARKS, label_word

# why a column is likely the target, and a value the positive class
OF_AN_OUTCOME = Message("its name or its values are of an outcome")
AT_THE_END = Message("it is the first or the last column")
RARER = Message("It is the rarest class.")
EVENT = Message("It means that the event happened.")

# up to this many values, each can be a class against the rest
MOST_CLASSES = 12
# of each class at least, in a target that is guessed
FEWEST = 2
# classes are balanced if the smaller one has this share
BALANCED = 0.4
# the smallest share of a class that is guessed against the rest
LEAST_SHARE = 0.05


@dataclass(frozen=True)
class Ranked:
    """A column that may be the target; the higher its score, the likelier."""

    column: str
    score: float
    reason: Message


def classes(column: Profile) -> dict[str, int]:
    """Return the values of a possible target as written, without marks of missing ones."""
    return {value: rows for value, rows in column.values if value.strip() not in MISSING_MARKS}


def rank(columns: Sequence[Profile]) -> list[Ranked]:
    """Return the columns that may be the target, the likeliest first.

    Columns of two values come before those of which one class can be predicted against the rest.

    Examples
    --------
    >>> from core.data.guess_columns import profile
    >>> import pandas as pd
    >>> table = pd.DataFrame({"sex": ["f", "m"] * 30, "age": range(60),
    ...                       "churn": ["no", "yes", "no"] * 20})
    >>> [ranked.column for ranked in rank([profile(table[name]) for name in table])]
    ['churn', 'sex']
    """
    shapes = {column.name: _shape(column) for column in columns}
    texts = [name for name, shape in shapes.items() if shape == "text"]
    ranked = []
    last = len(columns) - 1
    for place, column in enumerate(columns):
        count = len(classes(column))
        if not _can_be(column, count):
            continue
        score, reasons = 0.0, []
        name = tokens(column.name)
        if has(column.name, TARGETS):
            score += 4 if name[-1] in TARGETS or len(name) == 1 else 3
            reasons.append(OF_AN_OUTCOME)
        if place == last:
            # not so the last of many flags
            score += 0.5 if shapes[columns[place - 1].name] == shapes[column.name] else 2
            reasons.append(AT_THE_END)
        elif place == 0 or (place == 1 and columns[0].kind == "identifier"):
            score += 1.5
            reasons.append(AT_THE_END)
        words = [plain(value) for value in classes(column)]
        if count == 2 and truth(list(classes(column))) is None:
            if any(word and word in plain(column.name) for word in words):
                score += 1.5
                reasons.append(OF_AN_OUTCOME)
            if not {*POSITIVES, *NEGATIVES}.isdisjoint(words):
                score += 2
                reasons.append(OF_AN_OUTCOME)
        if shapes[column.name] == "text" and len(texts) == 1:
            score += 1
            reasons.append(Message("it is the only text column with two values"))
        if has(column.name, DESCRIPTIONS) and not has(column.name, TARGETS):
            score -= 2
        if has(column.name, FORECASTS) and not has(column.name, TARGETS):
            score -= 4
        if count > 2:
            score -= 6 if len(reasons) else 9
        score -= 2 * column.missing / column.rows
        reason = _because(column.name, list(classes(column)), reasons)
        ranked.append(Ranked(column.name, score, reason))
    return sorted(ranked, key=lambda candidate: -candidate.score)


def _shape(column: Profile) -> str:
    if column.kind not in ("boolean", "category") or len(classes(column)) != 2:
        return column.kind
    return "flag" if column.numbers is not None else "text"


def _can_be(column: Profile, count: int) -> bool:
    if column.kind not in ("boolean", "category", "integer") or not 2 <= count <= MOST_CLASSES:
        return False
    if column.distinct > len(column.values) or column.rows < 10:
        return False
    rows = sorted(classes(column).values())
    if count > 2 and column.kind == "integer" and not has(column.name, TARGETS):
        return False
    return rows[0] >= FEWEST and not set(map(plain, classes(column))) <= PARTS


def _because(name: str, values: Sequence[str], reasons: Sequence[Message]) -> Message:
    if not reasons:
        shown = [f"'{value[:40]}'" for value in values[:3]]
        return Message("{count:,} values, most often {values}.", count=len(values), values=shown)
    return Message(
        "'{column}' has {count} values; {reasons}.",
        column=name,
        count=len(values),
        reasons=list(dict.fromkeys(reasons)),
    )


def positive_of(column: Profile) -> tuple[str, Message]:
    """Return the value that is the positive class, and why.

    Examples
    --------
    >>> from core.data.guess_columns import profile
    >>> import pandas as pd
    >>> for cells in (["No", "Yes"], ["Remote", "Not remote"], ["good", "bad"], ["Down", "Up"]):
    ...     positive_of(profile(pd.Series(cells * 30, name="x")))[0]
    'Yes'
    'Remote'
    'bad'
    'Up'
    """
    counts = classes(column)
    values = list(counts)
    total = sum(counts.values())
    rarest = min(values, key=lambda value: (counts[value], value))
    if len(values) > 2 and truth(values) is None:
        return _against_the_rest(counts)
    meanings = truth(values)
    if meanings is not None:
        true = [value for value in values if meanings[value]]
        return max(true, key=lambda value: counts[value]), EVENT
    first, second = sorted(values, key=plain)
    for value, other in ((first, second), (second, first)):
        if any(plain(other) == word + plain(value) for word in _negations(plain(other))):
            return value, _no_event(other)
    words = {value: plain(value) for value in values}
    positive = [value for value in values if words[value] in POSITIVES]
    negative = [value for value in values if words[value] in NEGATIVES]
    if len(positive) == 1:
        return positive[0], EVENT
    if len(negative) == 1:
        other = next(value for value in values if value != negative[0])
        return other, _no_event(negative[0])
    for value in values:
        if words[value] and words[value] in plain(column.name):
            return value, EVENT
    if counts[rarest] / total >= BALANCED:
        return second, Message("The classes are balanced; it comes last in the alphabet.")
    return rarest, RARER


def _no_event(other: str) -> Message:
    return Message("'{other}' means that it did not happen.", other=other)


def _negations(other: str) -> list[str]:
    return [word for word in (*NEGATIONS, "non-", "non_", "not_", "no_") if other.startswith(word)]


def _against_the_rest(counts: Mapping[str, int]) -> tuple[str, Message]:
    values, total = list(counts), sum(counts.values())
    asked = [value for value in values if plain(value) in POSITIVES]
    reason = Message(
        "There are {count} values; the model predicts one against the rest.", count=len(values)
    )
    if asked:
        return asked[0], reason
    frequent = [value for value in values if counts[value] >= LEAST_SHARE * total] or values
    chosen = min(frequent, key=lambda value: (counts[value], value))
    return chosen, sentences(reason, RARER)


def labels(column: Profile, positive: str) -> Floats:
    """Return the label of each row: 1 for the positive class, 0 for others, NaN for none."""
    texts = [value for value, _ in column.values]
    meanings = truth(list(classes(column)))
    wanted = {label_word(positive)}
    if meanings is not None:  # other spellings of it too
        same = meanings.get(positive)
        wanted = {label_word(value) for value in meanings if meanings[value] == same}
    # codes are of all values, and `values` are the most frequent of them
    level = np.zeros(int(column.codes.max(initial=0)) + 1)
    level[0] = np.nan
    for text, place in zip(texts, column.value_codes, strict=True):
        if text.strip() in MISSING_MARKS:
            level[place] = np.nan
        elif label_word(text) in wanted:
            level[place] = 1.0
    result: Floats = level[column.codes]
    return result
