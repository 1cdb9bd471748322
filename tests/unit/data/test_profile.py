"""The picture of the data: every row is counted once, wherever it is shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data import profile, split
from core.platform import project

SPEC = project.load("kobe")
TWO, THREE = SPEC.rows.development, SPEC.rows.production


def of(table: pd.DataFrame, column: str, kind: str = "all") -> pd.DataFrame:
    return table[(table["column"] == column) & (table["kind"] == kind)].reset_index(drop=True)


def rows(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    return frame.assign(**{SPEC.target: 1.0, "shot_type": TWO}).assign(**columns)


def test_every_row_of_every_column_is_counted_once_by_its_class(shots: pd.DataFrame) -> None:
    bins = profile.describe(shots, SPEC).bins
    counted = bins.groupby(["kind", "column"])[["negative", "positive", "unlabelled"]].sum()
    label = shots[SPEC.target]
    for kind, mask in (
        ("all", np.full(len(shots), True)),
        ("development", shots["shot_type"] == TWO),
        ("production", shots["shot_type"] == THREE),
    ):
        wanted = [int((label[mask] == 0).sum()), int((label[mask] == 1).sum())]
        wanted.append(int(label[mask].isna().sum()))
        assert (counted.loc[kind] == wanted).all(axis=None), kind
    assert set(bins["column"]) == set(SPEC.columns) - {SPEC.target}


def test_single_values_texts_and_bins_are_labelled_as_such(shots: pd.DataFrame) -> None:
    bins = profile.describe(shots, SPEC).bins
    period, season = of(bins, "period"), of(bins, "season")
    assert period["label"].tolist() == [f"{value}" for value in sorted(shots["period"].unique())]
    assert (period["start"] == period["end"]).all()
    assert season["label"].tolist() == sorted(shots["season"].unique())
    assert season["start"].isna().all()
    lat = of(bins, "lat")
    assert len(lat) == profile.NUMBER_BINS
    assert (lat["end"] > lat["start"]).all()
    assert np.allclose(lat["start"].iloc[1:], lat["end"].iloc[:-1])
    dates = of(bins, "game_date")
    assert dates["label"].str.fullmatch(r"\d{4}-\d{2}-\d{2}").all()


def test_counts_of_a_value_are_those_of_its_rows(shots: pd.DataFrame) -> None:
    season = of(profile.describe(shots, SPEC).bins, "season").set_index("label")
    positives = shots[shots[SPEC.target] == 1].groupby("season").size()
    assert season["positive"].to_dict() == positives.to_dict()


def test_whole_numbers_are_cut_into_bins_that_hold_equally_many_of_them() -> None:
    frame = rows(shot_distance=np.repeat(np.arange(60), 10))
    bins = of(profile.describe(frame, SPEC).bins, "shot_distance")
    assert bins["positive"].tolist() == [20] * 30


def test_a_value_far_out_does_not_flatten_all_others() -> None:
    frame = rows(lat=[*np.linspace(34, 34.1, 1000), 1e9])
    bins = of(profile.describe(frame, SPEC).bins, "lat")
    assert bins["positive"].sum() == 1001
    assert bins["positive"].max() < 50


def test_the_rarest_of_many_texts_are_put_together() -> None:
    names = [f"team {i:03}" for i in range(200)]
    frame = rows(opponent=[*np.repeat(names[150:], 5), *names[:150]])
    bins = of(profile.describe(frame, SPEC).bins, "opponent")
    assert len(bins) == profile.TEXT_BINS
    assert bins["label"].iloc[-1] == profile.OTHERS
    assert set(names[150:]) <= set(bins["label"])
    assert bins["positive"].sum() == len(frame)


def test_missing_values_are_in_no_bin_and_counted_as_missing() -> None:
    frame = rows(lat=[34.0, None, 34.1, None], opponent=["a", None, "b", "a"])
    described = profile.describe(frame, SPEC)
    bins, columns = described.bins, described.columns
    for name, missing in (("lat", 2), ("opponent", 1)):
        assert of(bins, name)["positive"].sum() == 4 - missing
        assert of(columns, name).loc[0, "missing"] == missing


def test_a_column_without_any_value_is_described() -> None:
    frame = rows(lat=[np.nan, np.nan], opponent=[None, None])
    columns = profile.describe(frame, SPEC).columns
    for name in ("lat", "opponent"):
        assert of(columns, name).loc[0, ["missing", "distinct", "low", "usual"]].tolist() == [
            2,
            0,
            "",
            "",
        ]
    assert "lat" not in profile.correlation(frame, SPEC)["one"].tolist()
    assert of(profile.describe(frame, SPEC).bins, "lat").empty


def test_columns_are_described_as_pandas_does(shots: pd.DataFrame) -> None:
    description = profile.describe(shots, SPEC).columns
    for kind, frame in (("all", shots), ("production", shots[shots["shot_type"] == THREE])):
        lat, opponent = (of(description, name, kind).loc[0] for name in ("lat", "opponent"))
        assert lat["rows"] == len(frame)
        assert lat["distinct"] == frame["lat"].nunique()
        assert lat["mean"] == pytest.approx(frame["lat"].mean())
        assert (float(lat["low"]), float(lat["high"])) == (frame["lat"].min(), frame["lat"].max())
        assert opponent["usual"] == frame["opponent"].mode()[0]
        assert opponent["usual_share"] == pytest.approx(
            frame["opponent"].value_counts(normalize=True).iloc[0]
        )
    assert of(description, "action_type").loc[0, "recorded"] == "after"


def test_correlation_is_pearsons_and_leaves_out_what_is_constant(shots: pd.DataFrame) -> None:
    table = profile.correlation(shots, SPEC)
    mine = table[table["kind"] == "development"].set_index(["one", "other"])["correlation"]
    rows_ = shots[shots["shot_type"] == TWO]
    assert mine["lat", SPEC.target] == pytest.approx(rows_["lat"].corr(rows_[SPEC.target]))
    assert mine["lat", "loc_y"] == pytest.approx(-1)
    assert "team_id" not in table["one"].tolist()


def test_rates_hold_their_interval_and_leave_out_few_rows() -> None:
    frame = rows(period=[1] * 40 + [2] * 30 + [7] * 2)
    frame[SPEC.target] = [np.nan, 0] + [1, 0] * 19 + [1.0] * 32
    table = profile.rates(of(profile.describe(frame, SPEC).bins, "period"))
    assert table["label"].tolist() == ["1", "2"]
    assert table["rows"].tolist() == [39, 30]
    assert table["rate"].tolist() == pytest.approx([19 / 39, 1.0])
    assert (table["low"] <= table["rate"]).all()
    assert (table["high"] >= table["rate"]).all()
    assert table["high"].max() <= 1


def test_the_interval_is_that_of_agresti_and_coull() -> None:
    frame = rows(period=[1] * 20)
    frame[SPEC.target] = [1.0] * 5 + [0.0] * 15
    table = profile.rates(of(profile.describe(frame, SPEC).bins, "period"))
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([0.1081, 0.4725], abs=5e-4)


def test_values_to_filter_by_are_those_of_the_rows_and_can_be_filtered_by() -> None:
    frame = rows(game_id=np.repeat(np.arange(1_000_000, 1_000_600, 10), 5))
    table = profile.values(frame, ["game_id", "shot_type", "game_id"])
    assert table["column"].unique().tolist() == ["game_id", "shot_type"]
    ids = table[table["column"] == "game_id"]
    assert ids["value"].tolist() == [str(number) for number in range(1_000_000, 1_000_600, 10)]
    assert (ids["rows"] == 5).all()
    many = profile.values(rows(game_id=np.arange(5000)), ["game_id"])
    assert len(many) == profile.MOST_VALUES
    frame[SPEC.target] = [0.0, 1.0] * 150
    filtered = split.filter_rows(frame, SPEC, {"game_id": (ids["value"].iloc[7],)})
    assert filtered.frame["game_id"].unique().tolist() == [1_000_070]


def test_a_picture_leaves_the_rows_as_they_are(shots: pd.DataFrame) -> None:
    before = shots.copy()
    profile.describe(shots, SPEC)
    profile.correlation(shots, SPEC)
    assert shots.equals(before)


def test_correlations_over_missing_values_are_those_of_pandas() -> None:
    rng = np.random.default_rng(0)
    numbers = ["lat", "lon", "loc_x"]
    frame = rows(**{name: rng.normal(1e6, 1, 400) for name in numbers})
    frame[numbers[1]] += frame[numbers[0]]
    for share, name in ((0.02, numbers[0]), (0.5, numbers[1])):
        frame.loc[rng.random(400) < share, name] = np.nan
    frame.loc[frame[numbers[0]].isna(), numbers[2]] = 3.0
    table = profile.correlation(frame, SPEC)
    mine = table[table["kind"] == "all"].pivot(index="one", columns="other", values="correlation")
    wanted = frame[mine.index].astype(float).corr()
    assert np.allclose(mine.to_numpy(), wanted[mine.columns].to_numpy(), equal_nan=True, atol=1e-9)
    both = frame[numbers[:2]].dropna()
    # a pair in whose rows one is constant has no correlation
    frame[numbers[2]] = np.where(frame[numbers[0]].isna(), rng.normal(size=400), 3.3)
    again = profile.correlation(frame, SPEC).set_index(["kind", "one", "other"])["correlation"]
    assert np.isnan(again["all", numbers[0], numbers[2]])
    assert again["all", numbers[0], numbers[1]] == pytest.approx(both.corr().iloc[0, 1])


def test_days_and_moments_are_counted_as_pandas_does() -> None:
    texts = ["2000-10-31", None, "2000-10-31T19:30:00", "1678-01-01", "2261-12-31T23:59:59.123456Z"]
    moments = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=True)
    wanted = (moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    days = profile._days(pd.Series(texts, dtype="object"))
    assert np.array_equal(days, wanted.to_numpy(dtype=float), equal_nan=True)
