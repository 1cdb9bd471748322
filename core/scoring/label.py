"""label: import the true labels of predictions from a file, whenever they are known."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from core.platform import (
    csv_dialect,
    model_store,
    project,
    schema,
    steps,
    storage,
    tables,
    tracking,
)
from core.platform.config import Settings
from core.platform.csv_dialect import NOTHING, Given
from core.platform.errors import InputError
from core.platform.messages import Message, Words
from core.platform.own_columns import LABEL, LABEL_FIELDS, LABELLED_AT, PREDICTION_ID
from core.platform.project import Column, ProjectSpec
from core.platform.rows import Rule, empty_rows, key_text, label_word, read
from core.platform.run_record import SILENT, Progress, Record, counted
from core.platform.storage import Upload
from core.predictions_log import labels, predictions
from core.scoring.records import LabelRun

# the same as in /labels
ID, WORD, TIME = LABEL_FIELDS
_FIELDS = {PREDICTION_ID: ID, LABEL: WORD, LABELLED_AT: TIME}
LISTED = 10_000
# Reports per transaction: predictions wait for it.
BLOCK = 20_000


class Options(csv_dialect.Options):
    """Where the labels are.

    Parameters
    ----------
    upload : Upload
        As returned by `storage.stage_upload`. The file has a column `prediction_id` or the
        project's id, one named as the project's target or `label`, and optionally `labelled_at`
        (ISO 8601, UTC without a zone, or seconds since 1970). If the project has a column of one
        of these three names, ours gets the prefix `courtside_`, as in a result file.
    data : {"real", "sample"}, optional
        Whether the project's ids refer to real rows or to the built-in sample. By default the
        sample if the champion was trained on it, otherwise real rows. Not needed with
        `prediction_id`.
    delimiter : {"comma", "semicolon", "tab", "bar"}, optional
        Field delimiter of a CSV file; detected by default.
    decimal : {"point", "comma"}, optional
        Decimal sign of a CSV file; detected by default.
    encoding : {"utf-8", "windows-1252"}, optional
        Encoding of a CSV file; detected by default.
    """

    upload: Upload
    data: Literal["real", "sample"] | None = None


@dataclass(frozen=True)
class Result:
    """Counts of the rows of the file.

    Parameters
    ----------
    new, repeated, changed, outdated, unmatched, rejected : int
        As in `core.predictions_log.labels.Counts`.
    """

    run_id: str
    rows: int
    new: int
    repeated: int
    changed: int
    outdated: int
    unmatched: int
    rejected: int


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Import labels from a file into the predictions log, as the run `RecepcaoRotulos`.

    Labels may arrive in any order, late, before their predictions, repeatedly, and contradict each
    other; the same file again changes nothing. Invalid rows are listed in
    `tables/rejected.parquet`, and the others are imported. A key refers to rows of one data source
    only, see `Options.data`.

    Raises
    ------
    InputError
        When the file cannot be read, lacks ids or labels, or has no valid row.
    StoreError
        When the log cannot be written; earlier blocks stay, and count as repeated when the file
        is imported again.
    """
    spec = project.of(settings)
    with tracking.step_run(settings, "label", options, progress) as run_id:
        progress.update(0.05, Message("Reading the rows"))
        path, name = storage.uploaded(settings, options.upload), options.upload.name
        frame, dialect = read_file(path, name, spec, options.given)
        is_sample = _is_sample(settings, spec, options)
        reports, places, rejected = _reports(frame, spec)
        arrived = time.time()
        done = dict.fromkeys((*labels.OUTCOMES, "unmatched"), 0)
        for start in range(0, len(reports), BLOCK):
            part = reports[start : start + BLOCK]
            counts = labels.report(
                settings, part, source="file", is_sample=is_sample, arrived=arrived
            )
            for key in done:
                done[key] += getattr(counts, key)
            rejected += [
                (places[start + refusal.index], refusal.reason) for refusal in counts.refusals
            ]
            taken = min(start + BLOCK, len(reports))
            progress.update(
                0.1 + 0.8 * taken / len(reports),
                counted(steps.named("label").title, taken, len(reports)),
            )
        done["rejected"] = len(rejected)
        rejected.sort(key=lambda refusal: refusal[0])
        listed = pd.DataFrame(rejected[:LISTED], columns=["row", "reason"])
        tracking.log(
            settings,
            run_id,
            Record(
                params={"file": name},
                metrics={
                    "rows": len(frame),
                    **{f"labels_{key}": value for key, value in done.items()},
                },
                tables={"rejected": listed},
                tags=LabelRun(source="file", csv_dialect=csv_dialect.listed([dialect])).write(),
                is_sample=is_sample,
            ),
        )
        if len(rejected) == len(frame):
            raise InputError(
                Message(
                    "No row of '{name}' can be used. Row {row:,}: {reason}. Correct the file and "
                    "import it again.",
                    name=name,
                    row=rejected[0][0],
                    reason=rejected[0][1],
                )
            )
        predictions.recount(settings)
        progress.update(
            1.0,
            Message(
                "{new:,} new labels, {changed:,} changed", new=done["new"], changed=done["changed"]
            ),
        )
    return Result(run_id, len(frame), **done)


def _is_sample(settings: Settings, spec: ProjectSpec, options: Options) -> bool:
    """Return whether the file's keys are of the sample's rows."""
    if options.data is not None:
        return options.data == "sample"
    champion = model_store.find_version(settings, spec.model, model_store.CHAMPION)
    return champion is not None and champion.is_sample


