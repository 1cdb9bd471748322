"""The database tables of alerts and their deliveries.

Columns with words (`title`, `limit`, `problem`) hold what `core.platform.messages.dumps` writes.

Times named `at` are of `core.platform.clock`, those named `real` are wall time; seconds since 1970.
"""

from __future__ import annotations

import sqlalchemy as sql

from core.platform.state import TABLES

reports = sql.Table(
    "alert_reports",
    TABLES,
    sql.Column("run_id", sql.String, primary_key=True),
    sql.Column("title", sql.String, nullable=False),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("real", sql.Float, nullable=False),
)
states = sql.Table(
    "alert_streaks",
    TABLES,
    sql.Column("subject", sql.String, primary_key=True),
    sql.Column("code", sql.String, primary_key=True),
    sql.Column("is_open", sql.Boolean, nullable=False),
    sql.Column("bad", sql.Integer, nullable=False),
    sql.Column("good", sql.Integer, nullable=False),
    sql.Column("told_at", sql.Float),
    sql.Column("is_told", sql.Boolean, nullable=False),
    sql.Column("is_acknowledged", sql.Boolean, nullable=False),
)
alerts = sql.Table(
    "alerts",
    TABLES,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("alert_id", sql.String, nullable=False, unique=True),
    sql.Column("code", sql.String, nullable=False, index=True),
    sql.Column("group", sql.String),
    sql.Column("title", sql.String, nullable=False),
    sql.Column("rule", sql.String, nullable=False),
    sql.Column("state", sql.String, nullable=False, index=True),
    sql.Column("verdict", sql.String, nullable=False),
    sql.Column("value", sql.Float),
    sql.Column("limit", sql.String, nullable=False),
    sql.Column("run_id", sql.String, nullable=False),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("real", sql.Float, nullable=False),
    # according to the newest report
    sql.Column("last_verdict", sql.String, nullable=False),
    sql.Column("last_value", sql.Float),
    sql.Column("last_run_id", sql.String, nullable=False),
    sql.Column("cleared_at", sql.Float),
    sql.Column("cleared_real", sql.Float),
    # see `core.monitoring.alerting.Subject`; empty for alerts from before it was recorded
    sql.Column("subject", sql.String, nullable=False, server_default=""),
    sql.Column("project", sql.String, nullable=False, server_default=""),
    sql.Column("model", sql.String, nullable=False, server_default=""),
    sql.Column("version", sql.String, nullable=False, server_default=""),
    sql.Column("is_sample", sql.Boolean, nullable=False, server_default=sql.false()),
)
# at most one open alert per check and subject
_one_open_alert = sql.Index(
    "one_open_alert_of_subject",
    alerts.c.subject,
    alerts.c.code,
    unique=True,
    sqlite_where=sql.text("state IN ('open', 'acknowledged')"),
    postgresql_where=sql.text("state IN ('open', 'acknowledged')"),
)
events = sql.Table(
    "alert_events",
    TABLES,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("alert_id", sql.String, nullable=False, index=True),
    sql.Column("kind", sql.String, nullable=False),
    sql.Column("run_id", sql.String, index=True),
    sql.Column("value", sql.Float),
    sql.Column("is_told", sql.Boolean, nullable=False),
    sql.Column("person", sql.String),
    sql.Column("note", sql.String),
    # why it was closed, a code from `core.monitoring.alerts`
    sql.Column("reason", sql.String),
    sql.Column("at", sql.Float, nullable=False),
    sql.Column("real", sql.Float, nullable=False),
)
outbox = sql.Table(
    "alert_outbox",
    TABLES,
    sql.Column("number", sql.Integer, primary_key=True),
    sql.Column("delivery_id", sql.String, nullable=False, unique=True),
    sql.Column("channel", sql.String, nullable=False),
    sql.Column("body", sql.String, nullable=False),
    sql.Column("state", sql.String, nullable=False, index=True),
    sql.Column("tries", sql.Integer, nullable=False, default=0),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("next_try", sql.Float, nullable=False),
    sql.Column("ended", sql.Float),
    sql.Column("problem", sql.String),
)
