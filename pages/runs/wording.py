"""How this page writes states and moments."""

from __future__ import annotations

from datetime import datetime

from core.platform.messages import Message

STATUSES = {
    # of runs
    "FINISHED": Message("finished"),
    "FAILED": Message("failed"),
    "RUNNING": Message("running"),
    "KILLED": Message("cancelled"),
    # of jobs
    "queued": Message("queued"),
    "running": Message("running"),
    "done": Message("done"),
    "failed": Message("failed"),
    "cancelled": Message("cancelled"),
}
COLOURS = {"FINISHED": "green", "FAILED": "red", "RUNNING": "blue"}


def when(moment: float) -> datetime:
    """Return a moment to the second."""
    return datetime.fromtimestamp(moment).replace(microsecond=0)


def status(code: str) -> str:
    """Return the state of a run or a job in words."""
    return str(STATUSES.get(code, code.lower()))
