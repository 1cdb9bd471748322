"""A report is complete although one of its checks fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.monitoring import report
from core.platform.errors import NotReadyError
from core.stats import drift, estimation, slices, support
from core.stats.check import Check, Limit


def sides(rows: int = 700) -> report.Sides:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, rows)
    frame = pd.DataFrame(
        {
            "x": p,
            "t": rng.choice(list("abc"), rows),
            "empty": np.nan,
            "courtside_probability": p,
            "courtside_label": (rng.uniform(size=rows) < p).astype(np.float64),
        }
    )
    half = rows // 2
    current = frame[half:].reset_index(drop=True)
    return report.Sides(frame[:half], current, ("x", "t", "empty"), 0.5)


def broken(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a slip in the code")


def checks_by_code(result: report.Report) -> dict[str, Check]:
    return {check.code: check for check in result.checks}


def test_an_empty_column_breaks_nothing() -> None:
    by_code = checks_by_code(report.build(sides()))
    assert by_code["psi.empty"].state == "reference_empty"
    assert {"psi.x", "ks.x", "psi.t", "skill", "domain_auc", "psi.courtside_probability"} <= set(
        by_code
    )
    rest = {check.verdict for code, check in by_code.items() if code != "psi.empty"}
    assert "alert" not in rest
    assert by_code["psi.x"].verdict == "ok"


@pytest.mark.parametrize(
    ("module", "name", "code"),
    [
        (support, "measure", "domain_auc"),
        (support, "measure", "outside_support"),
        (estimation, "checks", "estimated_log_loss"),
        (slices, "by_slice", "slice"),
    ],
)
def test_an_error_in_one_check_affects_only_that_check(
    module: object,
    name: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, name, broken)
    both_sides = sides()
    by = both_sides.reference[["t"]], both_sides.current[["t"]]
    by_code = checks_by_code(report.build(both_sides, by=by))
    assert (by_code[code].verdict, by_code[code].state) == ("not_applicable", "failed")
    assert "a slip in the code" in caplog.text
    assert by_code["psi.x"].verdict == by_code["skill"].verdict == "ok"


def test_an_error_in_one_column_affects_only_that_column(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = drift.Column.__init__

    def slips(self: drift.Column, values: pd.Series, bins: int = 10, **choices: object) -> None:
        if values.name == "t":
            broken()
        original(self, values, bins, **choices)

    monkeypatch.setattr(drift.Column, "__init__", slips)
    by_code = checks_by_code(report.build(sides()))
    assert (by_code["psi.t"].verdict, by_code["psi.t"].state) == ("not_applicable", "failed")
    assert by_code["psi.x"].verdict == "ok"
    assert "The column t could not be compared" in caplog.text


def test_an_error_that_a_person_can_fix_still_reaches_them() -> None:
    def not_ready(_: Mapping[str, Limit]) -> Check:
        raise NotReadyError("The candidates are gone. Train again.")

    with pytest.raises(NotReadyError, match="Train again"):
        report.build(sides(), disagreement=not_ready)


@pytest.mark.parametrize("is_labelled", [True, False])
def test_only_checks_of_rows_without_labels_ask_for_some(is_labelled: bool) -> None:
    same = sides()
    p = np.linspace(0.75, 0.99, len(same.current))
    moved = same.current.assign(x=p + 5, courtside_probability=p)
    if not is_labelled:
        moved["courtside_label"] = np.nan
    by_code = checks_by_code(report.build(replace(same, current=moved)))
    alarmed = ("psi.courtside_probability", "outside_support")
    assert {by_code[code].verdict for code in alarmed} == {"alert"}
    has_todo = {bool(by_code[code].todo) for code in (*alarmed, "estimated_log_loss")}
    assert has_todo == {not is_labelled}
    # what a column needs does not depend on labels
    assert by_code["psi.x"].todo
