"""label: take in what became of predictions, from a file, whenever it is known."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core import config, project, schema
from core.adapters import labels, predictions, storage, tables, tracking
from core.adapters.storage import Upload
from core.config import Settings
from core.errors import InputError
from core.project import Column, ProjectSpec
from core.record import SILENT, Progress, Record

ID, LABEL, TIME = "prediction_id", "label", "labelled_at"
LISTED = 10_000
# Reports of one transaction: predictions wait for it.
BLOCK = 20_000


class Options(config.Options):
    """Where the labels are.

    Parameters
    ----------
    upload : Upload
        What `storage.stage_upload` returned. The file has a column `prediction_id` or the
        project's id, one named as the project's target or `label`, and may have `labelled_at`
        (a time of ISO 8601, UTC's where it names no zone, or seconds since 1970).
    """

    upload: Upload


@dataclass(frozen=True)
class Result:
    """What became of the rows of the file.

    Parameters
    ----------
    new, repeated, changed, outdated, unmatched, rejected : int
        As `core.adapters.labels.Counts` says.
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
    """Take labels from a file into the predictions log, as the run `RecepcaoRotulos`.

    Labels may come in any order, late, before their predictions, again, and at odds with each
    other; the same file again changes nothing. Rows that cannot be used are listed in
    `tables/rejected.parquet`, and the others are kept.

    Raises
    ------
    InputError
        When the file cannot be read, or names no predictions or no labels, or no row can be used.
    StoreError
        When the log cannot be written; the blocks before are kept, and taken as repeated when the
        file comes again.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "label", options, progress) as run_id:
        progress.update(0.05, "Reading the file")
        path, name = storage.uploaded(settings, options.upload), options.upload.name
        given = read_file(path, name, spec)
        reports, places, rejected = _reports(given, spec)
        arrived = time.time()
        done = dict.fromkeys((*labels.OUTCOMES, "unmatched"), 0)
        for start in range(0, len(reports), BLOCK):
            part = reports[start : start + BLOCK]
            counts = labels.report(settings, part, source="file", arrived=arrived)
            for key in done:
                done[key] += getattr(counts, key)
            rejected += [(places[start + one.index], one.reason) for one in counts.refusals]
            taken = min(start + BLOCK, len(reports))
            progress.update(
                0.1 + 0.8 * taken / len(reports), f"{taken:,} of {len(reports):,} labels taken in"
            )
        done["rejected"] = len(rejected)
        listed = pd.DataFrame(sorted(rejected)[:LISTED], columns=["row", "reason"])
        tracking.log(
            settings,
            run_id,
            Record(
                params={"file": name},
                metrics={
                    "rows": len(given),
                    **{f"labels_{key}": value for key, value in done.items()},
                },
                tables={"rejected": listed},
                tags={tracking.TAG + "source": "file"},
            ),
        )
        if len(rejected) == len(given):
            raise InputError(
                f"No row of '{name}' can be used: row {listed['row'][0]:,} "
                f"{listed['reason'][0]}. Correct the file and bring it again."
            )
        predictions.recount(settings)
        progress.update(1.0, f"{done['new']:,} new labels, {done['changed']:,} changed")
    return Result(run_id, len(given), **done)


def read_file(path: Any, name: str, spec: ProjectSpec) -> pd.DataFrame:
    """Return `prediction_id` or the project's id, `label`, and `labelled_at` if it is there.

    All values as texts or numbers, as they stand in the file.

    Parameters
    ----------
    path : Path
        Where the file lies.
    name : str
        What the person calls it.

    Raises
    ------
    InputError
        When it cannot be read or lacks a column.
    """
    found = tables.look(path, name).columns
    taken = schema.taken_aliases(list(found), spec.columns)
    known = {taken.get(one, one) for one in found}
    if not known & {ID, spec.id}:
        raise InputError(
            f"'{name}' does not say of which predictions: it has no column '{ID}' or '{spec.id}'. "
            f"It has {_some(found)}."
        )
    if not known & {LABEL, spec.target}:
        raise InputError(
            f"'{name}' has no column '{spec.target}' or '{LABEL}' with the labels. It has "
            f"{_some(found)}."
        )
    wanted = {
        one: Column(
            type="text", about=one,
            aliases=spec.columns[one].aliases if one in spec.columns else (),
        )
        for one in (ID, spec.id, LABEL, spec.target, TIME)
    }  # fmt: skip
    frame = tables.read(path, name, wanted).rename(columns=taken)
    if LABEL not in frame:
        frame = frame.rename(columns={spec.target: LABEL})
    if frame.empty:
        raise InputError(f"'{name}' has no rows.")
    return frame[[one for one in (ID, spec.id, LABEL, TIME) if one in frame]]


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(f"'{name}'" for name in names[:8]) + more


def _reports(
    given: pd.DataFrame, spec: ProjectSpec
) -> tuple[list[labels.Report], list[int], list[tuple[int, str]]]:
    """Return the reports, the row of each in the file from 1, and rows that are none, with why."""
    numbers = pd.to_numeric(given[LABEL], errors="coerce").tolist()
    missing = given[LABEL].isna() | (given[LABEL].astype(str).str.strip() == "")
    # an id counts before a key, where a file has both
    nothing = [None] * len(given)
    ids = [_text(value) for value in given[ID]] if ID in given else nothing
    keys = [_key(value, spec) for value in given[spec.id]] if spec.id in given else nothing
    has_times = TIME in given
    times = _seconds(given[TIME]) if has_times else pd.Series(float("nan"), index=given.index)
    untold = times.isna() & (given[TIME].map(_text).notna() if has_times else False)
    reports, places, rejected = [], [], []
    parts = zip(ids, keys, numbers, missing, times, untold, strict=True)
    for row, (identity, key, number, is_missing, at, is_untold) in enumerate(parts, start=1):
        if is_missing:
            rejected.append((row, "the label is missing"))
        elif is_untold:
            rejected.append((row, f"{TIME} is no time of the form 2026-01-31T12:00:00Z"))
        elif identity is None and key is None:
            rejected.append((row, f"names no prediction: its {ID} or {spec.id} is missing"))
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
    text = predictions.key_text(value)
    # a program wrote a column of whole numbers with a missing one as 12.0
    return text if text is None or spec.columns[spec.id].is_text else re.sub(r"\.0+$", "", text)


def _text(value: object) -> str | None:
    text = "" if value is None or value != value or value is pd.NaT else str(value).strip()
    return text or None


def _seconds(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as seconds since 1970, missing where they are none."""
    if pd.api.types.is_datetime64_any_dtype(values):
        read = pd.to_datetime(values, utc=True)
    else:
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        texts = values.where(numbers.isna())
        read = pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")
        return numbers.fillna((read - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1))
    return (read - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
