"""Days and moments: what a text or a value says, as ISO 8601.

Copied into every registered model, so it imports nothing of core but its own package.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd

from core.platform.rows.faults import FIRST_YEAR, LAST_YEAR, Fault
from core.platform.rows.rules import BLANK, MISSING_MARKS, DateForm

_MOMENT = re.compile(
    r"([0-9]{4,})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r" ?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
# as `moment_of` returns them; a moment without a zone at midnight would become a day
_SETTLED = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z|T(?!00:00:00)[0-9]{2}:[0-9]{2}:[0-9]{2})?"
)
# values of a column from which on all are checked, and that are converted at a time
_MANY, _AT_ONCE = 100, 100_000
# 31/12/2024, 31.12.2024 and 31-12-2024, with a time of day or without
_OTHER_DAY = re.compile(
    r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4})(?:[T ]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?"
)


def are_settled(cells: Any) -> bool:
    """Return whether these are texts of days and moments that `moment_of` returns as they are."""
    if len(cells) < _MANY or not all(
        type(cell) is str and _SETTLED.fullmatch(cell) for cell in cells
    ):
        return False
    if int(min(cells)[:4]) < FIRST_YEAR or int(max(cells)[:4]) > LAST_YEAR:
        return False
    try:
        for start in range(0, len(cells), _AT_ONCE):
            # refuses a day or a time that there is not
            np.array([cell[:19] for cell in cells[start : start + _AT_ONCE]], "datetime64[s]")
    except ValueError:
        return False
    return True


def iso(text: str, form: DateForm) -> str:
    """Return a day in the form of a source as ISO 8601; any other text as it is.

    Examples
    --------
    >>> iso("31/12/2024 8:30", "day-month-year"), iso("12-31-2024", "month-day-year")
    ('2024-12-31 08:30', '2024-12-31')
    >>> iso("2024-12-31", "day-month-year"), iso("31/12/2024", "year-month-day")
    ('2024-12-31', '31/12/2024')
    """
    written = None if form == "year-month-day" else _OTHER_DAY.fullmatch(text)
    if written is None:
        return text
    first, _, second, year, hour, minute, seconds = written.groups()
    month, day = (second, first) if form == "day-month-year" else (first, second)
    time = f" {hour:0>2}:{minute}" + (f":{seconds}" if seconds else "") if hour else ""
    return f"{year}-{month:0>2}-{day:0>2}{time}"


def moment_of(value: Any, form: DateForm = "year-month-day") -> str | Fault | None:
    """Return a day, or a date-time with a UTC mark if it names a zone."""
    if isinstance(value, str):
        text = iso(value.strip(BLANK), form)
        if text in MISSING_MARKS or text == "NaT":
            return None
        written = _MOMENT.fullmatch(text)
        if not written:
            return Fault("type")
        parts, zone = written.groups(), written[8]
    elif isinstance(value, datetime.date | np.datetime64):
        if isinstance(value, np.datetime64):
            value = pd.Timestamp(value)
        if value is pd.NaT:
            return None
        if not FIRST_YEAR <= value.year <= LAST_YEAR:
            return Fault("years")
        written = _MOMENT.fullmatch(value.isoformat())
        if written is None:  # an offset with seconds
            written = _MOMENT.fullmatch(value.astimezone(datetime.UTC).isoformat())
        if written is None:
            return Fault("type")
        parts, zone = written.groups(), written[8]
    else:
        return Fault("type")
    year, month, day = int(parts[0][:9]), int(parts[1]), int(parts[2])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return Fault("years") if 1 <= month <= 12 and 1 <= day <= 31 else Fault("type")
    try:
        hour, minute, second = (int(part or 0) for part in parts[3:6])
        at = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return Fault("type")
    fraction = (parts[6] or "").rstrip("0")
    if zone is None:
        if not fraction and at.time() == datetime.time():
            return at.strftime("%Y-%m-%d")
    elif zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        if hours > 23 or minutes > 59:
            return Fault("type")
        away = datetime.timedelta(hours=hours, minutes=minutes)
        at = at + away if zone[0] == "-" else at - away
    return at.isoformat() + (f".{fraction}" if fraction else "") + ("" if zone is None else "Z")
