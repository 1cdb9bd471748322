"""Looking through the predictions log: newest first, filtered, counted, champion by challenger."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import sqlalchemy as sql

from core.adapters import log_store
from core.config import Settings

SHOWN = (
    "prediction_id", "scored_at", "source", "model", "version", "alias", "is_shadow", "run_id",
    "latency_ms", "row_key", "probability", "predicted", "label",
)  # fmt: skip
_PREDICTION_ID = re.compile(r"([0-9a-f]{32}(?:\.\d+)?)-(\d{1,9})")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}")

_requests, _rows = log_store.requests.c, log_store.predictions.c
_joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)


@dataclass(frozen=True)
class Filters:
    """Which predictions to look at; all of this project's without any.

    Parameters
    ----------
    since, until : float, optional
        When it was scored, seconds since 1970.
    source, version : str, optional
    is_shadow, is_labelled : bool, optional
    low, high : float
        Bounds of the probability, both taken in.
    search : str, optional
        A prediction's id, a request's id, or a natural key; the whole of it.
    """

    since: float | None = None
    until: float | None = None
    source: str | None = None
    version: str | None = None
    is_shadow: bool | None = None
    is_labelled: bool | None = None
    low: float = 0.0
    high: float = 1.0
    search: str | None = None


@dataclass(frozen=True)
class Tally:
    """How many predictions the log holds of one source and version.

    Parameters
    ----------
    rows, labels : int
        Predictions, and how many of them have a label.
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
        `request` and `position` of the last row of the page before.
    limit : int
        At most so many rows.

    Returns
    -------
    DataFrame
        The columns of SHOWN, `request`, `position`, and the inputs.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
    columns = [*SHOWN, "request", "position"]
    if not log_store.is_there(settings):
        return pd.DataFrame(columns=columns)
    named = {**_rows, **_requests}
    query = (
        sql.select(
            *(named[name] for name in SHOWN[1:]), _rows.request, _rows.position,
            _requests.request_id, _requests.columns, _rows.features,
        )
        .select_from(_joined)
        .where(*_conditions(settings, filters or Filters()))
        # by the requests' own number, in which the database finds them ordered
        .order_by(_requests.number.desc(), _rows.position.desc())
        .limit(limit)
    )  # fmt: skip
    if before is not None:
        request, position = before
        earlier = sql.or_(_requests.number < request, _rows.position < position)
        query = query.where(_requests.number <= request, earlier)
    with log_store.reading(settings) as connection:
        found = connection.execute(query).all()
    frame = pd.DataFrame(
        [(f"{row.request_id}-{row.position}", *row[: len(columns) - 1]) for row in found],
        columns=columns,
    ).astype({"label": "float64", "is_shadow": "bool"})
    return frame.join(inputs([(row.columns, row.features) for row in found]), rsuffix="_input")


def count(settings: Settings, filters: Filters | None = None, *, at_most: int = 100_000) -> int:
    """Return how many predictions there are, of filtered ones no more than `at_most`.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
    chosen = filters or Filters()
    if not log_store.is_there(settings):
        return 0
    if replace(chosen, source=None, version=None, is_shadow=None) == Filters():
        return sum(
            one.rows
            for one in tallies(settings)
            if chosen.source in (None, one.source)
            and chosen.version in (None, one.version)
            and chosen.is_shadow in (None, one.is_shadow)
        )
    some = sql.select(_rows.position).select_from(_joined).where(*_conditions(settings, chosen))
    query = sql.select(sql.func.count()).select_from(some.limit(at_most).subquery())
    with log_store.reading(settings) as connection:
        return int(connection.execute(query).scalar_one())


def tallies(settings: Settings) -> list[Tally]:
    """Return how many predictions of this project there are, by source and version.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
    if not log_store.is_there(settings):
        return []
    table = log_store.tallies.c
    query = sql.select(*(table[name] for name in Tally.__dataclass_fields__))
    query = query.where(table.project == settings.project).order_by(table.last_at.desc())
    with log_store.reading(settings) as connection:
        return [Tally(**row) for row in connection.execute(query).mappings()]


def by_source(settings: Settings, since: float) -> dict[str, int]:
    """Return how many predictions were asked for since then by each source, without shadows.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
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
    """Return what champion and challenger said of the same rows, the newest first.

    Returns
    -------
    DataFrame
        `champion` and `challenger` (probabilities), `champion_label` and `challenger_label` (at
        each model's threshold), `champion_version`, `challenger_version`, `label` (0, 1 or NaN).
        Only of the two versions that were compared last.

    Raises
    ------
    StoreError
        When the log cannot be read.
    """
    names = [
        "champion", "challenger", "champion_label", "challenger_label", "champion_version",
        "challenger_version", "label",
    ]  # fmt: skip
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
            _rows.probability, other.c.probability, _rows.predicted, other.c.predicted,
            _requests.version, shadow.c.version, _rows.label,
        )
        .select_from(joined.join(other, same_row))
        .where(shadow.c.is_shadow, shadow.c.project == settings.project)
        .order_by(shadow.c.number.desc())
        .limit(limit)
    )  # fmt: skip
    with log_store.reading(settings) as connection:
        found = connection.execute(query).all()
    frame = pd.DataFrame([tuple(row) for row in found], columns=names).astype({"label": "float64"})
    versions = frame[["champion_version", "challenger_version"]]
    return frame[(versions == versions.iloc[0]).all(axis=1)] if len(frame) else frame


def inputs(texts: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Return the inputs of rows from their columns and values, as the log keeps them."""
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
    found: list[Any] = [_requests.project == settings.project]
    for column, value in (
        (_requests.source, filters.source),
        (_requests.version, filters.version),
        (_requests.is_shadow, filters.is_shadow),
    ):
        if value is not None:
            found.append(column == value)
    if filters.since is not None:
        found.append(_requests.scored_at >= filters.since)
    if filters.until is not None:
        found.append(_requests.scored_at < filters.until)
    if filters.is_labelled is not None:
        known = _rows.label.isnot(None)
        found.append(known if filters.is_labelled else ~known)
    if filters.low > 0:
        found.append(_rows.probability >= filters.low)
    if filters.high < 1:
        found.append(_rows.probability <= filters.high)
    if filters.search is not None:
        text = filters.search.strip()
        of_id, key = _PREDICTION_ID.fullmatch(text), log_store.key_text(text) or ""
        if of_id:
            found += [_requests.request_id == of_id[1], _rows.position == int(of_id[2])]
        elif _REQUEST_ID.fullmatch(text):
            found.append(sql.or_(_requests.request_id == text, _rows.row_key == key))
        else:
            found.append(_rows.row_key == key)
    return found
