"""Alerts: raised by reports, acknowledged by people.

One transaction processes a report: states of checks, alerts, their history and the messages to send
are stored together or not at all. A message whose sender is killed is sent again, so a receiver may
get it twice: both have the same delivery id, for deduplication.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sql

from core.monitoring import alert_rules, alert_store, alerting, channels, deliver
from core.monitoring import alert_tables as tables
from core.monitoring.alert_store import (
    ACKNOWLEDGED,
    BY_PERSON,
    CLEARED,
    OPEN,
    STANDING,
    VERSION_LEFT,
    Alert,
    Event,
)
from core.monitoring.alerting import Rule, State, Subject
from core.monitoring.deliver import Delivery as Delivery
from core.monitoring.deliver import deliveries as deliveries
from core.platform import clock, permissions, set_aside, state
from core.platform.config import Settings
from core.platform.errors import InputError, StoreError
from core.platform.messages import Message, Words, dumps

PERSON_LENGTH, NOTE_LENGTH = 80, 500
DRAIN_SECONDS = 5.0

_log = logging.getLogger(__name__)


def report(
    settings: Settings,
    run_id: str,
    verdicts: Mapping[str, str],
    titles: Mapping[str, Words],
    values: Mapping[str, float | None],
    *,
    subject: Subject,
    verdict_title: Words,
    now: float,
    groups: Mapping[str, str] | None = None,
    limits: Mapping[str, Words] | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> list[Event]:
    """Process a report's verdicts, and return the events. The same run again changes nothing.

    Only reports of the same subject, a version and a data source, count together. Messages are sent
    for up to `drain_seconds`; the supervisor sends the rest, and retries failures.

    Parameters
    ----------
    verdicts : mapping of str to str
        By code of the check: ok, warning, alert, not_applicable. A missing code counts as not
        applicable. `verdict`, the report as a whole, is the worst of them unless given.
    titles, values, limits, groups : mapping
        By code: display name, value, limit in words, and the group (performance, input, output,
        support) for rules.
    verdict_title : Message or str
        The report's conclusion in a few words.
    now : float
        Seconds since 1970 by `core.platform.clock`.

    Raises
    ------
    StoreError
        When the database cannot be written; nothing was changed then.
    """
    groups, limits = groups or {}, limits or {}
    whole = {alerting.VERDICT: alerting.worst(verdicts)} | dict(verdicts)
    titles = {alerting.VERDICT: verdict_title} | dict(titles)
    real = time.time()
    names = _channels(settings)
    with state.transaction(settings) as connection:
        new = state.insert(connection, tables.reports).values(
            run_id=run_id, title=dumps(verdict_title), at=now, real=real
        )
        # takes the write lock: concurrent reports are processed one after the other
        if connection.execute(new.on_conflict_do_nothing()).rowcount == 0:
            return alert_store.read_events(connection, tables.events.c.run_id == run_id)
        watched = alert_rules.stored(settings, connection)
        for code, verdict in whole.items():
            rule = alerting.rule_for(watched, code, groups.get(code))
            if rule is None:
                continue
            value = values.get(code)
            finding = {
                "code": code,
                "group": groups.get(code),
                "title": dumps(titles.get(code, code)),
                "rule": rule.name,
                "verdict": verdict,
                "value": None if value is None or not math.isfinite(value) else float(value),
                "limit": dumps(limits.get(code, "")),
                "run_id": run_id,
                "at": now,
                "real": real,
                "subject": subject.key,
                **asdict(subject),
            }
            item = f"{code}:{run_id}"
            passing = (sql.exc.OperationalError,)
            # a check with a damaged state rolls back its own changes only
            with (
                set_aside.guarded(settings, "alerts", item, passing=passing),
                connection.begin_nested(),
            ):
                _take(connection, rule, finding)
        changed = alert_store.read_events(connection, tables.events.c.run_id == run_id)
        announced = [event for event in changed if event.is_told]
        if announced:
            _post(connection, names, announced, subject, verdict_title, run_id, now)
    deliver.drain_within(settings, drain_seconds)
    return changed


def _take(connection: sql.Connection, rule: Rule, finding: Mapping[str, Any]) -> None:
    """Update one check's state, and write the consequences."""
    code, verdict, now = finding["code"], finding["verdict"], finding["at"]
    before = alert_store.read_state(connection, finding["subject"], code)
    after, change = alerting.step(rule, before, verdict, now)
    if after != before:
        values = {"subject": finding["subject"], "code": code, **asdict(after)}
        into = state.insert(connection, tables.states).values(values)
        place = ["subject", "code"]
        connection.execute(into.on_conflict_do_update(index_elements=place, set_=values))
    of = tables.alerts.c
    mine = sql.and_(of.subject == finding["subject"], of.code == code)
    standing = sql.and_(mine, of.state.in_(STANDING))
    if change is not None and change.kind == "raised":
        last = {
            "last_verdict": verdict,
            "last_value": finding["value"],
            "last_run_id": finding["run_id"],
        }
        alert_id = uuid.uuid4().hex
        values = {"alert_id": alert_id, "state": OPEN, **finding, **last}
        connection.execute(sql.insert(tables.alerts).values(values))
    elif before.is_open and verdict in alerting.ORDER[1:]:
        alert_id = connection.execute(sql.select(of.alert_id).where(standing)).scalar_one()
        values = {
            "last_verdict": verdict,
            "last_value": finding["value"],
            "last_run_id": finding["run_id"],
        }
        if change is not None and change.kind == "cleared":
            values |= {"state": CLEARED, "cleared_at": now, "cleared_real": finding["real"]}
        connection.execute(sql.update(tables.alerts).where(standing).values(values))
    if change is not None:
        happened = {key: finding[key] for key in ("run_id", "value", "at", "real")}
        connection.execute(
            sql.insert(tables.events).values(
                alert_id=alert_id, kind=change.kind, is_told=change.is_told, **happened
            )
        )


