"""Predictions logs of before version 2: they are read on, in the tables of now.

Until then each row held all that is said of its request, and had an id without its request's.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import sqlalchemy as sql

_FORMER = ("predictions", "labels", "scorings")
_BLOCK = 2_000


def set_aside(connection: sql.Connection) -> bool:
    """Rename the tables of a former log, if this is one; tells whether it is.

    Parameters
    ----------
    connection : Connection
        To SQLite, in the transaction that makes the new tables.
    """
    found = sql.inspect(connection)
    if "predictions" not in found.get_table_names():
        return False
    if "prediction_id" not in {column["name"] for column in found.get_columns("predictions")}:
        return False
    for name in _FORMER:
        for index in found.get_indexes(name):
            connection.exec_driver_sql(f"DROP INDEX {index['name']}")
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO former_{name}")
    return True


def take_over(connection: sql.Connection, project: str) -> None:
    """Bring every row, label and scoring of the former tables into those of now, and drop them.

    Parameters
    ----------
    project : str
        Whose log it is: before, a home had one.
    """
    rows = connection.exec_driver_sql(
        "SELECT p.request_id, p.run_id, p.scored_at, p.source, p.model, p.version, p.alias,"
        " p.row_key, p.features, p.probability, p.predicted, p.latency_ms, p.prediction_id,"
        " l.label, l.known_at, p.number"
        " FROM former_predictions p LEFT JOIN former_labels l USING (prediction_id)"
        " ORDER BY p.number"
    )
    seen: dict[str, int] = {}
    kept: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _INSERTS}
    # the rows of one request were written one after another
    groups = itertools.groupby(rows, key=lambda row: row[0])
    for number, (request_id, group) in enumerate(groups, start=1):
        listed = list(group)
        first = listed[0]
        columns = list(json.loads(first[8]))
        again = seen.get(request_id, 0)
        seen[request_id] = again + 1
        # never seen; but an id that comes back must not lose rows
        name = request_id if not again else f"{request_id}.{again}"
        kept["requests"].append(
            (number, name, 0, "", project, *first[1:7], first[11], json.dumps(columns), len(listed))
        )
        for position, row in enumerate(listed):
            values = json.loads(row[8])
            kept["predictions"].append(
                (number, position, row[7], row[9], row[10], row[13],
                 json.dumps([values.get(column) for column in columns]))
            )  # fmt: skip
            kept["former_ids"].append((row[12], number, position))
            if row[13] is not None:
                label = ("", f"{name}-{position}", row[13], row[14])
                kept["labels"].append(label)
                kept["label_history"].append((*label, row[14], row[3], "new"))
        if len(kept["predictions"]) >= _BLOCK:
            _write(connection, kept)
    _write(connection, kept)
    connection.exec_driver_sql(
        "INSERT INTO scorings (run_id, source, model, version, scored_at, rows, labels)"
        " SELECT run_id, source, model, version, scored_at, rows, labels FROM former_scorings"
    )
    connection.exec_driver_sql(
        "INSERT INTO tallies (project, source, model, version, is_shadow, rows, labels, first_at,"
        " last_at) SELECT project, source, model, version, 0, count(*), count(label),"
        " min(scored_at), max(scored_at) FROM requests JOIN predictions ON request = number"
        " GROUP BY project, source, model, version"
    )
    for name in _FORMER:
        connection.exec_driver_sql(f"DROP TABLE former_{name}")


_INSERTS = {
    "requests": (
        "number, request_id, is_shadow, digest, project, run_id, scored_at, source, model, version,"
        " alias, latency_ms, columns, rows"
    ),
    "predictions": "request, position, row_key, probability, predicted, label, features",
    "former_ids": "prediction_id, request, position",
    "labels": "scope, name, label, labelled_at",
    "label_history": "scope, name, label, labelled_at, received_at, source, outcome",
}


def _write(connection: sql.Connection, kept: dict[str, list[tuple[Any, ...]]]) -> None:
    for table, columns in _INSERTS.items():
        if kept[table]:
            marks = ", ".join("?" * (columns.count(",") + 1))
            statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own names
            connection.exec_driver_sql(statement, kept[table])
            kept[table].clear()
