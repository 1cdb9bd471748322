"""What each column of a table is: its kind, from its values and its name. Computes only."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.data.guess_marks import marks_of, unit_of
from core.data.guess_words import MARKS, names_a_key, plain, truth
from core.platform.rows import MISSING_MARKS, NO, YES, DateForm, iso, label_word

Kind = Literal[
    "empty",
    "constant",
    "boolean",
    "integer",
    "number",
    "category",
    "text",
    "free_text",
    "date",
    "timestamp",
    "odd_date",
    "identifier",
]
# up to this many values are categories, more are text of many levels
MOST_CATEGORIES = 50
# a text with so large a share of different values says of each row something else
IDENTIFIES = 0.95
# more than this share of different values, and so many words each, is free text
FREE = 0.5
FREE_WORDS = 4.0
FREE_LENGTH = 80
# values that a message names
EXAMPLES = 3
# most frequent values that are stored for a column
SHOWN = MOST_CATEGORIES

_MOMENT = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)? ?(?:Z|[+-]\d{2}:?\d{2})?)?"
)
_OTHER_DATE = re.compile(r"\d{1,2}([/.-])\d{1,2}\1(?:\d{4}|\d{2})(?:[T ]\d{1,2}:\d{2}.*)?")
# no group comes before that of _OTHER_DATE
_DATES = re.compile(f"{_OTHER_DATE.pattern}|{_MOMENT.pattern}")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CODE = re.compile(r"-?0\d+")
# the first values, by which most columns are known
_SOME = 50

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Unfit(NamedTuple):
    """The values of a column that are none of a type: their rows, and the most frequent ones."""

    rows: int = 0
    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Mapping[str, int]) -> Unfit:
        """Return those among texts with their rows.

        Examples
        --------
        >>> Unfit.of({"n/d": 3, "?": 7})
        Unfit(rows=10, values=('?', 'n/d'))
        """
        most = heapq.nlargest(EXAMPLES, texts, key=texts.__getitem__)
        return cls(sum(texts.values()), tuple(most))


@dataclass(frozen=True)
class Profile:
    """A column: its kind, and the numbers that say so.

    Parameters
    ----------
    kind : str
        `text` has more values than categories have; `odd_date` is a date in which it is unclear
        what is the day; `identifier` has another value in (nearly) every row.
    missing, distinct : int
        Rows without a value; different values.
    values : tuple of (str, int)
        The most frequent values as written, with their rows.
    low, high : float or str or None
        Of numbers and dates.
    date_form : {"year-month-day", "day-month-year", "month-day-year"}
        How its dates are written.
    is_whole : bool
        Whether its numbers have no fractions.
    is_sorted : bool
        Whether its values never decrease from row to row.
    marks : mapping of str to int
        Texts read as missing because the other values are numbers, dates, or yes and no, with
        their rows.
    unit : str
        Unit that nearly all of its texts have after a number.
    unfit : mapping of str to Unfit
        For each type of the project file, the values that do not have it; a type that is not here
        is possible.
    codes : array
        The number of each row's value, 0 for a missing one.
    numbers : array or None
        Its values, as days since 1970 for dates; None for text.
    """

    name: str
    kind: Kind
    rows: int
    missing: int
    distinct: int
    values: tuple[tuple[str, int], ...] = ()
    low: float | str | None = None
    high: float | str | None = None
    date_form: DateForm = "year-month-day"
    is_whole: bool = False
    is_sorted: bool = False
    marks: Mapping[str, int] = field(default_factory=dict)
    unit: str = ""
    unfit: Mapping[str, Unfit] = field(default_factory=dict, repr=False, compare=False)
    codes: Ints = field(default_factory=lambda: np.empty(0, np.int64), repr=False, compare=False)
    numbers: Floats | None = field(default=None, repr=False, compare=False)

    @property
    def known(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def value_codes(self) -> list[int]:
        """The code of each of `values`, in their order: all values by their rows."""
        most = np.argsort(-np.bincount(self.codes)[1:], kind="stable") + 1
        return [int(code) for code in most[: len(self.values)]]

    @property
    def ends(self) -> dict[str, Any]:
        """The first and last of its dates, for a message, in the form of the reader's language."""
        return {"first": _moment(self.low), "last": _moment(self.high)}

    @property
    def number_type(self) -> str:
        """`integer` or `number`, for a column of numbers of whatever kind."""
        return "integer" if self.is_whole else "number"


