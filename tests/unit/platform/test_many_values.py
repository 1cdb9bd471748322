"""Columns of many values take faster ways, and are read as each value alone is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.platform.rows import Rule, read

DAYS = [f"2024-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 28)]
MOMENTS = [f"{day}T{place % 24:02d}:30:05" for place, day in enumerate(DAYS)]


@pytest.mark.parametrize(
    "odd",
    [
        [],
        [None, np.nan, "", "NA"],
        ["2024-02-30"],
        ["2024-01-01T24:00:00Z", "2024-01-01T10:00:60Z"],
        ["2024-01-01T00:00:00", "2024-01-01T00:00:00Z"],
        ["1677-12-31", "1678-01-01"],
        ["2261-12-31T23:59:59Z", "2262-01-01"],
        ["2024-1-2", " 2024-01-02", "2024-01-02T10:30", "2024-01-02T10:30:00.50+02:00"],
        [["2024-01-01"], {"day": 1}, 5, True],
    ],
    ids=str,
)
@pytest.mark.parametrize("zone", [None, "", "Z"], ids=["days", "without a zone", "UTC"])
def test_many_days_and_moments_are_read_as_each_alone(zone: str | None, odd: list[object]) -> None:
    usual = DAYS if zone is None else [moment + zone for moment in MOMENTS]
    values = pd.Series([*usual, *odd], dtype="object", name="day")
    together = read(values, Rule("date"))
    alone = [read(values.iloc[[place]], Rule("date")) for place in range(len(values))]
    assert together.values.tolist() == [each.values.iloc[0] for each in alone]
    faulty = {place: each.faults[0].code for place, each in enumerate(alone) if each.faults}
    assert {row: fault.code for fault in together.faults for row in fault.rows} == faulty
    # as they were
    assert values.tolist()[: len(usual)] == usual


@pytest.mark.parametrize("kind", ["label", "boolean"])
def test_lists_among_truth_values_are_faults_of_their_rows(kind: str) -> None:
    rule = Rule(kind, positive=("yes",), negative=("no",)) if kind == "label" else Rule(kind)
    clean = read(pd.Series(["yes", "no", None] * 50, dtype="object"), rule)
    assert (clean.values.sum(), clean.values.isna().sum(), clean.faults) == (50, 50, ())
    odd = read(pd.Series(["yes", ["no"], None, {"a": 1}], dtype="object"), rule)
    assert odd.faults[0].rows.tolist() == [1, 3]
