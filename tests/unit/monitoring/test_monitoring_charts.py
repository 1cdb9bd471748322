"""A check through all reports, and reports read column by column and side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.monitoring import monitoring_charts, report_tables
from core.stats.checks import Check, as_table

DAY = 86400.0


def check(code: str, value: float | None, verdict: Any = "ok", **values: Any) -> Check:
    fields = {"group": "input", "text": f"{code} is {verdict}."} | values
    return Check(
        code=code,
        title=code.upper(),
        value=value,
        reference=None,
        threshold="",
        verdict=verdict,
        **fields,
    )


def history(*reports: list[Check]) -> pd.DataFrame:
    return report_tables.over_time(
        [
            (str(place), place * DAY, f"report {place}", as_table(checks))
            for place, checks in enumerate(reports)
        ]
    )


def rows_of(chart: Any, column: str) -> list[dict[str, Any]]:
    data = chart.to_dict()["datasets"].values()
    return [row for rows in data for row in rows if column in row]


def test_bands_begin_at_each_reports_own_limits_and_reach_to_the_edge() -> None:
    table = history(
        [check("skill", 0.02, warning_low=0.01, alert_low=0.0)],
        [check("skill", 0.03, warning_low=0.005, alert_low=-0.01)],
    )
    bands = rows_of(monitoring_charts.check_over_time(table), "band")
    warnings = sorted((row["bottom"], row["top"]) for row in bands if "warning" in row["band"])
    assert warnings == [(-0.01, 0.005), (0.0, 0.01)]
    alerts = [row for row in bands if "alert" in row["band"]]
    assert sorted(row["top"] for row in alerts) == [-0.01, 0.0]
    bottom = {row["bottom"] for row in alerts}
    assert len(bottom) == 1
    assert bottom.pop() < -0.01


def test_a_warning_without_an_alert_extends_to_the_edge_and_two_sides_have_two_bands() -> None:
    high_only = history([check("psi.x", 0.05, warning_high=0.1)])
    (band,) = rows_of(monitoring_charts.check_over_time(high_only), "band")
    assert band["bottom"] == 0.1
    assert band["top"] > 0.1
    limits = {"warning_low": -0.02, "warning_high": 0.02, "alert_low": -0.05, "alert_high": 0.05}
    both = history([check("calibration", 0.0, **limits)])
    bands = rows_of(monitoring_charts.check_over_time(both), "band")
    assert sorted(row["kind"] for row in bands) == [
        "alert_high",
        "alert_low",
        "warning_high",
        "warning_low",
    ]


def test_a_report_without_a_value_is_left_out_and_none_at_all_is_drawn() -> None:
    table = history([check("f1", None, "not_applicable")], [check("f1", 0.4, low=0.3, high=0.5)])
    chart = monitoring_charts.check_over_time(table)
    points = [row for row in rows_of(chart, "verdict") if "band" not in row]
    assert [(row["report"], row["value"]) for row in points] == [("report 1", 0.4)]
    empty = history([check("f1", None, "not_applicable")])
    assert monitoring_charts.check_over_time(empty).to_dict()["height"] == 300


def test_the_axis_holds_intervals_and_limits_and_both_ends_of_the_time() -> None:
    table = history(
        [check("f1", 0.5, low=0.2, high=0.8, alert_low=0.1)], [check("f1", 0.6, low=0.5, high=0.7)]
    )
    spec = monitoring_charts.check_over_time(table).to_dict()
    line = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "line")
    low, high = line["encoding"]["y"]["scale"]["domain"]
    assert low < 0.1
    assert high > 0.8
    first, last = line["encoding"]["x"]["scale"]["domain"]
    assert first < 0
    assert last > DAY * 1000


def test_the_colours_of_verdicts_are_those_of_the_palette() -> None:
    from core.stats.charts import style

    table = history([check("f1", 0.5)], [check("f1", 0.1, "alert")])
    spec = monitoring_charts.check_over_time(table).to_dict()
    point = spec["layer"][-1]
    assert point["encoding"]["fill"]["scale"] == {
        "domain": ["ok", "alert"],
        "range": [style.PALETTE["ok"], style.PALETTE["alert"]],
    }
    # coded by more than colour
    assert len(set(point["encoding"]["shape"]["scale"]["range"])) == 2


def test_a_column_is_as_bad_as_its_worst_check_and_says_what_that_says() -> None:
    table = as_table(
        [
            check("psi.a.b", 0.01),
            check("missing.a.b", 0.2, "warning", todo="Look."),
            check("psi.c", 3.0, "alert"),
            check("ks.c", 0.4, "alert"),
            check("psi.d", 0.0),
            check("f1", 0.1, "alert", group="performance"),
        ]
    )
    columns = report_tables.by_column(table)
    assert columns["column"].tolist() == ["c", "a.b", "d"]
    assert columns["verdict"].tolist() == ["alert", "warning", "ok"]
    assert columns["text"].map(str).tolist() == [
        "psi.c is alert. ks.c is alert.",
        "missing.a.b is warning.",
        "psi.d is ok.",
    ]
    assert columns["todo"].map(str).tolist() == ["", "Look.", ""]
    assert columns["missing"].notna().tolist() == [False, True, False]


def test_exceeded_limits_come_worst_first_and_each_column_once() -> None:
    table = as_table(
        [
            check("skill", 0.001, "warning", group="performance"),
            check("f1", 0.0, "alert", group="performance"),
            check("psi.x", 0.5, "alert"),
            check("ks.x", 0.5, "alert"),
            check("psi.courtside_probability", 0.15, "warning", group="output"),
            check("roc_auc", None, "not_applicable", group="performance"),
            check("psi.y", 0.0),
        ]
    )
    assert [(row[0], str(row[1])) for row in report_tables.beyond(table)] == [
        ("alert", "F1"),
        ("alert", "x"),
        ("warning", "SKILL"),
        ("warning", "predicted probability"),
    ]


@pytest.mark.parametrize(
    ("before", "now", "is_changed", "is_worse"),
    [
        ("ok", "alert", True, True),
        ("alert", "warning", True, False),
        ("ok", "not_applicable", True, False),
        ("not_applicable", "warning", True, True),
        ("alert", "alert", False, False),
    ],
)
def test_two_reports_show_which_verdicts_changed_for_the_worse(
    before: str, now: str, is_changed: bool, is_worse: bool
) -> None:
    table = report_tables.changes(
        as_table([check("f1", 0.5, before)]), as_table([check("f1", 0.25, now)])
    )
    assert table[["difference", "is_changed", "is_worse"]].values.tolist() == [
        [-0.25, is_changed, is_worse]
    ]


def test_a_check_that_only_one_report_made_stays_and_what_got_worse_comes_first() -> None:
    before = as_table([check("a", 1.0), check("gone", 1.0), check("b", 0.0)])
    now = as_table([check("a", 1.0), check("b", 9.0, "alert"), check("new", 2.0, "warning")])
    table = report_tables.changes(before, now).set_index("code")
    assert table.index.tolist() == ["b", "new", "gone", "a"]
    assert table.loc["gone", "verdict_now"] == ""
    assert np.isnan(table.loc["new", "difference"])


def test_reports_of_older_apps_have_fewer_fields_and_are_read_all_the_same() -> None:
    old_table = as_table([check("psi.x", 0.3, "alert")]).drop(
        columns=["todo", "warning_low", "warning_high", "alert_low", "alert_high", "low", "high"]
    )
    assert report_tables.by_column(old_table)["verdict"].tolist() == ["alert"]
    table = report_tables.over_time([("1", 1.0, "old", old_table)])
    spec = monitoring_charts.check_over_time(table).to_dict()
    assert not rows_of(monitoring_charts.check_over_time(table), "band")
    assert len(spec["layer"]) == 3
    assert report_tables.over_time([]).empty
