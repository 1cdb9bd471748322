"""The project file that follows from the guesses about a table. Computes only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.data import guess_toml
from core.data.guess_columns import Profile
from core.data.guess_roles import Cut
from core.data.guess_target import classes
from core.data.guess_words import plain, truth
from core.platform import own_columns
from core.platform.messages import _
from core.platform.rows import NO, YES, label_word

# values of a column by which rows can be compared
MOST_SLICES = 12
SLICES = 4


@dataclass(frozen=True)
class Facts:
    """What goes into a project file."""

    name: str
    title: str
    question: str
    columns: Sequence[Profile]
    types: Mapping[str, str]
    target: str
    positive: str
    id: str
    time: str
    group: str
    weights: str
    cut: Cut
    threshold_by: str
    metric: str
    balanced: bool
    features: Sequence[str]
    left_out: Mapping[str, str]
    allowed: Sequence[str]
    costs: tuple[float, float] | None = None
    place: tuple[str, ...] = ()


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


def text(facts: Facts) -> str:
    """Return the project file, in TOML."""
    target = next(column for column in facts.columns if column.name == facts.target)
    positive, negative = _words(facts, target)
    head: dict[str, Any] = {
        "name": facts.name,
        "title": facts.title,
        "question": facts.question,
        "model": facts.name.replace("_", "-"),
        "target": facts.target,
        "positive": positive,
        "negative": negative,
    }
    roles = ("id", "time", "group", "weights")
    head |= {role: getattr(facts, role) for role in roles if getattr(facts, role)}
    head |= {
        "threshold": 0.5,
        "threshold_by": facts.threshold_by,
        **_costs(facts),
        # what is not said is the default
        **({} if facts.metric == "log_loss" else {"metric": facts.metric}),
        **({"balanced": True} if facts.balanced else {}),
        "missing": "impute",
        "features": list(facts.features),
        "slices": _slices(facts),
    }
    if facts.allowed:
        head["allowed"] = list(facts.allowed)
    columns = {}
    for column in facts.columns:
        if facts.left_out.get(column.name) == "empty":
            continue
        about: dict[str, Any] = {"type": facts.types[column.name]}
        if about["type"] == "date" and column.date_form != "year-month-day":
            about["date_form"] = column.date_form
        if column.name == facts.target:
            about |= _label(target, facts.positive)
        columns[column.name] = about
    place = dict(zip("xy", facts.place, strict=True)) if facts.place else {}
    tables = {
        "rows": facts.cut.keys,
        "place": place,
        "left_out": dict(facts.left_out),
        "columns": columns,
    }
    return guess_toml.text({**head, **tables}) + "\n"


def _costs(facts: Facts) -> dict[str, float]:
    if facts.threshold_by != "cost" or facts.costs is None:
        return {}
    return dict(zip(("cost_false_positive", "cost_false_negative"), facts.costs, strict=True))


def _words(facts: Facts, target: Profile) -> tuple[str, str]:
    """Return the words for both classes: the values themselves where they say something."""
    values = list(classes(target))
    others = [value for value in values if value != facts.positive]
    says_something = truth(values) is None and target.numbers is None
    if len(others) == 1 and says_something:
        return facts.positive, others[0]
    if says_something:
        return facts.positive, _("other than {value}", value=facts.positive)
    name = facts.target
    if len(others) == 1:
        return f"{name} = {facts.positive}", f"{name} = {others[0]}"
    return f"{name} = {facts.positive}", f"{name} ≠ {facts.positive}"


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


def _slices(facts: Facts) -> list[str]:
    """Return some features of few values, by which rows are compared."""
    able = [
        column.name
        for column in facts.columns
        if column.name in facts.features
        and column.kind in ("category", "boolean")
        and 2 <= column.distinct <= MOST_SLICES
        and not own_columns.is_own(column.name)
    ]
    return able[:SLICES]
