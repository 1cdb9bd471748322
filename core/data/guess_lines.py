"""Lines of the guesses that follow from others: types, and options for a rare class.

Computes only.
"""

from __future__ import annotations

from core.data import guess_project, leakage
from core.data.guess_columns import Profile
from core.data.guess_roles import Guess
from core.platform.messages import Message

# positives are rare below this share
RARE = 0.2
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
    others = ("text", "number", "integer", "boolean", "date")
    able = others if column.numbers is not None else ("text",)
    if choice is not None:
        return Guess(choice, CHOSEN, (usual,) if usual != choice else ())
    alternatives = tuple(other for other in able if other != usual and usual != "label")
    return Guess(usual, _about(column), alternatives)


def _about(column: Profile) -> Message:
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
