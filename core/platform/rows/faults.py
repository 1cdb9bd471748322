"""Faults of rows: code, column, rows and parameters, and the only place that words them.

Copied into every registered model, so it imports nothing of core: `core.platform.row_faults` makes
messages of these words, and a model, which speaks English only, sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# The largest magnitude of a number. Trees work in float32, whose maximum 3.4e38 is also the no-data
# value of many programs; fourth powers (variances of squares) summed over 1e9 rows stay far below
# the maximum of float64, 1.8e308.
LARGEST = 1e38
# From here on, a float may represent several integers.
EXACT_LIMIT = 2**53
# Range of a pandas timestamp, in whole years: 1677-09-21 to 2262-04-11.
FIRST_YEAR, LAST_YEAR = 1678, 2261


@dataclass(frozen=True)
class Fault:
    """Values of one column that violate the contract for one reason; or a fault of whole rows.

    Parameters
    ----------
    code : str
        For values: type, magnitude, digits, range, category, pattern, spreadsheet_formula,
        unreadable, years or missing; see `words` for those of whole rows.
    rows : array of int
        Their positions, from 0.
    params : mapping
        Parameters of the words.
    examples : tuple of str
        Some of the values, formatted for display.
    """

    code: str
    column: str = ""
    rows: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), compare=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[str, ...] = ()


class Phrase(NamedTuple):
    """Words with their parameters, which can be phrases too.

    Parameters
    ----------
    one : str
        English, with places as of `str.format`.
    many : str
        For other values than 1 of the parameter `count`; empty if it does not matter.
    params : mapping
        Values for the places.
    """

    one: str
    many: str
    params: Mapping[str, Any]

    def __str__(self) -> str:
        count = self.params.get("count", 1)
        return (self.many if self.many and count != 1 else self.one).format(**self.params)

    def __format__(self, spec: str) -> str:
        return str(self)


def _both(one: str, many: str) -> tuple[str, str]:
    return one, many


# mark texts for translators
N_ = str
N2_ = _both


def sentence(fault: Fault) -> str:
    """Return the fault in English, for people.

    Examples
    --------
    >>> sentence(Fault("range", "lat", np.array([4]), {"min": 32.0, "max": 35.0}, ("1e+30",)))
    "Column 'lat' must lie in 32..35: violated in 1 row (1e+30), row 5."
    >>> sentence(Fault("missing", "lat", np.array([0, 2])))
    "Column 'lat' must not be missing: it is empty in 2 rows, first row 1."
    """
    return str(words(fault))


def words(fault: Fault) -> Phrase:
    """Return the fault in words with their parameters."""
    about = {
        "column": fault.column,
        "count": len(fault.rows),
        "row": int(fault.rows[0]) + 1 if len(fault.rows) else 0,
        "examples": ", ".join(fault.examples),
    }
    if fault.code in _WHOLE_ROWS:
        return _WHOLE_ROWS[fault.code](fault, about)
    if fault.code == "missing":
        both = N2_(
            "Column '{column}' must not be missing: it is empty in {count:,} row, row {row:,}.",
            "Column '{column}' must not be missing: it is empty in {count:,} rows, first "
            "row {row:,}.",
        )
    else:
        about["reason"] = reason(fault)
        both = N2_(
            "Column '{column}' {reason}: violated in {count:,} row ({examples}), row {row:,}.",
            "Column '{column}' {reason}: violated in {count:,} rows ({examples}), first "
            "row {row:,}.",
        )
    return Phrase(*both, about)


def reason(fault: Fault) -> Phrase:
    """Return the violated requirement, without the column.

    Examples
    --------
    >>> str(reason(Fault("type", "lat", params={"type": "number"})))
    'must be a number'
    """
    given = fault.params
    if fault.code == "type" and given["type"] == "label":
        labels = {"values": _quoted(given.get("words") or ("0", "1"))}
        return Phrase(N_("must be one of {values} or empty"), "", labels)
    if fault.code == "type":
        return Phrase(_WANTED[given["type"]], "", {})
    if fault.code == "magnitude":
        return _range(-LARGEST, LARGEST)
    if fault.code == "digits":
        text = N_("must be a whole number below {limit:,}, to keep all its digits")
        return Phrase(text, "", {"limit": EXACT_LIMIT})
    if fault.code == "range":
        return _range(given["min"], given["max"])
    if fault.code == "category":
        values = {"values": _quoted(given["categories"])}
        return Phrase(N_("must be one of {values}"), "", values)
    if fault.code == "pattern":
        return Phrase(N_("must match the pattern {pattern}"), "", {"pattern": given["pattern"]})
    if fault.code == "years":
        years = {"first": FIRST_YEAR, "last": LAST_YEAR}
        return Phrase(N_("must lie in the years {first} to {last}"), "", years)
    if fault.code == "unreadable":
        return Phrase(N_("must be text without broken characters"), "", {})
    if fault.code == "spreadsheet_formula":
        return Phrase(N_("must not be a formula that a spreadsheet would run"), "", {})
    return Phrase(N_("must not be missing"), "", {})


_WANTED = {
    "number": N_("must be a number"),
    "integer": N_("must be a whole number"),
    "boolean": N_("must be yes or no, true or false, 1 or 0, or empty"),
    "text": N_("must be text"),
    "date": N_("must be a date like 2000-10-31, or a date and time like 2000-10-31T19:30:00"),
}


def _range(low: float | None, high: float | None) -> Phrase:
    if low is None:
        return Phrase(N_("must be at most {max:.10g}"), "", {"max": high})
    if high is None:
        return Phrase(N_("must be at least {min:.10g}"), "", {"min": low})
    return Phrase(N_("must lie in {min:.10g}..{max:.10g}"), "", {"min": low, "max": high})


def _absent(fault: Fault, about: dict[str, Any]) -> Phrase:
    names = {name: ", ".join(fault.params[name]) for name in ("absent", "wanted")}
    return Phrase(N_("Missing columns: {absent}. The model expects {wanted}."), "", names)


def _ragged(fault: Fault, about: dict[str, Any]) -> Phrase:
    both = N2_(
        "Each row needs the same {width:,} values: {count:,} row has fewer or more, row {row:,}. "
        "Send null (CSV: nothing) for a value that is missing.",
        "Each row needs the same {width:,} values: {count:,} rows have fewer or more, first row "
        "{row:,}. Send null (CSV: nothing) for a value that is missing.",
    )
    return Phrase(*both, about | {"width": fault.params["width"]})


def _unequal(fault: Fault, about: dict[str, Any]) -> Phrase:
    sizes = ", ".join(f"{name} {size:,}" for name, size in fault.params["sizes"].items())
    text = N_("Each column needs the same number of values, but they have: {sizes}.")
    return Phrase(text, "", {"sizes": sizes})


def _repeated(fault: Fault, about: dict[str, Any]) -> Phrase:
    names = {"columns": ", ".join(fault.params["columns"])}
    return Phrase(N_("Repeated columns: {columns}. Column names must be unique."), "", names)


def _shape(fault: Fault, about: dict[str, Any]) -> Phrase:
    text = N_(
        "The request has no rows that can be read. Send `dataframe_split`, `dataframe_records`, "
        "`instances` or `inputs` with a value for each column, CSV or parquet."
    )
    return Phrase(text, "", {})


def _other_labels(fault: Fault, about: dict[str, Any]) -> Phrase:
    text = N_(
        "Column '{column}' holds {values} instead of {labels}. Say in the project file which "
        "values count as 1, with positive_values of this column (all others then count as 0), or "
        "choose another target."
    )
    labels = _quoted(fault.params["words"] or ("0", "1"))
    values = {"labels": labels, "values": _quoted(fault.params["values"])}
    return Phrase(text, "", {"column": fault.column, **values})


def _quoted(values: Sequence[str], most: int = 8) -> str:
    listed = ", ".join(f"'{value}'" for value in values[:most])
    return listed + (" ..." if len(values) > most else "")


_WHOLE_ROWS: Mapping[str, Callable[[Fault, dict[str, Any]], Phrase]] = {
    "absent_columns": _absent,
    "ragged_rows": _ragged,
    "different_columns": _ragged,
    "unequal_columns": _unequal,
    "repeated_columns": _repeated,
    "unread": _shape,
    "shape": _shape,
    "many_labels": _other_labels,
    "other_labels": _other_labels,
}
