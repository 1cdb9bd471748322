"""The built-in sample: a generated year of departures from New York; none of them is real.

Routes, and how often flights are late by month, hour, weekday, carrier and airport, are aggregates
of the public data set nycflights13 (CC0). The weather is made up, with the seasons of the city.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

ROWS = 20_000
YEAR = 2013
DAYS = 365
# later than this, in minutes, is late
LATE = 15
KM = 6371.0
# share of hours without a reading, and hours for which a station is silent
UNREAD, SILENT = 0.02, 60
# how much bad weather, and a bad day for everybody, add to the log odds of being late
RAIN, SNOW, FOG, WIND, DAY_SPREAD = 1.5, 1.4, 1.0, 0.35, 0.5

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def generate(tables: Mapping[str, Any], seed: int = 24) -> pd.DataFrame:
    """Generate 20,000 departures of a year, reproducible by seed.

    Parameters
    ----------
    tables : mapping
        `core.platform.project.sample_tables("flights")`.

    Returns
    -------
    DataFrame
        A row per flight in the order of departure. A flight that is cancelled has no delays and no
        label; a station that is silent gives no weather.

    Examples
    --------
    >>> from core.platform.project import sample_tables
    >>> flights = generate(sample_tables("flights"))
    >>> len(flights), flights["scheduled"].is_monotonic_increasing
    (20000, True)
    >>> round(float((flights["late"] == "yes").mean()), 1)
    0.2
    """
    rng = np.random.default_rng(seed)
    origins = list(tables["origins"])
    day, month, weekday = _days(tables, rng)
    hour = _drawn(tables["hours"], ROWS, rng)
    minute = 5 * rng.integers(0, 12, ROWS)
    order = np.lexsort((minute, hour, day))
    day, month, weekday, hour, minute = (
        part[order] for part in (day, month, weekday, hour, minute)
    )
    routes = tables["routes"]
    shares = np.array([route[3] for route in routes], dtype=np.float64)
    route = rng.choice(len(routes), ROWS, p=shares / shares.sum())
    origin, carrier, dest = (np.array([one[i] for one in routes])[route] for i in range(3))
    station = np.array([origins.index(name) for name in origin])

    weather = _weather(len(origins), rng)
    now = {name: values[station, 24 * (day - 1) + hour] for name, values in weather.items()}
    odds = _odds(tables, month, weekday, hour, carrier, origin)
    burden = _burden(now) + DAY_SPREAD * rng.standard_normal(DAYS)[day - 1]
    late = rng.random(ROWS) < _chances(odds + burden, float(tables["late"]))
    # storms cancel flights, too
    cancelled = rng.random(ROWS) < _chances(1.5 * burden, float(tables["cancelled"]))

    arrival = np.where(
        late, LATE + 1 + rng.exponential(45, ROWS), LATE - np.abs(rng.normal(26, 15, ROWS))
    ).round()
    departure = np.maximum(arrival + rng.normal(4, 12, ROWS), -15).round()
    arrival[cancelled], departure[cancelled] = np.nan, np.nan
    read = _is_read(len(origins), rng)[station, 24 * (day - 1) + hour]
    places = np.array([tables["airports"][name] for name in dest], dtype=np.float64)
    first = np.datetime64(f"{YEAR}-01-01T00:00:00")
    scheduled = first + ((day - 1) * 1440 + hour * 60 + minute).astype("timedelta64[m]")
    return pd.DataFrame(
        {
            "flight_id": np.arange(1, ROWS + 1),
            "scheduled": np.datetime_as_string(scheduled, unit="s"),
            "day": day,
            "month": month,
            "weekday": weekday,
            "hour": hour,
            "carrier": carrier,
            "origin": origin,
            "dest": dest,
            "dest_lat": places[:, 0],
            "dest_lon": places[:, 1],
            "distance": _distance(tables, origin, places),
            **{name: np.where(read, values.round(1), np.nan) for name, values in now.items()},
            "dep_delay": departure,
            "arr_delay": arrival,
            "late": pd.Series(np.where(late, "yes", "no")).where(~cancelled, None),
        }
    )


def _days(tables: Mapping[str, Any], rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Draw a day of the year for each flight; return it with its month and its weekday."""
    dates = pd.date_range(f"{YEAR}-01-01", periods=DAYS)
    months, weekdays = dates.month.to_numpy("int64"), dates.weekday.to_numpy("int64") + 1
    share = np.array([tables["weekdays"][str(name)][0] for name in weekdays])
    share *= np.array([tables["months"][str(name)][0] for name in months])
    day = rng.choice(DAYS, ROWS, p=share / share.sum())
    return day + 1, months[day], weekdays[day]


