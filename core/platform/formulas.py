"""Formulas of the project file: a restricted expression language over columns."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from core.platform.messages import Message

FUNCTIONS = ("abs", "arctan2", "ceil", "cos", "exp", "floor", "log", "sin", "sqrt")
# for text columns: `matchup.str.contains("@")`
TEXT_METHODS = ("contains", "endswith", "slice", "startswith")
# a string, which may contain a backtick, or a name in backticks
_QUOTED = re.compile(r"""\"[^"]*\"|'[^']*'|`(?P<name>[^`]+)`""")
_ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Mod,
    ast.Pow,
    ast.USub,
    ast.UAdd,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.Eq,
    ast.NotEq,
)


def columns_in(formula: str) -> tuple[str, ...]:
    """Return the columns that a formula reads, in order, or refuse the formula.

    A formula is a subset of what `pandas.DataFrame.eval` takes: numbers, strings, columns,
    arithmetic, comparisons, the FUNCTIONS, and `column.str.<method>(...)` with the TEXT_METHODS.
    Nothing in it can reach beyond the frame. Names that are not identifiers are put in backticks.

    Raises
    ------
    ValueError
        With the reason, a message.

    Examples
    --------
    >>> columns_in("floor(sqrt(loc_x ** 2 + loc_y ** 2) / 10)")
    ('loc_x', 'loc_y')
    >>> columns_in('matchup.str.contains("@")')
    ('matchup',)
    >>> columns_in("`shot distance` + lat")
    ('shot distance', 'lat')
    >>> columns_in("lat.to_pickle('x')")
    Traceback (most recent call last):
    ValueError: 'lat.to_pickle('x')' is not a valid formula: lat.to_pickle is not allowed
    """
    quoted: dict[str, str] = {}
    try:
        tree = ast.parse(_without_backticks(formula, quoted), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise _invalid(formula, str(getattr(error, "msg", error))) from error
    names: dict[str, None] = {}
    _walk(tree.body, formula, names)
    if not names:
        raise ValueError(
            Message("'{formula}' is not a valid formula: it reads no column", formula=formula)
        )
    return tuple(quoted.get(name, name) for name in names)


def give(formula: str, kind: str, types: Mapping[str, str]) -> None:
    """Try a formula on two artificial rows; refuse it if it fails or its result is of another kind.

    Parameters
    ----------
    kind : {"number", "text"}
        Required kind of the result.
    types : mapping of str to str
        Each column's type in the project file.

    Raises
    ------
    ValueError
        With the reason, a message.

    Examples
    --------
    >>> give("day.str.slice(5, 7)", "text", {"day": "date"})
    >>> give("day + 1", "number", {"day": "date"})
    Traceback (most recent call last):
    ValueError: 'day + 1' is not a valid formula: ...
    """
    import pandas as pd

    usual: dict[str, list[object]] = {"text": ["a", "b"], "date": ["2000-10-31", "2001-01-02"]}
    frame = pd.DataFrame({name: usual.get(types[name], [1.0, 2.0]) for name in columns_in(formula)})
    try:
        values = frame.eval(formula, engine="python")
        if kind == "number":
            values.astype("float64")
    except Exception as error:
        raise _invalid(formula, str(error)) from error


def _invalid(formula: str, reason: str) -> ValueError:
    return ValueError(
        Message(
            "'{formula}' is not a valid formula: {reason} (put a column name with spaces in "
            "backticks: `two words`)",
            formula=formula,
            reason=reason,
        )
    )


def _without_backticks(formula: str, quoted: dict[str, str]) -> str:
    """Replace each name in backticks by an identifier, recorded in `quoted`."""

    def word(token: re.Match[str]) -> str:
        if token["name"] is None:
            return token[0]  # a string
        name = f"_quoted_{len(quoted)}_"
        quoted[name] = token["name"]
        return name

    return _QUOTED.sub(word, formula)


def _walk(node: ast.AST, formula: str, names: dict[str, None]) -> None:
    if isinstance(node, ast.Call):
        _check_call(node, formula, names)
        for argument in node.args:
            _walk(argument, formula, names)
        return
    if not isinstance(node, _ALLOWED):
        raise _not_allowed(node, formula)
    if isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str):
        raise _not_allowed(node, formula)
    if isinstance(node, ast.Name):
        names[node.id] = None
    for child in ast.iter_child_nodes(node):
        _walk(child, formula, names)


def _check_call(node: ast.Call, formula: str, names: dict[str, None]) -> None:
    called = node.func
    if node.keywords:
        raise _not_allowed(node, formula)
    if isinstance(called, ast.Name) and called.id in FUNCTIONS:
        return
    if (
        isinstance(called, ast.Attribute)
        and called.attr in TEXT_METHODS
        and isinstance(called.value, ast.Attribute)
        and called.value.attr == "str"
        and isinstance(called.value.value, ast.Name)
    ):
        names[called.value.value.id] = None
        return
    raise _not_allowed(called, formula)


def _not_allowed(part: ast.AST, formula: str) -> ValueError:
    return ValueError(
        Message(
            "'{formula}' is not a valid formula: {part} is not allowed",
            formula=formula,
            part=ast.unparse(part),
        )
    )
