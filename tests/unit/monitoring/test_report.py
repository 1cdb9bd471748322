"""A report stands though one of its checks cannot be made."""

from __future__ import annotations

from collections.abc import Mapping

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


def codes(found: report.Report) -> dict[str, Check]:
    return {check.code: check for check in found.checks}


def test_a_column_that_is_empty_takes_nothing_down() -> None:
    found = codes(report.build(sides()))
    assert found["psi.empty"].state == "reference_empty"
    assert {"psi.x", "ks.x", "psi.t", "skill", "domain_auc", "psi.courtside_probability"} <= set(
        found
    )
    rest = {check.verdict for code, check in found.items() if code != "psi.empty"}
    assert "alert" not in rest
    assert found["psi.x"].verdict == "ok"


@pytest.mark.parametrize(
    ("module", "name", "code"),
    [
        (support, "measure", "domain_auc"),
        (support, "measure", "outside_support"),
        (estimation, "checks", "estimated_log_loss"),
        (slices, "by_slice", "slice"),
    ],
)
def test_a_slip_in_one_check_is_that_checks_alone(
    module: object,
    name: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, name, broken)
    given = sides()
    by = given.reference[["t"]], given.current[["t"]]
    found = codes(report.build(given, by=by))
    assert (found[code].verdict, found[code].state) == ("not_applicable", "failed")
    assert "a slip in the code" in caplog.text
    assert found["psi.x"].verdict == found["skill"].verdict == "ok"


def test_a_slip_in_one_column_is_that_columns_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = drift.Column.__init__

    def slips(self: drift.Column, values: pd.Series, bins: int = 10) -> None:
        if values.name == "t":
            broken()
        whole(self, values, bins)

    monkeypatch.setattr(drift.Column, "__init__", slips)
    found = codes(report.build(sides()))
    assert (found["psi.t"].verdict, found["psi.t"].state) == ("not_applicable", "failed")
    assert found["psi.x"].verdict == "ok"
    assert "The column t could not be compared" in caplog.text


def test_an_error_that_a_person_can_mend_still_reaches_them() -> None:
    def not_ready(_: Mapping[str, Limit]) -> Check:
        raise NotReadyError("The candidates are gone. Train again.")

    with pytest.raises(NotReadyError, match="Train again"):
        report.build(sides(), disagreement=not_ready)
