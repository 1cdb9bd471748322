"""The parts of a project file: columns, formulas, sets of features, which rows are for what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

from pydantic import Field, model_validator

from core.platform import formulas, own_columns
from core.platform.config import Options, needs
from core.platform.messages import Message, Words, in_context
from core.platform.rows import DateForm, Rule, label_word, mark_word

_NUMBER = re.compile(r"[+-]?[0-9.,]*[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?")
Value = bool | int | float | str
# Why a column of the source is not a feature.
Reason = Literal[
    "constant",
    "empty",
    "identifier",
    "free_text",
    "too_good",
    "holes",
    "one_class",
    "afterwards",
    "chosen",
]
# Types of a column, for people.
TYPE_LABELS = {
    "text": Message("text"),
    "number": Message("number"),
    "integer": Message("integer"),
    "boolean": Message("yes or no"),
    "label": Message("label"),
    "date": Message("date"),
}
# Values of the column that says for what a row is, where Courtside derives it.
REFERENCE, CURRENT = "reference", "current"
# How `Rows` chooses the current rows; "value" is by a column's value.
By = Literal["value", "date", "labels", "random", "file", "none"]


class FaultError(ValueError):
    """A violated rule of the project file, and the key that violates it."""

    def __init__(self, text: Words, *key: str | int) -> None:
        super().__init__(text)
        self.key = key


class Column(Options):
    """One column of a source: its type, allowed values and meaning.

    Parameters
    ----------
    type : {"text", "integer", "number", "boolean", "label", "date"}
        `boolean` is read as 1 or 0 from true and false, yes and no and their like; `label` is 0, 1
        or missing; `date` is a day, optionally with a time of day.
    date_form : {"year-month-day", "day-month-year", "month-day-year"}
        How the source writes the days of a `date`; year-month-day is always read too.
    missing_values : tuple of str
        What the source writes for a missing value, such as "n/d", beside the marks that are always
        read; those of the whole file are added to each column that is not text. Case is ignored.
    positive_values, negative_values : tuple
        Values of a label that mean 1 and 0, if it is not written as 0 and 1. Without negative
        ones, every other value means 0. Case is ignored, and so is whether 1 is a number or a text.
    about : str
        Its meaning, with the unit.
    min, max : float, optional
        Inclusive range of a number.
    categories : tuple of str
        Allowed values of a text; empty allows any.
    pattern : str, optional
        Regular expression that the whole text must match.
    aliases : tuple of str
        Other names of the column in sources.
    recorded : {"before", "after"}
        Whether the value is known before the predicted event, or only after it.
    """

    type: Literal["text", "integer", "number", "boolean", "label", "date"]
    about: str = ""
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()
    pattern: str | None = None
    aliases: tuple[str, ...] = ()
    recorded: Literal["before", "after"] = "before"
    positive_values: tuple[Value, ...] = ()
    negative_values: tuple[Value, ...] = ()
    date_form: DateForm = "year-month-day"
    missing_values: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether a model treats it as categorical rather than as a number."""
        return self.type in ("text", "date")

    @property
    def rule(self) -> Rule:
        """Its rule in the row contract."""
        return Rule(
            self.type,
            self.min,
            self.max,
            self.categories,
            self.pattern,
            tuple(label_word(value) for value in self.negative_values),
            tuple(label_word(value) for value in self.positive_values),
            self.date_form,
            tuple(mark_word(mark) for mark in self.missing_values),
        )

    @model_validator(mode="after")
    def _rules_suit_the_type(self) -> Column:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                Message(
                    "{low} must not be above {high}",
                    low=f"`min = {self.min:g}`",
                    high=f"`max = {self.max:g}`",
                )
            )
        if (self.min, self.max) != (None, None) and self.type not in ("integer", "number"):
            raise ValueError(
                Message("{keys} do not apply to type {type}", keys=["min", "max"], type=self.type)
            )
        if self.date_form != "year-month-day" and self.type != "date":
            raise ValueError(
                Message("{keys} do not apply to type {type}", keys=["date_form"], type=self.type)
            )
        if (self.categories or self.pattern) and self.type != "text":
            raise ValueError(
                Message(
                    "{keys} do not apply to type {type}",
                    keys=["categories", "pattern"],
                    type=self.type,
                )
            )
        if (self.positive_values or self.negative_values) and self.type != "label":
            raise ValueError(
                Message(
                    "{keys} do not apply to type {type}",
                    keys=["positive_values", "negative_values"],
                    type=self.type,
                )
            )
        if self.missing_values and self.type == "text":
            raise ValueError(
                Message(
                    "{keys} do not apply to type {type}", keys=["missing_values"], type=self.type
                )
            )
        require_marks(self.missing_values)
        if self.negative_values and not self.positive_values:
            raise needs("negative_values", "positive_values")
        both = {label_word(word) for word in self.positive_values}
        both &= {label_word(word) for word in self.negative_values}
        if both:
            raise ValueError(
                Message(
                    "{keys} must differ: {values}",
                    keys=["positive_values", "negative_values"],
                    values=sorted(both),
                )
            )
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(
                Message(
                    "{name} cannot be used: {reason}", name=f"`{self.pattern}`", reason=str(error)
                )
            ) from error
        return self


