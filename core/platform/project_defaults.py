"""What a project file may leave out, and how names that models cannot take are written instead.

LightGBM refuses the signs of JSON in names of features, and PyCaret drops them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from core.platform import own_columns
from core.platform.config import needs
from core.platform.errors import words_of
from core.platform.messages import in_context
from core.platform.project_parts import CURRENT, REFERENCE, FaultError, require_marks

_ID = {
    "type": "text",
    "about": in_context(
        "project", "number of the row in its file, and a digest of its values"
    ).msgid,
}
_PART = {
    "type": "text",
    "categories": (REFERENCE, CURRENT),
    "about": in_context("project", "what the row is for: reference or operation").msgid,
}
# the keys of [rows] that each way needs
_NEEDED = {
    "value": ("column", "production"),
    "date": ("column", "start"),
    "labels": (),
    "random": (),
    "file": ("file",),
    "none": (),
}


# signs that models refuse in a name, and what is written instead
_SIGNS = str.maketrans({"[": "(", "]": ")", "{": "(", "}": ")", ",": ";", ":": ".", '"': "'"})
# keys of the file that hold names, or lists of them
_NAMING = ("target", "id", "time", "group", "weights", "features", "slices", "error_slices")
_QUOTED = re.compile(r"`[^`]+`")


def completed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a project file with the columns that Courtside derives.

    A column whose name has signs that models refuse is called without them, and its own name is
    an alias.

    Raises
    ------
    FaultError
        When `[rows]` lacks what its way of choosing needs.

    Examples
    --------
    >>> whole = completed({"columns": {"x": {"type": "number"}}})
    >>> whole["id"], whole["rows"]["by"], sorted(whole["columns"])
    ('courtside_id', 'none', ['courtside_id', 'courtside_part', 'x'])
    >>> list(completed({"columns": {"income [EUR]": {"type": "number"}}})["columns"].items())[0]
    ('income (EUR)', {'about': 'income (EUR)', 'type': 'number', 'aliases': ('income [EUR]',)})
    """
    if not isinstance(given.get("columns"), Mapping):
        return dict(given)  # refused with its own sentence
    whole = _with_plain_names(given)
    columns = whole["columns"]
    derived: dict[str, Any] = {}
    if whole.setdefault("id", own_columns.ID) == own_columns.ID:
        derived[own_columns.ID] = _ID
    rows = whole.get("rows", {"by": "none"})
    if isinstance(rows, Mapping):
        whole["rows"] = rows = _derived(rows, columns)
        if rows.get("column") == own_columns.PART:
            derived[own_columns.PART] = _PART
    marks = _marks(whole.get("missing_values", ()))
    # a column without a description is described by its name
    described = {
        name: _marked({"about": name, **of}, marks) if isinstance(of, Mapping) else of
        for name, of in columns.items()
    }
    whole["columns"] = {**described, **derived}
    return whole


def _with_plain_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of the file with names that models can take."""
    whole = dict(given)
    if not any(
        _plain(name) != name for key in ("columns", "engineered") for name in whole.get(key, ())
    ):
        return whole
    whole["columns"] = {_plain(name): _aliased(name, of) for name, of in whole["columns"].items()}
    for key in (*_NAMING, "allowed"):
        if key in whole:
            whole[key] = _renamed(whole[key])
    if "engineered" in whole:
        whole["engineered"] = {
            _plain(name): _renamed(of) for name, of in whole["engineered"].items()
        }
    if "left_out" in whole:  # what is not read keeps its name
        known = given["columns"]
        whole["left_out"] = {
            _plain(name) if name in known else name: of for name, of in whole["left_out"].items()
        }
    for key in ("feature_sets", "identities"):
        if key in whole:
            whole[key] = [_renamed(of) for of in whole[key]]
    for key in ("rows", "court", "place"):
        if key in whole:
            whole[key] = _renamed(whole[key])
    return whole


def _renamed(value: Any) -> Any:
    """Return names in plain, alone, in a list, or in the fields of a part of the file."""
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_renamed(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    fields = {**value}
    for key in ("column", "x", "y", "features"):
        if key in fields:
            fields[key] = _renamed(fields[key])
    if isinstance(fields.get("formula"), str):
        fields["formula"] = _QUOTED.sub(lambda name: _plain(name[0]), fields["formula"])
    return fields


def _plain(name: str) -> str:
    return name.translate(_SIGNS)


def _aliased(name: str, column: Any) -> Any:
    if _plain(name) == name or not isinstance(column, Mapping):
        return column
    return {**column, "aliases": (*column.get("aliases", ()), name)}


def _marks(listed: Any) -> tuple[str, ...]:
    """Return the marks of missing values of the whole file; none where they are refused later."""
    if not _are_texts(listed):
        return ()
    try:
        require_marks(listed)
    except ValueError as error:
        raise FaultError(words_of(error), "missing_values") from error
    return tuple(listed)


def _marked(column: dict[str, Any], marks: tuple[str, ...]) -> dict[str, Any]:
    """Return a column with the marks of missing values of the whole file, unless it is text."""
    own = column.get("missing_values", ())
    if not marks or column.get("type") == "text" or not _are_texts(own):
        return column
    return {**column, "missing_values": tuple(dict.fromkeys([*own, *marks]))}


def _are_texts(listed: Any) -> bool:
    return isinstance(listed, list | tuple) and all(isinstance(value, str) for value in listed)


def _derived(rows: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return `[rows]`, with the derived column replacing the file's own if there is one."""
    by = rows.get("by", "value")
    if by not in _NEEDED or rows.get("column") == own_columns.PART:
        return dict(rows)
    for key in _NEEDED[by]:
        if key not in rows:
            raise FaultError(words_of(needs(f'by = "{by}"', key)), "rows")
    name = rows.get("column")
    kind = _type(columns.get(str(name)))
    if by == "value" and "development" in rows and kind in ("text", None):
        return dict(rows)
    kept = {
        key: value
        for key, value in rows.items()
        if key not in ("column", "development", "production")
    }
    if name is not None:
        kept["of"] = name
    if by == "value":
        kept["production_values"] = _listed(rows["production"])
        kept["development_values"] = _listed(rows.get("development", ()))
    if isinstance(rows.get("start"), date):  # TOML has dates of its own
        kept["start"] = rows["start"].isoformat()
    return {**kept, "column": own_columns.PART}


def _type(column: Any) -> Any:
    return column.get("type") if isinstance(column, Mapping) else getattr(column, "type", None)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)
