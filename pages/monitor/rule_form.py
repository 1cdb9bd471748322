"""The alert rules as an editable table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.monitoring import alert_rules
from core.monitoring.alerting import DEFAULTS, HOUR, Rule, name_in_words
from core.platform import permissions
from core.platform.config import Settings
from core.platform.messages import _
from core.stats.check import VERDICT_LABELS
from pages.shared import elements

SAVED = "rules-saved"
LEVELS = {level: VERDICT_LABELS[level] for level in ("warning", "alert")}
COLUMNS = ("is_on", "name", "pattern", "level", "raise_after", "clear_after", "quiet_hours")


@elements.show_errors()
def section(settings: Settings) -> None:
    """Draw the rules and save changes."""
    st.caption(
        _("The first rule that matches a check applies."),
        help=_("With level *alert*, a *warning* neither opens nor clears an alert."),
    )
    kept = alert_rules.load(settings)
    edited = st.data_editor(
        _as_table(kept),
        column_config=_columns(),
        num_rows="dynamic",
        hide_index=True,
        width="stretch",
        key="rules",
    )
    if st.button(
        _("Save"),
        icon=":material/save:",
        key="save-rules",
        disabled=not permissions.may("alert_rule"),
    ):
        with elements.show_errors():
            alert_rules.save(settings, _as_rules(edited))
            st.session_state[SAVED] = True
            st.rerun()
    if st.session_state.pop(SAVED, False):
        st.success(_("Saved."), icon=":material/check:")


def _columns() -> dict[str, Any]:
    config = st.column_config
    return {
        "is_on": config.CheckboxColumn(_("On"), default=True, width="small"),
        "name": config.TextColumn(_("Name"), required=True, max_chars=80),
        "pattern": config.TextColumn(
            _("Check"),
            required=True,
            max_chars=200,
            help=_(
                "The code of a check (psi.*, roc_auc), a group (performance, input, output, "
                "support), or verdict for the whole report."
            ),
        ),
        "level": config.SelectboxColumn(
            _("Level"),
            options=list(LEVELS),
            default="alert",
            required=True,
            format_func=lambda level: str(LEVELS[level]),
        ),
        "raise_after": config.NumberColumn(
            _("Opens after"),
            min_value=1,
            max_value=50,
            step=1,
            default=1,
            required=True,
            help=_("Reports in a row"),
        ),
        "clear_after": config.NumberColumn(
            _("Clears after"),
            min_value=1,
            max_value=50,
            step=1,
            default=2,
            required=True,
            help=_("Reports in a row"),
        ),
        "quiet_hours": config.NumberColumn(
            _("Hours between repeats"),
            min_value=0.0,
            max_value=8760.0,
            default=24.0,
            format="localized",
            required=True,
            help=_("No further message about the same check during this time"),
        ),
    }


def _as_table(rules: list[Rule]) -> pd.DataFrame:
    rows = [
        {
            **rule.model_dump(exclude={"quiet_seconds"}),
            "name": str(name_in_words(rule.name)),
            "quiet_hours": rule.quiet_seconds / HOUR,
        }
        for rule in rules
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _as_rules(table: pd.DataFrame) -> list[Rule]:
    """Return the rules in the table; a row without a name and a pattern is incomplete."""
    # a built-in name is shown in the reader's language and kept in its own
    built_in = {str(name_in_words(rule.name)): rule.name for rule in DEFAULTS}
    rules = []
    for row in table.to_dict("records"):
        filled = {key: value for key, value in row.items() if not pd.isna(value)}
        if not filled.get("name") and not filled.get("pattern"):
            continue
        hours = filled.pop("quiet_hours", 24.0)
        filled["name"] = built_in.get(filled.get("name", ""), filled.get("name", ""))
        rules.append(alert_rules.made_rule(**{**filled, "quiet_seconds": hours * HOUR}))
    return rules
