"""Validation of frames against the project file; all faults are reported together."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.platform import repeated_rows, row_faults, rows
from core.platform.errors import InputError
from core.platform.findings import (
    Bools,
    Finding,
    Validated,
    fault_finding,
    frame_finding,
    listed,
    rows_finding,
)
from core.platform.messages import Message, plural, sentences
from core.platform.project import Column, Identity, ProjectSpec
from core.platform.project import words as words_of_project
from core.platform.rows import Fault, label_word

# more labels with other values are another target, not typos
SLIPS = 0.05


def inspect(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    *,
    optional: Sequence[str] = (),
    complete: Sequence[str] = (),
    filled: Sequence[str] = (),
    unique: str | None = None,
    identities: Sequence[Identity] = (),
    unread: Sequence[str] = (),
) -> Validated:
    """Return the frame with the given columns and types, and all findings.

    Parameters
    ----------
    frame : DataFrame
        Not modified.
    optional : sequence of str
        Columns that may be absent.
    complete : sequence of str
        Columns in which a missing value is an error.
    filled : sequence of str
        Columns in which a missing value is a warning.
    unique : str, optional
        Column whose values must be present and unique. If given, rows that are equal in all other
        columns are a warning.
    identities : sequence of Identity
        Violations are a warning.
    unread : sequence of str
        Columns that the source has but the frame does not; reported with the unused ones.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", min=-119, max=-117)}
    >>> validated = inspect(pd.DataFrame({"lon": ["-118.2", "east", "3"], "x": 1}), wanted)
    >>> for finding in validated.findings:
    ...     print(finding.severity, finding.check, finding.rows, finding.text)
    error type 1 Column 'lon' must be a number: violated in 1 row ('east'), row 2.
    error range 1 Column 'lon' must lie in -119..-117: violated in 1 row (3), row 3.
    warning extra_column None Columns that are not used: 'x'.
    """
    named, findings = _by_their_names(frame, columns, optional, unread)
    if named is None:
        return Validated(frame.iloc[:, :0], tuple(findings))
    if frame.empty:
        findings.append(frame_finding("no_rows", "", Message("The data has no rows.")))
    present = {name: column for name, column in columns.items() if name in named.columns}
    by = unique if unique in present else None
    settled: dict[str, pd.Series[Any]] = {}
    odd: list[Finding] = []
    for name, column in present.items():
        raw = named[name]
        settled[name], faults = rows.read(raw, column.rule)
        if column.type == "label":
            faults = _other_labels(raw, column, faults)
        empty = rows.empty_rows(settled[name], faults)
        if empty.any() and (name == unique or name in complete):
            faults = (*faults, Fault("missing", name, np.flatnonzero(empty)))
        findings += [fault_finding(fault, named, by) for fault in faults]
        if name in filled and name != unique and name not in complete:
            odd += _empty(name, empty, named, by)
        if name == unique:
            odd += _repeated_values(settled[name], named)
    # the values are shared, not copied
    clean = pd.DataFrame(settled, index=frame.index, copy=False)
    for identity in identities:
        if {identity.column, *identity.columns} <= set(present):
            odd += _not_equal(identity, clean, named, by)
    if by is not None and len(present) > 1:
        odd += _repeated_rows(clean, named, by)
    findings += odd
    findings.sort(key=lambda finding: finding.severity != "error")
    return Validated(clean, tuple(findings))


def validate(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    *,
    optional: Sequence[str] = (),
    complete: Sequence[str] = (),
    unique: str | None = None,
) -> Validated:
    """Return the frame with the given columns and types, or raise with all faults.

    Parameters are those of `inspect`.

    Raises
    ------
    InputError
        With every error found.

    Examples
    --------
    >>> validate(pd.DataFrame({"lom": [1]}), {"lon": Column(type="number", about="longitude")})
    Traceback (most recent call last):
    core.platform.errors.InputError: Column 'lon' is missing. Did you mean 'lom'?
    """
    return inspect(frame, columns, optional=optional, complete=complete, unique=unique).required()


@dataclass(frozen=True)
class Refused:
    """Values of one column that cannot be used for one reason.

    Parameters
    ----------
    rows : array of bool
        Mask of rows.
    fault : Fault
        The row contract's fault.
    """

    column: str
    reason: Message
    rows: Bools
    fault: Fault


def usable(
    frame: pd.DataFrame, columns: Mapping[str, Column]
) -> tuple[pd.DataFrame, list[Refused]]:
    """Return these columns converted to their types, and the values that make rows unusable.

    The rules are those of `inspect`, applied row by row; missing values are valid. A value of
    another type becomes missing.

    Parameters
    ----------
    frame : DataFrame
        Contains all of the columns.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", min=-119, max=-117)}
    >>> clean, refused = usable(pd.DataFrame({"lon": ["-118.2", "east", "3"]}), wanted)
    >>> for refusal in refused:
    ...     print(refusal.rows.nonzero()[0].tolist(), refusal.reason)
    [1] must be a number
    [2] must lie in -119..-117
    """
    settled: dict[str, pd.Series[Any]] = {}
    refused = []
    for name, column in columns.items():
        settled[name], faults = rows.read(frame[name], column.rule)
        for fault in faults:
            wrong = np.zeros(len(frame), dtype=bool)
            wrong[fault.rows] = True
            refused.append(Refused(name, row_faults.reason(fault), wrong, fault))
    return pd.DataFrame(settled, index=frame.index, copy=False), refused


def inspect_source(frame: pd.DataFrame, spec: ProjectSpec, unread: Sequence[str] = ()) -> Validated:
    """Return the rows of a source sorted by id, with all findings.

    See `inspect`.
    """
    validated = inspect(
        frame,
        spec.columns,
        # no step needs a value of what is left out
        filled=[
            name
            for name in spec.source_columns
            if name != spec.target and name not in spec.left_out
        ],
        unique=spec.id,
        identities=spec.identities,
        unread=unread,
    )
    if validated.errors:
        return validated
    rows = validated.frame
    if not rows[spec.id].is_monotonic_increasing:
        rows = rows.sort_values(spec.id, kind="stable")
    rows = rows.set_axis(pd.RangeIndex(len(rows)), axis="index", copy=False)
    return Validated(rows, (*validated.findings, *_of_labels(rows[spec.target], spec)))


def no_columns(names: Sequence[str]) -> Message:
    """Return that the project has no columns of these names."""
    return Message(
        "The project does not have these columns: {columns}. Choose others, or prepare and train "
        "again.",
        columns=list(names),
    )


def chosen_columns(spec: ProjectSpec, names: Sequence[str]) -> dict[str, Column]:
    """Return the project's columns with these names, in this order.

    Raises
    ------
    InputError
        If the project has no such column, because its file was changed since.

    Examples
    --------
    >>> from core.platform.project import load
    >>> list(chosen_columns(load("kobe"), ["lon", "lat"]))
    ['lon', 'lat']
    """
    if unknown := [name for name in names if name not in spec.columns]:
        raise InputError(no_columns(unknown))
    return {name: spec.columns[name] for name in names}


def settled_columns(spec: ProjectSpec, names: Sequence[str]) -> dict[str, Column]:
    """Return the project's columns as `chosen_columns` does, for rows that were validated before.

    Their labels are 0 and 1, whatever words the source has for them.
    """
    return {
        name: column.model_copy(update={"positive_values": (), "negative_values": ()})
        if column.type == "label"
        else column
        for name, column in chosen_columns(spec, names).items()
    }


def aliases(columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the column name of each alias.

    Examples
    --------
    >>> aliases({"lon": Column(type="number", about="longitude", aliases=("lng",))})
    {'lng': 'lon'}
    """
    return {alias: name for name, column in columns.items() for alias in column.aliases}


