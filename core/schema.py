"""What a frame must hold, as the project file states it; all that is wrong is told at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import InputError
from core.project import Column, Identity, ProjectSpec

EXACT_LIMIT = 2**53  # a float from here on may stand for several whole numbers
EXAMPLES = 3
TOLD = 6  # sentences of one error message; the table has them all
# What a spreadsheet would run: =..., @..., and +... or -... that is no number.
SPREADSHEET = re.compile(r"^\s*(?:[=@\t\r]|[+-](?!\s*$|[\d.,]+(?:[eE][+-]?\d+)?%?\s*$))", re.DOTALL)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or odd, with a frame.

    Parameters
    ----------
    severity : {"error", "warning"}
        Errors stop, warnings do not.
    check : str
        Code that stays the same from report to report, e.g. `range`.
    column : str
        Where; empty for whole rows.
    rows : int or None
        How many rows; None where it is not about rows.
    examples : str
        Up to three of the values.
    where : str
        The first of these rows, by their id or their number.
    text : str
        The sentence for people.
    """

    severity: Literal["error", "warning"]
    check: str
    column: str
    rows: int | None
    examples: str
    where: str
    text: str


@dataclass(frozen=True)
class Validated:
    """A frame with the project's columns and types, and all that was found on the way.

    Parameters
    ----------
    frame : DataFrame
        The rows, columns in the order of the project file, types settled. Where there are errors,
        values that could not be settled are missing in it.
    findings : tuple of Finding
        Errors first.
    """

    frame: pd.DataFrame
    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """A sentence per error."""
        return tuple(found.text for found in self.findings if found.severity == "error")

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence per warning."""
        return tuple(found.text for found in self.findings if found.severity == "warning")

    def required(self) -> Validated:
        """Return this, or stop where there are errors.

        Raises
        ------
        InputError
            With a sentence for each error.
        """
        if errors := self.errors:
            more = len(errors) - TOLD
            end = f" And {more:,} more: see the validation report." if more > 0 else ""
            raise InputError(" ".join(errors[:TOLD]) + end)
        return self


def as_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return the findings as a table, a column per field.

    Examples
    --------
    >>> as_table([]).columns.tolist()
    ['severity', 'check', 'column', 'rows', 'examples', 'where', 'text']
    """
    names = list(Finding.__dataclass_fields__)
    table = pd.DataFrame([asdict(found) for found in findings], columns=names)
    return table.astype({"rows": "Int64"})


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
    """Return the frame with the stated columns and types, and all that is wrong or odd with it.

    Parameters
    ----------
    frame : DataFrame
        What was read; it is not changed.
    columns : mapping of str to Column
        What it must hold.
    optional : sequence of str
        Columns that may be absent.
    complete : sequence of str
        Columns without a missing value.
    filled : sequence of str
        Columns where a missing value is a warning.
    unique : str, optional
        Column whose values must be there and differ from row to row. With it, rows that repeat
        another in all other columns are a warning.
    identities : sequence of Identity
        Where they do not hold, it is a warning.
    unread : sequence of str
        Columns that the source has but the frame does not; told with those that are not used.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", min=-119, max=-117)}
    >>> found = inspect(pd.DataFrame({"lon": ["-118.2", "east", "3"], "x": 1}), wanted)
    >>> for one in found.findings:
    ...     print(one.severity, one.check, one.rows, one.text)
    error type 1 Column 'lon' must be a number: not so in 1 row ('east').
    error range 1 Column 'lon' must lie in -119..-117: not so in 1 row ('3').
    warning extra_column None 1 column is not used: 'x'.
    """
    named, found = _by_their_names(frame, columns, optional, unread)
    if named is None:
        return Validated(frame.iloc[:, :0], tuple(found))
    if frame.empty:
        found.append(_whole("no_rows", "", "The data has no rows."))
    present = {name: column for name, column in columns.items() if name in named.columns}
    settled: dict[str, pd.Series[Any]] = {}
    rules: dict[str, list[_Rule]] = {}
    for name, column in present.items():
        settled[name], broken, wanted = _settle(named[name], column)
        rules[name] = _value_rules(column, settled[name], broken, wanted)
        if name == unique or name in complete:
            rules[name].append(_not_missing(named[name]))
        elif name in filled:
            rules[name].append(_better_not_missing(named[name]))
        if name == unique:
            rules[name].append(_not_repeated)
    clean = pd.DataFrame(settled, index=frame.index)
    whole = [_identity(one) for one in identities if {one.column, *one.columns} <= set(present)]
    if unique in present and len(present) > 1:
        whole.append(_not_twice(str(unique)))
    found += _apply(clean, named, rules, whole, unique if unique in present else None)
    found.sort(key=lambda one: one.severity != "error")
    return Validated(clean, tuple(found))


