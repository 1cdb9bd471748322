"""Rows over time: the period fits the span, and no row is lost."""

import numpy as np
import pandas as pd
import pytest

from core.data import data_charts, over_time
from core.platform.project import ProjectSpec
from tests.any_table import smallest


def spec_of(kind: str = "date") -> ProjectSpec:
    return smallest(time="on", columns={"on": {"type": kind}}, rows={"by": "labels"})


def rows_of(moments) -> pd.DataFrame:
    places = np.arange(len(moments))
    parts = np.where(places < len(moments) / 2, "reference", "current")
    return pd.DataFrame({"on": moments, "y": (places % 3 == 0) * 1.0, "courtside_part": parts})


@pytest.mark.parametrize(
    ("end", "rows", "period"),
    [
        ("2024-01-02", 3000, "hour"),
        ("2024-02-10", 3000, "day"),
        ("2025-03-01", 3000, "week"),
        ("2025-03-01", 600, "month"),
        ("2031-03-01", 3000, "month"),
        ("2071-03-01", 3000, "year"),
    ],
)
def test_the_period_fits_span_and_rows(end, rows, period):
    moments = pd.date_range("2024-01-01", end, periods=rows).strftime("%Y-%m-%dT%H:%M:%S")
    table = over_time.counts(rows_of(moments), spec_of())
    assert table["period"].unique().tolist() == [period]
    assert table["rows"].sum() == rows
    assert len(table) <= over_time.MOST_POINTS + 1
    assert table["start"].map(pd.Timestamp).is_monotonic_increasing


def test_days_without_a_time_are_no_hours():
    table = over_time.counts(rows_of(["2024-01-01", "2024-01-02"] * 500), spec_of())
    assert table["period"].unique().tolist() == ["day"]


def test_a_number_is_a_time_too_if_it_has_few_values():
    table = over_time.counts(rows_of([2001, 2002, 2003, 2004] * 50), spec_of("integer"))
    assert sorted(table["start"].unique()) == ["2001", "2002", "2003", "2004"]
    assert over_time.counts(rows_of(np.arange(900)), spec_of("integer")).empty
    chart = data_charts.rate_over_time(table, rate_title="Share of yes").to_dict()
    assert chart["layer"][0]["encoding"]["x"]["type"] == "quantitative"


def test_missing_times_are_left_out():
    moments = [None, "2024-01-01", "2024-01-01"] * 40
    table = over_time.counts(rows_of(moments), spec_of())
    assert table["rows"].sum() == 80
    assert over_time.counts(rows_of([None] * 9), spec_of()).empty


def test_the_chart_names_sets_and_periods_in_words():
    moments = pd.date_range("2024-01-01", "2024-12-30", periods=4000).strftime("%Y-%m-%d")
    table = over_time.counts(rows_of(moments), spec_of())
    chart = data_charts.rate_over_time(table, rate_title="Share of yes").to_dict()
    encoding = chart["layer"][0]["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["reference", "current"]
    assert encoding["x"]["title"] == "Weeks"
    assert data_charts.rows_over_time(table).to_dict()["layer"][0]["mark"]["type"] == "bar"
