"""Scoring runs in the predictions log: their predictions, and labels where known.

A prediction's id is its request's id and its position among the request's rows: `<request id>-<i>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sql

from core.platform import own_columns, set_aside, store_faults
from core.platform.config import Settings
from core.platform.errors import StoreError
from core.platform.messages import Message
from core.platform.own_columns import LABEL
from core.predictions_log import labels as late_labels
from core.predictions_log import log_search, log_store
from core.predictions_log.log_search import Filters as Filters
from core.predictions_log.log_search import Tally as Tally
from core.predictions_log.log_search import browse as browse
from core.predictions_log.log_search import by_source as by_source
from core.predictions_log.log_search import count as count
from core.predictions_log.log_search import pairs as pairs
from core.predictions_log.log_search import tallies as tallies
from core.predictions_log.log_store import key_text as key_text
from core.predictions_log.log_writer import Answer as Answer
from core.predictions_log.log_writer import ConflictError as ConflictError
from core.predictions_log.log_writer import Gap as Gap
from core.predictions_log.log_writer import gaps as gaps
from core.predictions_log.log_writer import note_gap as note_gap
from core.predictions_log.log_writer import write as write

# where scored rows came from, by the code of the log
SOURCE_LABELS = {
    "production": Message("production rows"),
    "file": Message("a file"),
    "upload": Message("a file"),
    "page": Message("the page"),
    "row": Message("one row"),
    "api": Message("the API"),
}
COLUMNS = (
    own_columns.PREDICTION_ID,
    own_columns.ROW_KEY,
    own_columns.PROBABILITY,
    own_columns.PREDICTED,
    LABEL,
    own_columns.LATENCY,
)

_requests, _rows = log_store.requests.c, log_store.predictions.c
_joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)


class UnreadableFileError(StoreError):
    """The file with a scoring's rows is missing or damaged."""


@dataclass(frozen=True)
class Scoring:
    """A scoring run in the log.

    Parameters
    ----------
    rows, labels : int
        Predictions, and those with a label.
    scored_at : float
        Seconds since 1970.
    path : str or None
        File with its rows, if they are not in the log.
    is_sample : bool
        Whether its rows, or the model that scored them, are of the built-in sample.
    """

    run_id: str
    source: str
    model: str
    version: str
    scored_at: float
    rows: int
    labels: int
    path: str | None = None
    is_sample: bool = False


def finish(settings: Settings, scoring: Scoring) -> None:
    """Add a finished scoring run to those that can be read and compared.

    Parameters
    ----------
    scoring : Scoring
        Rows and labels in the log are counted here; for a file (`path`) the given counts are used,
        and its labels are recounted as they arrive.
    """
    with log_store.writing(settings) as connection:
        if scoring.path is None:
            mine = sql.and_(_requests.run_id == scoring.run_id, _requests.is_shadow.is_(False))
            total = sql.select(sql.func.coalesce(sql.func.sum(_requests.rows), 0)).where(mine)
            known = sql.select(sql.func.count(_rows.label)).select_from(_joined).where(mine)
            scoring = replace(
                scoring,
                rows=int(connection.execute(total).scalar_one()),
                labels=int(connection.execute(known).scalar_one()),
            )
        values: dict[str, object] = {**vars(scoring), "labels_until": 0}
        is_sample = bool(values.pop("is_sample"))
        values["scope"] = log_store.scope_of(settings.project, is_sample=is_sample)
        into = log_store.insert(connection, log_store.scorings).values(values)
        connection.execute(into.on_conflict_do_update(index_elements=["run_id"], set_=values))


def read(settings: Settings, run_id: str) -> pd.DataFrame:
    """Return a scoring run's predictions in scoring order.

    Shadow predictions of a challenger are left out.

    Returns
    -------
    DataFrame
        COLUMNS (the label is 0, 1 or NaN), and the features. Empty if the log has no rows of the
        run.
    """
    kept = scorings(settings, run_id=run_id, min_rows=0)
    if kept and kept[0].path is not None:
        return read_file(settings, kept[0].path, is_sample=kept[0].is_sample)
    if not log_store.is_there(settings):
        return pd.DataFrame(columns=list(COLUMNS)).astype({LABEL: "float64"})
    query = (
        sql.select(
            _requests.request_id,
            _rows.position,
            _rows.row_key,
            _rows.probability,
            _rows.predicted,
            _rows.label,
            _requests.latency_ms,
            _rows.features,
            _requests.columns,
        )
        .select_from(_joined)
        .where(_requests.run_id == run_id, _requests.is_shadow.is_(False))
        .order_by(_rows.request, _rows.position)
    )
    with log_store.reading(settings) as connection:
        rows = connection.execute(query).all()
    frame = pd.DataFrame([(f"{row[0]}-{row[1]}", *row[2:7]) for row in rows], columns=list(COLUMNS))
    return frame.astype({LABEL: "float64"}).join(
        log_search.inputs([(row[8], row[7]) for row in rows])
    )