def validate(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    *,
    optional: Sequence[str] = (),
    complete: Sequence[str] = (),
    unique: str | None = None,
) -> Validated:
    """Return the frame with the stated columns and types, or tell all that is wrong with it.

    Parameters are those of `inspect`.

    Raises
    ------
    InputError
        With every error found.

    Examples
    --------
    >>> validate(pd.DataFrame({"lom": [1]}), {"lon": Column(type="number", about="longitude")})
    Traceback (most recent call last):
    core.errors.InputError: Column 'lon' is missing. Is it 'lom'?
    """
    return inspect(frame, columns, optional=optional, complete=complete, unique=unique).required()


@dataclass(frozen=True)
class Refused:
    """Values of one column that cannot be used, all for one reason.

    Parameters
    ----------
    column, reason : str
    rows : array of bool
        Which rows of the frame.
    """

    column: str
    reason: str
    rows: Bools


def usable(
    frame: pd.DataFrame, columns: Mapping[str, Column]
) -> tuple[pd.DataFrame, list[Refused]]:
    """Return these columns in their types, and by which of their values rows cannot be used.

    The rules are those of `inspect`, asked row by row; a missing value breaks none of them. A value
    that is of another type is missing in what is returned.

    Parameters
    ----------
    frame : DataFrame
        Has a column of each name.

    Examples
    --------
    >>> wanted = {"lon": Column(type="number", about="longitude", min=-119, max=-117)}
    >>> clean, refused = usable(pd.DataFrame({"lon": ["-118.2", "east", "3"]}), wanted)
    >>> for one in refused:
    ...     print(one.rows.nonzero()[0].tolist(), one.reason)
    [1] must be a number
    [2] must lie in -119..-117
    """
    settled: dict[str, pd.Series[Any]] = {}
    refused = []
    for name, column in columns.items():
        values = frame[name]
        right = _at_one_look(values, column)
        if right is not None:
            settled[name] = right
            continue
        settled[name], broken, wanted = _settle(values, column)
        for rule in _value_rules(column, settled[name], broken, wanted):
            wrong: Bools = ~np.asarray(rule.holds(settled[name]), dtype=bool)
            if wrong.any():
                told = rule.tell(1, "").removeprefix(f"Column '{name}' ")
                refused.append(Refused(name, re.split(r": not so in|, in 1 row", told)[0], wrong))
    return pd.DataFrame(settled, index=frame.index, copy=False), refused


def _at_one_look(values: pd.Series[Any], column: Column) -> pd.Series[Any] | None:
    """Return numbers that break no rule, as most batches of a large file hold them; else None."""
    kinds = {"number": "if", "integer": "i", "label": "if"}.get(column.type, "")
    if not isinstance(values.dtype, np.dtype) or values.dtype.kind not in kinds:
        return None
    settled = values if column.type == "integer" else values.astype("float64", copy=False)
    array = settled.to_numpy()
    if column.type == "label":
        return settled if ((array == 0) | (array == 1) | np.isnan(array)).all() else None
    most = np.finfo(np.float64).max
    low = -most if column.min is None else column.min
    high = most if column.max is None else column.max
    # missing ones are passed over, infinite ones are beyond
    outside = np.fmin.reduce(array, initial=low) < low or np.fmax.reduce(array, initial=low) > high
    return None if outside else settled


