"""The text of a project file. Computes only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def text(tables: Mapping[str, Any]) -> str:
    """Return a project file: plain keys first, then each table, whose tables are inline.

    Examples
    --------
    >>> print(text({"title": "Café", "rows": {"by": "none"}, "columns": {"a b": {"min": 1}}}))
    title = "Café"
    <BLANKLINE>
    [rows]
    by = "none"
    <BLANKLINE>
    [columns]
    "a b" = { min = 1 }
    """
    plain = {name: value for name, value in tables.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        if isinstance(table, Mapping) and table:
            lines += ["", f"[{_key(name)}]"]
            lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(name)} = {_value(part)}" for name, part in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(part) for part in value)}]"
    return _string(str(value))


def _string(value: str) -> str:
    # a TOML string is a JSON string, but for DEL; what no file can hold is replaced
    clean = value.encode("utf-8", "replace").decode()
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
