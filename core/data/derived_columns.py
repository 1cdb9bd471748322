"""The columns that a source does not have and Courtside derives: the id of a row, its part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform import schema
from core.platform.findings import Finding
from core.platform.messages import Message
from core.platform.own_columns import ID, PART
from core.platform.project import Column, ProjectSpec, Rows
from core.platform.project_parts import CURRENT, REFERENCE
from core.platform.rows import key_texts, label_word, read

Bools = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
# 64 bits of a hash as a share
_WHOLE = 2.0**64


def derive(frames: Sequence[pd.DataFrame], names: Sequence[str], spec: ProjectSpec) -> pd.DataFrame:
    """Return the rows of several files as one frame, with the derived columns of the project.

    An id is the number of the row in its file and a digest of its values but the label, so that it
    stays the same when rows are appended and when labels arrive.

    Parameters
    ----------
    frames : sequence of DataFrame
        As `tables.read` returns them, in the order of a snapshot.
    names : sequence of str
        The files' names.

    Examples
    --------
    >>> from core.platform.project import ProjectSpec
    >>> spec = ProjectSpec(name="x", title="X", question="?", model="x", target="y", positive="yes",
    ...     negative="no", features=("x",), columns={"x": {"type": "number"},
    ...     "y": {"type": "label"}}, rows={"by": "labels"})
    >>> derive([pd.DataFrame({"x": [1, 2], "y": [0, None]})], ["a.csv"], spec)
    ...     # doctest: +NORMALIZE_WHITESPACE
       x    y      courtside_id courtside_part
    0  1  0.0  0000001-53ad63a6      reference
    1  2  NaN  0000002-ae066397        current
    """
    rows = joined(frames, spec.source_columns)
    if not spec.derived or rows.columns.has_duplicates:
        return rows  # repeated columns are refused later, with their names
    sizes = [len(frame) for frame in frames]
    # columns are added to another frame with the same values, which are not copied
    rows = rows.copy(deep=False)
    if ID in spec.derived:
        rows[ID] = _ids(rows, sizes, spec)
    if PART in spec.derived:
        current = _current(rows, sizes, names, spec)
        # None is neither
        rows[PART] = pd.Series(current).map({True: CURRENT, False: REFERENCE}).to_numpy()
    return rows


def joined(frames: Sequence[pd.DataFrame], columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return the rows of several files as one frame, with aliases renamed to their columns.

    Examples
    --------
    >>> lon = {"lon": Column(type="number", about="longitude", aliases=("lng",))}
    >>> joined([pd.DataFrame({"lon": [1]}), pd.DataFrame({"lng": [2]})], lon)["lon"].tolist()
    [1, 2]
    """
    named = []
    for frame in frames:
        taken = schema.taken_aliases([str(name) for name in frame.columns], columns)
        named.append(frame.rename(columns=taken) if taken else frame)
    return named[0] if len(named) == 1 else pd.concat(named, ignore_index=True)


def findings(frame: pd.DataFrame, spec: ProjectSpec) -> list[Finding]:
    """Return warnings about the way in which current rows are chosen: where there are none."""
    rows = spec.rows
    if not rows.is_derived or rows.by == "none" or (frame[PART] == CURRENT).any():
        return []
    text = Message(
        "No row is current by [rows] of the project file ({how}). All rows are the reference.",
        how=rows.how,
    )
    return [Finding("warning", "no_current_rows", PART, None, "", "", text)]


