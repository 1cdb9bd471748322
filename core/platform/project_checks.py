"""Checks of a project file beyond the types of its keys: names and the roles of columns."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from core.platform import own_columns
from core.platform.messages import Message
from core.platform.project_parts import FaultError
from core.platform.rows import clean_cells

if TYPE_CHECKING:
    from core.platform.project import ProjectSpec


def names(spec: ProjectSpec) -> None:
    """Refuse names that mean two things, that are reserved, or that cannot be used.

    Raises
    ------
    FaultError
        With the key of the file that has the name.
    """
    known = [*spec.columns, *spec.engineered]
    known += [alias for column in spec.columns.values() for alias in column.aliases]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        raise FaultError(
            Message("used more than once: {names}", names=list(twice)), *place_of(spec, twice[0])
        )
    derived = {spec.id, spec.rows.column} & {own_columns.ID, own_columns.PART}
    if reserved := sorted({name for name in known if own_columns.is_own(name)} - derived):
        raise FaultError(_unusable(reserved), *place_of(spec, reserved[0]))
    if spec.id in own_columns.LABEL_FIELDS:
        raise FaultError(_unusable([spec.id]), "id")
    odd = sorted(name for name in known if not name.strip() or not name.isprintable())
    if odd:
        raise FaultError(_unusable([repr(name) for name in odd]), *place_of(spec, odd[0]))
    titles = [spec.features_title, *(feature_set.title for feature_set in spec.feature_sets)]
    if len(set(titles)) < len(titles):
        raise FaultError(
            Message("used more than once: {names}", names=list(titles)), "feature_sets", 0
        )
    if unknown := [preset.features for preset in spec.presets if preset.features not in titles]:
        place = [preset.features for preset in spec.presets].index(unknown[0])
        raise FaultError(
            Message("not in {table}: {names}", table="[[feature_sets]]", names=list(unknown)),
            "presets",
            place,
            "features",
        )
    presets = [preset.title for preset in spec.presets]
    if len(set(presets)) < len(presets):
        raise FaultError(Message("used more than once: {names}", names=list(presets)), "presets", 0)


def roles(spec: ProjectSpec) -> None:
    """Refuse columns that cannot have the role that the file gives them.

    Raises
    ------
    FaultError
        With the key of the file.
    """
    if spec.rows.by == "date":
        rule = spec.columns[str(spec.rows.of)].rule
        start = ("rows", "start")
        if rule.type not in ("date", "integer", "number"):
            raise FaultError(
                Message("{column} must be of type {type}", column=spec.rows.of, type="date"), *start
            )
        if not clean_cells([spec.rows.start], rule):
            raise FaultError(Message("use a form like {examples}", examples="2025-06-01"), *start)
    if spec.weights and spec.columns[spec.weights].type not in ("integer", "number"):
        raise FaultError(
            Message("{column} must be of type {type}", column=spec.weights, type="number"),
            "weights",
        )
    for key, part in (("court", spec.court), ("place", spec.place)):
        axes = [part.x, part.y] if part else []
        if any(spec.columns[name].type not in ("integer", "number") for name in axes):
            raise FaultError(
                Message("{column} must be of type {type}", column=axes, type="number"), key
            )
        if part and part.x == part.y:
            raise FaultError(Message("used more than once: {names}", names=[part.x]), key)
    if spec.icon and not _is_icon(spec.icon):
        raise FaultError(Message("use a form like {examples}", examples="🏀"), "icon")
    if spec.threshold_by == "cost" and not spec.cost_false_positive + spec.cost_false_negative:
        raise FaultError(
            Message("both error costs are 0: set at least one of them"), "threshold_by"
        )


def _is_icon(text: str) -> bool:
    """Return whether a text is an emoji, which may be made of several signs."""
    return len(text) <= 8 and unicodedata.category(text[0]) == "So" and not text.isascii()


def _unusable(names: list[str]) -> Message:
    return Message(
        "reserved for Courtside, empty, or with control characters: {names} (use another name; the "
        "source's can be an alias)",
        names=names,
    )


def place_of(spec: ProjectSpec, name: str) -> tuple[str, ...]:
    """Return the key that gives a column or an engineered feature this name or alias."""
    if name in spec.engineered and name not in spec.columns:
        return ("engineered", name)
    owners = (own for own, column in spec.columns.items() if name in column.aliases)
    return ("columns", next(owners, name))
