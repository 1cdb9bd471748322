"""Alerts and the events of their history, as the state database has them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from core.monitoring import alert_tables as tables
from core.monitoring.alerting import State
from core.platform.messages import Words, loads

OPEN, ACKNOWLEDGED, CLEARED = "open", "acknowledged", "cleared"
STANDING = (OPEN, ACKNOWLEDGED)
# why an alert was closed: by a person; because no rule watches its check any more; because its
# version is neither the champion nor served any more
BY_PERSON, NO_RULE, VERSION_LEFT = "person", "no_rule", "version_left"


@dataclass(frozen=True)
class Event:
    """An event in the history of an alert.

    Parameters
    ----------
    kind : str
        raised, reminded, cleared (by reports), acknowledged (by a person), closed.
    run_id : str or None
        The report; None for an action of a person.
    is_told : bool
        Whether messages were sent about it.
    at, real : float
        Time by the clock of schedules, and wall time; seconds since 1970.
    reason : str or None
        Why it was closed: person, no_rule or version_left.
    version : str
        The registered version, empty where it was not recorded.
    is_sample : bool
        Whether it is of the built-in sample.
    """

    alert_id: str
    kind: str
    code: str
    title: Words
    run_id: str | None
    value: float | None
    is_told: bool
    person: str | None
    note: str | None
    at: float
    real: float
    reason: str | None
    version: str
    is_sample: bool


@dataclass(frozen=True)
class Alert:
    """An alert, with the newest result of its check.

    Parameters
    ----------
    state : str
        open, acknowledged or cleared.
    verdict, value, run_id
        Of the report that raised it.
    limit : Message or str
        The limit of the value, in words; of that report.
    last_verdict, last_value, last_run_id
        Of the newest report to which the check was applicable.
    at, real : float
        When it was raised, by the clock of schedules, and in wall time; seconds since 1970.
    subject, project, model, version : str
        See `core.monitoring.alerting.Subject`.
    is_sample : bool
        Whether it is of the built-in sample.
    person, note : str or None
        Who acknowledged or closed it, and their note.
    """

    alert_id: str
    code: str
    group: str | None
    title: Words
    rule: str
    state: str
    verdict: str
    value: float | None
    limit: Words
    run_id: str
    at: float
    real: float
    last_verdict: str
    last_value: float | None
    last_run_id: str
    cleared_at: float | None
    cleared_real: float | None
    subject: str
    project: str
    model: str
    version: str
    is_sample: bool
    person: str | None
    note: str | None


def close(connection: sql.Connection, alert_id: str, at: float, reason: str) -> None:
    """Close an alert automatically, and record the reason."""
    real = time.time()
    change = {"state": CLEARED, "cleared_at": at, "cleared_real": real}
    mine = tables.alerts.c.alert_id == alert_id
    connection.execute(sql.update(tables.alerts).where(mine).values(change))
    connection.execute(
        sql.insert(tables.events).values(
            alert_id=alert_id,
            kind="closed",
            run_id=None,
            value=None,
            is_told=False,
            reason=reason,
            at=at,
            real=real,
        )
    )


def read_state(connection: sql.Connection, subject: str, code: str) -> State:
    """Return the state of a check of a subject; a new one if there is none yet."""
    its = tables.states.c
    names = [its[name] for name in State.__dataclass_fields__]
    mine = sql.and_(its.subject == subject, its.code == code)
    row = connection.execute(sql.select(*names).where(mine)).first()
    return State() if row is None else State(**row._mapping)


def read_alerts(connection: sql.Connection, where: sql.ColumnElement[bool]) -> list[Alert]:
    """Return the alerts that meet a condition, the oldest first."""
    query = sql.select(tables.alerts).where(where)
    answering = (
        sql.select(tables.events)
        .join(tables.alerts, tables.alerts.c.alert_id == tables.events.c.alert_id)
        .where(where, tables.events.c.kind.in_(("acknowledged", "closed")))
        .order_by(tables.events.c.number)
    )
    answers = {row.alert_id: (row.person, row.note) for row in connection.execute(answering)}
    read = []
    for row in connection.execute(query.order_by(tables.alerts.c.number)):
        values = _values(row)
        person, note = answers.get(row.alert_id, (None, None))
        read.append(Alert(**values, person=person, note=note))
    return read


def read_events(
    connection: sql.Connection, where: sql.ColumnElement[bool] | None, limit: int = 10_000
) -> list[Event]:
    """Return the events that meet a condition, the oldest first; without one, the newest first."""
    of = tables.events.c
    query = (
        sql.select(
            tables.events,
            *(tables.alerts.c[name] for name in ("code", "title", "version", "is_sample")),
        )
        .join(tables.alerts, tables.alerts.c.alert_id == of.alert_id)
        .order_by(of.number.desc())
        .limit(limit)
    )
    if where is not None:
        query = query.where(where).order_by(None).order_by(of.number)
    return [Event(**_values(row)) for row in connection.execute(query)]


def _values(row: sql.Row[Any]) -> dict[str, Any]:
    values = {key: value for key, value in row._mapping.items() if key != "number"}
    return values | {name: loads(values[name]) for name in ("title", "limit") if name in values}
