import copy
import json
import re

import numpy as np
import pandas as pd
import pytest

from core.data.split import at_random, filter_rows
from core.platform.project import FOLDER, load, sample_tables
from core.platform.schema import inspect_source
from core.projects.kobe import sample

TWO, THREE = "2PT Field Goal", "3PT Field Goal"


@pytest.fixture(scope="module")
def spec():
    return load("kobe")


@pytest.fixture(scope="module")
def tables():
    return sample_tables("kobe")


@pytest.fixture(
    scope="module", params=[24, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 7))]
)
def shots(request, tables):
    return sample.generate(tables, request.param)


@pytest.fixture(scope="module")
def fitted(shots, spec):
    from sklearn.linear_model import LogisticRegression

    frame = filter_rows(shots, spec).frame
    train, test = at_random(frame, spec.target, test_share=0.2, seed=42)
    features = list(spec.features)
    model = LogisticRegression(max_iter=1000).fit(train[features], train[spec.target])
    return model, test


def share(rows):
    return float(np.mean(rows))


# What a source must be.


def test_counts_of_rows_types_and_missing_labels(shots):
    assert len(shots) == 30_697
    assert shots["shot_type"].value_counts().to_dict() == {TWO: 24_271, THREE: 6_426}
    missing = shots["shot_made_flag"].isna().groupby(shots["shot_type"]).sum()
    assert missing.to_dict() == {TWO: 3_986, THREE: 1_014}
    assert int(shots.drop(columns="shot_made_flag").isna().sum().sum()) == 0


def test_columns_and_types_are_those_of_the_project(shots, spec):
    assert list(shots.columns) == list(spec.columns) == list(sample.COLUMNS)
    wanted = {
        "text": "object",
        "date": "object",
        "integer": "int64",
        "number": "float64",
        "label": "float64",
    }
    assert {name: str(dtype) for name, dtype in shots.dtypes.items()} == {
        name: wanted[column.type] for name, column in spec.columns.items()
    }
    for name, column in spec.columns.items():
        if column.type == "text":
            assert {type(value) for value in shots[name].unique()} == {str}
    assert shots.index.equals(pd.RangeIndex(len(shots)))


def test_passes_the_projects_validation_unchanged(shots, spec):
    validated = inspect_source(shots, spec).required()
    assert validated.warnings == ()
    assert validated.frame.equals(shots)


def test_survives_parquet(shots, tmp_path):
    shots.to_parquet(tmp_path / "shots.parquet", index=False)
    assert pd.read_parquet(tmp_path / "shots.parquet").equals(shots)


def test_same_seed_same_bytes_and_tables_left_alone(tables):
    before = copy.deepcopy(tables)
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    first, other = (sample.generate(tables, seed) for seed in (24, 25))
    # the usual seed
    again = sample.generate(tables)
    # as a snapshot has it
    assert first.to_parquet() == again.to_parquet()
    assert not first["loc_x"].equals(other["loc_x"])
    assert not first["shot_made_flag"].equals(other["shot_made_flag"])
    assert tables == before
    assert (np.random.get_state()[1] == state).all()


def test_tables_are_small_and_add_up(tables):
    path = FOLDER / "kobe" / load("kobe").sample.tables
    assert path.stat().st_size < 30_000
    assert json.loads(path.read_text(encoding="utf-8")) == tables
    seasons = tables["seasons"].values()
    assert sum(row["two"][0] for row in seasons) == 24_271
    assert sum(row["three"][0] for row in seasons) == 6_426
    assert sum(row["games"] + row["playoff_games"] for row in seasons) == 1_559
    assert sum(row[3] for row in tables["actions"]) == 24_271
    assert sum(row[5] for row in tables["actions"]) == 6_426


# Places.


def test_identities_are_exact(shots):
    x, y = shots["loc_x"], shots["loc_y"]
    assert (shots["lat"] == np.round(34.0443 - y / 1000, 4)).all()
    assert (shots["lon"] == np.round(-118.2698 + x / 1000, 4)).all()
    assert (shots["shot_distance"] == np.floor(np.hypot(x, y) / 10)).all()


def test_shots_lie_on_their_side_of_the_line(shots):
    x, y = shots["loc_x"], shots["loc_y"]
    beyond = (np.hypot(x, y) >= 237.5) | ((x.abs() >= 220) & (y <= 87))
    assert (beyond == (shots["shot_type"] == THREE)).all()
    assert x.abs().max() <= 250
    assert y.between(-52, 800).all()


