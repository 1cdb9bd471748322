"""Lines of the guesses that follow from others: types, and options for a rare class.

Computes only.
"""

from __future__ import annotations

import math

from core.data import guess_project, leakage
from core.data.guess_columns import Profile
from core.data.guess_roles import Guess
from core.platform.messages import NOTHING, Message, sentences
from core.platform.project_parts import TYPE_LABELS

# positives are rare below this share
RARE = 0.2
# types of a column that is no target
TYPES = tuple(kind for kind in TYPE_LABELS if kind != "label")
# integers that may be years, which have no separator
YEARS = range(1000, 3000)
# reason of a guess that a person made
CHOSEN = Message("You chose this.")
# how dates are written, unless it is year-month-day
DATE_FORMS: dict[str, Message] = {
    "day-month-year": Message("day/month/year"),
    "month-day-year": Message("month/day/year"),
}


def of_imbalance(positives: int, labelled: int) -> tuple[Guess, Guess, Guess]:
    """Return how the threshold is chosen, the metric shown first, and equal class weights."""
    share = positives / labelled if labelled else 0.5
    common = Message("{share:.1%} of the labels are positive.", share=share)
    if share >= RARE:
        return (
            Guess("fixed", common, ("f1", "cost")),
            Guess(
                "log_loss",
                Message("It measures the predicted probabilities themselves."),
                ("average_precision", "roc_auc"),
            ),
            Guess(False, common, (True,)),
        )
    return (
        Guess("f1", common, ("cost", "fixed")),
        Guess(
            "average_precision",
            Message(
                "Positives are rare: average precision measures how well they rank at the top."
            ),
            ("log_loss", "roc_auc"),
        ),
        Guess(
            False,
            Message(
                "Choosing the threshold usually suffices, and keeps the probabilities calibrated."
            ),
            (True,),
        ),
    )


def type_line(column: Profile, choice: str | None, target: str) -> Guess:
    """Return the type of a column in the project file."""
    usual = "label" if column.name == target else guess_project.type_of(column)
    able = [kind for kind in TYPES if kind == usual or type_fault(column, kind) is None]
    reason = _about(column) if choice is None else CHOSEN
    value = choice or usual
    others = () if value == "label" else tuple(kind for kind in able if kind != value)
    return Guess(value, reason, others)


def type_fault(column: Profile, kind: str) -> Message | None:
    """Return why a column's values cannot be of a type of the project file; None if they can."""
    unfit = column.unfit.get(kind)
    if unfit is None or not unfit.rows:
        return None
    return Message(
        "{count:,} of {known:,} values of '{column}' cannot be read as type {type}: {values}.",
        count=unfit.rows,
        known=column.known,
        column=column.name,
        type=TYPE_LABELS[kind],
        values=[f"'{value[:40]}'" for value in unfit.values],
    )


def _about_marks(column: Profile) -> Message:
    """Return which texts are read as missing beside values of another type, if any."""
    if not column.marks:
        return NOTHING
    # 100% would be wrong
    share = math.floor(100 * column.known / (column.known + sum(column.marks.values()))) / 100
    kind = "date" if isinstance(column.low, str) else "number"
    if column.kind == "boolean" and column.numbers is None:
        kind = "boolean"
    values = [f"'{mark}'" for mark in sorted(column.marks, key=lambda mark: -column.marks[mark])]
    return Message(
        "{share:.0%} of the values are of type {kind}; read as missing: {values}.",
        share=share,
        kind=TYPE_LABELS[kind],
        values=values,
    )


def _about(column: Profile) -> Message:
    """Return what a column's values are, and what is read as missing or keeps them text."""
    hint = NOTHING
    if column.unit and column.numbers is None:
        hint = Message("These are numbers with the unit '{unit}', read as text.", unit=column.unit)
    return sentences(_values(column), _about_marks(column), hint)


def _values(column: Profile) -> Message:
    """Return what a column's values are, in a sentence."""
    if column.kind == "empty":
        return leakage.constant(column.name)
    if column.kind in ("date", "timestamp"):
        ends = column.ends
        if column.date_form in DATE_FORMS:
            form = DATE_FORMS[column.date_form]
            return Message("Dates from {first} to {last}, written {form}.", **ends, form=form)
        return Message("Dates from {first} to {last}.", **ends)
    if column.numbers is not None and column.kind != "boolean":
        ends = {"low": column.low, "high": column.high}
        if column.kind == "integer" and all(end in YEARS for end in ends.values()):
            return Message("Numbers from {low:.0f} to {high:.0f}.", **ends)
        return Message("Numbers from {low:,.6g} to {high:,.6g}.", **ends)
    values = [f"'{value[:40]}'" for value, _ in column.values[:3]]
    return Message("{count:,} values, most often {values}.", count=column.distinct, values=values)
