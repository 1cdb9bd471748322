"""The second built-in example: its rows keep its file's rules, and say what they are meant to."""

import numpy as np
import pandas as pd
import pytest

from core.data import derived_columns, over_time
from core.platform.project import load, sample_tables
from core.platform.project_parts import CURRENT, REFERENCE
from core.platform.schema import inspect_source
from core.projects.flights import sample
from core.stats import places


@pytest.fixture(scope="module")
def spec():
    return load("flights")


@pytest.fixture(scope="module")
def flights():
    return sample.generate(sample_tables("flights"))


@pytest.fixture(scope="module")
def rows(flights, spec):
    raw = derived_columns.derive([flights], ["sample.parquet"], spec)
    inspected = inspect_source(raw, spec)
    assert inspected.errors == ()
    return inspected.frame


def test_rows_are_the_same_for_a_seed_and_others_for_another(flights):
    tables = sample_tables("flights")
    pd.testing.assert_frame_equal(flights, sample.generate(tables))
    other = sample.generate(tables, seed=7)
    assert len(other) == len(flights)
    assert (other["late"] != flights["late"]).mean() > 0.1


def test_rows_are_what_the_file_says(rows, spec):
    assert set(rows.columns) == set(spec.columns)
    parts = rows.groupby(spec.rows.column)["scheduled"]
    assert parts.max()[REFERENCE] < "2013-07-01" <= parts.min()[CURRENT]
    assert 0.4 < (rows[spec.rows.column] == REFERENCE).mean() < 0.6


def test_late_is_more_than_15_minutes(flights):
    known = flights.dropna(subset=["arr_delay"])
    assert ((known["arr_delay"] > sample.LATE) == (known["late"] == "yes")).all()
    # no arrival, no label
    assert flights["late"].isna().equals(flights["arr_delay"].isna())


def test_shares_are_those_of_the_public_rows(rows):
    tables = sample_tables("flights")
    late = rows["late"].dropna()
    assert late.mean() == pytest.approx(tables["late"], abs=0.02)
    assert rows["late"].isna().mean() == pytest.approx(tables["cancelled"], abs=0.01)
    by_hour = rows.groupby("hour")["late"].mean()
    assert by_hour[19] > by_hour[7] + 0.1


def test_distances_are_known_ones(flights):
    routes = flights.groupby(["origin", "dest"])["distance"].first()
    assert routes["JFK", "LAX"] == pytest.approx(3980, abs=20)
    assert routes["LGA", "ORD"] == pytest.approx(1180, abs=15)


def test_bad_weather_makes_flights_late(rows):
    wet = rows["precipitation"] > 1
    assert rows.loc[wet, "late"].mean() > rows.loc[~wet, "late"].mean() + 0.1
    assert rows.loc[rows["month"] == 1, "temperature"].mean() < 6
    assert rows.loc[rows["month"] == 7, "temperature"].mean() > 20
    # stations are silent now and then
    assert 0.01 < rows["wind"].isna().mean() < 0.06


def test_they_have_curves_over_time_and_a_map(rows, spec):
    counted = over_time.counts(rows, spec)
    assert counted["period"].unique().tolist() == ["week"]
    assert counted.groupby("set")["start"].nunique().to_dict() == {"current": 27, "reference": 26}
    assert counted["rows"].sum() == len(rows)
    cells = places.cells(
        rows["dest_lon"], rows["dest_lat"], rows["late"], {"all": np.ones(len(rows), dtype=bool)}
    )
    assert cells["rows"].sum() == len(rows)
    assert places.without_place(cells) == 0
    assert 15 < places.with_rates(cells)["rate"].notna().sum() < 80
