"""Alerts: what reports raised, what people said to it, and the rules that decide.

One transaction takes a report: states of checks, alerts, their history and the messages to be sent
stand together or not at all. A message whose sender is killed is sent again, so a receiver may get
it twice: both carry the same delivery id, by which it drops the second.
"""

from __future__ import annotations

import json
import logging
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sql
from pydantic import ValidationError
from sqlalchemy.dialects.sqlite import insert

from core import alerting, config
from core.adapters import alert_store as store
from core.adapters import channels, clock, deliver
from core.adapters.deliver import Delivery as Delivery
from core.adapters.deliver import deliveries as deliveries
from core.alerting import Rule, State
from core.config import Settings
from core.errors import InputError, StoreError

OPEN, ACKNOWLEDGED, CLEARED = "open", "acknowledged", "cleared"
STANDING = (OPEN, ACKNOWLEDGED)
PERSON_LENGTH, NOTE_LENGTH = 80, 500
DRAIN_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that happened to an alert.

    Parameters
    ----------
    kind : str
        raised, reminded, cleared (by reports), acknowledged, closed (by a person).
    code, title : str
        The check.
    run_id : str or None
        The report; None for what a person did.
    is_told : bool
        Whether messages were sent of it.
    at, real : float
        When, by the clock of schedules and by the wall; seconds since 1970.
    """

    alert_id: str
    kind: str
    code: str
    title: str
    run_id: str | None
    value: float | None
    is_told: bool
    person: str | None
    note: str | None
    at: float
    real: float


@dataclass(frozen=True)
class Alert:
    """An alert, with how the newest report found its check.

    Parameters
    ----------
    state : str
        open, acknowledged or cleared.
    verdict, value, run_id
        Of the report that raised it.
    limit : str
        What the value is held against, in words; of that report.
    last_verdict, last_value, last_run_id
        Of the newest report that could judge the check.
    at, real : float
        When it was raised, by the clock of schedules and by the wall; seconds since 1970.
    person, note : str or None
        Who acknowledged or closed it, and what they said.
    """

    alert_id: str
    code: str
    group: str | None
    title: str
    rule: str
    state: str
    verdict: str
    value: float | None
    limit: str
    run_id: str
    at: float
    real: float
    last_verdict: str
    last_value: float | None
    last_run_id: str
    cleared_at: float | None
    cleared_real: float | None
    person: str | None
    note: str | None


def report(
    settings: Settings,
    run_id: str,
    verdicts: Mapping[str, str],
    titles: Mapping[str, str],
    values: Mapping[str, float | None],
    *,
    verdict_title: str,
    now: float,
    groups: Mapping[str, str] | None = None,
    limits: Mapping[str, str] | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> list[Event]:
    """Take a report's verdicts, and return what they changed. The same run again changes nothing.

    Messages are sent for up to `drain_seconds`; the supervisor sends what is left, and what failed
    again.

    Parameters
    ----------
    run_id : str
        The report's run.
    verdicts : mapping of str to str
        By code of the check: ok, warning, alert, not_applicable. A code that is not there is as if
        it were not applicable. `verdict`, the report as a whole, is the worst of them unless given.
    titles, values, limits, groups : mapping
        By code: what a person reads, the figure, what it is held against in words, and the group
        (performance, input, output, support) that rules may name.
    verdict_title : str
        The report's conclusion in a few words.
    now : float
        Seconds since 1970 by `core.adapters.clock`.

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
    with store.begin(settings) as connection:
        new = insert(store.reports).values(run_id=run_id, title=verdict_title, at=now, real=real)
        # takes the write lock: two reports at once come one after the other
        if connection.execute(new.on_conflict_do_nothing()).rowcount == 0:
            return _events(connection, store.events.c.run_id == run_id)
        watched = _rules(connection)
        for code, verdict in whole.items():
            rule = alerting.rule_for(watched, code, groups.get(code))
            if rule is None:
                continue
            value = values.get(code)
            found = {
                "code": code,
                "group": groups.get(code),
                "title": titles.get(code, code),
                "rule": rule.name,
                "verdict": verdict,
                "value": None if value is None or not math.isfinite(value) else float(value),
                "limit": limits.get(code, ""),
                "run_id": run_id,
                "at": now,
                "real": real,
            }
            _take(connection, rule, found)
        changed = _events(connection, store.events.c.run_id == run_id)
        told = [one for one in changed if one.is_told]
        if told:
            _post(connection, names, told, verdict_title, run_id, now)
    deliver.drain_within(settings, drain_seconds)
    return changed