def _moment(end: float | str | None) -> Any:
    """Return a day or a moment; what is neither stays as it is."""
    for kind in (date, datetime):
        with suppress(ValueError):
            return kind.fromisoformat(str(end))
    return end


def profile(
    values: pd.Series[Any],
    *,
    is_unique: bool | None = None,
    marks: Mapping[str, int] | None = None,
    unfit: Mapping[str, Unfit] | None = None,
) -> Profile:
    """Return what a column is.

    Parameters
    ----------
    values : Series
        Of any type; texts are read as a CSV file's cells are.
    is_unique : bool, optional
        Whether its values are known to be unique beyond these rows.
    marks, unfit : mapping, optional
        What is known from its texts in a file; see `Profile`.

    Examples
    --------
    >>> [profile(pd.Series(cells, name="x")).kind for cells in (
    ...     ["Sim", "não", None], [1.0, 2.0, None], ["007", "008", "008"], [None, "NA"], [7, 7],
    ...     ["2013-01-01T10:00:00Z", "2013-01-01T11:00:00Z", ""], ["31/12/2013", "1/2/2014", "a"])]
    ['boolean', 'boolean', 'category', 'empty', 'constant', 'timestamp', 'category']
    """
    name = str(values.name)
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        is_zoned = isinstance(values.dtype, pd.DatetimeTZDtype)
        moments = values.dt.tz_convert(None) if is_zoned else values
        return _with_unfit(_moments(name, moments.to_numpy("datetime64[us]")))
    if values.dtype.kind in "iuf" or pd.api.types.is_numeric_dtype(values.dtype):
        if pd.api.types.is_bool_dtype(values.dtype):
            values = values.astype("object")
        else:
            numbers = values.to_numpy("float64", na_value=np.nan)
            numeric = _numeric(name, numbers, is_unique=is_unique)
            return _with_unfit(replace(numeric, marks=marks or {}))
    codes, levels = _levels(values)
    texts = [level if isinstance(level, str) else str(level) for level in levels]
    # digits that a source keeps as text or categories are codes
    is_coded = isinstance(values.dtype, pd.CategoricalDtype)
    column = _text(name, codes, texts, is_unique=is_unique, is_coded=is_coded)
    if column.numbers is not None:
        return _with_unfit(column)
    rows = np.bincount(codes[codes >= 0], minlength=len(texts)).tolist()
    known = {
        text: count
        for text, count in zip(texts, rows, strict=True)
        if count and text.strip() not in MISSING_MARKS and text.strip() not in column.marks
    }
    return replace(
        column, unit=unit_of(column.values), unfit=_unfit_texts(known) | {**(unfit or {})}
    )


def _unfit_texts(texts: Mapping[str, int]) -> dict[str, Unfit]:
    """Return which texts are none of a type."""
    numbers = {text: bool(NUMBER.fullmatch(text.strip())) for text in texts}
    are_of = {
        "number": numbers,
        "integer": {text: fits and float(text) % 1 == 0 for text, fits in numbers.items()},
        "boolean": {text: label_word(text) in YES | NO for text in texts},
        "date": {text: bool(_MOMENT.fullmatch(text.strip())) for text in texts},
    }
    return {
        kind: Unfit.of({text: rows for text, rows in texts.items() if not fits[text]})
        for kind, fits in are_of.items()
    }


