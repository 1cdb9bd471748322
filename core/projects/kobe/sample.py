"""The built-in sample: generated Kobe shots, drawn from counts and make rates; none is real.

This module is specific to Kobe: his court, his seasons and the columns of the public shot file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.projects.kobe.make_rates import KINDS, chances, factors, last_values
from core.projects.kobe.zones import SHOT_TYPES, Floats, Ints, beyond, zone_of

COLUMNS = (
    "action_type",
    "combined_shot_type",
    "game_event_id",
    "game_id",
    "lat",
    "loc_x",
    "loc_y",
    "lon",
    "minutes_remaining",
    "period",
    "playoffs",
    "season",
    "seconds_remaining",
    "shot_distance",
    "shot_made_flag",
    "shot_type",
    "shot_zone_area",
    "shot_zone_basic",
    "shot_zone_range",
    "team_id",
    "team_name",
    "game_date",
    "matchup",
    "opponent",
    "shot_id",
)
# First and last starting year of a season with this opponent; all others play throughout.
YEARS = {
    "BKN": ((2012, 2015),),
    "CHA": ((1996, 2001), (2004, 2015)),
    "MEM": ((2001, 2015),),
    "NJN": ((1996, 2011),),
    "NOH": ((2002, 2003), (2007, 2012)),
    "NOP": ((2004, 2006), (2013, 2015)),
    "OKC": ((2008, 2015),),
    "SEA": ((1996, 2007),),
    "VAN": ((1996, 2000),),
}
WEST = ("DAL", "DEN", "HOU", "MIN", "OKC", "PHX", "POR", "SAC", "SAS", "SEA", "UTA")
EAST = ("BOS", "CLE", "DET", "IND", "MIA", "NJN", "ORL", "PHI")
# Playoffs: a series is played home, home, away, away, then alternately.
SERIES_HOME = (1, 1, 0, 0, 1, 0, 1)
BUZZER_SHARE = 0.75
GAME_SHAPE = 25.0


def generate(tables: Mapping[str, Any], seed: int = 24) -> pd.DataFrame:
    """Generate 30,697 look-alike shots, reproducible by seed.

    Counts per season and shot type equal the tables'; games, positions, kinds of shot and results
    are drawn by the tables' shares and make rates. Zones derive from the position.

    Parameters
    ----------
    tables : mapping
        `core.platform.project.sample_tables("kobe")`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, a row per shot, sorted by `shot_id`, which is chronological.

    Examples
    --------
    >>> from core.platform.project import sample_tables
    >>> shots = generate(sample_tables("kobe"), seed=24)
    >>> shots.shape, int(shots["shot_made_flag"].isna().sum())
    ((30697, 25), 5000)
    >>> shots["shot_type"].value_counts().to_dict()
    {'2PT Field Goal': 24271, '3PT Field Goal': 6426}
    """
    rng = np.random.default_rng(seed)
    seasons = list(tables["seasons"])
    size = np.array([[tables["seasons"][name][kind][0] for kind in KINDS] for name in seasons])
    games = _games(tables, rng)
    season = np.repeat(np.arange(len(seasons)), size.sum(axis=1))
    three = np.concatenate([rng.permutation(np.repeat([0, 1], pair)) for pair in size])
    period, minutes, seconds = _clock(tables, three, rng)
    game = _slots(tables, games, period, rng)

    left = 60 * minutes + seconds
    order = np.lexsort((-left, period, game))
    # A game is within its season, so sorting by game leaves `season` unchanged.
    three, game, period = three[order], game[order], period[order]
    minutes, seconds, left = minutes[order], seconds[order], left[order]

    x, y = _places(tables, season, three, left, rng)
    distance = np.floor(np.hypot(x, y) / 10).astype(np.int64)
    zone = zone_of(x, y, tables["zones"])
    action = _actions(tables, season, three, distance, size, rng)
    playoffs = games["playoffs"].to_numpy()[game]
    home = games["home"].to_numpy()[game]
    opponent = games["opponent"].to_numpy()[game]
    shot = {
        "season": season,
        "three": three,
        "distance": distance,
        "zone": zone,
        "action": action,
        "period": period,
        "minutes": minutes,
        "left": left,
        "home": home,
        "rival": np.searchsorted(sorted(tables["opponent"]), opponent.astype(str)),
    }
    made = (rng.random(len(season)) < chances(factors(tables, shot))).astype(np.float64)
    for kind, name in enumerate(KINDS):
        mine = np.flatnonzero(three == kind)
        made[rng.choice(mine, tables["unlabelled"][name], replace=False)] = np.nan

    actions = np.array([row[:2] for row in tables["actions"]], dtype=object)[action]
    zones = np.array([row[:3] for row in tables["zones"]], dtype=object)[zone]
    columns = {
        "action_type": actions[:, 0],
        "combined_shot_type": actions[:, 1],
        "game_event_id": _events(game, period, left, rng),
        "game_id": games["game_id"].to_numpy()[game],
        "lat": np.round(34.0443 - y / 1000, 4),
        "loc_x": x,
        "loc_y": y,
        "lon": np.round(-118.2698 + x / 1000, 4),
        "minutes_remaining": minutes,
        "period": period,
        "playoffs": playoffs,
        "season": np.array(seasons, dtype=object)[season],
        "seconds_remaining": seconds,
        "shot_distance": distance,
        "shot_made_flag": made,
        "shot_type": np.array(SHOT_TYPES, dtype=object)[three],
        "shot_zone_area": zones[:, 1],
        "shot_zone_basic": zones[:, 0],
        "shot_zone_range": zones[:, 2],
        "team_id": np.full(len(season), 1610612747, dtype=np.int64),
        "team_name": np.full(len(season), "Los Angeles Lakers", dtype=object),
        "game_date": games["game_date"].to_numpy()[game],
        "matchup": games["matchup"].to_numpy()[game],
        "opponent": opponent,
        "shot_id": np.arange(1, len(season) + 1, dtype=np.int64),
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def _balanced(start: npt.ArrayLike, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Floats:
    """Scale a table by rows and columns until both sums fit (iterative proportional fitting).

    Cells that start at 0 stay 0. If no scaling fits both, the column sums are exact.

    Examples
    --------
    >>> _balanced(np.ones((2, 2)), [4, 6], [3, 7])
    array([[1.2, 2.8],
           [1.8, 4.2]])
    """
    table = np.array(start, np.float64)
    wanted_rows, wanted_columns = np.array(rows, np.float64), np.array(columns, np.float64)
    wanted_rows = wanted_rows * (wanted_columns.sum() / wanted_rows.sum())
    for _ in range(40):
        table *= (wanted_rows / np.maximum(table.sum(axis=1), 1e-12))[:, None]
        table *= wanted_columns / np.maximum(table.sum(axis=0), 1e-12)
    return table


def _draw(weights: Floats, rng: np.random.Generator) -> Ints:
    """Draw a column for every row of weights, in proportion to them."""
    edges = weights.cumsum(axis=1)
    below: Ints = (edges < (rng.random(len(weights)) * edges[:, -1])[:, None]).sum(axis=1)
    return below


def _games(tables: Mapping[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Return a row per game, in chronological order."""
    names, seasons = sorted(tables["opponent"]), tables["seasons"]
    years = [int(season[:4]) for season in seasons]
    met_in = np.array(
        [
            [any(a <= year <= b for a, b in YEARS.get(name, ((0, 9999),))) for name in names]
            for year in years
        ]
    )
    shots = np.array([tables["opponent"][name][0] for name in names], np.float64)
    runs, met = [], np.zeros(len(names))
    for place, row in enumerate(seasons.values()):
        rivals = _rivals(dict(zip(names, shots * met_in[place], strict=True)), row, rng)
        runs.append(rivals)
        met += np.bincount(np.searchsorted(names, rivals["opponent"].astype(str)), None, len(names))
    # Each opponent's games outside the playoffs are spread over the season.
    games = np.array([row["games"] for row in seasons.values()])
    wanted = np.maximum(shots / shots.sum() * (games.sum() + met.sum()) - met, 1)
    expected = _balanced(met_in, games, wanted)
    parts = []
    for place, (season, row) in enumerate(seasons.items()):
        year, count, run = years[place] % 100, row["games"], runs[place]
        start, end = np.datetime64(row["from"]), np.datetime64(row["to"])
        last = np.datetime64(f"{years[place] + 1}-04-19") if len(run) else end
        day = _days(int((last - start).astype(int)) + 1, count, rng)
        # One draw, then even steps: each opponent occurs as often as expected, within one.
        edges = _shares(expected[place]).cumsum() * count
        turn = np.searchsorted(edges, np.arange(count) + rng.random() * 0.999)
        regular = {
            "game_id": 20000000 + year * 100000 + 6 * day + rng.integers(1, 7, count),
            "day": start + day,
            "playoffs": np.zeros(count, dtype=np.int64),
            "home": rng.permutation(count) % 2,
            "opponent": np.array(names, dtype=object)[rng.permutation(turn)],
        }
        parts.append(pd.DataFrame(regular).assign(season=season))
        if len(run):
            first = last + 3
            day = _days(int((end - first).astype(int)) + 1, len(run), rng)
            number = run["number"].to_numpy()
            playoff = {
                "game_id": 40000101 + year * 100000 + 100 * run["round"].to_numpy() + number,
                "day": first + day,
                "playoffs": np.ones(len(run), dtype=np.int64),
                "home": np.array(SERIES_HOME)[number],
                "opponent": run["opponent"].to_numpy(),
            }
            parts.append(pd.DataFrame(playoff).assign(season=season))
    schedule = pd.concat(parts, ignore_index=True)
    dates = schedule.pop("day").to_numpy().astype("datetime64[D]").astype(str)
    schedule["game_date"] = dates.astype(object)
    between = np.where(schedule["home"] == 1, "LAL vs. ", "LAL @ ").astype(object)
    schedule["matchup"] = between + schedule["opponent"].to_numpy()
    return schedule