def _take(connection: sql.Connection, rule: Rule, found: Mapping[str, Any]) -> None:
    """Step one check's state, and write what that changes."""
    code, verdict, now = found["code"], found["verdict"], found["at"]
    before = _state(connection, code)
    after, change = alerting.step(rule, before, verdict, now)
    if after != before:
        values = {"code": code, **asdict(after)}
        into = insert(store.states).values(values)
        connection.execute(into.on_conflict_do_update(index_elements=["code"], set_=values))
    of = store.alerts.c
    standing = sql.and_(of.code == code, of.state.in_(STANDING))
    if change is not None and change.kind == "raised":
        last = {
            "last_verdict": verdict,
            "last_value": found["value"],
            "last_run_id": found["run_id"],
        }
        alert_id = uuid.uuid4().hex
        values = {"alert_id": alert_id, "state": OPEN, **found, **last}
        connection.execute(sql.insert(store.alerts).values(values))
    elif before.is_open and verdict in alerting.ORDER[1:]:
        alert_id = connection.execute(sql.select(of.alert_id).where(standing)).scalar_one()
        values = {
            "last_verdict": verdict,
            "last_value": found["value"],
            "last_run_id": found["run_id"],
        }
        if change is not None and change.kind == "cleared":
            values |= {"state": CLEARED, "cleared_at": now, "cleared_real": found["real"]}
        connection.execute(sql.update(store.alerts).where(standing).values(values))
    if change is not None:
        happened = {key: found[key] for key in ("run_id", "value", "at", "real")}
        connection.execute(
            sql.insert(store.events).values(
                alert_id=alert_id, kind=change.kind, is_told=change.is_told, **happened
            )
        )


def _channels(settings: Settings) -> tuple[str, ...]:
    """Return where messages go; a damaged list of channels must not lose a report."""
    try:
        return channels.load(settings).on
    except StoreError as error:
        _log.error("%s", error.message)
        return ()


def _post(
    connection: sql.Connection,
    names: Sequence[str],
    told: Sequence[Event],
    verdict_title: str,
    run_id: str,
    now: float,
) -> None:
    """Put one message for each channel into the outbox: of a report, not of each alert."""
    those = store.alerts.c.alert_id.in_([event.alert_id for event in told])
    rows = {one.alert_id: one for one in _alerts(connection, those)}
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
        for event in told
    ]
    body = {"kind": "alerts", "title": verdict_title, "report": run_id, "at": now, "alerts": lines}
    for name in names:
        deliver.put(connection, name, body)


def open_alerts(settings: Settings) -> list[Alert]:
    """Return the alerts that stand.

    Those nobody has acknowledged come first; of them the report as a whole, then the newest.
    """
    if not store.is_there(settings):
        return []
    with store.begin(settings) as connection:
        found = _alerts(connection, store.alerts.c.state.in_(STANDING))
    return sorted(found, key=lambda one: (one.state != OPEN, one.code != alerting.VERDICT, -one.at))


def history(settings: Settings, limit: int = 200) -> list[Event]:
    """Return what happened to alerts, the newest first."""
    if not store.is_there(settings):
        return []
    with store.begin(settings) as connection:
        return _events(connection, None, limit)


def acknowledge(settings: Settings, alert_id: str, person: str, note: str) -> None:
    """Note that a person has seen an alert: it stays quiet until it clears.

    Parameters
    ----------
    person, note : str
        Who, and what they make of it.

    Raises
    ------
    InputError
        Without a name, or when the alert no longer stands or is acknowledged already.
    """
    _answer(settings, alert_id, "acknowledged", person, note)


def close(settings: Settings, alert_id: str, person: str, note: str) -> None:
    """Put an alert away that no report will clear, as when its check is gone.

    A report that still finds its check bad raises it anew, after as many as its rule says.

    Raises
    ------
    InputError
        Without a name, or when the alert no longer stands.
    """
    _answer(settings, alert_id, "closed", person, note)


