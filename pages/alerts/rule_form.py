"""The alert rules as an editable table."""

from __future__ import annotations

import pandas as pd

from core.monitoring import alert_rules
from core.monitoring.alerting import HOUR, Rule
from core.platform.config import Settings
from pages.shared import elements
from pages.shared.bilingual import st

SAVED = "rules-saved"
COLUMNS = {
    "is_on": st.column_config.CheckboxColumn("On", default=True, width="small"),
    "name": st.column_config.TextColumn("Name", required=True, max_chars=80),
    "pattern": st.column_config.TextColumn(
        "Watches",
        required=True,
        max_chars=200,
        help="A code of a check, * for any text: psi.*, roc_auc. Or a group: performance, input, "
        "output, support. Or verdict: the report as a whole.",
    ),
    "level": st.column_config.SelectboxColumn(
        "From",
        options=["warning", "alert"],
        default="alert",
        required=True,
        help="The mildest verdict that counts.",
    ),
    "raise_after": st.column_config.NumberColumn(
        "Opens after",
        min_value=1,
        max_value=50,
        step=1,
        default=1,
        required=True,
        help="Reports in a row that find it.",
    ),
    "clear_after": st.column_config.NumberColumn(
        "Clears after",
        min_value=1,
        max_value=50,
        step=1,
        default=2,
        required=True,
        help="Reports in a row that find it ok.",
    ),
    "quiet_hours": st.column_config.NumberColumn(
        "Quiet hours",
        min_value=0.0,
        max_value=8760.0,
        default=24.0,
        required=True,
        help="After it was told, how long the same check is not told of again.",
    ),
}


@elements.show_errors()
def section(settings: Settings) -> None:
    """Draw the rules and save changes."""
    st.subheader("Rules", anchor=False)
    st.markdown(
        "The first rule that is on and names a check decides about it. An alert opens and clears "
        "only after so many reports in a row, so that a figure that swings about its limit does "
        "not ring each time; a check that cannot be judged changes nothing. With level *alert*, a "
        "*warning* neither opens nor clears."
    )
    kept = alert_rules.load(settings)
    edited = st.data_editor(
        _as_table(kept),
        column_config=COLUMNS,
        num_rows="dynamic",
        hide_index=True,
        width="stretch",
        key="rules",
    )
    if st.button("Save the rules", icon=":material/save:", key="save-rules"):
        with elements.show_errors():
            alert_rules.save(settings, _as_rules(edited))
            st.session_state[SAVED] = True
            st.rerun()
    if st.session_state.pop(SAVED, False):
        st.success("Saved. They hold from the next report on.", icon=":material/check:")


def _as_table(rules: list[Rule]) -> pd.DataFrame:
    rows = [
        {**rule.model_dump(exclude={"quiet_seconds"}), "quiet_hours": rule.quiet_seconds / HOUR}
        for rule in rules
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _as_rules(table: pd.DataFrame) -> list[Rule]:
    """Return the rules in the table; a row without a name and a pattern is incomplete."""
    rules = []
    for row in table.to_dict("records"):
        filled = {key: value for key, value in row.items() if not pd.isna(value)}
        if not filled.get("name") and not filled.get("pattern"):
            continue
        hours = filled.pop("quiet_hours", 24.0)
        rules.append(alert_rules.made_rule(**{**filled, "quiet_seconds": hours * HOUR}))
    return rules
