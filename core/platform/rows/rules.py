"""Rules on the values of a column, from the project file or a model.

Copied into every registered model, so it imports nothing of core.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

# What a spreadsheet would execute: =..., @..., and +... or -... that is not a number.
SPREADSHEET = re.compile(r"^\s*(?:[=@\t\r]|[+-](?!\s*$|[\d.,]+(?:[eE][+-]?\d+)?%?\s*$))", re.DOTALL)

Type = Literal["text", "integer", "number", "boolean", "label", "date"]
# in which order a source writes the parts of a day; ISO 8601 is always read
DateForm = Literal["year-month-day", "day-month-year", "month-day-year"]
# Spellings of a boolean, normalized by `label_word`; 2 is the no of questionnaires.
YES = frozenset({"1", "true", "t", "yes", "y", "on", "sim", "s", "verdadeiro"})
NO = frozenset({"0", "2", "false", "f", "no", "n", "off", "não", "nao", "falso"})
# Markers of a missing value in columns of numbers or days, as in pandas. In a text column only an
# empty text is missing: NA may be a country.
MISSING_MARKS = frozenset(
    {
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    }
)
BLANK = " \t\r\n"


@dataclass(frozen=True)
class Rule:
    """The allowed values of a column.

    Parameters
    ----------
    type : {"text", "integer", "number", "boolean", "label", "date"}
        `boolean` is 1 or 0, in any of the spellings YES and NO; `label` is 0 or 1. `date` is a day
        or an ISO 8601 date-time, kept as text that sorts by time.
    min, max : float or None
        Inclusive range of a number.
    categories : tuple of str
        Allowed values of a text; empty allows any.
    pattern : str or None
        Regular expression that the whole text must match.
    negative, positive : tuple of str
        Values of a label that mean 0 and 1, normalized by `label_word`, if it is not written as 0
        and 1; without negative ones, every other value means 0.
    date_form : {"year-month-day", "day-month-year", "month-day-year"}
        In which order the source writes the parts of a day; ISO 8601 is always read.
    missing : tuple of str
        More marks of a missing value, beside MISSING_MARKS, normalized by `mark_word`; in a text
        column they are values.
    """

    type: Type = "number"
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()
    pattern: str | None = None
    negative: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    date_form: DateForm = "year-month-day"
    missing: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, float]:
        """The label of each value; empty if it is written as 0 and 1."""
        return {**dict.fromkeys(self.negative, 0.0), **dict.fromkeys(self.positive, 1.0)}

    @property
    def is_text(self) -> bool:
        """Whether its values are stored as text."""
        return self.type in ("text", "date")


def rule_of(about: str | Mapping[str, Any]) -> Rule:
    """Parse a rule from a model's configuration, or from just "number" or "text".

    Examples
    --------
    >>> rule_of("text"), rule_of({"type": "integer", "min": 0, "categories": []}).min
    (Rule(type='text', min=None, max=None, categories=(), pattern=None, negative=(),
    positive=(), date_form='year-month-day', missing=()), 0)
    """
    if isinstance(about, str):
        return Rule("text" if about == "text" else "number")
    lists = ("categories", "negative", "positive", "missing")
    listed = {name: tuple(about.get(name, ())) for name in lists}
    return Rule(**{**about, **listed})


def label_word(value: object) -> str:
    """Normalize a value of a label, however a file wrote it.

    Examples
    --------
    >>> label_word(" Yes"), label_word(2.0), label_word("2"), label_word(True)
    ('yes', '2', '2', 'true')
    """
    text = str(value).strip().casefold()
    whole, dot, rest = text.partition(".")
    return whole if dot and rest.strip("0") == "" and whole.lstrip("-").isdigit() else text


def mark_word(text: str) -> str:
    """Normalize a mark of a missing value, however a file wrote it.

    Examples
    --------
    >>> mark_word(" N/D ")
    'n/d'
    """
    return text.strip(BLANK).casefold()


def text_fault(text: str, rule: Rule) -> str | None:
    """Return the fault code of a text; None if it is valid.

    Examples
    --------
    >>> text_fault("=1+1", Rule("text")), text_fault("NA", Rule("text")), text_fault("0", Rule())
    ('spreadsheet_formula', None, None)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "unreadable"
    if "\0" in text:
        return "unreadable"
    if rule.categories and text not in rule.categories:
        return "category"
    # before the pattern, as it is more specific
    if rule.type == "text" and SPREADSHEET.match(text):
        return "spreadsheet_formula"
    if rule.pattern and _compiled(rule.pattern).fullmatch(text) is None:
        return "pattern"
    return None


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