def taken_aliases(names: Sequence[str], columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the aliases among these names with their columns, unless the column is there too.

    Examples
    --------
    >>> lon = {"lon": Column(type="number", about="longitude", aliases=("lng",))}
    >>> taken_aliases(["lng", "lat"], lon), taken_aliases(["lng", "lon"], lon)
    ({'lng': 'lon'}, {})
    """
    known = aliases(columns)
    return {name: known[name] for name in names if known.get(name, name) not in names}


def _by_their_names(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    optional: Sequence[str],
    unread: Sequence[str],
) -> tuple[pd.DataFrame | None, list[Finding]]:
    """Return the frame with aliases replaced, and the findings about its columns.

    None instead of the frame if its values need not be checked.
    """
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        return None, [
            frame_finding(
                "repeated_column",
                name,
                Message("Repeated columns: {columns}. Column names must be unique.", columns=name),
            )
            for name in repeated
        ]
    taken = taken_aliases(names, columns)
    named = frame.set_axis([taken.get(name, name) for name in names], axis="columns", copy=False)
    twice = [name for name, count in named.columns.value_counts().items() if count > 1]
    if twice:
        text = Message(
            "{names} are the same column '{column}'. Keep one of them.",
            names=[f"'{alias}'" for alias, name in taken.items() if name in twice],
            column=str(twice[0]),
        )
        return None, [frame_finding("repeated_column", str(twice[0]), text)]
    findings = [
        frame_finding(
            "alias",
            name,
            Message("Column '{alias}' is read as '{column}'.", alias=alias, column=name),
            "warning",
        )
        for alias, name in taken.items()
    ]
    names = [str(name) for name in named.columns]
    missing = [name for name in columns if name not in names and name not in optional]
    extra = [*(name for name in names if name not in columns), *unread]
    if len(missing) > 5 and len(missing) > len(columns) / 2:
        text = Message(
            "{missing} of {columns} columns are missing: {names}. Found: {others}.",
            missing=len(missing),
            columns=len(columns),
            names=listed(missing),
            others=listed([*names, *unread]),
        )
        return None, [frame_finding("missing_column", "", text)]
    for name in missing:
        close = difflib.get_close_matches(name, extra, n=1, cutoff=0.5)
        # `made` for `shot_made_flag`
        close += [
            heading for heading in extra if len(heading) >= 4 and heading.lower() in name.lower()
        ]
        hint = Message("Did you mean {name}?", name=f"'{close[0]}'") if close else ""
        text = sentences(Message("Column '{column}' is missing.", column=name), hint)
        findings.append(frame_finding("missing_column", name, text))
    if extra:
        text = Message(
            "Columns that are not used: {names}.", names=listed([f"'{name}'" for name in extra])
        )
        findings.append(frame_finding("extra_column", "", text, "warning"))
    return named, findings


def _other_labels(
    values: pd.Series[Any], column: Column, faults: tuple[Fault, ...]
) -> tuple[Fault, ...]:
    """Return a single fault if the target has other values; otherwise `faults`, which are typos."""
    broken = next((fault.rows for fault in faults if fault.code == "type"), None)
    if broken is None or (column.positive_values and not column.negative_values):
        return faults
    raw = values.dropna().astype("object")
    if not raw.map(lambda value: isinstance(value, str | int | float | np.number)).all():
        return faults
    words = raw.map(label_word)
    count = words.nunique()
    is_mixed = count - values.iloc[broken].map(label_word).nunique() == 2
    if count < 2 or (is_mixed and len(broken) < max(2, SLIPS * len(words))):
        return faults
    distinct = sorted(str(value).strip() for value in raw[~words.duplicated()])
    code = "other_labels" if count == 2 else "many_labels"
    params = {"count": count, "values": distinct, "words": tuple(column.rule.labels)}
    return (Fault(code, str(values.name), broken, params),)


def _of_labels(labels: pd.Series[Any], spec: ProjectSpec) -> list[Finding]:
    """Return warnings about the labels as a whole: a classifier needs both classes."""
    distinct = labels.dropna().unique()
    if len(distinct) == 2:
        return []
    if len(distinct) == 1:
        name = spec.positive if distinct[0] == 1 else spec.negative
        text = Message(
            "All labels are '{label}'. A classifier needs rows of both classes.",
            label=words_of_project(name),
        )
    else:
        text = Message(
            "No row has a label ('{target}'): a model cannot be trained on these rows alone.",
            target=spec.target,
        )
    return [frame_finding("labels", spec.target, text, "warning")]


def _empty(name: str, empty: Bools, raw: pd.DataFrame, unique: str | None) -> list[Finding]:
    def tell(rows: int, _: str) -> Message:
        return plural(
            "{count:,} row has no '{column}'. Prepare drops the row, or imputes the value.",
            "{count:,} rows have no '{column}'. Prepare drops the rows, or imputes the values.",
            rows,
            column=name,
        )

    return rows_finding("missing", name, empty, raw, unique, tell)


def _repeated_values(values: pd.Series[Any], raw: pd.DataFrame) -> list[Finding]:
    name = str(values.name)

    def tell(rows: int, few: str) -> Message:
        return plural(
            "Column '{column}' must not repeat a value: it does in {count:,} row ({examples}).",
            "Column '{column}' must not repeat a value: it does in {count:,} rows ({examples}).",
            rows,
            column=name,
            examples=few,
        )

    wrong = (values.notna() & values.duplicated()).to_numpy()
    return rows_finding("unique", name, wrong, raw, name, tell, "error")


def _repeated_rows(clean: pd.DataFrame, raw: pd.DataFrame, unique: str) -> list[Finding]:
    def tell(rows: int, _: str) -> Message:
        return plural(
            "{count:,} row repeats another row in all columns but '{unique}'.",
            "{count:,} rows repeat another row in all columns but '{unique}'.",
            rows,
            unique=unique,
        )

    wrong = repeated_rows.mask(clean, [str(name) for name in clean if name != unique])
    return rows_finding("duplicate_row", "", wrong, raw, unique, tell)


def _not_equal(
    identity: Identity, clean: pd.DataFrame, raw: pd.DataFrame, unique: str | None
) -> list[Finding]:
    # numbers are floats, as when the formula was tried at loading
    numbers = clean[list(identity.columns)].select_dtypes("number").columns
    with np.errstate(all="ignore"):
        floats = clean.astype(dict.fromkeys(numbers, "float64"))
        expected = floats.eval(identity.formula, engine="python")
    wrong = np.asarray((clean[identity.column] - expected).abs() > identity.tolerance)
    return rows_finding(
        "identity",
        identity.column,
        wrong,
        raw,
        unique,
        lambda rows, few: plural(
            "Column '{column}' is not {formula} in {count:,} row ({examples}): {about}.",
            "Column '{column}' is not {formula} in {count:,} rows ({examples}): {about}.",
            rows,
            column=identity.column,
            formula=identity.formula,
            examples=few,
            about=words_of_project(identity.about),
        ),
    )
