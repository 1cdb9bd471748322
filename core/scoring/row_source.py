"""Sources of rows to score: one row, an upload, the production rows, files at an address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.data import snapshots
from core.platform import schema, storage, tables, tracking
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.findings import Validated, findings_table
from core.platform.messages import Message, loads
from core.platform.project import Column, ProjectSpec
from core.platform.rows import Fault, key_texts, read
from core.platform.run_record import Record
from core.scoring import batches
from core.scoring.batches import Batch, Part, Source
from core.scoring.part_records import Done

if TYPE_CHECKING:
    from core.scoring.score import Options


@dataclass(frozen=True)
class Rows:
    """The rows to score: in memory, or a source of parts.

    Parameters
    ----------
    columns : mapping of str to Column
        The model's inputs and, with labels, the target.
    names : mapping of str to str
        Column -> its name in the source.
    digest : str
        Identifies the source.
    key_fault : Fault or None
        Invalid keys of rows in memory.
    checked : Validated or None
        Validation result of rows in memory.
    dialects : tuple of str
        Of its CSV files.
    weights : array of float or None
        Sampling weight of each row in memory; None if a label has none.
    """

    columns: Mapping[str, Column]
    names: Mapping[str, str]
    target: str | None
    key: str | None
    parts: Sequence[Part]
    count: int
    digest: str = ""
    is_sample: bool = False
    source: Source | None = None
    frame: pd.DataFrame | None = None
    keys: Any = None
    key_fault: Fault | None = None
    checked: Validated | None = None
    dialects: tuple[str, ...] = ()
    weights: npt.NDArray[np.float64] | None = None

    def batches(self, size: int) -> Iterator[Batch] | None:
        """Return batches of the rows in memory, None if the source is read instead."""
        if self.frame is None:
            return None
        frame, keys, fault = self.frame, self.keys, self.key_fault

        def part(first: int) -> Batch:
            wrong = None
            if fault is not None:
                inside = (fault.rows >= first) & (fault.rows < first + size)
                wrong = replace(fault, rows=fault.rows[inside] - first)
            return Batch(
                first,
                frame.iloc[first : first + size].reset_index(drop=True),
                None if keys is None else keys.slice(first, size),
                wrong,
            )

        return (part(first) for first in range(0, len(frame), size))


def gather(
    settings: Settings, spec: ProjectSpec, options: Options, inputs: tuple[str, ...], run_id: str
) -> Rows:
    """Return the rows that the options specify.

    Raises
    ------
    InputError, NotReadyError
        When there are none, or they cannot be read.
    """
    columns = schema.chosen_columns(spec, inputs)
    if options.source == "path":
        return _of_path(spec, options, columns)
    is_sample, digest, checked = False, "", None
    dialects: tuple[str, ...] = ()
    if options.source == "row":
        values = {name: [(options.row or {}).get(name)] for name in inputs}
        frame = schema.validate(pd.DataFrame(values), columns).frame
    elif options.source == "upload":
        frame, checked, dialects = _of_upload(settings, spec, options, columns, run_id)
    else:
        archive = snapshots.Archive.of(settings)
        snapshot = archive.require_current()
        raw = archive.validated(snapshot, spec)
        frame = raw[raw[spec.rows.column] == spec.rows.production].reset_index(drop=True)
        if frame.empty:
            raise NotReadyError(
                Message(
                    "The raw data has no current rows. Acquire some, upload a file to score, or "
                    "send rows to the endpoint."
                )
            )
        is_sample = snapshot.is_sample
    keys = fault = None
    if spec.id in frame:
        import pyarrow

        rule = spec.columns[spec.id].rule
        texts = key_texts(frame[spec.id], rule.type)
        keys = pyarrow.array(texts, pyarrow.string())
        fault = next(iter(read(frame[spec.id], rule).faults), None)
    target = spec.target if spec.target in frame else None
    read_before = options.source == "production"
    of_target = (schema.settled_columns if read_before else schema.chosen_columns)(
        spec, (spec.target,) if target else ()
    )
    wanted = {**columns, **of_target}
    return Rows(
        wanted,
        {name: name for name in wanted},
        target,
        None,
        (Part(0, "", 0, len(frame)),),
        len(frame),
        digest,
        is_sample,
        frame=frame[list(wanted)],
        keys=keys,
        key_fault=fault,
        checked=checked,
        dialects=dialects,
        weights=_weights(spec, frame, target),
    )


def _weights(
    spec: ProjectSpec, frame: pd.DataFrame, target: str | None
) -> npt.NDArray[np.float64] | None:
    """Return the sampling weights of rows, None unless all that have a label have one."""
    if target is None or spec.weights is None or spec.weights not in frame:
        return None
    weights = pd.to_numeric(frame[spec.weights], errors="coerce")
    known = weights[frame[target].notna()]
    if not (known >= 0).all() or not known.sum() > 0:
        return None
    return weights.fillna(0.0).to_numpy(dtype=np.float64)


def _of_upload(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    columns: Mapping[str, Column],
    run_id: str,
) -> tuple[pd.DataFrame, Validated, tuple[str, ...]]:
    """Return an uploaded file's rows with our column names, and the validation result.

    The last element is the dialect of a CSV file.
    """
    assert options.upload is not None  # guaranteed by the options' validation
    extra = (spec.id, spec.target, *((spec.weights,) if spec.weights else ()))
    wanted = {**columns, **schema.chosen_columns(spec, extra)}
    path, name = storage.uploaded(settings, options.upload), options.upload.name
    mapped = {ours: theirs for ours, theirs in options.mapping.items() if ours in wanted}
    by_file = {mapped.get(ours, ours): column for ours, column in wanted.items()}
    head = tables.read_head(path, name, options.given.knowing(by_file))
    frame = tables.read(path, name, by_file, head=head)
    _refuse_absent(mapped, frame.columns, name)
    frame = frame.rename(columns={theirs: ours for ours, theirs in mapped.items()})
    checked = schema.inspect(frame, wanted, optional=extra)
    report = Record(tables={"validation": findings_table(checked.findings)})
    tracking.log(settings, run_id, report)
    # a wrong value concerns its row only; a missing column concerns all
    if any(finding.severity == "error" and finding.rows is None for finding in checked.findings):
        checked.required()
    frame = frame.rename(
        columns=schema.taken_aliases([str(column) for column in frame.columns], wanted)
    )
    return frame.reset_index(drop=True), checked, (head.dialect.code,) if head.dialect else ()


def _of_path(spec: ProjectSpec, options: Options, columns: Mapping[str, Column]) -> Rows:
    assert options.path is not None  # guaranteed by the options' validation
    wanted = {**columns, **schema.chosen_columns(spec, (spec.id, spec.target))}
    mapped = {ours: theirs for ours, theirs in options.mapping.items() if ours in wanted}
    by_file = {mapped.get(ours, ours): column for ours, column in wanted.items()}
    source = batches.inspect(options.path, given=options.given.knowing(by_file))
    _refuse_absent(mapped, source.columns, source.address)
    aliased = schema.taken_aliases(source.columns, wanted)
    names = {
        **{ours: theirs for theirs, ours in aliased.items()},
        **{name: name for name in wanted if name in source.columns},
        **mapped,
    }
    if missing := [name for name in columns if name not in names]:
        raise InputError(
            Message(
                "'{name}' has no column {columns}. Choose another one.",
                name=source.address,
                columns=missing,
            )
        )
    target = spec.target if spec.target in names else None
    usable = {name: column for name, column in wanted.items() if name in columns or name == target}
    return Rows(
        usable,
        names,
        target,
        spec.id if spec.id in names else None,
        source.parts,
        source.rows,
        source.digest,
        source=source,
        dialects=source.written,
    )


def _refuse_absent(mapped: Mapping[str, str], present: Iterable[object], name: str) -> None:
    if absent := [theirs for theirs in mapped.values() if theirs not in set(present)]:
        raise InputError(
            Message(
                "'{name}' has no column {columns}. Choose another one.", name=name, columns=absent
            )
        )


def refuse_nothing_left(rows: Rows, total: Done) -> None:
    """Raise InputError with the reason why no row was scored."""
    if rows.checked is not None:
        rows.checked.required()
    if total.listed:
        row, column, value, reason = total.listed[0]
        raise InputError(
            Message(
                "No row can be scored. Row {row:,}, column '{column}': '{value}' {reason}.",
                row=row,
                column=column,
                value=value,
                reason=loads(reason),
            )
        )
    raise InputError(Message("Every row lacks the value of a feature. There is nothing to score."))
