"""Rules of columns: what their values may be, as the project's file or a model says it.

A copy of this file is part of each registered model, so it imports nothing of core.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

# What a spreadsheet would run: =..., @..., and +... or -... that is no number.
SPREADSHEET = re.compile(r"^\s*(?:[=@\t\r]|[+-](?!\s*$|[\d.,]+(?:[eE][+-]?\d+)?%?\s*$))", re.DOTALL)

Type = Literal["text", "integer", "number", "label", "date"]


@dataclass(frozen=True)
class Rule:
    """What the values of a column may be.

    Parameters
    ----------
    type : {"text", "integer", "number", "label", "date"}
        `label` is 0 or 1. `date` is a day, or a moment of ISO 8601; both are kept as texts that
        sort by time.
    min, max : float or None
        Range of a number, ends included.
    categories : tuple of str
        All values that a text may have; empty where any may stand.
    pattern : str or None
        Regular expression that the whole of a text must match.
    negative, positive : tuple of str
        Of a label that is not written as 0 and 1: what stands for 0 and for 1, as `label_word`
        writes it.
    """

    type: Type = "number"
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()
    pattern: str | None = None
    negative: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, float]:
        """What each value of a label stands for; empty for one that is written as 0 and 1."""
        return {**dict.fromkeys(self.negative, 0.0), **dict.fromkeys(self.positive, 1.0)}

    @property
    def is_text(self) -> bool:
        """Whether its values are kept as texts."""
        return self.type in ("text", "date")


def rule_of(about: str | Mapping[str, Any]) -> Rule:
    """Return a rule from how a model's configuration keeps it; or from "number" or "text" alone.

    Examples
    --------
    >>> rule_of("text"), rule_of({"type": "integer", "min": 0, "categories": []}).min
    (Rule(type='text', min=None, max=None, categories=(), pattern=None, negative=(),
    positive=()), 0)
    """
    if isinstance(about, str):
        return Rule("text" if about == "text" else "number")
    listed = {name: tuple(about.get(name, ())) for name in ("categories", "negative", "positive")}
    return Rule(**{**about, **listed})


def label_word(value: object) -> str:
    """Return a value of a label as a word, alike however a file wrote it.

    Examples
    --------
    >>> label_word(" Yes"), label_word(2.0), label_word("2"), label_word(True)
    ('yes', '2', '2', 'true')
    """
    text = str(value).strip().casefold()
    whole, dot, rest = text.partition(".")
    return whole if dot and rest.strip("0") == "" and whole.lstrip("-").isdigit() else text


def text_fault(text: str, rule: Rule) -> str | None:
    """Return the code of what is wrong with a text, None when nothing is.

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
    # before the pattern, as it says more of such a cell
    if rule.type == "text" and SPREADSHEET.match(text):
        return "spreadsheet_formula"
    if rule.pattern and _compiled(rule.pattern).fullmatch(text) is None:
        return "pattern"
    return None


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