def _drawn(shares: Mapping[str, Any], size: int, rng: np.random.Generator) -> Ints:
    """Draw numbers by the first value of each entry."""
    weights = np.array([entry[0] for entry in shares.values()], dtype=np.float64)
    return rng.choice(np.array(list(shares), dtype=np.int64), size, p=weights / weights.sum())


def _weather(stations: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Make the weather of each station and hour: the same for all, but for a little."""
    hours = np.arange(24 * DAYS)
    season = np.cos(2 * np.pi * (hours / 24 - 200) / DAYS)
    afternoon = np.cos(2 * np.pi * (hours % 24 - 15) / 24)
    warmth = 13 + 12 * season + 3.5 * afternoon + 4 * _slow(60, rng)
    # rain falls in spells, and in summer in the afternoon
    wet = _slow(8, rng) + 0.35 * season * afternoon
    rain = np.clip(wet - 1.35, 0, None) ** 1.5 * 4
    mist = np.clip(_slow(10, rng) - 1.6, 0, None) * 8
    wind = np.clip(17 - 3 * season + 6 * _slow(14, rng) + 2 * rain, 0, None)
    sight = np.clip(16 - 3.5 * rain - mist, 0.2, 16)
    spread = {"temperature": 0.6, "wind": 2.0, "precipitation": 0.0, "visibility": 0.3}
    common = (warmth, wind, rain, sight)
    local = {
        name: values + noise * rng.standard_normal((stations, len(hours)))
        for (name, noise), values in zip(spread.items(), common, strict=True)
    }
    local["wind"] = np.clip(local["wind"], 0, None)
    local["visibility"] = np.clip(local["visibility"], 0.2, 16)
    return local


def _slow(hours: int, rng: np.random.Generator) -> Floats:
    """Return a series of hours, of mean 0 and spread 1, that changes within so many of them."""
    weights = np.exp(-np.arange(6 * hours) / hours)
    noise = rng.standard_normal(24 * DAYS + len(weights) - 1)
    smooth = np.convolve(noise, weights, "valid")
    return np.asarray(smooth / np.sqrt((weights**2).sum()))


def _burden(now: Mapping[str, Floats]) -> Floats:
    """Return what the weather adds to the log odds of being late."""
    rain = np.clip(now["precipitation"] / 2, 0, 2)
    snow = (now["temperature"] < 1) & (now["precipitation"] > 0)
    fog = np.clip((8 - now["visibility"]) / 8, 0, 1)
    return np.asarray(RAIN * rain + SNOW * snow + FOG * fog + WIND * (now["wind"] - 17) / 10)


def _odds(
    tables: Mapping[str, Any], month: Ints, weekday: Ints, hour: Ints, carrier: Any, origin: Any
) -> Floats:
    """Return the log odds of being late that the schedule explains."""
    known = (
        ("months", month),
        ("weekdays", weekday),
        ("hours", hour),
        ("carriers", carrier),
        ("origins", origin),
    )
    middle = _logit(float(tables["late"]))
    odds = np.full(len(month), middle)
    for name, values in known:
        effects = {key: _logit(entry[1]) - middle for key, entry in tables[name].items()}
        odds += np.array([effects[str(value)] for value in values])
    return odds


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _chances(odds: Floats, mean: float) -> Floats:
    """Return the chances with these log odds, moved alike so that their mean is as given."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-(odds + middle)))).mean() < mean:
            low = middle
        else:
            high = middle
    return np.asarray(1 / (1 + np.exp(-(odds + low))))


def _is_read(stations: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Return whether a station has read its instruments in an hour."""
    read = rng.random((stations, 24 * DAYS)) >= UNREAD
    for station, start in zip(
        rng.integers(0, stations, 4), rng.integers(0, 24 * DAYS, 4), strict=True
    ):
        read[station, start : start + SILENT] = False
    return read


def _distance(tables: Mapping[str, Any], origin: Any, places: Floats) -> Ints:
    """Return the distance along the great circle, in km."""
    begin = np.radians([tables["origins"][name][2:] for name in origin])
    end = np.radians(places)
    half = np.sin((end - begin) / 2) ** 2
    root = half[:, 0] + np.cos(begin[:, 0]) * np.cos(end[:, 0]) * half[:, 1]
    return np.asarray((2 * KM * np.arcsin(np.sqrt(root))).round(), dtype=np.int64)