def _with_unfit(column: Profile) -> Profile:
    """Return a column of numbers or dates with which of its values are of no other type."""
    assert column.numbers is not None
    known = column.numbers[~np.isnan(column.numbers)]
    all_of_it = Unfit(len(known), _shown(known, column))
    if isinstance(column.low, str):
        return replace(column, unfit=dict.fromkeys(("number", "integer", "boolean"), all_of_it))
    fractions = known[known % 1 != 0]
    # 1 and 2 are yes and no, but 0, 1 and 2 are numbers
    is_boolean = np.isin(known, (1, 2)).all() or np.isin(known, (0, 1)).all()
    others = known[~np.isin(known, (0, 1))]
    unfit = {"date": all_of_it}
    if len(fractions):
        unfit["integer"] = Unfit(len(fractions), _shown(fractions, column))
    if not is_boolean:
        unfit["boolean"] = Unfit(len(others), _shown(others, column))
    return replace(column, unfit=unfit)


def _shown(numbers: Floats, column: Profile) -> tuple[str, ...]:
    """Return the first values of a column for a message."""
    if isinstance(column.low, str):
        return (column.low,)
    return tuple(f"{number:.15g}" for number in pd.unique(numbers[:SHOWN])[:EXAMPLES])


def _levels(values: pd.Series[Any]) -> tuple[Ints, Sequence[Any]]:
    """Return the number of each row's value, -1 for a missing one, and the values."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes = values.cat.codes.to_numpy("int64")
        used = np.unique(codes[codes >= 0])
        place = np.full(len(values.cat.categories) + 1, -1, np.int64)
        place[used] = np.arange(len(used))
        return place[codes], list(values.cat.categories[used])
    codes, levels = pd.factorize(values.astype("object"))
    return codes.astype(np.int64), list(levels)


def _text(
    name: str, codes: Ints, texts: list[str], *, is_unique: bool | None, is_coded: bool
) -> Profile:
    """Return the profile of texts, which may be numbers, truth values or dates."""
    bare = [text.strip() for text in texts]
    is_mark = np.array([text in MISSING_MARKS for text in bare], dtype=bool)
    if marks := _marks(bare, is_mark, codes, is_coded=is_coded):
        is_more = is_mark | np.array([text in marks for text in bare], dtype=bool)
        column = _of_texts(name, codes, texts, is_more, is_unique=is_unique, is_coded=is_coded)
        if column.numbers is not None or column.kind == "boolean":
            return replace(column, marks=marks)
        if column.kind == "odd_date":
            return column
    return _of_texts(name, codes, texts, is_mark, is_unique=is_unique, is_coded=is_coded)


def _marks(bare: list[str], is_mark: Bools, codes: Ints, *, is_coded: bool) -> dict[str, int]:
    """Return the texts that stand for missing values among others, with their rows.

    Among numbers, dates, or yes and no.
    """
    some = [text for text, mark in zip(bare[:_SOME], is_mark, strict=False) if not mark]
    rows = np.bincount(codes[codes >= 0], minlength=len(bare))
    for kind in (_DATES,) if is_coded else (NUMBER, _DATES):
        # most columns are known by their first values
        if 2 * sum(map(bool, map(kind.fullmatch, some))) < len(some):
            continue
        is_kind = np.array([bool(kind.fullmatch(text)) for text in bare], dtype=bool)
        others: dict[str, int] = {}
        for place in np.flatnonzero(~is_kind & ~is_mark):
            others[bare[place]] = others.get(bare[place], 0) + int(rows[place])
        if others:
            return marks_of(others, int(rows[is_kind].sum()))
    return _marks_of_truth(bare, is_mark, rows)


def _marks_of_truth(bare: list[str], is_mark: Bools, rows: Ints) -> dict[str, int]:
    """Return the known marks in a column of yes and no; none if another text is there too."""
    others: dict[str, int] = {}
    known = 0
    for text, mark, count in zip(bare, is_mark, rows.tolist(), strict=True):
        if label_word(text) in YES | NO:
            known += count
        elif not mark:
            if plain(text) not in MARKS:
                return {}
            others[text] = others.get(text, 0) + count
    return marks_of(others, known) if others else {}


def _of_texts(
    name: str,
    codes: Ints,
    texts: list[str],
    is_mark: Bools,
    *,
    is_unique: bool | None,
    is_coded: bool,
) -> Profile:
    bare = [text.strip() for text in texts]
    present = [text for text, mark in zip(bare, is_mark, strict=True) if not mark]
    if not present:
        return Profile(name, "empty", len(codes), len(codes), 0)
    # missing values are marked unless the column is text, where NA may be a country
    marked = np.append(np.where(is_mark, -1, np.arange(len(texts))), -1)[codes]
    if not is_coded and (numbers := _as_numbers(present)) is not None:
        level = np.full(len(texts) + 1, np.nan)
        level[:-1][~is_mark] = numbers
        return _numeric(name, level[codes], is_unique=is_unique)
    if truth(present) is not None:
        return _shared(name, "boolean", marked, texts)
    if _MOMENT.fullmatch(present[0]) and all(map(_MOMENT.fullmatch, present[:200])):
        moments = _as_moments(present)
        if moments is not None:
            return _moments(name, _spread(moments, is_mark)[codes])
    is_blank = np.array([not text for text in bare], dtype=bool)
    codes = np.append(np.where(is_blank, -1, np.arange(len(texts))), -1)[codes]
    if all(map(_OTHER_DATE.fullmatch, present)):
        form = date_form(present)
        moments = None if form is None else _as_moments([iso(text, form) for text in present])
        if form is None or moments is None:
            return _shared(name, "odd_date", codes, texts)
        return replace(_moments(name, _spread(moments, is_mark)[marked]), date_form=form)
    return _shared(name, _kind_of_text(name, codes, texts, is_unique), codes, texts)


def _kind_of_text(name: str, codes: Ints, texts: list[str], is_unique: bool | None) -> Kind:
    known = int((codes >= 0).sum())
    distinct = len(np.unique(codes[codes >= 0]))
    if distinct == 1:
        return "constant" if known == len(codes) else "category"
    some = texts[:2000]
    words = float(np.mean([text.count(" ") + 1 for text in some]))
    length = float(np.mean([len(text) for text in some]))
    share = distinct / max(known, 1)
    if (
        share > FREE
        and distinct > MOST_CATEGORIES
        and (words > FREE_WORDS + 2 or length > FREE_LENGTH)
    ):
        return "free_text"
    if known >= 20 and share >= IDENTIFIES and is_unique is not False:
        return "identifier"
    if share > FREE and distinct > MOST_CATEGORIES and words >= FREE_WORDS:
        return "free_text"
    return "category" if distinct <= MOST_CATEGORIES else "text"


def _as_numbers(present: list[str]) -> Floats | None:
    if not all(text[:1].isdigit() or text[:1] in "+-." for text in present[:50]):
        return None
    if any(_CODE.match(text) for text in present):
        return None
    numbers = pd.to_numeric(pd.Series(present, dtype="object"), errors="coerce")
    return None if numbers.isna().any() else numbers.to_numpy("float64")


def date_form(texts: Sequence[str]) -> DateForm | None:
    """Return how dates are written; None where day and month could be either, or a year is short.

    The first day of every month has a part that is always 1: the day.

    Examples
    --------
    >>> date_form(["05/01/2024", "31/12/2024"]), date_form(["12-31-2024", "01-02-2024"])
    ('day-month-year', 'month-day-year')
    >>> date_form(["01/02/2024", "01/03/2024"]), date_form(["05/06/2024", "06/05/2024"])
    ('day-month-year', None)
    """
    as_iso = [iso(text, "day-month-year") for text in texts]
    if any(text == known for text, known in zip(texts, as_iso, strict=True)):
        return None
    first = {int(text[8:10]) for text in as_iso}
    second = {int(text[5:7]) for text in as_iso}
    day_first, month_first = max(second) <= 12, max(first) <= 12
    if day_first and month_first:
        day_first = len(first) == 1 < len(second)
        month_first = len(second) == 1 < len(first)
    if day_first == month_first:
        return None
    return "day-month-year" if day_first else "month-day-year"


def _spread(moments: npt.NDArray[Any], is_mark: Bools) -> npt.NDArray[Any]:
    """Return the moment of each level, and none for marks of missing values and for code -1."""
    levels = np.full(len(is_mark) + 1, np.datetime64("NaT"), "datetime64[us]")
    levels[:-1][~is_mark] = moments
    return levels


def _as_moments(present: list[str]) -> npt.NDArray[Any] | None:
    """Return the moments that texts name, in UTC; None if some name none."""
    bare = [text.removesuffix("Z") for text in present]
    if not any("+" in text or "-" in text[10:] for text in bare):
        try:  # thirty times as fast as pandas
            return np.array(bare, dtype="datetime64[us]")
        except ValueError:
            pass
    moments = pd.to_datetime(pd.Series(present), format="ISO8601", utc=True, errors="coerce")
    if moments.isna().any():
        return None
    return moments.dt.tz_convert(None).to_numpy("datetime64[us]")


def _numeric(name: str, numbers: Floats, *, is_unique: bool | None = None) -> Profile:
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return Profile(name, "empty", len(numbers), len(numbers), 0)
    levels, inverse, counts = np.unique(known, return_inverse=True, return_counts=True)
    codes = np.zeros(len(numbers), np.int64)
    codes[~np.isnan(numbers)] = inverse + 1
    whole = bool((levels == np.trunc(levels)).all())
    if len(levels) == 1:
        kind: Kind = "constant" if len(known) >= IDENTIFIES * len(numbers) else "integer"
    elif len(levels) == 2 and tuple(levels) in ((0.0, 1.0), (1.0, 2.0)):
        kind = "boolean"
    else:
        kind = "integer" if whole else "number"
        if whole and _counts_rows(name, numbers, levels, is_unique):
            kind = "identifier"
    most = np.argsort(-counts, kind="stable")[:SHOWN]
    return Profile(
        name,
        kind,
        len(numbers),
        len(numbers) - len(known),
        len(levels),
        tuple((f"{levels[place]:.15g}", int(counts[place])) for place in most),
        float(levels[0]),
        float(levels[-1]),
        is_whole=whole,
        is_sorted=bool((np.diff(known) >= 0).all()),
        codes=codes,
        numbers=numbers,
    )


def _counts_rows(name: str, numbers: Floats, levels: Floats, is_unique: bool | None) -> bool:
    """Return whether whole numbers identify rows: another one in each, in order or without gaps.

    An income in whole dollars can be unique in a small table too.
    """
    if len(levels) < len(numbers) or len(numbers) < 20 or is_unique is False:
        return False
    in_order = bool((np.diff(numbers) > 0).all() or (np.diff(numbers) < 0).all())
    dense = levels[-1] - levels[0] < 2 * len(levels)
    return in_order or dense or names_a_key(name)


def _moments(name: str, moments: npt.NDArray[Any]) -> Profile:
    known = ~np.isnat(moments)
    if not known.any():
        return Profile(name, "empty", len(moments), len(moments), 0)
    days = np.full(len(moments), np.nan)
    days[known] = moments[known].astype("int64") / 86_400e6
    levels, inverse = np.unique(days[known], return_inverse=True)
    codes = np.zeros(len(moments), np.int64)
    codes[known] = inverse + 1
    first, last = moments[known].min(), moments[known].max()
    has_time = bool((levels % 1 != 0).any())
    unit: Any = "s" if has_time else "D"
    kind: Kind = "timestamp" if has_time else "date"
    if len(levels) == 1 and known.all():
        kind = "constant"
    return Profile(
        name,
        kind,
        len(moments),
        int((~known).sum()),
        len(levels),
        low=str(np.datetime_as_string(first, unit=unit)),
        high=str(np.datetime_as_string(last, unit=unit)),
        is_sorted=bool((np.diff(days[known]) >= 0).all()),
        codes=codes,
        numbers=days,
    )


def _shared(name: str, kind: Kind, codes: Ints, texts: list[str]) -> Profile:
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    most = np.argsort(-counts, kind="stable")[:SHOWN]
    return Profile(
        name,
        kind,
        len(codes),
        int((codes < 0).sum()),
        int((counts > 0).sum()),
        tuple((texts[place], int(counts[place])) for place in most if counts[place]),
        codes=codes + 1,
    )
