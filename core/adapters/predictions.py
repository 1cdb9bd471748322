"""The predictions log: every prediction that was served, and its label once it is known (SQL).

A prediction's id is its request's id and its place among the request's rows: `<request id>-<i>`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import sqlalchemy as sql

from core.adapters import labels as late_labels
from core.adapters import log_search, log_store
from core.adapters.log_search import Filters as Filters
from core.adapters.log_search import Tally as Tally
from core.adapters.log_search import browse as browse
from core.adapters.log_search import by_source as by_source
from core.adapters.log_search import count as count
from core.adapters.log_search import pairs as pairs
from core.adapters.log_search import tallies as tallies
from core.adapters.log_store import key_text as key_text
from core.adapters.log_writer import Answer as Answer
from core.adapters.log_writer import ConflictError as ConflictError
from core.adapters.log_writer import Gap as Gap
from core.adapters.log_writer import gaps as gaps
from core.adapters.log_writer import note_gap as note_gap
from core.adapters.log_writer import write as write
from core.config import Settings
from core.errors import StoreError

COLUMNS = ("prediction_id", "row_key", "probability", "predicted", "label", "latency_ms")

_requests, _rows = log_store.requests.c, log_store.predictions.c
_joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)


@dataclass(frozen=True)
class Scoring:
    """One scoring run as the log holds it.

    Parameters
    ----------
    rows, labels : int
        Predictions, and how many of them have a label.
    scored_at : float
        Seconds since 1970.
    path : str or None
        Where its rows lie when they are a file and not in the log.
    """

    run_id: str
    source: str
    model: str
    version: str
    scored_at: float
    rows: int
    labels: int
    path: str | None = None


def finish(settings: Settings, scoring: Scoring) -> None:
    """List a scoring run among those that can be read and compared, once it has ended.

    Parameters
    ----------
    scoring : Scoring
        The log counts its rows and labels itself where it has them; those of a file (`path`) are
        taken as given, and its labels are counted again as they come.

    Raises
    ------
    StoreError
        When the log cannot be written.
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
        values = {**vars(scoring), "labels_until": 0}
        into = log_store.insert(connection, log_store.scorings).values(values)
        connection.execute(into.on_conflict_do_update(index_elements=["run_id"], set_=values))


def read(settings: Settings, run_id: str) -> pd.DataFrame:
    """Return a scoring run's predictions in the order in which they were scored.

    Those of a challenger in the shadow are left out.

    Returns
    -------
    DataFrame
        `prediction_id`, `row_key`, the features, `probability`, `predicted`, `label` (0, 1 or
        NaN), `latency_ms`. No rows when the log holds none of that run.

    Raises
    ------
    StoreError
        When the log, or the file that holds the rows, cannot be read.
    """
    kept = scorings(settings, run_id=run_id, min_rows=0)
    if kept and kept[0].path is not None:
        return _read_file(settings, kept[0].path)
    if not log_store.is_there(settings):
        return pd.DataFrame(columns=list(COLUMNS)).astype({"label": "float64"})
    query = (
        sql.select(
            _requests.request_id, _rows.position, _rows.row_key, _rows.probability,
            _rows.predicted, _rows.label, _requests.latency_ms, _rows.features, _requests.columns,
        )
        .select_from(_joined)
        .where(_requests.run_id == run_id, _requests.is_shadow.is_(False))
        .order_by(_rows.request, _rows.position)
    )  # fmt: skip
    with log_store.reading(settings) as connection:
        found = connection.execute(query).all()
    frame = pd.DataFrame(
        [(f"{row[0]}-{row[1]}", *row[2:7]) for row in found], columns=list(COLUMNS)
    )
    return frame.astype({"label": "float64"}).join(
        log_search.inputs([(row[8], row[7]) for row in found])
    )


def _read_file(settings: Settings, path: str) -> pd.DataFrame:
    frame = _file(path).rename_axis(index=None)
    own = frame["label"] if "label" in frame else pd.Series(np.nan, index=frame.index)
    for name, missing in (("row_key", None), ("latency_ms", np.nan)):
        if name not in frame:
            frame[name] = missing
    frame["label"] = late_labels.resolved(settings, frame["prediction_id"], frame["row_key"], own)
    features = [name for name in frame if name not in (*COLUMNS, "row")]
    return frame[[*COLUMNS, *features]]


def _file(path: str, columns: list[str] | None = None) -> pd.DataFrame:
    import pyarrow

    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise StoreError(
            f"The rows of a scoring cannot be read from {path}. Put the file back, or score again."
        ) from error


def scorings(
    settings: Settings, *, run_id: str | None = None, min_rows: int = 1, limit: int = 50
) -> list[Scoring]:
    """Return the scoring runs that the log holds, newest first.

    Parameters
    ----------
    run_id : str, optional
        Only this one.
    min_rows : int
        Only those with so many rows or more.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
    if not log_store.is_there(settings):
        return []
    table = log_store.scorings.c
    query = sql.select(*(table[name] for name in Scoring.__dataclass_fields__))
    query = query.where(table.rows >= min_rows)
    if run_id is not None:
        query = query.where(table.run_id == run_id)
    query = query.order_by(table.scored_at.desc()).limit(limit)
    with log_store.reading(settings) as connection:
        return [Scoring(**row) for row in connection.execute(query).mappings()]


def recount(settings: Settings) -> None:
    """Count the labels of scorings that are kept as a file again, where labels came since.

    Raises
    ------
    StoreError
        When the log cannot be used. A file that is gone keeps its count.
    """
    table = log_store.scorings.c
    newest = sql.select(sql.func.coalesce(sql.func.max(log_store.label_history.c.number), 0))
    with log_store.reading(settings) as connection:
        until = int(connection.execute(newest).scalar_one())
        query = sql.select(table.run_id, table.path).where(table.path.isnot(None))
        stale = connection.execute(query.where(table.labels_until < until)).all()
    for run_id, path in stale:
        try:
            known = int(_read_file(settings, path)["label"].notna().sum())
        except StoreError:
            continue
        with log_store.writing(settings) as connection:
            connection.execute(
                sql.update(log_store.scorings)
                .where(table.run_id == run_id)
                .values(labels=known, labels_until=until)
            )
