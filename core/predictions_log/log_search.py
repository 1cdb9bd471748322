"""Search in the predictions log: newest first, filters, counts, champion against challenger."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import sqlalchemy as sql

from core.platform import own_columns
from core.platform.config import Settings
from core.predictions_log import log_store

SHOWN = (
    "prediction_id",
    "scored_at",
    "source",
    "model",
    "version",
    "alias",
    "is_shadow",
    "run_id",
    "latency_ms",
    "row_key",
    "probability",
    "predicted",
    "label",
    "is_sample",
)
_PREDICTION_ID = re.compile(r"([0-9a-f]{32})-(\d{1,9})")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")

_requests, _rows = log_store.requests.c, log_store.predictions.c
_joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)


@dataclass(frozen=True)
class Filters:
    """Filters on predictions; the default is all of this project's.

    Parameters
    ----------
    since, until : float, optional
        Time of scoring, seconds since 1970.
    is_shadow, is_labelled, is_sample : bool, optional
        `is_sample`: whether they are of the built-in sample.
    low, high : float
        Inclusive bounds of the probability.
    search : str, optional
        A prediction's id, a request's id, or a natural key, in full.
    """

    since: float | None = None
    until: float | None = None
    source: str | None = None
    version: str | None = None
    is_shadow: bool | None = None
    is_labelled: bool | None = None
    is_sample: bool | None = None
    low: float = 0.0
    high: float = 1.0
    search: str | None = None


@dataclass(frozen=True)
class Tally:
    """Number of predictions of one source and version.

    Parameters
    ----------
    rows, labels : int
        Predictions, and those with a label.
    first_at, last_at : float
        Oldest and newest, seconds since 1970.
    """

    source: str
    model: str
    version: str
    is_shadow: bool
    rows: int
    labels: int
    first_at: float
    last_at: float
    is_sample: bool = False


def browse(
    settings: Settings,
    filters: Filters | None = None,
    *,
    before: tuple[int, int] | None = None,
    limit: int = 100,
) -> pd.DataFrame:
    """Return predictions, newest first.

    Parameters
    ----------
    before : tuple of int, optional
        `request` and `position` of the last row of the previous page.

    Returns
    -------
    DataFrame
        The columns of SHOWN, the request's number and the position in it, named as in
        `core.platform.own_columns`; and the inputs.
    """
    columns = [own_columns.PREFIX + name for name in (*SHOWN, "request", "position")]
    if not log_store.is_there(settings):
        return pd.DataFrame(columns=columns)
    named = {**_rows, **_requests, "is_sample": log_store.of_sample(_requests.scope)}
    query = (
        sql.select(
            *(named[name] for name in SHOWN[1:]),
            _rows.request,
            _rows.position,
            _requests.request_id,
            _requests.columns,
            _rows.features,
        )
        .select_from(_joined)
        .where(*_conditions(settings, filters or Filters()))
        # by request number, for which the database has an index
        .order_by(_requests.number.desc(), _rows.position.desc())
        .limit(limit)
    )
    if before is not None:
        request, position = before
        earlier = sql.or_(_requests.number < request, _rows.position < position)
        query = query.where(_requests.number <= request, earlier)
    with log_store.reading(settings) as connection:
        rows = connection.execute(query).all()
    frame = pd.DataFrame(
        [(f"{row.request_id}-{row.position}", *row[: len(columns) - 1]) for row in rows],
        columns=columns,
    ).astype(
        {own_columns.LABEL: "float64", own_columns.IS_SHADOW: "bool", own_columns.IS_SAMPLE: "bool"}
    )
    return frame.join(inputs([(row.columns, row.features) for row in rows]))


def count(settings: Settings, filters: Filters | None = None, *, at_most: int = 100_000) -> int:
    """Return the number of predictions; filtered ones are counted up to `at_most`."""
    chosen = filters or Filters()
    if not log_store.is_there(settings):
        return 0
    if replace(chosen, source=None, version=None, is_shadow=None, is_sample=None) == Filters():
        return sum(
            tally.rows
            for tally in tallies(settings)
            if chosen.source in (None, tally.source)
            and chosen.version in (None, tally.version)
            and chosen.is_shadow in (None, tally.is_shadow)
            and chosen.is_sample in (None, tally.is_sample)
        )
    some = sql.select(_rows.position).select_from(_joined).where(*_conditions(settings, chosen))
    query = sql.select(sql.func.count()).select_from(some.limit(at_most).subquery())
    with log_store.reading(settings) as connection:
        return int(connection.execute(query).scalar_one())


def tallies(settings: Settings) -> list[Tally]:
    """Return the number of this project's predictions by source, version and data."""
    if not log_store.is_there(settings):
        return []
    table = log_store.tallies.c
    counted = [name for name in Tally.__dataclass_fields__ if name != "is_sample"]
    query = sql.select(
        *(table[name] for name in counted), log_store.of_sample(table.scope).label("is_sample")
    )
    mine = table.scope.in_(log_store.scopes(settings.project))
    with log_store.reading(settings) as connection:
        rows = connection.execute(query.where(mine).order_by(table.last_at.desc())).mappings()
        return [Tally(**{**row, "is_sample": bool(row["is_sample"])}) for row in rows]


