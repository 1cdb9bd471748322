"""The schema of a user's table: guesses with reasons, and a project file from them.

Computes only. A person changes a guess with `Guesses.with_`; the rest follows from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from core.data import guess_leaks, guess_project, guess_roles, guess_target
from core.data.guess_columns import MOST_CATEGORIES, Floats, Profile, profile
from core.data.guess_left_out import LeftOut, left_out
from core.data.guess_lines import CHOSEN, RARE, of_imbalance, type_fault, type_line
from core.data.guess_roles import Cut, Guess
from core.data.guess_words import VAGUE_TARGETS, tokens, truth
from core.platform import own_columns
from core.platform.errors import InputError
from core.platform.messages import Message, _
from core.platform.rows import label_word

# values of a column that are shown
SHOWN = 12


@dataclass(frozen=True)
class Choices:
    """What a person has chosen. None leaves it to the guess, an empty text chooses none.

    Parameters
    ----------
    target, positive, id, time, group, weights : str or None
        A column; a value of the target.
    rows : Cut or None
        Which rows are current.
    types : mapping of str to str
        Column and its type in the project file.
    left_out, allowed : collection of str
        Columns that are not features, and those that are despite a finding.
    threshold_by : {"fixed", "f1", "cost"} or None
    place : tuple of str or None
        The columns of its coordinates, x and y; empty for none.
    metric : {"log_loss", "average_precision", "roc_auc"} or None
        The metric shown first.
    balanced : bool or None
        Whether the classes weigh the same in training.
    """

    target: str | None = None
    positive: str | None = None
    id: str | None = None
    time: str | None = None
    group: str | None = None
    weights: str | None = None
    rows: Cut | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    left_out: Collection[str] = ()
    allowed: Collection[str] = ()
    threshold_by: str | None = None
    place: tuple[str, ...] | None = None
    metric: str | None = None
    balanced: bool | None = None


@dataclass(frozen=True)
class Guesses:
    """The schema of a table, as far as it is known.

    Parameters
    ----------
    file : str
        The table's name; may be empty.
    rows, sampled : int
        Rows of the table, and those that were read.
    columns : tuple of Profile
        All columns, in their order.
    target, positive, id, time, group, weights, current, threshold_by, metric, balanced : Guess
        The lines that a person confirms. `current` is a `Cut`; `metric` the one shown first;
        `balanced` whether the classes weigh the same in training.
    place : Guess
        The two columns of a place, or an empty tuple.
    types : dict of str to Guess
        The type of each column in the project file.
    left_out : dict of str to LeftOut
        Columns that are no features.
    allowed : tuple of str
        Features despite a finding.
    features : tuple of str
    labelled, positives : int
        Rows with a label among those read, and those of the positive class.
    alone : dict of str to float
        How well each possible feature separates the classes alone, as the area under the ROC curve.
    choices : Choices
    """

    file: str
    rows: int
    sampled: int
    columns: tuple[Profile, ...]
    target: Guess
    positive: Guess
    id: Guess
    time: Guess
    group: Guess
    weights: Guess
    current: Guess
    threshold_by: Guess
    metric: Guess
    place: Guess
    balanced: Guess
    types: dict[str, Guess]
    left_out: dict[str, LeftOut]
    allowed: tuple[str, ...]
    features: tuple[str, ...]
    labelled: int
    positives: int
    alone: dict[str, float] = field(repr=False)
    choices: Choices = field(repr=False)
    _table: _Table = field(repr=False, compare=False)

    def with_(self, **choices: Any) -> Guesses:
        """Return the guesses after a person's choices; fields of `Choices`.

        Another target discards the earlier positive class.

        Raises
        ------
        InputError
            For a column or value that is not there.
        """
        if "target" in choices and choices["target"] != self.target.value:
            choices = {"positive": None, **choices}
        return _of(self._table, replace(self.choices, **choices))

    def by_value(self, column: str, value: str) -> Cut:
        """Return the cut by which rows with a column's value are current.

        Raises
        ------
        InputError
            For a column or a value that is not there.
        """
        profile = self._table.column(column)
        values = [known for known, _rows in profile.values]
        return Cut("value", column=column, production=_value(profile, values, value))

    @property
    def share(self) -> float:
        """Share of positives among labelled rows; NaN without labels."""
        return self.positives / self.labelled if self.labelled else float("nan")

    @property
    def is_rare(self) -> bool:
        """Whether so few labels are positive that other metrics and class weights matter."""
        return self.share < RARE

    @property
    def question(self) -> str:
        """What the model answers, for a person to put better; in the current language."""
        target, value = self.target.value, self.positive.value
        column = self._table.column(target)
        bare = target.strip().rstrip("?").rstrip() or target
        meanings = truth(list(guess_target.classes(column))) or {}
        says_something = set(tokens(target)).isdisjoint(VAGUE_TARGETS)
        if bare.casefold() == value.casefold() or (meanings.get(value) and says_something):
            return f"{bare[:1].upper()}{bare[1:]}?"
        if target.strip().endswith("?"):
            return _("Is the answer to “{question}” {value}?", question=target.strip(), value=value)
        return _("Is {target} {value}?", target=target, value=value)

    def project_file(
        self, name: str, title: str, *, question: str = "", costs: tuple[float, float] | None = None
    ) -> str:
        """Return the project file, in TOML; its words are in the current language.

        Parameters
        ----------
        question : str
            By default that of the guesses.
        costs : (float, float), optional
            Of a false positive and a false negative, where the threshold is chosen by cost.

        Raises
        ------
        InputError
            Without a target of two classes, or without a feature.
        """
        if not self.target.value or not 0 < self.positives < self.labelled:
            raise InputError(self.target.reason)
        if not self.features:
            raise InputError(
                Message("No column is left as a feature. Allow one of those that are left out.")
            )
        return guess_project.text(self, name, title, question or self.question, costs)


@dataclass(frozen=True)
class _Table:
    """The profile of a table, and what was measured on it."""

    file: str
    rows: int
    sampled: int
    columns: tuple[Profile, ...]
    unique: tuple[str, ...]
    # by target and positive class
    measured: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def without(self, taken: Collection[str]) -> list[Profile]:
        """Return the columns that have no other role."""
        return [column for column in self.columns if column.name not in taken]

    def column(self, name: str) -> Profile:
        """Return a column by its name, or refuse it with the nearest ones."""
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        close = difflib.get_close_matches(name, names, n=3) or names[:10]
        raise InputError(
            Message("'{name}' does not exist. Choose from: {names}.", name=name, names=close)
        )


NO_TARGET = Message(
    "A target needs two or a few distinct values. Choose another column, or add one with 1 and 0."
)


def guess(frame: pd.DataFrame, **choices: Any) -> Guesses:
    """Guess the schema of a table.

    Parameters
    ----------
    frame : DataFrame
        Its rows, or some of them as `guess_sample.read_some` returns them. The target may be a
        column that was derived from others.
    **choices
        Fields of `Choices`: what is known already.

    Raises
    ------
    InputError
        For a table without rows, or a column or value that is not there.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"customer_id": range(400), "age": rng.integers(18, 80, 400),
    ...     "city": rng.choice(["Recife", "Natal"], 400), "churn": rng.choice(["no", "yes"], 400)})
    >>> guesses = guess(table)
    >>> guesses.target.value, guesses.positive.value, guesses.id.value, guesses.features
    ('churn', 'yes', 'customer_id', ('age', 'city'))
    >>> guess(table, target="chrun")
    Traceback (most recent call last):
    core.platform.errors.InputError: 'chrun' does not exist. Choose from: churn.
    """
    columns = [name for name in frame.columns if not own_columns.is_own(str(name))]
    if not len(frame) or not columns:
        raise InputError(Message("The data has no rows."))
    unique = frame.attrs.get("unique")
    is_whole = frame.attrs.get("rows", len(frame)) == len(frame)
    marks, unfit = frame.attrs.get("marks", {}), frame.attrs.get("unfit", {})
    # each column would get a copy of what is known of all
    bare = frame.copy(deep=False)
    bare.attrs = {}
    profiles = tuple(
        profile(
            bare[name],
            is_unique=None if unique is None or is_whole else name in unique,
            marks=marks.get(name),
            unfit=unfit.get(name),
        )
        for name in columns
    )
    if unique is None:
        unique = [
            column.name
            for column in profiles
            if column.kind == "identifier" and column.distinct == len(frame)
        ]
    table = _Table(
        str(frame.attrs.get("file", "")),
        int(frame.attrs.get("rows", len(frame))),
        len(frame),
        profiles,
        tuple(unique),
    )
    return _of(table, Choices(**choices))


def _of(table: _Table, choices: Choices) -> Guesses:
    for name in (*choices.left_out, *choices.allowed):
        table.column(name)
    for name, kind in choices.types.items():
        if (fault := type_fault(table.column(name), kind)) is not None:
            raise InputError(fault)
    target, positive, label = _target(table, choices)
    taken = {target.value} if target.value else set()
    named = (choices.id, choices.time, choices.group, choices.weights)
    taken |= {name for name in named if name}
    free = table.without(taken)
    id_ = _id(table, choices.id, guess_roles.id_of(free, table.unique))
    time = _time(table, choices.time, guess_roles.time_of(free))
    # a time that a person chose is not free
    timed = table.without(taken - {time.value})
    taken |= {name for name in (id_.value, time.value) if name}
    weights = _chosen(table, choices.weights, guess_roles.weights_of(table.without(taken)))
    taken |= {weights.value} if weights.value else set()
    group = _chosen(table, choices.group, guess_roles.group_of(table.without(taken)))
    cut = guess_roles.rows_of(timed, label, time.value)
    if choices.rows is not None:
        reason = CHOSEN
        if choices.rows.by == "date" and choices.rows.column:
            reason = guess_roles.date_reason(table.column(choices.rows.column), choices.rows)
        cut = Guess(choices.rows, reason, (cut.value, *cut.alternatives))
    place = guess_roles.place_of(table.without({target.value}))
    if choices.place is not None:
        pairs = (place.value, *place.alternatives)
        place = Guess(choices.place, CHOSEN, tuple(p for p in pairs if p != choices.place))
    # a column that only says which rows are current says nothing of new rows
    parts = {cut.value.column} if cut.value.by == "value" else set()
    features = table.without(taken | parts)
    suspected, alone = _leaks(table, features, label, target.value, positive)
    later = guess_roles.later(cut.value, table.columns)
    out = left_out(features, suspected, group=group.value, chosen=choices.left_out, later=later)
    allowed = tuple(name for name in out if name in choices.allowed)
    positives, labelled = int((label == 1).sum()), int((~np.isnan(label)).sum())
    threshold_by, metric, balanced = (
        guess if choice is None else _other(guess, choice)
        for guess, choice in zip(
            of_imbalance(positives, labelled),
            (choices.threshold_by, choices.metric, choices.balanced),
            strict=True,
        )
    )
    return Guesses(
        file=table.file,
        rows=table.rows,
        sampled=table.sampled,
        columns=table.columns,
        target=target,
        positive=positive,
        id=id_,
        time=time,
        group=group,
        weights=weights,
        current=cut,
        threshold_by=threshold_by,
        metric=metric,
        place=place,
        balanced=balanced,
        types={
            column.name: type_line(column, choices.types.get(column.name), target.value)
            for column in table.columns
        },
        left_out={name: line for name, line in out.items() if name not in allowed},
        allowed=allowed,
        features=tuple(
            column.name for column in features if column.name not in out or column.name in allowed
        ),
        labelled=labelled,
        positives=positives,
        alone=alone,
        choices=choices,
        _table=table,
    )


def _target(table: _Table, choices: Choices) -> tuple[Guess, Guess, Floats]:
    ranked = guess_target.rank(table.columns)
    if choices.target is not None:
        others = tuple(each.column for each in ranked if each.column != choices.target)
        target = Guess(choices.target, CHOSEN, others)
    elif ranked:
        target = Guess(ranked[0].column, ranked[0].reason, tuple(r.column for r in ranked[1:]))
    else:
        nothing = NO_TARGET
        if len(table.columns) == 1:
            nothing = Message(
                "Only one column was read, '{column}'. Choose the separator, or another file: "
                "this may be no table.",
                column=table.columns[0].name,
            )
        return Guess("", nothing), Guess("", nothing), np.empty(0)
    column = table.column(target.value)
    values = guess_target.classes(column)
    if column.distinct > MOST_CATEGORIES or len(values) < 2:
        raise InputError(NO_TARGET)
    usual, reason = guess_target.positive_of(column)
    if choices.positive is not None:
        usual, reason = _value(column, values, choices.positive), CHOSEN
    positive = Guess(usual, reason, tuple(value for value in values if value != usual))
    return target, positive, guess_target.labels(column, usual)


def _value(column: Profile, values: Collection[str], wanted: str) -> str:
    """Return a value of the target as it is written there."""
    same = label_word(wanted)
    for value in values:
        if label_word(value) == same:
            return value
    raise InputError(
        Message(
            "No row has {column} = {wanted}. Its values are: {present}.",
            column=column.name,
            wanted=wanted,
            present=list(values)[:SHOWN],
        )
    )


def _id(table: _Table, choice: str | None, guessed: Guess) -> Guess:
    """Return the id: one that repeats a value is refused here, and not later by Acquire."""
    if choice:
        column = table.column(choice)
        if column.missing or column.distinct < column.rows:
            raise InputError(
                Message(
                    "'{column}' has repeated or missing values, so it cannot be the "
                    "id. Choose another column.",
                    column=choice,
                )
            )
    return _chosen(table, choice, guessed)


def _time(table: _Table, choice: str | None, guessed: Guess) -> Guess:
    """Return the time; a column that has no order in time is refused."""
    if choice and table.column(choice).numbers is None:
        raise InputError(
            Message(
                "'{column}' has neither numbers nor dates, so it cannot be the time. Choose "
                "another column.",
                column=choice,
            )
        )
    return _chosen(table, choice, guessed)


def _chosen(table: _Table, choice: str | None, guessed: Guess) -> Guess:
    if choice is None:
        return guessed
    others = [guessed.value, *guessed.alternatives, ""]
    if choice:
        table.column(choice)
    rest = tuple(dict.fromkeys(other for other in others if other != choice))
    return Guess(choice, CHOSEN, rest)


def _leaks(
    table: _Table, features: Sequence[Profile], label: Floats, target: str, positive: Guess
) -> tuple[dict[str, guess_leaks.Leak], dict[str, float]]:
    kinds = ("empty", "constant", "identifier", "free_text", "odd_date", "date", "timestamp")
    able = [column for column in features if column.kind not in kinds]
    key = (target, positive.value, *(column.name for column in able))
    if key not in table.measured:
        table.measured[key] = guess_leaks.leaks(able, label) if len(label) else ({}, {})
    suspected, alone = table.measured[key]
    # a label is called as the table calls it; several other values have no name
    names = {1: positive.value}
    if len(positive.alternatives) == 1:
        names[0] = positive.alternatives[0]
    return {name: leak.with_labels(names) for name, leak in suspected.items()}, dict(alone)


def _other(guess: Guess, choice: Any) -> Guess:
    """Return a guess of several codes after a person's choice."""
    codes = (guess.value, *guess.alternatives)
    return Guess(choice, CHOSEN, tuple(code for code in codes if code != choice))
