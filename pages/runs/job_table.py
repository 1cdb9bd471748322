"""The newest background jobs."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.jobs import jobs
from core.platform import steps
from core.platform.config import Settings
from core.platform.messages import _
from pages.shared import elements, statuses, table_texts

LIMIT = 20
TITLES = {step.name: step.title for step in steps.STEPS}


def draw(settings: Settings) -> None:
    """Draw the newest jobs as a table."""
    newest = jobs.latest(settings, limit=LIMIT)
    if not newest:
        st.info(_("Nothing here yet."))
        return
    st.dataframe(
        table_texts.localized(
            pd.DataFrame(
                [
                    {
                        "step": str(TITLES.get(job.step, job.step)),
                        "status": statuses.status(job.status),
                        "text": elements.words(job.error or job.text),
                        "created": elements.when(job.created),
                        "seconds": job.ended - job.started if job.ended and job.started else None,
                        "run": f"/runs?run={job.run_id}" if job.run_id else None,
                    }
                    for job in newest
                ]
            ),
            {"seconds": ".1f", "created": table_texts.to_the_second},
        ),
        hide_index=True,
        column_config={
            "step": st.column_config.TextColumn(_("Step"), width="small"),
            "status": st.column_config.TextColumn(_("State"), width="small"),
            "text": st.column_config.TextColumn(_("Details"), width="medium"),
            "created": _("When"),
            "seconds": st.column_config.NumberColumn(_("Seconds"), width="small"),
            "run": st.column_config.LinkColumn(_("Run"), display_text="run=(.{8})", width="small"),
        },
    )
