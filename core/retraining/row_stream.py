"""Labelled rows in the order of time, and how they are cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.platform.errors import InputError
from core.platform.messages import Message, plural
from core.retraining.injection import DAY
from core.stats.metrics import Floats, Labels

# Fewest and most windows of a replay.
MIN_WINDOWS, MOST_WINDOWS = 2, 1_000


@dataclass(frozen=True)
class Stream:
    """Labelled rows in the order of time.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
        As a model would see them.
    codes : DataFrame, shape (n, k)
        The same with texts encoded by `coded`.
    labels : array of int, shape (n,)
        Final label of each row, whether known at the time or not.
    moments, arrivals : array of float, shape (n,)
        Time of a row, and of its label's arrival; seconds since 1970, infinite for a label that
        never arrives.
    keys : sequence of str
        The project's id of each row.
    """

    features: pd.DataFrame
    codes: pd.DataFrame
    labels: Labels
    moments: Floats
    arrivals: Floats
    keys: Sequence[str]


@dataclass(frozen=True)
class Span:
    """A window of the stream: rows `first` to `last`, exclusive.

    Parameters
    ----------
    begin, end : float
        Times of its first and of its last row, seconds since 1970.
    """

    name: str
    first: int
    last: int
    begin: float
    end: float


def moments_of(values: pd.Series[Any]) -> Floats:
    """Return dates or times as seconds since 1970, UTC without a zone.

    Raises
    ------
    InputError
        When one is missing or invalid.

    Examples
    --------
    >>> moments_of(pd.Series(["1970-01-01", "1970-01-02"])).tolist()
    [0.0, 86400.0]
    """
    # dates and times may be mixed
    form = "ISO8601" if values.dtype == object else None
    parsed = pd.to_datetime(values, utc=True, errors="coerce", format=form)
    if parsed.isna().any():
        raise InputError(
            plural(
                "{count:,} row has no time in '{column}'. A replay needs one for each row.",
                "{count:,} rows have no time in '{column}'. A replay needs one for each row.",
                int(parsed.isna().sum()),
                column=str(values.name),
            )
        )
    return ((parsed - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)


def coded(features: pd.DataFrame, texts: Sequence[str]) -> pd.DataFrame:
    """Return the features with texts encoded as numbers from 1, in alphabetical order.

    Otherwise every fit would process each text of each row again, which takes longer than the fit
    itself. A model that one-hot encodes texts gets the same columns from their numbers.

    Examples
    --------
    >>> coded(pd.DataFrame({"t": ["b", "a", None]}), ["t"])["t"].tolist()
    [2.0, 1.0, nan]
    """
    numeric = features.copy()
    for name in texts:
        codes = pd.factorize(features[name], sort=True)[0]
        # 0 is what imputation makes of a missing one
        numeric[name] = np.where(codes < 0, np.nan, codes + 1)
    return numeric


def arrivals(moments: Floats, *, delay_days: float, share: float, seed: int) -> Floats:
    """Return when each label arrives; infinite for those that never do.

    Parameters
    ----------
    delay_days : float
        Between a row and its label, 0 or more.
    share : float
        Share of rows whose label ever arrives, above 0, at most 1.

    Examples
    --------
    >>> (arrivals(np.array([0.0, 0.0]), delay_days=2, share=1, seed=0) / DAY).tolist()
    [2.0, 2.0]
    """
    arriving = moments + delay_days * DAY
    lost = np.random.default_rng(seed).random(len(moments)) >= share
    return np.where(lost, np.inf, arriving)


def cut(
    moments: Floats, first: int, *, by: str, rows: int = 1000, names: pd.Series[Any] | None = None
) -> list[Span]:
    """Divide the rows from `first` on into windows.

    Parameters
    ----------
    by : {"rows", "month", "year", "column"}
        A fixed number of rows; calendar months or years; or stretches of one value of `names`.
    rows : int
        For `rows`: size of each window. A remainder of less than half of it joins the last window.
    names : Series, optional
        For `column`: a value per row.

    Raises
    ------
    InputError
        When a value recurs after others, or there are too few or too many windows.

    Examples
    --------
    >>> [(span.name, span.last - span.first) for span in cut(
    ...     np.arange(100) * DAY, 0, by="month")]
    [('1970-01', 31), ('1970-02', 28), ('1970-03', 31), ('1970-04', 10)]
    """
    count = len(moments)
    if by == "rows":
        starts = list(range(first, count, rows))
        if len(starts) > 1 and count - starts[-1] < rows / 2:
            starts.pop()
        labels = [day(moments[start]) for start in starts]
    else:
        values = (names if by == "column" and names is not None else _periods(moments, by)).astype(
            str
        )
        changes = np.flatnonzero(values.to_numpy()[1:] != values.to_numpy()[:-1]) + 1
        all_starts = [0, *changes.tolist()]
        known = [values.iloc[start] for start in all_starts]
        if len(set(known)) < len(known):
            twice = next(name for name in known if known.count(name) > 1)
            raise InputError(
                Message(
                    "'{column}' does not divide time: {twice} recurs after other values. Cut the "
                    "windows by month, year or rows.",
                    column=str(values.name),
                    twice=twice,
                )
            )
        starts = [max(start, first) for start in all_starts if start >= first]
        starts = starts if starts and starts[0] == first else [first, *starts]
        labels = [values.iloc[start] for start in starts]
    if not MIN_WINDOWS <= len(starts) <= MOST_WINDOWS:
        raise InputError(_wrong_number(len(starts)))
    ends = [*starts[1:], count]
    return [
        Span(name, start, end, float(moments[start]), float(moments[end - 1]))
        for name, start, end in zip(labels, starts, ends, strict=True)
    ]


def _wrong_number(windows: int) -> Message:
    return Message(
        "The rows after the first training give {windows:,} windows; a replay needs {fewest} to "
        "{most:,}. Choose other windows, or another first training.",
        windows=windows,
        fewest=MIN_WINDOWS,
        most=MOST_WINDOWS,
    )


def first_of(moments: Floats, names: pd.Series[Any], *, windows: int, by: str, rows: int) -> int:
    """Return the first row after a number of windows.

    Raises
    ------
    InputError
        When there are no more windows than that.

    Examples
    --------
    >>> first_of(np.arange(100) * DAY, pd.Series(dtype=object), windows=2, by="month", rows=0)
    59
    """
    spans = cut(moments, 0, by=by, rows=rows, names=names)
    if windows >= len(spans):
        raise InputError(_wrong_number(0))
    return spans[windows].first


def _periods(moments: Floats, by: str) -> pd.Series[Any]:
    days = pd.to_datetime(pd.Series(moments, name="time"), unit="s")
    return days.dt.strftime("%Y-%m" if by == "month" else "%Y").rename(by)


def day(moment: float) -> str:
    """Return the day of a time in seconds since 1970."""
    return pd.Timestamp(moment, unit="s").date().isoformat()
