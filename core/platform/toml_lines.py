"""Line numbers of the keys of a TOML file, which `tomllib` does not report."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Key = tuple[str | int, ...]


def lines(text: str) -> dict[Key, int]:
    r"""Return the line, counted from 1, of each table and key of valid TOML.

    Tables of an array are numbered from 0, as in pydantic's locations.

    Examples
    --------
    >>> lines('a = 1\n[b]\nc = { d = 2 }\n[[e]]\nf = 3')
    {('a',): 1, ('b',): 2, ('b', 'c'): 3, ('b', 'c', 'd'): 3, ('e', 0): 4, ('e', 0, 'f'): 5}
    """
    starts: dict[Key, int] = {}
    table: Key = ()
    for begun, statement in _statements(text):
        parsed = tomllib.loads(statement)
        if not statement.lstrip().startswith("["):
            for key in _keys(parsed):
                starts.setdefault((*table, *key), begun)
            continue
        table = ()
        node: Any = parsed
        while node:
            if isinstance(node, list):
                number = len({key[len(table)] for key in starts if _is_in(key, table)})
                table, node = (*table, number), node[0]
            else:
                (name,) = node
                table, node = (*table, name), node[name]
                # in `[a.b]` an array `a` refers to its last table
                earlier = {key[len(table)] for key in starts if _is_in(key, table)}
                if isinstance(node, dict) and earlier and 0 in earlier:
                    table = (*table, len(earlier) - 1)
        starts[table] = begun
    return starts


def line_of(starts: Mapping[Key, int], key: Sequence[str | int]) -> int | None:
    """Return the line of a key, or of the nearest enclosing table.

    Examples
    --------
    >>> line_of({("b",): 2, ("b", "c"): 3}, ("b", "c", "missing")), line_of({}, ("x",))
    (3, None)
    """
    for length in range(len(key), 0, -1):
        if tuple(key[:length]) in starts:
            return starts[tuple(key[:length])]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with its first line: the fewest lines that parse on their own."""
    statement, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun if statement else number
        statement += line + "\n"
        try:
            empty = not tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a string or an array that ends on a later line
        if not empty:
            yield begun, statement
        statement = ""


def _keys(parsed: Any, above: Key = ()) -> Iterator[Key]:
    if above:
        yield above
    parts = parsed.items() if isinstance(parsed, dict) else ()
    for name, value in parts:
        yield from _keys(value, (*above, name))


def _is_in(key: Key, table: Key) -> bool:
    return len(key) > len(table) and key[: len(table)] == table and isinstance(key[len(table)], int)