def _ids(frame: pd.DataFrame, sizes: Sequence[int], spec: ProjectSpec) -> list[str]:
    total: Hashes = np.zeros(len(frame), dtype=np.uint64)
    for name in sorted(set(frame.columns) & set(spec.source_columns) - {spec.target}):
        total = total * np.uint64(1_000_003) + _hashes(frame[name])
    numbers = np.concatenate([np.arange(1, size + 1) for size in sizes])
    # the high bits of a product depend on all of its bits
    digests = (total ^ (total >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    ids = [
        f"{number:07d}-{digest:08x}"
        for number, digest in zip(numbers.tolist(), digests.tolist(), strict=True)
    ]
    if len(sizes) == 1:
        return ids
    # equal rows at the same place of several files
    again = pd.Series(ids).groupby(ids).cumcount().tolist()
    return [
        f"{name}-{count + 1}" if count else name for name, count in zip(ids, again, strict=True)
    ]


def _hashes(values: pd.Series[Any]) -> Hashes:
    """Return a hash of each value; a number has the same, whether others are missing or not."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        plain: Any = values.to_numpy("float64", na_value=np.nan)
    else:
        codes, cells = pd.factorize(values.astype("object").map(str, na_action="ignore"))
        plain = np.array([*cells, ""], dtype="object")[codes]
    return np.asarray(pd.util.hash_array(plain), dtype=np.uint64)


def _current(
    frame: pd.DataFrame, sizes: Sequence[int], names: Sequence[str], spec: ProjectSpec
) -> npt.NDArray[Any]:
    """Return whether each row is current; None for a row that is for nothing."""
    rows = spec.rows
    nothing = np.zeros(len(frame), dtype=bool)
    if rows.by == "file":
        of_file = [_is_file(name, rows) for name in names]
        return np.repeat(of_file, sizes)
    if rows.by == "labels":
        return _unlabelled(frame, spec)
    if rows.by == "random" and spec.id in frame:
        # a reference has labels: rows that differ from it only by their label would appear drifted
        return _random(frame[spec.id], spec) & ~_unlabelled(frame, spec)
    if rows.by == "date" and rows.of in frame:
        return _from_start(frame[rows.of], spec)
    if rows.by == "value" and rows.of in frame:
        return _by_value(frame[rows.of], spec)
    return nothing


def _is_file(name: str, rows: Rows) -> bool:
    return name.rsplit("/", 1)[-1].casefold() == str(rows.file).casefold()


def _random(ids: pd.Series[Any], spec: ProjectSpec) -> Bools:
    kind = spec.columns[spec.id].type
    texts: npt.NDArray[Any]
    if spec.id == ID:
        texts = ids.to_numpy()  # derived as key texts
    else:
        texts = np.array([text or "" for text in key_texts(ids, kind)], dtype="object")
    hashes = pd.util.hash_array(texts, hash_key=f"{spec.rows.seed:016d}", categorize=False)
    return np.asarray(hashes / _WHOLE < spec.rows.share, dtype=bool)


def _unlabelled(frame: pd.DataFrame, spec: ProjectSpec) -> Bools:
    if spec.target not in frame:
        return np.zeros(len(frame), dtype=bool)
    values = read(frame[spec.target], spec.columns[spec.target].rule).values
    return np.asarray(values.isna(), dtype=bool)


def _from_start(values: pd.Series[Any], spec: ProjectSpec) -> npt.NDArray[Any]:
    rule = spec.columns[str(spec.rows.of)].rule
    start = read(pd.Series([spec.rows.start]), rule).values.iloc[0]
    read_values = read(values, rule).values
    known = read_values.notna().to_numpy()
    later = np.full(len(values), None, dtype=object)
    later[known] = (read_values[known] >= start).to_numpy()
    return later


def _by_value(values: pd.Series[Any], spec: ProjectSpec) -> npt.NDArray[Any]:
    codes, cells = pd.factorize(values.map(label_word, na_action="ignore"))
    wanted = {label_word(value) for value in spec.rows.production_values}
    others = {label_word(value) for value in spec.rows.development_values}
    # without values for training, all others are for training
    rest = None if others else False
    known = {**dict.fromkeys(others, False), **dict.fromkeys(wanted, True)}
    kinds: npt.NDArray[Any] = np.array([*map(known.get, cells), rest], dtype=object)
    kinds[pd.isna(kinds)] = rest
    return np.asarray(kinds[codes])