def read_file(settings: Settings, path: str, *, is_sample: bool) -> pd.DataFrame:
    """Return the predictions of a scoring that is stored as a file, as `read` does."""
    frame = _file(path).rename_axis(index=None)
    own = frame[LABEL] if LABEL in frame else pd.Series(np.nan, index=frame.index)
    for name, missing in ((own_columns.ROW_KEY, None), (own_columns.LATENCY, np.nan)):
        if name not in frame:
            frame[name] = missing
    frame[LABEL] = late_labels.resolved(
        settings,
        frame[own_columns.PREDICTION_ID],
        frame[own_columns.ROW_KEY],
        own,
        is_sample=is_sample,
    )
    features = [name for name in frame if name not in (*COLUMNS, own_columns.ROW)]
    return frame[[*COLUMNS, *features]]


def _file(path: str) -> pd.DataFrame:
    import pyarrow

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UnreadableFileError(store_faults.damaged_of(path, "score")) from error


def scorings(
    settings: Settings,
    *,
    run_id: str | None = None,
    sources: Sequence[str] | None = None,
    min_rows: int = 1,
    limit: int = 50,
) -> list[Scoring]:
    """Return the project's scoring runs in the log, newest first.

    Parameters
    ----------
    run_id : str, optional
        Only this one.
    sources : sequence of str, optional
        Only those of these sources, as the log names them.
    min_rows : int
        Only those with at least this many rows.
    """
    if not log_store.is_there(settings):
        return []
    table = log_store.scorings.c
    query = sql.select(
        *(table[name] for name in Scoring.__dataclass_fields__ if name != "is_sample"),
        log_store.of_sample(table.scope).label("is_sample"),
    )
    # rows written before scopes existed have none
    query = query.where(table.rows >= min_rows, table.scope.in_(log_store.scopes(settings.project)))
    if run_id is not None:
        query = query.where(table.run_id == run_id)
    if sources is not None:
        query = query.where(table.source.in_(sources))
    query = query.order_by(table.scored_at.desc()).limit(limit)
    with log_store.reading(settings) as connection:
        rows = connection.execute(query).mappings()
        return [Scoring(**{**row, "is_sample": bool(row["is_sample"])}) for row in rows]


def recount(settings: Settings) -> None:
    """Recount the labels of scorings stored as files, if labels arrived since.

    Raises
    ------
    StoreError
        If the log cannot be used. An unreadable file keeps its count, and is set aside.
    """
    table = log_store.scorings.c
    newest = sql.select(sql.func.coalesce(sql.func.max(log_store.label_history.c.number), 0))
    with log_store.reading(settings) as connection:
        until = int(connection.execute(newest).scalar_one())
        query = sql.select(table.run_id, table.path, table.scope).where(
            table.path.isnot(None), table.scope.in_(log_store.scopes(settings.project))
        )
        stale = connection.execute(query.where(table.labels_until < until)).all()
    sample = log_store.scope_of(settings.project, is_sample=True)
    for run_id, path, scope in stale:
        with file_guarded(settings, run_id, path):
            rows = read_file(settings, path, is_sample=scope == sample)
            known = int(rows[LABEL].notna().sum())
            with log_store.writing(settings) as connection:
                connection.execute(
                    sql.update(log_store.scorings)
                    .where(table.run_id == run_id)
                    .values(labels=known, labels_until=until)
                )


@contextmanager
def file_guarded(settings: Settings, run_id: str, path: str) -> Iterator[None]:
    """Set a scoring aside if its file cannot be read inside the block; log errors are raised."""
    is_gone = "://" not in path and not Path(path).exists()
    code: set_aside.Code = "gone" if is_gone else "unreadable"
    with set_aside.guarded(settings, "labels", f"scoring:{run_id}", code=code):
        try:
            yield
        except UnreadableFileError as error:
            raise (error.__cause__ or ValueError(error.message)) from None
