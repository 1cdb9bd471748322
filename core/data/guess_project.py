"""The project file that follows from the guesses about a table. Computes only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from core.data import guess_toml
from core.data.guess_columns import Profile
from core.data.guess_target import classes
from core.data.guess_words import plain, truth
from core.platform import own_columns
from core.platform.messages import _
from core.platform.rows import NO, YES, label_word, mark_word

if TYPE_CHECKING:
    from core.data.guess import Guesses

# values of a column by which rows can be compared
MOST_SLICES = 12
SLICES = 4


def type_of(column: Profile) -> str:
    """Return the type of a column in a project file."""
    if column.kind in ("date", "timestamp") or isinstance(column.low, str):
        return "date"
    if column.numbers is not None:
        return column.number_type
    words = {label_word(value) for value, _rows in column.values}
    # 1 and 2 as text are codes, and rows are not read with the words of every language
    is_read = words <= YES | NO and words != {"1", "2"}
    return "boolean" if column.kind == "boolean" and is_read else "text"


def name_of(text: str) -> str:
    """Return a text as the name of a project: lower-case letters, digits and `_`.

    Examples
    --------
    >>> name_of("Evasão 2024 (final).csv"), name_of("2013")
    ('evasao_2024_final', 'table_2013')
    """
    stem = re.sub(r"\.(csv|parquet|zip)$", "", plain(text))
    bare = re.sub(r"[^a-z0-9]+", "_", stem).strip("_")
    name = bare if re.match(r"[a-z]", bare) else f"table_{bare}"
    return name[:40].strip("_")


def text(
    guesses: Guesses, name: str, title: str, question: str, costs: tuple[float, float] | None = None
) -> str:
    """Return the project file, in TOML; see `Guesses.project_file`."""
    target = next(column for column in guesses.columns if column.name == guesses.target.value)
    positive, negative = _words(target, guesses.positive.value)
    head: dict[str, Any] = {
        "name": name,
        "title": title,
        "question": question,
        "model": name.replace("_", "-"),
        "target": target.name,
        "positive": positive,
        "negative": negative,
    }
    roles = {role: getattr(guesses, role).value for role in ("id", "time", "group", "weights")}
    head |= {role: column for role, column in roles.items() if column}
    head |= {"threshold": 0.5, "threshold_by": guesses.threshold_by.value}
    if guesses.threshold_by.value == "cost" and costs is not None:
        head |= zip(("cost_false_positive", "cost_false_negative"), costs, strict=True)
    # what is omitted is the default
    if guesses.metric.value != "log_loss":
        head["metric"] = guesses.metric.value
    if guesses.balanced.value:
        head["balanced"] = True
    head["missing"] = "impute"
    if marks := _marks(guesses):
        head["missing_values"] = marks
    head |= {"features": list(guesses.features), "slices": _slices(guesses)}
    if guesses.allowed:
        head["allowed"] = list(guesses.allowed)
    left_out = {name: line.code for name, line in guesses.left_out.items()}
    columns = {}
    for column in guesses.columns:
        if left_out.get(column.name) == "empty":
            continue
        about: dict[str, Any] = {"type": guesses.types[column.name].value}
        if about["type"] == "date" and column.date_form != "year-month-day":
            about["date_form"] = column.date_form
        if column.name == target.name:
            about |= _label(target, guesses.positive.value)
        columns[column.name] = about
    place = guesses.place.value
    tables = {
        "rows": guesses.current.value.keys,
        "place": dict(zip("xy", place, strict=True)) if place else {},
        "left_out": left_out,
        "columns": columns,
    }
    return guess_toml.text({**head, **tables}) + "\n"


def _words(target: Profile, positive: str) -> tuple[str, str]:
    """Return the words for both classes: the values themselves where they say something."""
    values = list(classes(target))
    others = [value for value in values if value != positive]
    says_something = truth(values) is None and target.numbers is None
    if len(others) == 1 and says_something:
        return positive, others[0]
    if says_something:
        return positive, _("other than {value}", value=positive)
    name = target.name
    if len(others) == 1:
        return f"{name} = {positive}", f"{name} = {others[0]}"
    return f"{name} = {positive}", f"{name} ≠ {positive}"


def _label(target: Profile, positive: str) -> dict[str, Any]:
    """Return which values of the target mean 1 and 0, unless it is written so."""
    values = list(classes(target))
    meanings = truth(values)
    if meanings is not None:
        own = [value for value in values if meanings[value] == meanings[positive]]
        others = [value for value in values if value not in own]
    else:
        own, others = [positive], [value for value in values if value != positive]
    if {*map(label_word, own)} == {"1"} and {*map(label_word, others)} == {"0"}:
        return {}
    written: dict[str, Any] = {"positive_values": [_plain(value) for value in own]}
    if len(values) == 2 or meanings is not None:
        written["negative_values"] = [_plain(value) for value in others]
    return written


def _plain(value: str) -> Any:
    return int(value) if re.fullmatch(r"-?(0|[1-9]\d{0,14})", value) else value


def _marks(guesses: Guesses) -> list[str]:
    """Return what stands for missing values in columns that are not kept as text."""
    listed = [
        mark
        for column in guesses.columns
        if guesses.types[column.name].value != "text"
        for mark in sorted(column.marks, key=lambda mark: -column.marks[mark])
    ]
    # case is ignored
    return list({mark_word(mark): mark for mark in reversed(listed)}.values())[::-1]


def _slices(guesses: Guesses) -> list[str]:
    """Return some features of few values, by which rows are compared."""
    able = [
        column.name
        for column in guesses.columns
        if column.name in guesses.features
        and column.kind in ("category", "boolean")
        and 2 <= column.distinct <= MOST_SLICES
        and not own_columns.is_own(column.name)
    ]
    return able[:SLICES]
