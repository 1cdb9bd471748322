"""The predictions log: every prediction that was served, and its label once it is known (SQL)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from core.config import Settings
from core.errors import StoreError

_metadata = sql.MetaData()
_predictions = sql.Table(
    "predictions",
    _metadata,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("prediction_id", sql.String(32), nullable=False, unique=True),
    sql.Column("request_id", sql.String(32), nullable=False),
    sql.Column("run_id", sql.String(32), nullable=False, index=True),
    sql.Column("scored_at", sql.Float, nullable=False),
    sql.Column("source", sql.String(20), nullable=False),
    sql.Column("model", sql.String(120), nullable=False),
    sql.Column("version", sql.String(20), nullable=False),
    sql.Column("alias", sql.String(40)),
    sql.Column("row_key", sql.String(80)),
    sql.Column("features", sql.Text, nullable=False),
    sql.Column("probability", sql.Float, nullable=False),
    sql.Column("predicted", sql.Integer, nullable=False),
    sql.Column("latency_ms", sql.Float, nullable=False),
)
_labels = sql.Table(
    "labels",
    _metadata,
    sql.Column("prediction_id", sql.String(32), primary_key=True),
    sql.Column("label", sql.Integer, nullable=False),
    sql.Column("known_at", sql.Float, nullable=False),
)
# counted as they are kept: counting a million predictions takes two seconds
_scorings = sql.Table(
    "scorings",
    _metadata,
    sql.Column("run_id", sql.String(32), primary_key=True),
    sql.Column("source", sql.String(20), nullable=False),
    sql.Column("model", sql.String(120), nullable=False),
    sql.Column("version", sql.String(20), nullable=False),
    sql.Column("scored_at", sql.Float, nullable=False, index=True),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.Column("labels", sql.Integer, nullable=False),
)


@dataclass(frozen=True)
class Scoring:
    """One scoring run as the log holds it.

    Parameters
    ----------
    rows, labels : int
        Predictions, and how many of them have a label.
    scored_at : float
        Seconds since 1970.
    """

    run_id: str
    source: str
    model: str
    version: str
    scored_at: float
    rows: int
    labels: int


def save(
    settings: Settings,
    rows: pd.DataFrame,
    *,
    features: Sequence[str],
    run_id: str,
    source: str,
    model: str,
    version: str,
    alias: str | None,
    latency_ms: npt.NDArray[np.float64],
    request_sizes: npt.NDArray[np.int64],
) -> None:
    """Keep the predictions of a scoring run: all of them or, when something fails, none.

    Parameters
    ----------
    rows : DataFrame
        The features, `probability`, `predicted`, `row_key` (text or missing) and `label`
        (0, 1 or missing), one row per prediction.
    latency_ms : array of float, shape (rows,)
        How long the request took that answered the row, milliseconds.
    request_sizes : array of int
        Rows of each request, in order; each request gets an id of its own.

    Raises
    ------
    StoreError
        When the log cannot be written.
    """
    now = time.time()
    ids = [uuid.uuid4().hex for _ in range(len(rows))]
    requests = [name for size in request_sizes for name in [uuid.uuid4().hex] * int(size)]
    listed = rows[list(features)].to_dict("records")
    keys = rows["row_key"].where(rows["row_key"].notna(), None)
    constant = {
        "run_id": run_id, "source": source, "model": model,
        "version": version, "alias": alias, "scored_at": now,
    }  # fmt: skip
    values = [
        {
            **constant,
            "prediction_id": identity,
            "request_id": request,
            "row_key": key,
            "features": json.dumps(feature),
            "probability": probability,
            "predicted": predicted,
            "latency_ms": latency,
        }
        for identity, request, key, feature, probability, predicted, latency in zip(
            ids,
            requests,
            keys.tolist(),
            listed,
            rows["probability"].tolist(),
            rows["predicted"].astype(int).tolist(),
            latency_ms.tolist(),
            strict=True,
        )
    ]
    known = [
        {"prediction_id": identity, "label": int(label), "known_at": now}
        for identity, label in zip(ids, rows["label"].tolist(), strict=True)
        if label == label  # a missing one is NaN
    ]
    try:
        with _engine(settings).begin() as connection:
            connection.execute(sql.insert(_predictions), values)
            if known:
                connection.execute(sql.insert(_labels), known)
            connection.execute(
                sql.insert(_scorings).values(
                    run_id=run_id, source=source, model=model, version=version,
                    scored_at=now, rows=len(values), labels=len(known),
                )
            )  # fmt: skip
    except SQLAlchemyError as error:
        raise StoreError(f"The predictions log cannot be written: {error.args[0]}") from error


def read(settings: Settings, run_id: str) -> pd.DataFrame:
    """Return a scoring run's predictions in the order in which they were scored.

    Returns
    -------
    DataFrame
        `prediction_id`, `row_key`, the features, `probability`, `predicted`, `label` (0, 1 or
        NaN), `latency_ms`. No rows when the log holds none of that run.
    """
    query = (
        sql.select(_predictions, _labels.c.label)
        .join_from(
            _predictions,
            _labels,
            _predictions.c.prediction_id == _labels.c.prediction_id,
            isouter=True,
        )
        .where(_predictions.c.run_id == run_id)
        .order_by(_predictions.c.number)
    )
    columns = ["prediction_id", "row_key", "probability", "predicted", "label", "latency_ms"]
    with _reading(settings) as connection:
        found = connection.execute(query).mappings().all()
    frame = pd.DataFrame([{name: row[name] for name in columns} for row in found], columns=columns)
    features = pd.DataFrame([json.loads(row["features"]) for row in found])
    return frame.astype({"label": "float64"}).join(features)


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
    if not _path(settings).is_file():
        return []
    query = sql.select(_scorings).where(_scorings.c.rows >= min_rows)
    if run_id is not None:
        query = query.where(_scorings.c.run_id == run_id)
    query = query.order_by(_scorings.c.scored_at.desc()).limit(limit)
    with _reading(settings) as connection:
        return [Scoring(**row) for row in connection.execute(query).mappings()]


@contextmanager
def _reading(settings: Settings) -> Iterator[sql.Connection]:
    try:
        with _engine(settings).connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StoreError(f"The predictions log cannot be read: {error.args[0]}") from error


def _path(settings: Settings) -> Path:
    return settings.state_dir / "predictions.db"


def _engine(settings: Settings) -> sql.Engine:
    return _open(_path(settings))


@lru_cache
def _open(path: Path) -> sql.Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sql.create_engine(f"sqlite:///{path.as_posix()}", connect_args={"timeout": 30})

    @sql.event.listens_for(engine, "connect")
    def _readers_do_not_wait_for_writers(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")

    try:
        _metadata.create_all(engine)
    except SQLAlchemyError as error:
        raise StoreError(f"The predictions log cannot be opened: {error.args[0]}") from error
    return engine
