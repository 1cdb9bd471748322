"""The ledger: which version was the champion from when to when, and who decided so."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from core.platform import table_files as export
from core.platform.config import Settings
from core.platform.messages import _, day, p_
from core.registry import registry
from pages.registry import version_list
from pages.shared import elements, table_texts

MAIN = ("version", "from", "to", "decision", "decided_by", "reason")
ALL = ("version", "from", "to", "hours", "decision", "decided_by", "run", "reason")


def draw(settings: Settings, model: str) -> None:
    """Draw the ledger, and offer it as a file."""
    moves = registry.ledger(settings, model)
    if moves.empty:
        st.info(_("Nothing here yet."))
        return
    now = pd.Timestamp.now("UTC")

    def local(moment: pd.Timestamp) -> str:
        if pd.isna(moment):
            return _("unknown")
        return day(datetime.fromtimestamp(moment.timestamp()))

    shown = moves.assign(
        version=moves["version"].astype(int),
        hours=[
            (now if place == 0 and pd.isna(end) else end) - begin
            for place, (begin, end) in enumerate(zip(moves["from"], moves["to"], strict=True))
        ],
        decision=[
            version_list.move(decision, former)
            for decision, former in zip(moves["decision"], former_champions(moves), strict=True)
        ],
        decided_by=moves["decided_by"].map(version_list.person),
        reason=moves["reason"].map(elements.words),
        run=[f"/runs?run={run_id}" if run_id else None for run_id in moves["run_id"]],
    )
    shown["hours"] = shown["hours"].dt.total_seconds() / 3600
    for name in ("from", "to"):
        shown[name] = moves[name].map(local)
    if pd.isna(moves["to"].iloc[0]):
        shown.loc[shown.index[0], "to"] = "–"
    everything = st.session_state.get("ledger-all-columns", False)
    st.dataframe(
        table_texts.localized(
            shown,
            {"version": lambda version: _("version {version}", version=version), "hours": ".2f"},
        ),
        hide_index=True,
        column_order=ALL if everything else MAIN,
        column_config={
            "version": _("Version"),
            "from": _("From"),
            "to": _("To"),
            "hours": _("Hours"),
            "decision": st.column_config.TextColumn(
                _("Decision"), help=_("Unknown: changed in MLflow itself.")
            ),
            "decided_by": _("Decided by"),
            "reason": st.column_config.TextColumn(_("Why"), width="large"),
            "run": st.column_config.LinkColumn(_("Run"), display_text=p_("link", "open")),
        },
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        elements.download(
            f"{_('Champion history')} (CSV)", lambda: export.csv(moves), f"ledger_{model}.csv"
        )
        st.toggle(_("All columns"), key="ledger-all-columns")


def former_champions(moves: pd.DataFrame) -> list[str]:
    """Return the champion before each of these moves, empty for none."""
    return [*moves["version"].astype(str)[1:], ""] if len(moves) else []