def inspect_source(frame: pd.DataFrame, spec: ProjectSpec, unread: Sequence[str] = ()) -> Validated:
    """Return the rows of a source in the order of its id, and all that is wrong or odd with them.

    See `inspect`.
    """
    found = inspect(
        frame, spec.columns,
        filled=[name for name in spec.columns if name != spec.target],
        unique=spec.id, identities=spec.identities, unread=unread,
    )  # fmt: skip
    if found.errors:
        return found
    rows = found.frame.sort_values(spec.id, kind="stable").reset_index(drop=True)
    return Validated(rows, (*found.findings, *_of_labels(rows[spec.target], spec)))


def validate_source(frame: pd.DataFrame, spec: ProjectSpec) -> Validated:
    """Return the rows of a source in the order of its id.

    Raises
    ------
    InputError
        With every error found.
    """
    return inspect_source(frame, spec).required()


def chosen_columns(spec: ProjectSpec, names: Sequence[str]) -> dict[str, Column]:
    """Return the project's columns of these names, in their order.

    Raises
    ------
    InputError
        When the project has no column of one of the names: its file was changed since.

    Examples
    --------
    >>> from core.project import load
    >>> list(chosen_columns(load("kobe"), ["lon", "lat"]))
    ['lon', 'lat']
    """
    if unknown := [name for name in names if name not in spec.columns]:
        raise InputError(
            f"The project '{spec.name}' has no column {', '.join(unknown)} any more. Prepare and "
            "train again."
        )
    return {name: spec.columns[name] for name in names}