def require_marks(marks: Sequence[str]) -> None:
    """Refuse marks of missing values that are numbers: readers take those as values.

    Raises
    ------
    ValueError
        With the marks.
    """
    if numbers := [mark for mark in marks if _NUMBER.fullmatch(mark.strip())]:
        raise ValueError(Message("a number cannot mark a missing value: {values}", values=numbers))


class Formula(Options):
    """An expression over columns, see `core.platform.formulas`."""

    formula: str
    about: str

    @model_validator(mode="after")
    def _is_a_formula(self) -> Formula:
        formulas.columns_in(self.formula)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return formulas.columns_in(self.formula)


class Engineered(Formula):
    """A feature that the model's pipeline computes from raw columns."""

    type: Literal["text", "number"] = "number"

    @property
    def is_text(self) -> bool:
        """Whether a model treats it as categorical rather than as a number."""
        return self.type == "text"


class Identity(Formula):
    """What a column must equal, up to `tolerance`; otherwise the source gets a warning."""

    column: str
    tolerance: float = Field(0.0, ge=0)


class FeatureSet(Options):
    """Features that can be chosen together on the Data page."""

    title: str
    about: str
    features: tuple[str, ...] = Field(min_length=1)


class Preset(Options):
    """Options of Prepare and Train for a known result, applied with one click.

    Parameters
    ----------
    features : str
        Title of a feature set.
    split, test_from
        Options of Prepare.
    candidates, params, blend
        Options of Train.
    """

    title: str
    about: str
    features: str
    split: Literal["random", "time", "group"] = "random"
    test_from: str | None = None
    candidates: tuple[str, ...] = Field(min_length=1)
    params: dict[str, dict[str, int | float | bool | str]] = Field(default_factory=dict)
    blend: bool = False


class Download(Options):
    """A file on the network, verified by its size in bytes and its SHA-256."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}\.(csv|parquet|zip)$")
    url: str = Field(pattern=r"^https?://[^@\s]+$")
    size: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Rows(Options):
    """Which rows are for training (development) and which for operation (production).

    Parameters
    ----------
    by : {"value", "date", "labels", "random", "file", "none"}
        How the rows of operation are chosen: by a column's value; from a moment on; those without
        a label; a share at random; those of one file; none, if only the endpoint gets them.
    column, development, production : str
        The column and its values. In all but the first way, and where `development` is not given,
        Courtside derives the column (`core.data.derived_columns`), and `of` is the file's own.
    development_name, production_name : str
        What to call both kinds of rows; empty for `reference_rows` and `current_rows`.
    start : number or text, optional
        For "date": first value of `of` that belongs to operation.
    share, seed
        For "random".
    file : str, optional
        For "file": its name.
    production_values, development_values : tuple
        For a derived column by value: those of `of`; without the second, all other rows are for
        training.
    """

    by: By = "value"
    column: str = own_columns.PART
    development: str = REFERENCE
    development_name: str = ""
    production: str = CURRENT
    production_name: str = ""
    of: str | None = None
    production_values: tuple[Value, ...] = ()
    development_values: tuple[Value, ...] = ()
    start: int | float | str | None = None
    share: float = Field(0.3, gt=0, lt=1)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    file: str | None = None

    @property
    def is_derived(self) -> bool:
        """Whether Courtside derives the column."""
        return self.column == own_columns.PART

    @property
    def reference_rows(self) -> Message:
        """What the rows for training are called."""
        if self.development_name:
            return in_context("project", self.development_name)
        match self.by:
            case "date":
                return Message("rows before {start}", start=_moment(self.start))
            case "labels":
                return Message("rows with a label")
            case "random" | "file":
                return Message("other rows")
            case "value" if self.of and self.development_values:
                values = ", ".join(map(str, self.development_values))
                return Message("rows with {column} = {value}", column=self.of, value=values)
            case "value" if self.of:
                return Message("rows with another {column}", column=self.of)
        return in_context("project", "reference rows")

    @property
    def current_rows(self) -> Message:
        """What the rows of operation are called."""
        if self.production_name:
            return in_context("project", self.production_name)
        match self.by:
            case "date":
                return Message("rows from {start}", start=_moment(self.start))
            case "labels":
                return Message("rows without a label")
            case "random":
                return Message("randomly sampled rows ({share:.0%})", share=self.share)
            case "file":
                return Message("rows of {file}", file=self.file)
            case "value" if self.of:
                values = ", ".join(map(str, self.production_values))
                return Message("rows with {column} = {value}", column=self.of, value=values)
        return in_context("project", "current rows")

    @property
    def how(self) -> Message:
        """How the current rows are chosen, in words."""
        if self.by == "value":
            return Message("by the column {column}", column=self.of or self.column)
        rows = Message("rows sent to the endpoint") if self.by == "none" else self.current_rows
        return Message("current: {rows}", rows=rows)


def _moment(start: int | float | str | None) -> Any:
    """Return a day as a date, so that it has the form of the reader's language."""
    try:
        return date.fromisoformat(str(start))
    except ValueError:
        return start


class Court(Options):
    """Columns of the shot chart, in tenths of a foot from the hoop, and its title."""

    title: str
    x: str
    y: str


class Place(Options):
    """Columns of a place, such as a longitude and a latitude; `title` is shown above their map."""

    x: str
    y: str
    title: str = ""


class Sample(Options):
    """The built-in sample: its description, and the file with its calibration tables."""

    about: str
    tables: str = Field(pattern=r"^[a-z0-9_]+\.json$")
