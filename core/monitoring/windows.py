"""Windows of predictions for a report: those of a scoring, or from the predictions log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from core.data.snapshots import Archive
from core.platform import model_store, schema
from core.platform.config import Settings
from core.platform.errors import InputError, NotReadyError
from core.platform.messages import Message, Words, plural
from core.platform.own_columns import MODEL, ROW_KEY, SCORED_AT, SOURCE
from core.platform.project import ProjectSpec
from core.platform.rows import key_text, key_texts
from core.platform.runs import ModelVersion
from core.platform.schema import no_columns
from core.predictions_log import predictions
from core.predictions_log.predictions import Filters, Scoring

# Fewer rows cannot fill the bins of a PSI.
MIN_ROWS = 100
# More rows would not change the report: the newest are used.
MOST_ROWS = 200_000
# Most values to name in a sentence.
MOST_NAMED = 5
# in seconds since 1970; beyond it, a time zone may leave the calendar
_YEAR_9999 = 253_370_764_800


@dataclass(frozen=True)
class Window:
    """Predictions of one model version, and the period that they cover.

    Parameters
    ----------
    rows : DataFrame
        The row's key, its probability and label (0, 1 or NaN) by their names in
        `core.platform.own_columns`, and the inputs, in no particular order; and any requested
        columns of the project that are known.
    begin, end : float
        Seconds since 1970: when the first and the last was scored, or, if the rows were selected
        by a column's value, the first and last moment of the rows' own time column.
    scoring_run : str or None
        The scoring, if it is one.
    is_sample : bool
        Whether the rows, or the model that scored them, are of the built-in sample.
    """

    rows: pd.DataFrame
    text: Message
    begin: float
    end: float
    source: str
    version: ModelVersion
    scoring_run: str | None = None
    is_sample: bool = False


def of_scoring(settings: Settings, run_id: str | None) -> Window:
    """Return all rows of a scoring; by default of the newest with at least 100 rows.

    Raises
    ------
    NotReadyError
        When nothing, or too little, was scored yet.
    """
    scoring = _scoring(settings, run_id)
    version = model_store.require_version(settings, scoring.model, scoring.version)
    rows = predictions.read(settings, scoring.run_id)
    source = predictions.SOURCE_LABELS.get(scoring.source, scoring.source)
    text = Message("{rows:,} rows of one scoring ({source})", rows=len(rows), source=source)
    return Window(
        rows,
        text,
        scoring.scored_at,
        scoring.scored_at,
        scoring.source,
        version,
        scoring.run_id,
        scoring.is_sample or version.is_sample,
    )


def of_log(
    settings: Settings,
    spec: ProjectSpec,
    version: ModelVersion,
    *,
    since: float | None = None,
    until: float | None = None,
    last: int | None = None,
    source: str | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
    by_row: bool = False,
) -> Window:
    """Return a version's predictions from the predictions log.

    A row that was scored again, by its natural key, counts once, with its newest prediction. Shadow
    copies are left out, and so are scorings stored as a file, and rows of the sample if the version
    was trained on real ones.

    Parameters
    ----------
    since, until : float, optional
        When it was scored, seconds since 1970; `until` is exclusive.
    last : int, optional
        Most rows, the newest.
    where : mapping of str to sequence of str, optional
        Selected values per column, as text. Columns that the log does not have are looked up in the
        current raw data by the natural key; rows that are not there are left out.
    by_row : bool
        Whether `since` and `until` are of the rows' own time, not of when they were scored.

    Raises
    ------
    InputError
        For a column that the project does not have; `by_row` in a project without dates.
    NotReadyError
        When fewer than 100 rows are left.
    """
    chosen = where or {}
    if unknown := [name for name in chosen if name not in spec.columns]:
        raise InputError(no_columns(unknown))
    if by_row and (spec.time is None or spec.columns[spec.time].type != "date"):
        raise InputError(Message("The project names no column of time."))
    filters = Filters(
        since=None if by_row else since,
        until=None if by_row else until,
        source=source,
        version=version.version,
        is_shadow=False,
        is_sample=version.is_sample,
    )
    rows, is_capped = _newest(settings, filters, version.name, None if chosen or by_row else last)
    unknown_rows = 0
    if chosen or by_row:
        archive = Archive.of(settings)
        rows, unknown_rows = _chosen(archive, spec, rows, chosen, is_sample=version.is_sample)
    if by_row:
        rows = _between(rows, str(spec.time), since, until)
    rows = rows.head(last) if last else rows
    text = _text(len(rows), since, until, last, source, chosen, spec.time if by_row else None)
    if is_capped:
        text = Message("{rows}, the newest", rows=text)
    if unknown_rows:
        text = plural(
            "{rows}; without {count:,} row that the raw data does not have",
            "{rows}; without {count:,} rows that the raw data does not have",
            unknown_rows,
            rows=text,
        )
    if len(rows) < MIN_ROWS:
        raise NotReadyError(
            Message(
                "Too few rows: {rows}. At least {least} are needed to compare. Score more rows, or "
                "choose a longer window.",
                rows=text,
                least=MIN_ROWS,
            )
        )
    begin, end = float(rows[SCORED_AT].min()), float(rows[SCORED_AT].max())
    if chosen or by_row:
        begin, end = _span(rows, spec.time) or (begin, end)
    sources = sorted(rows[SOURCE].unique())
    return Window(
        rows, text, begin, end, source or ", ".join(sources), version, is_sample=version.is_sample
    )


def _newest(
    settings: Settings, filters: Filters, model: str, last: int | None
) -> tuple[pd.DataFrame, bool]:
    """Return the newest prediction of each row, and whether there are more than MOST_ROWS."""
    asked = min(last or MOST_ROWS, MOST_ROWS)
    while True:
        browsed = predictions.browse(settings, filters, limit=asked)
        rows = browsed[browsed[MODEL] == model]
        again = rows[ROW_KEY].notna() & rows.duplicated(ROW_KEY)
        rows = rows[~again].reset_index(drop=True)
        is_all = len(browsed) < asked
        if is_all or asked == MOST_ROWS or len(rows) >= (last or MOST_ROWS):
            return rows, not is_all and asked == MOST_ROWS
        asked = min(2 * asked, MOST_ROWS)


def with_columns(
    archive: Archive,
    spec: ProjectSpec,
    rows: pd.DataFrame,
    names: Sequence[str],
    *,
    is_sample: bool,
) -> tuple[pd.DataFrame, int]:
    """Return rows with more of the project's columns, from the raw data by the natural key.

    Parameters
    ----------
    is_sample : bool
        Whether the rows are of the built-in sample; raw data of the other kind has none of them.

    Returns
    -------
    (rows, unknown) : tuple
        Existing columns stay; in the new ones, rows that the raw data does not have are missing.
        `unknown` counts these rows: all of them without raw data.
    """
    wanted = [name for name in names if name not in rows and name in spec.columns]
    if not wanted:
        return rows, 0
    snapshot = archive.current()
    if snapshot is None or snapshot.is_sample != is_sample or ROW_KEY not in rows:
        return rows.assign(**{name: pd.Series(dtype="object") for name in wanted}), len(rows)
    needed = {name: spec.columns[name] for name in dict.fromkeys([spec.id, *wanted])}
    raw = archive.rows(snapshot, spec, needed)
    missing = [name for name in wanted if name not in raw]
    raw = raw.assign(**dict.fromkeys(missing))
    keys = key_texts(raw[spec.id], spec.columns[spec.id].type)
    raw = schema.usable(raw, {name: needed[name] for name in needed if name in raw})[0]
    raw.index = pd.Index(keys, dtype="object")
    usable: Any = ~raw.index.duplicated() & raw.index.to_series().notna().to_numpy()
    raw = raw.loc[usable]
    aligned = raw.reindex(rows[ROW_KEY])[wanted].set_index(rows.index)
    return rows.join(aligned), int((~rows[ROW_KEY].isin(raw.index)).sum())


def _chosen(
    archive: Archive,
    spec: ProjectSpec,
    rows: pd.DataFrame,
    chosen: Mapping[str, Sequence[str]],
    *,
    is_sample: bool,
) -> tuple[pd.DataFrame, int]:
    asked = [*chosen, spec.time] if spec.time else list(chosen)
    rows, unknown = with_columns(archive, spec, rows, asked, is_sample=is_sample)
    keep = pd.Series(True, index=rows.index)
    for name, values in chosen.items():
        keep &= rows[name].map(key_text).isin([str(value) for value in values])
    return rows[keep].reset_index(drop=True), unknown


def _span(rows: pd.DataFrame, name: str | None) -> tuple[float, float] | None:
    if name is None or name not in rows:
        return None
    moments = _moments(rows[name]).dropna()
    if moments.empty:
        return None
    return float(moments.min().timestamp()), float(moments.max().timestamp())


def _moments(values: pd.Series[Any]) -> pd.Series[Any]:
    return pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")


def _between(
    rows: pd.DataFrame, name: str, since: float | None, until: float | None
) -> pd.DataFrame:
    """Return the rows whose own time is known and within the limits."""
    moments = _moments(rows[name])
    keep = moments.notna()
    if since is not None:
        keep &= moments >= pd.Timestamp(since, unit="s", tz="UTC")
    if until is not None:
        keep &= moments < pd.Timestamp(until, unit="s", tz="UTC")
    return rows[keep].reset_index(drop=True)


def _text(
    rows: int,
    since: float | None,
    until: float | None,
    last: int | None,
    source: str | None,
    chosen: Mapping[str, Sequence[str]],
    by: str | None,
) -> Message:
    text = plural("{count:,} prediction of the log", "{count:,} predictions of the log", rows)
    for name, values in chosen.items():
        text = Message("{rows}, {column} {values}", rows=text, column=name, values=listed(values))
    if last:
        text = Message("{rows}, the newest", rows=text)
    if since is not None:
        text = (
            Message("{rows}, scored from {moment} UTC", rows=text, moment=_moment(since))
            if by is None
            else Message("{rows}, {column} from {moment}", rows=text, column=by, moment=_day(since))
        )
    if until is not None:
        text = (
            Message("{rows}, scored before {moment} UTC", rows=text, moment=_moment(until))
            if by is None
            else Message(
                "{rows}, {column} before {moment}", rows=text, column=by, moment=_day(until)
            )
        )
    if source:
        text = Message("{first}, {second}", first=text, second=source)
    return text


def listed(values: Sequence[str]) -> list[Words]:
    """Return selected values as a parameter of a message, shortened if there are many.

    Examples
    --------
    >>> str(Message("{values}", values=listed([str(number) for number in range(9)])))
    '0, 1, 2, 3, 4 and 4 more'
    """
    if len(values) <= MOST_NAMED + 1:
        return list(values)
    more: Words = Message("{count} more", count=len(values) - MOST_NAMED)
    return [*values[:MOST_NAMED], more]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _day(seconds: float) -> date:
    """Return a moment of rows that may have no time of day; at midnight only its day."""
    moment = _moment(seconds)
    return moment if (moment.hour, moment.minute) != (0, 0) else moment.date()


def _scoring(settings: Settings, run_id: str | None) -> Scoring:
    if run_id is not None and not predictions.scorings(settings, run_id=run_id):
        raise NotReadyError(Message("There are no predictions yet. Score rows first."))
    large = predictions.scorings(settings, run_id=run_id, min_rows=MIN_ROWS, limit=1)
    if large:
        return large[0]
    few = predictions.scorings(settings, run_id=run_id, limit=1)
    if few:
        raise NotReadyError(
            Message(
                "Too few rows: {rows}. At least {least} are needed to compare. Score more rows, or "
                "choose a longer window.",
                rows=few[0].rows,
                least=MIN_ROWS,
            )
        )
    raise NotReadyError(Message("There are no predictions yet. Score rows first."))


def seconds(text: str, name: str) -> float:
    """Return the time of an ISO 8601 text in seconds since 1970; UTC without a zone.

    Raises
    ------
    InputError
        When it is invalid, or outside of the years 1970 to 9998.

    Examples
    --------
    >>> seconds("2026-01-01", "since"), seconds("1970-01-01T01:00:00+01:00", "since")
    (1767225600.0, 0.0)
    """
    fault = Message(
        "{name}: '{text}' is not a date from 1970 to 9998. Write it as 2026-01-31.",
        name=name,
        text=text,
    )
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(fault) from error
    aware: Any = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    stamp = float(aware.timestamp())
    if not 0 <= stamp < _YEAR_9999:
        raise InputError(fault)
    return stamp
