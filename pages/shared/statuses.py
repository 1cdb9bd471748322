"""States of runs, jobs and versions: their labels and colours."""

from __future__ import annotations

from core.platform.messages import Message, Words, in_context
from core.stats.check import VERDICT_LABELS

STATUSES: dict[str, Words] = {
    # of runs
    "FINISHED": Message("done"),
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
COLOURS = {
    "FINISHED": "green",
    "FAILED": "red",
    "RUNNING": "blue",
    "queued": "blue",
    "running": "blue",
    "done": "green",
    "failed": "red",
}
# result of the gate, or of a rule of it -> its label and colour
GATE: dict[str, tuple[Words, str]] = {
    "pass": (Message("passed"), "green"),
    "promote": (Message("passed"), "green"),
    "hold": (Message("on hold"), "orange"),
    "refuse": (in_context("gate", "refused"), "red"),
    "not_applicable": (VERDICT_LABELS["not_applicable"], "gray"),
}


def status(code: str) -> str:
    """Return the state of a run or a job in words."""
    return str(STATUSES.get(code, code.lower()))