def read_file(
    path: Any, name: str, spec: ProjectSpec, given: Given = NOTHING
) -> tuple[pd.DataFrame, str]:
    """Return the id, the label and its time if present, and the dialect of a CSV file.

    Columns are named as in `core.platform.own_columns`; values are texts or numbers, unconverted.

    Parameters
    ----------
    name : str
        The user's name for the file.
    given : Given
        Dialect settings from the user.

    Raises
    ------
    InputError
        When it cannot be read or lacks a column.
    """
    head = tables.read_head(path, name, given.knowing(spec.source_columns))
    names = head.columns
    renamed = schema.taken_aliases(list(names), spec.columns)
    asked = fields(spec)
    renamed |= {
        theirs: own for own, theirs in asked.items() if theirs in names and own not in names
    }
    present = {renamed.get(column, column) for column in names}
    if not present & {PREDICTION_ID, spec.id}:
        raise InputError(_needs_column(name, asked[PREDICTION_ID], spec.id, names))
    if not present & {LABEL, spec.target}:
        raise InputError(_needs_column(name, spec.target, asked[LABEL], names))
    wanted = {
        field: Column(
            type="text",
            about=field,
            aliases=(
                spec.columns[field].aliases
                if field in spec.columns
                else tuple(name for name, own in renamed.items() if own == field)
            ),
        )
        for field in (*_FIELDS, spec.id, spec.target)
    }
    frame = tables.read(path, name, wanted, given).rename(columns=renamed)
    if LABEL not in frame:
        frame = frame.rename(columns={spec.target: LABEL})
        frame[LABEL] = _numbered(frame[LABEL], spec.columns[spec.target].rule)
    if frame.empty:
        raise InputError(Message("'{name}' has no rows.", name=name))
    labels_frame = frame[
        [column for column in (PREDICTION_ID, spec.id, LABEL, LABELLED_AT) if column in frame]
    ]
    return labels_frame, head.dialect.code if head.dialect else ""


def _numbered(values: pd.Series[Any], rule: Rule) -> pd.Series[Any]:
    """Return labels that are written in the project's words as 1 and 0; others as they are."""
    words = rule.labels
    if rule.positive and not rule.negative:
        distinct = set(values.dropna().map(label_word))
        if distinct <= {"0", "1"} and not distinct & words.keys():
            return values
        return read(values, rule).values
    return values.map(lambda label: words.get(label_word(label), label), na_action="ignore")


def fields(spec: ProjectSpec) -> dict[str, str]:
    """Return the name of each of our columns in a label file; project columns keep theirs.

    Examples
    --------
    >>> from core.platform import project
    >>> list(fields(project.load("kobe")).values())
    ['prediction_id', 'label', 'labelled_at']
    """
    return {own: own if name in spec.columns else name for own, name in _FIELDS.items()}


def _needs_column(name: str, first: str, second: str, names: tuple[str, ...]) -> Message:
    return Message(
        "'{name}' needs a column '{first}' or '{second}'. Its columns: {columns}.",
        name=name,
        first=first,
        second=second,
        columns=_some(names),
    )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names[:8]) + (" ..." if len(names) > 8 else "")


def _reports(
    frame: pd.DataFrame, spec: ProjectSpec
) -> tuple[list[labels.Report], list[int], list[tuple[int, Words]]]:
    """Return the reports, the file row of each from 1, and the invalid rows with reasons."""
    marks = spec.columns[spec.target].rule.missing
    values, faults = read(frame[LABEL], Rule("label", missing=marks))
    numbers, missing = values.tolist(), empty_rows(values, faults)
    # an id takes precedence over a key, if a file has both
    nothing = [None] * len(frame)
    ids = [_text(value) for value in frame[PREDICTION_ID]] if PREDICTION_ID in frame else nothing
    keys = [_key(value, spec) for value in frame[spec.id]] if spec.id in frame else nothing
    has_times = LABELLED_AT in frame
    times = (
        _seconds(frame[LABELLED_AT]) if has_times else pd.Series(float("nan"), index=frame.index)
    )
    untold = times.isna() & (frame[LABELLED_AT].map(_text).notna() if has_times else False)
    reports, places = [], []
    rejected: list[tuple[int, Words]] = []
    parts = zip(ids, keys, numbers, missing, times, untold, strict=True)
    for row, (identity, key, number, is_missing, at, is_untold) in enumerate(parts, start=1):
        if is_missing:
            rejected.append((row, Message("the label is neither 0 nor 1")))
        elif is_untold:
            rejected.append((row, labels.wrong_time(TIME)))
        elif identity is None and key is None:
            rejected.append((row, Message("needs either a prediction id or a key")))
        else:
            by_id = identity is not None
            reports.append(
                labels.Report(
                    label=number,
                    prediction_id=identity if by_id else None,
                    key=None if by_id else key,
                    labelled_at=None if at != at else at,
                )
            )
            places.append(row)
    return reports, places, rejected


def _key(value: object, spec: ProjectSpec) -> str | None:
    return key_text(value, spec.columns[spec.id].type)


def _text(value: object) -> str | None:
    text = "" if value is None or value != value or value is pd.NaT else str(value).strip()
    return text or None


def _seconds(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as seconds since 1970, missing if invalid."""
    if pd.api.types.is_datetime64_any_dtype(values):
        read = pd.to_datetime(values, utc=True)
    else:
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        texts = values.where(numbers.isna())
        read = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
        return numbers.fillna((read - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1))
    return (read - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
