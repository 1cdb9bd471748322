"""What a person has chosen about a new project's table; it outlives a visit to another page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.data.guess import Guesses
from core.platform.errors import InputError
from core.platform.messages import Message
from pages.shared import elements

KEY = "new-draft"
# discarded when the target changes
_OF_TARGET = ("positive", "rows", "left_out", "allowed", "types", "metric", "balanced")
_ONE_ROLE = ("target", "id", "time", "group", "weights")


@dataclass
class Draft:
    """The choices about one table.

    Parameters
    ----------
    table : str
        Names the table's content: choices about another one are dropped.
    choices : dict
        As `Guesses.with_` takes them.
    way : str
        How current rows are chosen, if it needs more than a choice: `value` or `file`.
    texts : dict
        What was typed, by field.
    edits : int
        Counts the changes of the table of columns, which is redrawn after each.
    refused : Message or None
        Why the last change of that table is not possible.
    """

    table: str
    choices: dict[str, Any] = field(default_factory=dict)
    way: str = ""
    texts: dict[str, Any] = field(default_factory=dict)
    edits: int = 0
    refused: Message | None = None

    def choose(self, name: str, value: Any) -> None:
        """Store a choice; another target discards the choices that depend on it."""
        if name == "target":
            for other in _OF_TARGET:
                self.choices.pop(other, None)
            self.way = ""
            self.texts.pop("question", None)
        if name == "positive":
            self.texts.pop("question", None)
            # another class may be common
            self.choices.pop("metric", None)
            self.choices.pop("balanced", None)
        if value and name in _ONE_ROLE:  # a column has one role
            for role in _ONE_ROLE:
                if role != name and self.choices.get(role) == value:
                    del self.choices[role]
        # the last one is tried last
        self.choices.pop(name, None)
        self.choices[name] = value
        self.edits += 1

    def set_use(self, column: str, *, is_used: bool) -> None:
        """Make a column a feature, or exclude it."""
        left_out = dict.fromkeys(self.choices.get("left_out", ()))
        allowed = dict.fromkeys(self.choices.get("allowed", ()))
        (left_out if is_used else allowed).pop(column, None)
        (allowed if is_used else left_out)[column] = None
        self.choices |= {"left_out": tuple(left_out), "allowed": tuple(allowed)}
        self.edits += 1

    def withdraw(self, column: str) -> None:
        """Exclude a column again that was allowed."""
        self.choices["allowed"] = tuple(
            name for name in self.choices.get("allowed", ()) if name != column
        )
        self.edits += 1


def of(table: str) -> Draft:
    """Return the draft about a table."""
    kept = st.session_state.get(KEY)
    if not isinstance(kept, Draft) or kept.table != table:
        kept = st.session_state[KEY] = Draft(table)
    return kept


def confirmed(guesses: Guesses, draft: Draft) -> Guesses:
    """Return the guesses after the choices; one that is not possible is reported and dropped."""
    while True:
        try:
            return guesses.with_(**draft.choices) if draft.choices else guesses
        except InputError as error:
            if not draft.choices:
                raise
            st.error(elements.plain(str(error)), icon=":material/error:")
            draft.choices.popitem()