def _days(span: int, count: int, rng: np.random.Generator) -> Ints:
    """Return `count` different days of the span, spread out, including its first and last."""
    step = (span - 1) / (count - 1)
    place = np.arange(count) * step
    # Each day is shifted forward by less than the step less one: no two games on one day.
    stray = rng.random(count) * max(step - 1, 0)
    stray[[0, -1]] = 0
    days: Ints = np.floor(place + stray + 1e-9).astype(np.int64)
    return days


def _rivals(
    likely: Mapping[str, float], row: Mapping[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    """Return round, number in the series and opponent of every playoff game of a season.

    At most three opponents from the West, then one from the East.
    """
    count = row["playoff_games"]
    series = np.array_split(np.arange(count), min(4, -(-count // 6))) if count else []
    chosen: list[str] = []
    for side, wanted in ((WEST, min(len(series), 3)), (EAST, max(len(series) - 3, 0))):
        teams = [name for name in side if likely[name] > 0]
        share = _shares(np.array([likely[name] for name in teams]))
        chosen += rng.choice(teams, wanted, replace=False, p=share).tolist()
    turns = [(turn, number) for turn, part in enumerate(series) for number in range(len(part))]
    return pd.DataFrame(
        {
            "round": np.array([turn for turn, _ in turns], dtype=np.int64),
            "number": np.array([number for _, number in turns], dtype=np.int64),
            "opponent": np.array([chosen[turn] for turn, _ in turns], dtype=object),
        }
    )


def _slots(
    tables: Mapping[str, Any], games: pd.DataFrame, period: Ints, rng: np.random.Generator
) -> Ints:
    """Return the game of every shot; shots are ordered by season, at random within one."""
    game_of = np.zeros_like(period)
    start = 0
    for season, row in tables["seasons"].items():
        shots = row["two"][0] + row["three"][0]
        slots = []
        for playoffs, count in ((0, shots - row["playoff_shots"]), (1, row["playoff_shots"])):
            mine = np.flatnonzero((games["season"] == season) & (games["playoffs"] == playoffs))
            if len(mine):
                # Every game has a shot; the shape controls how much games differ.
                share = _shares(rng.gamma(GAME_SHAPE, size=len(mine)))
                slots += [mine, rng.choice(mine, count - len(mine), p=share)]
        free = rng.permutation(np.concatenate(slots))
        # Overtime shots are concentrated in few games, about four in each.
        extra = period[start : start + shots] > 4
        mixed, few = rng.permutation(np.unique(free)), -(-extra.sum() // 4)
        while np.isin(free, mixed[:few]).sum() < extra.sum():
            few += 1  # games with few shots have fewer than four
        chosen = np.flatnonzero(np.isin(free, mixed[:few]))[: extra.sum()]
        game_of[start : start + shots][extra] = free[chosen]
        game_of[start : start + shots][~extra] = np.delete(free, chosen)
        start += shots
    return game_of


def _clock(
    tables: Mapping[str, Any], three: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Return period, minutes and seconds left for every shot."""
    period, minutes = np.zeros_like(three), np.zeros_like(three)
    seconds = rng.integers(0, 60, len(three))
    for kind, name in enumerate(KINDS):
        mine = np.flatnonzero(three == kind)
        for column, values in (("period", period), ("minutes", minutes)):
            share = np.array([count for count, _ in tables[column][name]], float)
            values[mine] = rng.choice(len(share), len(mine), p=share / share.sum())
        ends = np.array([int(end) for end in tables["seconds_left"][name]][:-1])
        share = np.array([row[0] for row in tables["seconds_left"][name].values()][:-1], float)
        late = mine[minutes[mine] == 0]
        bins = rng.choice(len(ends), len(late), p=share / share.sum())
        seconds[late] = rng.integers(np.r_[0, ends[:-1] + 1][bins], ends[bins] + 1)
    period += 1
    # An overtime lasts five minutes.
    minutes = np.where(period > 4, minutes % 5, minutes)
    return period, minutes, seconds


def _counts(table: Mapping[str, Any]) -> Floats:
    """Return the count of each bin of a table."""
    return np.array([row[0] for row in table.values()], float)


def _places(
    tables: Mapping[str, Any], season: Ints, three: Ints, left: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return the position of every shot, in tenths of a foot from the hoop.

    The court is a grid of cells, with probabilities from the tables' counts per zone and per
    distance, uniform within a zone and distance.
    """
    last = list(tables["seasons"]).index(tables["origin"]["last_season"])
    x, y = np.zeros(len(season), dtype=np.int64), np.zeros(len(season), dtype=np.int64)
    for kind, name in enumerate(KINDS):
        top = 800 if kind else 238
        grid_x, grid_y = (
            grid.ravel() for grid in np.meshgrid(np.arange(-250, 251), np.arange(-44, top))
        )
        bins = tables["distance"][name]
        step = np.searchsorted(last_values(bins), np.floor(np.hypot(grid_x, grid_y) / 10))
        zone = zone_of(grid_x, grid_y, tables["zones"])
        usable = (beyond(grid_x, grid_y) == bool(kind)) & (step < len(bins)) & (zone >= 0)
        # The exact centre of the hoop is drawn separately.
        usable &= (grid_x != 0) | (grid_y != 0)
        grid_x, grid_y, step, zone = grid_x[usable], grid_y[usable], step[usable], zone[usable]
        # Few shots come from behind the hoop; 3-point shots come from the middle of the corner and
        # seldom from the sideline.
        weight = np.exp(-((np.minimum(grid_y, 0) / 18.0) ** 2))
        if kind:
            weight = np.where(grid_y <= 87, np.exp(-(((grid_y - 10) / 35.0) ** 2)), 1.0)
            weight *= np.exp(-((np.maximum(np.abs(grid_x) - 210, 0) / 18.0) ** 2))
        pair = zone * len(bins) + step
        shape = (len(tables["zones"]), len(bins))
        start = np.bincount(pair, weight, shape[0] * shape[1]).reshape(shape)
        present = start.sum(axis=1) > 0
        wanted = np.where(present, [row[3] for row in tables["zones"]], 0)
        fitted = _balanced(start, wanted, _counts(bins))
        weight *= (fitted / np.maximum(start, 1e-12)).ravel()[pair]
        mine = three == kind
        eras: tuple[tuple[npt.NDArray[np.bool_], str], ...] = ((mine, name),)
        if not kind:
            old = season <= last
            eras = ((mine & old, "two_before"), (mine & ~old, "two_after"))
        for chosen, table in eras:
            counts = _counts(tables["distance"][table])
            origin = tables["origin"]["share_of_two"] if table == "two_before" else 0.0
            share = counts / counts.sum()
            share[0] -= origin
            ratio = share / np.bincount(step, weight, len(bins))
            cells = rng.choice(len(weight), int(chosen.sum()), p=_shares(weight * ratio[step]))
            at_rim = rng.random(len(cells)) < origin
            x[chosen] = np.where(at_rim, 0, grid_x[cells])
            y[chosen] = np.where(at_rim, 0, grid_y[cells])
    # Most heaves are taken at the buzzer: some are swapped with shots of the last seconds.
    long = np.hypot(x, y) >= 300
    heaves, late = np.flatnonzero(long), np.flatnonzero((three == 1) & (left <= 2) & ~long)
    count = min(int(BUZZER_SHARE * len(heaves)), len(late))
    heaves, late = (rng.choice(rows, count, replace=False) for rows in (heaves, late))
    for values in (x, y):
        values[heaves], values[late] = values[late], values[heaves]
    return x, y


def _shares(weights: Floats) -> Floats:
    total: Floats = weights / weights.sum()
    return total


def _actions(
    tables: Mapping[str, Any],
    season: Ints,
    three: Ints,
    distance: Ints,
    size: Ints,
    rng: np.random.Generator,
) -> Ints:
    """Return the index of every shot's action; some were only recorded from a season on."""
    seasons = list(tables["seasons"])
    groups = list(tables["combined_distance"])
    first = np.array([seasons.index(row[2]) for row in tables["actions"]])
    group = np.array([groups.index(row[1]) for row in tables["actions"]])
    counts = np.array([[row[3], row[5]] for row in tables["actions"]], float).T
    known = np.arange(len(seasons))[:, None] >= first

    # Two steps for 2-point shots: the group from season and distance, then the action in it.
    totals = np.bincount(group, counts[0], len(groups))
    since = np.array([first[group == place].min() for place in range(len(groups))])
    by_season = _balanced(np.arange(len(seasons))[:, None] >= since, size[:, 0], totals)
    ends = last_values(tables["distance"]["two"])
    by_bin = np.zeros((len(ends), len(groups)))
    for place, table in enumerate(tables["combined_distance"].values()):
        by_bin[np.searchsorted(ends, last_values(table)), place] = list(table.values())
    two = np.flatnonzero(three == 0)
    weights = by_bin[np.searchsorted(ends, distance[two])] * by_season[season[two]] / totals
    chosen = _draw(weights / size[season[two], :1], rng)
    same = group == np.arange(len(groups))[:, None]
    start = (known[:, None, :] & same).reshape(-1, len(group))
    table = _balanced(start, by_season.ravel(), counts[0])
    action = np.zeros_like(three)
    action[two] = _draw(table[season[two] * len(groups) + chosen], rng)

    table = _balanced(known, size[:, 1], counts[1])
    action[three == 1] = _draw(table[season[three == 1]], rng)
    return action


def _events(game: Ints, period: Ints, left: Ints, rng: np.random.Generator) -> Ints:
    """Return each shot's event number, increasing within its game."""
    played = np.where(period > 4, 2880 + 300 * (period - 4), 720 * period) - left
    pace = rng.normal(0.169, 0.01, game.max() + 1)[game]
    drawn = 2 + np.floor(np.maximum(played * pace + rng.normal(0, 4, len(game)), 0))
    # Increasing by at least one: the value minus the row's rank must not decrease.
    place = np.arange(len(game))
    level = np.maximum.accumulate(drawn.astype(np.int64) - place + 10**6 * game)
    event: Ints = level + place - 10**6 * game
    return event
