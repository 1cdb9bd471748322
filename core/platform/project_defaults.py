"""What a project file may leave out: the columns that Courtside derives instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from core.platform import own_columns
from core.platform.messages import Message, in_context
from core.platform.project_parts import CURRENT, REFERENCE, FaultError

_ID = {
    "type": "text",
    "about": in_context(
        "project", "number of the row in its file, and a digest of its values"
    ).msgid,
}
_PART = {
    "type": "text",
    "categories": (REFERENCE, CURRENT),
    "about": in_context("project", "for what the row is: the reference, or operation").msgid,
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


def completed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a project file with the columns that Courtside derives.

    Raises
    ------
    FaultError
        When `[rows]` lacks what its way of choosing needs.

    Examples
    --------
    >>> whole = completed({"columns": {"x": {"type": "number"}}})
    >>> whole["id"], whole["rows"]["by"], sorted(whole["columns"])
    ('courtside_id', 'none', ['courtside_id', 'courtside_part', 'x'])
    """
    whole = dict(given)
    columns = whole.get("columns")
    if not isinstance(columns, Mapping):
        return whole  # refused with its own sentence
    derived: dict[str, Any] = {}
    if whole.setdefault("id", own_columns.ID) == own_columns.ID:
        derived[own_columns.ID] = _ID
    rows = whole.get("rows", {"by": "none"})
    if isinstance(rows, Mapping):
        whole["rows"] = rows = _derived(rows, columns)
        if rows.get("column") == own_columns.PART:
            derived[own_columns.PART] = _PART
    whole["columns"] = {**columns, **derived}
    return whole


def _derived(rows: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return `[rows]`, with the derived column in place of the file's own where there is one."""
    by = rows.get("by", "value")
    if by not in _NEEDED or rows.get("column") == own_columns.PART:
        return dict(rows)
    for key in _NEEDED[by]:
        if key not in rows:
            fault = Message("rows chosen by {way} need `{key}`", way=f"'{by}'", key=key)
            raise FaultError(fault, "rows")
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