def test_zones_follow_from_the_place(shots, tables):
    x, y, distance = shots["loc_x"], shots["loc_y"], shots["shot_distance"]
    basic, area, reach = (shots[f"shot_zone_{name}"] for name in ("basic", "area", "range"))
    triples = set(zip(basic, area, reach, strict=True))
    assert triples <= {tuple(row[:3]) for row in tables["zones"]}
    three = shots["shot_type"] == THREE
    assert set(basic[three]) == {
        "Above the Break 3",
        "Backcourt",
        "Left Corner 3",
        "Right Corner 3",
    }
    assert set(basic[~three]) == {"Mid-Range", "In The Paint (Non-RA)", "Restricted Area"}
    assert ((basic == "Restricted Area") == (distance < 4)).all()
    paint = basic == "In The Paint (Non-RA)"
    assert x[paint].abs().max() <= 80
    assert y[paint].max() <= 138
    assert (y[basic == "Backcourt"] >= 418).all()
    assert (x[basic == "Left Corner 3"] <= -220).all()
    assert (x[basic == "Right Corner 3"] >= 220).all()
    corner = basic.str.contains("Corner")
    assert (corner == (three & (y <= 87) & (x.abs() >= 220))).all()
    assert (x[area.str.startswith("Left")] < 0).all()
    assert (x[area.str.startswith("Right")] > 0).all()
    assert ((reach == "Less Than 8 ft.") == (distance < 8)).all()
    assert ((reach == "8-16 ft.") == distance.between(8, 15)).all()
    assert ((reach == "16-24 ft.") == (~three & (distance >= 16))).all()


def test_rim_shots_are_recorded_differently_from_2010(shots, tables):
    two = shots["shot_type"] == TWO
    middle = (shots["loc_x"] == 0) & (shots["loc_y"] == 0)
    late = shots["season"] >= "2010-11"
    assert share(middle[two & ~late]) == pytest.approx(tables["origin"]["share_of_two"], abs=0.012)
    assert share(middle[~late]) == pytest.approx(0.218, abs=0.01)
    assert not middle[late].any()
    assert not middle[~two].any()


# Time, games and kinds of shot.


def test_shot_id_is_the_order_of_time(shots):
    assert shots["shot_id"].tolist() == list(range(1, 30_698))
    assert shots["game_date"].is_monotonic_increasing
    assert shots["season"].is_monotonic_increasing
    game = (shots["game_id"] != shots["game_id"].shift()).cumsum()
    assert game.max() == shots["game_id"].nunique()
    clock = 10_000 * shots["period"] - 60 * shots["minutes_remaining"] - shots["seconds_remaining"]
    assert (clock.groupby(game).diff().dropna() >= 0).all()
    assert (shots["game_event_id"].groupby(game).diff().dropna() > 0).all()
    assert (shots.loc[shots["period"] > 4, "minutes_remaining"] < 5).all()


def test_games_are_whole_and_plausible(shots, tables):
    constant = ["game_date", "matchup", "opponent", "playoffs", "season"]
    assert (shots.groupby("game_id")[constant].nunique() == 1).all().all()
    games = shots.drop_duplicates("game_id")
    assert len(games) == 1_559
    assert games["game_date"].is_unique
    assert not (games["opponent"] == "LAL").any()
    for game in games.itertuples():
        year = game.season[2:4]
        assert re.fullmatch(r"LAL (@|vs\.) " + game.opponent, game.matchup)
        assert str(game.game_id).startswith(("4" if game.playoffs else "2") + year)
        row = tables["seasons"][game.season]
        assert row["from"] <= game.game_date <= row["to"]
    assert set(shots["team_id"]) == {1610612747}
    assert set(shots["team_name"]) == {"Los Angeles Lakers"}
    assert 0.45 < share(games["matchup"].str.contains("vs.", regex=False)) < 0.55
    size = shots.groupby("game_id").size()
    assert 6 < size.std() < 9
    assert size.max() <= 65


def test_opponents_exist_in_their_season(shots, tables):
    seasons = shots.groupby("opponent")["season"].agg(["min", "max"])
    assert set(seasons.index) == set(tables["opponent"])
    assert seasons.loc["VAN", "max"] <= "2000-01"
    assert seasons.loc["MEM", "min"] >= "2001-02"
    assert seasons.loc["SEA", "max"] <= "2007-08"
    assert seasons.loc["OKC", "min"] >= "2008-09"
    assert seasons.loc["NJN", "max"] <= "2011-12"
    assert seasons.loc["BKN", "min"] >= "2012-13"


def test_playoffs_only_in_seasons_that_had_them(shots):
    seasons = shots.groupby("season")["playoffs"].sum()
    without = {"2004-05", "2012-13", "2013-14", "2014-15", "2015-16"}
    assert set(seasons.index[seasons == 0]) == without
    assert int(seasons.sum()) == pytest.approx(4_499, abs=5)
    playoffs = shots[shots["playoffs"] == 1]
    assert playoffs["game_date"].str[5:].between("04-20", "06-20").all()
    assert playoffs.groupby("season")["opponent"].nunique().max() <= 4