def _channels(settings: Settings) -> tuple[str, ...]:
    """Return the channels to use; a damaged list of channels must not lose a report."""
    try:
        return channels.load(settings).on
    except StoreError as error:
        _log.error("%s", error.message)
        return ()


def _post(
    connection: sql.Connection,
    names: Sequence[str],
    events: Sequence[Event],
    subject: Subject,
    verdict_title: Words,
    run_id: str,
    now: float,
) -> None:
    """Put one message per channel into the outbox: per report, not per alert."""
    those = tables.alerts.c.alert_id.in_([event.alert_id for event in events])
    rows = {alert.alert_id: alert for alert in alert_store.read_alerts(connection, those)}
    lines = [
        {
            "alert_id": event.alert_id,
            "event": event.kind,
            "check": event.code,
            "title": event.title,
            "verdict": rows[event.alert_id].last_verdict,
            "value": event.value,
            "limit": rows[event.alert_id].limit,
            "since": rows[event.alert_id].at,
        }
        for event in events
    ]
    body = {
        "kind": "alerts",
        "title": verdict_title,
        "report": run_id,
        "at": now,
        "model": subject.model,
        "version": subject.version,
        "sample": subject.is_sample,
        "alerts": lines,
    }
    for name in names:
        deliver.put(connection, name, body)


def open_alerts(settings: Settings) -> list[Alert]:
    """Return the open alerts.

    Unacknowledged ones come first; of them the report as a whole, then the newest.
    """
    with state.reading(settings) as connection:
        standing = alert_store.read_alerts(connection, tables.alerts.c.state.in_(STANDING))
    return sorted(
        standing, key=lambda alert: (alert.state != OPEN, alert.code != alerting.VERDICT, -alert.at)
    )


def history(settings: Settings, limit: int = 200) -> list[Event]:
    """Return the events of all alerts, the newest first."""
    with state.reading(settings) as connection:
        return alert_store.read_events(connection, None, limit)


