"""The newest runs as a table, to choose one of."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.platform import steps, tracking
from core.platform.config import Settings
from core.platform.messages import _
from core.platform.tracking import RunInfo
from pages.shared import elements, navigation, statuses, table_texts

LIMIT = 200
HEIGHT = 360
TITLES = {step.name: step.title for step in steps.STEPS}
# names of runs are fixed, and in Portuguese: each is shown with its step in words
COLUMNS = ("status", "name", "step", "started", "seconds", "data")
MORE = ("error", "commit", "parent", "run_id")


def draw(settings: Settings) -> RunInfo | None:
    """Draw the table, and return the chosen run."""
    step = st.pills(
        _("Step"),
        list(steps.RUN_NAMES),
        key="step",
        format_func=lambda name: str(TITLES[name]),
        label_visibility="collapsed",
    )
    runs = tracking.runs(settings, step=step, limit=LIMIT)
    if not runs:
        _nothing(step)
        return None
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.caption(
            _("The newest {limit} runs. Select one to see its details.", limit=LIMIT),
            width="content",
        )
        is_wide = st.toggle(_("All columns"), key="all-columns")
    failures = MORE[:1] if any(run.error for run in runs) else ()
    chosen = st.dataframe(
        table_texts.localized(
            _frame(runs), {"seconds": ".1f", "started": table_texts.to_the_second}
        ),
        height=min(HEIGHT, 38 + 35 * len(runs)),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"chosen-{step or 'all'}",
        column_order=COLUMNS + MORE if is_wide else (*COLUMNS, *failures),
        column_config={
            "status": st.column_config.TextColumn(_("State"), width="small"),
            "name": st.column_config.TextColumn(_("Run"), width="medium"),
            "started": _("When"),
            "seconds": st.column_config.NumberColumn(_("Seconds"), width="small"),
            "data": st.column_config.TextColumn(_("Data"), width="small"),
            "error": _("Details"),
            "step": _("Step"),
            "commit": _("Commit"),
            "parent": _("Parent run"),
            "run_id": "id",
        },
    )
    rows = [row for row in chosen["selection"]["rows"] if row < len(runs)]
    return runs[rows[0]] if rows else None


def _frame(runs: list[RunInfo]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "status": statuses.status(run.status),
                "name": elements.words(run.name),
                "started": elements.when(run.started),
                "seconds": run.ended - run.started if run.ended else None,
                "data": elements.data_word(True) if run.is_sample else "",
                "error": elements.words(run.error),
                "step": str(TITLES.get(run.step, run.step)),
                "commit": run.git_commit[:10],
                "parent": (run.parent or "")[:8],
                "run_id": run.run_id,
            }
            for run in runs
        ]
    )


def _nothing(step: str | None) -> None:
    st.info(_("Nothing here yet."))
    navigation.go_to(step or "acquire")
