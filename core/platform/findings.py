"""Findings on a frame: faults and oddities, a sentence each, with the first rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform import row_faults
from core.platform.errors import InputError
from core.platform.messages import Message, Words, plural, sentences
from core.platform.rows import Fault

EXAMPLES = 3
# sentences of an error at most; the table has them all
MOST_SENTENCES = 6
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """A fault or an oddity of a frame.

    Parameters
    ----------
    severity : {"error", "warning"}
        Only errors stop the step.
    check : str
        Stable code, e.g. `range`.
    column : str
        Empty for whole rows.
    rows : int or None
        Number of rows; None if it is not about rows.
    examples : str
        Up to three values.
    where : Words
        The first of these rows, by id or number.
    """

    severity: Literal["error", "warning"]
    check: str
    column: str
    rows: int | None
    examples: str
    where: Words
    text: Words


@dataclass(frozen=True)
class Validated:
    """A frame with the project's columns and types, and the findings.

    Parameters
    ----------
    frame : DataFrame
        Columns are in the order of the project file and of its types. Values that could not be
        converted are missing.
    findings : tuple of Finding
        Errors first.
    """

    frame: pd.DataFrame
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Words, ...]:
        """A sentence per error."""
        return tuple(finding.text for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Words, ...]:
        """A sentence per warning."""
        return tuple(finding.text for finding in self.findings if finding.severity == "warning")

    def required(self) -> Validated:
        """Return this, or raise if there are errors.

        Raises
        ------
        InputError
            With a sentence for each error.
        """
        if errors := self.errors:
            more = len(errors) - MOST_SENTENCES
            end = Message("And {more:,} more: see the validation report.", more=more)
            raise InputError(sentences(*errors[:MOST_SENTENCES], end if more > 0 else ""))
        return self


def findings_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the findings as a table, one column per field.

    Examples
    --------
    >>> findings_table([]).columns.tolist()
    ['severity', 'check', 'column', 'rows', 'examples', 'where', 'text']
    """
    names = list(Finding.__dataclass_fields__)
    # not `asdict`, which takes messages apart
    lines = [[getattr(finding, name) for name in names] for finding in findings]
    table = pd.DataFrame(lines, columns=names)
    return table.astype({"rows": "Int64"})


def rows_finding(
    check: str,
    column: str,
    wrong: Bools,
    raw: pd.DataFrame,
    unique: str | None,
    tell: Callable[[int, str], Message],
    severity: Literal["error", "warning"] = "warning",
) -> list[Finding]:
    """Return the finding about these rows, if any; `tell` makes its sentence."""
    places = np.flatnonzero(wrong)
    if not len(places):
        return []
    few = ""
    if column:
        # by repr: a parquet file can contain lists, which are not hashable
        cells = _cells(raw[column], places[:1000])
        few = ", ".join(text[:40] for text in list(dict.fromkeys(map(repr, cells)))[:EXAMPLES])
    where = _first(places, column, raw, unique)
    text = tell(len(places), few)
    return [Finding(severity, check, column, len(places), few, where, text)]


def fault_finding(fault: Fault, raw: pd.DataFrame, unique: str | None) -> Finding:
    """Return the finding about a fault of the row contract."""
    where = _first(fault.rows, fault.column, raw, unique)
    few, text = ", ".join(fault.examples), row_faults.message(fault)
    return Finding("error", fault.code, fault.column, len(fault.rows), few, where, text)


def _first(places: Any, column: str, raw: pd.DataFrame, unique: str | None) -> Words:
    """Return the first of some rows, by id if available."""
    first = places[:EXAMPLES]
    if unique is not None and column != unique:
        return f"{unique} " + ", ".join(map(str, _cells(raw[unique], first)))
    numbers = ", ".join(str(place + 1) for place in first)
    return plural("row {numbers}", "rows {numbers}", len(first), numbers=numbers)


def _cells(values: pd.Series[Any], places: Any) -> list[Any]:
    """Return some values as Python's; pandas' own way takes ten times as long for a few."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biufO":
        cells: list[Any] = values.to_numpy()[places].tolist()
    else:
        cells = values.iloc[places].astype("object").tolist()
    return cells


def frame_finding(
    check: str, column: str, text: Words, severity: Literal["error", "warning"] = "error"
) -> Finding:
    """Return a finding that is not about single rows."""
    return Finding(severity, check, column, None, "", "", text)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return the first names in a text."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
