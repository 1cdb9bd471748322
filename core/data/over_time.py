"""Rows over their time: counted by hour, day, week, month or year. Computes only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.data import profile
from core.platform.project import ProjectSpec

# periods from fine to coarse: code, that of pandas, days
PERIODS = (
    ("hour", "h", 1 / 24),
    ("day", "D", 1.0),
    ("week", "W-SUN", 7.0),
    ("month", "M", 30.4),
    ("quarter", "Q", 91.3),
    ("year", "Y", 365.25),
)
# more points than this are a cloud, and fewer rows than this in each are noise
MOST_POINTS, ROWS_IN_A_POINT = 110, 30


def counts(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Count reference rows and current rows in each period of the project's time.

    Returns
    -------
    DataFrame
        `set` ("reference", "current"), `period` (its code), `start` (its first day or hour, as
        text; the value itself for a number), `rows`, `labelled`, `positive`. Empty for a project
        without a time, and for a number of many values.

    Examples
    --------
    >>> from core.platform.project import ProjectSpec
    >>> spec = ProjectSpec(name="x", title="X", question="?", model="x", target="y", positive="yes",
    ...     negative="no", features=("x",), time="on", columns={"x": {"type": "number"},
    ...     "y": {"type": "label"}, "on": {"type": "date"}}, rows={"by": "labels"})
    >>> days = pd.DataFrame({"on": ["2024-05-06"] * 60 + ["2024-05-08"] * 30, "y": [1.0, 0.0] * 45,
    ...                      "courtside_part": "reference"})
    >>> counts(days, spec).drop(columns="set").values.tolist()
    [['day', '2024-05-06', 60, 60, 30], ['day', '2024-05-08', 30, 30, 15]]
    """
    names = ["set", "period", "start", "rows", "labelled", "positive"]
    if spec.time is None or spec.time not in frame:
        return pd.DataFrame(columns=names)
    code, starts = _starts(frame[spec.time], spec.columns[spec.time].type)
    masks = profile.kinds(frame, spec)
    parts = []
    for name, kind in (("reference", "development"), ("current", "production")):
        rows = pd.DataFrame({"start": starts, "label": frame[spec.target].astype("float64")})
        grouped = rows[masks[kind]].dropna(subset=["start"]).groupby("start")["label"]  # type: ignore[index]
        counted = pd.DataFrame(
            {"rows": grouped.size(), "labelled": grouped.count(), "positive": grouped.sum()}
        )
        parts.append(counted.reset_index().assign(set=name, period=code))
    table = pd.concat(parts, ignore_index=True)[names]
    return table.astype({"rows": "int64", "labelled": "int64", "positive": "int64"})


def _starts(values: pd.Series[Any], kind: str) -> tuple[str, pd.Series[Any]]:
    """Return the code of the period, and the first moment of each row's period."""
    nothing = pd.Series(None, index=values.index, dtype="object")
    if kind != "date":
        numbers = values.dropna()
        if numbers.nunique() > MOST_POINTS:
            return "value", nothing
        return "value", values.map(lambda value: f"{value:.10g}", na_action="ignore")
    moments = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    moments = moments.dt.tz_localize(None)
    known = moments.dropna()
    if known.empty:
        return "day", nothing
    code, frequency = _period(known)
    starts = moments.dt.to_period(frequency).dt.start_time
    form = "%Y-%m-%dT%H:%M" if code == "hour" else "%Y-%m-%d"
    return code, starts.dt.strftime(form).astype("object").where(moments.notna(), None)


def _period(known: pd.Series[Any]) -> tuple[str, str]:
    """Return the finest period with few enough points and enough rows in each."""
    days = (known.max() - known.min()) / pd.Timedelta(days=1)
    is_daily = bool((known == known.dt.normalize()).all())
    for code, frequency, length in PERIODS:
        points = int(np.ceil(days / length)) + 1
        if code == "hour" and is_daily:
            continue
        if points <= MOST_POINTS and (len(known) >= ROWS_IN_A_POINT * points or points <= 12):
            return code, frequency
    return PERIODS[-1][0], PERIODS[-1][1]