def by_source(settings: Settings, since: float) -> dict[str, int]:
    """Return the number of predictions since then by source, without shadow ones."""
    if not log_store.is_there(settings):
        return {}
    query = (
        sql.select(_requests.source, sql.func.sum(_requests.rows))
        .where(_requests.scored_at >= since, _requests.is_shadow.is_(False))
        .group_by(_requests.source)
    )
    with log_store.reading(settings) as connection:
        return {source: int(rows) for source, rows in connection.execute(query)}


def pairs(settings: Settings, limit: int = 10_000) -> pd.DataFrame:
    """Return champion's and challenger's predictions of the same rows, newest first.

    Returns
    -------
    DataFrame
        `champion` and `challenger` (probabilities), `champion_label` and `challenger_label` (at
        each model's threshold), `champion_version`, `challenger_version`, `label` (0, 1 or NaN).
        Only of the two versions compared last.
    """
    names = [
        "champion",
        "challenger",
        "champion_label",
        "challenger_label",
        "champion_version",
        "challenger_version",
        "label",
    ]
    if not log_store.is_there(settings):
        return pd.DataFrame(columns=names)
    shadow, other = log_store.requests.alias(), log_store.predictions.alias()
    same_request = sql.and_(
        _requests.request_id == shadow.c.request_id, _requests.is_shadow.is_(False)
    )
    same_row = sql.and_(other.c.request == shadow.c.number, other.c.position == _rows.position)
    joined = shadow.join(log_store.requests, same_request)
    joined = joined.join(log_store.predictions, _rows.request == _requests.number)
    query = (
        sql.select(
            _rows.probability,
            other.c.probability,
            _rows.predicted,
            other.c.predicted,
            _requests.version,
            shadow.c.version,
            _rows.label,
        )
        .select_from(joined.join(other, same_row))
        .where(shadow.c.is_shadow, shadow.c.scope.in_(log_store.scopes(settings.project)))
        .order_by(shadow.c.number.desc())
        .limit(limit)
    )
    with log_store.reading(settings) as connection:
        rows = connection.execute(query).all()
    frame = pd.DataFrame([tuple(row) for row in rows], columns=names).astype({"label": "float64"})
    versions = frame[["champion_version", "challenger_version"]]
    return frame[(versions == versions.iloc[0]).all(axis=1)] if len(frame) else frame


def inputs(texts: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Decode the inputs of rows, stored as columns and values."""
    groups: dict[str, list[int]] = {}
    for place, (columns, _) in enumerate(texts):
        groups.setdefault(columns, []).append(place)
    parts = [
        pd.DataFrame(
            json.loads(f"[{','.join(texts[place][1] for place in places)}]"),
            columns=json.loads(columns),
            index=places,
        )
        for columns, places in groups.items()
    ]
    return pd.concat(parts).sort_index() if parts else pd.DataFrame()


def _conditions(settings: Settings, filters: Filters) -> list[sql.ColumnElement[bool]]:
    mine = log_store.scopes(settings.project)
    if filters.is_sample is not None:
        mine = (mine[filters.is_sample],) * 2
    conditions: list[Any] = [_requests.scope.in_(mine)]
    for column, value in (
        (_requests.source, filters.source),
        (_requests.version, filters.version),
        (_requests.is_shadow, filters.is_shadow),
    ):
        if value is not None:
            conditions.append(column == value)
    if filters.since is not None:
        conditions.append(_requests.scored_at >= filters.since)
    if filters.until is not None:
        conditions.append(_requests.scored_at < filters.until)
    if filters.is_labelled is not None:
        known = _rows.label.isnot(None)
        conditions.append(known if filters.is_labelled else ~known)
    if filters.low > 0:
        conditions.append(_rows.probability >= filters.low)
    if filters.high < 1:
        conditions.append(_rows.probability <= filters.high)
    if filters.search is not None:
        text = filters.search.strip()
        of_id, key = _PREDICTION_ID.fullmatch(text), log_store.key_text(text) or ""
        if of_id:
            conditions += [_requests.request_id == of_id[1], _rows.position == int(of_id[2])]
        elif _REQUEST_ID.fullmatch(text):
            conditions.append(sql.or_(_requests.request_id == text, _rows.row_key == key))
        else:
            conditions.append(_rows.row_key == key)
    return conditions
