"""Which predictions a label refers to, and how it is set on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sql

from core.predictions_log import log_store
from core.predictions_log.log_store import BY_ID

# Names per query.
CHUNK = 5_000

_requests, _rows = log_store.requests.c, log_store.predictions.c


def names_the_row(table: Any) -> sql.ColumnElement[bool]:
    """Return the condition that a label refers to a prediction's id."""
    identity = _requests.request_id + "-" + sql.cast(_rows.position, sql.Text)
    return sql.and_(table.c.scope == BY_ID, table.c.name == identity)


def names_its_key(table: Any) -> sql.ColumnElement[bool]:
    """Return the condition that a label refers to a prediction's natural key in its data source."""
    return sql.and_(table.c.scope == _requests.scope, table.c.name == _rows.row_key)


def set_rows(connection: sql.Connection, labels: Sequence[tuple[Any, ...]]) -> None:
    """Set the labels of predictions, given as request, position and label."""
    if not labels:
        return
    query = (
        sql.update(log_store.predictions)
        .where(_rows.request == sql.bindparam("r"), _rows.position == sql.bindparam("p"))
        .values(label=sql.bindparam("l"))
    )
    connection.execute(query, [{"r": r, "p": p, "l": label} for r, p, label in labels])


def apply(
    connection: sql.Connection, labels: Mapping[tuple[str, str], int | None]
) -> set[tuple[str, str]]:
    """Copy labels to the predictions they name; return the names with a prediction.

    Parameters
    ----------
    labels : mapping of (scope, name) to int or None
        The current label of each name.
    """
    matched = set()
    changes: list[tuple[int, int, int]] = []
    gained: Counter[tuple[Any, ...]] = Counter()
    for scope, names in by_scope(labels):
        for name, row in _named(connection, scope, names):
            matched.add((scope, name))
            label = labels[scope, name]
            if label is None or row.label == label or row.is_outvoted:
                continue
            changes.append((row.request, row.position, label))
            if row.label is None:
                gained[
                    row.scope, row.source, row.model, row.version, row.is_shadow, row.run_id
                ] += 1
    set_rows(connection, changes)
    _count(connection, gained)
    return matched


def _named(connection: sql.Connection, scope: str, names: list[str]) -> list[tuple[str, Any]]:
    """Return the predictions that labels refer to, each with the matching name."""
    columns = [
        _rows.request,
        _rows.position,
        _rows.label,
        _rows.row_key,
        _requests.request_id,
        _requests.scope,
        _requests.source,
        _requests.model,
        _requests.version,
        _requests.is_shadow,
        _requests.run_id,
    ]
    joined = log_store.requests.join(log_store.predictions, _rows.request == _requests.number)
    if scope != BY_ID:
        by_id = log_store.labels.alias()
        query = (
            sql.select(*columns, by_id.c.name.isnot(None).label("is_outvoted"))
            .select_from(joined.outerjoin(by_id, names_the_row(by_id)))
            .where(_rows.row_key.in_(names), _requests.scope == scope)
        )
        return [(row.row_key, row) for row in connection.execute(query)]
    places: dict[str, list[int]] = {}
    for name in names:
        request_id, _, position = name.rpartition("-")
        places.setdefault(request_id, []).append(int(position))
    query = sql.select(*columns, sql.false().label("is_outvoted")).select_from(joined)
    rows: list[Any] = []
    # single-row requests are handled together; of large ones only the named rows are looked up
    single = [request_id for request_id, wanted in places.items() if wanted == [0]]
    if single:
        where = sql.and_(_requests.request_id.in_(single), _rows.position == 0)
        rows += connection.execute(query.where(where)).all()
    for request_id, wanted in places.items():
        if wanted != [0]:
            where = sql.and_(_requests.request_id == request_id, _rows.position.in_(wanted))
            rows += connection.execute(query.where(where)).all()
    return [(f"{row.request_id}-{row.position}", row) for row in rows]


def _count(connection: sql.Connection, gained: Counter[tuple[Any, ...]]) -> None:
    """Add newly labelled predictions to the label counts."""
    groups: Counter[tuple[Any, ...]] = Counter()
    runs: Counter[str] = Counter()
    for (*group, run_id), count in gained.items():
        groups[tuple(group)] += count
        if run_id is not None and not group[-1]:
            runs[run_id] += count
    tallies, scorings = log_store.tallies, log_store.scorings
    for of, count in groups.items():
        keys = zip(tallies.primary_key, of, strict=True)
        mine = [column == value for column, value in keys]
        more = {"labels": tallies.c.labels + count}
        connection.execute(sql.update(tallies).where(*mine).values(more))
    for run_id, count in runs.items():
        of_run = [scorings.c.run_id == run_id, scorings.c.path.is_(None)]
        more = {"labels": scorings.c.labels + count}
        connection.execute(sql.update(scorings).where(*of_run).values(more))


def by_scope(names: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Return the names of each scope, in chunks of one query."""
    scopes: dict[str, list[str]] = {}
    for scope, name in names:
        scopes.setdefault(scope, []).append(name)
    return [(scope, part) for scope, members in scopes.items() for part in _chunks(members)]


def _chunks(names: list[str]) -> list[list[str]]:
    return [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