def aliases(columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the name that each alias stands for.

    Examples
    --------
    >>> aliases({"lon": Column(type="number", about="longitude", aliases=("lng",))})
    {'lng': 'lon'}
    """
    return {alias: name for name, column in columns.items() for alias in column.aliases}


def taken_aliases(names: Sequence[str], columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the aliases among these names, and what they stand for where that is not there too.

    Examples
    --------
    >>> lon = {"lon": Column(type="number", about="longitude", aliases=("lng",))}
    >>> taken_aliases(["lng", "lat"], lon), taken_aliases(["lng", "lon"], lon)
    ({'lng': 'lon'}, {})
    """
    known = aliases(columns)
    return {name: known[name] for name in names if known.get(name, name) not in names}


@dataclass(frozen=True)
class _Rule:
    """A check of one column, or of whole rows, and the sentence for where it does not hold.

    `holds` is given the settled column (or frame) and returns an array of bool; `tell` is given
    the count of rows and the examples.
    """

    code: str
    holds: Callable[[Any], Bools]
    tell: Callable[[int, str], str]
    severity: Literal["error", "warning"] = "error"
    column: str = ""


def _by_their_names(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    optional: Sequence[str],
    unread: Sequence[str],
) -> tuple[pd.DataFrame | None, list[Finding]]:
    """Return the frame with aliases replaced, and what is to be said of its columns.

    None instead of the frame when it is not worth a look at its values.
    """
    names = [str(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        return None, [
            _whole("repeated_column", name, f"Column '{name}' stands there more than once.")
            for name in repeated
        ]
    taken = taken_aliases(names, columns)
    named = frame.set_axis([taken.get(name, name) for name in names], axis="columns")
    twice = [name for name, count in named.columns.value_counts().items() if count > 1]
    if twice:
        both = ", ".join(f"'{alias}'" for alias, name in taken.items() if name in twice)
        text = f"{both} stand for the same column '{twice[0]}'. Keep one of them."
        return None, [_whole("repeated_column", str(twice[0]), text)]
    found = [
        _whole("alias", name, f"Column '{alias}' is taken as '{name}'.", "warning")
        for alias, name in taken.items()
    ]
    names = [str(name) for name in named.columns]
    missing = [name for name in columns if name not in names and name not in optional]
    extra = [*(name for name in names if name not in columns), *unread]
    if len(missing) > 5 and len(missing) > len(columns) / 2:
        text = (
            f"{len(missing)} of {len(columns)} columns are missing: {_listed(missing)}. "
            f"Found: {_listed([*names, *unread])}."
        )
        return None, [_whole("missing_column", "", text)]
    for name in missing:
        close = difflib.get_close_matches(name, extra, n=1, cutoff=0.5)
        # `made` for `shot_made_flag`
        close += [one for one in extra if len(one) >= 4 and one.lower() in name.lower()]
        hint = f" Is it '{close[0]}'?" if close else ""
        found.append(_whole("missing_column", name, f"Column '{name}' is missing.{hint}"))
    if extra:
        quoted = _listed([f"'{name}'" for name in extra])
        count = "1 column is" if len(extra) == 1 else f"{len(extra)} columns are"
        found.append(_whole("extra_column", "", f"{count} not used: {quoted}.", "warning"))
    return named, found


def _settle(values: pd.Series[Any], column: Column) -> tuple[pd.Series[Any], pd.Series[bool], str]:
    """Return the values in the column's type, which could not be, and what they had to be."""
    if column.type == "text":
        return _as_text(values)
    if column.type == "date":
        return _as_date(values)
    numbers = _numbers(values)
    exact = numbers.astype("int64") if _fits_int64(numbers) else None
    numbers = numbers.astype("float64")
    broken = (numbers.isna() & values.notna()) | np.isinf(numbers)
    wanted = "a number"
    if column.type == "integer":
        broken |= numbers.notna() & (numbers % 1 != 0)
        wanted = "a whole number"
        if exact is None and not broken.any():
            broken |= numbers.abs() >= EXACT_LIMIT
            if broken.any():
                wanted = f"a whole number below {EXACT_LIMIT:,}, to keep all its digits"
    elif column.type == "label":
        broken |= numbers.notna() & ~numbers.isin([0.0, 1.0])
        wanted = "0, 1 or empty"
    numbers = numbers.mask(broken)
    if column.type == "integer" and not numbers.isna().any():
        return (numbers.astype("int64") if exact is None else exact), broken, wanted
    return numbers, broken, wanted


def _as_text(values: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[bool], str]:
    plain = values.astype("object")
    broken = pd.Series(data=False, index=values.index)
    if pd.api.types.infer_dtype(plain, skipna=True) not in ("string", "empty"):
        broken = plain.map(lambda one: isinstance(one, bytes | list | tuple | dict | np.ndarray))
        plain = plain.mask(broken)
        plain = plain.where(plain.isna(), plain.astype(str))
    return plain, broken.astype(bool), "text"


def _as_date(values: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[bool], str]:
    plain = values.astype("object")
    # a parquet file can hold lists, which have no hash
    plain = plain.where(plain.map(lambda one: isinstance(one, Hashable)), "")
    codes, found = pd.factorize(plain)
    days = np.array([*(_day(one) for one in found), None], dtype="object")
    settled = pd.Series(days[codes], index=values.index, dtype="object", name=values.name)
    return settled, settled.isna() & values.notna(), "a day like 2000-10-31"


def _day(value: Any) -> str | None:
    # pandas would take a number for nanoseconds since 1970
    if isinstance(value, int | float | bool | np.number):
        return None
    day: Any = pd.to_datetime(value, errors="coerce", format="%Y-%m-%d")
    return None if pd.isna(day) else str(day.strftime("%Y-%m-%d"))


def _numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the values as numbers, missing where they are none."""
    # pandas would count the nanoseconds of times and drop the imaginary part
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if values.dtype.kind not in "mMc":
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.dtype.kind != "c":
            return numbers
    return pd.Series(np.nan, index=values.index, name=values.name)


def _fits_int64(numbers: pd.Series[Any]) -> bool:
    if not pd.api.types.is_integer_dtype(numbers.dtype) or numbers.isna().any():
        return False
    return numbers.empty or int(numbers.max()) <= np.iinfo("int64").max


def _value_rules(
    column: Column, settled: pd.Series[Any], broken: pd.Series[bool], wanted: str
) -> list[_Rule]:
    name = settled.name

    def must(rule: str) -> Callable[[int, str], str]:
        return lambda rows, few: f"Column '{name}' {rule}: not so in {_rows(rows)} ({few})."

    rules = [_Rule("type", lambda _: ~broken.to_numpy(), must(f"must be {wanted}"))]
    if column.min is not None or column.max is not None:
        low, high = (
            "" if end is None else f"{end:.10g}" for end in (column.min, column.max)
        )  # fmt: skip

        def within(values: pd.Series[Any]) -> Bools:
            inside = values.isna()
            least = -np.inf if column.min is None else column.min
            most = np.inf if column.max is None else column.max
            return np.asarray(inside | ((values >= least) & (values <= most)))

        rules.append(_Rule("range", within, must(f"must lie in {low}..{high}")))
    if column.type == "text":
        if column.categories:
            listed = _listed([f"'{one}'" for one in column.categories])
            known = set(column.categories)
            rules.append(
                _Rule("category", _by_value(known.__contains__), must(f"must be one of {listed}"))
            )
        if column.pattern:
            match = re.compile(column.pattern).fullmatch
            fits = _by_value(lambda text: match(text) is not None)
            rules.append(_Rule("pattern", fits, must(f"must look like {column.pattern}")))
        rules.append(
            _Rule(
                "spreadsheet_formula",
                _by_value(lambda text: SPREADSHEET.match(text) is None),
                lambda rows, few: (
                    f"Column '{name}' has cells that a spreadsheet would run as a formula, in "
                    f"{_rows(rows)} ({few}). Take them out."
                ),
            )
        )
    return rules


def _by_value(test: Callable[[str], bool]) -> Callable[[pd.Series[Any]], Bools]:
    """Return a test of a column that asks once for each distinct text; missing ones pass."""

    def holds(values: pd.Series[Any]) -> Bools:
        codes, texts = pd.factorize(values)
        passed: Bools = np.array([*(test(text) for text in texts), True], dtype=bool)[codes]
        return passed

    return holds


def _not_missing(raw: pd.Series[Any]) -> _Rule:
    there = raw.notna().to_numpy()

    def tell(rows: int, _: str) -> str:
        verb = "is" if rows == 1 else "are"
        return f"Column '{raw.name}' must not be missing: {_rows(rows)} {verb} empty."

    return _Rule("missing", lambda _: there, tell)


def _better_not_missing(raw: pd.Series[Any]) -> _Rule:
    there = raw.notna().to_numpy()

    def tell(rows: int, _: str) -> str:
        verb = "has" if rows == 1 else "have"
        return (
            f"{_rows(rows)} {verb} no '{raw.name}'. A preparation drops such rows, unless it is "
            "told otherwise."
        )

    return _Rule("missing", lambda _: there, tell, "warning")


def _of_labels(labels: pd.Series[Any], spec: ProjectSpec) -> list[Finding]:
    """Return what is odd with the labels as a whole: a classifier needs both of them."""
    found = labels.dropna().unique()
    if len(found) == 2:
        return []
    if len(found) == 1:
        name = spec.positive if found[0] == 1 else spec.negative
        text = f"All labels are '{name}'. A model cannot be trained on these rows alone."
    else:
        text = f"No row has a label ('{spec.target}'). A model cannot be trained on these rows."
    return [_whole("labels", spec.target, text, "warning")]


_not_repeated = _Rule(
    "unique",
    lambda values: np.asarray(values.isna() | ~values.duplicated()),
    lambda rows, few: (
        f"must not repeat a value: {_rows(rows)} {'does' if rows == 1 else 'do'} ({few})."
    ),
)


def _not_twice(unique: str) -> _Rule:
    def tell(rows: int, _: str) -> str:
        verb = "repeats" if rows == 1 else "repeat"
        return f"{_rows(rows)} {verb} another row in all columns but '{unique}'."

    return _Rule(
        "duplicate_row",
        lambda frame: ~frame.drop(columns=unique).duplicated().to_numpy(),
        tell,
        "warning",
    )


def _identity(one: Identity) -> _Rule:
    def holds(frame: pd.DataFrame) -> Bools:
        # as the formula was tried when the project file was loaded: numbers have fractions
        numbers = frame[list(one.columns)].select_dtypes("number").columns
        with np.errstate(all="ignore"):
            expected = frame.astype(dict.fromkeys(numbers, "float64")).eval(
                one.formula, engine="python"
            )
        off = (frame[one.column] - expected).abs() > one.tolerance
        return np.asarray(~off)

    return _Rule(
        "identity",
        holds,
        lambda rows, few: (
            f"Column '{one.column}' is not {one.formula} in {_rows(rows)} ({few}): {one.about}."
        ),
        "warning",
        one.column,
    )


def _apply(
    clean: pd.DataFrame,
    raw: pd.DataFrame,
    rules: Mapping[str, Sequence[_Rule]],
    whole: Sequence[_Rule],
    unique: str | None,
) -> list[Finding]:
    """Have pandera apply all rules, and return what it found."""
    import pandera.pandas as pandera

    asked: dict[tuple[str, str], _Rule] = {}

    def check(rule: _Rule, column: str) -> Any:
        key = (column, f"{rule.code} {len(asked)}")
        asked[key] = rule
        return pandera.Check(
            lambda values: pd.Series(rule.holds(values), index=values.index),
            name=key[1], ignore_na=False, n_failure_cases=1,
        )  # fmt: skip

    schema = pandera.DataFrameSchema(
        {
            name: pandera.Column(checks=[check(rule, name) for rule in found], nullable=True)
            for name, found in rules.items()
        },
        checks=[check(rule, "") for rule in whole],
    )
    if clean.empty:
        return []
    try:
        schema.validate(clean.reset_index(drop=True), lazy=True)
    except pandera.errors.SchemaErrors as failed:
        return [
            _finding(asked[(_column_of(error), error.check.name)], error, raw, unique)
            for error in failed.schema_errors
        ]
    return []


def _column_of(error: Any) -> str:
    # a check of whole rows has the frame's schema, which has no name
    return str(error.schema.name or "")


def _finding(rule: _Rule, error: Any, raw: pd.DataFrame, unique: str | None) -> Finding:
    if not isinstance(error.check_output, pd.Series):
        raise error  # the rule itself failed; that says nothing of the rows
    failed = np.flatnonzero(~np.asarray(error.check_output, dtype=bool))
    column = rule.column or _column_of(error)
    few = ""
    if column:
        # by their repr: a parquet file can hold lists, which have no hash
        shown = raw[column].iloc[failed[:1000]].map(repr).unique()[:EXAMPLES]
        few = ", ".join(text[:40] for text in shown)
    first = failed[:EXAMPLES]
    named = unique is not None and column != unique
    where = (
        f"{unique} " + ", ".join(raw[unique].iloc[first].map(str))
        if named
        else "row " + ", ".join(f"{place + 1:,}" for place in first)
    )
    text = rule.tell(len(failed), few)
    if rule is _not_repeated:
        text = f"Column '{column}' {text}"
    return Finding(rule.severity, rule.code, column, len(failed), few, where, text)


def _whole(
    check: str, column: str, text: str, severity: Literal["error", "warning"] = "error"
) -> Finding:
    return Finding(severity, check, column, None, "", "", text)


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