def _answer(settings: Settings, alert_id: str, kind: str, person: str, note: str) -> None:
    person, note = " ".join(person.split()), note.strip()
    if not person or len(person) > PERSON_LENGTH or not person.isprintable():
        raise InputError(f"Say who you are, in 1 to {PERSON_LENGTH} letters.")
    if len(note) > NOTE_LENGTH:
        raise InputError(f"A note has at most {NOTE_LENGTH} letters; this one has {len(note):,}.")
    at, real = clock.now(settings), time.time()
    of = store.alerts.c
    mine = of.alert_id == alert_id
    allowed = (OPEN,) if kind == "acknowledged" else STANDING
    change: dict[str, Any] = {"state": ACKNOWLEDGED}
    if kind == "closed":
        change = {"state": CLEARED, "cleared_at": at, "cleared_real": real}
    with store.begin(settings) as connection:
        if not connection.execute(
            sql.update(store.alerts).where(mine, of.state.in_(allowed)).values(change)
        ).rowcount:
            raise InputError("This alert was cleared or acknowledged meanwhile. Reload the page.")
        code = connection.execute(sql.select(of.code).where(mine)).scalar_one()
        fresh: dict[str, Any] = {"is_acknowledged": True}
        if kind == "closed":
            fresh = asdict(State())
            del fresh["told_at"]
        connection.execute(
            sql.update(store.states).where(store.states.c.code == code).values(fresh)
        )
        connection.execute(
            sql.insert(store.events).values(
                alert_id=alert_id, kind=kind, run_id=None, value=None, is_told=False,
                person=person, note=note, at=at, real=real,
            )
        )  # fmt: skip


def rules(settings: Settings) -> list[Rule]:
    """Return the rules in their order: the first that names a check decides about it."""
    if not store.is_there(settings):
        return list(alerting.DEFAULTS)
    with store.begin(settings) as connection:
        return _rules(connection)


def save_rules(settings: Settings, chosen: Sequence[Rule]) -> None:
    """Replace all rules. Alerts of checks that no rule watches any more are closed.

    Raises
    ------
    InputError
        When two rules have one name.
    """
    names = [rule.name for rule in chosen]
    if len(set(names)) < len(names):
        raise InputError("Two rules have the same name. Give each its own.")
    with store.begin(settings) as connection:
        connection.execute(sql.delete(store.rules))
        for number, rule in enumerate(chosen):
            body = rule.model_dump_json()
            connection.execute(sql.insert(store.rules).values(number=number, body=body))
        connection.execute(insert(store.saved).values(name="rules").on_conflict_do_nothing())
        standing = _alerts(connection, store.alerts.c.state.in_(STANDING))
    for alert in standing:
        if alerting.rule_for(chosen, alert.code, alert.group) is None:
            close(settings, alert.alert_id, "Courtside", "No rule watches this check now.")


def made_rule(**values: object) -> Rule:
    """Return a rule of what a person typed.

    Raises
    ------
    InputError
        When it cannot be used.
    """
    try:
        return Rule(**values)
    except ValidationError as error:
        raise InputError(f"The rule cannot be kept: {config.sentence(error)}") from None


def _rules(connection: sql.Connection) -> list[Rule]:
    if connection.execute(sql.select(store.saved).where(store.saved.c.name == "rules")).first():
        query = sql.select(store.rules.c.body).order_by(store.rules.c.number)
        return [Rule(**json.loads(body)) for body in connection.execute(query).scalars()]
    return list(alerting.DEFAULTS)


def _state(connection: sql.Connection, code: str) -> State:
    row = connection.execute(sql.select(store.states).where(store.states.c.code == code)).first()
    if row is None:
        return State()
    return State(**{key: value for key, value in row._mapping.items() if key != "code"})


def _alerts(connection: sql.Connection, where: sql.ColumnElement[bool]) -> list[Alert]:
    query = sql.select(store.alerts).where(where)
    said = (
        sql.select(store.events)
        .join(store.alerts, store.alerts.c.alert_id == store.events.c.alert_id)
        .where(where, store.events.c.kind.in_(("acknowledged", "closed")))
        .order_by(store.events.c.number)
    )
    answers = {row.alert_id: (row.person, row.note) for row in connection.execute(said)}
    found = []
    for row in connection.execute(query.order_by(store.alerts.c.number)):
        values = {key: value for key, value in row._mapping.items() if key != "number"}
        person, note = answers.get(row.alert_id, (None, None))
        found.append(Alert(**values, person=person, note=note))
    return found


def _events(
    connection: sql.Connection, where: sql.ColumnElement[bool] | None, limit: int = 10_000
) -> list[Event]:
    of = store.events.c
    query = (
        sql.select(store.events, store.alerts.c.code, store.alerts.c.title)
        .join(store.alerts, store.alerts.c.alert_id == of.alert_id)
        .order_by(of.number.desc())
        .limit(limit)
    )
    if where is not None:
        query = query.where(where).order_by(None).order_by(of.number)
    return [
        Event(**{key: value for key, value in row._mapping.items() if key != "number"})
        for row in connection.execute(query)
    ]
