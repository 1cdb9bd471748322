"""Incidents: the alerts of one model version and data source, to be answered together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sql

from core.monitoring import alert_store, alerting, alerts
from core.monitoring import alert_tables as tables
from core.monitoring.alert_store import OPEN, Alert, Event
from core.platform import state
from core.platform.config import Settings
from core.platform.messages import Words


@dataclass(frozen=True)
class Incident:
    """The open alerts about a version on the rows of one source.

    Parameters
    ----------
    subject : str
        The key of `core.monitoring.alerting.Subject`.
    alerts : tuple of Alert
        Open ones first; of them the report as a whole, then the newest.
    first_seen, last_seen : float
        When the oldest of them was raised, and the newest report that judged one of them, by the
        clock of schedules; seconds since 1970.
    last_run_id : str
        That report.
    """

    subject: str
    alerts: tuple[Alert, ...]
    first_seen: float
    last_seen: float
    last_run_id: str

    @property
    def version(self) -> str:
        """The registered version, empty where it was not recorded."""
        return self.alerts[0].version

    @property
    def is_sample(self) -> bool:
        """Whether it is of the built-in sample."""
        return self.alerts[0].is_sample

    @property
    def unanswered(self) -> tuple[Alert, ...]:
        """The unacknowledged alerts; that of the report as a whole only if alone."""
        own = tuple(alert for alert in self.alerts if alert.state == OPEN)
        return tuple(alert for alert in own if alert.code != alerting.VERDICT) or own

    @property
    def checks(self) -> tuple[Alert, ...]:
        """The alerts of checks, without that of the report as a whole."""
        return tuple(alert for alert in self.alerts if alert.code != alerting.VERDICT)

    @property
    def title(self) -> Words:
        """The conclusion of the report that raised it, else the name of its first check."""
        return next((a.title for a in self.alerts if a.code == alerting.VERDICT), "") or (
            self.alerts[0].title
        )

    @property
    def verdict(self) -> str:
        """The worst newest verdict of its alerts."""
        return alerting.worst({alert.alert_id: alert.last_verdict for alert in self.alerts})


def standing(settings: Settings) -> list[Incident]:
    """Return the incidents with an alert that is not cleared; unanswered, then new ones first."""
    unclosed = alerts.open_alerts(settings)
    seen = _reported_at(settings, {alert.last_run_id for alert in unclosed})
    by_subject = sorted(unclosed, key=lambda alert: alert.subject)
    found = [
        _incident(subject, tuple(own), seen)
        for subject, own in groupby(by_subject, key=lambda alert: alert.subject)
    ]
    return sorted(found, key=lambda incident: (not incident.unanswered, -incident.first_seen))


def history(settings: Settings, incident: Incident) -> list[Event]:
    """Return what happened to the alerts of an incident, the newest first."""
    mine = tables.events.c.alert_id.in_([alert.alert_id for alert in incident.alerts])
    with state.reading(settings) as connection:
        return alert_store.read_events(connection, mine)[::-1]


def _incident(subject: str, own: Sequence[Alert], seen: dict[str, float]) -> Incident:
    last = max(own, key=lambda alert: seen.get(alert.last_run_id, alert.at))
    return Incident(
        subject,
        tuple(own),
        min(alert.at for alert in own),
        seen.get(last.last_run_id, last.at),
        last.last_run_id,
    )


def _reported_at(settings: Settings, run_ids: Collection[str]) -> dict[str, float]:
    if not run_ids:
        return {}
    of = tables.reports.c
    with state.reading(settings) as connection:
        rows = connection.execute(sql.select(of.run_id, of.at).where(of.run_id.in_(run_ids)))
        return {row.run_id: row.at for row in rows}
