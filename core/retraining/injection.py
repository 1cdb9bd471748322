"""Drift injection: synthetic changes to rows, to see who detects them, when, and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from core.platform import config
from core.platform.errors import InputError
from core.platform.messages import Message

Floats = npt.NDArray[np.float64]
DAY = 86_400.0
KINDS = {
    "shift": Message("Shift a column"),
    "scale": Message("Scale a column"),
    "label_flip": Message("Flip labels"),
    "missing_feature": Message("Remove a column"),
}


class Injection(config.Options):
    """What to inject, where, how much and from when.

    Parameters
    ----------
    kind : {"shift", "scale", "label_flip", "missing_feature"}
        Values shifted; values multiplied; labels flipped; values removed.
    column : str, optional
        The raw column; not needed for labels.
    size : float
        For a shift standard deviations of the column before `begin`, -20 to 20; for a scale the
        factor, 0 to 100; for labels and missing values the share of rows, above 0, at most 1.
    begin : str
        Date or time, ISO 8601, UTC without a zone.
    ramp_days : float
        Days of linear growth to the full size; 0 is sudden.
    """

    kind: Literal["shift", "scale", "label_flip", "missing_feature"]
    column: str | None = Field(None, min_length=1, max_length=120)
    size: float = Field(ge=-20, le=100, allow_inf_nan=False)
    begin: str = Field(min_length=4, max_length=40)
    ramp_days: float = Field(0.0, ge=0, le=36_500)

    @model_validator(mode="after")
    def _fits_together(self) -> Injection:
        if self.kind != "label_flip" and self.column is None:
            raise config.needs(f"kind = {self.kind}", "column")
        fits = {"shift": 0 < abs(self.size) <= 20, "scale": self.size >= 0 and self.size != 1}.get(
            self.kind, 0 < self.size <= 1
        )
        if not fits:
            raise ValueError(
                Message(
                    "a shift is -20 to 20 standard deviations but not 0, a scale is a "
                    "factor of 0 to 100 but not 1, a share is above 0 and at most 1"
                )
            )
        seconds(self.begin)
        return self

    @property
    def text(self) -> Message:
        """Description in words.

        Examples
        --------
        >>> str(Injection(kind="shift", column="x", size=2, begin="2005-01-01").text)
        'x shifted by +2 standard deviations from 2005-01-01, over 0 days'
        """
        given: dict[str, Any] = {"column": self.column, "size": self.size}
        change = {
            "shift": Message("{column} shifted by {size:+g} standard deviations", **given),
            "scale": Message("{column} multiplied by {size:g}", **given),
            "label_flip": Message("{size:.0%} of the labels flipped", size=self.size),
            "missing_feature": Message("{size:.0%} of {column} missing", **given),
        }[self.kind]
        return Message(
            "{change} from {begin}, over {days:g} days",
            change=change,
            begin=self.begin,
            days=self.ramp_days,
        )


@dataclass(frozen=True)
class Injected:
    """Rows with injected drift, and a mask of the changed ones."""

    frame: pd.DataFrame
    changed: npt.NDArray[np.bool_]


def seconds(moment: str) -> float:
    """Return an ISO date or time as seconds since 1970.

    Raises
    ------
    ValueError
        When it is invalid.

    Examples
    --------
    >>> seconds("1970-01-02"), seconds("1970-01-01T01:00:00")
    (86400.0, 3600.0)
    """
    try:
        stamp = pd.Timestamp(moment)
        return float((stamp if stamp.tzinfo else stamp.tz_localize("UTC")).timestamp())
    except (ValueError, AttributeError) as error:
        raise ValueError(Message("use a form like {examples}", examples="2004-11-02")) from error


def strength(moments: Floats, injection: Injection) -> Floats:
    """Return the share of the full size in force at each time, 0 to 1.

    Examples
    --------
    >>> slow = Injection(kind="shift", column="x", size=1, begin="1970-01-02", ramp_days=2)
    >>> strength(np.array([0.0, 2, 3, 9]) * DAY, slow)
    array([0. , 0.5, 1. , 1. ])
    """
    since = moments - seconds(injection.begin)
    if not injection.ramp_days:
        return (since >= 0).astype(np.float64)
    return np.clip(since / (injection.ramp_days * DAY), 0.0, 1.0)


def check(
    injection: Injection, rows: pd.DataFrame, moments: Floats, first: int, target: str
) -> None:
    """Refuse drift that does not fit these rows.

    Parameters
    ----------
    rows : DataFrame
        Ordered by time.
    moments : array of float, shape (n,)
        Seconds since 1970.
    first : int
        The first row after the first training.

    Raises
    ------
    InputError
        For a column that is not a numeric input of the model, or a date outside the streamed rows.
    """
    begin, column = seconds(injection.begin), injection.column
    first_day, last_day = (
        pd.Timestamp(moments[place], unit="s").date().isoformat() for place in (first, -1)
    )
    if not moments[first] <= begin <= moments[-1]:
        raise InputError(
            Message(
                "{moment} leaves no rows on one side: they are from {first} to {last}. Choose a "
                "moment in between.",
                moment=injection.begin,
                first=first_day,
                last=last_day,
            )
        )
    if injection.kind == "label_flip":
        return
    if column == target or column not in rows:
        known = [str(name) for name in rows if name != target]
        raise InputError(
            Message("'{name}' does not exist. Choose from: {names}.", name=column, names=known)
        )
    if injection.kind == "missing_feature":
        return
    numbers = [
        str(name) for name in rows if name != target and pd.api.types.is_numeric_dtype(rows[name])
    ]
    is_number = column in numbers
    if not is_number or (
        injection.kind == "shift" and not float(rows[column].iloc[:first].std()) > 0
    ):
        raise InputError(
            Message(
                "'{column}' is not a number that varies before the drift begins. Numbers: "
                "{columns}.",
                column=column,
                columns=numbers or "–",
            )
        )


def inject(
    rows: pd.DataFrame, moments: Floats, target: str, injection: Injection, *, seed: int = 0
) -> Injected:
    """Return the rows with injected drift; those before its start are unchanged.

    Parameters
    ----------
    rows : DataFrame
        Raw columns and the target, checked by `check`.
    moments : array of float, shape (n,)
        Seconds since 1970.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [1.0, 3.0, 1.0, 3.0], "y": [0, 1, 0, 1]})
    >>> drift = Injection(kind="scale", column="x", size=10, begin="1970-01-03")
    >>> inject(rows, np.arange(4) * DAY, "y", drift).frame["x"].tolist()
    [1.0, 3.0, 10.0, 30.0]
    """
    force = strength(moments, injection)
    frame = rows.copy()
    name = target if injection.kind == "label_flip" else str(injection.column)
    if injection.kind in ("shift", "scale"):
        values = rows[name].to_numpy(dtype=np.float64)
        if injection.kind == "shift":
            spread = float(np.nanstd(values[force == 0], ddof=1))
            frame[name] = values + injection.size * spread * force
        else:
            frame[name] = values * (1 + (injection.size - 1) * force)
        return Injected(frame, force > 0)
    hit = np.random.default_rng(seed).random(len(rows)) < injection.size * force
    if injection.kind == "label_flip":
        frame[name] = rows[name].where(~hit, 1 - rows[name])
    else:
        frame[name] = rows[name].mask(hit)
    return Injected(frame, hit)
