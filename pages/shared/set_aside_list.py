"""Work that background loops set aside, for the operator."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.platform import permissions, set_aside
from core.platform.config import Settings
from core.platform.messages import Message, _, day, n_, number
from pages.shared import elements

QUEUES = {
    "predictions": Message("Predictions log"),
    "labels": Message("Labels"),
    "endpoint": Message("Serve"),
    "servers": Message("Serve"),
    "messages": Message("Channels"),
    "schedules": Message("Schedule"),
    "alerts": Message("Alerts"),
    "jobs": Message("Background jobs"),
    "chain": Message("Background jobs"),
    "retraining": Message("Retrain"),
    "sweep": Message("Clean-up"),
}
_NO_ANSWER = Message("The model's answer cannot be used. Check the version that is served.")
_REFUSED = Message("It was refused.")
REASONS = {
    "not_an_answer": _NO_ANSWER,
    "answer_unreadable": _NO_ANSWER,
    "unwritable": _REFUSED,
    "unreadable": Message("It is damaged. Save or send it again."),
    "gone": Message("Its file no longer exists. Restore it, or score again."),
    "undeletable": Message("It cannot be removed. Check who owns it."),
    "refused": _REFUSED,
    "unexpected": Message("Unexpected error. See the log."),
    "folded": Message("Older entries, counted together."),
}
SHOWN = 100


def draw(settings: Settings, *queues: set_aside.Queue) -> None:
    """Show what was set aside from these queues, or from all; draw nothing without any."""
    entries = set_aside.entries(settings, queues)
    if not entries:
        return
    count = sum(entry.count for entry in entries)
    text = n_(
        "**{count:,} item could not be processed** and was set aside.",
        "**{count:,} items could not be processed** and were set aside.",
        count,
    )

    st.warning(text, icon=":material/report:")
    with st.expander(_("Details")):
        first = entries[:SHOWN]
        elements.fixed_table(
            {
                _("When"): [_moment(entry.at) for entry in first],
                _("Where"): [str(QUEUES.get(entry.queue, entry.queue)) for entry in first],
                _("Why"): [str(REASONS.get(entry.code, entry.code)) for entry in first],
                _("What"): [_code(elements.words(entry.item)) for entry in first],
                _("Rows"): [number(entry.rows) if entry.rows else "–" for entry in first],
                _("Details"): [_code(elements.words(entry.detail)) for entry in first],
            }
        )
        st.button(
            _("Dismiss"),
            key=f"dismiss-{'-'.join(queues) or 'all'}",
            icon=":material/close:",
            on_click=_dismiss,
            args=(settings, queues),
            disabled=not permissions.may("job"),
        )


@elements.show_errors()
def _dismiss(settings: Settings, queues: tuple[set_aside.Queue, ...]) -> None:
    set_aside.dismiss(settings, queues)


def _code(text: str) -> str:
    """Return a technical text as code, without Markdown."""
    return f"`{text.replace('`', chr(39))}`" if text else "–"


def _moment(at: float) -> str:
    return day(datetime.fromtimestamp(at)) if at else "–"