@permissions.needs("alert")
def acknowledge_all(settings: Settings, subject: str, person: str, note: str) -> int:
    """Acknowledge every open alert of a version and data source, and return their number.

    Parameters
    ----------
    subject : str
        The key of `core.monitoring.alerting.Subject`.

    Raises
    ------
    InputError
        Without a name, or when none of them is open.
    """
    return _answer(settings, tables.alerts.c.subject == subject, "acknowledged", person, note)


@permissions.needs("alert")
def close(settings: Settings, alert_id: str, person: str, note: str) -> None:
    """Close an alert that no report will clear, for example because its check no longer exists.

    It is raised again once its rule is met by new reports.

    Raises
    ------
    InputError
        Without a name, or when the alert is closed already.
    """
    _answer(settings, tables.alerts.c.alert_id == alert_id, "closed", person, note)


def close_left(settings: Settings, model: str, in_operation: Collection[str]) -> list[Alert]:
    """Close the alerts of versions that are not in operation any more; their counts end too.

    They stay in the history with the reason `version_left`. A version that comes back starts from
    zero. Alerts of other projects stay open, and those from before versions were recorded close.

    Parameters
    ----------
    model : str
        The project's registered model.
    in_operation : collection of str
        The numbers of its versions that are the champion or served.

    Returns
    -------
    list of Alert
        As they were before.

    Raises
    ------
    StoreError
        When the database cannot be used; nothing was changed then.
    """
    of, kept = tables.alerts.c, tables.states.c.subject
    stays = {
        Subject(settings.project, model, version, is_sample).key
        for version in in_operation
        for is_sample in (False, True)
    }
    mine = of.project.in_((settings.project, ""))
    with state.transaction(settings) as connection:
        left = alert_store.read_alerts(
            connection, sql.and_(mine, of.state.in_(STANDING), of.subject.notin_(stays))
        )
        for alert in left:
            alert_store.close(connection, alert.alert_id, clock.now(settings), VERSION_LEFT)
        connection.execute(
            sql.delete(tables.states).where(
                kept.startswith(f"{settings.project}/", autoescape=True), kept.notin_(stays)
            )
        )
    return left


def _answer(
    settings: Settings, which: sql.ColumnElement[bool], kind: str, person: str, note: str
) -> int:
    """Record a person's answer to these alerts, all or none, and return their number."""
    person, note = " ".join(person.split()), note.strip()
    if not person or len(person) > PERSON_LENGTH or not person.isprintable():
        raise InputError(Message("Enter a name of 1 to {most} characters.", most=PERSON_LENGTH))
    if len(note) > NOTE_LENGTH:
        raise InputError(
            Message(
                "A note has at most {most} characters; this one has {length:,}.",
                most=NOTE_LENGTH,
                length=len(note),
            )
        )
    at, real = clock.now(settings), time.time()
    of = tables.alerts.c
    allowed = (OPEN,) if kind == "acknowledged" else STANDING
    change: dict[str, Any] = {"state": ACKNOWLEDGED}
    fresh: dict[str, Any] = {"is_acknowledged": True}
    if kind == "closed":
        change = {"state": CLEARED, "cleared_at": at, "cleared_real": real}
        fresh = asdict(State())
        del fresh["told_at"]
    with state.transaction(settings) as connection:
        query = sql.select(of.alert_id, of.subject, of.code)
        answered = connection.execute(query.where(which, of.state.in_(allowed))).all()
        if not answered:
            raise InputError(
                Message("This alert was cleared or acknowledged in the meantime. Reload the page.")
            )
        for alert_id, subject, code in answered:
            its = tables.states.c
            connection.execute(
                sql.update(tables.alerts).where(of.alert_id == alert_id).values(change)
            )
            connection.execute(
                sql.update(tables.states)
                .where(its.subject == subject, its.code == code)
                .values(fresh)
            )
            connection.execute(
                sql.insert(tables.events).values(
                    alert_id=alert_id,
                    kind=kind,
                    run_id=None,
                    value=None,
                    is_told=False,
                    person=person,
                    note=note,
                    at=at,
                    real=real,
                    reason=BY_PERSON if kind == "closed" else None,
                )
            )
    return len(answered)
