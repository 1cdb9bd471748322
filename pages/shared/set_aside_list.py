"""Work that background loops set aside, for the operator."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from core.platform import set_aside
from core.platform.config import Settings
from pages.shared import elements
from pages.shared.bilingual import st

QUEUES = {
    "predictions": "Predictions log",
    "labels": "Labels",
    "endpoint": "Endpoint",
    "servers": "Servers",
    "messages": "Messages",
    "schedules": "Schedules",
    "alerts": "Alerts",
    "jobs": "Jobs",
    "chain": "Chain of jobs",
    "retraining": "Retraining",
    "sweep": "Clean-up",
}
REASONS = {
    "not_an_answer": "The model's answer holds no usable probability. Check the version that is "
    "served.",
    "answer_unreadable": "The model's answer cannot be read. Check the version that is served.",
    "unwritable": "The database takes other rows, but not this one.",
    "unreadable": "It is damaged and cannot be read. Save or send it again.",
    "gone": "Its file is gone. Put it back, or score again.",
    "undeletable": "It cannot be removed. Check who owns it.",
    "refused": "It was refused.",
    "unexpected": "The program met a fault of its own. Its log says more.",
    "folded": "Older entries, counted together.",
}
SHOWN = 100


def draw(settings: Settings, *queues: set_aside.Queue) -> None:
    """Show what was set aside from these queues, or from all; draw nothing without any."""
    entries = set_aside.entries(settings, queues)
    if not entries:
        return
    count, rows = sum(entry.count for entry in entries), sum(entry.rows for entry in entries)
    held = f" They held {rows:,} rows." if rows else ""
    st.warning(
        f"**Set aside: {count:,}.** These items could not be worked on; all others were.{held}",
        icon=":material/report:",
    )
    with st.expander(f"Set aside ({count:,})"):
        st.table(
            pd.DataFrame(
                {
                    "When": [_moment(entry.at) for entry in entries[:SHOWN]],
                    "Where": [QUEUES.get(entry.queue, entry.queue) for entry in entries[:SHOWN]],
                    "Why": [REASONS.get(entry.code, entry.code) for entry in entries[:SHOWN]],
                    "What": [_code(entry.item) for entry in entries[:SHOWN]],
                    "Rows": [f"{entry.rows:,}" if entry.rows else "–" for entry in entries[:SHOWN]],
                    "Detail": [_code(entry.detail) for entry in entries[:SHOWN]],
                }
            ),
            hide_index=True,
        )
        st.button(
            "Dismiss",
            key=f"dismiss-{'-'.join(queues) or 'all'}",
            icon=":material/close:",
            on_click=_dismiss,
            args=(settings, queues),
            help="Forgets these entries. What is still bad is listed again.",
        )


@elements.show_errors()
def _dismiss(settings: Settings, queues: tuple[set_aside.Queue, ...]) -> None:
    set_aside.dismiss(settings, queues)


def _code(text: str) -> str:
    """Return a technical text unchanged: not translated, and without Markdown."""
    return f"`{text.replace('`', chr(39))}`" if text else "–"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M:%S}" if at else "–"
