"""Alert rules, set by a person: which checks raise an alert, and after how many reports."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sql
from pydantic import ValidationError

from core.monitoring import alert_store, alerting
from core.monitoring import alert_tables as tables
from core.monitoring.alerting import Rule
from core.platform import clock, config, permissions, set_aside, state
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.messages import Message

# state key of the user's rules, in order; the built-in rules apply until some are saved
RULES = "alert_rules"


def load(settings: Settings) -> list[Rule]:
    """Return the rules in their order: the first match decides about a check."""
    with state.reading(settings) as connection:
        return stored(settings, connection)


@permissions.needs("alert_rule")
def save(settings: Settings, chosen: Sequence[Rule]) -> None:
    """Replace all rules. Alerts of checks that no rule watches any more are closed.

    Raises
    ------
    InputError
        When two rules have the same name.
    """
    names = [rule.name for rule in chosen]
    if len(set(names)) < len(names):
        twice = Message(
            "used more than once: {names}", names=[n for n in {*names} if names.count(n) > 1]
        )
        raise InputError(Message("{reason!c}.", reason=twice))
    with state.transaction(settings) as connection:
        state.keep_document(connection, RULES, [rule.model_dump(mode="json") for rule in chosen])
        for alert in alert_store.read_alerts(
            connection, tables.alerts.c.state.in_(alert_store.STANDING)
        ):
            if alerting.rule_for(chosen, alert.code, alert.group) is None:
                alert_store.close(
                    connection, alert.alert_id, clock.now(settings), alert_store.NO_RULE
                )
                its = tables.states.c
                mine = sql.and_(its.subject == alert.subject, its.code == alert.code)
                connection.execute(sql.delete(tables.states).where(mine))


def made_rule(**values: object) -> Rule:
    """Return a rule from user input.

    Raises
    ------
    InputError
        When it is invalid.
    """
    try:
        return Rule(**values)
    except ValidationError as error:
        raise InputError(config.sentence(error)) from None


def stored(settings: Settings, connection: sql.Connection) -> list[Rule]:
    """Return the rules; those that cannot be read are set aside."""
    kept = state.document(connection, RULES)
    if kept is None:
        return list(alerting.DEFAULTS)
    usable = []
    for place, rule in enumerate(kept, start=1):
        with set_aside.guarded(settings, "alerts", f"rule:{place}", code="unreadable"):
            usable.append(Rule(**rule))
    return usable
