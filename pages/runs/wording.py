"""How this page writes states and moments."""

from __future__ import annotations

from datetime import datetime

from pages.shared.statuses import COLOURS as COLOURS
from pages.shared.statuses import STATUSES


def when(moment: float) -> datetime:
    """Return a moment to the second."""
    return datetime.fromtimestamp(moment).replace(microsecond=0)


def status(code: str) -> str:
    """Return the state of a run or a job in words."""
    return str(STATUSES.get(code, code.lower()))