def test_kinds_of_shot_agree(shots, tables):
    group = {row[0]: row[1] for row in tables["actions"]}
    assert (shots["action_type"].map(group) == shots["combined_shot_type"]).all()
    assert set(shots.loc[shots["shot_type"] == THREE, "combined_shot_type"]) == {"Jump Shot"}
    first = {row[0]: row[2] for row in tables["actions"]}
    assert (shots["season"] >= shots["action_type"].map(first)).all()
    dunks = shots[shots["combined_shot_type"] == "Dunk"]
    assert share(dunks["shot_distance"] <= 4) > 0.99


# Calibration.


def test_counts_follow_the_tables(shots, tables):
    for name, row in tables["seasons"].items():
        mine = shots["season"] == name
        assert int(mine.sum()) == row["two"][0] + row["three"][0]
    zones = shots.groupby(["shot_zone_basic", "shot_zone_area", "shot_zone_range"]).size()
    for *zone, count, _ in tables["zones"]:
        assert zones[tuple(zone)] == pytest.approx(count, abs=6 * count**0.5)
    two = shots[shots["shot_type"] == TWO]
    for name, _, _, count, *_ in tables["actions"]:
        rows = int((two["action_type"] == name).sum())
        assert rows == pytest.approx(count, abs=6 * max(count, 4) ** 0.5)
    for name, (count, _) in tables["opponent"].items():
        rows = int((shots["opponent"] == name).sum())
        assert rows == pytest.approx(count, rel=0.25, abs=110)


def test_make_rates_follow_the_tables(shots, tables):
    labelled_shots = shots.dropna()
    labels = labelled_shots["shot_made_flag"]

    def close(rows, rate, slack=0.015):
        labelled = labels[rows]
        if rate is not None and len(labelled) >= 20:
            error = (rate * (1 - rate) / len(labelled)) ** 0.5
            assert labelled.mean() == pytest.approx(rate, abs=slack + 4 * error)

    for name, row in tables["seasons"].items():
        for kind, shot_type in (("two", TWO), ("three", THREE)):
            close(
                (labelled_shots["season"] == name) & (labelled_shots["shot_type"] == shot_type),
                row[kind][1],
            )
    for basic, area, reach, _, rate in tables["zones"]:
        zone = (labelled_shots["shot_zone_basic"] == basic) & (
            labelled_shots["shot_zone_area"] == area
        )
        close(zone & (labelled_shots["shot_zone_range"] == reach), rate)
    for row in tables["actions"]:
        mine = (labelled_shots["action_type"] == row[0]) & (labelled_shots["shot_type"] == TWO)
        close(mine, row[4])
    for kind, shot_type in (("two", TWO), ("three", THREE)):
        mine = labelled_shots["shot_type"] == shot_type
        for number, (_, rate) in enumerate(tables["period"][kind], start=1):
            close(mine & (labelled_shots["period"] == number), rate, slack=0.005)
        for minute, (_, rate) in enumerate(tables["minutes"][kind]):
            close(mine & (labelled_shots["minutes_remaining"] == minute), rate, slack=0.005)
        last = (labelled_shots["minutes_remaining"] == 0) & (
            labelled_shots["seconds_remaining"] == 0
        )
        close(mine & last, tables["seconds_left"][kind]["0"][1])
    for shot_type, rate in ((TWO, 0.477), (THREE, 0.329)):
        close(labelled_shots["shot_type"] == shot_type, rate, slack=0.004)


def test_heaves_come_at_the_buzzer(shots):
    far = shots[(shots["shot_type"] == THREE) & (shots["shot_distance"] >= 30)]
    left = 60 * far["minutes_remaining"] + far["seconds_remaining"]
    assert share(left <= 2) > 0.6
    assert share(far["shot_made_flag"].dropna()) < 0.12


# How models perform on it.


def test_logistic_regression_performs_as_on_the_real_shots(fitted, shots, spec):
    from sklearn.metrics import f1_score, log_loss

    model, test = fitted
    assert len(test) == 4_057
    features = list(spec.features)
    loss = log_loss(test[spec.target], model.predict_proba(test[features])[:, 1])
    assert 0.670 < loss < 0.687
    three = shots[shots["shot_type"] == THREE].dropna()
    chance = model.predict_proba(three[features])[:, 1]
    assert 0.615 < log_loss(three[spec.target], chance) < 0.640
    assert f1_score(three[spec.target], chance >= 0.5, zero_division=0) < 0.01


def test_the_two_sets_are_easily_distinguished(shots, spec):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    three = shots["shot_type"] == THREE
    features = shots[list(spec.features)]
    model = LogisticRegression(max_iter=1000).fit(features[::2], three[::2])
    assert roc_auc_score(three[1::2], model.predict_proba(features[1::2])[:, 1]) > 0.99


@pytest.mark.parametrize("seed", [31, 49, 77])
def test_a_seed_whose_overtimes_fall_on_games_of_few_shots_works_too(tables, seed):
    shots = sample.generate(tables, seed)
    assert len(shots) == 30_697
    assert (shots["period"] > 4).any()
