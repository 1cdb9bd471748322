"""The rules of the gate, against closed forms and simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.registry import gate
from core.registry.gate import Limits, Rule
from core.stats import calibration

NUMBERS = {"lat": "number", "lon": "number", "zone": "text"}


def rule(verdict: str, code: str = "better", text: str = "Because.") -> Rule:
    return Rule(code, gate.TITLES[code], verdict, None, None, text)  # type: ignore[arg-type]


def decided(rules: list[Rule]) -> tuple[str, str]:
    decision = gate.decide(rules)
    return decision.code, str(decision.text)


def harm(*rows: tuple[str, object, int, float, bool]) -> pd.DataFrame:
    names = ["column", "value", "rows", "difference", "harmed"]
    return pd.DataFrame(list(rows), columns=names).assign(low=0.0, high=0.1)


def test_the_change_of_calibration_is_that_of_the_two_errors() -> None:
    rng = np.random.default_rng(2)
    n = 4000
    truth = rng.uniform(0.1, 0.7, n)
    labels = (rng.uniform(size=n) < truth).astype(np.int64)
    shifted = truth + 0.1
    change, (low, high) = calibration.calibration_change(labels, shifted, truth)
    # a shift of all forecasts by 0.1 is an error of 0.1; a true forecast has but the noise
    noise = calibration.calibration_floor(truth)[0]
    assert change == pytest.approx(0.1 - noise, abs=0.01)
    assert 0.05 < low < change < high < 0.12
    # a model has no change against itself, and the other way round it is the negative
    assert calibration.calibration_change(labels, truth, truth, resamples=10) == (0.0, (0.0, 0.0))
    back, ends = calibration.calibration_change(labels, truth, shifted)
    assert (back, *ends) == pytest.approx((-change, -high, -low), abs=1e-12)


def test_two_calibrated_forecasts_rarely_differ() -> None:
    rng = np.random.default_rng(3)
    differing = 0
    for i in range(40):
        truth = rng.uniform(0.1, 0.9, 500)
        labels = (rng.uniform(size=500) < truth).astype(np.int64)
        _, (low, _) = calibration.calibration_change(
            labels, np.full(500, 0.5), truth, resamples=60, seed=i
        )
        differing += low > 0
    assert differing <= 4


def test_one_row_and_one_class_have_a_change() -> None:
    label = np.array([1])
    change, ends = calibration.calibration_change(
        label, np.array([0.8]), np.array([0.4]), resamples=5
    )
    assert change == pytest.approx(-0.4)
    assert ends == pytest.approx((-0.4, -0.4))
    ones = np.ones(50, dtype=np.int64)
    change, (low, high) = calibration.calibration_change(
        ones, np.full(50, 0.5), np.linspace(0.3, 0.6, 50), resamples=50
    )
    assert low <= change <= high
    assert change == pytest.approx(0.5 - 0.55, abs=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.02, -0.001, "pass"),
        (-0.02, 0.0, "hold"),
        (-0.02, 0.01, "hold"),
        (0.0, 0.02, "hold"),
        (0.001, 0.02, "refuse"),
    ],
)
def test_better_means_that_the_whole_interval_is(low: float, high: float, verdict: str) -> None:
    result = gate.better((low + high) / 2, (low, high))
    # the compared value is shown next to its limit
    assert (result.verdict, result.value, result.limit) == (verdict, high, 0.0)
    assert (result.verdict == "pass") == (high < 0)
    assert f"{low:+.4f} to {high:+.4f}" in str(result.text)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.02, 0.004, "pass"),
        (0.001, 0.005, "pass"),
        (-0.001, 0.006, "hold"),
        (0.005, 0.006, "hold"),
        (0.006, 0.02, "refuse"),
    ],
)
def test_not_worse_has_a_margin(low: float, high: float, verdict: str) -> None:
    limits = Limits(aim="not_worse", margin=0.005)
    result = gate.better((low + high) / 2, (low, high), limits)
    assert (result.verdict, result.value, result.limit) == (verdict, high, 0.005)
    assert (result.verdict == "pass") == (high <= 0.005)


def test_a_harmed_slice_is_named_the_worst_first() -> None:
    result = gate.slices(
        harm(
            ("season", "2000-01", 900, 0.01, True),
            ("period", 4, 1200, 0.05, True),
            ("period", 1, 1200, -0.05, False),
        )
    )
    assert (result.verdict, result.value) == ("hold", 2)
    assert str(result.text).startswith(
        "The challenger is worse on 2 of 3 slices: period = 4 (+0.0500 nats on 1,200 rows) and "
        "season = 2000-01 "
    )
    many = gate.slices(harm(*((f"c{i}", i, 10, 0.01 * i, True) for i in range(1, 8))))
    assert "c7 = 7" in str(many.text)
    assert "worse on 7 of 7 slices: c7" in str(many.text)


def test_no_harm_passes_and_no_slice_is_not_applicable() -> None:
    result = gate.slices(harm(("period", 1, 10, 0.4, False), ("period", 2, 10, -0.4, False)))
    assert result.verdict == "pass"
    assert result.value == 0
    unjudged = harm(("period", 1, 10, 0.4, False)).assign(low=np.nan, high=np.nan)
    assert gate.slices(unjudged).verdict == "not_applicable"
    assert gate.slices(harm()).verdict == "not_applicable"
    assert gate.slices(harm(("period", 1, 10, 0.4, np.bool_(True)))).verdict == "hold"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "low", "verdict"),
    [(0.01, 0.005, "pass"), (0.02, 0.005, "pass"), (0.03, -0.001, "pass"), (0.03, 0.001, "hold")],
)
def test_calibration_holds_only_what_is_above_chance_and_the_champion(
    error: float, low: float, verdict: str
) -> None:
    result = gate.calibration(error, 0.02, low + 0.01, (low, low + 0.02))
    # by the error itself, or else by the difference from the champion
    judged = (error, 0.02) if error <= 0.02 else (low, 0)
    assert (result.verdict, result.value, result.limit) == (verdict, *judged)
    assert (result.verdict == "pass") == (judged[0] <= judged[1])


@pytest.mark.parametrize(
    ("ask", "small", "most"), [(gate.latency, 0.1, 10.0), (gate.size, 10e6, 500e6)]
)
def test_time_and_size_are_measured_against_the_champion(ask, small, most) -> None:  # type: ignore[no-untyped-def]
    assert ask(small, small / 1000).verdict == "pass"  # a hundred times nothing is little
    assert ask(small * 1.01, small / 1000).verdict == "hold"
    assert ask(small * 3, small).verdict == "pass"
    assert ask(small * 3.01, small).verdict == "hold"
    assert ask(most, most).verdict == "pass"
    assert ask(most * 1.01, most).verdict == "refuse"
    result = ask(small * 30, small)
    assert result.value == pytest.approx(small * 30)
    assert result.limit == pytest.approx(small * 3)
    assert ask(small * 3.01, small, Limits(factor=4)).verdict == "pass"


def test_the_columns_that_callers_send() -> None:
    two = {"lat": "number", "lon": "number"}
    assert gate.schema(two, two, NUMBERS).verdict == "pass"
    assert gate.schema({"lat": "number"}, two, NUMBERS).verdict == "pass"
    added = gate.schema(NUMBERS, two, NUMBERS)
    assert (added.verdict, added.value) == ("hold", 1)
    assert "do not send: zone." in str(added.text)
    typed = gate.schema({"lat": "text"}, two, NUMBERS)
    assert typed.verdict == "refuse"
    assert "lat as text instead of number" in str(typed.text)
    # against the project too, where the champion does not take it
    assert gate.schema({"zone": "number"}, two, NUMBERS).verdict == "refuse"
    gone = gate.schema({"gone": "number"}, {"gone": "number"}, NUMBERS)
    assert gone.verdict == "refuse"
    assert "does not have these columns: gone" in str(gone.text)
    assert gate.schema(two, two, NUMBERS, more_complete=True).verdict == "hold"


def test_too_few_rows_say_nothing() -> None:
    assert gate.same_rows(200, 0, 0).verdict == "pass"
    few = gate.same_rows(199, 1, 2)
    assert (few.verdict, few.value, few.limit) == ("hold", 199, 200)
    assert "3 rows were left out" in str(few.text)
    missing = gate.same_rows(0, 0, 0, problem="They are gone.")
    assert (missing.verdict, missing.text) == ("hold", "They are gone.")


def test_one_refusal_outweighs_and_every_reason_is_given() -> None:
    passed, held, refused = rule("pass"), rule("hold", text="H."), rule("refuse", text="R.")
    absent = gate.not_applicable("slices", "No slices.")
    assert gate.decide([passed, absent]).code == "promote"
    assert decided([passed, held]) == ("hold", "H.")
    assert decided([held, passed, refused]) == ("refuse", "R. H.")
    none = decided([gate.not_applicable(code, "No champion.") for code in gate.TITLES])
    assert none == ("promote", "No champion.")


def test_the_table_has_a_row_per_rule() -> None:
    table = gate.as_table([gate.better(-0.1, (-0.2, -0.05)), gate.not_applicable("size", "No.")])
    assert table["verdict"].tolist() == ["pass", "not_applicable"]
    assert table["value"].isna().tolist() == [False, True]
    assert table["title"].tolist() == [gate.TITLES["better"], gate.TITLES["size"]]
    assert str(table["text"][0]).startswith("The challenger is better.")
    assert table["text"][1] == "No."
